//! The event-sourcing line on a log in memory: decide, append, apply; load; react; project.

use evenkeel_core::batch::Op;
use evenkeel_core::error::{AppendError, ExecuteError, LoadError};
use evenkeel_core::section::{Section, SectionReader};
use evenkeel_core::{
    Aggregate, CodecError, Kind, Log, Policy, Position, Process, Projection, RamLog, Record, Root, Snapshot, StreamId,
    Tracker, Version,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum ValveEvent {
    Opened { by: u16 },
    Closed,
}

#[derive(Debug, PartialEq)]
enum Refused {
    AlreadyOpen,
    NotOpen,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Valve {
    open: bool,
    cycles: u32,
}

impl Aggregate for Valve {
    const KIND: Kind = Kind(1);
    type Event = ValveEvent;
    fn apply(&mut self, event: &ValveEvent) {
        match event {
            ValveEvent::Opened { .. } => self.open = true,
            ValveEvent::Closed => {
                self.open = false;
                self.cycles += 1;
            }
        }
    }
}

impl Snapshot for Valve {
    const SCHEMA: u8 = 1;
}

impl Valve {
    fn open(&self, by: u16) -> Result<[ValveEvent; 1], Refused> {
        if self.open { Err(Refused::AlreadyOpen) } else { Ok([ValveEvent::Opened { by }]) }
    }

    fn close(&self) -> Result<Vec<ValveEvent>, Refused> {
        if self.open { Ok(vec![ValveEvent::Closed]) } else { Err(Refused::NotOpen) }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Alarm {
    rings: u32,
}

impl Aggregate for Alarm {
    const KIND: Kind = Kind(2);
    type Event = u32;
    fn apply(&mut self, _: &u32) {
        self.rings += 1;
    }
}

impl Snapshot for Alarm {
    const SCHEMA: u8 = 1;
}

struct RingOnClose;

impl Policy for RingOnClose {
    const TRACKER: Tracker = Tracker(3);
    const CHECKPOINT: u32 = 4;
    type Target = Alarm;
    type Reaction = Option<u32>;
    fn react(&self, event: &Record<'_>, alarm: &Alarm) -> Result<Option<u32>, CodecError> {
        Ok(match event.event::<Valve>().transpose()? {
            Some(ValveEvent::Closed) => Some(alarm.rings),
            _ => None,
        })
    }
}

#[derive(Default)]
struct Openings(u32);

impl Projection for Openings {
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError> {
        if let Some(ValveEvent::Opened { .. }) = event.event::<Valve>().transpose()? {
            self.0 += 1;
        }
        Ok(())
    }
}

fn ram() -> RamLog<[u8; 2048], 4, 4> {
    RamLog::new([0; 2048])
}

#[test]
fn a_command_is_decided_appended_and_applied() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let mut valve = Root::<Valve>::new(7);
    let appended = log.execute(&mut valve, |valve| valve.open(1)).unwrap();
    assert_eq!((appended.first, appended.events), (Position(1), 1));
    assert!(valve.open && valve.version() == Version(1));
    assert_eq!(log.execute(&mut valve, |valve| valve.open(1)), Err(ExecuteError::Refused(Refused::AlreadyOpen)));
    log.execute(&mut valve, Valve::close).unwrap();
    assert_eq!(log.load::<Valve>(7).unwrap(), valve);
}

#[test]
fn a_stale_root_conflicts_and_a_retry_decides_again() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let mut one = Root::<Valve>::new(7);
    let mut two = one.clone();
    log.execute(&mut one, |valve| valve.open(1)).unwrap();
    let conflict = AppendError::Conflict { stream: StreamId(7), expected: Version(0), actual: Version(1) };
    assert_eq!(log.execute(&mut two, |valve| valve.open(2)), Err(ExecuteError::Log(conflict)));
    assert_eq!(two.version(), Version::NONE);
    let mut tries = 0;
    let outcome = log.execute_retrying(3, &mut two, |valve| {
        tries += 1;
        valve.open(2)
    });
    assert_eq!((outcome, tries), (Err(ExecuteError::Refused(Refused::AlreadyOpen)), 2));
    assert_eq!(log.bounds().last(), Position(1));
}

#[test]
fn unknown_and_wrongly_typed_streams_are_errors() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    assert_eq!(log.load::<Valve>(7), Err(LoadError::NotFound));
    log.execute(&mut Root::<Valve>::new(7), |valve| valve.open(1)).unwrap();
    assert_eq!(log.load::<Alarm>(7), Err(LoadError::WrongKind { expected: Kind(2), actual: Kind(1) }));
    let mut alarm = Root::<Alarm>::new(7);
    let refused = log.execute(&mut alarm, |_| Ok::<_, ()>([1]));
    assert!(matches!(refused, Err(ExecuteError::Log(AppendError::WrongKind { .. }))), "{refused:?}");
}

#[test]
fn a_batch_with_one_bad_entry_stores_nothing() {
    let mut scratch = [0; 512];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let before = log.records().used();
    let op = |version| Op::Event { stream: StreamId(1), kind: Kind(1), schema: 0, version: Version(version) };
    let gap = log.append::<AppendError<_>>(|batch| {
        batch.push(op(1), |_| Ok(0))?;
        batch.track(Tracker(1), Position(1))?;
        Ok(batch.push(op(3), |_| Ok(0))?)
    });
    assert!(matches!(gap, Err(AppendError::Gap { .. })), "{gap:?}");
    assert_eq!((log.records().used(), log.bounds().next, log.tracked(Tracker(1))), (before, Position(1), Position(0)));
}

#[test]
fn a_snapshot_starts_a_load_and_a_full_replay_agrees() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let mut valve = Root::<Valve>::new(7);
    for round in 0..5 {
        log.execute(&mut valve, |valve| valve.open(round)).unwrap();
        if round == 3 {
            log.take_snapshot(&mut valve).unwrap();
        }
        log.execute(&mut valve, Valve::close).unwrap();
        let (loaded, replayed) = (log.load::<Valve>(7).unwrap(), log.replay::<Valve>(7).unwrap());
        assert_eq!((&*loaded, loaded.version()), (&*replayed, replayed.version()));
        assert_eq!(*loaded, *valve);
    }
}

#[test]
fn a_policy_reacts_once_and_keeps_its_place_with_the_reaction() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let (mut valve, mut alarm) = (Root::<Valve>::new(7), Root::<Alarm>::new(8));
    for _ in 0..2 {
        log.execute(&mut valve, |valve| valve.open(1)).unwrap();
        log.execute(&mut valve, Valve::close).unwrap();
    }
    let mut ring = Process::new(RingOnClose);
    let done = log.process(&mut ring, &mut alarm).unwrap();
    assert_eq!((done.seen, done.reactions, alarm.rings), (4, 2, 2));
    assert_eq!(log.tracked(RingOnClose::TRACKER), Position(4));
    // Another run, and another process as after a reboot, see only what is new: the two reactions.
    let done = log.process(&mut ring, &mut alarm).unwrap();
    assert_eq!((done.seen, done.reactions), (2, 0));
    let done = log.process(&mut Process::new(RingOnClose), &mut alarm).unwrap();
    assert_eq!((done.seen, done.reactions, log.load::<Alarm>(8).unwrap().rings), (2, 0, 2));
}

#[test]
fn a_projection_catches_up_and_sections_carry_the_same_events() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let mut valve = Root::<Valve>::new(7);
    for round in 0..6 {
        log.execute(&mut valve, |valve| valve.open(round)).unwrap();
        log.execute(&mut valve, Valve::close).unwrap();
    }
    let mut openings = Openings::default();
    assert_eq!(log.catch_up(&mut openings, Position::START), Ok(Position(12)));
    assert_eq!(openings.0, 6);
    let (mut after, mut room, mut twin) = (Position::START, [0; 24], Root::<Valve>::new(7));
    while let Section::Events { first, count, bytes } = log.section(after, &mut room).unwrap() {
        assert_eq!(first, after.next());
        for record in SectionReader::new(first, bytes) {
            twin.replay(&record.unwrap()).unwrap();
        }
        after = after.plus(u64::from(count));
    }
    assert_eq!(*twin, *valve);
}

#[test]
fn too_small_a_scratch_buffer_is_a_typed_error_and_loses_nothing() {
    let mut scratch = [0; 16];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let mut valve = Root::<Valve>::new(7);
    let error = log.execute(&mut valve, |valve| valve.open(1));
    assert!(matches!(error, Err(ExecuteError::Log(AppendError::ScratchTooSmall { needed })) if needed > 16));
    assert_eq!((valve.version(), log.bounds().next), (Version::NONE, Position(1)));
}
