//! Coordinates in a log, each a type of its own, so that an offset can never be passed as a version.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The type of an aggregate, as it is written to flash with the first event of a stream in each sector.
///
/// Give every aggregate type of an application its own number and never reuse the number of a type that
/// devices in the field have written: [`distinct_kinds!`](crate::distinct_kinds) checks it for the types of today when
/// the program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Kind(pub u8);

/// The identity of one aggregate: a serial number, an EUI-64, a MAC address or any other 64-bit number.
///
/// One number names one stream, whatever its [`Kind`]: loading it as another type is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamId(pub u64);

/// How many events a stream has: 0 before the first, 1 after it.
///
/// The version *of an event* is the version of its stream once the event is in it, so the first event has
/// version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version(pub u32);

/// The place of an event in the notification log: 1 for the first event of the log, without holes.
///
/// As a place to read on from it means "everything up to here has been seen", so [`Position::START`] comes
/// before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Position(pub u64);

/// The name of a stored reading place: of the uplink, of a policy, of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tracker(pub u8);

/// Which life of the log a record belongs to.
///
/// The upper 32 bits count the lives of the log on this device, the lower 32 bits are random, so that two
/// lives never share a number even if the counter was lost. A new epoch opens whenever the log is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Epoch(pub u64);

/// Which log of a device: most have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LogId(pub u16);

/// A moment as the application counts it: which boot, and ticks since that boot.
///
/// The library never reads a clock; what a tick is, is the application's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Moment {
    /// The number of the boot, counted by the application.
    pub boot: u32,
    /// Ticks since that boot.
    pub tick: u64,
}

impl Kind {
    /// Of what the library itself stores: no aggregate's.
    pub const RESERVED: Self = Self(u8::MAX);
}

impl Version {
    /// Before the first event.
    pub const NONE: Self = Self(0);
    /// The highest version a stream can reach.
    pub const MAX: Self = Self(u32::MAX);

    /// The version after one more event; stays at [`Version::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Position {
    /// Before the first event of the log.
    pub const START: Self = Self(0);

    /// The position after this one; stays at the highest.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position `count` further on; stays at the highest.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The position before this one; stays at [`Position::START`].
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many positions lie between `earlier` and this one; 0 if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Epoch {
    /// The epoch with this counter and these random bits.
    #[must_use]
    pub const fn new(counter: u32, random: u32) -> Self {
        Self(((counter as u64) << 32) | random as u64)
    }

    /// How many lives the log has had on this device.
    #[must_use]
    pub const fn counter(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl From<u64> for StreamId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

macro_rules! shown_as_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
shown_as_number!(Kind, StreamId, Version, Position, Tracker, LogId);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.counter(), self.0 & 0xFFFF_FFFF)
    }
}
