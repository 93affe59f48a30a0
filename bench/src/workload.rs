//! The work that every system does, and what is counted in it.

use crate::flash::{Counters, CountingFlash};
use crate::system::{Event, System};

/// Upkeep is given a chance after so many events.
const UPKEEP_EVERY: u64 = 8;
/// All events so far are said to be seen after so many events.
const SEEN_EVERY: u64 = 256;
/// Bytes of scratch for single appends and for reading.
const SCRATCH: usize = 256;
/// Bytes of scratch for batches.
const BATCH_SCRATCH: usize = 2048;

/// What is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Number of sectors.
    pub sectors: usize,
    /// Bytes of each payload.
    pub payload: usize,
    /// Number of streams, which take turns.
    pub streams: u16,
    /// Events in one call of append.
    pub batch: u64,
}

/// Counted figures with their names.
pub type Figures = Vec<(&'static str, f64)>;

/// A source of events that takes turns between streams.
struct Source {
    work: Work,
    calls: u64,
}

impl Source {
    fn new(work: Work) -> Self {
        Self { work, calls: 0 }
    }

    /// The next call of append.
    fn append<const WORD: usize>(&mut self, system: &mut impl System<WORD>) {
        let Work { payload, streams, batch, .. } = self.work;
        let numbers = self.calls * batch..(self.calls + 1) * batch;
        let payloads: Vec<Vec<u8>> = numbers.clone().map(|number| content(number, payload)).collect();
        let events: Vec<_> = (numbers.zip(&payloads))
            .map(|(number, payload)| Event {
                stream: (streams > 1).then_some((number % u64::from(streams)) as u16),
                version: (number / u64::from(streams)) as u32 + 1,
                payload,
            })
            .collect();
        system.append(&events);
        self.calls += 1;
    }

    /// What an application does when it has time.
    fn idle<const WORD: usize>(&self, system: &mut impl System<WORD>) {
        let events = self.calls * self.work.batch;
        if events.is_multiple_of(SEEN_EVERY) {
            system.all_seen();
        }
        if events.is_multiple_of(UPKEEP_EVERY) {
            system.upkeep();
        }
    }

    /// Appends until so many sectors have been erased.
    fn fill<const WORD: usize>(&mut self, system: &mut impl System<WORD>, flash: &CountingFlash<WORD>, erases: usize) {
        while flash.counters().erases < erases as u64 {
            self.append(system);
            self.idle(system);
        }
    }
}

/// Bytes that differ from event to event.
fn content(number: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (number.wrapping_mul(31).wrapping_add(at.wrapping_mul(7)) % 251) as u8).collect()
}

/// Appends `events` events to a store that is all but full: the oldest give way. All that is written counts, be it
/// events, headers, snapshots or acknowledgements, in an append or between.
#[must_use]
pub fn append<S: System<WORD>, const WORD: usize>(work: Work, events: u64) -> Figures {
    let flash = CountingFlash::<WORD>::blank(work.sectors);
    let mut system = S::format(flash.clone(), if work.batch > 1 { BATCH_SCRATCH } else { SCRATCH });
    let mut source = Source::new(work);
    source.fill(&mut system, &flash, work.sectors - 3);
    let (start, mut inside) = (flash.counters(), Counters::default());
    for _ in 0..events / work.batch {
        let before = flash.counters();
        source.append(&mut system);
        inside = inside.and(&flash.counters().since(&before));
        source.idle(&mut system);
    }
    let all = flash.counters().since(&start);
    let events = (events / work.batch * work.batch) as f64;
    vec![
        ("bytes_per_event", all.written_bytes as f64 / events),
        ("write_calls_per_event", all.writes as f64 / events),
        ("reads_per_event", inside.reads as f64 / events),
        ("upkeep_reads_per_event", (all.reads - inside.reads) as f64 / events),
        ("erases_per_1000", all.erases as f64 / events * 1000.0),
        ("erases_in_append", inside.erases as f64),
        ("rewritten_words", all.rewritten_words as f64),
        ("erase_spread", flash.erase_spread() as f64),
    ]
}

/// Fills a store with `F` until the oldest gave way, then at each of `fills` states of its newest sectors takes it
/// up with `S`, knowing nothing, after a stop that nobody announced, and appends one event.
#[must_use]
pub fn cold<F: System<WORD>, S: System<WORD>, const WORD: usize>(work: Work, fills: u64) -> Figures {
    let (flash, mut filler, mut source) = full::<F, WORD>(work);
    let (mut sum, mut worst, mut mounting, mut bytes, mut read_bytes) = (0, 0, 0, 0, 0);
    for _ in 0..fills {
        let flash = flash.fork();
        let start = flash.counters();
        let mut probe = Source { work, calls: source.calls };
        let mut fresh = S::mount(flash.clone(), SCRATCH);
        mounting += flash.counters().since(&start).reads;
        probe.append(&mut fresh);
        let done = flash.counters().since(&start);
        sum += done.reads;
        worst = worst.max(done.reads);
        bytes += done.written_bytes;
        read_bytes += done.read_bytes;
        source.append(&mut filler);
        source.idle(&mut filler);
    }
    let fills = fills as f64;
    vec![
        ("reads", sum as f64 / fills),
        ("reads_worst", worst as f64),
        ("mount_reads", mounting as f64 / fills),
        ("read_bytes", read_bytes as f64 / fills),
        ("bytes", bytes as f64 / fills),
    ]
}

/// Takes up a store whose oldest gave way, knowing nothing, and reads all of it.
#[must_use]
pub fn iterate<S: System<WORD>, const WORD: usize>(work: Work) -> Figures {
    let (flash, ..) = full::<S, WORD>(work);
    let start = flash.counters();
    let events = S::mount(flash.clone(), SCRATCH).iterate() as f64;
    let done = flash.counters().since(&start);
    vec![
        ("reads_per_event", done.reads as f64 / events),
        ("read_bytes_per_event", done.read_bytes as f64 / events),
        ("events", events),
    ]
}

/// Takes up a full store, knowing nothing, and says of the oldest 1000 events that they are not needed any more.
#[must_use]
pub fn acknowledge<S: System<WORD>, const WORD: usize>(work: Work) -> Figures {
    let flash = CountingFlash::<WORD>::blank(work.sectors);
    let mut system = S::format(flash.clone(), SCRATCH);
    let mut source = Source::new(work);
    while flash.counters().erases < work.sectors as u64 / 2 {
        source.append(&mut system);
        if source.calls.is_multiple_of(UPKEEP_EVERY) {
            system.upkeep();
        }
    }
    let start = flash.counters();
    S::mount(flash.clone(), SCRATCH).acknowledge(1000);
    let done = flash.counters().since(&start);
    vec![
        ("bytes", done.written_bytes as f64),
        ("write_calls", done.writes as f64),
        ("reads", done.reads as f64),
        ("rewritten_words", done.rewritten_words as f64),
    ]
}

/// A store whose oldest events have given way.
fn full<S: System<WORD>, const WORD: usize>(work: Work) -> (CountingFlash<WORD>, S, Source) {
    let flash = CountingFlash::<WORD>::blank(work.sectors);
    let mut system = S::format(flash.clone(), SCRATCH);
    let mut source = Source::new(work);
    source.fill(&mut system, &flash, work.sectors + 4);
    (flash, system, source)
}
