//! Aggregates: state that is the sum of its events.

use core::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};
use crate::{Kind, Position, Record, StreamId, Version, trace};

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

    /// The schema number of [`Event`](Self::Event), stored with each event, at most 126; raise it by one with every
    /// change that is more than a variant appended, and then translate in [`upcast`](Self::upcast).
    const SCHEMA: u8 = 0;

    /// What can happen to this aggregate.
    type Event: Serialize + DeserializeOwned;

    /// Takes in one event. Total: an event that has happened cannot be refused, so replay cannot fail.
    fn apply(&mut self, event: &Self::Event);

    /// Whether this event stays in the log in which it happens: it is stored in its stream and counts as a version, but
    /// gets no position in the notification log, so no reader, policy, collector or copy ever sees it. For what belongs
    /// to the device alone, such as personal data, or samples too many to be sent.
    ///
    /// An aggregate with such events can be loaded only where they are: keep them in streams of their own if the others
    /// are to be replayed elsewhere.
    fn is_local(event: &Self::Event) -> bool {
        let _ = event;
        false
    }

    /// Decodes an event that was stored under an older (or newer) `schema` than [`SCHEMA`](Self::SCHEMA).
    fn upcast(schema: u8, payload: &[u8]) -> Result<Self::Event, CodecError> {
        let _ = (schema, payload);
        Err(CodecError::UnknownSchema)
    }

    /// Decodes a stored event of whatever schema, with or without a trace.
    fn decode_event(schema: u8, payload: &[u8]) -> Result<Self::Event, CodecError> {
        let (schema, _, payload) = trace::split(schema, payload)?;
        if schema == Self::SCHEMA { codec::decode(payload) } else { Self::upcast(schema, payload) }
    }
}

/// An aggregate whose whole state can be stored, so that its older events can be let go.
pub trait Snapshot: Aggregate + Serialize + DeserializeOwned {
    /// The schema number of the state, at most 126; a snapshot that cannot be read is passed over while the events it
    /// stands for are still there.
    const SCHEMA: u8;

    /// After how many events [`Log::execute_snapshotting`](crate::Log::execute_snapshotting) and
    /// [`Log::snapshot_if_due`](crate::Log::snapshot_if_due) store the state: at each multiple of this version, or
    /// behind the batch that passes it. 0: only when [`Log::maintain`](crate::Log::maintain) needs it.
    const PERIOD: u32 = 0;

    /// Decodes a state that was stored under an older (or newer) `schema` than [`SCHEMA`](Self::SCHEMA).
    fn upcast_state(schema: u8, payload: &[u8]) -> Result<Self, CodecError> {
        let _ = (schema, payload);
        Err(CodecError::UnknownSchema)
    }

    /// Decodes a stored state of whatever schema.
    fn decode_state(schema: u8, payload: &[u8]) -> Result<Self, CodecError> {
        if schema == <Self as Snapshot>::SCHEMA { codec::decode(payload) } else { Self::upcast_state(schema, payload) }
    }
}

/// An aggregate with its identity and version, as loaded from a log.
///
/// It lends its state to read; the state changes only by events that are in the log.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Root<A> {
    id: StreamId,
    version: Version,
    position: Position,
    /// The version of the newest snapshot that is known of.
    snapshot: Version,
    discarded: bool,
    state: A,
}

/// Roots are equal if they are of the same aggregate at the same version, with the same state: whenever they were loaded.
impl<A: PartialEq> PartialEq for Root<A> {
    fn eq(&self, other: &Self) -> bool {
        let of = |root: &Self| (root.id, root.version, root.discarded);
        of(self) == of(other) && self.state == other.state
    }
}

impl<A: Eq> Eq for Root<A> {}

impl<A: Aggregate> Root<A> {
    /// An aggregate that does not exist yet: its first command creates it, and fails with a conflict if it turns
    /// out to exist.
    pub fn new(id: impl Into<StreamId>) -> Self {
        Self::from_parts(id.into(), Version::NONE, A::default())
    }

    fn from_parts(id: StreamId, version: Version, state: A) -> Self {
        Self { id, version, position: Position::START, snapshot: version, discarded: false, state }
    }

    /// Takes an aggregate up from a decoded snapshot.
    #[must_use]
    pub fn from_snapshot(id: StreamId, version: Version, state: A) -> Self {
        Self::from_parts(id, version, state)
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

    /// Whether it was discarded: it then has the state in which it was, and takes no commands any more.
    #[must_use]
    pub fn is_discarded(&self) -> bool {
        self.discarded
    }

    /// The version of the newest snapshot of it that this root knows of; [`Version::NONE`] if of none.
    #[must_use]
    pub fn snapshot_version(&self) -> Version {
        self.snapshot
    }

    /// Notes that its state is in a snapshot.
    pub(crate) fn note_snapshot(&mut self) {
        self.snapshot = self.version;
    }

    /// Whether a multiple of `period` has been passed since the newest snapshot known of.
    pub(crate) fn snapshot_is_due(&self, period: u32) -> bool {
        let round = |version: Version| version.0.checked_div(period);
        !self.discarded && round(self.version) > round(self.snapshot)
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
        self.pass(position);
    }

    /// Takes in that it was discarded.
    pub(crate) fn end(&mut self, position: Position) {
        self.discarded = true;
        self.pass(position);
    }

    fn pass(&mut self, position: Position) {
        self.version = self.version.next();
        self.position = self.position.max(position);
    }

    /// Takes in a stored event of this stream, decoded before anything changes.
    pub(crate) fn take_stored(&mut self, schema: u8, payload: &[u8], position: Position) -> Result<(), CodecError> {
        if trace::ends_stream(schema) {
            self.end(position);
        } else {
            self.take_in(&A::decode_event(schema, payload)?, position);
        }
        Ok(())
    }

    /// Applies a stored event of this very stream, if it is the next one. It is checked and decoded first: after an
    /// error the root is as it was.
    ///
    /// A digital twin is built with this out of the records that a collector has stored.
    pub fn replay(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        if record.stream != self.id {
            return Err(ReplayError::OtherStream);
        }
        if record.kind != A::KIND {
            return Err(ReplayError::WrongKind { expected: A::KIND, actual: record.kind });
        }
        if self.discarded {
            return Err(ReplayError::Discarded);
        }
        if record.version != self.version.next() {
            return Err(ReplayError::OutOfOrder { expected: self.version.next(), actual: record.version });
        }
        let position = record.position.unwrap_or_default();
        self.take_stored(record.schema, record.payload, position).map_err(ReplayError::Codec)
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
    /// The aggregate was discarded: nothing can follow.
    Discarded,
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
            Self::Discarded => f.write_str("the aggregate was discarded"),
        }
    }
}

impl core::error::Error for ReplayError {}

impl Record<'_> {
    /// Decodes this event if it is one of `A`; `None` if it is of another type, or ended its stream
    /// ([`is_discard`](Self::is_discard)).
    #[must_use]
    pub fn event<A: Aggregate>(&self) -> Option<Result<A::Event, CodecError>> {
        (self.kind == A::KIND && !self.is_discard()).then(|| A::decode_event(self.schema, self.payload))
    }
}
