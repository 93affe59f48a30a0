//! What a source makes of a frame.

use core::fmt;

use evenkeel_core::Position;
use evenkeel_core::error::{AppendError, ReadError};

use crate::wire;

/// What a frame that came in was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Heard {
    /// Nothing for this source: damaged, addressed to another device or log, or a copy of a request already served.
    Nothing,
    /// A sink asked who is there. It may have said what time it is: `Source::told_time`.
    Hello,
    /// A sink asked for events.
    Read,
    /// A sink asked for the schema.
    Schema,
    /// A sink has everything up to this position, and the log now says so durably.
    Committed(Position),
    /// A relay keeps everything up to this position, and the log now says so durably under the tracker for that.
    Custody(Position),
    /// A commit that was refused, as what it proves cannot be read any more: the sink will prove less.
    Unproven,
    /// A commit that was refused: the sink has other events than the log, or another key. Nothing was let go.
    Diverged,
    /// A message of another epoch: nothing in the log was changed.
    OtherEpoch,
    /// The sink knows positions that the log does not have: events that had left the device were lost. Where seals have a
    /// key, the sink has proven it. The
    /// application must open a new epoch before it appends, or positions would name two events.
    Ahead,
}

/// Why a source could not do its work. The sink asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SourceError<E> {
    /// The log could not be read.
    Read(ReadError<E>),
    /// A commit could not be stored.
    Append(AppendError<E>),
    /// The lent frame buffer is too small for what is to be said: [`CONTROL_BYTES_AT_MOST`](wire::CONTROL_BYTES_AT_MOST)
    /// are always enough.
    FrameTooSmall,
}

impl<E: fmt::Debug> fmt::Display for SourceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "the log could not be read: {error}"),
            Self::Append(error) => write!(f, "the commit could not be stored: {error}"),
            Self::FrameTooSmall => wire::FrameTooSmall.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SourceError<E> {}

/// What a READ allows to be sent.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Window {
    pub(crate) request: u32,
    pub(crate) epoch: evenkeel_core::Epoch,
    /// The sink's cursor, and what it misses beyond that.
    pub(crate) after: Position,
    pub(crate) missing: crate::Missing,
    /// Up to where has been sent what is missing.
    pub(crate) sent: Position,
    pub(crate) credit: u32,
    pub(crate) limit: u32,
}

/// The name of a schema: FNV-1a with 64 bits over its bytes.
#[must_use]
pub fn schema_digest(schema: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    schema.iter().fold(0xCBF2_9CE4_8422_2325, mix)
}
