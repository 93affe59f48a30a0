//! The demo: two years of a device whose power is cut again and again, and what became of its promises.
//!
//! ```text
//! input ── samples ─> life ── appends ─> witness ─> flash (simulated)
//!                      │ │                  │          ^ cuts: plan
//!                      │ └─ gateway ─> collected.db    │
//!                      │                    │          │
//!                      └──── verdict <──────┴──────────┘ ─> summary, report.html
//! ```

mod files;
mod flash_map;
mod gateway;
mod input;
mod life;
mod plan;
mod summary;
#[cfg(test)]
mod tests;
mod verdict;
mod witness;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use evenkeel_collector::{SqliteStore, StoreError, StoredEvent};
use evenkeel_core::{Epoch, Log, LogId};
use evenkeel_flash_store::{FlashLog, Identity, Retention};
use evenkeel_host_sim::clock::VirtualClock;
use evenkeel_host_sim::device::Device;
use evenkeel_host_sim::flash::{ChipProfile, Nrf52840Flash};
use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::SourceIdentity;
use indicatif::{ProgressBar, ProgressStyle};

use self::files::{FilesError, Output};
use self::gateway::Gateway;
use self::input::{Input, InputError};
use self::life::{REGION, World};
use self::plan::{Activity, CutPlan};
use self::summary::Summary;
use self::verdict::{States, Verdict};
use crate::args::DemoArgs;

/// The device's serial number.
const DEVICE: u64 = 0xE5EE_D000_0000_0001;

/// What a demo came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What is to be shown on standard output.
    pub(crate) text: String,
    /// Where the report is.
    pub(crate) report: PathBuf,
    /// What went wrong, in a line, if something did.
    pub(crate) complaint: Option<String>,
}

/// Why a demo could not be run. Each is told in one line.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// The hours to live through.
    Input(InputError),
    /// More cuts than there are hours.
    TooManyCuts {
        /// As many as were asked for.
        cuts: u32,
        /// As many as there can be.
        hours: usize,
    },
    /// The files to be made.
    Files(FilesError),
    /// The collector's file failed.
    Store(StoreError),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::TooManyCuts { cuts, hours } => {
                write!(f, "{cuts} power cuts are too many for a run of {hours} hours: at most one for each hour")
            }
            Self::Files(error) => error.fmt(f),
            Self::Store(error) => write!(f, "collected.db failed: {error}"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<InputError> for DemoError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<FilesError> for DemoError {
    fn from(error: FilesError) -> Self {
        Self::Files(error)
    }
}

impl From<StoreError> for DemoError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> Result<Outcome, DemoError> {
    let input = input::read(&args.input)?;
    let hours = input.samples.len();
    if args.cuts as usize > hours {
        return Err(DemoError::TooManyCuts { cuts: args.cuts, hours });
    }
    let output = Output::prepare(&args.out)?;
    let mut run = Run::new(args, input, output.open_store()?);
    run.live();
    let verdict = run.judge()?;
    let summary = Summary::of(&mut run, args, verdict);
    output.write_report(&summary.report(&run, args)?)?;
    Ok(Outcome { text: summary.text(), report: output.report(), complaint: run.complaint(&verdict) })
}

/// A run of the demo: the device, and the world around it.
pub(crate) struct Run {
    device: Device<4, 4, 4096>,
    world: World,
    first_year: i32,
    /// The device gave up, and why.
    failure: Option<String>,
}

impl Run {
    /// A device fresh from the factory, with an empty log, in a world with these hours and an empty store.
    fn new(args: &DemoArgs, input: Input, store: SqliteStore) -> Self {
        let Input { samples, first_year } = input;
        let stream = |number| Rng::from_seed_and_stream(args.seed, number);
        let epoch = Epoch::new(1, stream(0).next_u64() as u32);
        let identity = Identity { log: LogId(0), epoch };
        let clock = VirtualClock::new();
        let flash = Nrf52840Flash::new(&ChipProfile::NRF52840, REGION.sectors() as usize);
        FlashLog::<_, 1, 1>::new(flash.clone(), REGION, Retention::Refuse)
            .format(identity, &mut [0; 512])
            .expect("an erased chip under power can be formatted");
        flash.reset_counters();
        flash.attach_clock(&clock);
        let progress = progress(samples.len() as u64);
        let world = World {
            plan: CutPlan::new(args.cuts, samples.len(), stream(1)),
            gateway: Gateway::new(store, stream(2)),
            samples,
            identity: SourceIdentity { device: DEVICE, log: identity.log, epoch },
            ledger: Rc::new(RefCell::default()),
            clock,
            progress,
            activity: Activity::Recovery,
            hour: 0,
            cuts: Vec::new(),
            visits: Vec::new(),
            slowest_boot_us: 0,
        };
        Self { device: Device::new(flash), world, first_year, failure: None }
    }

    /// Lives until every hour is recorded and collected, or until the device fails.
    fn live(&mut self) {
        let world = &mut self.world;
        if let Err(failure) = self.device.run(|flash, boot| life::live(world, &flash, boot)) {
            let (hour, cuts) = (world.hour, world.cuts.len());
            self.failure = Some(format!("the device failed in hour {hour} after {cuts} power cuts: {failure}"));
        }
        self.world.progress.finish_and_clear();
    }

    /// Compares the device, as another boot finds it, with what was collected and with what it had promised.
    fn judge(&mut self) -> Result<Verdict, StoreError> {
        let flash = self.device.flash().clone();
        flash.disarm();
        flash.power_on();
        let (held, states) = self.inspect(flash);
        let store = &self.world.gateway.store;
        let twins = verdict::twin_states(store, &self.world.identity)?;
        let twin_equal = states.is_some() && states == twins;
        let collected = verdict::collected(store)?;
        let cuts = self.device.cuts();
        Ok(verdict::judge(&self.world.ledger.borrow(), &collected, &held, cuts, twin_equal))
    }

    /// The events and the aggregates that the device has now; `None` if they cannot be loaded.
    fn inspect(&mut self, flash: Nrf52840Flash) -> (Vec<StoredEvent>, Option<States>) {
        let mut scratch = [0; 512];
        let mut log = match Log::mount(self.world.unmounted(flash), &mut scratch) {
            Ok(log) => log,
            Err(error) => {
                self.failure.get_or_insert_with(|| format!("the log cannot be mounted at the end: {error}"));
                return (Vec::new(), None);
            }
        };
        let mut held = Vec::new();
        if let Err(error) = verdict::held(&mut log, &mut held) {
            self.failure.get_or_insert_with(|| format!("the log cannot be read at the end: {error}"));
        }
        match verdict::device_states(&mut log) {
            Ok(states) => (held, Some(states)),
            Err(error) => {
                self.failure.get_or_insert_with(|| format!("an aggregate cannot be loaded at the end: {error}"));
                (held, None)
            }
        }
    }

    /// What went wrong, if something did.
    fn complaint(&self, verdict: &Verdict) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.clone());
        }
        let violations = self.device.flash().violations();
        if let Some(first) = violations.first() {
            return Some(format!("the device broke {} rules of its flash, the first: {first}", violations.len()));
        }
        (!verdict.holds()).then(|| format!("a promise was broken: {verdict}"))
    }
}

/// A bar on standard error; hidden if that is no terminal.
fn progress(samples: u64) -> ProgressBar {
    let bar = ProgressBar::new(samples);
    let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} hour {pos} of {len}, {msg} power cuts");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("0");
    bar
}
