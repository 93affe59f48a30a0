//! A compartment: an entity inside the dispenser. It has no stream of its own; its events travel in those of the dispenser,
//! under its place.

use serde::{Deserialize, Serialize};

use super::{Drug, Refused};

/// The most pills that a compartment takes.
pub const CAPACITY: u16 = 30;

/// What happens to a compartment.
///
/// Wire order: only ever append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CompartmentEvent {
    /// Pills were put in.
    Filled {
        /// How many.
        pills: u16,
    },
    /// Pills were given out.
    Dispensed {
        /// How many.
        pills: u16,
    },
}

/// A compartment with pills of one drug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Compartment {
    drug: Drug,
    pills: u16,
    dispensed: u32,
}

impl Compartment {
    /// An empty one for this drug.
    #[must_use]
    pub(super) const fn new(drug: Drug) -> Self {
        Self { drug, pills: 0, dispensed: 0 }
    }

    /// What it is for.
    #[must_use]
    pub fn drug(&self) -> Drug {
        self.drug
    }

    /// How many pills are in it.
    #[must_use]
    pub fn pills(&self) -> u16 {
        self.pills
    }

    /// How many pills it has given out.
    #[must_use]
    pub fn dispensed(&self) -> u32 {
        self.dispensed
    }

    /// Puts pills in.
    pub fn fill(&self, pills: u16) -> Result<CompartmentEvent, Refused> {
        if pills == 0 {
            return Err(Refused::Nothing);
        }
        match self.pills.checked_add(pills) {
            Some(0..=CAPACITY) => Ok(CompartmentEvent::Filled { pills }),
            _ => Err(Refused::TooFull),
        }
    }

    /// Gives out as many of so many pills as there are; `None` if it is empty.
    #[must_use]
    pub fn dispense(&self, wanted: u16) -> Option<CompartmentEvent> {
        let pills = wanted.min(self.pills);
        (pills > 0).then_some(CompartmentEvent::Dispensed { pills })
    }

    /// Takes in one of its events.
    pub(super) fn apply(&mut self, event: &CompartmentEvent) {
        match *event {
            CompartmentEvent::Filled { pills } => self.pills = self.pills.saturating_add(pills),
            CompartmentEvent::Dispensed { pills } => {
                self.pills = self.pills.saturating_sub(pills);
                self.dispensed = self.dispensed.saturating_add(u32::from(pills));
            }
        }
    }
}
