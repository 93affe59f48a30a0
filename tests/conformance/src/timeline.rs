//! Group J: messages by time. A time is part of the event; as it rises with the version, a range of time is a range of
//! versions, found by bisection: there are no buckets, so none of an unknown size either.

use evenkeel_core::{Log, RecordManager, Version, VersionRange};

use crate::{Home, SCRATCH, append, item, mounted};

const MESSAGES: u64 = 42;

/// Message `n` at second 10 n.
fn written<R: RecordManager>(log: &mut Log<'_, R>, messages: u32) {
    for n in 1..=messages {
        append(log, &[item(MESSAGES, n, (u64::from(n) * 10).to_le_bytes())]).unwrap();
    }
}

/// The last message up to this second.
fn up_to<R: RecordManager>(log: &mut Log<'_, R>, second: u64) -> Version {
    let seconds = |payload: &[u8]| u64::from_le_bytes(payload.try_into().unwrap());
    log.last_version_where(MESSAGES, |record| seconds(record.payload) <= second).unwrap()
}

fn shown<R: RecordManager>(log: &mut Log<'_, R>, range: VersionRange) -> Vec<u32> {
    let mut events = log.events(MESSAGES, range).unwrap();
    let mut shown = Vec::new();
    while let Some(record) = events.next_event().unwrap() {
        assert_eq!(record.payload, (u64::from(record.version.0) * 10).to_le_bytes());
        shown.push(record.version.0);
    }
    shown
}

/// Six messages: three after half way, three up to it; one after it, ascending, is the 4th, descending the 6th; none is
/// after it and up to it.
pub fn case_93_messages_after_and_up_to_a_moment<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(up_to(&mut log, 35), Version::NONE, "of a stream that does not exist");
    written(&mut log, 6);
    let half_way = up_to(&mut log, 35);
    let (all, after) = (VersionRange::ALL, VersionRange::ALL.gt(half_way));
    assert_eq!(shown(&mut log, all), [1, 2, 3, 4, 5, 6]);
    assert_eq!(shown(&mut log, all.descending()), [6, 5, 4, 3, 2, 1]);
    assert_eq!(shown(&mut log, after), [4, 5, 6]);
    assert_eq!(shown(&mut log, all.lte(half_way)), [1, 2, 3]);
    assert_eq!(shown(&mut log, after.limit(1)), [4]);
    assert_eq!(shown(&mut log, after.limit(1).descending()), [6]);
    assert_eq!(shown(&mut log, after.lte(half_way)), []);
    for (second, version) in [(0, 0), (9, 0), (10, 1), (11, 1), (59, 5), (60, 6), (u64::MAX, 6)] {
        assert_eq!(up_to(&mut log, second), Version(version), "up to second {second}");
    }
}

/// 300 messages: 110 before the 150th, descending, are 149 to 40.
pub fn case_94_a_part_of_many_messages<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    written(&mut log, 300);
    let before = up_to(&mut log, 1499);
    let shown = shown(&mut log, VersionRange::ALL.lte(before).descending().limit(110));
    assert_eq!(shown, (40..=149).rev().collect::<Vec<_>>());
}
