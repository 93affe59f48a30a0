//! SQLite in the collector: a log of one's own, and sections of logs that were pulled. Durable when a call returns.
//! Beside it SQLite alone, in the same run: a loop of inserts into one table, as durable, and nothing else.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use evenkeel_collector::{SqliteLog, SqliteStore};
use evenkeel_core::section::Section;
use evenkeel_core::{Epoch, Log, LogId, Position, RamLog, Root};
use evenkeel_sync::{Piece, SinkStore, SourceIdentity};
use rusqlite::{Connection, TransactionBehavior, params};

use super::tally::Tally;
use super::{Grown, place};
use crate::report::Report;

/// What it is called in the results.
pub(super) const NAME: &str = "evenkeel, SQLite";
/// The same without a disk.
pub(super) const IN_MEMORY: &str = "evenkeel, SQLite in memory";
/// A loop of inserts.
pub(super) const ALONE: &str = "SQLite alone";
/// The same without a disk.
pub(super) const ALONE_IN_MEMORY: &str = "SQLite alone, in memory";
/// The disk without a database.
pub(super) const BARE: &str = "the disk alone";
/// Events in a batch, and in a section.
pub(super) const MANY: u64 = 64;
/// Times are the best of so many.
const TIMES: usize = 3;
/// Times on a disk, which is not equally fast all the time.
const TIMES_ON_DISK: u64 = 12;
/// Transactions of each of these.
const TRANSACTIONS: u64 = 64;

/// Writes of a page that are timed by themselves.
const WRITES: u32 = 16;
/// The whole of a page of SQLite with its header in the write-ahead log.
const PAGE: [u8; 4096 + 24] = [7; 4096 + 24];
/// Transactions whose pages are counted: the journal does not start anew so soon.
const COUNTED: u64 = 32;

/// So many events, in this file or in memory.
type Work = fn(Option<&Path>, u64) -> Done;

/// What some work took.
struct Done {
    /// Nanoseconds of each event.
    nanoseconds: f64,
    /// Pages that came to the write-ahead log, if there is a file.
    pages: Option<f64>,
}

/// Work that is being timed, on a database in which something has been written already.
struct Timed<'f> {
    file: Option<&'f Path>,
    journal_bytes: Option<u64>,
    start: Instant,
}

impl<'f> Timed<'f> {
    fn begin(file: Option<&'f Path>) -> Self {
        Self { file, journal_bytes: journal_bytes(file), start: Instant::now() }
    }

    /// To be asked while the file is open: closing it takes its journal away.
    fn done(self, events: u64) -> Done {
        let nanoseconds = self.start.elapsed().as_nanos() as f64 / events as f64;
        let pages = journal_bytes(self.file).zip(self.journal_bytes);
        Done { nanoseconds, pages: pages.map(|(after, before)| (after - before) as f64 / PAGE.len() as f64) }
    }
}

fn journal_bytes(file: Option<&Path>) -> Option<u64> {
    let mut name = file?.as_os_str().to_owned();
    name.push("-wal");
    std::fs::metadata(name).map(|file| file.len()).ok()
}

/// Single appends, batches and sections, each of them one transaction: on disk, and in memory, where nothing is waited
/// for.
pub(super) fn run(events: u64) -> Report {
    let grown = Grown { events, streams: 1 };
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return Report::without(place(NAME, "single", grown), format!("no folder: {error}")),
    };
    let mut report = Report::default();
    let mut add = |system, workload, metric, value| {
        report.take_in(Report::of(place(system, workload, grown), vec![(metric, value)]));
    };
    let workloads: [(&str, u64, Work, Work); 3] = [
        ("single", 1, |file, events| log(file, events, 1), |file, events| alone(file, events, 1)),
        ("batch64", MANY, |file, events| log(file, events, MANY), |file, events| alone(file, events, MANY)),
        ("section64", MANY, sections, |file, events| alone(file, events, MANY)),
    ];
    let mut bare: std::io::Result<f64> = Ok(f64::MAX);
    for (workload, many, ours, theirs) in workloads {
        let mut fresh = 0..;
        let mut file = || folder.path().join(format!("{workload}-{}", fresh.next().unwrap_or(0)));
        for (system, in_memory, work) in [(NAME, IN_MEMORY, ours), (ALONE, ALONE_IN_MEMORY, theirs)] {
            let pages = work(Some(&file()), COUNTED * many).pages.map(|pages| pages / COUNTED as f64);
            pages.into_iter().for_each(|pages| add(system, workload, "pages_per_transaction", pages));
            let best = (0..TIMES).map(|_| work(None, events).nanoseconds).fold(f64::MAX, f64::min);
            add(in_memory, workload, "ns_per_event", best);
        }
        let rounds = TIMES_ON_DISK.min(1 + events / 100); // few if only a few events are wanted
        let (mut on_disk, events) = ([f64::MAX; 2], events.min(TRANSACTIONS * many));
        for _ in 0..rounds {
            bare = bare.and_then(|best| Ok(bare_writes(&file())?.min(best)));
            for (best, work) in on_disk.iter_mut().zip([ours, theirs]) {
                *best = best.min(work(Some(&file()), events).nanoseconds);
            }
        }
        for (system, best) in [NAME, ALONE].into_iter().zip(on_disk) {
            add(system, workload, "ns_per_event", best);
        }
    }
    match bare {
        Ok(nanoseconds) => add(BARE, "write", "ns_per_event", nanoseconds),
        Err(error) => report.take_in(Report::without(place(BARE, "write", grown), error.to_string())),
    }
    report
}

/// What the disk takes at least: a page appended to a file and made durable.
fn bare_writes(file: &Path) -> std::io::Result<f64> {
    let mut file = std::fs::File::create(file)?;
    file.write_all(&PAGE)?;
    file.sync_data()?;
    let start = Instant::now();
    for _ in 0..WRITES {
        file.write_all(&PAGE)?;
        file.sync_data()?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(WRITES))
}

/// Commands of so many events each.
fn log(file: Option<&Path>, events: u64, many: u64) -> Done {
    let mut scratch = [0; 8192];
    let records = file.map_or_else(SqliteLog::in_memory, SqliteLog::open).expect("a database");
    let mut log = Log::mount(records, &mut scratch).expect("mounting");
    let mut root = Root::<Tally>::new(1);
    let count = |tally: &Tally| Ok::<_, ()>(vec![tally.count().expect("nothing refuses")[0]; many as usize]);
    log.execute(&mut root, count).expect("appending");
    let timed = Timed::begin(file);
    for _ in 0..events / many {
        log.execute(&mut root, count).expect("appending");
    }
    let done = timed.done(events / many * many);
    assert_eq!(u64::from(root.version().0), (events / many + 1) * many);
    done
}

/// Sections as they come from a device.
fn sections(file: Option<&Path>, events: u64) -> Done {
    let mut scratch = [0; 1024];
    let mut log =
        Log::mount(RamLog::<_, 1, 1>::new(vec![0; (events + MANY) as usize * 20]), &mut scratch).expect("mounting");
    let mut root = Root::<Tally>::new(1);
    let (mut pieces, mut bytes) = (Vec::new(), [0; 2048]);
    for _ in 0..=events / MANY {
        let after = log.bounds().last();
        for _ in 0..MANY {
            log.execute(&mut root, |tally| tally.count()).expect("room");
        }
        let Section::Events { first, count, bytes } = log.section(after, &mut bytes).expect("reading") else {
            panic!("no events behind {after:?}")
        };
        assert_eq!(u64::from(count), MANY);
        pieces.push((first, count, bytes.to_vec()));
    }
    let identity = SourceIdentity { device: 7, log: LogId(1), epoch: Epoch::new(1, 0xC0FF_EE00) };
    let mut store = file.map_or_else(SqliteStore::in_memory, SqliteStore::open).expect("a database");
    let mut cursor = Position::START;
    let mut apply = |(first, count, bytes): &(Position, u32, Vec<u8>)| {
        let piece = Piece::Events { first: *first, count: *count, bytes };
        cursor = store.apply(&identity, cursor, &piece).expect("storing");
    };
    apply(&pieces[0]);
    let timed = Timed::begin(file);
    pieces[1..].iter().for_each(apply);
    let done = timed.done(cursor.0 - MANY);
    assert_eq!(cursor, log.bounds().last());
    done
}

/// Rows of one table with its key and nothing else, so many in a transaction: what nobody can be faster than who keeps
/// events in SQLite and has them on disk when a call returns.
fn alone(file: Option<&Path>, events: u64, many: u64) -> Done {
    let mut connection = file.map_or_else(Connection::open_in_memory, Connection::open).expect("a database");
    connection
        .execute_batch(
            "pragma locking_mode = exclusive;
             create table events (position integer primary key, stream integer, version integer, payload blob);
             pragma journal_mode = wal;
             pragma synchronous = full;",
        )
        .expect("a table");
    let mut position = 0_i64;
    let mut insert = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("a transaction");
        for _ in 0..many {
            position += 1;
            let insert = "insert into events (position, stream, version, payload) values (?1, 1, ?1, ?2)";
            let mut insert = transaction.prepare_cached(insert).expect("a statement");
            insert.execute(params![position, [0_u8]]).expect("a row");
        }
        transaction.commit().expect("a disk");
    };
    insert();
    let timed = Timed::begin(file);
    (0..events / many).for_each(|_| insert());
    let done = timed.done(events / many * many);
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("a mode");
    let synchronous: u32 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).expect("a level");
    assert_eq!((mode.as_str(), synchronous), (if file.is_some() { "wal" } else { "memory" }, 2), "as durable as ours");
    done
}
