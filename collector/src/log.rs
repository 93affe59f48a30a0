//! A log of one's own in SQLite: the record manager contract on a desktop or a server.

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel_core::batch::{Batch, Headroom, Op};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::trace::ends_stream;
use evenkeel_core::{
    Appended, Bounds, Kind, Notification, Position, Record, RecordManager, StreamHead, StreamId, Tracker, Upkeep,
    Version,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::schema::{self, Purpose};
use crate::{OpenError, StoreError};

/// Keeps the records of one log in an SQLite file, under the same contract as a log on flash: aggregates, policies and
/// everything else of `evenkeel-core` run on it unchanged, such as the log of commands that a server writes for its
/// devices.
///
/// Every append is one transaction that is on disk when it returns (write-ahead log, `synchronous = FULL`). A file has
/// one writer: while it is open no other can open it. Nothing is ever let go. Positions stay below 2^63.
///
/// ```
/// use evenkeel_collector::SqliteLog;
/// use evenkeel_core::{Aggregate, Kind, Log};
///
/// #[derive(Default)]
/// struct Counter { count: u32 }
/// impl Aggregate for Counter {
///     const KIND: Kind = Kind(1);
///     type Event = u32;
///     fn apply(&mut self, by: &u32) { self.count += by; }
/// }
///
/// let mut scratch = [0; 4096]; // bounds a batch, and a record
/// let mut log = Log::mount(SqliteLog::in_memory()?, &mut scratch)?;
/// let mut counter = evenkeel_core::Root::<Counter>::new(7);
/// log.execute(&mut counter, |_| Ok::<_, ()>([3])).unwrap();
/// assert_eq!(log.replay::<Counter>(7)?.count, 3);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteLog {
    connection: Connection,
    next: Position,
    /// The place of the next event that has no position.
    next_local: i64,
    trackers: BTreeMap<Tracker, Position>,
    state: State,
}

/// How far memory agrees with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    /// A transaction failed: whether it is in the file is not known.
    Interrupted,
    Mounted,
}

const EVENT: &str = "select stream, version, kind, schema, place, payload from events";

impl SqliteLog {
    /// The log in this file, which is created if there is none or an empty one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::with(Connection::open(path)?)
    }

    /// An empty log that is gone with the value.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::with(Connection::open_in_memory()?)
    }

    /// The log behind a connection that the caller has opened, such as with encryption or limits of its own.
    pub fn with(mut connection: Connection) -> Result<Self, OpenError> {
        connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        schema::prepare(&mut connection, Purpose::Log)?;
        Ok(Self { connection, next: Position(1), next_local: -1, trackers: BTreeMap::new(), state: State::Unknown })
    }

    /// Reads what is kept in memory too.
    fn take_up(&mut self) -> Result<(), StoreError> {
        self.state = State::Interrupted;
        let ends = "select (select max(place) from events), (select min(place) from events)";
        let (last, lowest): (Option<i64>, Option<i64>) =
            self.connection.prepare_cached(ends)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut select = self.connection.prepare_cached("select tracker, position from trackers")?;
        let rows = select.query_map([], |row| Ok((Tracker(row.get(0)?), position_at(row, 1)?)))?;
        self.trackers = rows.collect::<Result<_, _>>()?;
        self.next = Position(last.map_or(0, |last| last.max(0).cast_unsigned())).next();
        self.next_local = lowest.map_or(0, |lowest| lowest.min(0)) - 1;
        self.state = State::Mounted;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), ReadError<StoreError>> {
        match self.state {
            State::Mounted => Ok(()),
            State::Unknown => Err(ReadError::NotMounted),
            State::Interrupted => self.take_up().map_err(ReadError::Storage),
        }
    }

    /// The first record that a query answers, lent.
    fn one<'s>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<StoreError>> {
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row(parameters, |row| Ok(lend(row, scratch))).optional())
            .map_err(failed)?;
        found.transpose()
    }
}

fn failed(error: rusqlite::Error) -> ReadError<StoreError> {
    ReadError::Storage(StoreError::Sqlite(error))
}

fn position_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Position> {
    Ok(Position(row.get::<_, i64>(index)?.cast_unsigned()))
}

/// A stored position; those that do not fit are refused before anything is stored.
fn stored(position: Position) -> Result<i64, StoreError> {
    i64::try_from(position.0).map_err(|_| StoreError::OutOfRange(position))
}

/// Copies a payload into the caller's buffer.
fn lend<'s>(row: &Row<'_>, scratch: &'s mut Scratch<'_>) -> Result<Record<'s>, ReadError<StoreError>> {
    let read = || -> rusqlite::Result<_> {
        let stream = StreamId(row.get::<_, i64>(0)?.cast_unsigned());
        let (version, kind, schema) = (Version(row.get(1)?), Kind(row.get(2)?), row.get(3)?);
        let position = row.get::<_, Option<i64>>(4)?.filter(|place| *place > 0);
        let position = position.map(|place| Position(place.cast_unsigned()));
        let payload = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
        Ok((Record { stream, version, kind, schema, position, payload: &[] }, payload))
    };
    let (record, payload) = read().map_err(failed)?;
    let needed = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let place = scratch.bytes_mut().get_mut(..payload.len()).ok_or(ReadError::ScratchTooSmall { needed })?;
    place.copy_from_slice(payload);
    Ok(Record { payload: place, ..record })
}

fn head_of(connection: &Connection, stream: StreamId) -> Result<Option<StreamHead>, StoreError> {
    let sql = "select kind, version, schema from events where stream = ?1 order by version desc limit 1";
    let head = connection
        .prepare_cached(sql)?
        .query_row(params![stream.0.cast_signed()], |row| {
            Ok(StreamHead {
                kind: Kind(row.get(0)?),
                version: Version(row.get(1)?),
                discarded: ends_stream(row.get(2)?),
            })
        })
        .optional()?;
    Ok(head)
}

/// Everything that can be refused is refused here.
fn check(
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
    trackers: &BTreeMap<Tracker, Position>,
) -> Result<(), AppendError<StoreError>> {
    for (index, (entry, _)) in batch.iter().enumerate() {
        match entry.op {
            Op::Event { stream, .. } | Op::Snapshot { stream, .. } => {
                // What follows an event of the batch is checked against that event.
                let head = match batch.head_before(index, stream) {
                    Some(_) => None,
                    None => head_of(transaction, stream).map_err(AppendError::Storage)?,
                };
                batch.check(index, head)?;
            }
            Op::Track { tracker, position, .. } => {
                batch.check_track(index, trackers.get(&tracker).copied().unwrap_or_default())?;
                stored(position).map_err(AppendError::Storage)?;
            }
            _ => return Err(AppendError::TableFull),
        }
    }
    Ok(())
}

/// Stores the entries of a batch, the first event with a position at `first`, the first without one in the place `local`;
/// answers what the latter comes to.
fn store(transaction: &Transaction<'_>, batch: &Batch<'_>, first: Position, local: i64) -> Result<i64, StoreError> {
    let (mut position, mut local) = (first, local);
    let mut insert = transaction.prepare_cached(
        "insert into events (place, stream, version, kind, schema, payload) values (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (entry, payload) in batch.iter() {
        match entry.op {
            Op::Event { stream, kind, schema, version } => {
                let place = if entry.local { local } else { stored(position)? };
                insert.execute(params![place, stream.0.cast_signed(), version.0, kind.0, schema, payload])?;
                match entry.local {
                    true => local -= 1,
                    false => position = position.next(),
                }
            }
            Op::Snapshot { stream, kind, schema, version } => {
                let sql = "insert or replace into snapshots (stream, version, kind, schema, payload)
                           values (?1, ?2, ?3, ?4, ?5)";
                let row = params![stream.0.cast_signed(), version.0, kind.0, schema, payload];
                transaction.prepare_cached(sql)?.execute(row)?;
            }
            Op::Track { tracker, position, .. } => {
                let sql = "insert or replace into trackers (tracker, position) values (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(params![tracker.0, stored(position)?])?;
            }
            _ => {}
        }
    }
    Ok(local)
}

impl RecordManager for SqliteLog {
    type Error = StoreError;
    type MountError = StoreError;

    const HEADROOM: Headroom = Headroom { batch: 0, entry: 0 };

    fn mount(&mut self, _: &mut Scratch<'_>) -> Result<(), StoreError> {
        self.take_up()
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<StoreError>> {
        self.settle()?;
        let failed = |error: rusqlite::Error| AppendError::Storage(StoreError::Sqlite(error));
        let appended = Appended { first: self.next, events: batch.positions() };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        check(&transaction, batch, &self.trackers)?;
        self.state = State::Interrupted;
        let next_local = store(&transaction, batch, self.next, self.next_local).map_err(AppendError::Storage)?;
        transaction.commit().map_err(failed)?;
        self.next_local = next_local;
        self.state = State::Mounted;
        self.next = appended.last().next();
        for (entry, _) in batch.iter() {
            if let Op::Track { tracker, position, .. } = entry.op {
                self.trackers.insert(tracker, position);
            }
        }
        Ok(appended)
    }

    fn bounds(&self) -> Bounds {
        Bounds { first: Position(1), next: self.next }
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.trackers.get(&tracker).copied().unwrap_or_default()
    }

    fn head(&mut self, stream: StreamId, _: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<StoreError>> {
        self.settle()?;
        head_of(&self.connection, stream).map_err(ReadError::Storage)
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<StoreError>> {
        self.settle()?;
        let sql = format!("{EVENT} where stream = ?1 and version > ?2 order by version limit 1");
        self.one(&sql, params![stream.0.cast_signed(), after.0], scratch)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<StoreError>> {
        self.settle()?;
        let sql = "select stream, version, kind, schema, null, payload from snapshots
                   where stream = ?1 and version <= ?2 order by version desc limit 1";
        self.one(sql, params![stream.0.cast_signed(), at_most.0], scratch)
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<StoreError>> {
        self.settle()?;
        if after >= self.next {
            return Err(ReadError::BeyondEnd { next: self.next });
        }
        let sql = format!("{EVENT} where place = ?1");
        let found = self.one(&sql, params![stored(after.next()).map_err(ReadError::Storage)?], scratch)?;
        Ok(found.map(Notification::Event))
    }

    fn list_streams(&mut self, list: &mut StreamList<'_>, _: &mut Scratch<'_>) -> Result<(), ReadError<StoreError>> {
        self.settle()?;
        let mut select =
            self.connection.prepare_cached("select stream, kind from events where version = 1").map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let read = row.get::<_, i64>(0).and_then(|stream| Ok((stream, row.get(1)?)));
            let (stream, kind) = read.map_err(failed)?;
            list.offer(StreamId(stream.cast_unsigned()), Kind(kind));
        }
        Ok(())
    }

    fn upkeep(&mut self, _: &mut Scratch<'_>) -> Result<Upkeep, AppendError<StoreError>> {
        Ok(Upkeep::Idle)
    }
}
