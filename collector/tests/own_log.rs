//! A log of one's own in an SQLite file: what the behaviour cases do not ask.

use evenkeel_collector::{OpenError, SqliteLog, SqliteStore};
use evenkeel_core::error::ReadError;
use evenkeel_core::{Aggregate, Kind, Log, Position, Snapshot, Tracker, Version};

#[derive(Default, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Counter {
    count: u32,
}

impl Aggregate for Counter {
    const KIND: Kind = Kind(1);
    type Event = u32;

    fn apply(&mut self, by: &u32) {
        self.count += by;
    }
}

impl Snapshot for Counter {
    const SCHEMA: u8 = 1;
}

#[test]
fn everything_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut scratch = [0; 256];
    let mut log = Log::mount(SqliteLog::open(&path).unwrap(), &mut scratch).unwrap();
    let mut counter = log.load_or_new::<Counter>(u64::MAX).unwrap();
    for by in 1..=4 {
        log.execute(&mut counter, |_| Ok::<_, ()>([by, 10 * by])).unwrap();
        if by == 2 {
            assert!(log.take_snapshot(&mut counter).unwrap());
        }
    }
    log.acknowledge(Tracker(200), Position(5)).unwrap();
    drop(log);

    let mut log = Log::mount(SqliteLog::open(&path).unwrap(), &mut scratch).unwrap();
    assert_eq!((log.bounds().first, log.bounds().next), (Position(1), Position(9)));
    assert_eq!(log.tracked(Tracker(200)), Position(5));
    let loaded = log.load::<Counter>(u64::MAX).unwrap();
    assert_eq!((&*loaded, loaded.version()), (&Counter { count: 110 }, Version(8)));
    let (records, room) = log.parts();
    let snapshot = evenkeel_core::RecordManager::latest_snapshot(records, loaded.id(), Version(8), room).unwrap();
    assert_eq!(snapshot.map(|record| record.version), Some(Version(4)));
}

#[test]
fn a_file_has_one_writer_and_one_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).unwrap();
    let second = rusqlite::Connection::open(&path).unwrap();
    second.busy_timeout(core::time::Duration::ZERO).unwrap();
    let locked = second.execute("delete from events", []).unwrap_err();
    assert_eq!(locked.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
    drop((second, log));
    assert!(matches!(SqliteStore::open(&path), Err(OpenError::Foreign)));
    SqliteStore::open(folder.path().join("collected.db")).unwrap();
    assert!(matches!(SqliteLog::open(folder.path().join("collected.db")), Err(OpenError::Foreign)));
}

#[test]
fn a_scratch_buffer_too_small_for_a_record_is_an_error_that_names_its_size() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(SqliteLog::in_memory().unwrap(), &mut scratch).unwrap();
    let mut counter = log.load_or_new::<Counter>(1).unwrap();
    log.execute(&mut counter, |_| Ok::<_, ()>([1_000_000])).unwrap();
    let records = log.release();
    let mut small = [0; 2];
    let mut log = Log::mount(records, &mut small).unwrap();
    assert!(matches!(log.next_event(1, Version::NONE), Err(ReadError::ScratchTooSmall { needed: 3 })));
}
