//! The device's life, from boot to power cut to boot.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use evenkeel_apps::cold_chain::input::{PROBE_ERROR, Sample};
use evenkeel_apps::cold_chain::{Config, Holder, Limits, Monitor, MonitorError, RaiseAlarm};
use evenkeel_collector::{DriveError, StoreError};
use evenkeel_core::error::{AppendError, LogError};
use evenkeel_core::{Log, Moment, Policy, Tracker};
use evenkeel_flash_store::{FlashLog, MountError, Region, Retention};
use evenkeel_host_sim::clock::VirtualClock;
use evenkeel_host_sim::flash::{FlashOp, Nrf52840Flash, SimError};
use evenkeel_sync::{Halt, Source, SourceIdentity};
use indicatif::ProgressBar;

use super::gateway::{Gateway, VisitError, Visited};
use super::plan::{Activity, CutPlan};
use super::witness::{Ledger, Witness};

/// 64 sectors of 4 KiB, programmed word by word.
pub(crate) const REGION: Region = Region::new::<Nrf52840Flash>(0..0x4_0000).word_by_word();
/// The tracker of what has been collected.
pub(crate) const UPLINK: Tracker = Tracker(0);
/// A sector is reused once the collector and the alarm's policy have seen its events.
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK, RaiseAlarm::TRACKER]);
/// Bytes that the device lends to its log.
const SCRATCH_BYTES: usize = 512;
/// The device does upkeep every so many hours.
const UPKEEP_HOURS: u32 = 6;
/// How often the device makes room and tries again before it gives up.
const ATTEMPTS: u32 = 4;

/// What the monitor is set up with.
pub(crate) const CONFIG: Config = Config {
    probe_serial: 4711,
    probe_offset: -PROBE_ERROR,
    limits: Limits::REFRIGERATED,
    first_holder: 10,
    shipment_hours: 30 * 24,
    alarm_after_minutes: 180,
    snapshot_every: 128,
};
/// How many holders a shipment has on its way.
const HOLDERS: u32 = 3;
/// Who acknowledges alarms.
const DISPATCHER: u16 = 7;
/// How many hours after the beginning of an excursion somebody looks at the alarm.
const SEEN_AFTER_HOURS: u32 = 5;

pub(crate) type DeviceLog = Witness<FlashLog<Nrf52840Flash, 16, 4>>;

/// A power cut that struck.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutNote {
    /// The hour that the device was in.
    pub(crate) hour: u32,
    /// What it was doing.
    pub(crate) activity: Activity,
    /// What was interrupted.
    pub(crate) op: FlashOp,
    /// It struck right after another, within a few words of the boot.
    pub(crate) again: bool,
}

/// Everything outside of the device, which its power cuts do not touch.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) samples: Vec<Sample>,
    pub(crate) identity: SourceIdentity,
    pub(crate) plan: CutPlan,
    pub(crate) gateway: Gateway,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    pub(crate) clock: VirtualClock,
    pub(crate) progress: ProgressBar,
    /// What the device is doing, and in which hour.
    pub(crate) activity: Activity,
    pub(crate) hour: u32,
    pub(crate) cuts: Vec<CutNote>,
    pub(crate) visits: Vec<(u32, Visited)>,
    /// The longest from power on to ready, in microseconds of flash time.
    pub(crate) slowest_boot_us: u64,
}

/// Why a life ended while power was on: the device failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its log could not be mounted.
    Mount(MountError<SimError>),
    /// The application failed.
    Monitor(MonitorError<SimError>),
    /// Sync failed.
    Sync(DriveError<SimError, StoreError>),
    /// The collector knows positions that the device does not, or a frame is too small.
    Halted(Halt),
    /// The gateway came again and again and never got everything.
    NeverCaughtUp,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount(error) => write!(f, "its log cannot be mounted: {error}"),
            Self::Monitor(error) => error.fmt(f),
            Self::Sync(error) => write!(f, "sync failed: {error}"),
            Self::Halted(Halt::Ahead { cursor, next }) => {
                write!(f, "events that were collected up to position {cursor} are gone: the log goes on at {next}")
            }
            Self::Halted(halt) => write!(f, "sync halted: {halt:?}"),
            Self::NeverCaughtUp => f.write_str("the gateway never got everything"),
        }
    }
}

impl From<MountError<SimError>> for Failure {
    fn from(error: MountError<SimError>) -> Self {
        Self::Mount(error)
    }
}

impl From<MonitorError<SimError>> for Failure {
    fn from(error: MonitorError<SimError>) -> Self {
        Self::Monitor(error)
    }
}

impl From<VisitError<SimError>> for Failure {
    fn from(error: VisitError<SimError>) -> Self {
        match error {
            VisitError::Drive(error) => Self::Sync(error),
            VisitError::Halted(halt) => Self::Halted(halt),
        }
    }
}

impl World {
    /// Writes down that power was cut in the life before.
    fn note_cut(&mut self, flash: &Nrf52840Flash) {
        let op = flash.last_struck().map_or(FlashOp::Read, |struck| struck.op);
        let again = self.plan.struck();
        self.cuts.push(CutNote { hour: self.hour, activity: self.activity, op, again });
        self.gateway.connection_lost();
        self.progress.set_message(self.cuts.len().to_string());
    }

    /// The log in this flash, not mounted.
    pub(crate) fn unmounted(&self, flash: Nrf52840Flash) -> DeviceLog {
        Witness::new(FlashLog::new(flash, REGION, RETENTION), Rc::clone(&self.ledger), self.clock.clone())
    }
}

/// One life: from power on to the last hour collected, or to wherever power is cut.
pub(crate) fn live(world: &mut World, flash: &Nrf52840Flash, boot: u32) -> Result<(), Failure> {
    if boot > 1 {
        world.note_cut(flash);
    }
    world.activity = Activity::Recovery;
    world.plan.boot(flash);
    let begun = world.clock.now_us();
    let mut scratch = [0; SCRATCH_BYTES];
    let mut log = Log::mount(world.unmounted(flash.clone()), &mut scratch)?;
    log.records().inner().set_moment(Moment { boot, tick: u64::from(world.hour) });
    let monitor = Monitor::start(log, CONFIG)?;
    world.slowest_boot_us = world.slowest_boot_us.max(world.clock.now_us().saturating_sub(begun));
    let source = Source::new(world.identity, UPLINK);
    let mut device = Running { world, flash, boot, monitor, source };
    device.go_on()
}

/// The device while it has power.
struct Running<'w, 's> {
    world: &'w mut World,
    flash: &'w Nrf52840Flash,
    boot: u32,
    monitor: Monitor<'s, DeviceLog>,
    source: Source,
}

impl Running<'_, '_> {
    fn go_on(&mut self) -> Result<(), Failure> {
        let due = match self.monitor.shipment().dispatched() {
            Some(_) => self.monitor.next_hour(),
            None => 0,
        };
        let first = self.world.samples.partition_point(|sample| sample.hour < due);
        for index in first..self.world.samples.len() {
            let sample = self.world.samples[index];
            self.world.hour = sample.hour;
            self.world.progress.set_position(index as u64);
            self.visit(false)?;
            self.world.activity = Activity::Recording;
            self.world.plan.sample(self.flash, index);
            self.record(&sample)?;
            if sample.hour.is_multiple_of(UPKEEP_HOURS) {
                self.upkeep()?;
            }
        }
        self.world.progress.set_position(self.world.samples.len() as u64);
        for _ in 0..100 {
            if self.visit(true)? {
                return Ok(());
            }
        }
        Err(Failure::NeverCaughtUp)
    }

    /// An hour; if the log is full, room is made by upkeep and by sync, and it is tried again.
    fn record(&mut self, sample: &Sample) -> Result<(), Failure> {
        let moment = Moment { boot: self.boot, tick: u64::from(sample.hour) };
        self.monitor.log().records().inner().set_moment(moment);
        let mut attempt = 1;
        loop {
            match drive(&mut self.monitor, sample) {
                Err(MonitorError::Log(LogError::Append(AppendError::Full { .. }))) if attempt < ATTEMPTS => {
                    attempt += 1;
                    self.visit(true)?;
                    self.upkeep()?;
                    self.world.activity = Activity::Recording;
                }
                other => return Ok(other?),
            }
        }
    }

    fn upkeep(&mut self) -> Result<(), Failure> {
        self.world.activity = Activity::Upkeep;
        self.world.plan.begin(self.flash, Activity::Upkeep);
        self.monitor.maintain()?;
        self.world.plan.end(self.flash, Activity::Upkeep);
        Ok(())
    }

    /// Lets the gateway pull if it is here, or if it is `called`. Answers whether everything is collected.
    fn visit(&mut self, called: bool) -> Result<bool, Failure> {
        if !called && !self.world.gateway.is_here(self.world.hour) {
            return Ok(false);
        }
        // What the gateway is to say it has kept needs room in the log.
        self.upkeep()?;
        let Self { world, flash, monitor, source, .. } = self;
        world.activity = Activity::Sync;
        world.plan.begin(flash, Activity::Sync);
        let visited = world.gateway.pull(world.hour, monitor.log(), source)?;
        world.plan.end(flash, Activity::Sync);
        world.visits.push((world.hour, visited));
        Ok(visited.complete)
    }
}

/// What the people around the device do, and then the hour itself. All of it may be done again after a reboot.
///
/// A shipment is handed on twice on its way, and an alarm is looked at some hours after it began.
fn drive(monitor: &mut Monitor<'_, DeviceLog>, sample: &Sample) -> Result<(), MonitorError<SimError>> {
    let age = sample.hour.saturating_sub(monitor.shipment().dispatched().unwrap_or(sample.hour));
    let leg = (age.saturating_mul(HOLDERS) / CONFIG.shipment_hours).min(HOLDERS - 1);
    let (from, to) = (monitor.shipment().holder(), CONFIG.first_holder + leg as Holder);
    if age > 0 && from < to {
        monitor.hand_over(from, to)?;
    }
    let seen = |since: u32| sample.hour >= since.saturating_add(SEEN_AFTER_HOURS);
    if monitor.alarm().rings() && monitor.alarm().cause().is_some_and(|cause| seen(cause.since)) {
        monitor.acknowledge_alarm(DISPATCHER)?;
    }
    monitor.record(sample.hour, sample.raw)?;
    Ok(())
}
