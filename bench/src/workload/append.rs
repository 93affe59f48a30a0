//! Appending to a store that is all but full.

use super::{Figures, Source, Work};
use crate::flash::{Counters, CountingFlash};

/// What appending came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Everything: events, headers, snapshots, acknowledgements, in an append or between.
    pub all: Counters,
    /// What was done in the calls of append.
    pub inside: Counters,
    /// How many events were appended.
    pub events: u64,
    /// By how many erases the sector erased most is ahead of the one erased least.
    pub erase_spread: u64,
}

/// Appends `events` events to a store that is three sectors short of full, so that the oldest give way; `each` is told
/// what was done in each call.
pub fn appends<const WORD: usize, const BYTES: usize>(
    work: &Work,
    events: u64,
    mut each: impl FnMut(&Counters),
) -> Appended {
    let flash = CountingFlash::<WORD, BYTES>::blank(work.sectors);
    let mut system = work.open(&flash, true);
    let mut source = Source::new(work);
    source.fill(work, &mut *system, &flash, work.sectors - 3);
    let (start, mut inside) = (flash.counters(), Counters::default());
    let calls = events / work.batch;
    for _ in 0..calls {
        let before = flash.counters();
        source.append(&mut *system);
        let done = flash.counters().since(&before);
        each(&done);
        inside = inside.and(&done);
        source.idle(&mut *system);
    }
    let all = flash.counters().since(&start);
    Appended { all, inside, events: calls * work.batch, erase_spread: flash.erase_spread() }
}

/// The figures of [`appends`].
#[must_use]
pub fn append<const WORD: usize, const BYTES: usize>(work: &Work, events: u64) -> Figures {
    let Appended { all, inside, events, erase_spread } = appends::<WORD, BYTES>(work, events, |_| {});
    let each = |count: u64| count as f64 / events as f64;
    vec![
        ("bytes_per_event", each(all.written_bytes)),
        ("write_calls_per_event", each(all.writes)),
        ("write_calls_in_append", each(inside.writes) * work.batch as f64),
        ("reads_per_event", each(inside.reads)),
        ("upkeep_reads_per_event", each(all.reads - inside.reads)),
        ("erases_per_1000", each(all.erases) * 1000.0),
        ("erases_in_append", inside.erases as f64),
        ("rewritten_words", all.rewritten_words as f64),
        ("erase_spread", erase_spread as f64),
    ]
}
