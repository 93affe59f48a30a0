//! A pill dispenser: an aggregate with entities inside it.
//!
//! The dispenser is the root: everything goes through its commands, and what holds over all compartments is decided there
//! (a dose may come from several of them, and is given whole or not at all). Each compartment is an entity with
//! decisions of its own; its events are wrapped into events of the dispenser, under its place.
//!
//! Its stream is made of its serial number as text ([`Dispenser::stream`]); two dispensers are changed in one batch by
//! [`hand_over`]; one that is scrapped gives out what it holds with its last event.
//!
//! ```
//! use evenkeel_apps::dispenser::{Dispenser, Drug, hand_over};
//! use evenkeel_core::{Log, RamLog, Root};
//!
//! let mut scratch = [0; 512];
//! let mut log = Log::mount(RamLog::<_, 8, 2>::new([0; 1024]), &mut scratch).unwrap();
//! let [mut ward, mut lab] = ["WARD-7", "LAB-1"].map(|serial| Root::<Dispenser>::new(Dispenser::stream(serial)));
//! for dispenser in [&mut ward, &mut lab] {
//!     log.execute(dispenser, |dispenser| dispenser.fit(0, Drug(300))).unwrap();
//! }
//! log.execute(&mut ward, |ward| ward.fill(0, 20)).unwrap();
//! hand_over(&mut log, &mut ward, &mut lab, Drug(300), 5).unwrap();
//! assert_eq!((ward.stock(Drug(300)), lab.stock(Drug(300))), (15, 5));
//! ```

mod compartment;

use core::array::{self, from_fn};
use core::iter::Flatten;

use evenkeel_core::error::ExecuteError;
use evenkeel_core::{Aggregate, Appended, Kind, Log, RecordManager, Root, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

pub use compartment::{CAPACITY, Compartment, CompartmentEvent};

/// How many compartments a dispenser has room for.
pub const PLACES: usize = 4;

/// Events, at most one of each place.
pub type Facts = Flatten<array::IntoIter<Option<DispenserEvent>, PLACES>>;

/// A drug, by its number in the pharmacy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Drug(pub u16);

/// What happens to a dispenser.
///
/// Wire order: only ever append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DispenserEvent {
    /// A compartment was put in.
    Fitted {
        /// Where.
        place: u8,
        /// What for.
        drug: Drug,
    },
    /// Something happened to a compartment.
    Compartment {
        /// Where it is.
        place: u8,
        /// What it was.
        event: CompartmentEvent,
    },
    /// A compartment was taken out, with what was in it.
    Removed {
        /// Where it was.
        place: u8,
    },
}

/// Why a dispenser refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// There is no such place, or nothing in it.
    NoCompartment,
    /// There is a compartment already.
    Occupied,
    /// No pills.
    Nothing,
    /// A compartment does not take so many.
    TooFull,
    /// There are not so many of this drug in all compartments together.
    NotEnough,
}

/// A dispenser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dispenser {
    compartments: [Option<Compartment>; PLACES],
}

impl Dispenser {
    /// The stream of the dispenser with this serial number.
    #[must_use]
    pub const fn stream(serial: &str) -> StreamId {
        StreamId::named(Self::KIND, serial.as_bytes())
    }

    /// The compartment at this place.
    #[must_use]
    pub fn compartment(&self, place: u8) -> Option<&Compartment> {
        self.compartments.get(usize::from(place))?.as_ref()
    }

    /// How many pills of this drug are in all compartments together.
    #[must_use]
    pub fn stock(&self, drug: Drug) -> u16 {
        self.of(drug).fold(0, |sum, (_, compartment)| sum.saturating_add(compartment.pills()))
    }

    /// Puts a compartment in.
    pub fn fit(&self, place: u8, drug: Drug) -> Result<[DispenserEvent; 1], Refused> {
        match self.compartments.get(usize::from(place)) {
            None => Err(Refused::NoCompartment),
            Some(Some(_)) => Err(Refused::Occupied),
            Some(None) => Ok([DispenserEvent::Fitted { place, drug }]),
        }
    }

    /// Puts pills into a compartment.
    pub fn fill(&self, place: u8, pills: u16) -> Result<[DispenserEvent; 1], Refused> {
        let event = self.compartment(place).ok_or(Refused::NoCompartment)?.fill(pills)?;
        Ok([DispenserEvent::Compartment { place, event }])
    }

    /// Gives out a dose, out of as many compartments as it takes; all of it or nothing.
    pub fn dispense(&self, drug: Drug, pills: u16) -> Result<Facts, Refused> {
        if pills == 0 {
            return Err(Refused::Nothing);
        }
        let (mut events, mut wanted) = ([None; PLACES], pills);
        for (slot, (place, compartment)) in events.iter_mut().zip(self.of(drug)) {
            if let Some(event @ CompartmentEvent::Dispensed { pills }) = compartment.dispense(wanted) {
                wanted = wanted.saturating_sub(pills);
                *slot = Some(DispenserEvent::Compartment { place, event });
            }
        }
        if wanted > 0 { Err(Refused::NotEnough) } else { Ok(events.into_iter().flatten()) }
    }

    /// Takes pills in, into as many compartments of this drug as it takes; all of them or none.
    pub fn take_in(&self, drug: Drug, pills: u16) -> Result<Facts, Refused> {
        let (mut events, mut left) = ([None; PLACES], pills);
        for (slot, (place, compartment)) in events.iter_mut().zip(self.of(drug)) {
            let fits = left.min(CAPACITY.saturating_sub(compartment.pills()));
            if let Ok(event) = compartment.fill(fits) {
                left = left.saturating_sub(fits);
                *slot = Some(DispenserEvent::Compartment { place, event });
            }
        }
        if left > 0 { Err(Refused::TooFull) } else { Ok(events.into_iter().flatten()) }
    }

    /// Takes a compartment out.
    pub fn remove(&self, place: u8) -> Result<[DispenserEvent; 1], Refused> {
        self.compartment(place).ok_or(Refused::NoCompartment)?;
        Ok([DispenserEvent::Removed { place }])
    }

    /// Takes all compartments out: what is done last, before a dispenser is scrapped.
    pub fn strip(&self) -> Facts {
        let removed = |place| self.remove(u8::try_from(place).ok()?).ok().map(|[removed]| removed);
        from_fn(removed).into_iter().flatten()
    }

    fn of(&self, drug: Drug) -> impl Iterator<Item = (u8, &Compartment)> {
        let fitted = (0_u8..).zip(&self.compartments).filter_map(|(place, one)| Some((place, one.as_ref()?)));
        fitted.filter(move |(_, compartment)| compartment.drug() == drug)
    }
}

impl Aggregate for Dispenser {
    const KIND: Kind = Kind(16);
    type Event = DispenserEvent;

    fn apply(&mut self, event: &DispenserEvent) {
        let (DispenserEvent::Fitted { place, .. }
        | DispenserEvent::Compartment { place, .. }
        | DispenserEvent::Removed { place }) = *event;
        let Some(compartment) = self.compartments.get_mut(usize::from(place)) else { return };
        match (event, compartment) {
            (DispenserEvent::Fitted { drug, .. }, compartment) => *compartment = Some(Compartment::new(*drug)),
            (DispenserEvent::Compartment { event, .. }, Some(compartment)) => compartment.apply(event),
            (DispenserEvent::Compartment { .. }, None) => {}
            (DispenserEvent::Removed { .. }, compartment) => *compartment = None,
        }
    }
}

impl Snapshot for Dispenser {
    const SCHEMA: u8 = 1;
    const PERIOD: u32 = 32;
}

/// Moves pills from one dispenser to another, as one: after a power cut at any instant they are in the one or in the other.
pub fn hand_over<R: RecordManager>(
    log: &mut Log<'_, R>,
    from: &mut Root<Dispenser>,
    to: &mut Root<Dispenser>,
    drug: Drug,
    pills: u16,
) -> Result<Appended, ExecuteError<Refused, R::Error>> {
    log.execute_all((from, to), |(from, to)| Ok((from.dispense(drug, pills)?, to.take_in(drug, pills)?)))
}
