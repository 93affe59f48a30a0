//! Random operations on a log on flash, on a log in memory, and on a plain list: all three agree on what is accepted,
//! what is refused and how, and on everything that is read.

use std::collections::BTreeMap;

use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::section::{Section, SectionReader};
use evenkeel_core::{
    Appended, Kind, Log, Notification, Position, RamLog, Record, RecordManager, StreamId, Upkeep, Version,
};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_tests::contents::Held;
use evenkeel_tests::oracle::{SCRATCH, TestLog, UPLINK, identity, unmounted};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// What is done to the logs. A position or a version is told as so many before the last, or behind it.
#[derive(Debug, Clone)]
enum Operation {
    /// Streams, payload lengths, and how far each version is off, mostly not at all.
    Append(Vec<(u8, usize, i8)>),
    Snapshot(u8, usize),
    Acknowledge(i64),
    Maintain,
    /// Closes, or does not, and mounts again.
    Mount {
        close: bool,
    },
    ReadFrom(u64),
    ReadStream(u8, u32),
    ReadSnapshot(u8, u32),
    Section(u64, usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let off = prop_oneof![9 => Just(0_i8), 1 => -2_i8..3];
    let event = (0..4_u8, 0..60_usize, off);
    prop_oneof![
        8 => event.clone().prop_map(|event| Operation::Append(vec![event])),
        2 => prop::collection::vec(event, 2..4).prop_map(Operation::Append),
        2 => (0..4_u8, 0..40_usize).prop_map(|(stream, len)| Operation::Snapshot(stream, len)),
        2 => (-1..5_i64).prop_map(Operation::Acknowledge),
        1 => Just(Operation::Maintain),
        1 => any::<bool>().prop_map(|close| Operation::Mount { close }),
        1 => (0..40_u64).prop_map(Operation::ReadFrom),
        1 => (0..5_u8, 0..6_u32).prop_map(|(stream, back)| Operation::ReadStream(stream, back)),
        1 => (0..5_u8, 0..6_u32).prop_map(|(stream, back)| Operation::ReadSnapshot(stream, back)),
        1 => (0..20_u64, 40..300_usize).prop_map(|(back, room)| Operation::Section(back, room)),
    ]
}

/// The plain list.
#[derive(Debug, Default)]
struct Model {
    events: Vec<Held>,
    heads: BTreeMap<u64, u32>,
    /// Version and payload of each snapshot.
    snapshots: BTreeMap<u64, Vec<(u32, Vec<u8>)>>,
    seen: u64,
}

fn id(stream: u8) -> StreamId {
    StreamId(if stream == 3 { u64::MAX } else { u64::from(stream) * 200 })
}

fn kind(stream: StreamId) -> Kind {
    Kind((stream.0 % 5) as u8 + 1)
}

fn payload(stream: StreamId, version: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| (stream.0 as u8).wrapping_mul(31) ^ (version as u8) ^ (at as u8).wrapping_mul(7)).collect()
}

type Entries = Vec<(Op, Vec<u8>)>;

fn append<R: RecordManager>(log: &mut Log<'_, R>, entries: &Entries) -> Result<Appended, AppendError<R::Error>> {
    log.append::<AppendError<_>>(|batch| {
        for (op, payload) in entries {
            batch.push(*op, |room| {
                room.get_mut(..payload.len()).ok_or(evenkeel_core::CodecError::DoesNotFit)?.copy_from_slice(payload);
                Ok(payload.len())
            })?;
        }
        Ok(())
    })
}

/// The flash, the memory and the list.
struct Three<'b, const W: usize, const R: usize, const S: usize> {
    flash: SimFlash<W, R, S>,
    log: Log<'b, TestLog<W, R, S>>,
    memory: Log<'b, RamLog<Vec<u8>, 8, 4>>,
    model: Model,
}

impl<const W: usize, const R: usize, const S: usize> Three<'_, W, R, S> {
    fn act(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(events) => {
                let entries = self.entries(events);
                self.append(&entries);
            }
            Operation::Snapshot(stream, len) => {
                let stream = id(*stream);
                let Some(version) = self.model.heads.get(&stream.0).copied() else { return };
                let op = Op::Snapshot { stream, kind: kind(stream), schema: 2, version: Version(version) };
                self.append(&vec![(op, payload(stream, !version, *len))]);
            }
            Operation::Acknowledge(before) => self.acknowledge(self.model.events.len() as i64 - before),
            Operation::Maintain => self.maintain(),
            Operation::Mount { close } => self.mount(*close),
            Operation::ReadFrom(back) => self.read_from((self.model.events.len() as u64).saturating_sub(*back)),
            Operation::ReadStream(stream, back) => self.read_stream(id(*stream), *back),
            Operation::ReadSnapshot(stream, back) => self.read_snapshot(id(*stream), *back),
            Operation::Section(back, room) => self.section(*back, *room),
        }
        let bounds = self.log.bounds();
        assert_eq!(bounds.next.0, self.model.events.len() as u64 + 1);
        assert!(bounds.first.0 <= self.model.seen + 1, "what nobody has seen was let go");
    }

    fn entries(&self, events: &[(u8, usize, i8)]) -> Entries {
        let mut heads = self.model.heads.clone();
        let entry = |&(stream, len, off): &(u8, usize, i8)| {
            let stream = id(stream);
            let head = heads.entry(stream.0).or_insert(0);
            // Version 0 is a test of its own.
            let version = head.saturating_add(1).saturating_add_signed(i32::from(off)).max(1);
            *head = version;
            let op = Op::Event { stream, kind: kind(stream), schema: 1, version: Version(version) };
            (op, payload(stream, version, len.min(S / 6)))
        };
        events.iter().map(entry).collect()
    }

    /// On flash, where there may be no room, then in memory: both say the same.
    fn append(&mut self, entries: &Entries) {
        let mut appended = append(&mut self.log, entries);
        for _ in 0..6 {
            if !matches!(appended, Err(AppendError::Full { .. })) {
                break;
            }
            self.acknowledge(self.model.events.len() as i64);
            self.maintain();
            appended = append(&mut self.log, entries);
        }
        assert!(!matches!(appended, Err(AppendError::Full { .. })), "the log stays full: {appended:?}");
        // Memory has no sectors that a batch must fit.
        if let Err(AppendError::TooLarge { bytes, limit }) = appended {
            assert!(bytes > limit && limit + 128 >= S as u32, "{bytes} B are too many for a limit of {limit}");
            return;
        }
        let in_memory = append(&mut self.memory, entries);
        assert_eq!(format!("{appended:?}"), format!("{in_memory:?}"), "flash and memory answer differently");
        if appended.is_err() {
            return;
        }
        for (op, payload) in entries {
            match *op {
                Op::Event { stream, kind, schema, version } => {
                    self.model.heads.insert(stream.0, version.0);
                    let payload = payload.clone();
                    self.model.events.push(Held {
                        stream: stream.0,
                        kind: kind.0,
                        version: version.0,
                        schema,
                        payload,
                    });
                }
                Op::Snapshot { stream, version, .. } => {
                    self.model.snapshots.entry(stream.0).or_default().push((version.0, payload.clone()));
                }
                _ => {}
            }
        }
    }

    fn acknowledge(&mut self, to: i64) {
        let to = Position(to.max(0) as u64);
        let moved = self.log.acknowledge(UPLINK, to);
        if matches!(moved, Err(AppendError::Full { .. })) {
            return;
        }
        let in_memory = self.memory.acknowledge(UPLINK, to);
        assert_eq!(format!("{moved:?}"), format!("{in_memory:?}"), "flash and memory answer differently");
        if moved.is_ok() {
            self.model.seen = self.model.seen.max(to.0);
        }
        assert_eq!(self.log.tracked(UPLINK).0, self.model.seen);
    }

    fn maintain(&mut self) {
        for _ in 0..100 {
            let (records, scratch) = self.log.parts();
            match records.upkeep(scratch) {
                Ok(Upkeep::Worked) => {}
                Ok(Upkeep::NeedsSnapshot { stream, kind }) => {
                    let version = self.model.heads[&stream.0];
                    let op = Op::Snapshot { stream, kind, schema: 2, version: Version(version) };
                    let entries = vec![(op, payload(stream, !version, 9))];
                    append(&mut self.log, &entries).expect("the snapshot that upkeep asks for");
                    append(&mut self.memory, &entries).expect("a snapshot in memory");
                    self.model.snapshots.entry(stream.0).or_default().push((version, payload(stream, !version, 9)));
                }
                Ok(_) => return,
                Err(error) => panic!("upkeep: {error}"),
            }
        }
        panic!("upkeep never ends");
    }

    fn mount(&mut self, close: bool) {
        if close {
            match self.log.records().close(&mut [0; 64]) {
                // There need not be room for it.
                Ok(()) | Err(AppendError::Full { .. }) => {}
                Err(error) => panic!("closing: {error}"),
            }
        }
        let (records, scratch) = self.log.parts();
        *records = unmounted(&self.flash);
        records.mount(scratch).expect("mounting again");
        assert_eq!(self.log.tracked(UPLINK).0, self.model.seen);
    }

    fn read_from(&mut self, from: u64) {
        let mut at = from.max(self.log.bounds().first.0 - 1);
        while let Some(found) = self.log.next_notification(Position(at)).expect("reading") {
            let Notification::Event(record) = found else { panic!("a gap without a fault: {found:?}") };
            at += 1;
            assert_eq!(record.position, Some(Position(at)));
            assert_eq!(Held::from(&record), self.model.events[at as usize - 1]);
            let other = self.memory.next_notification(Position(at - 1)).expect("reading memory");
            assert_eq!(
                other.and_then(|other| other.record().map(Held::from)).as_ref(),
                Some(&self.model.events[at as usize - 1])
            );
        }
        assert_eq!(at, self.model.events.len() as u64);
    }

    fn read_stream(&mut self, stream: StreamId, back: u32) {
        let head = self.model.heads.get(&stream.0).copied();
        let found = self.log.head(stream).expect("reading");
        assert_eq!(found.map(|head| head.version.0), head);
        assert_eq!(found, self.memory.head(stream).expect("reading memory"));
        let mut after = head.unwrap_or(0).saturating_sub(back);
        let first = self.log.bounds().first.0;
        while let Some(record) = self.log.next_event(stream, Version(after)).expect("reading") {
            let version = record.version.0;
            let at = self.model.events.iter().position(|event| event.stream == stream.0 && event.version == version);
            let at = at.expect("an event that was appended");
            assert_eq!(Held::from(&record), self.model.events[at]);
            // Only what was let go may be passed over.
            let passed = |(at, event): (usize, &Held)| {
                event.stream == stream.0 && event.version > after && event.version < version && at as u64 + 1 >= first
            };
            assert!(!self.model.events.iter().enumerate().any(passed), "an event before version {version} is missing");
            after = version;
        }
        assert!(after >= head.unwrap_or(0) || self.is_let_go(stream, after), "stream {stream} ends at {after}");
    }

    /// Whether all events of the stream behind this version have been let go.
    fn is_let_go(&self, stream: StreamId, after: u32) -> bool {
        let first = self.log.bounds().first.0 as usize;
        let held = self.model.events.get(first - 1..).unwrap_or_default();
        !held.iter().any(|event| event.stream == stream.0 && event.version > after)
    }

    fn read_snapshot(&mut self, stream: StreamId, back: u32) {
        let at_most = Version(self.model.heads.get(&stream.0).copied().unwrap_or(0).saturating_sub(back));
        let known = self.model.snapshots.get(&stream.0).map(Vec::as_slice).unwrap_or_default();
        let newest = known.last().map(|(version, _)| *version);
        let check = |record: Option<Record<'_>>, must: bool| {
            let Some(record) = record else {
                assert!(!must, "the newest snapshot of stream {stream} is missing");
                return;
            };
            assert!(record.version <= at_most);
            let is_it = |(version, payload): &(u32, Vec<u8>)| {
                *version == record.version.0 && payload.as_slice() == record.payload
            };
            assert!(known.iter().any(is_it), "a snapshot of stream {stream} that was never taken");
            assert!(!must || newest == Some(record.version.0), "a snapshot of stream {stream} that is not the newest");
        };
        let must = newest.is_some_and(|newest| newest <= at_most.0);
        let (records, scratch) = self.log.parts();
        check(records.latest_snapshot(stream, at_most, scratch).expect("reading"), must);
        let (records, scratch) = self.memory.parts();
        check(records.latest_snapshot(stream, at_most, scratch).expect("reading memory"), must);
    }

    fn section(&mut self, back: u64, room: usize) {
        let first = self.log.bounds().first.0 - 1;
        let after = (self.model.events.len() as u64).saturating_sub(back).max(first);
        let (mut out, mut other) = (vec![0; room], vec![0; room]);
        let section = self.log.section(Position(after), &mut out);
        let in_memory = self.memory.section(Position(after), &mut other);
        assert_eq!(format!("{section:?}"), format!("{in_memory:?}"), "flash and memory answer differently");
        let Ok(Section::Events { first, count, bytes }) = section else { return };
        let read: Vec<_> =
            SectionReader::new(first, bytes).map(|record| Held::from(&record.expect("a section"))).collect();
        assert_eq!((first.0, count as usize), (after + 1, read.len()));
        assert_eq!(read, self.model.events[after as usize..][..read.len()]);
    }
}

fn run<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize, operations: &[Operation]) {
    let flash = SimFlash::<W, R, S>::new(&ChipProfile::generic(W, R, S).with_program_page(page), sectors);
    let (mut scratch, mut other) = ([0; SCRATCH], [0; SCRATCH]);
    unmounted(&flash).mount_or_format(identity(), &mut scratch).expect("a blank chip can be formatted");
    let log = Log::mount(unmounted(&flash), &mut scratch).expect("the log just made");
    let memory = Log::mount(RamLog::new(vec![0; 64 * 1024]), &mut other).expect("memory");
    let mut three = Three { flash: flash.clone(), log, memory, model: Model::default() };
    for operation in operations {
        three.act(operation);
    }
    three.mount(false);
    three.read_from(0);
    for stream in 0..4 {
        three.read_stream(id(stream), u32::MAX);
        three.read_snapshot(id(stream), 0);
    }
    flash.assert_no_violations();
}

/// Each geometry with its own test, so that a failure names it.
macro_rules! agree {
    ($($name:ident: $word:literal $read:literal $sector:literal x $sectors:literal page $page:literal;)*) => {$(
        #[test]
        fn $name() {
            let cases = if cfg!(debug_assertions) { 60 } else { 1_500 };
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model.proptest-regressions");
            let failure_persistence = Some(Box::new(FileFailurePersistence::Direct(file)) as _);
            let config =
                ProptestConfig { cases, max_shrink_iters: 2_000, failure_persistence, ..ProptestConfig::default() };
            proptest!(config, |(operations in prop::collection::vec(operation(), 1..250))| {
                run::<$word, $read, $sector>($sectors, $page, &operations);
            });
        }
    )*};
}

agree! {
    all_agree_on_words_of_1_byte: 1 1 512 x 3 page 1;
    all_agree_on_pages: 1 1 1024 x 4 page 256;
    all_agree_on_words_of_2_bytes: 2 1 512 x 4 page 2;
    all_agree_on_words_of_4_bytes: 4 4 512 x 3 page 4;
    all_agree_on_many_sectors: 4 1 256 x 8 page 4;
    all_agree_on_words_of_8_bytes: 8 4 512 x 4 page 8;
    all_agree_on_words_of_16_bytes: 16 1 1024 x 3 page 16;
    all_agree_on_words_of_32_bytes: 32 4 1024 x 4 page 32;
}

/// A stream starts with version 1. Version 0 was taken for the first event of a stream that is not there yet, as both
/// "follow" version 0 if one does not look closely; on flash, where only the lowest byte of a version is stored, it was
/// then read back as version 256.
#[test]
fn an_event_of_version_0_is_refused() {
    let entries = vec![(Op::Event { stream: id(0), kind: Kind(1), schema: 0, version: Version(0) }, vec![1])];
    let (mut scratch, mut other) = ([0; SCRATCH], [0; SCRATCH]);
    let mut memory = Log::mount(RamLog::<_, 8, 4>::new(vec![0; 1024]), &mut other).expect("memory");
    assert!(append(&mut memory, &entries).is_err(), "memory accepts version 0");
    let flash = SimFlash::<4, 4, 512>::blank(3);
    unmounted(&flash).mount_or_format(identity(), &mut scratch).expect("a blank chip can be formatted");
    let mut log = Log::mount(unmounted(&flash), &mut scratch).expect("the log just made");
    assert!(append(&mut log, &entries).is_err(), "flash accepts version 0");
}
