//! Group B: ranges of a stream.

use evenkeel_core::{Log, RecordManager, Version, VersionRange};

use crate::{Home, Item, SCRATCH, append, item, mounted};

const S: u64 = 77;
const ALL: VersionRange = VersionRange::ALL;

/// A stream with this many events, among those of another one.
fn stored<R: RecordManager>(log: &mut Log<'_, R>, events: u32) {
    for version in 1..=events {
        append(log, &[item(S, version, name(version)), item(5, version, "noise")]).unwrap();
    }
}

/// a, b, c, …
fn name(version: u32) -> [u8; 1] {
    [b'a' - 1 + version as u8]
}

/// The payloads of a range, one letter each.
fn shown<R: RecordManager>(log: &mut Log<'_, R>, range: VersionRange) -> String {
    let mut events = log.events(S, range).unwrap();
    let mut shown = String::new();
    while let Some(record) = events.next_event().unwrap() {
        assert_eq!(Item::from(&record), item(S, record.version.0, name(record.version.0)));
        shown.push(char::from(record.payload[0]));
    }
    assert!(events.next_event().unwrap().is_none(), "there is something behind the end");
    shown
}

fn of_abc<H: Home>(make: impl Fn() -> H, expected: &[(VersionRange, &str)]) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(shown(&mut log, ALL), "", "of a stream that does not exist");
    stored(&mut log, 3);
    assert_eq!(shown(&mut log, ALL), "abc");
    assert_eq!(shown(&mut log, ALL.descending()), "cba");
    for (range, events) in expected {
        assert_eq!(shown(&mut log, *range), *events, "{range:?}");
        let turned: String = events.chars().rev().collect();
        assert_eq!(shown(&mut log, range.descending()), turned, "{range:?} descending");
    }
}

/// Above the first: b, c.
pub fn case_12_above_a_version<H: Home>(make: impl Fn() -> H) {
    of_abc(make, &[(ALL.gt(Version(1)), "bc"), (ALL.gt(Version(0)), "abc"), (ALL.gt(Version(3)), "")]);
}

/// From the second on: b, c.
pub fn case_13_from_a_version_on<H: Home>(make: impl Fn() -> H) {
    of_abc(make, &[(ALL.gte(Version(2)), "bc"), (ALL.gte(Version(0)), "abc"), (ALL.gte(Version(4)), "")]);
}

/// Below the third: a, b.
pub fn case_14_below_a_version<H: Home>(make: impl Fn() -> H) {
    of_abc(make, &[(ALL.lt(Version(3)), "ab"), (ALL.lt(Version(9)), "abc"), (ALL.lt(Version(1)), "")]);
}

/// Up to the second: a, b.
pub fn case_15_up_to_a_version<H: Home>(make: impl Fn() -> H) {
    of_abc(make, &[(ALL.lte(Version(2)), "ab"), (ALL.lte(Version(9)), "abc"), (ALL.lte(Version(0)), "")]);
}

/// The second alone, in four ways of saying so.
pub fn case_16_between_two_versions<H: Home>(make: impl Fn() -> H) {
    let (a, b, c) = (Version(1), Version(2), Version(3));
    let b_alone = [ALL.gte(b).lte(b), ALL.gte(b).lt(c), ALL.gt(a).lte(b), ALL.gt(a).lt(c)];
    of_abc(&make, &b_alone.map(|range| (range, "b")));
    of_abc(&make, &[(ALL.gt(b).lt(c), ""), (ALL.gte(c).lte(a), "")]);
}

/// At most 2 above the second, descending: c. At most 2 below the third, asked for descending, shown ascending: a, b.
pub fn case_18_the_limit_counts_in_the_direction_of_the_query<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    stored(&mut log, 3);
    assert_eq!(shown(&mut log, ALL.gt(Version(2)).limit(2).descending()), "c");
    assert_eq!(shown(&mut log, ALL.lt(Version(3)).limit(2).descending().shown_ascending()), "ab");
    assert_eq!(shown(&mut log, ALL.limit(2)), "ab");
    assert_eq!(shown(&mut log, ALL.limit(2).descending()), "cb");
    assert_eq!(shown(&mut log, ALL.limit(2).descending().shown_ascending()), "bc");
}

/// 12 events in pages of 5: in order, in 3 reads. In pages of 12: in 2, the second empty. With a limit of 12: in one.
/// The last two, descending: the last first.
pub fn case_20_pages_are_read_one_after_another<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    stored(&mut log, 12);
    for (page, reads) in [(5, 3), (12, 2), (13, 1), (1, 13)] {
        let (mut all, mut done) = (String::new(), 0);
        loop {
            let read = shown(&mut log, ALL.gt(Version(all.len() as u32)).limit(page));
            done += 1;
            all.push_str(&read);
            if read.len() < page as usize {
                break;
            }
        }
        assert_eq!((all.as_str(), done), ("abcdefghijkl", reads), "in pages of {page}");
    }
    assert_eq!(shown(&mut log, ALL.limit(12)), "abcdefghijkl");
    assert_eq!(shown(&mut log, ALL.limit(2).descending()), "lk");
    // What is appended while a page is read is not in it.
    let head = log.head(S).unwrap().unwrap().version;
    assert_eq!(ALL.of(head).count(), 12);
}

/// A limit of 0 is an empty result, and no error.
pub fn case_22_a_limit_of_0_is_an_empty_result<H: Home>(make: impl Fn() -> H) {
    of_abc(make, &[(ALL.limit(0), ""), (ALL.gte(Version(2)).limit(0), "")]);
}
