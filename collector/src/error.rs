//! What can go wrong in the store.

use core::fmt;

use evenkeel_core::Position;

/// Why a file cannot be opened as a store. The file is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is a database of something else, or none.
    Foreign,
    /// The file was written by a newer version.
    Newer {
        /// The version of its tables.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// What it holds cannot be read.
    Store(StoreError),
}

/// Why the store failed. Nothing of what was asked for has been stored, unless SQLite failed while it committed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// A position too large to be kept in order: 2^63 or more.
    OutOfRange(Position),
    /// The events of a section do not decode.
    MalformedSection,
    /// Another event was stored under this position before: the device reused it, or it is another device with the
    /// same identity. Nothing more of this log is to be trusted.
    Contradiction(Position),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::Foreign,
            _ => Self::Sqlite(error),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Sqlite(error) => error.into(),
            error => Self::Store(error),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("the file is no store of notification logs"),
            Self::Newer { found, known } => write!(f, "the tables are of version {found}, only {known} is understood"),
            Self::Store(error) => error.fmt(f),
            Self::Sqlite(error) => write!(f, "SQLite failed: {error}"),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "SQLite failed: {error}"),
            Self::OutOfRange(position) => write!(f, "position {position} is out of range"),
            Self::MalformedSection => f.write_str("the events of a section do not decode"),
            Self::Contradiction(position) => write!(f, "position {position} already names another event"),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Sqlite(error) => Some(error),
            _ => None,
        }
    }
}

impl core::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Sqlite(error) => Some(error),
            _ => None,
        }
    }
}
