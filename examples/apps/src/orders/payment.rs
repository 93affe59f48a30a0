//! What was paid for an order.

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

/// Money was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Paid {
    /// The number of the order.
    pub order: u16,
    /// How much.
    pub cents: u32,
}

/// The payment of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Payment {
    cents: u32,
}

impl Payment {
    /// The stream of the payment of the order with this number.
    #[must_use]
    pub const fn stream(order: u16) -> StreamId {
        StreamId(0x3_0000 | order as u64)
    }

    /// How much was paid.
    #[must_use]
    pub fn cents(&self) -> u32 {
        self.cents
    }
}

impl Aggregate for Payment {
    const KIND: Kind = Kind(14);
    type Event = Paid;

    fn apply(&mut self, event: &Paid) {
        self.cents = event.cents;
    }
}

impl Snapshot for Payment {
    const SCHEMA: u8 = 1;
}
