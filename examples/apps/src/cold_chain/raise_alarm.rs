//! The policy between shipments and the alarm.

use evenkeel_core::{CodecError, Policy, Record, Tracker};

use super::MINUTES_AN_HOUR;
use super::alarm::{Alarm, AlarmEvent};
use super::shipment::{Shipment, ShipmentEvent};

/// Raises the alarm for an excursion that lasts, once for each, and clears it when the excursion ends.
///
/// It sees records alone: a reading outside the limits says for how long the temperature has been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaiseAlarm {
    /// How many minutes an excursion may last.
    pub after_minutes: u32,
}

impl Policy for RaiseAlarm {
    const TRACKER: Tracker = Tracker(1);
    type Target = Alarm;
    type Reaction = Option<AlarmEvent>;

    fn react(&self, event: &Record<'_>, alarm: &Alarm) -> Result<Option<AlarmEvent>, CodecError> {
        let (Some(number), Some(event)) = (Shipment::number(event.stream), event.event::<Shipment>().transpose()?)
        else {
            return Ok(None);
        };
        Ok(match event {
            ShipmentEvent::LoggedOutside { hour, minutes, .. } if minutes >= self.after_minutes => {
                let hours = minutes.checked_div(MINUTES_AN_HOUR).unwrap_or(0);
                alarm.raise(number, hour.saturating_sub(hours))
            }
            ShipmentEvent::ExcursionEnded { hour, .. } => alarm.clear(number, hour),
            _ => None,
        })
    }
}
