//! Group C: aggregates, versions, concurrency; and what is lost silently elsewhere.

use evenkeel_core::error::{AppendError, ExecuteError, LoadError};
use evenkeel_core::{
    Aggregate, Appended, Kind, Log, Position, Record, RecordManager, ReplayError, Root, StreamId, Version,
};

use crate::between::Between;
use crate::world::{Moon, Refused, Ruler, WORLD, What, World, WorldEvent, at};
use crate::{Home, SCRATCH, home, mounted, stream};

/// The world that was created, and had dinosaurs, trucks and the internet.
fn world<R: RecordManager>(log: &mut Log<'_, R>, events: usize) -> Root<World> {
    let mut world = Root::new(WORLD);
    log.execute(&mut world, |world: &World| world.create(at(0))).unwrap();
    for (tick, what) in (1..).zip([What::Dinosaurs, What::Trucks, What::Internet]).take(events - 1) {
        log.execute(&mut world, |world| world.make(at(tick), what)).unwrap();
    }
    world
}

/// Create → version 1; three commands → version 4; created and modified are the times of the first and the last event.
pub fn case_23_commands_raise_the_version_and_times_are_those_of_the_events<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = world(&mut log, 1);
    assert_eq!((world.version(), world.created, world.modified), (Version(1), at(0), at(0)));
    log.execute(&mut world, |world| world.make(at(5), What::Dinosaurs)).unwrap();
    log.execute(&mut world, |world| world.make(at(6), What::Trucks)).unwrap();
    log.execute(&mut world, |world| world.rule(at(9), Ruler::Money)).unwrap();
    assert_eq!((world.version(), world.created, world.modified), (Version(4), at(0), at(9)));
    assert_eq!(log.load::<World>(WORLD).unwrap(), world);
}

/// An event of another aggregate is refused, and one that is not the next is; the next one is taken in.
pub fn case_24_only_the_next_event_of_this_very_aggregate_is_applied<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    world(&mut log, 3);
    let mut twin = log.load_at::<World>(WORLD, Version(1)).unwrap();
    let before = twin.clone();
    let record = |version| Record {
        stream: StreamId(WORLD),
        kind: World::KIND,
        version: Version(version),
        schema: 0,
        position: None,
        payload: &[1, 1, 7, 0],
    };
    let other = Record { stream: StreamId(8), ..record(2) };
    assert_eq!(twin.replay(&other), Err(ReplayError::OtherStream));
    let wrong = ReplayError::WrongKind { expected: Kind(1), actual: Kind(2) };
    assert_eq!(twin.replay(&Record { kind: Kind(2), ..record(2) }), Err(wrong));
    for version in [1, 3] {
        let order = ReplayError::OutOfOrder { expected: Version(2), actual: Version(version) };
        assert_eq!(twin.replay(&record(version)), Err(order));
    }
    assert_eq!(twin, before);
    assert_eq!((twin.replay(&record(2)), twin.version(), twin.modified), (Ok(()), Version(2), at(7)));
}

/// Two copies loaded at version 1; one saves an event, the other saves two: a conflict, and there are 2 events in all.
pub fn case_25_the_second_of_two_writers_conflicts<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    world(&mut log, 1);
    let (mut one, mut two) = (log.load::<World>(WORLD).unwrap(), log.load::<World>(WORLD).unwrap());
    let before = two.clone();
    log.execute(&mut one, |world| world.make(at(1), What::Trucks)).unwrap();
    let both = |world: &World| {
        let more = world.rule(at(2), Ruler::Money)?;
        Ok::<_, Refused>(world.make(at(2), What::Internet)?.into_iter().chain(more))
    };
    let late = log.execute(&mut two, both);
    let (id, stood, stands) = (StreamId(WORLD), Version(1), Version(2));
    let conflict = matches!(&late, Err(ExecuteError::Log(AppendError::Conflict { stream, expected, actual }))
        if (*stream, *expected, *actual) == (id, stood, stands));
    assert!(conflict, "{late:?}");
    assert_eq!((&two, stream(&mut log, WORLD).len()), (&before, 2));
}

/// After it was loaded again the repeated command succeeds, at version 3.
pub fn case_27_a_reloaded_aggregate_takes_the_command_again<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut stale = world(&mut log, 1);
    let mut refreshed = stale.clone();
    log.execute(&mut stale.clone(), |world| world.make(at(1), What::Trucks)).unwrap();
    assert!(log.execute(&mut stale, |world| world.make(at(2), What::Internet)).is_err());
    stale = log.load(WORLD).unwrap();
    log.fast_forward(&mut refreshed).unwrap();
    assert_eq!(stale, refreshed);
    log.execute(&mut stale, |world| world.make(at(2), What::Internet)).unwrap();
    assert_eq!((stale.version(), stale.happened()), (Version(3), 2));
}

/// A command without events writes nothing.
pub fn case_28_a_command_without_events_writes_nothing<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = world(&mut log, 2);
    let before = (log.bounds(), world.clone());
    let nothing = log.execute(&mut world, |world| world.rule(at(9), Ruler::Gods)).unwrap();
    assert_eq!(nothing, Appended { first: Position(3), events: 0 });
    assert_eq!((log.bounds(), world), before);
}

/// One command that leads to 4 events on a new aggregate: none can be read before, all of them afterwards.
pub fn case_29_all_events_of_a_command_are_there_at_once<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = Root::<World>::new(WORLD);
    let all = [
        WorldEvent::Created(at(0), Ruler::Gods),
        WorldEvent::Happened(at(1), What::Dinosaurs),
        WorldEvent::Happened(at(2), What::Trucks),
        WorldEvent::Ruled(at(3), Ruler::Money),
    ];
    let refused = log.execute(&mut world, |_| Err::<[WorldEvent; 4], _>(Refused::Exists));
    assert!(matches!(refused, Err(ExecuteError::Refused(Refused::Exists))));
    assert_eq!((world.version(), log.contains::<World>(WORLD).unwrap()), (Version::NONE, false));
    let appended = log.execute(&mut world, |_| Ok::<_, Refused>(all)).unwrap();
    assert_eq!((appended.first, appended.events), (Position(1), 4));
    assert_eq!((world.version(), stream(&mut log, WORLD).len()), (Version(4), 4));
    assert_eq!(log.load::<World>(WORLD).unwrap(), world);
}

/// What was discarded is not found; it takes no command and no second discard, and cannot be created again.
pub fn case_30_what_was_discarded_is_not_found_and_stays_so<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = world(&mut log, 2);
    log.discard(&mut world).unwrap();
    let found = log.load::<World>(WORLD);
    assert!(matches!(&found, Err(error @ LoadError::Discarded { version: Version(3) }) if error.is_not_found()));
    assert!(matches!(log.load_or_new::<World>(WORLD), Err(LoadError::Discarded { .. })));
    assert!(!log.contains::<World>(WORLD).unwrap());
    let id = StreamId(WORLD);
    let discarded = |error: &AppendError<_>| matches!(error, AppendError::Discarded { stream } if *stream == id);
    let command = log.execute(&mut world, |world| world.make(at(9), What::Internet));
    assert!(matches!(&command, Err(ExecuteError::Log(error)) if discarded(error)), "{command:?}");
    let again = log.discard(&mut world);
    assert!(matches!(&again, Err(error) if discarded(error)), "{again:?}");
    let behind = log.append::<AppendError<_>>(|batch| {
        Ok(batch.event::<World>(id, Version(3), &WorldEvent::Happened(at(9), What::Trucks))?)
    });
    assert!(matches!(&behind, Err(error) if discarded(error)), "{behind:?}");
    let anew = log.execute(&mut Root::<World>::new(WORLD), |world| world.create(at(9)));
    let conflict =
        matches!(anew, Err(ExecuteError::Log(AppendError::Conflict { expected: Version(0), actual: Version(3), .. })));
    assert!(conflict, "{anew:?}");
    assert_eq!((log.bounds().next, stream(&mut log, WORLD).len()), (Position(4), 3));
}

/// After case 30 a version before the discard still has the old state.
pub fn case_31_versions_before_the_discard_can_be_loaded<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut world = world(&mut log, 4);
    log.execute(&mut world, |world| world.rule(at(4), Ruler::Money)).unwrap();
    let discarded = log.discard(&mut world).unwrap();
    let then = log.load_at::<World>(WORLD, Version(3)).unwrap();
    assert_eq!((then.happened(), then.ruler), (2, Some(Ruler::Gods)));
    let last = log.load_at::<World>(WORLD, Version(5)).unwrap();
    assert_eq!((last.happened(), last.ruler), (3, Some(Ruler::Money)));
    assert!(matches!(log.load_at::<World>(WORLD, Version(6)), Err(LoadError::Discarded { version: Version(6) })));
    assert!(matches!(log.load_at::<World>(WORLD, Version(7)), Err(LoadError::BeyondEnd { actual: Version(6) })));
    assert_eq!((discarded.first, log.bounds().next), (Position(6), Position(7)));
}

/// An id that is not known is not found, and never a new aggregate; one of another type is an error.
pub fn case_32_an_unknown_id_is_not_found<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert!(matches!(log.load::<World>(WORLD), Err(LoadError::NotFound)));
    world(&mut log, 1);
    assert!(matches!(log.load::<World>(WORLD + 1), Err(LoadError::NotFound)));
    assert!(matches!(log.load_at::<World>(WORLD, Version::NONE), Err(LoadError::NotFound)));
    let moon = log.load::<Moon>(WORLD);
    assert!(matches!(moon, Err(LoadError::WrongKind { expected: Kind(2), actual: Kind(1) })), "{moon:?}");
    let changed = log.execute(&mut Root::<Moon>::new(WORLD), |_| Ok::<_, Refused>([1]));
    assert!(matches!(changed, Err(ExecuteError::Log(AppendError::WrongKind { .. }))), "{changed:?}");
    assert!(!log.contains::<Moon>(WORLD).unwrap() && log.contains::<World>(WORLD).unwrap());
}

/// Five attempts at a command that always conflicts decide exactly 5 times, and the conflict is the answer.
pub fn case_34_a_command_that_always_conflicts_is_decided_as_often_as_allowed<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = home::mounted_manager(Between::new(home.open()), &mut scratch);
    let mut root = world(&mut log, 1);
    (log.records().overtaken, log.records().theirs) = (u32::MAX, &[2, 1, 3, 0]);
    let mut decided = 0;
    let outcome = log.execute_retrying(5, &mut root, |world| {
        decided += 1;
        world.make(at(1), What::Trucks)
    });
    assert!(matches!(outcome, Err(ExecuteError::Log(AppendError::Conflict { .. }))), "{outcome:?}");
    assert_eq!((decided, log.bounds().next), (5, Position(7)), "the others have come through");
    log.records().overtaken = 0;
    log.execute_retrying(5, &mut root, |world| world.make(at(1), What::Trucks)).unwrap();
    assert_eq!((root.version(), root.happened()), (Version(7), 1));
}

/// A stream whose first event is missing is a typed error when it is loaded.
pub fn case_35_a_stream_without_its_first_event_is_an_error<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = home::mounted_manager(Between::new(home.open()), &mut scratch);
    world(&mut log, 3);
    log.records().hidden = Version(1);
    let loaded = log.load::<World>(WORLD);
    assert!(matches!(loaded, Err(LoadError::Incomplete { after: Version::NONE })), "{loaded:?}");
    let at_end = log.load_at::<World>(WORLD, Version(1));
    assert!(matches!(at_end, Err(LoadError::Incomplete { after: Version::NONE })), "{at_end:?}");
}

/// Finding 8: in the Python library a batch with one event that is not of the application's type stores nothing, and says
/// nothing. Here what is appended is stored, whatever types it is of, and a lone discard is, too.
pub fn finding_08_nothing_is_left_out_of_a_batch_silently<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let (mut world, mut moon) = (Root::<World>::new(WORLD), Root::<Moon>::new(5));
    let appended = log
        .execute_all((&mut world, &mut moon), |(world, _)| {
            let more = WorldEvent::Happened(at(1), What::Trucks);
            Ok::<_, Refused>((world.create(at(0))?.into_iter().chain([more]), [3_u8]))
        })
        .unwrap();
    assert_eq!((appended.events, world.version(), moon.version()), (3, Version(2), Version(1)));
    assert_eq!(log.discard(&mut moon).unwrap().events, 1);
    assert_eq!((stream(&mut log, WORLD).len(), stream(&mut log, 5).len()), (2, 2));
    assert_eq!(log.bounds().next, Position(5));
}

/// Finding 9: in the Python library a failed save throws the pending events away, the aggregate keeps what it has done, and
/// saving again says that all is well. Here the aggregate is as it was, and the command stores what it says.
pub fn finding_09_a_failed_save_leaves_the_aggregate_as_it_was<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = home::mounted_manager(Between::new(home.open()), &mut scratch);
    let mut root = world(&mut log, 2);
    let before = root.clone();
    (log.records().overtaken, log.records().theirs) = (1, &[2, 1, 3, 0]);
    for _ in 0..2 {
        let failed = log.execute(&mut root, |world| world.make(at(7), What::Internet));
        assert!(matches!(failed, Err(ExecuteError::Log(AppendError::Conflict { .. }))), "{failed:?}");
        assert_eq!(root, before);
    }
    log.fast_forward(&mut root).unwrap();
    log.execute(&mut root, |world| world.make(at(7), What::Internet)).unwrap();
    assert_eq!((root.version(), root.happened()), (Version(4), 2));
    assert_eq!(log.load::<World>(WORLD).unwrap(), root);
}
