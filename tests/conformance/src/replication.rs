//! Group H, first half: copies of a log. (Projections are the other half.)

use evenkeel_core::error::ReplicateError;
use evenkeel_core::section::Section;
use evenkeel_core::{Aggregate, Kind, Log, Position, Record, RecordManager};
use serde::{Deserialize, Serialize};

use crate::{Home, SCRATCH, append, item, mounted, read};

/// When something was measured, and what.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    at: u64,
    value: i32,
}

/// The extremes of what was measured.
#[derive(Debug, Default, PartialEq, Clone)]
struct Gauge {
    first_at: u64,
    last_at: u64,
    highest: i32,
}

impl Aggregate for Gauge {
    const KIND: Kind = Kind(11);
    type Event = Measured;

    fn apply(&mut self, event: &Measured) {
        if self.first_at == 0 {
            self.first_at = event.at;
        }
        self.last_at = event.at;
        self.highest = self.highest.max(event.value);
    }
}

/// Measures so often, with three gauges by turns, sometimes twice in one batch.
fn measure<R: RecordManager>(log: &mut Log<'_, R>, times: u64) {
    for _ in 0..times {
        let at = log.bounds().next.0;
        let mut gauge = match log.head(at % 3).unwrap() {
            Some(_) => log.replay::<Gauge>(at % 3).unwrap(),
            None => evenkeel_core::Root::new(at % 3),
        };
        let measured = |at| Measured { at, value: (at as i32 * 7919) % 1000 - 500 };
        let twice = if at.is_multiple_of(4) { Some(measured(at + 1)) } else { None };
        log.execute(&mut gauge, |_| Ok::<_, ()>([measured(at)].into_iter().chain(twice))).unwrap();
    }
}

/// Pulls all that is new from one log into a copy of it; answers how many events came, and in how many pieces.
fn pull<A: RecordManager, B: RecordManager>(from: &mut Log<'_, A>, to: &mut Log<'_, B>) -> (u32, u32) {
    let (mut out, mut events, mut pieces) = ([0; 60], 0, 0);
    loop {
        let section = from.section(to.bounds().last(), &mut out).unwrap();
        if let Section::End { .. } = section {
            return (events, pieces);
        }
        let appended = to.replicate(&section).unwrap();
        (events, pieces) = (events + appended.events, pieces + 1);
    }
}

fn equal<A: RecordManager, B: RecordManager>(one: &mut Log<'_, A>, other: &mut Log<'_, B>) {
    assert_eq!(one.bounds(), other.bounds());
    let everything = read(one, Position::START).unwrap();
    assert_eq!(everything, read(other, Position::START).unwrap());
    for id in 0..3 {
        assert_eq!(one.replay::<Gauge>(id).unwrap(), other.replay::<Gauge>(id).unwrap());
        assert_eq!(one.head(id).unwrap(), other.head(id).unwrap());
    }
}

/// After a pull the copy has the same positions, streams and payloads, and its aggregates are equal.
pub fn case_77_a_copy_has_the_same_positions_streams_and_payloads<H: Home>(make: impl Fn() -> H) {
    let (mut homes, mut scratch) = ([make(), make()], [[0; SCRATCH]; 2]);
    let ([home, copys_home], [scratch, copys]) = (&mut homes, &mut scratch);
    let (mut log, mut copy) = (mounted(home, scratch), mounted(copys_home, copys));
    measure(&mut log, 40);
    let (events, pieces) = pull(&mut log, &mut copy);
    assert_eq!(u64::from(events), log.bounds().last().0);
    assert!(pieces > 2, "{pieces} pieces");
    equal(&mut log, &mut copy);
}

/// Pulling again yields nothing; what is new later is pulled from where the copy ends.
pub fn case_78_pulling_again_yields_nothing<H: Home>(make: impl Fn() -> H) {
    let (mut homes, mut scratch) = ([make(), make()], [[0; SCRATCH]; 2]);
    let ([home, copys_home], [scratch, copys]) = (&mut homes, &mut scratch);
    let (mut log, mut copy) = (mounted(home, scratch), mounted(copys_home, copys));
    measure(&mut log, 9);
    pull(&mut log, &mut copy);
    let bounds = copy.bounds();
    assert_eq!(pull(&mut log, &mut copy), (0, 0));
    // A section that comes once more, as a whole or in part, is the same and changes nothing.
    let mut out = [0; 100];
    for after in [0, 3] {
        let section = log.section(Position(after), &mut out).unwrap();
        assert_eq!(copy.replicate(&section).unwrap().events, 0);
    }
    assert_eq!(copy.bounds(), bounds);
    measure(&mut log, 5);
    let section = log.section(bounds.last().previous(), &mut out).unwrap();
    let appended = copy.replicate(&section).unwrap();
    assert_eq!(appended.first, bounds.next, "it goes on behind what is there");
    pull(&mut log, &mut copy);
    equal(&mut log, &mut copy);
}

/// Only what follows on is taken in: another event at a position that is taken is a contradiction, an event further on
/// leaves a gap; either is refused, with all that comes with it.
pub fn case_79_a_copy_refuses_what_contradicts_it_or_leaves_a_gap<H: Home>(make: impl Fn() -> H) {
    let (mut homes, mut scratch) = ([make(), make()], [[0; SCRATCH]; 2]);
    let ([home, copys_home], [scratch, copys]) = (&mut homes, &mut scratch);
    let (mut log, mut copy) = (mounted(home, scratch), mounted(copys_home, copys));
    append(&mut log, &[item(1, 1, "one"), item(2, 1, "two"), item(1, 2, "three"), item(2, 2, "four")]).unwrap();
    pull(&mut log, &mut copy);
    let before = read(&mut copy, Position::START).unwrap();

    let (position, payload) = (Some(Position(3)), &b"three"[..]);
    let three =
        Record { stream: 1.into(), kind: Kind(1), version: evenkeel_core::Version(2), schema: 0, position, payload };
    assert_eq!(copy.replicate_event(&three).unwrap().events, 0, "the very event");
    let others = [
        Record { payload: b"THREE", ..three },
        Record { payload: b"thre", ..three },
        Record { schema: 1, ..three },
        Record { kind: Kind(2), ..three },
        Record { stream: 2.into(), ..three },
        Record { version: evenkeel_core::Version(3), ..three },
    ];
    for other in others {
        let refused = copy.replicate_event(&other);
        let contradicts = matches!(refused, Err(ReplicateError::Contradiction { position: Position(3) }));
        assert!(contradicts, "{other:?}: {refused:?}");
    }
    let five = Record { version: evenkeel_core::Version(3), position: Some(Position(5)), payload: b"five", ..three };
    let six = Record { position: Some(Position(6)), ..five };
    let refused = copy.replicate_event(&six);
    let is_ahead = matches!(refused, Err(ReplicateError::Ahead { next: Position(5), position: Position(6) }));
    assert!(is_ahead, "{refused:?}");
    let refused = copy.replicate_event(&Record { position: None, ..five });
    assert!(matches!(refused, Err(ReplicateError::Local)), "{refused:?}");
    let lost = Section::Gap { first: Position(5), last: Position(6), reason: evenkeel_core::GapReason::Corrupt };
    let refused = copy.replicate(&lost);
    assert!(matches!(refused, Err(ReplicateError::Lost { first: Position(5), last: Position(6) })), "{refused:?}");

    // One event that contradicts keeps back all that come with it in a section.
    append(&mut log, &[item(3, 1, "five"), item(3, 2, "six")]).unwrap();
    let (mut out, mut forged) = ([0; 100], [0; 100]);
    let Section::Events { first, count, bytes } = log.section(Position(2), &mut out).unwrap() else { panic!() };
    let forged = &mut forged[..bytes.len()];
    forged.copy_from_slice(bytes);
    let at = bytes.windows(4).position(|window| window == b"four").unwrap();
    forged[at] ^= 1;
    let refused = copy.replicate(&Section::Events { first, count, bytes: forged });
    assert!(matches!(refused, Err(ReplicateError::Contradiction { position: Position(4) })), "{refused:?}");
    let refused = copy.replicate(&Section::Events { first, count, bytes: &bytes[..bytes.len() - 1] });
    assert!(matches!(refused, Err(ReplicateError::Malformed)), "{refused:?}");
    assert_eq!(read(&mut copy, Position::START).unwrap(), before);
    assert_eq!(copy.replicate(&Section::Events { first, count, bytes }).unwrap().events, 2);
    assert_eq!(read(&mut copy, Position::START).unwrap(), read(&mut log, Position::START).unwrap());
}

/// A copy of a copy equals the original.
pub fn case_80_a_copy_of_a_copy_equals_the_original<H: Home>(make: impl Fn() -> H) {
    let (mut homes, mut scratch) = ([make(), make(), make()], [[0; SCRATCH]; 3]);
    let ([first, second, third], [one, two, three]) = (&mut homes, &mut scratch);
    let mut logs = [mounted(first, one), mounted(second, two), mounted(third, three)];
    let [log, copy, copy_of_copy] = &mut logs;
    for _ in 0..4 {
        measure(log, 7);
        pull(log, copy);
        pull(copy, copy_of_copy);
    }
    equal(log, copy_of_copy);
}
