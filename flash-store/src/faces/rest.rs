//! A walk at rest, between two reads: in a third of the memory of one that goes on.

use super::walk::Walk;
use crate::format::frame::Kept;

/// What of a walk cannot be found again from its sector.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    offset: u32,
    pub(crate) ordinal: u32,
    events: u32,
    end: u32,
    at: u32,
    budget: u32,
    frame: Option<Kept>,
    ahead: Option<Kept>,
    repeated: u8,
    behind_header: bool,
}

impl Rest {
    pub(crate) fn of(walk: &Walk) -> Self {
        Self {
            offset: walk.offset,
            ordinal: walk.ordinal,
            events: walk.events,
            end: walk.end,
            at: walk.at,
            budget: walk.budget,
            frame: walk.frame.as_ref().and_then(Kept::of),
            ahead: walk.ahead.as_ref().and_then(Kept::of),
            // Half of what a byte counts, at most.
            repeated: u8::try_from(walk.repeated).unwrap_or(u8::MAX),
            behind_header: walk.behind_header,
        }
    }

    /// Goes on, with a walk that was just started in the same sector.
    pub(crate) fn resume(&self, walk: Walk) -> Walk {
        Walk {
            offset: self.offset,
            ordinal: self.ordinal,
            events: self.events,
            end: self.end,
            at: self.at,
            budget: self.budget,
            frame: self.frame.as_ref().map(Kept::frame),
            ahead: self.ahead.as_ref().map(Kept::frame),
            repeated: u32::from(self.repeated),
            behind_header: self.behind_header,
            ..walk
        }
    }
}
