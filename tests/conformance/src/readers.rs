//! Group G: readers of the notification log, here and from elsewhere.

use evenkeel_core::error::ReadError;
use evenkeel_core::section::{MalformedSection, Section};
use evenkeel_core::{Kind, Kinds, Log, Position, Reader, RecordManager, Tracker};

use crate::notifications::{FIVE, notified};
use crate::{Home, Item, SCRATCH, append, item, mounted};

/// The positions that a reader sees up to the end of the log.
fn rest<R: RecordManager>(log: &mut Log<'_, R>, reader: &mut Reader) -> Vec<u64> {
    let mut seen = Vec::new();
    while let Some(notification) = log.read(reader).unwrap() {
        let record = notification.record().expect("no events are missing");
        let position = record.position.unwrap();
        assert_eq!(reader.position(), position);
        seen.push(position.0);
    }
    seen
}

/// From the start a reader sees 13 of 13 events, then 8 of 8 more, then none.
pub fn case_70_a_reader_goes_on_where_it_was<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut reader = Reader::new(Position::START);
    notified(&mut log, 13);
    assert_eq!(rest(&mut log, &mut reader), (1..=13).collect::<Vec<_>>());
    assert_eq!(reader.position(), Position(13));
    notified(&mut log, 8);
    assert_eq!(rest(&mut log, &mut reader), (14..=21).collect::<Vec<_>>());
    assert_eq!(reader.position(), Position(21));
    assert_eq!(rest(&mut log, &mut reader), []);
    assert_eq!(reader.position(), Position(21));
    reader.seek(Position(19));
    assert_eq!(rest(&mut log, &mut reader), [20, 21]);
}

/// The first event read has position 1, and so has the reader then; at the end it stays where it is.
pub fn case_73_a_reader_at_the_end_stays_there<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut reader = Reader::new(Position::START);
    assert_eq!(log.read(&mut reader).unwrap(), None);
    assert_eq!(reader.position(), Position::START);
    notified(&mut log, 2);
    for position in [Position(1), Position(2)] {
        let read = log.read(&mut reader).unwrap().unwrap();
        assert_eq!(read.record().unwrap().position, Some(position));
        assert_eq!(reader.position(), position);
    }
    for _ in 0..3 {
        assert_eq!(log.read(&mut reader).unwrap(), None);
        assert_eq!(reader.position(), Position(2));
    }
}

/// 42 events elsewhere, in sections of 5: all of them in 9 sections; after 4, 38 of them, the first at 5. What does not
/// decode is an error, and the reader stays where it was.
pub fn case_75_a_log_elsewhere_is_read_in_sections<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 42);
    let mut out = [0; 512];
    for (after, sections, first) in [(0, 9, 1), (4, 9, 5), (5, 8, 6)] {
        let (mut reader, mut visited, mut seen) = (Reader::new(Position(after)), 0, Vec::new());
        loop {
            let Section::Events { first, count, bytes } = log.archived(reader.wanted(FIVE), &mut out).unwrap() else {
                panic!("nothing is missing");
            };
            visited += 1;
            seen.extend(reader.take_in(first, count, bytes).unwrap().map(|record| record.position.unwrap().0));
            if count < FIVE.positions() {
                break;
            }
        }
        assert_eq!((visited, reader.position()), (sections, Position(42)));
        assert_eq!(seen, (first..=42).collect::<Vec<_>>());
    }

    let mut reader = Reader::new(Position(7));
    let id = reader.wanted(FIVE);
    let Section::Events { first, count, bytes } = log.archived(id, &mut out).unwrap() else { panic!() };
    let cut_off = bytes.len() - 1;
    let broken = [reader.clone().take_in(first, count, &bytes[..cut_off]).err()];
    assert_eq!(broken, [Some(MalformedSection)]);
    assert!(reader.take_in(first, count, &bytes[..cut_off]).is_err());
    assert!(reader.take_in(first, count + 1, bytes).is_err(), "fewer events than announced");
    assert!(reader.take_in(first, count - 1, bytes).is_err(), "more events than announced");
    assert!(reader.take_in(Position(9), count, bytes).is_err(), "an event is left out");
    assert_eq!(reader.position(), Position(7));
    let seen: Vec<_> = reader.take_in(first, count, bytes).unwrap().map(|record| record.position.unwrap().0).collect();
    assert_eq!((seen, reader.position()), (vec![8, 9, 10], Position(10)));
}

/// Interrupted after event 7 of 13, a new reader at the place that was kept sees 8 to 13 alone.
pub fn case_76_an_interrupted_transfer_goes_on_behind_what_arrived<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 13);
    let mut reader = Reader::new(log.tracked(Tracker(3)));
    for _ in 0..7 {
        log.read(&mut reader).unwrap().unwrap();
    }
    log.acknowledge(Tracker(3), reader.position()).unwrap();
    let mut later = Reader::new(log.tracked(Tracker(3)));
    assert_eq!(rest(&mut log, &mut later), (8..=13).collect::<Vec<_>>());
}

/// A reader that knows of more than there is learns so, and not that there is nothing new.
pub fn case_76_a_reader_ahead_of_the_log_is_told<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 3);
    for kinds in [Kinds::ALL, Kinds::NONE] {
        for ahead in [4, 5, 1000, u64::MAX - 1] {
            let mut reader = Reader::new(Position(ahead)).of_kinds(kinds);
            let read = log.read(&mut reader);
            assert!(matches!(read, Err(ReadError::BeyondEnd { next: Position(4) })), "after {ahead}: {read:?}");
            assert_eq!(reader.position(), Position(ahead));
        }
        assert_eq!(log.read(&mut Reader::new(Position(3)).of_kinds(kinds)).unwrap(), None);
    }
}

/// A reader of some types of aggregates is shown their events alone, and moves on over the others.
pub fn case_76_a_reader_of_some_kinds_sees_those_alone<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let of_kind = |kind: u8, version| Item { kind: Kind(kind), ..item(u64::from(kind), version, [kind; 25]) };
    for version in 1..=10 {
        append(&mut log, &[of_kind(1, version), of_kind(2, version), of_kind(255, version)]).unwrap();
    }
    let positions = |log: &mut Log<'_, H::Manager>, kinds: Kinds| {
        let (mut reader, mut seen) = (Reader::new(Position::START).of_kinds(kinds), Vec::new());
        while let Some(notification) = log.read(&mut reader).unwrap() {
            let record = notification.record().unwrap();
            assert!(kinds.has(record.kind) && record.payload == [record.kind.0; 25]);
            seen.push(record.position.unwrap().0);
        }
        assert_eq!(reader.position(), Position(30), "it does not go through them again");
        seen
    };
    let every_third = |from: usize| (from as u64..=30).step_by(3).collect::<Vec<_>>();
    assert_eq!(positions(&mut log, Kind(2).into()), every_third(2));
    assert_eq!(positions(&mut log, Kind(255).into()), every_third(3));
    let both = Kinds::NONE.with(Kind(1)).with(Kind(255));
    assert_eq!(positions(&mut log, both), (1..=30).filter(|n| n % 3 != 2).collect::<Vec<_>>());
    assert_eq!(positions(&mut log, Kinds::NONE), []);
    assert_eq!(positions(&mut log, Kinds::ALL), (1..=30).collect::<Vec<_>>());
}
