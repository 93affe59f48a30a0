//! What happens in all of the event-sourcing workloads: something is counted.

use core::convert::Infallible;

use evenkeel_core::{Aggregate, Kind, Snapshot};
use serde::{Deserialize, Serialize};

/// What can be counted. Encoded, an event is one byte, which tells which of them it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Counted {
    /// One more.
    Up,
    /// One less.
    Down,
}

/// A count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) ups: u64,
    pub(super) downs: u64,
}

impl Aggregate for Tally {
    const KIND: Kind = Kind(1);
    type Event = Counted;

    fn apply(&mut self, event: &Counted) {
        match event {
            Counted::Up => self.ups += 1,
            Counted::Down => self.downs += 1,
        }
    }
}

impl Snapshot for Tally {
    const SCHEMA: u8 = 1;
}

impl Tally {
    /// The command of all workloads: every third goes down.
    pub(super) fn count(&self) -> Result<[Counted; 1], Infallible> {
        Ok([if (self.ups + self.downs) % 3 == 2 { Counted::Down } else { Counted::Up }])
    }

    /// How many events it has seen.
    pub(super) fn events(&self) -> u64 {
        self.ups + self.downs
    }
}
