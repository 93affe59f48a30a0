//! Group I: processes and what keeps them exactly once.

use evenkeel_core::batch::Op;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::process::{Causality, Horizon, LogName, ProcessError, ReactError, Received, ReceivedError};
use evenkeel_core::section::Section;
use evenkeel_core::{
    Aggregate, CodecError, Follower, Kind, Log, Position, ProcessManager, RamLog, Reaction, Record, RecordManager,
    Root, Snapshot, StreamId, Tracker, Version,
};
use serde::{Deserialize, Serialize};

use crate::meters::{BELL, Bell, METER, Meter, RING, Ring, TALLY, record, rung};
use crate::{Home, SCRATCH, item, mounted, read, stream};

/// Everything in one call.
const ALL: u32 = u32::MAX;

/// A log beside the one under test, to be followed.
fn elsewhere(scratch: &mut [u8]) -> Log<'_, RamLog<Vec<u8>>> {
    Log::mount(RamLog::new(vec![0; 1 << 16]), scratch).unwrap()
}

/// Recording that notification 10 was dealt with when only 2 was would silently pass over 3 to 9.
pub fn finding_07_a_tracker_accepts_its_next_position_or_an_explicit_stretch<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    log.append(|batch| batch.track(RING, Position(1))).unwrap();
    log.append(|batch| batch.track(RING, Position(2))).unwrap();
    for position in [10, 4, 2, 1] {
        let refused = log.append(|batch| batch.track(RING, Position(position)));
        assert!(
            matches!(refused, Err(AppendError::Tracking { tracker: RING, at: Position(2), after, to })
                if after.next() == to && to == Position(position)),
            "{refused:?}"
        );
    }
    assert_eq!(log.tracked(RING), Position(2));
    log.append(|batch| batch.track_from(RING, Position(2), Position(10))).unwrap();
    log.skip(RING, Position(12)).unwrap();
    assert_eq!(log.tracked(RING), Position(12));
    let back = log.skip(RING, Position(11));
    assert!(matches!(back, Err(AppendError::Tracking { at: Position(12), .. })), "{back:?}");
}

/// That a notification was dealt with already is found before any event of its reaction is stored.
pub fn finding_05_a_duplicate_leaves_nothing_of_its_reaction_behind<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut react = |version: u32, track_first: bool| {
        log.append::<AppendError<_>>(|batch| {
            let op = Op::Event { stream: BELL, kind: Kind(1), schema: 0, version: Version(version) };
            if track_first {
                batch.track(RING, Position(1))?;
            }
            batch.push(op, |_| Ok(0))?;
            if !track_first {
                batch.track(RING, Position(1))?;
            }
            Ok(())
        })
    };
    react(1, false).unwrap();
    for track_first in [false, true] {
        let again = react(2, track_first);
        assert!(matches!(again, Err(AppendError::Tracking { at: Position(1), .. })), "{again:?}");
    }
    assert_eq!(stream(&mut log, BELL.0), [item(BELL.0, 1, "")]);
    assert_eq!(read(&mut log, Position::START).unwrap().len(), 1);
}

/// An aggregate that moves on, and then has a second one created.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Walker {
    created: bool,
    moved: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Walked {
    Created { first: bool },
    Moved,
}

impl Aggregate for Walker {
    const KIND: Kind = Kind(7);
    type Event = Walked;

    fn apply(&mut self, event: &Walked) {
        match event {
            Walked::Created { .. } => self.created = true,
            Walked::Moved => self.moved = true,
        }
    }
}

impl Snapshot for Walker {
    const SCHEMA: u8 = 1;
}

struct MoveOn;

impl ProcessManager for MoveOn {
    const TRACKER: Tracker = Tracker(3);
    const FOLLOWS: &'static [Kind] = &[Walker::KIND];
    const TRACED: bool = true;
    type Trigger = StreamId;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<StreamId>, CodecError> {
        let created = matches!(event.event::<Walker>().transpose()?, Some(Walked::Created { first: true }));
        Ok(created.then_some(event.stream))
    }

    fn react<R: RecordManager>(
        &self,
        first: StreamId,
        reaction: &mut Reaction<'_, R>,
    ) -> Result<(), ReactError<R::Error>> {
        let root = reaction.load::<Walker>(first)?;
        reaction.trigger(&root, [Walked::Moved])?;
        assert!(reaction.load::<Walker>(first)?.moved, "what was added is seen within the reaction");
        reaction.trigger(&Root::<Walker>::new(first.0 + 1), [Walked::Created { first: false }])?;
        Ok(())
    }
}

/// Given an application that follows itself with the policy "on Created, move on and create a second", after one run the
/// aggregate has moved on and the second exists, in the order of triggering; the next run deals with the new events alone.
pub fn case_83_an_application_that_follows_itself<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    log.execute(&mut Root::<Walker>::new(40), |_| Ok::<_, ()>([Walked::Created { first: true }])).unwrap();
    let mut follower = Follower::new(MoveOn);
    let done = log.run(&mut follower, ALL).unwrap();
    assert_eq!((done.seen, done.reactions), (1, 2));
    assert_eq!(*log.load::<Walker>(40).unwrap(), Walker { created: true, moved: true });
    assert_eq!(*log.load::<Walker>(41).unwrap(), Walker { created: true, moved: false });
    let streams: Vec<_> = read(&mut log, Position(1)).unwrap().into_iter().map(|(_, item)| item.stream.0).collect();
    assert_eq!(streams, [40, 41], "in the order of triggering");
    for after in [1, 2] {
        let next = log.next_notification(Position(after)).unwrap().unwrap();
        assert_eq!(next.record().unwrap().trace(), Some(Position(1).into()), "what it is a consequence of");
    }
    let done = log.run(&mut follower, ALL).unwrap();
    assert_eq!((done.seen, done.reactions), (2, 0));
}

/// Given two events upstream, of which the policy reacts to the first, the tracker stands at 2 and there is one reaction;
/// the second run finds nothing.
pub fn case_84_the_reading_place_moves_on_without_a_reaction<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch, mut room) = (make(), [0; SCRATCH], [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut upstream = elsewhere(&mut room);
    record(&mut upstream, &[9, 1]);
    let mut follower = Follower::new(Ring { above: 5, ..Ring::default() });
    let done = log.follow(&mut follower, &mut upstream, ALL).unwrap();
    assert_eq!((done.seen, done.reactions, follower.seen()), (2, 2, Some(Position(2))));
    assert_eq!((rung(&mut log, BELL), rung(&mut log, TALLY)), (vec![9], vec![1]));
    // Without a reaction the place is stored at a checkpoint, when asked to, or not yet.
    assert_eq!(log.tracked(RING), Position(1));
    log.checkpoint(&mut follower).unwrap();
    assert_eq!(log.tracked(RING), Position(2));
    let done = log.follow(&mut follower, &mut upstream, ALL).unwrap();
    assert_eq!((done.seen, done.reactions), (0, 0));
    record(&mut upstream, &[1, 1, 1, 1, 1]);
    log.follow(&mut follower, &mut upstream, ALL).unwrap();
    assert_eq!((log.tracked(RING), follower.seen()), (Position(6), Some(Position(7))), "every 4 events");
    assert_eq!(log.bounds().last(), Position(2), "reading places are no events");
}

/// Dealing with notification 1 once more is refused, and there is still one reaction.
pub fn case_85_a_notification_dealt_with_twice_conflicts<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch, mut room) = (make(), [0; SCRATCH], [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut upstream = elsewhere(&mut room);
    let (mut one, mut two) = (Follower::new(Ring::default()), Follower::new(Ring::default()));
    // Both have looked, and both believe that nothing has been dealt with.
    for follower in [&mut one, &mut two] {
        assert_eq!(log.follow(follower, &mut upstream, ALL).unwrap().seen, 0);
    }
    record(&mut upstream, &[3]);
    assert_eq!(log.follow(&mut one, &mut upstream, ALL).unwrap().reactions, 2);
    let again = log.follow(&mut two, &mut upstream, ALL);
    assert!(
        matches!(again, Err(ProcessError::Append(AppendError::Tracking { after: Position(0), at: Position(1), .. }))),
        "{again:?}"
    );
    assert_eq!((rung(&mut log, BELL), log.bounds().last()), (vec![3], Position(2)));
    // It takes its place from the log, and goes on.
    record(&mut upstream, &[4]);
    assert_eq!(log.follow(&mut two, &mut upstream, ALL).unwrap().seen, 1);
    assert_eq!(rung(&mut log, BELL), [3, 4]);
}

/// A policy that fails stores nothing; its next run starts from where its tracker stands.
pub fn case_87_a_policy_that_fails_stores_nothing_and_starts_from_its_tracker<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    record(&mut log, &[9, 1, 1, 8, 7]);
    let mut follower = Follower::new(Ring { above: 5, ..Ring::default() });
    follower.manager().fails_for.set(Some(8));
    for _ in 0..2 {
        let failed = log.run(&mut follower, ALL);
        assert!(
            matches!(failed, Err(ProcessError::React { at: Position(4), error: ReactError::Failed { code: 8 } })),
            "{failed:?}"
        );
        assert_eq!((follower.seen(), log.tracked(RING)), (None, Position(1)));
        assert_eq!((rung(&mut log, BELL), rung(&mut log, TALLY)), (vec![9], vec![1]));
    }
    assert_eq!(follower.manager().asked.get(), 3, "the first event once, the one that fails twice");
    follower.manager().fails_for.set(None);
    let done = log.run(&mut follower, 4).unwrap();
    assert_eq!((done.seen, done.reactions), (4, 4), "from 2 on, and no more than 4 in this call");
    assert_eq!((rung(&mut log, BELL), log.tracked(RING)), (vec![9, 8, 7], Position(5)));
    // One that always fails is passed over on purpose only.
    record(&mut log, &[8, 6]);
    let at = log.bounds().last().previous();
    follower.manager().fails_for.set(Some(8));
    assert!(matches!(log.run(&mut follower, ALL), Err(ProcessError::React { at: a, .. }) if a == at));
    log.skip(RING, at).unwrap();
    let mut follower = Follower::new(Ring { above: 5, ..Ring::default() });
    log.run(&mut follower, ALL).unwrap();
    assert_eq!(rung(&mut log, BELL), [9, 8, 7, 6]);
}

/// The kind of the streams that say what depends on what.
const SAW: u8 = 99;
const ONE: LogName = LogName(0x5EED_0001);
const TWO: LogName = LogName(0x5EED_0002);

/// Given an event in log 1, changed by a policy in log 2: the first event there carries the dependency on log 1 at 1, the
/// second none. Who follows both and comes to log 2 first fails with a dependency and stores nothing; after log 1 it
/// succeeds.
pub fn case_88_what_depends_on_another_log_waits_for_it<H: Home>(make: impl Fn() -> H) {
    let two_causality = Causality { kind: Kind(SAW), stream: StreamId(90), trackers: &[(ONE, RING)] };
    let (mut room, mut two_home, mut two_room) = ([0; SCRATCH], make(), [0; SCRATCH]);
    let mut one = elsewhere(&mut room);
    let mut two = mounted(&mut two_home, &mut two_room);
    record(&mut one, &[1]);
    let mut ring = Follower::new(Ring::default());
    two.follow_causally(&mut ring, &mut one, ALL, ONE, &two_causality).unwrap();
    let mut bell = two.load::<Bell>(BELL).unwrap();
    two.execute(&mut bell, |_| Ok::<_, ()>([5])).unwrap();
    // What one event in log 1 has led to in log 2: that it was seen, and then both bells.
    let kinds: Vec<_> = read(&mut two, Position::START).unwrap().iter().map(|(_, item)| item.kind.0).collect();
    assert_eq!(kinds, [SAW, 2, 2, 2]);
    let vector = two.load::<Horizon<SAW, 4>>(90).unwrap();
    assert_eq!(vector.iter().collect::<Vec<_>>(), [(ONE, Position(1))]);

    const BOTH: &[(LogName, Tracker)] = &[(ONE, Tracker(4)), (TWO, Tracker(5))];
    let causality = Causality { kind: Kind(SAW), stream: StreamId(91), trackers: BOTH };
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let (mut first, mut second) =
        (Follower::under(Tracker(4), Echo(Meter::KIND)), Follower::under(Tracker(5), Echo(Bell::KIND)));
    let early = log.follow_causally(&mut second, &mut two, ALL, TWO, &causality);
    let (needed, seen) = (Position(1), Position(0));
    assert!(
        matches!(early, Err(ProcessError::Dependency { at: Position(1), log: ONE, needed: n, seen: s })
            if (n, s) == (needed, seen)),
        "{early:?}"
    );
    assert_eq!((log.bounds().last(), log.tracked(Tracker(5))), (Position(0), Position(0)));
    let done = log.follow_causally(&mut first, &mut one, ALL, ONE, &causality).unwrap();
    assert_eq!(done.reactions, 1);
    let done = log.follow_causally(&mut second, &mut two, ALL, TWO, &causality).unwrap();
    assert_eq!((done.seen, done.reactions), (4, 3));
    let vector = log.load::<Horizon<SAW, 4>>(91).unwrap();
    assert_eq!((vector.seen(ONE), vector.seen(TWO)), (Position(1), Position(4)));
}

/// Writes into a meter of its own what it reads of one kind.
struct Echo(Kind);

impl ProcessManager for Echo {
    const TRACKER: Tracker = Tracker(4);
    const FOLLOWS: &'static [Kind] = &[Meter::KIND, Bell::KIND];
    type Trigger = ();

    fn trigger(&self, event: &Record<'_>) -> Result<Option<()>, CodecError> {
        Ok((event.kind == self.0).then_some(()))
    }

    fn react<R: RecordManager>(&self, (): (), reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
        let _ = reaction.execute::<Meter, _, ()>(METER, |_| Ok([1]))?;
        Ok(())
    }
}

/// Sections of another log, as they arrive: in pieces that overlap and come twice, with one missing for a while.
pub fn a_log_is_followed_through_the_sections_that_arrive<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch, mut room) = (make(), [0; SCRATCH], [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut upstream = elsewhere(&mut room);
    record(&mut upstream, &[1, 2, 3, 4, 5, 6, 7]);
    let mut piece = |after: u64, most: usize| {
        let mut bytes = vec![0; most];
        match upstream.section(Position(after), &mut bytes).unwrap() {
            Section::Events { first, bytes, .. } => (first, bytes.to_vec()),
            other => panic!("{other:?}"),
        }
    };
    let pieces = [piece(0, 8), piece(1, 8), piece(0, 8), piece(6, 8), piece(2, 512), piece(5, 8)];
    let mut follower = Follower::new(Ring::default());
    let mut missing = 0;
    for (first, bytes) in &pieces {
        let outcome = log.follow(&mut follower, &mut Received::new(*first, bytes), ALL);
        match outcome {
            Ok(_) => {}
            Err(ProcessError::Upstream(ReceivedError::Missing(before))) => {
                assert_eq!(before.0, *first);
                missing += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((rung(&mut log, BELL), missing), (vec![1, 2, 3, 4, 5, 6, 7], 1));
    // Bytes that are no section are no end of it.
    record(&mut upstream, &[8]);
    let (first, mut bytes) = (Position(8), vec![3, 3, 3]);
    bytes.push(1);
    let broken = log.follow(&mut follower, &mut Received::new(first, &bytes), ALL);
    assert!(matches!(broken, Err(ProcessError::Upstream(ReceivedError::Malformed(_)))), "{broken:?}");
    assert_eq!(log.tracked(RING), Position(7));
}

/// A tracker that is beyond the end of the log that is followed knows of more than there is: the log has lost its end,
/// or is another one.
pub fn a_log_that_is_behind_its_follower_is_told<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch, mut room) = (make(), [0; SCRATCH], [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    log.skip(RING, Position(3)).unwrap();
    let mut upstream = elsewhere(&mut room);
    record(&mut upstream, &[9]);
    let mut follower = Follower::new(Ring::default());
    let ahead = log.follow(&mut follower, &mut upstream, ALL);
    assert!(matches!(ahead, Err(ProcessError::Upstream(ReadError::BeyondEnd { next: Position(2) }))), "{ahead:?}");
    assert_eq!(rung(&mut log, BELL), []);
}
