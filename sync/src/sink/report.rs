//! What a sink tells of itself.

use core::fmt;

use evenkeel_core::Position;

use crate::wire::{self, Refusal};

/// What a sink is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Phase {
    /// It asks who is there.
    Greeting,
    /// It asks for the schema.
    Describing,
    /// It pulls.
    Reading,
    /// It has everything and tells the device so.
    Committing,
    /// It has everything and the device knows.
    CaughtUp,
    /// It takes what is pushed.
    Listening,
    /// It cannot go on by itself; [`Sink::pull`](crate::Sink::pull) tries again.
    Halted(Halt),
}

/// Why a sink cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Halt {
    /// The store holds positions that the device's log does not have: the log has lost its end without opening a new
    /// epoch. Its next events would take positions that are already names of others.
    Ahead {
        /// Up to where the store has the log.
        cursor: Position,
        /// The position that the log would give to its next event.
        next: Position,
    },
    /// The device has other events than the store under the same names: another board with a copy of the same flash, say.
    /// Quarantine it: nothing of what it sends now is to be trusted to belong to what is stored.
    Diverged {
        /// The difference is after this position.
        from: Position,
        /// And not after this one.
        to: Position,
    },
    /// The next event does not fit a frame.
    FrameTooSmall {
        /// The bytes needed, at most.
        needed: u64,
    },
    /// The device seals its frames with another suite: see [`Seal::SUITE`](crate::Seal::SUITE).
    OtherSuite(u8),
    /// The device understands other versions only: bit n for version n.
    OtherVersion(u8),
}

/// What a frame that came in led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SinkEvent {
    /// Nothing: damaged, not for this sink, out of date, or too early for the room that there is.
    Ignored,
    /// The source said how far its log reaches.
    Head,
    /// New positions are in the store, the last of them is this.
    Applied(Position),
    /// It came too early and waits in memory for what is before it.
    Parked,
    /// Nothing new: it is there already. The source will be told the cursor.
    Duplicate,
    /// The source has sent all that it was allowed to, or all there is.
    Done,
    /// The source has stored the commit.
    Committed(Position),
    /// A relay has the commit, and shall carry it.
    Carried(Position),
    /// A part of the schema is in the store.
    Schema,
    /// The source asks for patience.
    Busy,
    /// The source has at least so many events that nobody has committed.
    Notified(u64),
    /// The source refused.
    Refused(Refusal),
    /// Another device than the one to pull from answered.
    OtherDevice(u64),
}

/// What a sink has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SinkCounters {
    /// Events that went into the store.
    pub events: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Positions declared lost that went into the store.
    pub lost: u64,
    /// Sections and gaps of which something went into the store.
    pub applied: u64,
    /// Sections and gaps of which all was there already.
    pub duplicates: u64,
    /// Sections and gaps that came too early and were kept.
    pub parked: u64,
    /// Sections and gaps that came too early, and for which there was no room.
    pub early: u64,
    /// Frames that were damaged, malformed, or meant for somebody else.
    pub dropped: u64,
    /// Requests repeated because time ran out.
    pub timeouts: u64,
}

impl SinkCounters {
    pub(crate) const NONE: Self = Self {
        events: 0,
        payload_bytes: 0,
        lost: 0,
        applied: 0,
        duplicates: 0,
        parked: 0,
        early: 0,
        dropped: 0,
        timeouts: 0,
    };
}

/// Why a sink could not say what it had to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SinkError<E> {
    /// The store failed.
    Store(E),
    /// The lent frame buffer is too small: [`CONTROL_BYTES_AT_MOST`](wire::CONTROL_BYTES_AT_MOST) are always enough.
    FrameTooSmall,
}

impl<E: fmt::Display> fmt::Display for SinkError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the store failed: {error}"),
            Self::FrameTooSmall => wire::FrameTooSmall.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for SinkError<E> {}
