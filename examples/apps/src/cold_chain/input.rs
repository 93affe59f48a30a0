//! What the monitor measures in the demonstration: a year of real weather, and a modelled container in it.
//!
//! # The container
//!
//! The cargo's temperature is one number that three things pull at, hour after hour, in whole thousandths of a
//! degree, so that every machine computes the same:
//!
//! - **The walls leak.** Each hour the cargo comes 1/24 of the way closer to the temperature outside.
//! - **The doors open** for an hour at 9 and at 16 o'clock on five days of seven, and it comes another 1/10 closer.
//! - **The unit cools (or heats)** half of the way towards 4.8 °C each hour. On one day in ten it stands still
//!   from 10 o'clock for 2 to 12 hours (a ferry, a refuelling, a defect), and on one day in forty its
//!   thermostat sticks for as long: then it goes on cooling towards -1 °C, a sixth of the way each hour.
//!   Which days these are is a hash of the day's number.
//!
//! # The probe
//!
//! It reads 0.25 °C too high, which its calibration takes back. Every 4,300 hours its plug is loose for two
//! hours, when it reads the lowest number there is, and every 2,900 hours it freezes for ten hours and repeats
//! what it read before. One hour of each file is missing as it is: the one in
//! which summer time began.

use super::CentiCelsius;

/// Hourly temperatures of Seattle, one year. See `data/README.md`.
pub const SEATTLE_CSV: &str = include_str!("../../data/seattle-temps.csv");

/// Hourly temperatures of San Francisco, one year. See `data/README.md`.
pub const SAN_FRANCISCO_CSV: &str = include_str!("../../data/sf-temps.csv");

/// Hours in a year that is no leap year.
pub const HOURS_A_YEAR: u32 = 365 * 24;

/// What the probe reads too much, in hundredths of a degree: a good calibration is the negative of it.
pub const PROBE_ERROR: CentiCelsius = 25;

/// What a probe with a loose plug reads.
pub const NO_CONTACT: CentiCelsius = CentiCelsius::MIN;

/// One row of weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Hours since the beginning: of the year in [`row`], of the journey in a [`Sample`].
    pub hour: u32,
    /// The temperature outside, in hundredths of a degree Celsius.
    pub ambient: CentiCelsius,
}

/// What the container's hour comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Hours since the beginning of the journey.
    pub hour: u32,
    /// The temperature outside, in hundredths of a degree Celsius.
    pub ambient: CentiCelsius,
    /// The true temperature of the cargo.
    pub cargo: CentiCelsius,
    /// What the probe reads.
    pub raw: CentiCelsius,
}

/// Degrees Fahrenheit in tenths as hundredths of a degree Celsius, rounded to the nearest.
#[must_use]
pub fn fahrenheit_to_centi_celsius(tenths: i16) -> CentiCelsius {
    // 10/9 of the distance from 32 °F, times 50 for the units; twice as much, to round with halves.
    let doubled = i32::from(tenths).saturating_sub(320).saturating_mul(100);
    let rounded = doubled.saturating_add(if doubled < 0 { -9 } else { 9 }) / 18;
    CentiCelsius::try_from(rounded).unwrap_or(if rounded < 0 { CentiCelsius::MIN } else { CentiCelsius::MAX })
}

/// Reads a decimal number with at most one digit after the point, such as `39.4`, as tenths.
#[must_use]
pub fn tenths(text: &str) -> Option<i16> {
    let (sign, digits) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1_i16, rest),
        None => (1, text.trim()),
    };
    let (whole, tenth) = digits.split_once('.').unwrap_or((digits, "0"));
    if tenth.len() != 1 || ![whole, tenth].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let whole = whole.parse::<i16>().ok()?.checked_mul(10)?;
    whole.checked_add(tenth.parse().ok()?)?.checked_mul(sign)
}

/// The hours since the beginning of its year of a date such as `2010/03/14 04:00`, with or without seconds.
#[must_use]
pub fn hour_of_year(date: &str) -> Option<u32> {
    let (day, time) = date.trim().split_once(' ')?;
    let mut parts = day.split('/').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let hour = time.split(':').next()?.parse::<u32>().ok()?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.iter().take(usize::try_from(month.checked_sub(1)?).ok()?).sum::<u32>();
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 {
        return None;
    }
    Some(before.saturating_add(day).saturating_sub(1).saturating_mul(24).saturating_add(hour))
}

/// Reads a row of two columns, one of them a date and the other degrees Fahrenheit; `None` for a heading.
#[must_use]
pub fn row(columns: [&str; 2]) -> Option<Observation> {
    let [one, two] = columns;
    let (date, temperature) = if one.contains('/') { (one, two) } else { (two, one) };
    Some(Observation { hour: hour_of_year(date)?, ambient: fahrenheit_to_centi_celsius(tenths(temperature)?) })
}

/// The rows of a file of one year whose first hour is `first_hour` of the journey. Lines that are no rows are
/// passed over.
pub fn observations(csv: &str, first_hour: u32) -> impl Iterator<Item = Observation> {
    csv.lines().filter_map(move |line| {
        let (one, two) = line.split_once(',')?;
        let Observation { hour, ambient } = row([one, two])?;
        Some(Observation { hour: hour.saturating_add(first_hour), ambient })
    })
}

/// A year in Seattle, then a year in San Francisco: 17,518 hours of a container.
pub fn two_years() -> impl Iterator<Item = Sample> {
    journey(observations(SEATTLE_CSV, 0).chain(observations(SAN_FRANCISCO_CSV, HOURS_A_YEAR)))
}

/// What a container and its probe make of this weather.
pub fn journey(weather: impl Iterator<Item = Observation>) -> impl Iterator<Item = Sample> {
    let mut container = Container::default();
    let mut probe = Probe::default();
    weather.map(move |Observation { hour, ambient }| {
        let cargo = container.refrigerated(ambient, hour);
        Sample { hour, ambient, cargo, raw: probe.read(cargo, hour) }
    })
}

/// The container: see the [module](self) for what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    // In thousandths of a degree Celsius.
    cargo: i32,
}

const SET_POINT: i32 = 4_800;
const OVERCOOLED: i32 = -1_000;

impl Default for Container {
    fn default() -> Self {
        Self { cargo: SET_POINT }
    }
}

impl Container {
    /// Lets an hour pass with this temperature outside; answers the temperature of the cargo after it.
    pub fn refrigerated(&mut self, ambient: CentiCelsius, hour: u32) -> CentiCelsius {
        let (day, hour_of_day) = (hour / 24, hour % 24);
        let dice = scramble(day);
        let trouble = (10..12_u32.saturating_add((dice >> 8) % 11)).contains(&hour_of_day);
        let distance = i32::from(ambient).saturating_mul(10).saturating_sub(self.cargo);
        let mut change = distance.div_euclid(24);
        if day % 7 < 5 && matches!(hour_of_day, 9 | 16) {
            change = change.saturating_add(distance.div_euclid(10));
        }
        let unit = if trouble && dice.is_multiple_of(10) {
            0
        } else if trouble && dice % 40 == 1 {
            OVERCOOLED.saturating_sub(self.cargo).div_euclid(6)
        } else {
            SET_POINT.saturating_sub(self.cargo).div_euclid(2)
        };
        self.cargo = self.cargo.saturating_add(change).saturating_add(unit);
        CentiCelsius::try_from(self.cargo.div_euclid(10)).unwrap_or(CentiCelsius::MAX)
    }
}

/// The probe in the cargo: see the [module](self) for what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    last: CentiCelsius,
}

impl Probe {
    /// What the probe reads at this true temperature.
    pub fn read(&mut self, cargo: CentiCelsius, hour: u32) -> CentiCelsius {
        if matches!(hour % 4_300, 777 | 778) {
            return NO_CONTACT;
        }
        if !(1_200..1_210).contains(&(hour % 2_900)) {
            self.last = cargo.saturating_add(PROBE_ERROR);
        }
        self.last
    }
}

/// Mixes the bits of a number (the finalizer of MurmurHash3).
fn scramble(number: u32) -> u32 {
    let mut x = number.wrapping_add(0x9E37_79B9);
    x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}
