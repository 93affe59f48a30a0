//! The store in SQLite.

use std::path::Path;

use evenkeel_core::section::SectionReader;
use evenkeel_core::{Epoch, Kind, LogId, Position, Record, StreamId, Version};
use evenkeel_sync::{Loss, Piece, SinkStore, SourceIdentity};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::{OpenError, StoreError, schema, sql};

#[cfg(feature = "server")]
mod batches;
mod explode;

#[cfg(test)]
mod tests;

/// Keeps the logs of many devices in one SQLite file.
///
/// Every [`apply`](SinkStore::apply) is one transaction that is on disk when it returns (write-ahead log,
/// `synchronous = FULL`). Several processes may have the file open; they wait up to ten seconds for each other.
///
/// ```
/// use evenkeel_collector::SqliteStore;
///
/// let store = SqliteStore::in_memory()?;
/// assert!(store.logs()?.is_empty());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

/// A log of which something is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLog {
    /// Whose log, and which life of it.
    pub identity: SourceIdentity,
    /// Up to where it is stored.
    pub cursor: Position,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// The aggregate type of the stream.
    pub kind: Kind,
    /// The schema number of the payload.
    pub schema: u8,
    /// The version of the stream with it.
    pub version: Version,
    /// The event, encoded.
    pub payload: Vec<u8>,
}

/// Positions that were declared lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredGap {
    /// The first of them.
    pub first: Position,
    /// The last of them.
    pub last: Position,
    /// What became of them.
    pub reason: Loss,
}

/// What is stored of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredStream {
    /// The stream.
    pub stream: StreamId,
    /// Its aggregate type.
    pub kind: Kind,
    /// The version of the newest event stored.
    pub version: Version,
    /// How many events are stored: fewer than `version` if some were lost.
    pub events: u64,
}

impl StoredEvent {
    /// The event as the record that it was in the log.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        let Self { position, stream, kind, schema, version, ref payload } = *self;
        Record { stream, kind, version, schema, position: Some(position), payload }
    }
}

impl From<&Record<'_>> for StoredEvent {
    fn from(record: &Record<'_>) -> Self {
        let Record { stream, kind, version, schema, position, payload } = *record;
        Self { position: position.unwrap_or_default(), stream, kind, schema, version, payload: payload.to_vec() }
    }
}

/// The `i64` with the same bits.
const fn bits(number: u64) -> i64 {
    number.cast_signed()
}

fn place(position: Position) -> Result<i64, StoreError> {
    i64::try_from(position.0).map_err(|_| StoreError::OutOfRange(position))
}

fn place_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Position> {
    Ok(Position(row.get::<_, i64>(index)?.cast_unsigned()))
}

fn bits_at(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(index)?.cast_unsigned())
}

impl SqliteStore {
    /// Opens the store in this file, and creates it if there is no file or an empty one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::with(Connection::open(path)?)
    }

    /// An empty store that is gone with the value.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(mut connection: Connection) -> Result<Self, OpenError> {
        schema::prepare(&mut connection, schema::Purpose::Collected)?;
        let mut store = Self { connection };
        store.explode_all()?;
        Ok(store)
    }

    /// All logs of which something is stored, ordered by device, log and when they were first seen.
    pub fn logs(&self) -> Result<Vec<StoredLog>, StoreError> {
        let mut select =
            self.connection.prepare_cached("select device, log, epoch, cursor from cursors order by 1, 2, 3")?;
        let rows = select.query_map([], |row| {
            let (device, log, epoch) = (bits_at(row, 0)?, LogId(row.get(1)?), Epoch(bits_at(row, 2)?));
            Ok(StoredLog { identity: SourceIdentity { device, log, epoch }, cursor: place_at(row, 3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Up to where a log is stored; [`Position::START`] if nothing of it is.
    pub fn stored_up_to(&self, identity: &SourceIdentity) -> Result<Position, StoreError> {
        cursor_of(&self.connection, identity)
    }

    /// Shows the events of a log after this position, in the order of their positions.
    ///
    /// Holes between the positions are what [`gaps`](Self::gaps) tells.
    pub fn events(
        &self,
        identity: &SourceIdentity,
        after: Position,
        show: impl FnMut(&Record<'_>),
    ) -> Result<(), StoreError> {
        let sql = "select position, stream, kind, schema, version, payload from events
                   where device = ?1 and log = ?2 and epoch = ?3 and position > ?4 order by position";
        let mut select = self.connection.prepare_cached(sql)?;
        let SourceIdentity { device, log, epoch } = *identity;
        show_all(select.query(params![bits(device), log.0, bits(epoch.0), place(after)?])?, show)
    }

    /// Shows the events of one stream, in the order of their versions.
    pub fn events_of(
        &self,
        identity: &SourceIdentity,
        stream: StreamId,
        show: impl FnMut(&Record<'_>),
    ) -> Result<(), StoreError> {
        let sql = "select position, stream, kind, schema, version, payload from events
                   where device = ?1 and log = ?2 and epoch = ?3 and stream = ?4 order by position";
        let mut select = self.connection.prepare_cached(sql)?;
        let SourceIdentity { device, log, epoch } = *identity;
        show_all(select.query(params![bits(device), log.0, bits(epoch.0), bits(stream.0)])?, show)
    }

    /// The positions of a log that were declared lost, in order.
    pub fn gaps(&self, identity: &SourceIdentity) -> Result<Vec<StoredGap>, StoreError> {
        let sql = "select first, last, reason from gaps where device = ?1 and log = ?2 and epoch = ?3 order by first";
        let mut select = self.connection.prepare_cached(sql)?;
        let SourceIdentity { device, log, epoch } = *identity;
        let rows = select.query_map(params![bits(device), log.0, bits(epoch.0)], |row| {
            Ok(StoredGap { first: place_at(row, 0)?, last: place_at(row, 1)?, reason: Loss::from_code(row.get(2)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The streams of a log, ordered by their ids as signed numbers.
    pub fn streams(&self, identity: &SourceIdentity) -> Result<Vec<StoredStream>, StoreError> {
        let sql = "select stream, max(kind), max(version), count(*) from events
                   where device = ?1 and log = ?2 and epoch = ?3 group by stream order by stream";
        let mut select = self.connection.prepare_cached(sql)?;
        let SourceIdentity { device, log, epoch } = *identity;
        let rows = select.query_map(params![bits(device), log.0, bits(epoch.0)], |row| {
            Ok(StoredStream {
                stream: StreamId(bits_at(row, 0)?),
                kind: Kind(row.get(1)?),
                version: Version(row.get(2)?),
                events: bits_at(row, 3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn show_all(mut rows: rusqlite::Rows<'_>, mut show: impl FnMut(&Record<'_>)) -> Result<(), StoreError> {
    while let Some(row) = rows.next()? {
        let payload = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
        show(&Record {
            position: Some(place_at(row, 0)?),
            stream: StreamId(bits_at(row, 1)?),
            kind: Kind(row.get(2)?),
            schema: row.get(3)?,
            version: Version(row.get(4)?),
            payload,
        });
    }
    Ok(())
}

fn cursor_of(connection: &Connection, identity: &SourceIdentity) -> Result<Position, StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    let found = connection
        .prepare_cached(sql::CURSOR)?
        .query_row(params![bits(device), log.0, bits(epoch.0)], |row| place_at(row, 0))
        .optional()?;
    Ok(found.unwrap_or_default())
}

impl SinkStore for SqliteStore {
    type Error = StoreError;

    fn cursor(&mut self, identity: &SourceIdentity) -> Result<Position, StoreError> {
        self.stored_up_to(identity)
    }

    fn apply(&mut self, identity: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, StoreError> {
        let last = piece.last();
        let last_stored = place(last)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let stored = cursor_of(&transaction, identity)?;
        if stored != after {
            return Ok(stored);
        }
        match piece {
            Piece::Events { first, count, bytes } => {
                store_section(&transaction, identity, *first, *count, bytes)?;
                for event in SectionReader::new(*first, bytes) {
                    let event = event.map_err(|_| StoreError::MalformedSection)?;
                    match event.position.unwrap_or_default() {
                        position if position > after => store_event(&transaction, identity, position, &event)?,
                        position => compare_event(&transaction, identity, position, &event)?,
                    }
                }
            }
            Piece::Gap { first, last, reason } => {
                let gap = StoredGap { first: (*first).max(after.next()), last: *last, reason: *reason };
                store_gap(&transaction, identity, &gap)?;
            }
        }
        move_cursor(&transaction, sql::MOVE_BOTH, identity, last_stored)?;
        transaction.commit()?;
        Ok(last)
    }

    fn replay(
        &mut self,
        identity: &SourceIdentity,
        after: Position,
        to: Position,
        show: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Position, StoreError> {
        let SourceIdentity { device, log, epoch } = *identity;
        let of = (bits(device), log.0, bits(epoch.0));
        let sql = "select max(last) from gaps
                   where device = ?1 and log = ?2 and epoch = ?3 and first <= ?4 and last > ?5";
        let gap: Option<i64> = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![of.0, of.1, of.2, place(to)?, place(after)?], |row| row.get(0))?;
        let from = gap.map_or(after, |last| Position(last.cast_unsigned()).max(after)).min(to);
        let sql = "select position, stream, kind, schema, version, payload from events
                   where device = ?1 and log = ?2 and epoch = ?3 and position > ?4 and position <= ?5 order by position";
        let mut select = self.connection.prepare_cached(sql)?;
        show_all(select.query(params![of.0, of.1, of.2, place(from)?, place(to)?])?, show)?;
        Ok(from)
    }
}

fn move_cursor(
    transaction: &Connection,
    statement: &str,
    identity: &SourceIdentity,
    to: i64,
) -> Result<(), StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    transaction.prepare_cached(statement)?.execute(params![bits(device), log.0, bits(epoch.0), to])?;
    Ok(())
}

fn store_section(
    transaction: &Connection,
    identity: &SourceIdentity,
    first: Position,
    count: u32,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    let row = params![bits(device), log.0, bits(epoch.0), place(first)?, count, bytes];
    transaction.prepare_cached(sql::STORE_SECTION)?.execute(row)?;
    Ok(())
}

fn store_event(
    transaction: &Connection,
    identity: &SourceIdentity,
    position: Position,
    event: &Record<'_>,
) -> Result<(), StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    let Record { stream, kind, version, schema, payload, .. } = *event;
    let (device, epoch, stream) = (bits(device), bits(epoch.0), bits(stream.0));
    let row = params![device, log.0, epoch, place(position)?, stream, kind.0, schema, version.0, payload];
    transaction.prepare_cached(sql::STORE_EVENT)?.execute(row)?;
    Ok(())
}

/// One position names one event for ever: what is told again must be the same.
fn compare_event(
    transaction: &Connection,
    identity: &SourceIdentity,
    position: Position,
    event: &Record<'_>,
) -> Result<(), StoreError> {
    let sql = "select stream, kind, schema, version, payload from events
               where device = ?1 and log = ?2 and epoch = ?3 and position = ?4";
    let SourceIdentity { device, log, epoch } = *identity;
    let same = transaction
        .prepare_cached(sql)?
        .query_row(params![bits(device), log.0, bits(epoch.0), place(position)?], |row| {
            Ok(bits_at(row, 0)? == event.stream.0
                && row.get::<_, u8>(1)? == event.kind.0
                && row.get::<_, u8>(2)? == event.schema
                && row.get::<_, u32>(3)? == event.version.0
                && row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)? == event.payload)
        })
        .optional()?;
    // No row: it was declared lost when this log was last asked, which may be true of one copy and not of another.
    if same == Some(false) { Err(StoreError::Contradiction(position)) } else { Ok(()) }
}

fn store_gap(transaction: &Connection, identity: &SourceIdentity, gap: &StoredGap) -> Result<(), StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    let (first, last) = (place(gap.first)?, place(gap.last)?);
    let row = params![bits(device), log.0, bits(epoch.0), first, last, gap.reason.code()];
    transaction.prepare_cached(sql::STORE_GAP)?.execute(row)?;
    Ok(())
}
