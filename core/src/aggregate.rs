//! Aggregates: state that is the sum of its events.

use core::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};
use crate::{Kind, Position, Record, StreamId, Version};

/// A state that changes only by applying events.
///
/// Commands are plain methods of the type: they take `&self`, check whether the business allows what is asked,
/// and return the facts that follow, as an array or any other iterator of events. They change nothing, so the
/// plainest test is to compare what one returns.
///
/// ```
/// use evenkeel_core::{Aggregate, Kind};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum ValveEvent { Opened { by: u16 }, Closed }      // wire order: only ever append
///
/// #[derive(Debug, PartialEq)]
/// enum Refused { AlreadyOpen }
///
/// #[derive(Default)]
/// struct Valve { open: bool }
///
/// impl Aggregate for Valve {
///     const KIND: Kind = Kind(1);
///     type Event = ValveEvent;
///     fn apply(&mut self, event: &ValveEvent) {
///         self.open = matches!(event, ValveEvent::Opened { .. });
///     }
/// }
///
/// impl Valve {
///     fn open(&self, by: u16) -> Result<[ValveEvent; 1], Refused> {
///         if self.open { Err(Refused::AlreadyOpen) } else { Ok([ValveEvent::Opened { by }]) }
///     }
/// }
///
/// assert_eq!(Valve { open: false }.open(7), Ok([ValveEvent::Opened { by: 7 }]));
/// assert_eq!(Valve { open: true }.open(7), Err(Refused::AlreadyOpen));
/// ```
pub trait Aggregate: Default {
    /// The number of this type in the log: written to flash, never reused for another type.
    const KIND: Kind;

    /// The schema number of [`Event`](Self::Event), stored with each event; raise it by one with every change
    /// that is more than a variant appended, and then translate in [`upcast`](Self::upcast).
    const SCHEMA: u8 = 0;

    /// What can happen to this aggregate.
    type Event: Serialize + DeserializeOwned;

    /// Takes in one event. Total: an event that has happened cannot be refused, so replay cannot fail.
    fn apply(&mut self, event: &Self::Event);

    /// Decodes an event that was stored under an older (or newer) `schema` than [`SCHEMA`](Self::SCHEMA).
    fn upcast(schema: u8, payload: &[u8]) -> Result<Self::Event, CodecError> {
        let _ = (schema, payload);
        Err(CodecError::UnknownSchema)
    }

    /// Decodes a stored event of whatever schema.
    fn decode_event(schema: u8, payload: &[u8]) -> Result<Self::Event, CodecError> {
        if schema == Self::SCHEMA { codec::decode(payload) } else { Self::upcast(schema, payload) }
    }
}

/// An aggregate whose whole state can be stored, so that its older events can be let go.
pub trait Snapshot: Aggregate + Serialize + DeserializeOwned {
    /// The schema number of the state; a snapshot of another schema is ignored while the events it stands for
    /// are still there.
    const SCHEMA: u8;
}

/// An aggregate with its identity and version, as loaded from a log.
///
/// It lends its state to read; the state changes only by events that are in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Root<A> {
    id: StreamId,
    version: Version,
    position: Position,
    state: A,
}

impl<A: Aggregate> Root<A> {
    /// An aggregate that does not exist yet: its first command creates it, and fails with a conflict if it turns
    /// out to exist.
    pub fn new(id: impl Into<StreamId>) -> Self {
        Self { id: id.into(), version: Version::NONE, position: Position::START, state: A::default() }
    }

    /// Takes an aggregate up from a decoded snapshot.
    #[must_use]
    pub fn from_snapshot(id: StreamId, version: Version, state: A) -> Self {
        Self { id, version, position: Position::START, state }
    }

    /// Which aggregate it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The version of the last event applied; [`Version::NONE`] if it does not exist yet.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How far the log reached when this was loaded or last changed through it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Notes how far the log reached when this was loaded.
    pub(crate) fn reach(&mut self, position: Position) {
        self.position = position;
    }

    /// Gives the state up.
    #[must_use]
    pub fn into_state(self) -> A {
        self.state
    }

    /// Applies one event that is in the log.
    pub(crate) fn take_in(&mut self, event: &A::Event, position: Position) {
        self.state.apply(event);
        self.version = self.version.next();
        self.position = self.position.max(position);
    }

    /// Applies a stored event of this very stream, if it is the next one.
    ///
    /// A digital twin is built with this out of the records that a collector has stored.
    pub fn replay(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        if record.stream != self.id {
            return Err(ReplayError::OtherStream);
        }
        if record.kind != A::KIND {
            return Err(ReplayError::WrongKind { expected: A::KIND, actual: record.kind });
        }
        if record.version != self.version.next() {
            return Err(ReplayError::OutOfOrder { expected: self.version.next(), actual: record.version });
        }
        let event = A::decode_event(record.schema, record.payload).map_err(ReplayError::Codec)?;
        self.take_in(&event, record.position.unwrap_or_default());
        Ok(())
    }
}

impl<A> Deref for Root<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

/// Why a record is not the next event of an aggregate. The aggregate is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReplayError {
    /// It is of another stream.
    OtherStream,
    /// It is of another aggregate type.
    WrongKind {
        /// The type of the aggregate.
        expected: Kind,
        /// The type of the record.
        actual: Kind,
    },
    /// It is not the next event.
    OutOfOrder {
        /// The version of the next event.
        expected: Version,
        /// The version of the record.
        actual: Version,
    },
    /// Its payload is no event of this type.
    Codec(CodecError),
}

impl core::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::OtherStream => f.write_str("the record is of another stream"),
            Self::WrongKind { expected, actual } => write!(f, "the record is of kind {actual}, not {expected}"),
            Self::OutOfOrder { expected, actual } => {
                write!(f, "the record has version {actual} where {expected} comes next")
            }
            Self::Codec(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ReplayError {}

impl Record<'_> {
    /// Decodes this event if it is one of `A`; `None` if it is of another type.
    #[must_use]
    pub fn event<A: Aggregate>(&self) -> Option<Result<A::Event, CodecError>> {
        (self.kind == A::KIND).then(|| A::decode_event(self.schema, self.payload))
    }
}
