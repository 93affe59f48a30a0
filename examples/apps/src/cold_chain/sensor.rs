//! The probe in the cargo: its calibration, and whether to believe it.

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

use super::CentiCelsius;
use super::shipment::Recent;

/// The coldest that the probe can measure, in hundredths of a degree Celsius.
pub const COLDEST: CentiCelsius = -4_000;
/// The hottest that the probe can measure, in hundredths of a degree Celsius.
pub const HOTTEST: CentiCelsius = 8_500;
/// The most that a cargo's temperature changes in an hour, in hundredths of a degree: a pallet has mass.
pub const STEEPEST_AN_HOUR: u32 = 800;
/// After how many readings that repeat the one before them a probe counts as stuck.
pub const STUCK_AFTER: u8 = 6;

/// Why a reading is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// It lies outside what the probe can measure: its cable is broken or shorted.
    OutOfScale,
    /// It jumped further than a cargo can.
    Jumped,
    /// It has been the same for too many hours.
    Stuck,
    /// There was none.
    Silent,
}

/// What happens to a sensor. Wire order: only ever append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SensorEvent {
    /// A probe was installed.
    Installed {
        /// The number on it.
        serial: u32,
    },
    /// It was compared with a reference.
    Calibrated {
        /// What is to be added to its readings, in hundredths of a degree.
        offset: CentiCelsius,
    },
    /// Its readings are not to be trusted from here on.
    FaultDetected {
        /// The hour.
        hour: u32,
        /// What is wrong.
        fault: Fault,
    },
    /// Its readings are to be trusted again.
    FaultCleared {
        /// The hour.
        hour: u32,
    },
}

/// Why a sensor refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// There is a probe already.
    AlreadyInstalled,
    /// There is no probe to calibrate.
    NotInstalled,
}

/// What a sensor makes of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The corrected temperature if it is to be trusted.
    pub temperature: Result<CentiCelsius, Fault>,
    /// What changes about the sensor; most often nothing.
    pub events: [Option<SensorEvent>; 2],
}

/// The probe of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sensor {
    serial: Option<u32>,
    offset: CentiCelsius,
    fault: Option<Fault>,
    faults: u32,
}

impl Sensor {
    /// The stream of the device's probe.
    pub const STREAM: StreamId = StreamId(1);

    /// The number on the probe; `None` if there is none.
    #[must_use]
    pub fn serial(&self) -> Option<u32> {
        self.serial
    }

    /// What is added to its readings, in hundredths of a degree.
    #[must_use]
    pub fn offset(&self) -> CentiCelsius {
        self.offset
    }

    /// What is wrong with it now.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// How many faults it has had.
    #[must_use]
    pub fn faults(&self) -> u32 {
        self.faults
    }

    /// Puts a probe in.
    pub fn install(&self, serial: u32) -> Result<[SensorEvent; 1], Refused> {
        match self.serial {
            Some(_) => Err(Refused::AlreadyInstalled),
            None => Ok([SensorEvent::Installed { serial }]),
        }
    }

    /// Notes what a comparison with a reference gave.
    pub fn calibrate(&self, offset: CentiCelsius) -> Result<[SensorEvent; 1], Refused> {
        match self.serial {
            Some(_) => Ok([SensorEvent::Calibrated { offset }]),
            None => Err(Refused::NotInstalled),
        }
    }

    /// A raw reading with the calibration applied.
    #[must_use]
    pub fn corrected(&self, raw: CentiCelsius) -> CentiCelsius {
        raw.saturating_add(self.offset)
    }

    /// Judges the raw reading of an hour by the readings before it.
    ///
    /// Hours that were left out are a fault of their own ([`Fault::Silent`]), which this very reading ends if it
    /// can be trusted. `next_hour` is the hour that was due.
    #[must_use]
    pub fn judge(&self, hour: u32, next_hour: u32, raw: CentiCelsius, recent: Option<Recent>) -> Judgement {
        let temperature = self.corrected(raw);
        let fault = implausible(hour, raw, temperature, recent);
        let detected = |fault| Some(SensorEvent::FaultDetected { hour, fault });
        let events = match (self.fault, fault) {
            (None, None) if hour > next_hour => [detected(Fault::Silent), Some(SensorEvent::FaultCleared { hour })],
            (None, Some(fault)) => [detected(fault), None],
            (Some(_), None) => [Some(SensorEvent::FaultCleared { hour }), None],
            (None, None) | (Some(_), Some(_)) => [None, None],
        };
        Judgement { temperature: fault.map_or(Ok(temperature), Err), events }
    }
}

fn implausible(hour: u32, raw: CentiCelsius, temperature: CentiCelsius, recent: Option<Recent>) -> Option<Fault> {
    if !(COLDEST..=HOTTEST).contains(&raw) {
        return Some(Fault::OutOfScale);
    }
    let recent = recent?;
    let hours = hour.saturating_sub(recent.hour).max(1);
    let step = u32::from(temperature.abs_diff(recent.temperature));
    if step > STEEPEST_AN_HOUR.saturating_mul(hours) {
        return Some(Fault::Jumped);
    }
    (temperature == recent.temperature && recent.repeats.saturating_add(1) >= STUCK_AFTER).then_some(Fault::Stuck)
}

impl Aggregate for Sensor {
    const KIND: Kind = Kind(2);
    type Event = SensorEvent;

    fn apply(&mut self, event: &SensorEvent) {
        match *event {
            SensorEvent::Installed { serial } => self.serial = Some(serial),
            SensorEvent::Calibrated { offset } => self.offset = offset,
            SensorEvent::FaultDetected { fault, .. } => {
                self.fault = Some(fault);
                self.faults = self.faults.saturating_add(1);
            }
            SensorEvent::FaultCleared { .. } => self.fault = None,
        }
    }
}

impl Snapshot for Sensor {
    const SCHEMA: u8 = 1;
}
