//! The life of an aggregate: loaded at any version, discarded, cached, saved together with others, traced to its causes.

use evenkeel_core::batch::{Batch, Headroom, Op};
use evenkeel_core::error::{AppendError, ExecuteError, LoadError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Aggregate, Appended, Bounds, Cache, CodecError, Kind, Log, Notification, Position, RamLog, Record, RecordManager,
    ReplayError, Root, Snapshot, StreamHead, StreamId, Trace, Tracker, Upkeep, Version,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Added(u16);

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    total: u64,
}

#[derive(Debug, PartialEq)]
struct TooMuch;

impl Aggregate for Counter {
    const KIND: Kind = Kind(1);
    type Event = Added;
    fn apply(&mut self, Added(by): &Added) {
        self.total += u64::from(*by);
    }
}

impl Snapshot for Counter {
    const SCHEMA: u8 = 1;
    const PERIOD: u32 = 2;
}

impl Counter {
    fn add(&self, by: u16) -> Result<[Added; 1], TooMuch> {
        if self.total + u64::from(by) > 1000 { Err(TooMuch) } else { Ok([Added(by)]) }
    }

    fn take(&self, by: u16) -> Result<[Added; 1], TooMuch> {
        if self.total < u64::from(by) { Err(TooMuch) } else { Ok([Added(0)]) }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Other;

impl Aggregate for Other {
    const KIND: Kind = Kind(2);
    type Event = ();
    fn apply(&mut self, (): &()) {}
}

impl Snapshot for Other {
    const SCHEMA: u8 = 1;
}

type Ram = RamLog<Vec<u8>, 16, 4>;

fn ram() -> Ram {
    RamLog::new(vec![0; 1 << 14])
}

/// A log with one counter of `events` events of 1, 2, 3, ..., in stream 7.
fn counted<R: RecordManager>(records: R, scratch: &mut [u8], events: u16) -> (Log<'_, R>, Root<Counter>)
where
    R::MountError: core::fmt::Debug,
{
    let mut log = Log::mount(records, scratch).unwrap();
    let mut counter = Root::<Counter>::new(7);
    (1..=events).for_each(|by| _ = log.execute(&mut counter, |counter| counter.add(by)).unwrap());
    (log, counter)
}

/// Another record manager in the way: hides the events of a stream up to a version, as if they had been let go; and
/// appends an event of somebody else before each batch.
struct Between<R> {
    inner: R,
    hidden: Version,
    meddles: u32,
    first: Position,
}

impl<R> Between<R> {
    fn new(inner: R) -> Self {
        Self { inner, hidden: Version::NONE, meddles: 0, first: Position(1) }
    }
}

impl<R: RecordManager> RecordManager for Between<R> {
    type Error = R::Error;
    type MountError = R::MountError;
    const HEADROOM: Headroom = R::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), R::MountError> {
        self.inner.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<R::Error>> {
        if self.meddles > 0 {
            if let Some(Op::Event { stream, kind, schema, version }) = batch.entry(0).map(|entry| entry.op) {
                self.meddles -= 1;
                let mut bytes = [0; 128];
                let mut other = Batch::new(&mut bytes, R::HEADROOM);
                other.push(Op::Event { stream, kind, schema, version }, |out| {
                    out[0] = 1;
                    Ok(1)
                })?;
                self.inner.append(&mut other)?;
            }
        }
        self.inner.append(batch)
    }

    fn bounds(&self) -> Bounds {
        Bounds { first: self.first, ..self.inner.bounds() }
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.inner.tracked(tracker)
    }

    fn head(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<R::Error>> {
        self.inner.head(stream, scratch)
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        self.inner.next_event(stream, after.max(self.hidden), scratch)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        self.inner.latest_snapshot(stream, at_most, scratch)
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<R::Error>> {
        self.inner.next_notification(after, scratch)
    }

    fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<R::Error>> {
        self.inner.list_streams(list, scratch)
    }

    fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<R::Error>> {
        self.inner.secure(scratch)
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<R::Error>> {
        self.inner.upkeep(scratch)
    }
}

#[test]
fn every_version_can_be_loaded_and_no_other() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(ram(), &mut scratch, 3);
    log.take_snapshot(&mut counter).unwrap();
    (4..=6).for_each(|by| _ = log.execute(&mut counter, |counter| counter.add(by)).unwrap());
    for version in 1..=6 {
        let loaded = log.load_at::<Counter>(7, Version(version)).unwrap();
        assert_eq!((loaded.total, loaded.version()), ((1..=u64::from(version)).sum(), Version(version)));
    }
    assert_eq!(log.load_at::<Counter>(7, Version(7)), Err(LoadError::BeyondEnd { actual: Version(6) }));
    assert_eq!(log.load_at::<Counter>(7, Version::NONE), Err(LoadError::NotFound));
    assert_eq!(log.load_at::<Counter>(8, Version(1)), Err(LoadError::NotFound));
    let wrong = LoadError::WrongKind { expected: Kind(2), actual: Kind(1) };
    assert_eq!(log.load_at::<Other>(7, Version(1)), Err(wrong));
}

#[test]
fn what_was_discarded_is_not_found_and_takes_nothing_more() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(ram(), &mut scratch, 2);
    let mut stale = counter.clone();
    let discarded = log.discard(&mut counter).unwrap();
    assert_eq!((discarded.first, discarded.events), (Position(3), 1));
    assert!(counter.is_discarded() && counter.version() == Version(3) && counter.total == 3);
    let refused = AppendError::Discarded { stream: StreamId(7) };
    for root in [&mut counter, &mut stale.clone()] {
        let decided = core::cell::Cell::new(false);
        let outcome = log.execute(root, |counter| {
            decided.set(true);
            counter.add(1)
        });
        match root.is_discarded() {
            true => assert_eq!((outcome, decided.get()), (Err(ExecuteError::Log(refused)), false)),
            false => assert!(matches!(outcome, Err(ExecuteError::Log(AppendError::Conflict { .. })))),
        }
    }
    assert_eq!(log.discard(&mut counter), Err(refused));
    assert_eq!(log.take_snapshot(&mut counter), Err(refused));
    assert_eq!(log.execute_last(&mut counter, |counter| counter.add(1)), Err(ExecuteError::Log(refused)));
    let together = log
        .execute_all((&mut counter, &mut Root::<Counter>::new(8)), |(a, b)| Ok::<_, TooMuch>((a.add(1)?, b.add(1)?)));
    assert_eq!(together, Err(ExecuteError::Log(refused)));
    // Nor does a batch that knows the version add anything behind the end.
    let at = Version(3);
    let raw = log.append::<AppendError<_>>(|batch| Ok(batch.event::<Counter>(StreamId(7), at, &Added(1))?));
    assert_eq!(raw, Err(refused));
    let again = log.append::<AppendError<_>>(|batch| Ok(batch.discard::<Counter>(StreamId(7), at)?));
    assert_eq!(again, Err(refused));
    let ends = log.append::<AppendError<_>>(|batch| {
        batch.discard::<Counter>(StreamId(9), Version(0))?;
        Ok(batch.event::<Counter>(StreamId(9), Version(1), &Added(1))?)
    });
    assert_eq!(ends, Err(AppendError::Discarded { stream: StreamId(9) }));
    // It is not there any more, and its id is taken.
    let gone = LoadError::Discarded { version: Version(3) };
    assert_eq!(log.load::<Counter>(7), Err(gone));
    assert_eq!(log.replay::<Counter>(7), Err(gone));
    assert_eq!(log.load_or_new::<Counter>(7), Err(gone));
    assert_eq!(log.load_at::<Counter>(7, Version(3)), Err(gone));
    assert!(gone.is_not_found());
    assert_eq!(log.contains::<Counter>(7), Ok(false));
    assert_eq!(log.snapshot::<Counter>(7), Ok(None));
    let created = log.execute(&mut Root::<Counter>::new(7), |counter| counter.add(1));
    let taken = AppendError::Conflict { stream: StreamId(7), expected: Version(0), actual: Version(3) };
    assert_eq!(created, Err(ExecuteError::Log(taken)));
    let retried = log.execute_retrying(3, &mut stale, |counter| counter.add(1));
    assert_eq!(retried, Err(ExecuteError::Load(gone)));
    // What it was before can still be loaded.
    assert_eq!(log.load_at::<Counter>(7, Version(2)).unwrap().total, 3);
    assert_eq!(log.bounds().last(), Position(3));
}

#[test]
fn last_facts_and_the_end_are_one_batch_and_a_twin_takes_them_in() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(ram(), &mut scratch, 1);
    assert_eq!(log.execute_last(&mut counter, |counter| counter.add(5000)), Err(ExecuteError::Refused(TooMuch)));
    assert!(!counter.is_discarded());
    let appended = log.execute_last(&mut counter, |counter| counter.add(5)).unwrap();
    assert_eq!((appended.first, appended.events, counter.total, counter.version()), (Position(2), 2, 6, Version(3)));
    let mut twin = Root::<Counter>::new(7);
    let mut after = Position::START;
    while let Some(notification) = log.next_notification(after).unwrap() {
        let record = *notification.record().unwrap();
        assert_eq!(record.is_discard(), record.version == Version(3));
        assert_eq!(record.event::<Counter>().is_none(), record.is_discard());
        twin.replay(&record).unwrap();
        assert!(twin.replay(&record).is_err());
        after = notification.last();
    }
    assert_eq!(twin, counter);
    let more = Record { version: Version(4), schema: 0, ..record(&[1]) };
    assert_eq!(twin.replay(&more), Err(ReplayError::Discarded));
}

fn record(payload: &[u8]) -> Record<'_> {
    Record { stream: StreamId(7), kind: Kind(1), version: Version(1), schema: 0, position: None, payload }
}

#[test]
fn a_record_that_is_not_the_next_event_leaves_the_root_as_it_was() {
    let mut root = Root::<Counter>::new(7);
    let before = root.clone();
    let cases = [
        (Record { stream: StreamId(8), ..record(&[1]) }, ReplayError::OtherStream),
        (Record { kind: Kind(2), ..record(&[1]) }, ReplayError::WrongKind { expected: Kind(1), actual: Kind(2) }),
        (
            Record { version: Version(2), ..record(&[1]) },
            ReplayError::OutOfOrder { expected: Version(1), actual: Version(2) },
        ),
        (
            Record { version: Version(0), ..record(&[1]) },
            ReplayError::OutOfOrder { expected: Version(1), actual: Version(0) },
        ),
        (record(&[1, 2]), ReplayError::Codec(CodecError::Leftover)),
        (record(&[0x80]), ReplayError::Codec(CodecError::Malformed)),
        (Record { schema: 3, ..record(&[1]) }, ReplayError::Codec(CodecError::UnknownSchema)),
    ];
    for (record, expected) in cases {
        assert_eq!((root.replay(&record), &root), (Err(expected), &before));
    }
    assert_eq!((root.replay(&record(&[1])), root.version(), root.total), (Ok(()), Version(1), 1));
}

#[test]
fn a_command_that_always_conflicts_is_tried_as_often_as_was_said() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(Between::new(ram()), &mut scratch, 1);
    log.records().meddles = u32::MAX;
    let mut tries = 0;
    let outcome = log.execute_retrying(5, &mut counter, |counter| {
        tries += 1;
        counter.add(100)
    });
    assert!(matches!(outcome, Err(ExecuteError::Log(AppendError::Conflict { .. }))), "{outcome:?}");
    assert_eq!((tries, log.bounds().last()), (5, Position(6)), "only the others have come through");
    log.records().meddles = 2;
    log.execute_retrying(5, &mut counter, |counter| counter.add(100)).unwrap();
    assert_eq!((counter.total, &*counter), (1 + 6 + 100, &*log.load::<Counter>(7).unwrap()));
}

#[test]
fn several_aggregates_are_changed_together_or_not_at_all() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let (mut a, mut b, mut c) = (Root::<Counter>::new(1), Root::<Counter>::new(2), Root::<Other>::new(3));
    let appended = log.execute_all((&mut a, &mut b, &mut c), |(a, b, _)| {
        let twice = a.add(3)?.into_iter().chain(a.add(4)?);
        Ok::<_, TooMuch>((twice, b.add(5)?, [()]))
    });
    assert_eq!(appended, Ok(Appended { first: Position(1), events: 4 }));
    assert_eq!((a.total, b.total, c.version()), (7, 5, Version(1)));
    assert_eq!((a.position(), b.position(), c.position()), (Position(2), Position(3), Position(4)));
    for (root, id) in [(&a, 1), (&b, 2)] {
        assert_eq!(**root, *log.load::<Counter>(id).unwrap());
    }
    let before = (a.clone(), b.clone());
    let refused = log.execute_all((&mut a, &mut b), |(a, b)| Ok((a.add(1)?, b.take(6)?)));
    assert_eq!(refused, Err(ExecuteError::Refused(TooMuch)));
    // One of them is behind the log: nothing of the others is stored either.
    log.execute(&mut b.clone(), |counter| counter.add(1)).unwrap();
    let conflict = log.execute_all((&mut a, &mut b), |(a, b)| Ok::<_, TooMuch>((a.add(1)?, b.add(1)?)));
    assert!(matches!(conflict, Err(ExecuteError::Log(AppendError::Conflict { stream: StreamId(2), .. }))));
    // The same one twice is a conflict with itself.
    let (mut one, mut two) = (a.clone(), a.clone());
    let twice = log.execute_all((&mut one, &mut two), |(one, two)| Ok::<_, TooMuch>((one.add(1)?, two.add(1)?)));
    assert!(matches!(twice, Err(ExecuteError::Log(AppendError::Conflict { stream: StreamId(1), .. }))));
    assert_eq!((&a, &b), (&before.0, &before.1));
    assert_eq!(log.bounds().last(), Position(5));
    let nothing = log.execute_all((&mut a, &mut c), |_| Ok::<_, TooMuch>(([], [])));
    assert_eq!(nothing, Ok(Appended { first: Position(6), events: 0 }));
}

#[test]
fn a_root_is_refreshed_with_what_others_have_appended() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(Between::new(ram()), &mut scratch, 2);
    let (mut behind, mut far_behind) = (counter.clone(), counter.clone());
    log.execute(&mut counter, |counter| counter.add(7)).unwrap();
    log.fast_forward(&mut behind).unwrap();
    assert_eq!(behind, counter);
    // The events in between have been let go: it is loaded anew.
    log.execute(&mut counter, |counter| counter.add(7)).unwrap();
    log.take_snapshot(&mut counter).unwrap();
    log.execute(&mut counter, |counter| counter.add(7)).unwrap();
    log.records().hidden = Version(4);
    log.fast_forward(&mut far_behind).unwrap();
    assert_eq!((&*far_behind, far_behind.version()), (&*counter, Version(5)));
    let mut none = Root::<Counter>::new(9);
    assert_eq!((log.fast_forward(&mut none), none.version()), (Ok(()), Version::NONE));
    log.discard(&mut counter).unwrap();
    assert_eq!(log.fast_forward(&mut far_behind), Err(LoadError::Discarded { version: Version(6) }));
    assert!(far_behind.is_discarded());
}

#[test]
fn what_was_let_go_and_what_cannot_be_read_are_told_apart() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(Between::new(ram()), &mut scratch, 4);
    log.take_snapshot(&mut counter).unwrap();
    log.execute(&mut counter, |counter| counter.add(5)).unwrap();
    log.records().hidden = Version(3);
    assert_eq!(log.load::<Counter>(7).unwrap().total, 15);
    assert_eq!(log.load_at::<Counter>(7, Version(4)).unwrap().total, 10);
    for version in 1..4 {
        assert_eq!(log.load_at::<Counter>(7, Version(version)), Err(LoadError::Trimmed { first: Version(4) }));
    }
    assert_eq!(log.replay::<Counter>(7), Err(LoadError::Trimmed { first: Version(4) }));
    // An event is missing in the middle.
    log.records().hidden = Version(5);
    assert_eq!(log.load::<Counter>(7), Err(LoadError::Incomplete { after: Version(4) }));
    // A newer snapshot of a schema that nobody knows: an older one and the events after it do.
    log.records().hidden = Version(3);
    log.append::<AppendError<_>>(|batch| {
        let op = Op::Snapshot { stream: StreamId(7), kind: Kind(1), schema: 9, version: Version(5) };
        Ok(batch.push(op, |_| Ok(0))?)
    })
    .unwrap();
    assert_eq!(log.load::<Counter>(7).unwrap().total, 15);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_passed_over_as_long_as_its_events_are_there() {
    let mut scratch = [0; 256];
    let (mut log, _) = counted(Between::new(ram()), &mut scratch, 3);
    for (schema, bytes) in [(9, &[6][..]), (1, &[0x80, 0x80][..])] {
        log.append::<AppendError<_>>(|batch| {
            let op = Op::Snapshot { stream: StreamId(7), kind: Kind(1), schema, version: Version(3) };
            Ok(batch.push(op, |out| {
                out[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            })?)
        })
        .unwrap();
        log.records().hidden = Version::NONE;
        assert_eq!(log.load::<Counter>(7).unwrap().total, 6);
        log.records().hidden = Version(2);
        let error = if schema == 9 { CodecError::UnknownSchema } else { CodecError::Malformed };
        assert_eq!(log.load::<Counter>(7), Err(LoadError::Snapshot { version: Version(3), schema, error }));
    }
    // One that can be read is taken beside it, though of the same version.
    log.records().hidden = Version::NONE;
    let mut counter = log.load::<Counter>(7).unwrap();
    assert_eq!((log.take_snapshot(&mut counter), log.take_snapshot(&mut counter)), (Ok(true), Ok(false)));
    log.records().hidden = Version(3);
    assert_eq!(log.load::<Counter>(7).unwrap().total, 6);
}

#[test]
fn a_snapshot_is_due_at_each_multiple_of_the_period_or_behind_the_batch_that_passes_it() {
    let mut scratch = [0; 512];
    let (mut log, mut counter) = (Log::mount(ram(), &mut scratch).unwrap(), Root::<Counter>::new(7));
    let newest = |log: &mut Log<'_, Ram>| log.load::<Counter>(7).unwrap().snapshot_version().0;
    let mut seen = Vec::new();
    for _ in 0..7 {
        log.execute_snapshotting(&mut counter, |counter| counter.add(1)).unwrap();
        seen.push(newest(&mut log));
    }
    assert_eq!(seen, [0, 2, 2, 4, 4, 6, 6]);
    log.execute_snapshotting(&mut counter, |_| Ok::<_, TooMuch>([1, 1, 1, 1].map(Added))).unwrap();
    assert_eq!((newest(&mut log), counter.snapshot_version()), (11, Version(11)));
    // As many again after a reboot.
    let mut counter = log.load::<Counter>(7).unwrap();
    assert_eq!(log.snapshot_if_due(&mut counter), Ok(false));
    log.execute_snapshotting(&mut counter, |counter| counter.add(1)).unwrap();
    assert_eq!(newest(&mut log), 12);
}

#[test]
fn a_snapshot_that_does_not_fit_fails_no_command_and_is_taken_later() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(RamLog::<_, 4, 1>::new([0; 30]), &mut scratch).unwrap();
    let mut counter = Root::<Counter>::new(7);
    for _ in 0..2 {
        log.execute_snapshotting(&mut counter, |counter| counter.add(1)).unwrap();
    }
    assert_eq!((counter.version(), counter.snapshot_version()), (Version(2), Version::NONE));
    assert!(matches!(log.snapshot_if_due(&mut counter), Err(AppendError::Full { .. })), "still due");
    let full = log.execute_snapshotting(&mut counter, |counter| counter.add(1));
    assert!(matches!(full, Err(ExecuteError::Log(AppendError::Full { .. }))));
    assert_eq!(counter.version(), Version(2));
}

#[test]
fn snapshots_are_never_ahead_of_the_log_nor_behind() {
    let mut scratch = [0; 256];
    let (mut log, mut counter) = counted(ram(), &mut scratch, 2);
    let mut stale = counter.clone();
    log.execute(&mut counter, |counter| counter.add(1)).unwrap();
    let behind = log.take_snapshot(&mut stale);
    assert!(matches!(behind, Err(AppendError::Conflict { .. })), "{behind:?}");
    let ahead =
        log.append::<AppendError<_>>(|batch| Ok(batch.snapshot::<Counter>(StreamId(7), Version(4), &counter)?));
    assert!(matches!(ahead, Err(AppendError::Gap { .. })), "{ahead:?}");
    let nobody = log.take_snapshot(&mut Root::<Counter>::new(8));
    assert_eq!((nobody, log.snapshot::<Counter>(8)), (Ok(false), Ok(None)));
    assert_eq!((log.snapshot::<Counter>(7), log.snapshot::<Counter>(7)), (Ok(Some(Version(3))), Ok(Some(Version(3)))));
}

#[test]
fn a_cache_is_fast_forwarded_and_evicted_when_something_fails() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(Between::new(ram()), &mut scratch).unwrap();
    let mut cache = Cache::<Counter, 2>::new();
    for id in [1_u64, 2, 1, 3] {
        log.execute_cached(&mut cache, id, |counter| counter.add(1)).unwrap();
    }
    assert_eq!([1, 2, 3].map(|id| cache.has(StreamId(id))), [true, false, true], "2 was longest not used");
    // Somebody else changes it.
    let mut other = log.load::<Counter>(1).unwrap();
    log.execute(&mut other, |counter| counter.add(10)).unwrap();
    assert_eq!(log.load_cached(&mut cache, 1).unwrap().total, 12);
    // A refusal is no failure; a conflict is.
    assert_eq!(log.execute_cached(&mut cache, 1, |counter| counter.add(5000)), Err(ExecuteError::Refused(TooMuch)));
    assert!(cache.has(StreamId(1)));
    log.records().meddles = 1;
    let conflict = log.execute_cached(&mut cache, 1, |counter| counter.add(1));
    assert!(matches!(conflict, Err(ExecuteError::Log(AppendError::Conflict { .. }))), "{conflict:?}");
    assert!(!cache.has(StreamId(1)));
    log.execute_cached(&mut cache, 1, |counter| counter.add(1)).unwrap();
    assert_eq!(log.load_cached(&mut cache, 1).unwrap().total, 14);
    // One that is gone, and one that is none.
    let mut last = log.load::<Counter>(1).unwrap();
    log.discard(&mut last).unwrap();
    assert!(matches!(log.load_cached(&mut cache, 1), Err(LoadError::Discarded { .. })));
    assert!(!cache.has(StreamId(1)));
    assert_eq!(log.load_cached(&mut cache, 9), Err(LoadError::NotFound));
    assert_eq!(log.execute_cached(&mut cache, 9, |counter| counter.add(5000)), Err(ExecuteError::Refused(TooMuch)));
    assert!(!cache.has(StreamId(9)), "what does not exist takes no place");
    cache.clear();
    assert!(cache.is_empty());
}

#[test]
fn causes_and_correlations_are_stored_with_the_events_that_follow() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let (mut order, mut stock) = (Root::<Counter>::new(1), Root::<Counter>::new(2));
    log.execute(&mut order, |order| order.add(1)).unwrap();
    for (of, root) in [(1, &mut stock), (2, &mut order), (3, &mut Root::new(4))] {
        let event = log.next_notification(Position(of - 1)).unwrap().unwrap();
        let trace = Trace::of(event.record().unwrap()).unwrap();
        log.execute_because(trace, root, |counter| counter.add(300)).unwrap();
    }
    let mut traces = Vec::new();
    for after in 0..4 {
        let event = log.next_notification(Position(after)).unwrap().unwrap();
        let record = event.record().unwrap();
        assert!(record.event::<Counter>().unwrap().is_ok());
        traces.push(record.trace().map(|trace| (trace.cause.0, trace.correlation.0)));
    }
    assert_eq!(traces, [None, Some((1, 1)), Some((2, 1)), Some((3, 1))]);
    assert_eq!((log.load::<Counter>(1).unwrap().total, log.load::<Counter>(2).unwrap().total), (301, 300));
}
