//! The log in memory, plain and sealed with a hash chain.

use std::time::Instant;

use evenkeel_core::error::AppendError;
use evenkeel_core::integrity::{Key, KeyId, Keys, Sealed, SignedBlake2s, SignedSha256, Suite};
use evenkeel_core::{Log, Notification, Position, RamLog, RecordManager, Root, StreamId, Tracker, Version};

use super::tally::{Counted, Tally};
use super::{Grown, place};
use crate::report::Report;

/// More than the most streams of any workload.
const STREAMS: usize = 2048;
/// Bytes that no event takes more than, sealed.
const MOST_BYTES: usize = 32;
/// Acknowledgements that are timed.
const MOST_ACKNOWLEDGED: u64 = 10_000;
/// At least so many events are timed before the best time counts.
const ENOUGH: u64 = 40_000;
/// Times are the best of so many at least.
const TIMES: u64 = 3;

type Ram = RamLog<Vec<u8>, STREAMS, 4>;
type Signed<S> = Sealed<Ram, Keys<1>, S>;

const SEEN: Tracker = Tracker(1);
const SESSIONS: Tracker = Tracker(2);

/// The plain log.
pub(super) const PLAIN: &str = "evenkeel";
/// The log with a chain of HMAC-SHA-256.
pub(super) const SHA256: &str = "evenkeel, signed and chained, SHA-256";
/// The log with a chain of BLAKE2s.
pub(super) const BLAKE2S: &str = "evenkeel, signed and chained, BLAKE2s";

fn ram(events: u64) -> Ram {
    RamLog::new(vec![0; (events as usize + 64) * MOST_BYTES])
}

fn signed<S: Suite>(events: u64) -> Signed<S> {
    Sealed::new(ram(events), Keys::new(KeyId::new(0), Key::from([7; 32])), SESSIONS)
}

/// All workloads over logs of this kind that have come to this size.
pub(super) fn run(system: &'static str, grown: Grown) -> Report {
    match system {
        PLAIN => timed(PLAIN, grown, ram, |records| records.used()),
        SHA256 => timed(SHA256, grown, signed::<SignedSha256>, |records| records.stored().used()),
        BLAKE2S => timed(BLAKE2S, grown, signed::<SignedBlake2s>, |records| records.stored().used()),
        other => panic!("no such log: {other}"),
    }
}

/// Bytes that such a log of this size takes for each event.
pub(super) fn stored_bytes(system: &'static str, grown: Grown) -> f64 {
    fn of<R: RecordManager>(grown: Grown, records: R, used: impl Fn(&mut R) -> usize) -> f64 {
        let mut scratch = [0; 512];
        let mut log = Log::mount(records, &mut scratch).expect("mounting");
        append_all(&mut log, grown);
        used(log.records()) as f64 / grown.events as f64
    }
    match system {
        PLAIN => of(grown, ram(grown.events), |records| records.used()),
        SHA256 => of(grown, signed::<SignedSha256>(grown.events), |records| records.stored().used()),
        BLAKE2S => of(grown, signed::<SignedBlake2s>(grown.events), |records| records.stored().used()),
        other => panic!("no such log: {other}"),
    }
}

/// Appends events without aggregates, the streams in turn.
fn append_all<R: RecordManager>(log: &mut Log<'_, R>, Grown { events, streams }: Grown) {
    for number in 0..events {
        let (stream, after) = (StreamId(number % streams + 1), Version((number / streams) as u32));
        let appended = log.append::<AppendError<_>>(|batch| Ok(batch.event::<Tally>(stream, after, &Counted::Up)?));
        appended.expect("room");
    }
}

/// Nanoseconds of the fastest of several rounds, each divided by what it did.
#[derive(Clone, Copy)]
struct Best(f64);

impl Best {
    fn take(&mut self, start: Instant, done: u64) {
        self.0 = self.0.min(start.elapsed().as_nanos() as f64 / done as f64);
    }
}

fn timed<R: RecordManager>(
    system: &'static str,
    grown: Grown,
    make: impl Fn(u64) -> R,
    used: impl Fn(&mut R) -> usize,
) -> Report {
    let Grown { events, streams } = grown;
    let [mut append, mut execute, mut acknowledge, mut replay, mut notifications, mut look_up] = [Best(f64::MAX); 6];
    let mut bytes = 0.0;
    for _ in 0..ENOUGH.div_ceil(events).max(TIMES) {
        let mut scratch = [0; 512];
        let mut log = Log::mount(make(events), &mut scratch).expect("mounting");
        let start = Instant::now();
        append_all(&mut log, grown);
        append.take(start, events);
        bytes = used(log.records()) as f64 / events as f64;
        drop(log);

        let mut log = Log::mount(make(events + 1), &mut scratch).expect("mounting");
        let mut roots: Vec<_> = (1..=streams).map(Root::<Tally>::new).collect();
        let start = Instant::now();
        for number in 0..events {
            log.execute(&mut roots[(number % streams) as usize], |tally| tally.count()).expect("room");
        }
        execute.take(start, events);

        let acknowledged = events.min(MOST_ACKNOWLEDGED);
        let start = Instant::now();
        for number in 1..=acknowledged {
            log.acknowledge(SEEN, Position(number * (events / acknowledged))).expect("room");
        }
        acknowledge.take(start, acknowledged);

        let start = Instant::now();
        let mut replayed = 0;
        for root in &roots {
            let twin = log.replay::<Tally>(root.id());
            replayed += twin.map_or(0, |twin| twin.events());
        }
        replay.take(start, events);
        assert_eq!(replayed, events, "replayed");

        let start = Instant::now();
        let mut at = Position::START;
        while let Some(Notification::Event(record)) = log.next_notification(at).expect("reading") {
            at = record.position.expect("a position");
        }
        notifications.take(start, events);
        assert_eq!(at, Position(events), "read");

        let looked_up = events.min(MOST_ACKNOWLEDGED);
        let start = Instant::now();
        for number in 0..looked_up {
            // A step that comes by all positions in an order that is none.
            let after = Position(number * 7919 % events);
            log.next_notification(after).expect("reading").expect("an event");
        }
        look_up.take(start, looked_up);
    }
    let mut report = Report::default();
    let mut add = |workload, metric, value| {
        report.take_in(Report::of(place(system, workload, grown), vec![(metric, value)]));
    };
    for (workload, best) in [
        ("append", append),
        ("execute", execute),
        ("acknowledge", acknowledge),
        ("replay", replay),
        ("notifications", notifications),
        ("look_up", look_up),
    ] {
        add(workload, "ns_per_event", best.0);
    }
    add("append", "stored_bytes_per_event", bytes);
    report
}
