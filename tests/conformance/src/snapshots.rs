//! Group E: snapshots.

use evenkeel_core::batch::Op;
use evenkeel_core::error::{AppendError, LoadError};
use evenkeel_core::{Aggregate, CodecError, Kind, Log, RecordManager, Root, StreamId, Version};

use crate::between::Between;
use crate::world::{Refused, Ruler, WORLD, What, World, WorldEvent, at};
use crate::{Home, SCRATCH, home, mounted};

/// The event with which the world gets this version.
fn event(version: u32) -> WorldEvent {
    let moment = at(u64::from(version));
    match version {
        1 => WorldEvent::Created(moment, Ruler::Gods),
        version if version.is_multiple_of(3) => WorldEvent::Ruled(moment, Ruler::Money),
        _ => WorldEvent::Happened(moment, What::Trucks),
    }
}

/// The state at this version.
fn state(version: u32) -> World {
    let mut state = World::default();
    (1..=version).for_each(|version| state.apply(&event(version)));
    state
}

/// A world with events up to a version, without snapshots.
fn grown<R: RecordManager>(log: &mut Log<'_, R>, version: u32) -> Root<World> {
    let mut world = Root::new(WORLD);
    (1..=version).for_each(|version| grow(log, &mut world, version));
    world
}

fn grow<R: RecordManager>(log: &mut Log<'_, R>, world: &mut Root<World>, version: u32) {
    log.execute(world, |_| Ok::<_, Refused>([event(version)])).unwrap();
}

/// The version of the newest snapshot up to a version.
fn newest<R: RecordManager>(log: &mut Log<'_, R>, at_most: u32) -> Option<u32> {
    let (records, scratch) = log.parts();
    let found = records.latest_snapshot(StreamId(WORLD), Version(at_most), scratch).unwrap();
    found.map(|record| record.version.0)
}

/// Period 2: no snapshot after event 1; at version 2 after event 2; at 4 after events 3, 4, 5; at 6 after 6 and 7.
pub fn case_51_a_snapshot_is_taken_each_period<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = Root::<World>::new(WORLD);
    let mut seen = Vec::new();
    for version in 1..=7 {
        log.execute_snapshotting(&mut world, |_| Ok::<_, Refused>([event(version)])).unwrap();
        seen.push(newest(&mut log, u32::MAX).unwrap_or(0));
    }
    assert_eq!(seen, [0, 2, 2, 4, 4, 6, 6]);
}

/// The snapshot at or below version 3 is that at 2; below 2 there is none.
pub fn case_52_the_nearest_snapshot_is_found<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(newest(&mut log, u32::MAX), None);
    let mut world = Root::<World>::new(WORLD);
    for version in 1..=5 {
        log.execute_snapshotting(&mut world, |_| Ok::<_, Refused>([event(version)])).unwrap();
    }
    assert_eq!([1, 2, 3, 4, 5].map(|at_most| newest(&mut log, at_most)), [None, Some(2), Some(2), Some(4), Some(4)]);
}

/// A snapshot taken twice without new events is the same one; of an unknown aggregate there is none.
pub fn case_53_a_snapshot_of_the_same_version_is_taken_once<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(log.snapshot::<World>(WORLD).unwrap(), None);
    let mut world = grown(&mut log, 3);
    assert_eq!((log.take_snapshot(&mut world).unwrap(), log.take_snapshot(&mut world).unwrap()), (true, false));
    assert_eq!(log.snapshot::<World>(WORLD).unwrap(), Some(Version(3)));
    assert!(!log.take_snapshot(&mut Root::<World>::new(WORLD + 1)).unwrap());
    grow(&mut log, &mut world, 4);
    assert_eq!(log.snapshot::<World>(WORLD).unwrap(), Some(Version(4)));
}

/// A snapshot and the events after it give the state of a full replay, at every version.
pub fn case_54_a_snapshot_and_later_events_equal_a_full_replay<H: Home>(make: impl Fn() -> H) {
    for taken in 1..=7 {
        let (mut home, mut scratch) = (make(), [0; SCRATCH]);
        let mut log = mounted(&mut home, &mut scratch);
        let mut world = grown(&mut log, taken);
        log.take_snapshot(&mut world).unwrap();
        (taken + 1..=8).for_each(|version| grow(&mut log, &mut world, version));
        for version in 1..=8 {
            let loaded = log.load_at::<World>(WORLD, Version(version)).unwrap();
            assert_eq!((loaded.version(), &*loaded), (Version(version), &state(version)));
            let from = if version < taken { Version::NONE } else { Version(taken) };
            assert_eq!(loaded.snapshot_version(), from);
        }
        let (loaded, replayed) = (log.load::<World>(WORLD).unwrap(), log.replay::<World>(WORLD).unwrap());
        assert_eq!((&loaded, &loaded), (&replayed, &world));
    }
}

/// Events up to version 2 are gone, the snapshot at 2 and event 3 are there: 1 cannot be loaded, 2 and 3 can.
pub fn case_55_what_a_snapshot_stands_for_may_be_gone<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = home::mounted_manager(Between::new(home.open()), &mut scratch);
    let mut world = grown(&mut log, 2);
    log.take_snapshot(&mut world).unwrap();
    grow(&mut log, &mut world, 3);
    log.records().hidden = Version(2);
    let gone = log.load_at::<World>(WORLD, Version(1));
    assert!(matches!(gone, Err(LoadError::Trimmed { first: Version(2) })), "{gone:?}");
    for version in [2, 3] {
        assert_eq!(*log.load_at::<World>(WORLD, Version(version)).unwrap(), state(version));
    }
    assert_eq!(*log.load::<World>(WORLD).unwrap(), state(3));
    let replayed = log.replay::<World>(WORLD);
    assert!(matches!(replayed, Err(LoadError::Trimmed { first: Version(2) })), "{replayed:?}");
}

/// A discarded aggregate has no snapshot of its end, also where one would be due, and is not found.
pub fn case_56_what_was_discarded_has_no_state_to_be_stored<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = grown(&mut log, 7);
    log.discard(&mut world).unwrap();
    assert!(!log.snapshot_if_due(&mut world).unwrap());
    assert!(matches!(log.take_snapshot(&mut world), Err(AppendError::Discarded { .. })));
    let forced = log.append::<AppendError<_>>(|batch| {
        Ok(batch.snapshot::<World>(StreamId(WORLD), Version(8), &World::default())?)
    });
    assert!(matches!(forced, Err(AppendError::Discarded { .. })), "{forced:?}");
    assert_eq!((newest(&mut log, u32::MAX), log.snapshot::<World>(WORLD).unwrap()), (None, None));
    assert!(matches!(log.load::<World>(WORLD), Err(LoadError::Discarded { version: Version(8) })));
}

/// A batch of 5 events, period 2: exactly one snapshot, at version 5.
pub fn case_57_a_batch_that_passes_several_periods_has_one_snapshot<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = Root::<World>::new(WORLD);
    log.execute_snapshotting(&mut world, |_| Ok::<_, Refused>((1..=5).map(event))).unwrap();
    assert_eq!((newest(&mut log, 5), newest(&mut log, 4)), (Some(5), None));
    assert_eq!(log.load::<World>(WORLD).unwrap().snapshot_version(), Version(5));
}

/// A version older than every snapshot is replayed from the first event on.
pub fn case_59_a_version_before_every_snapshot_is_replayed<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = grown(&mut log, 6);
    log.take_snapshot(&mut world).unwrap();
    let loaded = log.load_at::<World>(WORLD, Version(4)).unwrap();
    assert_eq!((loaded.snapshot_version(), &*loaded), (Version::NONE, &state(4)));
}

/// A snapshot that cannot be read is passed over, for an older one or the events, and told when it is all there is.
pub fn snapshot_that_cannot_be_read_is_passed_over<H: Home>(make: impl Fn() -> H) {
    for (schema, payload, expected) in [
        (7, &[0][..], CodecError::UnknownSchema),
        (1, &[1, 9][..], CodecError::Malformed),
        (1, &[0; 14][..], CodecError::Leftover),
    ] {
        let (mut home, mut scratch) = (make(), [0; SCRATCH]);
        let mut log = home::mounted_manager(Between::new(home.open()), &mut scratch);
        let mut world = grown(&mut log, 2);
        let older = schema == 7;
        if older {
            log.take_snapshot(&mut world).unwrap();
        }
        (3..=5).for_each(|version| grow(&mut log, &mut world, version));
        log.append::<AppendError<_>>(|batch| {
            let op = Op::Snapshot { stream: StreamId(WORLD), kind: Kind(1), schema, version: Version(5) };
            Ok(batch.push(op, |room| {
                room.get_mut(..payload.len()).unwrap_or_default().copy_from_slice(payload);
                Ok(payload.len())
            })?)
        })
        .unwrap();
        assert_eq!(*log.load::<World>(WORLD).unwrap(), state(5));
        log.records().hidden = Version(2);
        let loaded = log.load::<World>(WORLD);
        match loaded {
            Ok(loaded) => assert_eq!((older, &*loaded), (true, &state(5))),
            Err(LoadError::Snapshot { version: Version(5), schema: told, error }) => {
                assert_eq!((older, told, error), (false, schema, expected));
            }
            other => panic!("{other:?}"),
        }
    }
}
