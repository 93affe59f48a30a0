//! What version of the tables a SQLite file has.
//!
//! A file holds either what was collected ([`sql`](crate::sql) has those tables), or a log of its own.
//!
//! In a log of its own, the `place` of an event is its position, or below 0 if it has none. As its rows are in that order,
//! an append adds to the end of the table, which touches the fewest pages.

use rusqlite::Connection;

use crate::{OpenError, sql};

/// The version of these tables, in `PRAGMA user_version`.
pub(crate) const VERSION: u32 = 2;

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

    fn tables(self) -> String {
        match self {
            Self::Collected => {
                let tables: String = sql::TABLES.iter().map(sql::Table::for_sqlite).collect();
                format!("{tables} {};", sql::EVENTS_BY_STREAM)
            }
            Self::Log => LOG.into(),
        }
    }

    /// What leads from the tables of version 1 to those of version 2.
    fn migration(self) -> String {
        match self {
            Self::Collected => format!(
                "alter table cursors add column exploded integer not null default 0;
                 update cursors set exploded = cursor;
                 {}",
                sql::QUARANTINE.for_sqlite()
            ),
            Self::Log => String::new(),
        }
    }
}

const LOG: &str = "
create table events (
    place integer primary key,
    stream integer not null, version integer not null,
    kind integer not null, schema integer not null,
    payload blob not null,
    unique (stream, version)
) strict;

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

/// Sets the connection up and creates the tables in an empty database.
pub(crate) fn prepare(connection: &mut Connection, purpose: Purpose) -> Result<(), OpenError> {
    connection.busy_timeout(core::time::Duration::from_secs(10))?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = transaction.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    if (version, application, tables) == (0, 0, 0) {
        transaction.execute_batch(&purpose.tables())?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.pragma_update(None, "application_id", purpose.application())?;
        transaction.commit()?;
    } else if application != purpose.application() {
        return Err(OpenError::Foreign);
    } else if version == 1 {
        transaction.execute_batch(&purpose.migration())?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
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
