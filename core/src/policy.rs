//! Policies: what follows from events, decided exactly once.

use crate::codec::CodecError;
use crate::{Aggregate, Position, Record, Tracker};

/// Reacts to the events of a log with events of one aggregate.
///
/// The reaction and the position up to which the log has been seen are one append: after a power cut at any
/// instant an event has been reacted to once or is about to be, never twice. What a policy does *besides*
/// (switching a relay, say) is at least once: derive it from the aggregate's state.
///
/// The tracker's stored position moves with a reaction, and without one every
/// [`CHECKPOINT`](Policy::CHECKPOINT) events; after a reboot at most that many events are looked at again, and a
/// policy that reacted to none of them then will not now, as `react` must depend on its arguments alone.
pub trait Policy {
    /// Where the reading place is stored. Each policy needs its own.
    const TRACKER: Tracker;
    /// After how many events without a reaction the reading place is stored.
    const CHECKPOINT: u32 = 64;
    /// The aggregate that the reaction belongs to.
    type Target: Aggregate;
    /// The events that follow, such as an `Option` or an array of them.
    type Reaction: IntoIterator<Item = <Self::Target as Aggregate>::Event>;

    /// What follows from this event, given the state of the target.
    fn react(&self, event: &Record<'_>, target: &Self::Target) -> Result<Self::Reaction, CodecError>;
}

/// A policy at work: with the place up to which it has read.
#[derive(Debug, Clone)]
pub struct Process<P> {
    pub(crate) policy: P,
    pub(crate) seen: Option<Position>,
    /// Where the tracker was left, if `seen` is something.
    pub(crate) stored: Position,
}

impl<P: Policy> Process<P> {
    /// Starts from wherever the policy's tracker stands in the log.
    pub fn new(policy: P) -> Self {
        Self { policy, seen: None, stored: Position::START }
    }

    /// Up to where it has read since it was made; `None` before its first run and after an error.
    pub fn seen(&self) -> Option<Position> {
        self.seen
    }
}

/// What one run of a process came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Processed {
    /// How many events were looked at.
    pub seen: u32,
    /// How many events were appended in reaction.
    pub reactions: u32,
    /// How many positions were passed over because their events are gone.
    pub lost: u64,
}

impl Processed {
    pub(crate) fn add(&mut self, more: Self) {
        self.seen = self.seen.saturating_add(more.seen);
        self.reactions = self.reactions.saturating_add(more.reactions);
        self.lost = self.lost.saturating_add(more.lost);
    }
}
