//! What a simulated device records: facts that no other event of the fleet repeats.

use evenkeel_core::{Aggregate, Kind, Snapshot};
use serde::{Deserialize, Serialize};

/// An event: a fact, which is a number that the device never uses again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MeterEvent {
    /// The device was switched on.
    Booted {
        /// The fact.
        fact: u64,
        /// The number of the boot.
        boot: u32,
    },
    /// Something was measured.
    Read {
        /// The fact.
        fact: u64,
        /// What was measured.
        value: u16,
    },
}

impl MeterEvent {
    /// Its fact.
    pub(crate) fn fact(self) -> u64 {
        match self {
            Self::Booted { fact, .. } | Self::Read { fact, .. } => fact,
        }
    }

    /// The fact in an encoded event; `None` if it is none of these.
    pub(crate) fn fact_in(payload: &[u8]) -> Option<u64> {
        postcard::from_bytes(payload).ok().map(Self::fact)
    }
}

/// A meter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meter {
    events: u32,
    newest: u64,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = MeterEvent;

    fn apply(&mut self, event: &MeterEvent) {
        self.events += 1;
        self.newest = event.fact();
    }
}

impl Snapshot for Meter {
    const SCHEMA: u8 = 1;
}
