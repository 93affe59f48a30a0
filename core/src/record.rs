//! What a record manager keeps and hands out.

use crate::{Kind, Position, StreamId, Version};

/// One stored event (or the state of a snapshot), as stored: undecoded, lent from the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record<'a> {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The aggregate type of that stream.
    pub kind: Kind,
    /// Of an event: the version of its stream with this event. Of a snapshot: the version of the last event in it.
    pub version: Version,
    /// The schema number under which the payload was encoded, as stored: see [`trace`](crate::trace) for what else it
    /// can say.
    pub schema: u8,
    /// Its place in the notification log; `None` for a snapshot and for a local event.
    pub position: Option<Position>,
    /// The encoded event or state.
    pub payload: &'a [u8],
}

/// The newest state of a stream, as far as a record manager knows it without the aggregate's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamHead {
    /// The aggregate type of the stream.
    pub kind: Kind,
    /// The version of its last event.
    pub version: Version,
    /// Whether that event ended it: nothing can follow.
    pub discarded: bool,
}

/// What stands next in the notification log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Notification<'a> {
    /// An event.
    Event(Record<'a>),
    /// Positions `first..=last` hold nothing that can be read any more.
    Gap {
        /// The first position lost.
        first: Position,
        /// The last position lost.
        last: Position,
        /// What became of them.
        reason: GapReason,
    },
}

/// Why positions of the notification log are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GapReason {
    /// Their bytes no longer verify.
    Corrupt,
    /// They were overwritten before everyone who asked for them had read them.
    Overwritten,
    /// The key of their stream was destroyed.
    Erased,
}

/// Which part of the notification log a record manager holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bounds {
    /// The oldest position still held; equal to `next` if none is.
    pub first: Position,
    /// The position that the next event will get.
    pub next: Position,
}

impl Bounds {
    /// The newest position; [`Position::START`] if there has never been an event.
    #[must_use]
    pub const fn last(self) -> Position {
        self.next.previous()
    }
}

/// What an append has made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Appended {
    /// The position of the first event of the batch; of the event to come if the batch had none.
    pub first: Position,
    /// How many events of the batch have positions: `first` and the `events - 1` after it.
    pub events: u32,
}

impl Appended {
    /// The position of the last event of the batch; the one before `first` if it had none.
    #[must_use]
    pub const fn last(self) -> Position {
        self.first.plus(self.events as u64).previous()
    }
}

impl<'a> Notification<'a> {
    /// The last position that this notification covers.
    #[must_use]
    pub fn last(&self) -> Position {
        match self {
            Self::Event(record) => record.position.unwrap_or_default(),
            Self::Gap { last, .. } => *last,
        }
    }

    /// The event, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record<'a>> {
        match self {
            Self::Event(record) => Some(record),
            Self::Gap { .. } => None,
        }
    }
}
