//! What the counts mean on real chips: time and life.

use evenkeel_host_sim::flash::ChipProfile;

use crate::flash::Counters;
use crate::report::{Place, Report};
use crate::systems::{Level, Which, Workload};
use crate::workload::{Appended, Work, appends};

/// The name of the workload in the results.
pub const WORKLOAD: &str = "append";

/// Who takes part: of the queue the one that reads least.
pub const SYSTEMS: [Which; 4] =
    [Which::Evenkeel, Which::Queue { level: Level::Pointers, tagged: true }, Which::SensorDb, Which::Ekv];

/// How many sectors a log may have on this chip: some 256 KiB where sectors are that small, else what is likely to be
/// left beside the program.
#[must_use]
pub const fn sectors(chip: &ChipProfile) -> usize {
    match chip.sector {
        ..=4096 => 64,
        4097..=8192 => 32,
        _ => 8,
    }
}

/// Single appends of `payload` bytes to one stream on this chip.
#[must_use]
pub fn run(chip: &'static ChipProfile, which: Which, payload: usize, events: u64) -> Report {
    let sectors = sectors(chip);
    let place = Place::new(which, WORKLOAD, payload, chip.word, sectors).chip(chip.name);
    if let Some(reason) = which.cannot(Workload::Append, chip.word, sectors, chip.sector) {
        return Report::without(place, reason.to_owned());
    }
    let work = Work { program_page: chip.program_page, ..Work::new(which, sectors, payload, chip.word) };
    let mut worst: f64 = 0.0;
    let each = |done: &Counters| worst = worst.max(microseconds(chip, done));
    let Appended { all, events, .. } = match (chip.word, chip.sector) {
        (4, 1024) => appends::<4, 1024>(&work, events, each),
        (4, 4096) => appends::<4, 4096>(&work, events, each),
        (8, 2048) => appends::<8, 2048>(&work, events, each),
        (16, 8192) => appends::<16, 8192>(&work, events, each),
        (32, 131_072) => appends::<32, 131_072>(&work, events, each),
        (1, 4096) => appends::<1, 4096>(&work, events, each),
        (word, sector) => panic!("no flash with words of {word} and sectors of {sector} bytes"),
    };
    let bytes_per_event = all.written_bytes as f64 / events as f64;
    let region = (sectors * chip.sector) as f64;
    Report::of(
        place,
        vec![
            ("virtual_us_per_event", microseconds(chip, &all) / events as f64),
            ("virtual_us_worst_append", worst),
            ("lifetime_events", (f64::from(chip.endurance_cycles) * region / bytes_per_event).floor()),
        ],
    )
}

/// How long the chip programs and erases for this. Reads are left out: their times are those of the bus.
fn microseconds(chip: &ChipProfile, done: &Counters) -> f64 {
    let commands = done.pages * chip.program_call_ns;
    let words = done.written_bytes / chip.word as u64 * chip.program_word_ns;
    (commands + words + done.erases * chip.erase_ns) as f64 / 1000.0
}
