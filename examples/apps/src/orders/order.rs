//! One order.

use evenkeel_core::{Aggregate, Kind, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

/// What happens to an order. Wire order: only ever append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OrderEvent {
    /// Somebody wants so many units.
    Placed {
        /// How many.
        units: u16,
    },
    /// They were put aside.
    Reserved,
    /// They were paid.
    Paid {
        /// What was paid.
        cents: u32,
    },
    /// There are not as many.
    Rejected {
        /// How many there are.
        left: u16,
    },
}

/// Why an order refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// It has been placed before.
    AlreadyPlaced,
    /// It is not waiting for this.
    NotDue,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Order {
    units: u16,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    #[default]
    None,
    Placed,
    Reserved,
    Paid,
    Rejected,
}

impl Order {
    const STREAMS: u64 = 0x1_0000;

    /// The stream of the order with this number.
    #[must_use]
    pub const fn stream(number: u16) -> StreamId {
        StreamId(Self::STREAMS | number as u64)
    }

    /// The number of the order with this stream, if it is one.
    #[must_use]
    pub fn number(stream: StreamId) -> Option<u16> {
        u16::try_from(stream.0.checked_sub(Self::STREAMS)?).ok()
    }

    /// How many units it is for.
    #[must_use]
    pub fn units(&self) -> u16 {
        self.units
    }

    /// Whether everything is done about it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_paid() || self.is_rejected()
    }

    /// Whether it was reserved and paid.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.state == State::Paid
    }

    /// Whether it could not be reserved.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.state == State::Rejected
    }

    /// Places it.
    pub fn place(&self, units: u16) -> Result<[OrderEvent; 1], Refused> {
        if self.state == State::None { Ok([OrderEvent::Placed { units }]) } else { Err(Refused::AlreadyPlaced) }
    }

    /// Takes note that its units were put aside.
    pub fn reserved(&self) -> Result<[OrderEvent; 1], Refused> {
        if self.state == State::Placed { Ok([OrderEvent::Reserved]) } else { Err(Refused::NotDue) }
    }

    /// Takes note that it was paid.
    pub fn paid(&self, cents: u32) -> Result<[OrderEvent; 1], Refused> {
        if self.state == State::Reserved { Ok([OrderEvent::Paid { cents }]) } else { Err(Refused::NotDue) }
    }

    /// Takes note that there are too few units.
    pub fn rejected(&self, left: u16) -> Result<[OrderEvent; 1], Refused> {
        if self.state == State::Placed { Ok([OrderEvent::Rejected { left }]) } else { Err(Refused::NotDue) }
    }
}

impl Aggregate for Order {
    const KIND: Kind = Kind(11);
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        self.state = match *event {
            OrderEvent::Placed { units } => {
                self.units = units;
                State::Placed
            }
            OrderEvent::Reserved => State::Reserved,
            OrderEvent::Paid { .. } => State::Paid,
            OrderEvent::Rejected { .. } => State::Rejected,
        };
    }
}

impl Snapshot for Order {
    const SCHEMA: u8 = 1;
}
