//! The alarm of the device: raised by an excursion that lasts, acknowledged by a person, cleared by its end.

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

/// What happens to the alarm. Wire order: only ever append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AlarmEvent {
    /// It went off.
    Raised {
        /// The number of the shipment.
        shipment: u32,
        /// The hour in which the excursion began.
        since: u32,
    },
    /// Somebody has seen it.
    Acknowledged {
        /// The hour.
        hour: u32,
        /// Who it was.
        by: u16,
    },
    /// What it was raised for is over.
    Cleared {
        /// The hour.
        hour: u32,
    },
}

/// Why the alarm refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// It is not raised.
    NotRaised,
    /// Somebody has seen it already.
    AlreadyAcknowledged,
}

/// What the alarm is raised for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cause {
    /// The number of the shipment.
    pub shipment: u32,
    /// The hour in which the excursion began.
    pub since: u32,
}

/// The alarm of the device. A lamp or a buzzer follows [`rings`](Alarm::rings), so it is right after a reboot too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Alarm {
    cause: Option<Cause>,
    acknowledged_by: Option<u16>,
    raised: u32,
    acknowledged: u32,
}

impl Alarm {
    /// The stream of the device's alarm.
    pub const STREAM: StreamId = StreamId(2);

    /// What it is raised for; `None` if it is not.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Whether it is raised and nobody has seen it yet.
    #[must_use]
    pub fn rings(&self) -> bool {
        self.cause.is_some() && self.acknowledged_by.is_none()
    }

    /// How often it has been raised.
    #[must_use]
    pub fn raised(&self) -> u32 {
        self.raised
    }

    /// How often somebody has acknowledged it.
    #[must_use]
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// Raises it for an excursion, once.
    #[must_use]
    pub fn raise(&self, shipment: u32, since: u32) -> Option<AlarmEvent> {
        (self.cause != Some(Cause { shipment, since })).then_some(AlarmEvent::Raised { shipment, since })
    }

    /// Notes who has seen it.
    pub fn acknowledge(&self, hour: u32, by: u16) -> Result<[AlarmEvent; 1], Refused> {
        match (self.cause, self.acknowledged_by) {
            (None, _) => Err(Refused::NotRaised),
            (_, Some(_)) => Err(Refused::AlreadyAcknowledged),
            _ => Ok([AlarmEvent::Acknowledged { hour, by }]),
        }
    }

    /// Ends it if it is raised for this shipment.
    #[must_use]
    pub fn clear(&self, shipment: u32, hour: u32) -> Option<AlarmEvent> {
        self.cause.filter(|cause| cause.shipment == shipment).map(|_| AlarmEvent::Cleared { hour })
    }
}

impl Aggregate for Alarm {
    const KIND: Kind = Kind(3);
    type Event = AlarmEvent;

    fn apply(&mut self, event: &AlarmEvent) {
        match *event {
            AlarmEvent::Raised { shipment, since } => {
                self.cause = Some(Cause { shipment, since });
                self.acknowledged_by = None;
                self.raised = self.raised.saturating_add(1);
            }
            AlarmEvent::Acknowledged { by, .. } => {
                self.acknowledged_by = Some(by);
                self.acknowledged = self.acknowledged.saturating_add(1);
            }
            AlarmEvent::Cleared { .. } => {
                self.cause = None;
                self.acknowledged_by = None;
            }
        }
    }
}

impl Snapshot for Alarm {
    const SCHEMA: u8 = 1;
}
