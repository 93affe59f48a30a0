//! Instructions of an append, counted by callgrind.
//!
//! The program runs itself under valgrind twice, with so many appends and with twice as many, and takes the difference:
//! what is done before the first append cancels out. The flash is the same for all, as cheap as a flash in memory can
//! be, and its instructions are included.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::flash::PlainFlash;
use crate::report::{Place, Report};
use crate::systems::{Event, Level, Which};
use crate::workload::{Source, Work};

/// The name of the metric for the calls of append alone.
pub const APPEND: &str = "instructions_per_event";
/// The name of the metric for everything that happens while a full store goes on.
pub const TURNING: &str = "instructions_per_event_full";
/// The subcommand that is run under valgrind.
pub const SUBCOMMAND: &str = "appends";

/// Sectors of the flash.
const SECTORS: usize = 64;

/// Who takes part.
#[must_use]
pub fn systems() -> Vec<Which> {
    let queues = Level::ALL.map(|level| Which::Queue { level, tagged: false });
    [Which::Evenkeel].into_iter().chain(queues).chain([Which::SensorDb, Which::Ekv]).collect()
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Which of [`systems`].
    pub system: usize,
    /// Bytes of each payload.
    pub payload: usize,
    /// How many events.
    pub events: u64,
    /// Whether the store is full before, so that the oldest give way, and upkeep and acknowledgements count.
    pub full: bool,
}

/// Does what is counted.
pub fn appends(count: Count) {
    let which = systems()[count.system];
    let work = Work::new(which, SECTORS, count.payload, 4);
    let mut system = which.open(PlainFlash::<4>::blank(SECTORS), work.setup(true));
    if count.full {
        let mut source = Source::new(&work);
        for _ in 0..13 * (SECTORS * 4096) as u64 / (10 * (count.payload as u64 + 8)) + count.events {
            source.append(&mut *system);
            source.idle(&mut *system);
        }
    } else {
        // Nothing here but the appends.
        let payload = [0x5A; 64];
        let payload = &payload[..count.payload];
        for version in 1..=count.events as u32 {
            system.append(&[Event { stream: 0, version, payload }]);
        }
    }
}

/// Counts the instructions of an append; the reason if that is not possible here.
#[must_use]
pub fn run(count: Count) -> Report {
    let (which, metric) = (systems()[count.system], if count.full { TURNING } else { APPEND });
    let place = Place::new(which, "append", count.payload, 4, SECTORS);
    let twice = Count { events: count.events * 2, ..count };
    let difference = match (under_valgrind(count), under_valgrind(twice)) {
        (Ok(once), Ok(twice)) => twice.saturating_sub(once),
        (Err(reason), _) | (_, Err(reason)) => return Report::without(place, reason),
    };
    Report::of(place, vec![(metric, difference as f64 / count.events as f64)])
}

fn under_valgrind(count: Count) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|_| "the program does not find itself".to_owned())?;
    let Count { system, payload, events, full } = count;
    let name = format!("evenkeel-bench-{}-{system}-{payload}-{events}-{full}", std::process::id());
    let file: PathBuf = std::env::temp_dir().join(name);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "-q"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg(SUBCOMMAND)
        .args([system.to_string(), payload.to_string(), events.to_string(), full.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let status = status.map_err(|_| "valgrind not installed".to_owned())?;
    let text = std::fs::read_to_string(&file);
    // What is left over in a folder for such things harms nobody.
    let _ = std::fs::remove_file(&file);
    let total = text.ok().filter(|_| status.success()).and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?;
        line.trim().parse().ok()
    });
    total.ok_or_else(|| "callgrind failed".to_owned())
}
