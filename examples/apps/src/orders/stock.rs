//! What is in the machine.

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

/// What happens to the stock. Wire order: only ever append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StockEvent {
    /// Units were put in.
    Filled {
        /// How many.
        units: u16,
    },
    /// Units were put aside for an order.
    Taken {
        /// How many.
        units: u16,
    },
}

/// There are fewer units than were wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooFew {
    /// How many there are.
    pub left: u16,
}

/// The units in the machine that nobody has ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stock {
    units: u16,
}

impl Stock {
    /// The stream of the machine's stock.
    pub const STREAM: StreamId = StreamId(1);

    /// How many there are.
    #[must_use]
    pub fn units(&self) -> u16 {
        self.units
    }

    /// Puts units in.
    #[must_use]
    pub fn fill(&self, units: u16) -> [StockEvent; 1] {
        [StockEvent::Filled { units: units.min(u16::MAX.saturating_sub(self.units)) }]
    }

    /// Puts units aside.
    pub fn take(&self, units: u16) -> Result<[StockEvent; 1], TooFew> {
        if units <= self.units { Ok([StockEvent::Taken { units }]) } else { Err(TooFew { left: self.units }) }
    }
}

impl Aggregate for Stock {
    const KIND: Kind = Kind(12);
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) {
        self.units = match *event {
            StockEvent::Filled { units } => self.units.saturating_add(units),
            StockEvent::Taken { units } => self.units.saturating_sub(units),
        };
    }
}

impl Snapshot for Stock {
    const SCHEMA: u8 = 1;
}
