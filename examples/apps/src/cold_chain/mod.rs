//! The monitor of a refrigerated shipment.
//!
//! The device rides along in the container. Once an hour it takes a temperature, judges whether the probe can
//! be trusted, and writes down what follows: that the cargo is fine, that it has left its limits, that an alarm
//! is due because it stayed outside for long. Shipments follow one another; the finished ones become history.
//!
//! | module | subject | stream |
//! | --- | --- | --- |
//! | [`shipment`] | one shipment: limits, readings, excursions, hand-overs | `0x100 +` its number |
//! | [`sensor`] | the probe: calibration, faults | `1` |
//! | [`alarm`] | the alarm lamp of the device | `2` |
//! | [`raise_alarm`] | policy: an excursion that lasts raises the alarm, its end clears it | |
//! | [`time_out_of_range`] | projection: how long, how often, in whose hands | |
//! | [`monitor`] | all of it over one log | |
//! | [`input`] | a year of weather and the container that stands in it | |
//!
//! Hours are counted by the driver from whatever beginning it likes, temperatures are hundredths of a degree
//! Celsius.
//!
//! ```
//! use evenkeel_apps::cold_chain::{Config, Monitor};
//! use evenkeel_core::{Log, RamLog};
//!
//! let mut scratch = [0; 512];
//! let log = Log::mount(RamLog::<_, 8, 2>::new([0; 4096]), &mut scratch).unwrap();
//! let mut monitor = Monitor::start(log, Config::default()).unwrap();
//! for (hour, celsius) in (monitor.next_hour()..).zip([500, 510, 870, 920, 930, 940, 950, 700]) {
//!     monitor.record(hour, celsius).unwrap();
//! }
//! assert_eq!(monitor.shipment().excursions(), 1);
//! assert_eq!(monitor.totals().unwrap().alarms, 1);
//! ```

pub mod alarm;
mod error;
pub mod input;
pub mod monitor;
pub mod raise_alarm;
pub mod sensor;
pub mod shipment;
pub mod time_out_of_range;

pub use alarm::{Alarm, AlarmEvent};
pub use error::MonitorError;
pub use monitor::{Config, Monitor, Recorded, Totals};
pub use raise_alarm::RaiseAlarm;
pub use sensor::{Fault, Sensor, SensorEvent};
pub use shipment::{Limits, Shipment, ShipmentEvent};
pub use time_out_of_range::TimeOutOfRange;

/// A temperature in hundredths of a degree Celsius: 523 is 5.23 °C.
pub type CentiCelsius = i16;

/// Who holds a shipment: a number from the carrier's own register.
pub type Holder = u16;

/// Minutes between two readings.
pub const MINUTES_AN_HOUR: u32 = 60;

/// Minutes from hour `from` to hour `to`; 0 if `to` is earlier.
pub(crate) fn minutes_between(from: u32, to: u32) -> u32 {
    to.saturating_sub(from).saturating_mul(MINUTES_AN_HOUR)
}
