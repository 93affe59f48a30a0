//! The tables, and what version of them a file has.
//!
//! A file holds either what was collected, or a log of its own.
//!
//! Of what was collected, every key begins with the device, so that the tables can be split by device. SQLite has no unsigned 64-bit
//! integers: `device`, `epoch` and `stream` are stored as the `i64` with the same bits, so large ones look negative to
//! other tools; they are only compared for being equal. Positions are below 2^63, so their order holds.

use rusqlite::Connection;

use crate::OpenError;

/// The version of these tables, in `PRAGMA user_version`.
pub(crate) const VERSION: u32 = 1;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Logs collected from devices.
    Collected,
    /// One log that is written here.
    Log,
}

impl Purpose {
    /// Marks a file as one of ours, in `PRAGMA application_id`: "EvKl" or "EvKr".
    const fn application(self) -> i32 {
        match self {
            Self::Collected => 0x4576_4B6C,
            Self::Log => 0x4576_4B72,
        }
    }

    const fn tables(self) -> &'static str {
        match self {
            Self::Collected => COLLECTED,
            Self::Log => LOG,
        }
    }
}

const LOG: &str = "
create table events (
    stream integer not null, version integer not null,
    kind integer not null, schema integer not null,
    position integer unique,
    payload blob not null,
    primary key (stream, version)
) strict, without rowid;

create table snapshots (
    stream integer not null, version integer not null,
    kind integer not null, schema integer not null,
    payload blob not null,
    primary key (stream, version)
) strict, without rowid;

create table trackers (
    tracker integer primary key,
    position integer not null
) strict;
";

const COLLECTED: &str = "
create table cursors (
    device integer not null, log integer not null, epoch integer not null,
    cursor integer not null,
    primary key (device, log, epoch)
) strict, without rowid;

create table sections (
    device integer not null, log integer not null, epoch integer not null,
    first integer not null, count integer not null,
    bytes blob not null,
    primary key (device, log, epoch, first, count)
) strict, without rowid;

create table events (
    device integer not null, log integer not null, epoch integer not null,
    position integer not null,
    stream integer not null, kind integer not null, schema integer not null, version integer not null,
    payload blob not null,
    primary key (device, log, epoch, position)
) strict, without rowid;

create index events_by_stream on events (device, log, epoch, stream, position);

create table gaps (
    device integer not null, log integer not null, epoch integer not null,
    first integer not null, last integer not null,
    reason integer not null,
    primary key (device, log, epoch, first)
) strict, without rowid;
";

/// Sets the connection up and creates the tables in an empty database.
pub(crate) fn prepare(connection: &mut Connection, purpose: Purpose) -> Result<(), OpenError> {
    connection.busy_timeout(core::time::Duration::from_secs(10))?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = transaction.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    if (version, application, tables) == (0, 0, 0) {
        transaction.execute_batch(purpose.tables())?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.pragma_update(None, "application_id", purpose.application())?;
        transaction.commit()?;
    } else if application != purpose.application() {
        return Err(OpenError::Foreign);
    } else if version != VERSION {
        return Err(OpenError::Newer { found: version, known: VERSION });
    } else {
        transaction.commit()?;
    }
    // In memory the journal mode stays "memory": that is not an error.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(())
}
