//! What was put aside for an order.

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

/// Units were put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reserved {
    /// The number of the order.
    pub order: u16,
    /// How many.
    pub units: u16,
}

/// The reservation for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reservation {
    units: u16,
}

impl Reservation {
    /// The stream of the reservation for the order with this number.
    #[must_use]
    pub const fn stream(order: u16) -> StreamId {
        StreamId(0x2_0000 | order as u64)
    }

    /// How many units were put aside.
    #[must_use]
    pub fn units(&self) -> u16 {
        self.units
    }
}

impl Aggregate for Reservation {
    const KIND: Kind = Kind(13);
    type Event = Reserved;

    fn apply(&mut self, event: &Reserved) {
        self.units = event.units;
    }
}

impl Snapshot for Reservation {
    const SCHEMA: u8 = 1;
}
