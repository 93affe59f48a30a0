//! The whole application over one log.

use evenkeel_core::error::{ExecuteError, LogError};
use evenkeel_core::{Aggregate, Log, Maintained, Process, RecordManager, Root, Version};

use super::alarm::Alarm;
use super::sensor::{Fault, Judgement, Sensor, SensorEvent};
use super::shipment::{self, Limits, Shipment};
use super::{CentiCelsius, Holder, MonitorError, RaiseAlarm};

/// What a monitor is set up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// The number on the probe.
    pub probe_serial: u32,
    /// What is to be added to the probe's readings, in hundredths of a degree.
    pub probe_offset: CentiCelsius,
    /// The limits that every shipment has to keep.
    pub limits: Limits,
    /// Who takes on every shipment.
    pub first_holder: Holder,
    /// How many hours a shipment takes.
    pub shipment_hours: u32,
    /// How many minutes an excursion may last before the alarm goes off.
    pub alarm_after_minutes: u32,
    /// After how many events of it an aggregate is stored whole; 0: only when [`Monitor::maintain`] needs it.
    pub snapshot_every: u32,
}

impl Default for Config {
    /// 30 days from hand to hand at 2 to 8 °C, an alarm after three hours.
    fn default() -> Self {
        Self {
            probe_serial: 1,
            probe_offset: 0,
            limits: Limits::REFRIGERATED,
            first_holder: 1,
            shipment_hours: 30 * 24,
            alarm_after_minutes: 180,
            snapshot_every: 128,
        }
    }
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Recorded {
    /// The hour is in the log already: nothing was done.
    Already,
    /// Within the limits, at this corrected temperature.
    Within(CentiCelsius),
    /// Outside the limits, at this corrected temperature.
    Outside(CentiCelsius),
    /// Not to be trusted: the hour was written down as missed.
    Missed(Fault),
}

/// Sums over all shipments that there have been, as their aggregates know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Totals {
    /// Shipments, the one under way included.
    pub shipments: u32,
    /// Shipments that have arrived.
    pub delivered: u32,
    /// Readings that were trusted.
    pub readings: u32,
    /// Hours without a reading to be trusted.
    pub missed: u32,
    /// Excursions.
    pub excursions: u32,
    /// Minutes outside the limits.
    pub minutes_outside: u32,
    /// Minutes of the longest excursion.
    pub longest_minutes: u32,
    /// Times that a shipment went into other hands.
    pub hand_overs: u32,
    /// Alarms raised.
    pub alarms: u32,
    /// Alarms acknowledged.
    pub acknowledged: u32,
    /// Faults of the probe.
    pub faults: u32,
}

/// The monitor of a refrigerated container: its aggregates in memory, its events in a log.
///
/// Each hour is one atomic batch, so after a power cut an hour is in the log or it is not:
/// [`next_hour`](Monitor::next_hour) says which one is due, and recording one again does nothing. After an error
/// of the log the monitor reads its state back before it does anything else.
#[derive(Debug)]
pub struct Monitor<'b, R> {
    log: Log<'b, R>,
    config: Config,
    sensor: Root<Sensor>,
    alarm: Root<Alarm>,
    number: u32,
    shipment: Root<Shipment>,
    raise_alarm: Process<RaiseAlarm>,
    // Memory and log agree.
    fresh: bool,
}

impl<'b, R: RecordManager> Monitor<'b, R> {
    /// Takes a log as it is found after a boot, and brings everything up to date: [`new`](Monitor::new) and
    /// [`resume`](Monitor::resume).
    pub fn start(log: Log<'b, R>, config: Config) -> Result<Self, MonitorError<R::Error>> {
        let mut monitor = Self::new(log, config);
        monitor.resume()?;
        Ok(monitor)
    }

    /// Takes a log without reading it yet, for callers that want the log back if reading fails.
    pub fn new(log: Log<'b, R>, config: Config) -> Self {
        Self {
            log,
            config,
            sensor: Root::new(Sensor::STREAM),
            alarm: Root::new(Alarm::STREAM),
            number: 0,
            shipment: Root::new(Shipment::stream(0)),
            raise_alarm: Process::new(RaiseAlarm { after_minutes: config.alarm_after_minutes }),
            fresh: false,
        }
    }

    /// Loads the state if memory may differ from the log, installs the probe into a new device, and makes up for
    /// what the alarm has not reacted to yet.
    pub fn resume(&mut self) -> Result<(), MonitorError<R::Error>> {
        if self.fresh {
            return Ok(());
        }
        self.raise_alarm = Process::new(RaiseAlarm { after_minutes: self.config.alarm_after_minutes });
        self.sensor = self.log.load_or_new(Sensor::STREAM)?;
        if self.sensor.version() == Version::NONE {
            let Config { probe_serial, probe_offset: offset, .. } = self.config;
            let set_up = |sensor: &Sensor| {
                sensor.install(probe_serial).map(|[installed]| [installed, SensorEvent::Calibrated { offset }])
            };
            match self.log.execute(&mut self.sensor, set_up) {
                Ok(_) | Err(ExecuteError::Refused(_)) => {}
                Err(ExecuteError::Log(error)) => return Err(error.into()),
                Err(ExecuteError::Load(error)) => return Err(error.into()),
            }
        }
        self.alarm = self.log.load_or_new(Alarm::STREAM)?;
        self.number = self.newest_shipment()?;
        self.shipment = self.log.load_or_new(Shipment::stream(self.number))?;
        self.log.process(&mut self.raise_alarm, &mut self.alarm)?;
        self.fresh = true;
        Ok(())
    }

    /// The hour to be recorded next.
    #[must_use]
    pub fn next_hour(&self) -> u32 {
        self.shipment.next_hour()
    }

    /// Writes an hour down: judges the reading, logs it with what it says about the limits, begins another
    /// shipment when the last has taken its time, and raises or clears the alarm.
    ///
    /// Hours that are left out count as missed. An hour that is in the log already is [`Recorded::Already`].
    pub fn record(&mut self, hour: u32, raw: CentiCelsius) -> Result<Recorded, MonitorError<R::Error>> {
        self.guarded(|monitor| {
            let judgement = monitor.judge(hour, raw);
            if monitor.shipment.dispatched().is_some() && hour < monitor.next_hour() {
                return Ok(Recorded::Already);
            }
            let before = (monitor.sensor.version(), monitor.shipment.version());
            if monitor.is_over(hour, &judgement) {
                monitor.begin_shipment(hour, &judgement)?;
            } else if judgement.events == [None; 2] {
                monitor.log_hour(hour, &judgement)?;
                monitor.snapshot_shipment(before.1)?;
            } else {
                monitor.log_hour_and_sensor(hour, &judgement)?;
                monitor.snapshot_shipment(before.1)?;
            }
            monitor.react()?;
            if monitor.snapshot_is_due(before.0, monitor.sensor.version()) {
                monitor.log.take_snapshot(&mut monitor.sensor)?;
            }
            Ok(match judgement.temperature {
                Err(fault) => Recorded::Missed(fault),
                Ok(temperature) if monitor.config.limits.allow(temperature) => Recorded::Within(temperature),
                Ok(temperature) => Recorded::Outside(temperature),
            })
        })
    }

    /// Gives the shipment under way from `from` into the hands of `to`.
    pub fn hand_over(&mut self, from: Holder, to: Holder) -> Result<(), MonitorError<R::Error>> {
        self.guarded(|monitor| {
            let hour = monitor.next_hour();
            let before = monitor.shipment.version();
            monitor.log.execute(&mut monitor.shipment, |shipment| shipment.hand_over(hour, from, to))?;
            monitor.snapshot_shipment(before)
        })
    }

    /// Notes who has seen the alarm.
    pub fn acknowledge_alarm(&mut self, by: u16) -> Result<(), MonitorError<R::Error>> {
        self.guarded(|monitor| {
            let hour = monitor.next_hour();
            monitor.log.execute(&mut monitor.alarm, |alarm| alarm.acknowledge(hour, by))?;
            Ok(())
        })
    }

    /// Erases ahead and stores snapshots of what the oldest records belong to. To be called when there is time.
    pub fn maintain(&mut self) -> Result<Maintained, MonitorError<R::Error>> {
        self.guarded(|monitor| Ok(monitor.log.maintain::<(Shipment, Sensor, Alarm)>()?))
    }

    /// Sums up all shipments that there have been, each loaded from its snapshot and the events after it.
    pub fn totals(&mut self) -> Result<Totals, MonitorError<R::Error>> {
        self.guarded(|monitor| {
            let mut totals = Totals {
                alarms: monitor.alarm.raised(),
                acknowledged: monitor.alarm.acknowledged(),
                faults: monitor.sensor.faults(),
                ..Totals::default()
            };
            if monitor.shipment.dispatched().is_some() {
                for number in 0..monitor.number {
                    totals.add(&*monitor.log.load::<Shipment>(Shipment::stream(number))?);
                }
                totals.add(&monitor.shipment);
            }
            Ok(totals)
        })
    }

    /// The shipment with this number; [`LoadError::NotFound`](evenkeel_core::error::LoadError::NotFound) if there has been none.
    pub fn past_shipment(&mut self, number: u32) -> Result<Root<Shipment>, MonitorError<R::Error>> {
        Ok(self.log.load(Shipment::stream(number))?)
    }

    /// The shipment under way.
    #[must_use]
    pub fn shipment(&self) -> &Root<Shipment> {
        &self.shipment
    }

    /// The number of the shipment under way, counted from 0.
    #[must_use]
    pub fn shipment_number(&self) -> u32 {
        self.number
    }

    /// The probe.
    #[must_use]
    pub fn sensor(&self) -> &Root<Sensor> {
        &self.sensor
    }

    /// The alarm.
    #[must_use]
    pub fn alarm(&self) -> &Root<Alarm> {
        &self.alarm
    }

    /// The log, to project, to sync and to look into.
    pub fn log(&mut self) -> &mut Log<'b, R> {
        &mut self.log
    }

    /// Gives the log back.
    pub fn release(self) -> Log<'b, R> {
        self.log
    }

    /// Runs what changes the log; after a failure of the log memory is read back before anything else.
    fn guarded<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, MonitorError<R::Error>>,
    ) -> Result<T, MonitorError<R::Error>> {
        self.resume()?;
        let outcome = change(self);
        if let Err(MonitorError::Log(_)) = outcome {
            self.fresh = false;
        }
        outcome
    }

    fn judge(&self, hour: u32, raw: CentiCelsius) -> Judgement {
        let due = if self.shipment.dispatched().is_some() { self.next_hour() } else { hour };
        self.sensor.judge(hour, due, raw, self.shipment.recent())
    }

    /// Whether another shipment begins with this hour. It does not as long as the probe fails: what the old one
    /// has read last is needed to tell when the probe can be trusted again.
    fn is_over(&self, hour: u32, judgement: &Judgement) -> bool {
        match self.shipment.dispatched() {
            None => true,
            Some(since) => hour.saturating_sub(since) >= self.config.shipment_hours && judgement.temperature.is_ok(),
        }
    }

    fn log_hour(&mut self, hour: u32, judgement: &Judgement) -> Result<(), MonitorError<R::Error>> {
        match judgement.temperature {
            Ok(temperature) => self.log.execute(&mut self.shipment, |shipment| shipment.log(hour, temperature))?,
            Err(_) => self.log.execute(&mut self.shipment, |shipment| shipment.miss(hour))?,
        };
        Ok(())
    }

    /// The hour and what it means for the probe, as one.
    fn log_hour_and_sensor(&mut self, hour: u32, judgement: &Judgement) -> Result<(), MonitorError<R::Error>> {
        let (logged, missed) = match judgement.temperature {
            Ok(temperature) => (Some(self.shipment.log(hour, temperature)?), None),
            Err(_) => (None, Some(self.shipment.miss(hour)?)),
        };
        let hour_events = logged.into_iter().flatten().chain(missed.into_iter().flatten());
        let sensor_events = judgement.events.into_iter().flatten();
        self.log.execute_all((&mut self.sensor, &mut self.shipment), |_| {
            Ok::<_, shipment::Refused>((sensor_events, hour_events))
        })?;
        Ok(())
    }

    /// Delivers the old shipment if there is one, dispatches the next, and logs its first hour, as one.
    fn begin_shipment(&mut self, hour: u32, judgement: &Judgement) -> Result<(), MonitorError<R::Error>> {
        let Config { first_holder, limits, .. } = self.config;
        let delivered = match self.shipment.dispatched() {
            Some(_) => Some(self.shipment.deliver(hour)?),
            None => None,
        };
        let number = self.number.saturating_add(u32::from(delivered.is_some()));
        let mut begun = Root::<Shipment>::new(Shipment::stream(number));
        let [dispatched] = begun.dispatch(hour, first_holder, limits)?;
        let mut state = *begun;
        state.apply(&dispatched);
        let (logged, missed) = match judgement.temperature {
            Ok(temperature) => (Some(state.log(hour, temperature)?), None),
            Err(_) => (None, Some(state.miss(hour)?)),
        };
        let first_hour = logged.into_iter().flatten().chain(missed.into_iter().flatten());
        let delivery = delivered.into_iter().flatten();
        let sensor_events = judgement.events.into_iter().flatten();
        let begins = core::iter::once(dispatched).chain(first_hour);
        self.log.execute_all((&mut self.shipment, &mut self.sensor, &mut begun), |_| {
            Ok::<_, shipment::Refused>((delivery, sensor_events, begins))
        })?;
        if number != self.number && self.config.snapshot_every > 0 {
            self.log.take_snapshot(&mut self.shipment)?;
        }
        (self.number, self.shipment) = (number, begun);
        Ok(())
    }

    fn react(&mut self) -> Result<(), MonitorError<R::Error>> {
        let before = self.alarm.version();
        self.log.process(&mut self.raise_alarm, &mut self.alarm)?;
        if self.snapshot_is_due(before, self.alarm.version()) {
            self.log.take_snapshot(&mut self.alarm)?;
        }
        Ok(())
    }

    fn snapshot_shipment(&mut self, before: Version) -> Result<(), MonitorError<R::Error>> {
        if self.snapshot_is_due(before, self.shipment.version()) {
            self.log.take_snapshot(&mut self.shipment)?;
        }
        Ok(())
    }

    /// Whether a multiple of the cadence lies between these versions: it takes no memory of the last snapshot.
    fn snapshot_is_due(&self, before: Version, after: Version) -> bool {
        let round = |version: Version| version.0.checked_div(self.config.snapshot_every);
        round(before) != round(after)
    }

    /// The number of the newest shipment, 0 if there is none yet. Shipments are numbered without a hole, so it
    /// is found by doubling and halving.
    fn newest_shipment(&mut self) -> Result<u32, MonitorError<R::Error>> {
        let mut step = 1_u32;
        while self.exists(step)? {
            step = step.saturating_mul(2);
        }
        let (mut there, mut beyond) = (step / 2, step);
        while there.saturating_add(1) < beyond {
            let middle = there.midpoint(beyond);
            if self.exists(middle)? {
                there = middle;
            } else {
                beyond = middle;
            }
        }
        Ok(there)
    }

    fn exists(&mut self, number: u32) -> Result<bool, MonitorError<R::Error>> {
        Ok(self.log.head(Shipment::stream(number)).map_err(LogError::Read)?.is_some())
    }
}

impl Totals {
    fn add(&mut self, shipment: &Shipment) {
        self.shipments = self.shipments.saturating_add(1);
        self.delivered = self.delivered.saturating_add(u32::from(shipment.is_delivered()));
        self.readings = self.readings.saturating_add(shipment.readings());
        self.missed = self.missed.saturating_add(shipment.missed());
        self.excursions = self.excursions.saturating_add(u32::from(shipment.excursions()));
        self.minutes_outside = self.minutes_outside.saturating_add(shipment.minutes_outside());
        self.longest_minutes = self.longest_minutes.max(shipment.longest_minutes());
        self.hand_overs = self.hand_overs.saturating_add(u32::from(shipment.hand_overs()));
    }
}
