//! Group F, events that stay where they happen: in their stream, and not in the notification log.

use evenkeel_core::{Aggregate, Kind, Log, Position, RecordManager, Snapshot, StreamId, Version};
use serde::{Deserialize, Serialize};

use crate::{Home, Item, PowerCuts, SCRATCH, append_some_locally, item, mounted, read, stream};

/// What this stream holds, and which of it has positions.
fn with_positions<R: RecordManager>(log: &mut Log<'_, R>, id: u64) -> Vec<(u32, Option<u64>)> {
    let (mut all, mut after) = (Vec::new(), Version::NONE);
    while let Some(record) = log.next_event(id, after).unwrap() {
        after = record.version;
        all.push((after.0, record.position.map(|position| position.0)));
    }
    all
}

/// A local event is stored in its stream; the next event that is not gets the next position, and no reader sees the local
/// one.
pub fn case_69_a_local_event_is_in_its_stream_and_no_reader_sees_it<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let (all, none) = (|_: &Item| true, |_: &Item| false);
    let first = append_some_locally(&mut log, &[item(1, 1, "a")], none).unwrap();
    let local = append_some_locally(&mut log, &[item(1, 2, "b")], all).unwrap();
    assert_eq!((first.last(), local.first, local.events), (Position(1), Position(2), 0));
    assert_eq!(log.bounds().next, Position(2));
    let next = append_some_locally(&mut log, &[item(1, 3, "c")], none).unwrap();
    assert_eq!(next.first, Position(2));
    // In one batch with others, of its stream and of one of which nothing else is known outside.
    let mixed = [item(2, 1, "x"), item(1, 4, "d"), item(2, 2, "y"), item(1, 5, "e")];
    let appended = append_some_locally(&mut log, &mixed, |item| item.stream == StreamId(2)).unwrap();
    assert_eq!((appended.first, appended.events), (Position(3), 2));

    let letters = |log: &mut Log<'_, H::Manager>, id| -> String {
        stream(log, id).iter().map(|item| char::from(item.payload[0])).collect()
    };
    assert_eq!((letters(&mut log, 1), letters(&mut log, 2)), ("abcde".into(), "xy".into()));
    assert_eq!(with_positions(&mut log, 1), [(1, Some(1)), (2, None), (3, Some(2)), (4, Some(3)), (5, Some(4))]);
    assert_eq!(with_positions(&mut log, 2), [(1, None), (2, None)]);
    let seen: Vec<_> =
        read(&mut log, Position::START).unwrap().into_iter().map(|(at, item)| (at.0, item.version.0)).collect();
    assert_eq!(seen, [(1, 1), (2, 3), (3, 4), (4, 5)]);
    assert_eq!(log.head(2).unwrap().unwrap().version, Version(2));
    // It is guarded like any other.
    append_some_locally(&mut log, &[item(1, 5, "again")], all).unwrap_err();
    append_some_locally(&mut log, &[item(1, 7, "gap")], all).unwrap_err();
    append_some_locally(&mut log, &[item(1, 6, "f"), item(1, 6, "twice")], all).unwrap_err();

    // Hundreds of them, more than a byte counts, between two others.
    for version in 6..=400 {
        append_some_locally(&mut log, &[item(1, version, [7; 9])], all).unwrap();
    }
    let late = append_some_locally(&mut log, &[item(1, 401, "late"), item(3, 1, "new")], none).unwrap();
    assert_eq!((late.first, late.events), (Position(5), 2));
    let versions: Vec<_> = stream(&mut log, 1).iter().map(|item| item.version.0).collect();
    assert_eq!(versions, (1..=401).collect::<Vec<_>>());
    assert_eq!(with_positions(&mut log, 1)[400], (401, Some(5)));
    let seen = read(&mut log, Position(4)).unwrap();
    assert_eq!(seen, [(Position(5), item(1, 401, "late")), (Position(6), item(3, 1, "new"))]);
}

/// Counts visitors; who it was is nobody else's business.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Door {
    visits: u32,
    last_badge: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum DoorEvent {
    Opened,
    Identified { badge: u32 },
}

impl Aggregate for Door {
    const KIND: Kind = Kind(13);
    type Event = DoorEvent;

    fn apply(&mut self, event: &DoorEvent) {
        match event {
            DoorEvent::Opened => self.visits += 1,
            DoorEvent::Identified { badge } => self.last_badge = *badge,
        }
    }

    fn is_local(event: &DoorEvent) -> bool {
        matches!(event, DoorEvent::Identified { .. })
    }
}

impl Snapshot for Door {
    const SCHEMA: u8 = 1;
}

/// An aggregate says which of its events are local; loaded where they are, it has taken in all of them.
pub fn case_69_an_aggregate_with_local_events_is_loaded_where_they_are<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut door = log.load_or_new::<Door>(5).unwrap();
    for badge in 100..110 {
        let visit = [DoorEvent::Identified { badge }, DoorEvent::Opened];
        let appended = log.execute(&mut door, |_| Ok::<_, ()>(visit)).unwrap();
        assert_eq!(appended.events, 1);
        assert_eq!(door.position(), appended.first);
    }
    let only_local = log.execute(&mut door, |_| Ok::<_, ()>([DoorEvent::Identified { badge: 7 }])).unwrap();
    assert_eq!((only_local.events, door.version(), door.position()), (0, Version(21), Position(10)));
    assert_eq!(*door, Door { visits: 10, last_badge: 7 });
    assert_eq!(*log.load::<Door>(5).unwrap(), *door);
    assert_eq!(*log.replay::<Door>(5).unwrap(), *door);
    log.take_snapshot(&mut door).unwrap();
    assert_eq!(*log.load::<Door>(5).unwrap(), *door);
    let seen = read(&mut log, Position::START).unwrap();
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|(_, item)| item.payload == [0]), "a badge is told: {seen:?}");
}

/// Whatever was going on when power failed, a local event that was acknowledged is there, once, in its place; one that was
/// not is there or not.
pub fn case_69_local_events_outlive_power_cuts<H: PowerCuts>(make: impl Fn() -> H) {
    for (after, step) in [(0, 1), (3, 2), (1, 5), (7, 3)] {
        let mut home = make();
        let mut scratch = [0; SCRATCH];
        drop(mounted(&mut home, &mut scratch));
        let (mut held, mut cuts, mut late) = (Vec::<Item>::new(), 0, after);
        for round in 0..90_u32 {
            let mut log = mounted(&mut home, &mut scratch);
            let found = stream(&mut log, 9);
            assert!(found.len() >= held.len(), "round {round}: {} of {} events are there", found.len(), held.len());
            assert_eq!(found[..held.len()], held, "round {round}");
            held = found;
            let is_local = |item: &Item| !item.version.0.is_multiple_of(4);
            let versions: Vec<_> = held.iter().map(|item| item.version.0).collect();
            assert_eq!(versions, (1..=held.len() as u32).collect::<Vec<_>>());
            let seen: Vec<_> = read(&mut log, Position::START).unwrap().into_iter().map(|(_, item)| item).collect();
            let told: Vec<_> = held.iter().filter(|item| !is_local(item)).cloned().collect();
            assert_eq!(seen, told, "round {round}");

            let next = held.len() as u32 + 1;
            let batch: Vec<_> =
                (next..next + 1 + round % 3).map(|version| item(9, version, [version as u8; 11])).collect();
            // Every third append is let through; the next mount finds that the stop was no clean one.
            home.cut_after(if round % 3 == 2 { 1_000_000 } else { late });
            let appended = append_some_locally(&mut log, &batch, is_local);
            drop(log);
            let cut = home.power_on();
            cuts += u32::from(cut);
            // Later and later, until the append is done before.
            late = if cut { late + step } else { 0 };
            assert!(appended.is_ok() || cut, "{appended:?}");
            if appended.is_ok() {
                held.extend(batch);
            }
        }
        assert!(cuts > 5 && held.len() > 20, "{cuts} cuts, {} events", held.len());
    }
}
