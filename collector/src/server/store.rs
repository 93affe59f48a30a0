//! What the server asks of the store behind it.

use core::fmt;
use std::future::Future;
use std::pin::Pin;

use evenkeel_core::Position;
use evenkeel_sync::{Loss, SourceIdentity};

use crate::{StoreError, StoredEvent, StoredGap};

/// What a store answers with, in its own time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Where a collector keeps what it pulls: in SQLite ([`SqliteSections`](super::SqliteSections)) or in PostgreSQL
/// (`PostgresSections`).
///
/// # What an implementer owes
///
/// What [`SinkStore`](evenkeel_sync::SinkStore) owes, for whole batches: pieces and cursor in one transaction, on disk when
/// the answer comes, and nothing at all if the cursor is not where the batch begins. Several collectors may share one
/// database. After a failure nothing is known: load the cursor again.
pub trait SectionStore: Send + Sync + 'static {
    /// What is known of these lives of a log, with up to `tail` of the newest events of each.
    fn known(&self, identities: Vec<SourceIdentity>, tail: u64) -> Answer<'_, Vec<Known>>;

    /// Stores the pieces and moves the cursor to the end of the last of them.
    fn ingest(&self, batch: Batch) -> Answer<'_, Verdict>;

    /// Takes nothing more of this life of a log until it is [released](Self::release).
    fn quarantine(&self, identity: SourceIdentity, why: Quarantine) -> Answer<'_, ()>;

    /// Takes a life of a log out of quarantine: somebody has looked. Answers whether it was in it.
    fn release(&self, identity: SourceIdentity) -> Answer<'_, bool>;

    /// Logs in the order of their keys, after this one, at most so many.
    fn logs(&self, after: Option<SourceIdentity>, most: u32) -> Answer<'_, Vec<LogStatus>>;

    /// The pieces of a log that reach beyond `after`, in order, at most so many sections and so many gaps.
    ///
    /// A piece may begin at or before `after`, and before the end of the piece before it: skip what you have.
    fn pieces(&self, identity: SourceIdentity, after: Position, most: u32) -> Answer<'_, Vec<StoredPiece>>;

    /// How busy it is, from 0 to 1: contacts get less credit the busier it is.
    fn load(&self) -> f64;

    /// Ends: what was taken in is stored, and so are, if they are kept, the rows of single events.
    fn close(&self) -> Answer<'_, ()>;
}

/// What is stored of one life of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose log.
    pub identity: SourceIdentity,
    /// Up to where it is stored.
    pub cursor: Position,
    /// The newest events up to the cursor, without a gap, in order.
    pub tail: Vec<StoredEvent>,
    /// Why nothing more of it is taken.
    pub quarantine: Option<Quarantine>,
}

/// Consecutive pieces of one log that become durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whose log.
    pub identity: SourceIdentity,
    /// Where the cursor must be.
    pub after: Position,
    /// The pieces: each begins at or before the position that follows what is before it, and ends beyond that.
    pub pieces: Vec<StoredPiece>,
}

impl Batch {
    /// Where the cursor goes.
    #[must_use]
    pub fn to(&self) -> Position {
        self.pieces.last().map_or(self.after, StoredPiece::last)
    }
}

/// A piece of a log, on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredPiece {
    /// Consecutive events.
    Section {
        /// The position of the first.
        first: Position,
        /// How many there are.
        count: u32,
        /// Their encoding: see [`SectionReader`](evenkeel_core::section::SectionReader).
        bytes: Vec<u8>,
    },
    /// Positions that hold nothing.
    Gap(StoredGap),
}

impl StoredPiece {
    /// The first position that it covers.
    #[must_use]
    pub fn first(&self) -> Position {
        match self {
            Self::Section { first, .. } => *first,
            Self::Gap(gap) => gap.first,
        }
    }

    /// The last position that it covers.
    #[must_use]
    pub fn last(&self) -> Position {
        match self {
            Self::Section { first, count, .. } => first.plus(u64::from(*count)).previous(),
            Self::Gap(gap) => gap.last,
        }
    }
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored.
    Stored,
    /// The cursor was elsewhere, as another contact or another collector has moved it: nothing was done.
    Elsewhere(Position),
    /// The log is quarantined: nothing was done.
    Quarantined(Quarantine),
}

/// Why a life of a log is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// What was seen.
    pub reason: Distrust,
    /// The positions in question begin here.
    pub first: Position,
    /// And end here.
    pub last: Position,
}

/// What was seen of a log that is not trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// A device has other events under the same names: another board with a copy of the same flash, say.
    Diverged,
    /// A device's log ends before what is stored of it: it has lost its end, or is a board with an older copy.
    Behind,
    /// A reason that this version does not know.
    Other(u8),
}

impl Distrust {
    /// The number in stores.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Diverged => 1,
            Self::Behind => 2,
            Self::Other(code) => code,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Diverged,
            2 => Self::Behind,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverged => f.write_str("diverged"),
            Self::Behind => f.write_str("behind"),
            Self::Other(code) => write!(f, "reason {code}"),
        }
    }
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, first, last } = self;
        write!(f, "{reason} at positions {first} to {last}")
    }
}

/// A life of a log, as an overview tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// Whose log.
    pub identity: SourceIdentity,
    /// Up to where it is stored.
    pub cursor: Position,
    /// Why nothing more of it is taken.
    pub quarantine: Option<Quarantine>,
}

/// Why a store could not do what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// SQLite failed, or what is to be stored is not sound.
    Store(StoreError),
    /// The database could not be reached or refused: try again later.
    Database(Box<dyn std::error::Error + Send + Sync>),
    /// The store has ended.
    Ended,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Database(error) => write!(f, "the database failed: {error}"),
            Self::Ended => f.write_str("the store has ended"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Database(error) => Some(&**error),
            Self::Ended => None,
        }
    }
}

/// The newest events up to the cursor that follow on each other, at most so many, out of pieces in order.
pub(crate) fn tail_of(pieces: &[StoredPiece], cursor: Position, most: u64) -> Result<Vec<StoredEvent>, StoreError> {
    let mut tail: Vec<StoredEvent> = Vec::new();
    for piece in pieces {
        let StoredPiece::Section { first, bytes, .. } = piece else { continue };
        for event in evenkeel_core::section::SectionReader::new(*first, bytes) {
            let event = event.map_err(|_| StoreError::MalformedSection)?;
            let at = event.position.unwrap_or_default();
            let last = tail.last().map(|event| event.position);
            if at > cursor || last.is_some_and(|last| at <= last) {
                continue;
            }
            if last.is_some_and(|last| at != last.next()) {
                tail.clear();
            }
            tail.push((&event).into());
        }
    }
    if tail.last().is_some_and(|event| event.position != cursor) {
        tail.clear();
    }
    let spare = tail.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
    tail.drain(..spare);
    Ok(tail)
}

/// Pieces of a log in the order of their positions.
pub(crate) fn in_order(mut sections: Vec<StoredPiece>, gaps: Vec<StoredPiece>) -> Vec<StoredPiece> {
    sections.extend(gaps);
    sections.sort_by_key(|piece| (piece.first(), piece.last()));
    sections
}

/// A gap as it is stored.
pub(crate) fn gap(first: Position, last: Position, reason: Loss) -> StoredPiece {
    StoredPiece::Gap(StoredGap { first, last, reason })
}
