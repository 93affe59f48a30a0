//! The calls of the log and of what reads it.

use evenkeel_core::archive::SectionSize;
use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::section::{Section, SectionReader};
use evenkeel_core::{
    Aggregate, Cache, CodecError, GapReason, Kind, Kinds, Log, Position, Projection, RamLog, Reader, Record,
    RecordManager, Root, Snapshot, StreamId, Trace, Tracker, Version, VersionRange,
};
use serde::{Deserialize, Serialize};

use super::{Steps, UPLINK};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum ValveEvent {
    Opened { by: u16 },
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    AlreadyOpen,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Valve {
    open: bool,
    cycles: u32,
}

impl Aggregate for Valve {
    const KIND: Kind = Kind(100);
    type Event = ValveEvent;

    fn apply(&mut self, event: &ValveEvent) {
        match event {
            ValveEvent::Opened { .. } => self.open = true,
            ValveEvent::Closed => (self.open, self.cycles) = (false, self.cycles.saturating_add(1)),
        }
    }
}

impl Snapshot for Valve {
    const SCHEMA: u8 = 1;
    const PERIOD: u32 = 2;
}

impl Valve {
    fn open(&self, by: u16) -> Result<[ValveEvent; 1], Refused> {
        if self.open { Err(Refused::AlreadyOpen) } else { Ok([ValveEvent::Opened { by }]) }
    }

    fn cycle(&self, by: u16) -> Result<[ValveEvent; 2], Refused> {
        if self.open { Err(Refused::AlreadyOpen) } else { Ok([ValveEvent::Opened { by }, ValveEvent::Closed]) }
    }
}

/// Counts what it sees.
#[derive(Default)]
struct Openings {
    openings: u32,
    lost: u64,
}

impl Projection for Openings {
    fn take_in(&mut self, record: &Record<'_>) -> Result<(), CodecError> {
        if let Some(ValveEvent::Opened { .. }) = record.event::<Valve>().transpose()? {
            self.openings = self.openings.saturating_add(1);
        }
        Ok(())
    }

    fn lost(&mut self, first: Position, last: Position, _: GapReason) {
        self.lost = self.lost.saturating_add(last.next().since(first));
    }
}

const FRONT: StreamId = StreamId(3);
const BACK: StreamId = StreamId(4);
const NAMED: StreamId = StreamId::named(Valve::KIND, b"bypass");

/// Everything; answers nothing if a step fails.
pub(super) fn every_call<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    commands(steps, log)?;
    loads(steps, log)?;
    snapshots(steps, log)?;
    streams(steps, log)?;
    notifications(steps, log)?;
    copies(steps, log)
}

#[inline(never)]
fn commands<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    let mut valve = Root::<Valve>::new(FRONT);
    let mut back = Root::<Valve>::new(BACK);
    steps.step("execute", log.execute(&mut valve, |valve| valve.cycle(7)))?;
    steps.check("refused", log.execute(&mut valve, |valve| valve.open(1)).is_ok())?;
    steps.check("refused", log.execute(&mut valve, |valve| valve.open(1)).is_err())?;
    steps.step("execute because", log.execute_because(Trace::from(Position(1)), &mut back, |valve| valve.cycle(8)))?;
    let mut stale = Root::<Valve>::new(BACK);
    steps.check("conflict", log.execute(&mut stale, |valve| valve.open(9)).is_err())?;
    steps.step("execute retrying", log.execute_retrying(3, &mut stale, |valve| valve.cycle(9)))?;
    steps.step("execute snapshotting", log.execute_snapshotting(&mut stale, |valve| valve.cycle(10)))?;
    let mut cache = Cache::<Valve, 2>::new();
    steps.step("execute cached", log.execute_cached(&mut cache, NAMED, |valve| valve.cycle(11)))?;
    steps.check("cached", cache.has(NAMED) && cache.len() == 1 && !cache.is_empty())?;
    steps.check("load cached", log.load_cached(&mut cache, NAMED).is_ok())?;
    cache.clear();
    let mut third = Root::<Valve>::new(StreamId(5));
    let both =
        log.execute_all((&mut stale, &mut third), |(one, other)| Ok::<_, Refused>((one.open(1)?, other.open(2)?)));
    steps.step("execute all", both)?;
    steps.step("execute last", log.execute_last(&mut third, |_| Ok::<_, Refused>([ValveEvent::Closed])))?;
    let mut fourth = Root::<Valve>::new(StreamId(6));
    steps.step("execute", log.execute(&mut fourth, |valve| valve.open(3)))?;
    steps.step("discard", log.discard(&mut fourth))?;
    steps.check("discarded", fourth.is_discarded() && log.execute(&mut fourth, |valve| valve.open(1)).is_err())?;
    let appended = log.append::<AppendError<R::Error>>(|batch| {
        let op = Op::Event { stream: StreamId(7), kind: Valve::KIND, schema: 0, version: Version(1) };
        batch.push_local(op, |out| evenkeel_core::codec::encode(&ValveEvent::Closed, out))?;
        batch.event::<Valve>(StreamId(8), Version::NONE, &ValveEvent::Opened { by: 12 })?;
        batch.snapshot::<Valve>(StreamId(8), Version(1), &Valve::default())?;
        batch.track(Tracker(5), Position(1))?;
        Ok(())
    });
    steps.step("append", appended)?;
    Some(())
}

#[inline(never)]
fn loads<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    let loaded = steps.step("load", log.load::<Valve>(FRONT))?;
    let replayed = steps.step("replay", log.replay::<Valve>(FRONT))?;
    steps.check("equal", loaded.id() == replayed.id() && *loaded == *replayed)?;
    steps.step("load at", log.load_at::<Valve>(FRONT, Version(1)))?;
    steps.check("new", log.load_or_new::<Valve>(StreamId(99)).is_ok_and(|root| root.version() == Version::NONE))?;
    steps.check("not found", log.load::<Valve>(StreamId(99)).is_err())?;
    steps.check("contains", log.contains::<Valve>(FRONT).unwrap_or(false))?;
    let mut behind = Root::<Valve>::new(FRONT);
    steps.step("fast forward", log.fast_forward(&mut behind))?;
    steps.check("head", log.head(FRONT).is_ok_and(|head| head.is_some_and(|head| head.version == behind.version())))?;
    steps.check("position", behind.position() > Position::START && behind.snapshot_version() <= behind.version())
}

#[inline(never)]
fn snapshots<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    let mut valve = steps.step("load", log.load::<Valve>(FRONT))?;
    steps.step("take snapshot", log.take_snapshot(&mut valve))?;
    steps.step("snapshot if due", log.snapshot_if_due(&mut valve))?;
    steps.step("snapshot", log.snapshot::<Valve>(FRONT))?;
    for _ in 0..64 {
        match steps.step("maintain", log.maintain::<(Valve,)>())? {
            evenkeel_core::Maintained::More => {}
            _ => return Some(()),
        }
    }
    None
}

#[inline(never)]
fn streams<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    steps.check("event", log.event(BACK, Version(1)).is_ok_and(|event| event.is_some()))?;
    steps.check("last event", log.last_event(BACK).is_ok_and(|event| event.is_some()))?;
    steps.check("next event", log.next_event(BACK, Version(1)).is_ok_and(|event| event.is_some()))?;
    for range in
        [VersionRange::ALL, VersionRange::ALL.descending().limit(2), VersionRange::ALL.gt(Version(1)).lte(Version(3))]
    {
        let mut events = steps.step("events", log.events(BACK, range))?;
        let mut count = 0_u32;
        while let Ok(Some(_)) = events.next_event() {
            count = count.saturating_add(1);
        }
        steps.check("events", count >= 2)?;
    }
    let mut room = [(StreamId(0), Kind(0)); 4];
    let listed = steps.step("streams", log.streams(None, Some(Valve::KIND), &mut room))?;
    steps.check("streams", listed.len() == 4)?;
    let last = log.last_version_where(BACK, |record| record.position.is_some_and(|at| at <= Position(5)));
    steps.step("last version where", last)?;
    Some(())
}

#[inline(never)]
fn notifications<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    let mut view = Openings::default();
    let seen = steps.step("catch up", log.catch_up(&mut view, Position::START))?;
    steps.check("openings", view.openings >= 6 && view.lost == 0 && seen == log.bounds().last())?;
    let mut reader = Reader::new(Position::START).of_kinds(Kinds::NONE.with(Valve::KIND)).up_to(Position(4));
    let mut read = 0_u32;
    while let Some(notification) = log.read(&mut reader).ok().flatten() {
        read = read.saturating_add(u32::from(notification.record().is_some()));
    }
    steps.check("read", read == 4)?;
    let mut out = [0; 128];
    let size = SectionSize::new(4)?;
    let id = steps.step("section id", size.section(Position(1), Position(4)))?;
    steps.step("archived", log.archived(id, &mut out))?;
    steps.check("parse", size.parse("1,4").is_ok() && id.view(log.bounds()).is_ok())?;
    steps.step("acknowledge", log.acknowledge(UPLINK, Position(2)))?;
    steps.check("tracked", log.tracked(UPLINK) == Position(2))?;
    steps.step("skip", log.skip(Tracker(6), Position(1)))?;
    Some(())
}

/// A copy of the log in memory.
#[inline(never)]
fn copies<R: RecordManager>(steps: &mut Steps, log: &mut Log<'_, R>) -> Option<()> {
    let mut scratch = [0; 256];
    let mut copy = steps.step("mount in memory", Log::mount(RamLog::<_, 8, 2>::new([0; 512]), &mut scratch))?;
    let mut out = [0; 40];
    // The stream of the eighth event is partly local, and cannot be copied.
    let section = steps.step("section", log.section(Position::START, &mut out))?;
    steps.step("replicate", copy.replicate(&section))?;
    if let Section::Events { first, bytes, .. } = section {
        for event in SectionReader::new(first, bytes).flatten() {
            steps.step("replicate event", copy.replicate_event(&event))?;
        }
    }
    let follows = copy.bounds().last() > Position::START;
    steps.check("copied", follows)
}
