//! Who a log belongs to.

use core::fmt;

use evenkeel_core::{Epoch, LogId};

/// Names one life of one log of one device: with a position it names one event in the world, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SourceIdentity {
    /// The device: a serial number, an EUI-64, anything that no other device of the fleet has.
    pub device: u64,
    /// Which of its logs.
    pub log: LogId,
    /// Which life of that log.
    pub epoch: Epoch,
}

impl SourceIdentity {
    /// Nobody's log.
    pub(crate) const NOBODY: Self = Self { device: 0, log: LogId(0), epoch: Epoch(0) };
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {:016x} log {} epoch {}", self.device, self.log, self.epoch)
    }
}
