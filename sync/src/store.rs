//! What a sink asks of the store behind it.

use evenkeel_core::{GapReason, Position, Record};

use crate::SourceIdentity;

/// Where a sink puts what it has pulled.
///
/// # What an implementer owes
///
/// - **One transaction**: what [`apply`](SinkStore::apply) stores and the cursor become durable together or not at
///   all, also when the process is killed or power fails at any instant.
/// - **Durable**: once `apply` has answered a cursor, that cursor and everything below it survive power loss. The
///   device erases what it has been told is safe.
/// - **Compare first**: `apply` changes nothing when the stored cursor is not `after`. Two sinks may pull the same
///   device at once; one of them is then told where the other has got to.
pub trait SinkStore {
    /// Why the store failed. Nothing has been changed, or all of it has: the next `apply` finds out.
    type Error: core::fmt::Debug;

    /// Up to where this log has been stored; [`Position::START`] if nothing of it has.
    fn cursor(&mut self, identity: &SourceIdentity) -> Result<Position, Self::Error>;

    /// Stores what of `piece` lies beyond `after` and moves the cursor to [`piece.last()`](Piece::last), if the cursor
    /// stands at `after`. Answers where the cursor stands now.
    ///
    /// The piece begins at or before the position that follows `after`, and ends beyond `after`; its events decode.
    fn apply(&mut self, identity: &SourceIdentity, after: Position, piece: &Piece<'_>)
    -> Result<Position, Self::Error>;

    /// Shows the events of the newest stretch without a gap that ends at `to`, from no earlier than the position that
    /// follows `after`, in order. Answers the position before the first of them; `to` if there are none.
    ///
    /// By this the device sees that what is stored is what it has, before it lets anything go. As provided it shows none:
    /// then the device must take the sink's word for it.
    fn replay(
        &mut self,
        identity: &SourceIdentity,
        after: Position,
        to: Position,
        show: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Position, Self::Error> {
        let _ = (identity, after, show);
        Ok(to)
    }

    /// From which byte on the schema with this digest is wanted; `None`: it is known, or not wanted. As provided none is.
    fn schema_wanted(&mut self, identity: &SourceIdentity, digest: u64) -> Result<Option<u32>, Self::Error> {
        let _ = (identity, digest);
        Ok(None)
    }

    /// Takes in a part of a schema that was wanted from `offset` on, of `total` bytes in all.
    fn take_schema(
        &mut self,
        identity: &SourceIdentity,
        digest: u64,
        offset: u32,
        total: u32,
        bytes: &[u8],
    ) -> Result<(), Self::Error> {
        let _ = (identity, digest, offset, total, bytes);
        Ok(())
    }
}

/// A stretch of a notification log, as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece<'b> {
    /// Consecutive events.
    Events {
        /// The position of the first.
        first: Position,
        /// How many there are; at least 1.
        count: u32,
        /// Their encoding: see [`SectionReader`](evenkeel_core::section::SectionReader).
        bytes: &'b [u8],
    },
    /// Positions that hold nothing any more.
    Gap {
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
        /// What became of them.
        reason: Loss,
    },
}

impl Piece<'_> {
    /// The first position that it covers.
    #[must_use]
    pub const fn first(&self) -> Position {
        match self {
            Self::Events { first, .. } | Self::Gap { first, .. } => *first,
        }
    }

    /// The last position that it covers.
    #[must_use]
    pub const fn last(&self) -> Position {
        match self {
            Self::Events { first, count, .. } => first.plus(*count as u64).previous(),
            Self::Gap { last, .. } => *last,
        }
    }
}

/// What became of positions that can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Loss {
    /// Their bytes no longer verify.
    Corrupt,
    /// They were overwritten before they had been collected.
    Overwritten,
    /// They were let go after they had been acknowledged: some sink has had them.
    Trimmed,
    /// The key of their stream was destroyed.
    Erased,
    /// They belong to an older epoch of the log.
    OtherEpoch,
    /// A reason that this version does not know.
    Other(u8),
}

impl Loss {
    /// The number on the wire and in stores.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Corrupt => 1,
            Self::Overwritten => 2,
            Self::Trimmed => 3,
            Self::Erased => 4,
            Self::OtherEpoch => 5,
            Self::Other(code) => code,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Corrupt,
            2 => Self::Overwritten,
            3 => Self::Trimmed,
            4 => Self::Erased,
            5 => Self::OtherEpoch,
            other => Self::Other(other),
        }
    }
}

impl From<GapReason> for Loss {
    fn from(reason: GapReason) -> Self {
        match reason {
            GapReason::Corrupt => Self::Corrupt,
            GapReason::Overwritten => Self::Overwritten,
            GapReason::Erased => Self::Erased,
            _ => Self::Other(0),
        }
    }
}

impl core::fmt::Display for Loss {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Corrupt => f.write_str("corrupt"),
            Self::Overwritten => f.write_str("overwritten"),
            Self::Trimmed => f.write_str("trimmed"),
            Self::Erased => f.write_str("erased"),
            Self::OtherEpoch => f.write_str("of another epoch"),
            Self::Other(code) => write!(f, "reason {code}"),
        }
    }
}
