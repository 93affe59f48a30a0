use evenkeel_core::section::SectionWriter;
use evenkeel_core::{Aggregate, Log, LogId, RamLog, Root, Tracker};
use evenkeel_sync::{Sink, SinkConfig, Source};

use super::*;
use crate::{Courier, DriveError, QueueLink, TwinStop};

const UPLINK: Tracker = Tracker(1);
const DEVICE: u64 = 0xFFFF_0000_0000_0001;

fn identity(epoch: u32) -> SourceIdentity {
    SourceIdentity { device: DEVICE, log: LogId(3), epoch: Epoch::new(epoch, 0x8000_0000) }
}

#[derive(Debug, Default, PartialEq)]
struct Sum(u64);

impl Aggregate for Sum {
    const KIND: Kind = Kind(4);
    type Event = u64;
    fn apply(&mut self, event: &u64) {
        self.0 += event;
    }
}

type Ram = RamLog<Vec<u8>, 8, 2>;

struct Bench<'b> {
    log: Log<'b, Ram>,
    sums: Vec<Root<Sum>>,
    source: Source,
    courier: Courier<QueueLink, QueueLink>,
    now_us: u64,
}

impl<'b> Bench<'b> {
    fn new(scratch: &'b mut [u8]) -> Self {
        Self {
            log: Log::mount(RamLog::new(vec![0; 16 * 1024]), scratch).unwrap(),
            sums: [7, u64::MAX].map(Root::new).into(),
            source: Source::new(identity(1), UPLINK),
            courier: Courier::new(128, QueueLink::default(), QueueLink::default()),
            now_us: 0,
        }
    }

    fn record(&mut self, events: u64) {
        for event in 1..=events {
            let sum = &mut self.sums[event as usize % 2];
            self.log.execute(sum, |_| Ok::<_, ()>([event])).unwrap();
        }
    }

    /// A sink made anew pulls all there is.
    fn pull(&mut self, store: &mut SqliteStore) -> Result<Sink, StoreError> {
        let mut config = SinkConfig::new(LogId(3));
        config.nonce = self.now_us as u32;
        config.credit = 2;
        let mut sink = Sink::new(config);
        let until = self.now_us + 10_000_000;
        let Self { log, source, courier, now_us, .. } = self;
        match courier.run(now_us, until, log, source, &mut sink, store) {
            Ok(done) => assert!(done, "{sink:?}"),
            Err(DriveError::Store(error)) => return Err(error),
            Err(other) => panic!("{other}"),
        }
        Ok(sink)
    }
}

fn stored(store: &SqliteStore, identity: &SourceIdentity) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    store.events(identity, Position::START, |record| events.push(record.into())).unwrap();
    events
}

fn in_log<R: evenkeel_core::RecordManager>(log: &mut Log<'_, R>) -> Vec<StoredEvent> {
    let mut events: Vec<StoredEvent> = Vec::new();
    while let Some(next) = log.next_notification(Position(events.len() as u64)).unwrap() {
        events.push(next.record().unwrap().into());
    }
    events
}

#[test]
fn what_was_recorded_is_stored_once_whatever_was_reopened_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collected.db");
    let mut scratch = [0; 256];
    let mut bench = Bench::new(&mut scratch);
    let mut pulled = 0;
    for round in 1..=5_u64 {
        bench.record(round * 7);
        let mut store = SqliteStore::open(&path).unwrap();
        let sink = bench.pull(&mut store).unwrap();
        pulled += sink.counters().events;
        drop(store);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(stored(&store, &identity(1)), in_log(&mut bench.log));
        let cursor = bench.log.bounds().last();
        assert_eq!(store.logs().unwrap(), [StoredLog { identity: identity(1), cursor }]);
        assert_eq!(bench.log.tracked(UPLINK), cursor);
    }
    assert_eq!(pulled, 7 * 15);
    let store = SqliteStore::open(&path).unwrap();
    let [last, first] = [7, u64::MAX].map(|id| {
        let twin = store.twin::<Sum>(&identity(1), StreamId(id)).unwrap();
        assert!(twin.is_complete());
        twin.root
    });
    assert_eq!((&*last, &*first), (&*bench.sums[0], &*bench.sums[1]));
    let streams = store.streams(&identity(1)).unwrap();
    let of = |stream, root: &Root<Sum>| StoredStream {
        stream: StreamId(stream),
        kind: Kind(4),
        version: root.version(),
        events: u64::from(root.version().0),
    };
    assert_eq!(streams, [of(u64::MAX, &first), of(7, &last)]);
}

/// The store fails in the middle of a section, at any event of it: rows and cursor stay together, the device is told
/// nothing, and later everything arrives.
#[test]
fn a_transaction_that_fails_half_way_leaves_the_cursor_where_it_was() {
    for at in 1..=30_u64 {
        let mut scratch = [0; 256];
        let mut bench = Bench::new(&mut scratch);
        bench.record(30);
        let mut store = SqliteStore::in_memory().unwrap();
        let trigger = format!(
            "create temp trigger fails before insert on events when new.position = {at}
             begin select raise(abort, 'no room'); end"
        );
        store.connection.execute_batch(&trigger).unwrap();
        let failed = bench.pull(&mut store).unwrap_err();
        assert!(failed.to_string().contains("no room"), "{failed}");
        let cursor = store.stored_up_to(&identity(1)).unwrap();
        assert!(cursor.0 < at);
        assert_eq!(stored(&store, &identity(1)).len() as u64, cursor.0);
        let sections: u64 = store
            .connection
            .query_row("select coalesce(sum(count), 0) from sections", [], |row| bits_at(row, 0))
            .unwrap();
        assert_eq!(sections, cursor.0, "no section without its cursor");
        assert!(bench.log.tracked(UPLINK) <= cursor);
        store.connection.execute_batch("drop trigger fails").unwrap();
        bench.now_us += 10_000_000;
        bench.pull(&mut store).unwrap();
        assert_eq!(stored(&store, &identity(1)), in_log(&mut bench.log));
    }
}

#[test]
fn the_cursor_fails_with_the_events() {
    let mut scratch = [0; 256];
    let mut bench = Bench::new(&mut scratch);
    bench.record(10);
    let mut store = SqliteStore::in_memory().unwrap();
    let trigger = "create temp trigger fails before insert on cursors begin select raise(abort, 'no room'); end";
    store.connection.execute_batch(trigger).unwrap();
    bench.pull(&mut store).unwrap_err();
    assert_eq!((stored(&store, &identity(1)).len(), store.logs().unwrap().len()), (0, 0));
}

/// Encodes events of the stream 7, the first with this version.
fn section(version: u8, count: u8) -> Vec<u8> {
    let mut room = [0; 64];
    let mut writer = SectionWriter::new(&mut room);
    for event in 0..count {
        let (stream, kind, version) = (StreamId(7), Kind(4), Version(u32::from(version + event)));
        assert!(writer.push(&Record { stream, kind, version, schema: 0, position: None, payload: &[event + 1] }));
    }
    writer.bytes().to_vec()
}

fn apply(store: &mut SqliteStore, after: u64, piece: Piece<'_>) -> Result<Position, StoreError> {
    store.apply(&identity(1), Position(after), &piece)
}

fn events(first: u64, count: u32, bytes: &[u8]) -> Piece<'_> {
    Piece::Events { first: Position(first), count, bytes }
}

#[test]
fn only_what_lies_beyond_the_cursor_is_stored_and_nothing_if_the_cursor_is_elsewhere() {
    let mut store = SqliteStore::in_memory().unwrap();
    let five = section(1, 5);
    assert_eq!(apply(&mut store, 0, events(1, 3, &section(1, 3))).unwrap(), Position(3));
    assert_eq!(apply(&mut store, 0, events(1, 5, &five)).unwrap(), Position(3), "another cursor: nothing is done");
    assert_eq!(apply(&mut store, 3, events(1, 5, &five)).unwrap(), Position(5));
    let gap = Piece::Gap { first: Position(4), last: Position(9), reason: Loss::Overwritten };
    assert_eq!(apply(&mut store, 5, gap).unwrap(), Position(9));
    let positions: Vec<_> = stored(&store, &identity(1)).iter().map(|event| event.position.0).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
    let gap = StoredGap { first: Position(6), last: Position(9), reason: Loss::Overwritten };
    assert_eq!(store.gaps(&identity(1)).unwrap(), [gap]);
}

#[test]
fn a_position_that_is_told_to_be_another_event_is_a_contradiction() {
    let mut store = SqliteStore::in_memory().unwrap();
    apply(&mut store, 0, events(1, 3, &section(1, 3))).unwrap();
    let other = section(2, 5);
    let refused = apply(&mut store, 3, events(1, 5, &other)).unwrap_err();
    assert!(matches!(refused, StoreError::Contradiction(Position(1))), "{refused}");
    assert_eq!(store.stored_up_to(&identity(1)).unwrap(), Position(3));
}

#[test]
fn positions_that_cannot_be_kept_in_order_are_refused() {
    let mut store = SqliteStore::in_memory().unwrap();
    let gap = |last| Piece::Gap { first: Position(1), last: Position(last), reason: Loss::Corrupt };
    let refused = apply(&mut store, 0, gap(1 << 63)).unwrap_err();
    assert!(matches!(refused, StoreError::OutOfRange(Position(0x8000_0000_0000_0000))), "{refused}");
    assert_eq!(apply(&mut store, 0, gap((1 << 63) - 1)).unwrap(), Position((1 << 63) - 1));
}

#[test]
fn a_twin_tells_where_events_are_missing() {
    let mut store = SqliteStore::in_memory().unwrap();
    apply(&mut store, 0, events(1, 2, &section(1, 2))).unwrap();
    let gap = Piece::Gap { first: Position(3), last: Position(4), reason: Loss::Corrupt };
    apply(&mut store, 2, gap).unwrap();
    let twin = store.twin::<Sum>(&identity(1), StreamId(7)).unwrap();
    assert!(!twin.is_complete(), "the stream may have had events at 3 and 4");
    assert_eq!((twin.root.0, twin.stopped, twin.lost.len()), (3, None, 1));

    apply(&mut store, 4, events(5, 1, &section(4, 1))).unwrap();
    let twin = store.twin::<Sum>(&identity(1), StreamId(7)).unwrap();
    let stopped = TwinStop {
        position: Position(5),
        error: evenkeel_core::ReplayError::OutOfOrder { expected: Version(3), actual: Version(4) },
    };
    assert_eq!((twin.root.0, twin.stopped), (3, Some(stopped)));

    let nobody = store.twin::<Sum>(&identity(2), StreamId(7)).unwrap();
    assert_eq!((nobody.root.version(), nobody.is_complete()), (Version::NONE, true));
}

#[test]
fn devices_logs_and_epochs_are_kept_apart() {
    let mut store = SqliteStore::in_memory().unwrap();
    let all = [
        identity(1),
        identity(2),
        SourceIdentity { log: LogId(4), ..identity(1) },
        SourceIdentity { device: 9, ..identity(1) },
    ];
    for (index, identity) in all.iter().enumerate() {
        let count = 1 + (index as u32 % 2);
        let section = section(1, count as u8);
        let piece = events(1, count, &section);
        assert_eq!(store.cursor(identity).unwrap(), Position::START);
        store.apply(identity, Position::START, &piece).unwrap();
        assert_eq!(stored(&store, identity).len() as u32, count);
    }
    assert_eq!(store.logs().unwrap().len(), 4);
}

#[test]
fn a_file_of_something_else_or_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("create table invoices (id integer)").unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(OpenError::Foreign)));
    std::fs::write(folder.path().join("letter.txt"), "Dear Sir or Madam, ".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(folder.path().join("letter.txt")), Err(OpenError::Foreign)));

    let path = folder.path().join("newer.db");
    drop(SqliteStore::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9, known: 2 }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_is_written_ahead_and_synced() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("collected.db")).unwrap();
    let mode: String = store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let synchronous: u8 = store.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

/// A file that was made before sections could be stored without rows of their events.
#[test]
fn a_file_of_the_first_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let mut store = SqliteStore::open(&path).unwrap();
    apply(&mut store, 0, events(1, 3, &section(1, 3))).unwrap();
    drop(store);
    let old = "drop table quarantine; alter table cursors drop column exploded; pragma user_version = 1";
    Connection::open(&path).unwrap().execute_batch(old).unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(apply(&mut store, 3, events(4, 2, &section(4, 2))).unwrap(), Position(5));
    assert_eq!(stored(&store, &identity(1)).len(), 5);
}

/// A collector was killed before its sections had rows: who opens the file finds all events, each once.
#[test]
fn sections_without_rows_get_them_when_the_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collected.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let mut bench_scratch = [0; 256];
    let mut bench = Bench::new(&mut bench_scratch);
    bench.record(20);
    bench.pull(&mut store).unwrap();
    let before = stored(&store, &identity(1));
    store.connection.execute_batch("delete from events where position > 7; update cursors set exploded = 7").unwrap();
    drop(store);
    assert_eq!(stored(&SqliteStore::open(&path).unwrap(), &identity(1)), before);
}
