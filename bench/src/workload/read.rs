//! Reading back, and letting go.

use super::{Figures, SCRATCH, Source, UPKEEP_EVERY, Work, full};
use crate::flash::CountingFlash;
use crate::systems::Event;

/// Positions at which a section is read.
const POSITIONS: u64 = 64;

/// Takes up a store whose oldest gave way, knowing nothing, and reads all of it.
#[must_use]
pub fn iterate<const WORD: usize, const BYTES: usize>(work: &Work) -> Figures {
    let (flash, ..) = full::<WORD, BYTES>(work);
    let start = flash.counters();
    let events = work.open(&flash, false).iterate() as f64;
    let done = flash.counters().since(&start);
    vec![
        ("reads_per_event", done.reads as f64 / events),
        ("read_bytes_per_event", done.read_bytes as f64 / events),
        ("events", events),
    ]
}

/// Says of the oldest 1000 events of a half full store that they are not needed any more: with a fresh handle, or with
/// the one that stored them.
#[must_use]
pub fn acknowledge<const WORD: usize, const BYTES: usize>(work: &Work, fresh: bool) -> Figures {
    let flash = CountingFlash::<WORD, BYTES>::blank(work.sectors);
    let mut system = work.open(&flash, true);
    let mut source = Source::new(work);
    // Nothing is said to be seen before: the acknowledgement is the first.
    for _ in 0..work.which.holds(work.sectors, work.payload) / 2 {
        source.append(&mut *system);
        if source.calls.is_multiple_of(UPKEEP_EVERY) {
            system.upkeep();
        }
    }
    let start = flash.counters();
    if fresh {
        system = work.open(&flash, false);
    }
    system.acknowledge(1000);
    let done = flash.counters().since(&start);
    vec![
        ("bytes", done.written_bytes as f64),
        ("write_calls", done.writes as f64),
        ("reads", done.reads as f64),
        ("rewritten_words", done.rewritten_words as f64),
    ]
}

/// How the events of an aggregate lie between those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// How many there are.
    pub events: u64,
    /// In how many places, equally far apart.
    pub places: u64,
}

/// Fills a store with the events of 15 streams in turn, and in between those of one aggregate; then takes it up,
/// knowing nothing, and loads that aggregate.
#[must_use]
pub fn load<const WORD: usize, const BYTES: usize>(work: &Work, spread: Spread) -> Figures {
    const LOADED: u16 = 15;
    let flash = CountingFlash::<WORD, BYTES>::blank(work.sectors);
    let mut system = work.open(&flash, true);
    let mut source = Source::new(&work.streams(15));
    let others = work.which.holds(work.sectors, work.payload) - spread.events;
    let (mut stored, mut sectors) = (0, Vec::new());
    for number in 0..others {
        let places = (number * 2 * spread.places / others).div_ceil(2);
        let due = places * spread.events / spread.places;
        while stored < due {
            stored += 1;
            system.append(&[Event { stream: LOADED, version: stored as u32, payload: &vec![7; work.payload] }]);
            sectors.push(flash.last_written());
        }
        source.append(&mut *system);
        source.idle(&mut *system);
    }
    sectors.sort_unstable();
    sectors.dedup();
    let start = flash.counters();
    let mut fresh = work.open(&flash, false);
    let mounted = flash.counters();
    flash.forget_reads();
    let loaded = fresh.load(LOADED);
    assert_eq!((stored, loaded), (spread.events, spread.events), "events of the aggregate are missing");
    let done = flash.counters().since(&mounted);
    vec![
        ("reads", done.reads as f64),
        ("sectors_visited", flash.sectors_read() as f64),
        ("sectors_holding", sectors.len() as f64),
        ("read_bytes", done.read_bytes as f64),
        ("mount_reads", mounted.since(&start).reads as f64),
    ]
}

/// Fills a store with the events of 16 streams in turn; then at positions all over the log takes it up, knowing nothing,
/// and reads a section of 256 bytes.
#[must_use]
pub fn section<const WORD: usize, const BYTES: usize>(work: &Work) -> Figures {
    let flash = CountingFlash::<WORD, BYTES>::blank(work.sectors);
    let mut system = work.open(&flash, true);
    let mut source = Source::new(work);
    let events = work.which.holds(work.sectors, work.payload);
    for _ in 0..events {
        source.append(&mut *system);
        source.idle(&mut *system);
    }
    let (mut reads, mut worst, mut read_bytes, mut bytes, mut mounting) = (0, 0, 0, 0, 0);
    for part in 0..POSITIONS {
        let before = flash.counters();
        let mut fresh = work.open(&flash, false);
        let start = flash.counters();
        mounting += start.since(&before).reads;
        bytes += fresh.section((part * 2 + 1) * events / (2 * POSITIONS), SCRATCH) as u64;
        let done = flash.counters().since(&start);
        reads += done.reads;
        worst = worst.max(done.reads);
        read_bytes += done.read_bytes;
    }
    let mean = |sum: u64| sum as f64 / POSITIONS as f64;
    vec![
        ("reads", mean(reads)),
        ("reads_worst", worst as f64),
        ("read_bytes", mean(read_bytes)),
        ("section_bytes", mean(bytes)),
        ("mount_reads", mean(mounting)),
    ]
}
