//! Event sourcing on the host: the log in memory with and without a hash chain, SQLite, and how all grows.
//!
//! Times are of one run on one machine, and only their ratios mean something; bytes and counts are exact.

mod flash;
mod memory;
mod page;
mod peer;
mod sqlite;
mod tally;

pub use page::{counted_lines, markdown, with_counts_of};
pub use peer::{SUBCOMMAND, in_this_process};

use crate::report::{Place, Report};

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Events of the logs.
    pub events: &'static [u64],
    /// Streams that take turns in them.
    pub streams: &'static [u64],
    /// Events in SQLite.
    pub sqlite: u64,
}

impl Scale {
    /// What the published figures are of.
    pub const FULL: Self =
        Self { events: &[1_000, 10_000, 100_000, 1_000_000], streams: &[1, 16, 256, 1_434], sqlite: 1_024 };
    /// The part of it whose counts are made again by the tests.
    pub const COUNTED: Self = Self { events: &[1_000, 10_000], ..Self::FULL };
    /// A few seconds' worth without optimisation.
    pub const QUICK: Self = Self { events: &[1_000], streams: &[1, 16], sqlite: 128 };

    fn sizes(self) -> impl Iterator<Item = Grown> {
        let with = move |events: u64| self.streams.iter().map(move |streams| Grown { events, streams: *streams });
        self.events.iter().copied().flat_map(with).filter(|grown| grown.streams <= grown.events)
    }
}

/// To what size a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grown {
    pub(crate) events: u64,
    pub(crate) streams: u64,
}

/// The logs in memory.
const IN_MEMORY: [&str; 3] = [memory::PLAIN, memory::SHA256, memory::BLAKE2S];

fn place(system: &'static str, workload: &'static str, grown: Grown) -> Place {
    let (events, streams) = (Some(grown.events), Some(grown.streams));
    Place { system, workload, payload: 1, word: 0, sectors: 0, chip: None, events, places: None, streams }
}

/// Everything, one after another so that nothing is timed beside something else; tells what is done.
#[must_use]
pub fn run(scale: Scale, told: &dyn Fn(&str)) -> Report {
    let mut report = Report::default();
    for grown in scale.sizes() {
        for system in IN_MEMORY {
            told(&format!("{system}: {grown:?}"));
            report.take_in(memory::run(system, grown));
        }
        told(&format!("{}: {grown:?}", peer::NAME));
        report.take_in(peer::run(grown));
    }
    told(sqlite::NAME);
    report.take_in(sqlite::run(scale.sqlite));
    for grown in scale.sizes() {
        told(&format!("on flash: {grown:?}"));
        report.take_in(flash::run(grown));
    }
    report
}

/// What is counted and not timed: bytes stored, and the work on flash.
#[must_use]
pub fn counts(scale: Scale) -> Report {
    let mut report = Report::default();
    for grown in scale.sizes() {
        for system in IN_MEMORY {
            let bytes = vec![("stored_bytes_per_event", memory::stored_bytes(system, grown))];
            report.take_in(Report::of(place(system, "append", grown), bytes));
        }
    }
    for grown in scale.sizes() {
        report.take_in(flash::run(grown));
    }
    report
}
