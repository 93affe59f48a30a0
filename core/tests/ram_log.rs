//! The log in memory beside a plain list of what was appended: many streams, every way to read.

use evenkeel_core::batch::{Batch, BatchError, Op};
use evenkeel_core::error::{AppendError, HeldBy};
use evenkeel_core::{CodecError, Kind, Log, Notification, Position, RamLog, Record, StreamId, Version};

/// More streams than are likely to have hashes of their own.
const STREAMS: u64 = 300;

type Ram = RamLog<Vec<u8>, 300, 2>;

/// What was appended: stream, version, schema, position if it has one, payload; snapshots apart.
type Told = (u64, u32, u8, Option<u64>, Vec<u8>);

/// The next number of a sequence that looks like chance and is always the same.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn put(batch: &mut Batch<'_>, op: Op, local: bool, payload: &[u8]) -> Result<(), BatchError> {
    let write = |room: &mut [u8]| {
        room.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?.copy_from_slice(payload);
        Ok(payload.len())
    };
    if local { batch.push_local(op, write) } else { batch.push(op, write) }
}

fn told(record: &Record<'_>) -> Told {
    let position = record.position.map(|position| position.0);
    (record.stream.0, record.version.0, record.schema, position, record.payload.to_vec())
}

/// Appends `count` events of streams by chance, some of them local, and snapshots now and then.
fn filled<'b>(scratch: &'b mut [u8], count: u32) -> (Log<'b, Ram>, Vec<Told>, Vec<Told>) {
    let mut log = Log::mount(Ram::new(vec![0; 1 << 20]), scratch).unwrap();
    let (mut events, mut snapshots) = (Vec::new(), Vec::new());
    let (mut versions, mut next, mut state) = ([0; STREAMS as usize], 1, 7);
    for number in 0..count {
        let stream = draw(&mut state) % STREAMS;
        let index = stream as usize;
        let (kind, payload) = (Kind((stream % 7) as u8 + 1), vec![number as u8; (draw(&mut state) % 200) as usize]);
        let (schema, id) = ((draw(&mut state) % 3) as u8, StreamId(stream));
        if versions[index] > 0 && draw(&mut state).is_multiple_of(5) {
            let version = Version(versions[index]);
            let op = Op::Snapshot { stream: id, kind, schema, version };
            log.append::<AppendError<_>>(|batch| Ok(put(batch, op, false, &payload)?)).unwrap();
            snapshots.push((stream, version.0, schema, None, payload));
            continue;
        }
        versions[index] += 1;
        let local = draw(&mut state).is_multiple_of(6);
        let op = Op::Event { stream: id, kind, schema, version: Version(versions[index]) };
        log.append::<AppendError<_>>(|batch| Ok(put(batch, op, local, &payload)?)).unwrap();
        events.push((stream, versions[index], schema, (!local).then_some(next), payload));
        next += u64::from(!local);
    }
    (log, events, snapshots)
}

#[test]
fn every_event_is_found_by_version_and_by_position_in_any_order() {
    let mut scratch = [0; 512];
    let (mut log, events, _) = filled(&mut scratch, 4000);
    let with_position: Vec<_> = events.iter().filter(|event| event.3.is_some()).collect();
    assert_eq!(log.bounds().next, Position(with_position.len() as u64 + 1));
    let mut state = 99;
    for _ in 0..4000 {
        let event = &events[(draw(&mut state) % events.len() as u64) as usize];
        let found = log.next_event(event.0, Version(event.1 - 1)).unwrap().unwrap();
        assert_eq!(told(&found), *event);
        let event = with_position[(draw(&mut state) % with_position.len() as u64) as usize];
        let after = Position(event.3.unwrap() - 1);
        let Some(Notification::Event(found)) = log.next_notification(after).unwrap() else { panic!() };
        assert_eq!(told(&found), *event);
    }
    for stream in 0..STREAMS {
        let versions = events.iter().filter(|event| event.0 == stream).count() as u32;
        assert_eq!(log.head(stream).unwrap().map_or(0, |head| head.version.0), versions);
        assert!(log.next_event(stream, Version(versions)).unwrap().is_none());
    }
    assert!(log.head(STREAMS).unwrap().is_none());
}

#[test]
fn every_snapshot_is_found_from_every_version() {
    let mut scratch = [0; 512];
    let (mut log, events, snapshots) = filled(&mut scratch, 4000);
    for stream in 0..STREAMS {
        let versions = events.iter().filter(|event| event.0 == stream).count() as u32;
        for at_most in 0..=versions {
            let (records, scratch) = log.parts();
            let found =
                evenkeel_core::RecordManager::latest_snapshot(records, StreamId(stream), Version(at_most), scratch);
            let nearest = snapshots.iter().rev().find(|(of, version, ..)| *of == stream && *version <= at_most);
            assert_eq!(found.unwrap().as_ref().map(told).as_ref(), nearest, "stream {stream} up to {at_most}");
        }
    }
}

/// Its memory is used to the last byte that an event may need, and no event is lost or torn where it ends.
#[test]
fn a_memory_that_is_used_up_keeps_what_it_has() {
    for bytes in 60..200 {
        let mut scratch = [0; 128];
        let mut log = Log::mount(RamLog::<_, 4, 1>::new(vec![0; bytes]), &mut scratch).unwrap();
        let op = |version| Op::Event { stream: StreamId(7), kind: Kind(1), schema: 0, version: Version(version) };
        let mut stored = 0;
        let refused = loop {
            let payload = [stored as u8 + 1; 3];
            match log.append::<AppendError<_>>(|batch| Ok(put(batch, op(stored + 1), false, &payload)?)) {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, AppendError::Full { held_by: HeldBy::Policy });
        assert!(log.records().used() <= bytes && bytes - log.records().used() < 9 + 3 + 4, "{bytes}");
        for version in 1..=stored {
            let Some(Notification::Event(found)) = log.next_notification(Position(version as u64 - 1)).unwrap() else {
                panic!("position {version} is missing")
            };
            assert_eq!(told(&found), (7, version, 0, Some(version as u64), vec![version as u8; 3]));
        }
    }
}

#[test]
fn a_stream_more_than_the_table_holds_is_refused() {
    let mut scratch = [0; 128];
    let mut log = Log::mount(RamLog::<_, 3, 1>::new([0; 400]), &mut scratch).unwrap();
    let op = |stream| Op::Event { stream: StreamId(stream), kind: Kind(1), schema: 0, version: Version(1) };
    for stream in [0, u64::MAX, 1 << 40] {
        log.append::<AppendError<_>>(|batch| Ok(put(batch, op(stream), false, &[1])?)).unwrap();
    }
    let refused = log.append::<AppendError<_>>(|batch| Ok(put(batch, op(9), false, &[1])?));
    assert_eq!(refused, Err(AppendError::TableFull));
    assert_eq!(log.bounds().next, Position(4));
}
