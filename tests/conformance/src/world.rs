//! The aggregate of the cases: the world of the Python library's first pages.

use evenkeel_core::{Aggregate, Kind, Moment, Snapshot};
use serde::{Deserialize, Serialize};

/// Who rules it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ruler {
    /// As in the beginning.
    Gods,
    /// As in the end.
    Money,
}

/// What can happen in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Large ones.
    Dinosaurs,
    /// Small ones.
    Trucks,
    /// Many of them.
    Internet,
}

/// What has happened to it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorldEvent {
    /// It began.
    Created(Moment, Ruler),
    /// Something took place.
    Happened(Moment, What),
    /// Another ruler came.
    Ruled(Moment, Ruler),
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It has begun already.
    Exists,
    /// It has not begun yet.
    DoesNotExist,
    /// No more can happen.
    HistoryEnds,
}

/// How much can happen in a world.
pub const HISTORY: usize = 8;

/// A world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// Who rules it; nobody before it was created.
    pub ruler: Option<Ruler>,
    /// What took place, in order.
    pub history: [Option<What>; HISTORY],
    /// When it was created.
    pub created: Moment,
    /// When its last event happened.
    pub modified: Moment,
}

/// The worlds' stream in most cases.
pub const WORLD: u64 = 0x0BAD_5EED_0BAD_5EED;

/// A tick of the first boot.
#[must_use]
pub fn at(tick: u64) -> Moment {
    Moment { boot: 1, tick }
}

impl Aggregate for World {
    const KIND: Kind = Kind(1);
    type Event = WorldEvent;

    fn apply(&mut self, event: &WorldEvent) {
        match *event {
            WorldEvent::Created(moment, ruler) => {
                (self.created, self.modified, self.ruler) = (moment, moment, Some(ruler));
            }
            WorldEvent::Happened(moment, what) => {
                if let Some(free) = self.history.iter_mut().find(|place| place.is_none()) {
                    *free = Some(what);
                }
                self.modified = moment;
            }
            WorldEvent::Ruled(moment, ruler) => (self.modified, self.ruler) = (moment, Some(ruler)),
        }
    }
}

impl Snapshot for World {
    const SCHEMA: u8 = 1;
    const PERIOD: u32 = 2;
}

impl World {
    /// Begins it.
    ///
    /// # Errors
    /// It has begun already.
    pub fn create(&self, moment: Moment) -> Result<[WorldEvent; 1], Refused> {
        match self.ruler {
            Some(_) => Err(Refused::Exists),
            None => Ok([WorldEvent::Created(moment, Ruler::Gods)]),
        }
    }

    /// Makes something happen.
    ///
    /// # Errors
    /// It has not begun yet, or no more can happen.
    pub fn make(&self, moment: Moment, what: What) -> Result<[WorldEvent; 1], Refused> {
        match (self.ruler, self.history.last()) {
            (None, _) => Err(Refused::DoesNotExist),
            (_, Some(Some(_))) => Err(Refused::HistoryEnds),
            _ => Ok([WorldEvent::Happened(moment, what)]),
        }
    }

    /// Puts another ruler in.
    ///
    /// # Errors
    /// It has not begun yet.
    pub fn rule(&self, moment: Moment, ruler: Ruler) -> Result<Option<WorldEvent>, Refused> {
        match self.ruler {
            None => Err(Refused::DoesNotExist),
            Some(now) => Ok((now != ruler).then_some(WorldEvent::Ruled(moment, ruler))),
        }
    }

    /// How much has happened in it.
    #[must_use]
    pub fn happened(&self) -> usize {
        self.history.iter().flatten().count()
    }
}

/// Another type of aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moon;

impl Aggregate for Moon {
    const KIND: Kind = Kind(2);
    type Event = u8;

    fn apply(&mut self, _: &u8) {}
}

impl Snapshot for Moon {
    const SCHEMA: u8 = 1;
}
