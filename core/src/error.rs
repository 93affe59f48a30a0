//! What can go wrong: one small enum for each operation, generic over the error of the storage.
//!
//! That a command was refused by the business is not an error of the log: see [`ExecuteError::Refused`].

use core::fmt;

use crate::codec::CodecError;
use crate::{Kind, Position, StreamId, Tracker, Version};

/// Why a batch was not appended. Nothing of it is in the log, unless the storage failed ([`Storage`]) while it
/// was being written: then it is there whole or not at all, which the next mount finds out.
///
/// [`Storage`]: AppendError::Storage
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AppendError<E> {
    /// The storage failed.
    Storage(E),
    /// The stream has moved on since the writer last looked: reload and decide again.
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that the writer took the stream to be at.
        expected: Version,
        /// The version it is at.
        actual: Version,
    },
    /// An event would leave a hole in its stream.
    Gap {
        /// The stream.
        stream: StreamId,
        /// The version that the writer took the stream to be at.
        expected: Version,
        /// The version it is at.
        actual: Version,
    },
    /// The stream is of another aggregate type.
    WrongKind {
        /// The stream.
        stream: StreamId,
        /// The type that the writer took it to be of.
        expected: Kind,
        /// The type it is of.
        actual: Kind,
    },
    /// The stream has ended: its aggregate was discarded, and nothing can follow.
    Discarded {
        /// The stream.
        stream: StreamId,
    },
    /// A tracker does not stand where the writer took it to stand (what it reacted to has been reacted to already, or
    /// something before it has not), or it would go backwards, or beyond the end of the log.
    Tracking {
        /// The tracker.
        tracker: Tracker,
        /// Where the writer took it to stand.
        after: Position,
        /// Where it stands.
        at: Position,
        /// Where it was to go.
        to: Position,
    },
    /// There is no room, and retention forbids to make any.
    Full {
        /// Who needs the oldest records.
        held_by: HeldBy,
    },
    /// The batch can never fit.
    TooLarge {
        /// The bytes that it takes.
        bytes: u32,
        /// The bytes that there can be.
        limit: u32,
    },
    /// The lent scratch buffer is too small for the batch.
    ScratchTooSmall {
        /// The bytes needed, at least.
        needed: u32,
    },
    /// The record manager has no place left for another stream or tracker.
    TableFull,
    /// An event has no encoding.
    Codec(CodecError),
    /// The batch cannot be sealed.
    Integrity(IntegrityError),
    /// A counter of the log has come to its end, positions or the numbers of its sectors: no device lives that long.
    /// What is in the log can be read.
    Exhausted,
    /// The log has not been mounted.
    NotMounted,
}

/// Who keeps the oldest records from being reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeldBy {
    /// This tracker has not seen them all yet.
    Tracker(Tracker),
    /// This stream has no snapshot that would replace them.
    Stream(StreamId, Kind),
    /// The policy never lets anything go.
    Policy,
    /// No sector can be erased any more.
    Wear,
}

/// Why records could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The storage failed.
    Storage(E),
    /// What was asked for has been let go; the oldest position still held is `first`.
    Trimmed {
        /// The oldest position still held.
        first: Position,
    },
    /// What was asked for lies beyond the end of the log: the reader knows of more than there is.
    BeyondEnd {
        /// The position that the next event will get.
        next: Position,
    },
    /// This version of the stream is not held any more, or can no longer be read.
    Missing {
        /// The version asked for.
        version: Version,
        /// The next one that is there; `None` if none is.
        next: Option<Version>,
    },
    /// The lent scratch buffer is too small for a record.
    ScratchTooSmall {
        /// The bytes needed, at least.
        needed: u32,
    },
    /// A stored event is no event of the type it is read as.
    Codec(CodecError),
    /// What is stored is not what was sealed, or cannot be opened.
    Integrity(IntegrityError),
    /// The log has not been mounted.
    NotMounted,
}

/// What a sealed log finds wrong with what is stored, or lacks to seal and open it: see the module `integrity`, which
/// comes with the feature of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IntegrityError {
    /// A record is not the one that was sealed with this stream, version and position: it was changed or put somewhere
    /// else, it was sealed for another log or with another key, or never.
    Tampered {
        /// The stream that it claims to belong to.
        stream: StreamId,
        /// The version that it claims to have.
        version: Version,
    },
    /// A record was sealed with a key that is not at hand.
    UnknownKey(u8),
    /// The key of the stream was destroyed.
    Erased(StreamId),
    /// Positions are missing in the middle of the log: their records were removed, or no longer verify.
    Missing {
        /// The first position missing.
        first: Position,
        /// The last position missing.
        last: Position,
    },
    /// Each record is as it was sealed, but they are not the ones that were there when the head of the chain at this
    /// position was stored.
    Broken {
        /// Where the stored head stands.
        at: Position,
    },
    /// The log ends before a position that it is known to have reached: its end was cut off.
    CutOff {
        /// The position that it is known to have reached.
        reached: Position,
        /// The newest position that it has now.
        last: Position,
    },
    /// The log has reached the anchor's position with other records than those that were anchored.
    Forked {
        /// The position of the anchor.
        at: Position,
    },
    /// No stored head of the chain is left from which the part of the log that is asked for could be checked.
    NoSeal,
    /// As many sessions have been begun with this key as can be: it must be replaced by another one.
    KeyWornOut,
    /// The record manager has given the batch other positions than those that it said it would.
    Misplaced,
}

/// Why an aggregate could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError<E> {
    /// There is no such stream.
    NotFound,
    /// The stream is of another aggregate type.
    WrongKind {
        /// The type it was loaded as.
        expected: Kind,
        /// The type it is of.
        actual: Kind,
    },
    /// The aggregate was discarded: it can be loaded at versions before its last, as long as their events are held.
    Discarded {
        /// The version of its last event, which discarded it.
        version: Version,
    },
    /// The stream is not as long as the version that was asked for.
    BeyondEnd {
        /// The version it is at.
        actual: Version,
    },
    /// The events up to the version that was asked for have been let go, and no snapshot up to it is held.
    Trimmed {
        /// The oldest version that can be loaded.
        first: Version,
    },
    /// A snapshot that cannot be read as this type stands for events that have been let go.
    Snapshot {
        /// The version of the state in it.
        version: Version,
        /// The schema number it was stored under.
        schema: u8,
        /// What is wrong with it.
        error: CodecError,
    },
    /// Events of the stream are missing and no snapshot replaces them.
    Incomplete {
        /// The version up to which the stream could be loaded.
        after: Version,
    },
    /// Reading failed.
    Read(ReadError<E>),
}

/// Why a command had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ExecuteError<R, E> {
    /// The aggregate refused the command.
    Refused(R),
    /// The log failed.
    Log(AppendError<E>),
    /// The aggregate could not be loaded (again) to be decided on.
    Load(LoadError<E>),
}

/// Why a copy of another log could not take in what was given to it. Nothing of it has been appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReplicateError<E> {
    /// Another event stands here at this position: this is no copy of that log, or one of the two has been tampered with.
    Contradiction {
        /// The position.
        position: Position,
    },
    /// The events between are missing.
    Ahead {
        /// The position that comes next here.
        next: Position,
        /// The position given.
        position: Position,
    },
    /// These positions hold nothing any more, in one of the two logs.
    Lost {
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
    },
    /// It has no position.
    Local,
    /// The bytes are no section, or not of so many events.
    Malformed,
    /// Appending failed.
    Append(AppendError<E>),
    /// Reading failed.
    Read(ReadError<E>),
}

/// Any failure of the log, for applications that treat all alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LogError<E> {
    /// Appending failed.
    Append(AppendError<E>),
    /// Reading failed.
    Read(ReadError<E>),
    /// Loading failed.
    Load(LoadError<E>),
}

impl<E> LoadError<E> {
    /// Whether there is no such aggregate, or not any more.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound | Self::Discarded { .. })
    }
}

impl<E> From<AppendError<E>> for ReplicateError<E> {
    fn from(error: AppendError<E>) -> Self {
        Self::Append(error)
    }
}

impl<E> From<ReadError<E>> for ReplicateError<E> {
    fn from(error: ReadError<E>) -> Self {
        Self::Read(error)
    }
}

impl<E> From<AppendError<E>> for LogError<E> {
    fn from(error: AppendError<E>) -> Self {
        Self::Append(error)
    }
}

impl<E> From<ReadError<E>> for LogError<E> {
    fn from(error: ReadError<E>) -> Self {
        Self::Read(error)
    }
}

impl<E> From<LoadError<E>> for LogError<E> {
    fn from(error: LoadError<E>) -> Self {
        Self::Load(error)
    }
}

impl<E> From<ReadError<E>> for LoadError<E> {
    fn from(error: ReadError<E>) -> Self {
        Self::Read(error)
    }
}

impl<E> From<IntegrityError> for ReadError<E> {
    fn from(error: IntegrityError) -> Self {
        Self::Integrity(error)
    }
}

impl<E> From<IntegrityError> for AppendError<E> {
    fn from(error: IntegrityError) -> Self {
        Self::Integrity(error)
    }
}

impl<E> From<CodecError> for ReadError<E> {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl<E> From<CodecError> for AppendError<E> {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl<E> From<ReadError<E>> for AppendError<E> {
    /// An append that had to look something up fails as the look-up did.
    fn from(error: ReadError<E>) -> Self {
        match error {
            ReadError::Storage(error) => Self::Storage(error),
            ReadError::ScratchTooSmall { needed } => Self::ScratchTooSmall { needed },
            ReadError::Codec(error) => Self::Codec(error),
            ReadError::Integrity(error) => Self::Integrity(error),
            ReadError::NotMounted
            | ReadError::Trimmed { .. }
            | ReadError::BeyondEnd { .. }
            | ReadError::Missing { .. } => Self::NotMounted,
        }
    }
}

impl<R, E> From<AppendError<E>> for ExecuteError<R, E> {
    fn from(error: AppendError<E>) -> Self {
        Self::Log(error)
    }
}

impl<E: fmt::Debug> fmt::Display for AppendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the storage failed: {error:?}"),
            Self::Conflict { stream, expected, actual } => {
                write!(f, "stream {stream} is at version {actual}, not {expected}: reload it")
            }
            Self::Gap { stream, expected, actual } => {
                write!(f, "stream {stream} is at version {actual}: an event after {expected} would leave a gap")
            }
            Self::WrongKind { stream, expected, actual } => {
                write!(f, "stream {stream} is of kind {actual}, not {expected}")
            }
            Self::Discarded { stream } => write!(f, "stream {stream} was discarded: nothing can follow"),
            Self::Tracking { tracker, after, at, to } => {
                write!(f, "tracker {tracker} is at {at} and cannot go from {after} to {to}")
            }
            Self::Full { held_by } => write!(f, "the log is full: its oldest records are held by {held_by}"),
            Self::TooLarge { bytes, limit } => write!(f, "a batch of {bytes} bytes exceeds the limit of {limit}"),
            Self::ScratchTooSmall { needed } => write!(f, "the scratch buffer is too small: {needed} bytes are needed"),
            Self::TableFull => f.write_str("no place is left for another stream or tracker"),
            Self::Exhausted => f.write_str("a counter of the log has come to its end"),
            Self::Codec(error) => error.fmt(f),
            Self::Integrity(error) => error.fmt(f),
            Self::NotMounted => f.write_str("the log is not mounted"),
        }
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracker(tracker) => write!(f, "tracker {tracker}"),
            Self::Stream(stream, kind) => write!(f, "stream {stream} of kind {kind}, which has no newer snapshot"),
            Self::Policy => f.write_str("the retention policy"),
            Self::Wear => f.write_str("sectors that no longer erase"),
        }
    }
}

impl<E: fmt::Debug> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the storage failed: {error:?}"),
            Self::Trimmed { first } => write!(f, "positions before {first} have been let go"),
            Self::BeyondEnd { next } => write!(f, "the log ends before position {next}"),
            Self::Missing { version, .. } => write!(f, "version {version} of the stream is not there any more"),
            Self::ScratchTooSmall { needed } => write!(f, "the scratch buffer is too small: {needed} bytes are needed"),
            Self::Codec(error) => error.fmt(f),
            Self::Integrity(error) => error.fmt(f),
            Self::NotMounted => f.write_str("the log is not mounted"),
        }
    }
}

impl fmt::Display for IntegrityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tampered { stream, version } => {
                write!(f, "the record of stream {stream} at version {version} is not the one that was sealed")
            }
            Self::UnknownKey(id) => write!(f, "key {id} is not at hand"),
            Self::Erased(stream) => write!(f, "the key of stream {stream} was destroyed"),
            Self::Missing { first, last } => write!(f, "positions {first} to {last} are missing"),
            Self::Broken { at } => write!(f, "the records up to position {at} are not those that were chained"),
            Self::CutOff { reached, last } => {
                write!(f, "the log had reached position {reached} and ends at {last} now")
            }
            Self::Forked { at } => write!(f, "the records up to position {at} are not those that were anchored"),
            Self::NoSeal => f.write_str("no head of the chain is left to check this part of the log from"),
            Self::KeyWornOut => f.write_str("the key has been used for as many sessions as can be"),
            Self::Misplaced => f.write_str("the batch got other positions than were foretold"),
        }
    }
}

impl<E: fmt::Debug> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such stream"),
            Self::WrongKind { expected, actual } => write!(f, "the stream is of kind {actual}, not {expected}"),
            Self::Discarded { version } => write!(f, "the aggregate was discarded at version {version}"),
            Self::BeyondEnd { actual } => write!(f, "the stream is at version {actual}"),
            Self::Trimmed { first } => write!(f, "versions of the stream before {first} have been let go"),
            Self::Snapshot { version, schema, error } => {
                write!(f, "the snapshot at version {version}, of schema {schema}, is of no use: {error}")
            }
            Self::Incomplete { after } => write!(f, "the stream cannot be loaded beyond version {after}"),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl<R: fmt::Debug, E: fmt::Debug> fmt::Display for ExecuteError<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "refused: {refusal:?}"),
            Self::Log(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> fmt::Display for ReplicateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction { position } => write!(f, "another event stands at position {position}"),
            Self::Ahead { next, position } => write!(f, "position {next} comes next, not {position}"),
            Self::Lost { first, last } => write!(f, "positions {first} to {last} hold nothing any more"),
            Self::Local => f.write_str("the event has no position"),
            Self::Malformed => f.write_str("the bytes are no section of a notification log"),
            Self::Append(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> fmt::Display for LogError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for IntegrityError {}
impl<E: fmt::Debug> core::error::Error for AppendError<E> {}
impl<E: fmt::Debug> core::error::Error for ReadError<E> {}
impl<E: fmt::Debug> core::error::Error for LoadError<E> {}
impl<R: fmt::Debug, E: fmt::Debug> core::error::Error for ExecuteError<R, E> {}
impl<E: fmt::Debug> core::error::Error for ReplicateError<E> {}
impl<E: fmt::Debug> core::error::Error for LogError<E> {}
