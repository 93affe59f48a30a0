//! One shipment on its way: what its temperature was, and in whose hands it was when.

use core::iter::once;

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

use super::{CentiCelsius, Holder, minutes_between};

/// The limits that the temperature of a cargo has to keep, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// The lowest allowed, in hundredths of a degree Celsius.
    pub low: CentiCelsius,
    /// The highest allowed, in hundredths of a degree Celsius.
    pub high: CentiCelsius,
}

impl Limits {
    /// 2 to 8 °C, as for most vaccines.
    pub const REFRIGERATED: Self = Self { low: 200, high: 800 };

    /// Whether this temperature keeps the limits.
    #[must_use]
    pub const fn allow(&self, temperature: CentiCelsius) -> bool {
        self.low <= temperature && temperature <= self.high
    }

    /// By how much this temperature breaks the limits, in hundredths of a degree.
    #[must_use]
    pub fn excess(&self, temperature: CentiCelsius) -> u16 {
        let above = i32::from(temperature).saturating_sub(i32::from(self.high));
        let below = i32::from(self.low).saturating_sub(i32::from(temperature));
        u16::try_from(above.max(below)).unwrap_or(0)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::REFRIGERATED
    }
}

/// What happens to a shipment. Every hour has exactly one of `Logged`, `LoggedOutside` and `Missed`.
///
/// Wire order: only ever append. A reading takes 5 to 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ShipmentEvent {
    /// It left, in the hands of its first holder.
    Dispatched {
        /// The hour of the first reading to come.
        hour: u32,
        /// Its first holder.
        holder: Holder,
        /// The limits to keep.
        limits: Limits,
    },
    /// The reading of an hour, within the limits.
    Logged {
        /// The hour.
        hour: u32,
        /// The temperature.
        temperature: CentiCelsius,
    },
    /// The reading of an hour, outside the limits.
    LoggedOutside {
        /// The hour.
        hour: u32,
        /// The temperature.
        temperature: CentiCelsius,
        /// Minutes since the excursion began.
        minutes: u32,
    },
    /// There was no reading to be trusted from the hour after the last one up to this one.
    Missed {
        /// The last hour without a reading.
        through: u32,
    },
    /// The temperature left the limits.
    ExcursionStarted {
        /// The hour of the first reading outside.
        hour: u32,
    },
    /// The temperature is back within the limits, or the shipment has arrived.
    ExcursionEnded {
        /// The hour of the first reading inside.
        hour: u32,
        /// How many minutes it lasted.
        minutes: u32,
    },
    /// It went into other hands.
    HandedOver {
        /// The hour.
        hour: u32,
        /// The new holder.
        to: Holder,
    },
    /// It arrived.
    Delivered {
        /// The hour after its last reading.
        hour: u32,
    },
}

impl ShipmentEvent {
    /// The hour and the temperature, if this is a reading.
    #[must_use]
    pub const fn reading(&self) -> Option<(u32, CentiCelsius)> {
        match *self {
            Self::Logged { hour, temperature } | Self::LoggedOutside { hour, temperature, .. } => {
                Some((hour, temperature))
            }
            _ => None,
        }
    }
}

/// Why a shipment refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// It has not been dispatched yet.
    NotDispatched,
    /// It has been dispatched already.
    AlreadyDispatched,
    /// It has been delivered.
    AlreadyDelivered,
    /// Only who holds it can hand it over.
    NotTheHolder,
    /// It is in those hands already.
    SameHolder,
    /// This hour has been written down already.
    HourPassed,
}

/// The last readings of a shipment, for whoever judges the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Recent {
    /// The temperature last read.
    pub temperature: CentiCelsius,
    /// The hour of that reading.
    pub hour: u32,
    /// How many readings in a row before it were the same.
    pub repeats: u8,
}

/// A shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shipment {
    limits: Limits,
    dispatched: Option<u32>,
    delivered: bool,
    holder: Holder,
    hand_overs: u16,
    // The hour to be written down next.
    next_hour: u32,
    recent: Option<Recent>,
    readings: u32,
    missed: u32,
    // Of the running excursion: when it began and how long it has lasted as far as readings tell.
    outside_since: Option<u32>,
    outside_minutes: u32,
    // Of the excursions that are over.
    past_minutes: u32,
    longest_minutes: u32,
    excursions: u16,
    // The reading that broke the limits most.
    worst: Option<CentiCelsius>,
}

impl Shipment {
    /// The stream of the shipment with this number, counted from 0.
    #[must_use]
    pub fn stream(number: u32) -> StreamId {
        StreamId(u64::from(number).saturating_add(FIRST_STREAM))
    }

    /// The number of the shipment in this stream; `None` if it is no stream of a shipment.
    #[must_use]
    pub fn number(stream: StreamId) -> Option<u32> {
        u32::try_from(stream.0.checked_sub(FIRST_STREAM)?).ok()
    }

    /// The limits to keep.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The hour in which it was dispatched; `None` before.
    #[must_use]
    pub fn dispatched(&self) -> Option<u32> {
        self.dispatched
    }

    /// Whether it has arrived.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.delivered
    }

    /// Whose hands it is in.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// How often it went into other hands.
    #[must_use]
    pub fn hand_overs(&self) -> u16 {
        self.hand_overs
    }

    /// The hour to be written down next.
    #[must_use]
    pub fn next_hour(&self) -> u32 {
        self.next_hour
    }

    /// Its last readings; `None` before the first.
    #[must_use]
    pub fn recent(&self) -> Option<Recent> {
        self.recent
    }

    /// How many readings it has.
    #[must_use]
    pub fn readings(&self) -> u32 {
        self.readings
    }

    /// For how many hours there was no reading to be trusted.
    #[must_use]
    pub fn missed(&self) -> u32 {
        self.missed
    }

    /// The hour in which the running excursion began; `None` within the limits.
    #[must_use]
    pub fn outside_since(&self) -> Option<u32> {
        self.outside_since
    }

    /// Minutes outside the limits in all, the running excursion included as far as it has been read.
    #[must_use]
    pub fn minutes_outside(&self) -> u32 {
        self.past_minutes.saturating_add(self.outside_minutes)
    }

    /// How many minutes the longest excursion lasted, the running one included.
    #[must_use]
    pub fn longest_minutes(&self) -> u32 {
        self.longest_minutes.max(self.outside_minutes)
    }

    /// How many excursions there were, the running one included.
    #[must_use]
    pub fn excursions(&self) -> u16 {
        self.excursions
    }

    /// The reading that broke the limits most; `None` if all kept them.
    #[must_use]
    pub fn worst(&self) -> Option<CentiCelsius> {
        self.worst
    }

    /// Sends it on its way: the first reading is due at `hour`.
    pub fn dispatch(&self, hour: u32, holder: Holder, limits: Limits) -> Result<[ShipmentEvent; 1], Refused> {
        match self.dispatched {
            Some(_) => Err(Refused::AlreadyDispatched),
            None => Ok([ShipmentEvent::Dispatched { hour, holder, limits }]),
        }
    }

    /// Gives it from `from` into the hands of `to`.
    pub fn hand_over(&self, hour: u32, from: Holder, to: Holder) -> Result<[ShipmentEvent; 1], Refused> {
        self.under_way()?;
        if from != self.holder {
            return Err(Refused::NotTheHolder);
        }
        if to == from {
            return Err(Refused::SameHolder);
        }
        Ok([ShipmentEvent::HandedOver { hour, to }])
    }

    /// Takes down the reading of an hour, and what it says about the limits.
    pub fn log(
        &self,
        hour: u32,
        temperature: CentiCelsius,
    ) -> Result<impl Iterator<Item = ShipmentEvent> + use<>, Refused> {
        self.due(hour)?;
        let missed = self.left_out_before(hour);
        let (change, reading) = match (self.limits.allow(temperature), self.outside_since) {
            (true, None) => (None, ShipmentEvent::Logged { hour, temperature }),
            (true, Some(since)) => {
                let minutes = minutes_between(since, hour);
                (Some(ShipmentEvent::ExcursionEnded { hour, minutes }), ShipmentEvent::Logged { hour, temperature })
            }
            (false, None) => (
                Some(ShipmentEvent::ExcursionStarted { hour }),
                ShipmentEvent::LoggedOutside { hour, temperature, minutes: 0 },
            ),
            (false, Some(since)) => {
                let minutes = minutes_between(since, hour);
                (None, ShipmentEvent::LoggedOutside { hour, temperature, minutes })
            }
        };
        Ok(missed.into_iter().chain(change).chain(once(reading)))
    }

    /// Takes down that there was no reading to be trusted up to and including `hour`.
    pub fn miss(&self, hour: u32) -> Result<[ShipmentEvent; 1], Refused> {
        self.due(hour)?;
        Ok([ShipmentEvent::Missed { through: hour }])
    }

    /// Ends it before `hour`, and with it an excursion that still runs.
    pub fn deliver(&self, hour: u32) -> Result<impl Iterator<Item = ShipmentEvent> + use<>, Refused> {
        self.under_way()?;
        let ended = self.outside_since.map(|since| {
            let minutes = minutes_between(since, hour);
            ShipmentEvent::ExcursionEnded { hour, minutes }
        });
        let missed = self.left_out_before(hour);
        Ok(missed.into_iter().chain(ended).chain(once(ShipmentEvent::Delivered { hour })))
    }

    fn under_way(&self) -> Result<(), Refused> {
        match (self.dispatched, self.delivered) {
            (None, _) => Err(Refused::NotDispatched),
            (_, true) => Err(Refused::AlreadyDelivered),
            _ => Ok(()),
        }
    }

    fn left_out_before(&self, hour: u32) -> Option<ShipmentEvent> {
        let through = hour.checked_sub(1).filter(|last| *last >= self.next_hour)?;
        Some(ShipmentEvent::Missed { through })
    }

    fn due(&self, hour: u32) -> Result<(), Refused> {
        self.under_way()?;
        if hour < self.next_hour { Err(Refused::HourPassed) } else { Ok(()) }
    }

    fn read(&mut self, hour: u32, temperature: CentiCelsius) {
        let repeats = match self.recent {
            Some(recent) if recent.temperature == temperature => recent.repeats.saturating_add(1),
            _ => 0,
        };
        self.recent = Some(Recent { temperature, hour, repeats });
        self.readings = self.readings.saturating_add(1);
        self.next_hour = hour.saturating_add(1);
    }
}

/// Streams below this number belong to the device itself.
const FIRST_STREAM: u64 = 0x100;

impl Aggregate for Shipment {
    const KIND: Kind = Kind(1);
    type Event = ShipmentEvent;

    fn apply(&mut self, event: &ShipmentEvent) {
        match *event {
            ShipmentEvent::Dispatched { hour, holder, limits } => {
                self.dispatched = Some(hour);
                self.next_hour = hour;
                self.holder = holder;
                self.limits = limits;
            }
            ShipmentEvent::Logged { hour, temperature } => self.read(hour, temperature),
            ShipmentEvent::LoggedOutside { hour, temperature, minutes } => {
                self.read(hour, temperature);
                self.outside_minutes = minutes;
                let worst = self.worst.map_or(0, |worst| self.limits.excess(worst));
                if self.limits.excess(temperature) > worst {
                    self.worst = Some(temperature);
                }
            }
            ShipmentEvent::Missed { through } => {
                let next = through.saturating_add(1);
                self.missed = self.missed.saturating_add(next.saturating_sub(self.next_hour));
                self.next_hour = next;
            }
            ShipmentEvent::ExcursionStarted { hour } => {
                self.outside_since = Some(hour);
                self.excursions = self.excursions.saturating_add(1);
            }
            ShipmentEvent::ExcursionEnded { minutes, .. } => {
                self.past_minutes = self.past_minutes.saturating_add(minutes);
                self.longest_minutes = self.longest_minutes.max(minutes);
                self.outside_since = None;
                self.outside_minutes = 0;
            }
            ShipmentEvent::HandedOver { to, .. } => {
                self.holder = to;
                self.hand_overs = self.hand_overs.saturating_add(1);
            }
            ShipmentEvent::Delivered { .. } => self.delivered = true,
        }
    }
}

impl Snapshot for Shipment {
    const SCHEMA: u8 = 1;
}

// The state is copied on the stack, the event is passed by value: both stay small.
const _: () = assert!(size_of::<ShipmentEvent>() <= 16 && size_of::<Shipment>() <= 96);
