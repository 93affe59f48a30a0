//! SQLite in the collector: a log of one's own, and sections of logs that were pulled. Durable when a call returns.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use evenkeel_collector::{SqliteLog, SqliteStore};
use evenkeel_core::section::Section;
use evenkeel_core::{Epoch, Log, LogId, Position, RamLog, Root};
use evenkeel_sync::{Piece, SinkStore, SourceIdentity};

use super::tally::Tally;
use super::{Grown, place};
use crate::report::Report;

/// What it is called in the results.
pub(super) const NAME: &str = "evenkeel, SQLite";
/// The same without a disk.
pub(super) const IN_MEMORY: &str = "evenkeel, SQLite in memory";
/// The disk without a database.
pub(super) const BARE: &str = "the disk alone";
/// Events in a batch, and in a section.
pub(super) const MANY: u64 = 64;
/// Times are the best of so many.
const TIMES: usize = 3;

/// Writes of a page that are timed by themselves.
const WRITES: u32 = 128;
/// The whole of a page of SQLite with its header in the write-ahead log.
const PAGE: [u8; 4120] = [7; 4120];

/// So many events, in this file or in memory; answers the nanoseconds of each.
type Work = fn(Option<&Path>, u64) -> f64;

/// Single appends, batches and sections, each of them one transaction: on disk, and in memory, where nothing is waited
/// for.
pub(super) fn run(events: u64) -> Report {
    let grown = Grown { events, streams: 1 };
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return Report::without(place(NAME, "single", grown), format!("no folder: {error}")),
    };
    let mut report = Report::default();
    let mut add = |system, workload, value| {
        report.take_in(Report::of(place(system, workload, grown), vec![("ns_per_event", value)]));
    };
    let workloads: [(&str, Work); 3] = [
        ("single", |file, events| log(file, events, 1)),
        ("batch64", |file, events| log(file, events, MANY)),
        ("section64", sections),
    ];
    for (workload, work) in workloads {
        let (mut on_disk, mut in_memory) = (f64::MAX, f64::MAX);
        for time in 0..TIMES {
            on_disk = on_disk.min(work(Some(&folder.path().join(format!("{workload}-{time}"))), events));
            in_memory = in_memory.min(work(None, events));
        }
        add(NAME, workload, on_disk);
        add(IN_MEMORY, workload, in_memory);
    }
    match bare_writes(&folder.path().join("bare")) {
        Ok(nanoseconds) => add(BARE, "write", nanoseconds),
        Err(error) => report.take_in(Report::without(place(BARE, "write", grown), error.to_string())),
    }
    report
}

/// What the disk takes at least: a page appended to a file and made durable.
fn bare_writes(file: &Path) -> std::io::Result<f64> {
    let mut best = f64::MAX;
    let mut file = std::fs::File::create(file)?;
    for _ in 0..TIMES {
        let start = Instant::now();
        for _ in 0..WRITES {
            file.write_all(&PAGE)?;
            file.sync_data()?;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(WRITES));
    }
    Ok(best)
}

/// Commands of so many events each.
fn log(file: Option<&Path>, events: u64, many: u64) -> f64 {
    let mut scratch = [0; 8192];
    let records = file.map_or_else(SqliteLog::in_memory, SqliteLog::open).expect("a database");
    let mut log = Log::mount(records, &mut scratch).expect("mounting");
    let mut root = Root::<Tally>::new(1);
    let start = Instant::now();
    for _ in 0..events / many {
        let count = |tally: &Tally| Ok::<_, ()>(vec![tally.count().expect("nothing refuses")[0]; many as usize]);
        log.execute(&mut root, count).expect("appending");
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / root.version().0 as f64;
    assert_eq!(u64::from(root.version().0), events / many * many);
    nanoseconds
}

/// Sections as they come from a device.
fn sections(file: Option<&Path>, events: u64) -> f64 {
    let mut scratch = [0; 1024];
    let mut log = Log::mount(RamLog::<_, 1, 1>::new(vec![0; events as usize * 20]), &mut scratch).expect("mounting");
    let mut root = Root::<Tally>::new(1);
    let (mut pieces, mut bytes) = (Vec::new(), [0; 2048]);
    for _ in 0..events / MANY {
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
    let start = Instant::now();
    let mut cursor = Position::START;
    for (first, count, bytes) in &pieces {
        let piece = Piece::Events { first: *first, count: *count, bytes };
        cursor = store.apply(&identity, cursor, &piece).expect("storing");
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / cursor.0 as f64;
    assert_eq!(cursor, log.bounds().last());
    nanoseconds
}
