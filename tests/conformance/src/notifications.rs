//! Group F: the notification log, in sections of 5.

use evenkeel_core::archive::{SectionId, SectionIdError, SectionSize, Standing};
use evenkeel_core::section::{Section, SectionReader};
use evenkeel_core::{Log, Position, Reader, RecordManager};

use crate::{Home, Item, SCRATCH, append, item, mounted, read};

/// Sections of five.
pub(crate) const FIVE: SectionSize = SectionSize::new(5).unwrap();

/// Appends so many events, one by one, to two streams by turns.
pub(crate) fn notified<R: RecordManager>(log: &mut Log<'_, R>, events: u64) {
    for _ in 0..events {
        let next = log.bounds().next.0;
        let stream = 100 + next % 2;
        let version = log.head(stream).unwrap().map_or(0, |head| head.version.0) + 1;
        append(log, &[item(stream, version, next.to_le_bytes())]).unwrap();
    }
}

pub(crate) fn five(id: &str) -> SectionId {
    FIVE.parse(id).unwrap()
}

/// A section as a reader gets it: its id, the positions of its events, and the ids that it is linked with.
fn section<R: RecordManager>(log: &mut Log<'_, R>, id: SectionId) -> (String, Vec<u64>, [Option<String>; 2]) {
    let view = id.view(log.bounds()).unwrap();
    let mut out = [0; 512];
    let positions = match log.archived(id, &mut out).unwrap() {
        Section::Events { first, count, bytes } => {
            let read: Vec<_> = SectionReader::new(first, bytes).map(Result::unwrap).collect();
            assert_eq!(read.len(), count as usize);
            read.iter().map(|record| record.position.unwrap().0).collect()
        }
        Section::End { .. } => vec![],
        other => panic!("nothing is missing: {other:?}"),
    };
    assert_eq!(positions.len(), view.events as usize);
    (view.id.to_string(), positions, [view.previous, view.next].map(|link| link.map(|id| id.to_string())))
}

fn expect<R: RecordManager>(log: &mut Log<'_, R>, id: &str, positions: std::ops::Range<u64>, links: [Option<&str>; 2]) {
    let id = match id {
        "current" => FIVE.current(log.bounds()),
        id => five(id),
    };
    let expected = (id.to_string(), positions.collect(), links.map(|link| link.map(String::from)));
    assert_eq!(section(log, id), expected);
}

/// The current section of an empty log is 1,5, without events and links.
pub fn case_60_the_sections_of_an_empty_log<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(FIVE.current(log.bounds()), five("1,5"));
    expect(&mut log, "current", 1..1, [None, None]);
    assert_eq!(FIVE.current(log.bounds()).view(log.bounds()).unwrap().standing, Standing::Current);
}

/// 13 events.
pub fn case_61_the_sections_of_13_events<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 13);
    assert_eq!(FIVE.current(log.bounds()), five("11,15"));
    expect(&mut log, "current", 11..14, [Some("6,10"), None]);
    expect(&mut log, "1,5", 1..6, [None, Some("6,10")]);
    expect(&mut log, "6,10", 6..11, [Some("1,5"), Some("11,15")]);
    expect(&mut log, "16,20", 16..16, [Some("11,15"), None]);
    expect(&mut log, "21,25", 21..21, [Some("16,20"), None]);
    let standing = |id: &str| five(id).view(log.bounds()).unwrap().standing;
    assert_eq!(["6,10", "11,15", "16,20"].map(standing), [Standing::Archived, Standing::Current, Standing::Future]);
}

/// 11 more.
pub fn case_62_the_sections_of_24_events<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 13);
    notified(&mut log, 11);
    expect(&mut log, "11,15", 11..16, [Some("6,10"), Some("16,20")]);
    expect(&mut log, "16,20", 16..21, [Some("11,15"), Some("21,25")]);
    expect(&mut log, "21,25", 21..25, [Some("16,20"), None]);
    expect(&mut log, "26,30", 26..26, [Some("21,25"), None]);
}

/// Four events of two streams have positions 1 to 4 in the order of their commits; after 1 up to 3 are 2 and 3.
pub fn case_65_positions_in_the_order_of_commits<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let items = [item(2, 1, "a"), item(1, 1, "b"), item(2, 2, "c"), item(1, 2, "d")];
    let told = [
        append(&mut log, &items[..1]).unwrap().first,
        append(&mut log, &items[1..3]).unwrap().last(),
        append(&mut log, &items[3..]).unwrap().first,
    ];
    assert_eq!(told, [Position(1), Position(3), Position(4)]);
    let expected: Vec<_> = (1..).map(Position).zip(items).collect();
    assert_eq!(read(&mut log, Position::START).unwrap(), expected);
    let (mut reader, mut between) = (Reader::new(Position(1)).up_to(Position(3)), Vec::new());
    while let Some(notification) = log.read(&mut reader).unwrap() {
        let record = notification.record().unwrap();
        between.push((record.position.unwrap(), Item::from(record)));
    }
    assert_eq!(between, expected[1..3]);
    assert_eq!(reader.position(), Position(3));
}

/// A conflicting append takes no position: the next one gets it.
pub fn case_66_a_conflict_takes_no_position<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(1, 1, "a")]).unwrap();
    for _ in 0..3 {
        append(&mut log, &[item(2, 1, "b"), item(1, 1, "again")]).unwrap_err();
        assert_eq!(log.bounds().next, Position(2));
    }
    assert_eq!(append(&mut log, &[item(1, 2, "c")]).unwrap().first, Position(2));
    assert_eq!(read(&mut log, Position::START).unwrap().len(), 2);
}

/// A full section reads the same bytes before and after 100 further appends.
pub fn case_67_an_archived_section_never_changes<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 17);
    let (mut before, mut after) = ([0; 512], [0; 512]);
    for id in ["1,5", "11,15"].map(five) {
        let view = id.view(log.bounds()).unwrap();
        let section = log.archived(id, &mut before).unwrap();
        assert!(matches!(section, Section::Events { count: 5, .. }), "{section:?}");
        notified(&mut log, 100);
        assert_eq!(log.archived(id, &mut after).unwrap(), section);
        assert_eq!(id.view(log.bounds()).unwrap(), view);
    }
}

/// With 10 events and sections of 5 the current section is empty, and linked both ways: reproduced on purpose, as a full
/// section then never changes, its link to the next one neither. An id that is none is an error, and no other section.
pub fn finding_10_a_full_section_is_followed_by_an_empty_one_and_nonsense_is_an_error<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 9);
    expect(&mut log, "current", 6..10, [Some("1,5"), None]);
    notified(&mut log, 1);
    expect(&mut log, "6,10", 6..11, [Some("1,5"), Some("11,15")]);
    expect(&mut log, "current", 11..11, [Some("6,10"), None]);
    assert_eq!(FIVE.parse("0,4"), Err(SectionIdError::BelowOne));
    assert_eq!(FIVE.parse("-4,0"), Err(SectionIdError::Malformed));
    assert_eq!(FIVE.parse("5,1"), Err(SectionIdError::Backwards));
    assert_eq!(FIVE.parse("3,7"), Err(SectionIdError::Misaligned(five("1,5"))));
}

/// A reader asks for the section that holds its next event, not for the current one and back; and what is read between
/// two positions ends at the second.
pub fn finding_11_a_reader_goes_to_its_section_at_once_and_reads_no_event_too_many<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    notified(&mut log, 23);
    for (after, wanted) in [(0, "1,5"), (4, "1,5"), (5, "6,10"), (22, "21,25"), (23, "21,25"), (25, "26,30")] {
        assert_eq!(Reader::new(Position(after)).wanted(FIVE), five(wanted), "after {after}");
    }
    for after in 0..20 {
        let mut reader = Reader::new(Position(after)).up_to(Position(after + 3));
        let mut count = 0;
        while log.read(&mut reader).unwrap().is_some() {
            count += 1;
        }
        assert_eq!((count, reader.position()), (3, Position(after + 3)));
    }
}
