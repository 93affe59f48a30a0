//! All systems through all workloads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_host_sim::flash::ChipProfile;

use crate::chips;
use crate::instructions::{self, Count};
use crate::report::{Place, Report};
use crate::systems::{Level, Which, Workload};
use crate::workload::{self, Figures, Spread, Work};

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Events in each append workload.
    pub events: u64,
    /// Sectors, but for the cold workload.
    pub sectors: usize,
    /// Bytes of payload.
    pub payloads: &'static [usize],
    /// Sectors of the cold workload, each with how many states of the newest sectors are tried at each place of the ring.
    pub cold: &'static [(usize, u64)],
    /// Events that callgrind counts; 0: it is not run.
    pub counted: u64,
}

impl Scale {
    /// What the published figures are of.
    pub const FULL: Self = Self {
        events: 10_000,
        sectors: 64,
        payloads: &[16, 32, 64],
        cold: &[(64, 43), (1024, 43), (4096, 43)],
        counted: 1_000,
    };
    /// A few seconds' worth without optimisation.
    pub const QUICK: Self = Self { events: 1_000, sectors: 64, payloads: &[16, 64], cold: &[(64, 5)], counted: 0 };
}

/// The words that are run.
pub const WORDS: [usize; 5] = [1, 4, 8, 16, 32];
/// Where each workload that does not depend on the word is run.
pub const WORD: usize = 4;
/// How the events of a loaded aggregate lie.
pub const SPREADS: [Spread; 5] = [
    Spread { events: 1, places: 1 },
    Spread { events: 8, places: 2 },
    Spread { events: 8, places: 8 },
    Spread { events: 32, places: 8 },
    Spread { events: 64, places: 32 },
];

/// One part of the whole, which can be done at any time.
pub struct Job {
    /// What it does.
    pub label: String,
    run: Box<dyn FnOnce() -> Report + Send>,
}

impl Job {
    fn new(label: String, run: impl FnOnce() -> Report + Send + 'static) -> Self {
        Self { label, run: Box::new(run) }
    }

    /// Does it.
    #[must_use]
    pub fn run(self) -> Report {
        (self.run)()
    }
}

/// Calls a function of the words of the flash.
macro_rules! over_words {
    ($word:expr, $function:ident, $($argument:expr),*) => {
        match $word {
            1 => workload::$function::<1, 4096>($($argument),*),
            4 => workload::$function::<4, 4096>($($argument),*),
            8 => workload::$function::<8, 4096>($($argument),*),
            16 => workload::$function::<16, 4096>($($argument),*),
            32 => workload::$function::<32, 4096>($($argument),*),
            word => panic!("no flash with words of {word} bytes"),
        }
    };
}

/// One workload of one system; the reason if it cannot do it.
#[must_use]
pub fn one(which: Which, workload: Workload, payload: usize, word: usize, scale: Scale, sectors: usize) -> Report {
    let place = Place::new(which, workload.name(), payload, word, sectors);
    if let Some(reason) = which.cannot(workload, word, sectors, 4096) {
        return Report::without(place, reason.to_owned());
    }
    let work = Work::new(which, sectors, payload, word);
    let fills = scale.cold.iter().find(|(of, _)| *of == sectors).map_or(0, |(_, fills)| *fills);
    let figures: Figures = match workload {
        Workload::Append => over_words!(word, append, &work, scale.events),
        Workload::Append16 => over_words!(word, append, &work.streams(16), scale.events),
        Workload::Batch8 => over_words!(word, append, &work.batch(8), scale.events),
        Workload::Cold => over_words!(word, cold, &work, fills, false),
        Workload::ColdClosed => over_words!(word, cold, &work, fills, true),
        Workload::Iterate => over_words!(word, iterate, &work),
        Workload::Ack1000 => over_words!(word, acknowledge, &work, true),
        Workload::Ack1000Warm => over_words!(word, acknowledge, &work, false),
        Workload::Section => over_words!(word, section, &work.streams(16)),
        Workload::Load => {
            let mut report = Report::default();
            for spread in SPREADS {
                let figures = over_words!(word, load, &work, spread);
                report.take_in(Report::of(place.spread(spread), figures));
            }
            return report;
        }
    };
    Report::of(place, figures)
}

/// The flash workloads, in the order of the report.
#[must_use]
pub fn jobs(scale: Scale) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut add = |which: Which, of: Workload, payload: usize, word: usize, sectors: usize| {
        let label = format!("{} {}, word {word}, payload {payload}, {sectors} sectors", which.name(), of.name());
        jobs.push(Job::new(label, move || one(which, of, payload, word, scale, sectors)));
    };
    for of in Workload::ALL {
        match of {
            Workload::Append | Workload::Append16 | Workload::Batch8 => {
                for (word, payload) in pairs(&WORDS, scale.payloads) {
                    for which in appending(of, word) {
                        add(which, of, payload, word, scale.sectors);
                    }
                }
            }
            Workload::Cold | Workload::ColdClosed => {
                for &(sectors, _) in scale.cold {
                    for which in all(of) {
                        add(which, of, 16, WORD, sectors);
                    }
                }
            }
            Workload::Iterate | Workload::Ack1000 | Workload::Ack1000Warm => {
                for (payload, which) in pairs(scale.payloads, &all(of)) {
                    add(which, of, payload, WORD, scale.sectors);
                }
            }
            Workload::Load | Workload::Section => {
                for which in all(of) {
                    add(which, of, 16, WORD, scale.sectors);
                }
            }
        }
    }
    jobs.extend(on_chips(scale));
    jobs.extend(instructions(scale));
    jobs
}

fn on_chips(scale: Scale) -> Vec<Job> {
    let chips: &'static [ChipProfile] = const { &ChipProfile::ALL };
    let runs = pairs(scale.payloads, &chips.iter().collect::<Vec<_>>());
    let runs = runs.into_iter().flat_map(|(payload, chip)| chips::SYSTEMS.map(|which| (payload, chip, which)));
    let job = |(payload, chip, which): (usize, &'static ChipProfile, Which)| {
        let label = format!("{} on {}, payload {payload}", which.name(), chip.name);
        Job::new(label, move || chips::run(chip, which, payload, scale.events))
    };
    runs.map(job).collect()
}

fn instructions(scale: Scale) -> Vec<Job> {
    if scale.counted == 0 {
        return Vec::new();
    }
    let mut jobs = Vec::new();
    for (full, payload) in pairs(&[false, true], scale.payloads) {
        for (system, which) in instructions::systems().into_iter().enumerate() {
            let count = Count { system, payload, events: scale.counted, full };
            let label = format!("instructions of {}, payload {payload}", which.name());
            // What is not cached reads hundreds of times in an append: that is seen well enough in a store with room.
            if !full || matches!(which, Which::Evenkeel | Which::Queue { level: Level::Pointers, .. } | Which::SensorDb)
            {
                jobs.push(Job::new(label, move || instructions::run(count)));
            }
        }
    }
    jobs
}

/// Everybody: all cache levels at the word that all workloads are run with, else the least and the most.
fn appending(of: Workload, word: usize) -> Vec<Which> {
    let levels: &[Level] = if word == WORD { &Level::ALL } else { &[Level::None, Level::Pointers] };
    let levels = if of == Workload::Batch8 { &[Level::None] } else { levels };
    let queues = |tagged| levels.iter().map(move |level| Which::Queue { level: *level, tagged });
    let mut systems = vec![Which::Evenkeel];
    if of != Workload::Append16 {
        systems.extend(queues(false));
    }
    if of != Workload::Batch8 {
        systems.extend(queues(true));
    }
    systems.extend([Which::SensorDb, Which::Ekv]);
    systems
}

fn all(of: Workload) -> Vec<Which> {
    let tagged = of == Workload::Load;
    let levels: &[Level] = match of {
        Workload::ColdClosed | Workload::Section => &[Level::None],
        _ => &Level::ALL,
    };
    let queues = levels.iter().map(|level| Which::Queue { level: *level, tagged });
    [Which::Evenkeel].into_iter().chain(queues).chain([Which::SensorDb, Which::Ekv]).collect()
}

fn pairs<A: Copy, B: Copy>(first: &[A], second: &[B]) -> Vec<(A, B)> {
    first.iter().flat_map(|a| second.iter().map(|b| (*a, *b))).collect()
}

/// Bytes of memory of everybody's handle, which need not be run.
#[must_use]
pub fn memory() -> Report {
    let mut report = Report::default();
    for (sectors, which) in pairs(&[64, 1024, 4096], &all(Workload::Append)) {
        let place = Place::new(which, "ram", 16, WORD, sectors);
        report.take_in(match which.ram_bytes(sectors) {
            Some(bytes) => Report::of(place, vec![("ram_bytes", bytes as f64)]),
            None => Report::without(place, "its most pages are fixed when it is built, here 64".to_owned()),
        });
    }
    report
}

/// Does all of it, as much at once as there are processors, and tells what is done.
#[must_use]
pub fn flash(scale: Scale, told: &(dyn Fn(usize, usize, &str) + Sync)) -> Report {
    let jobs: Vec<_> = jobs(scale).into_iter().map(|job| Mutex::new(Some(job))).collect();
    let parts: Vec<_> = jobs.iter().map(|_| Mutex::new(Report::default())).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { return };
            if let Some(job) = job.lock().ok().and_then(|mut job| job.take()) {
                told(index, jobs.len(), &job.label);
                let report = job.run();
                *parts[index].lock().expect("nobody panicked with it") = report;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..workers {
            // The index of `sensor-db` for 4096 sectors is moved about on the stack.
            let worker = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work);
            worker.expect("a thread");
        }
    });
    let mut report = Report::default();
    for part in parts {
        report.take_in(part.into_inner().expect("nobody panicked with it"));
    }
    report.take_in(memory());
    report
}
