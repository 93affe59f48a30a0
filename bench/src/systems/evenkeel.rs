//! Evenkeel's flash store as a system under test.

use std::convert::Infallible;

use evenkeel_core::batch::Op;
use evenkeel_core::blocking::RecordManager;
use evenkeel_core::codec::CodecError;
use evenkeel_core::error::AppendError;
use evenkeel_core::section::Section;
use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Notification, Position, Snapshot, StreamId};
use evenkeel_core::{Tracker, Upkeep, Version};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use serde::{Deserialize, Serialize};

use super::{Event, Setup, System};
use crate::flash::{CountingFlash, Medium};

/// The tracker that retention asks for.
const SEEN: Tracker = Tracker(1);
/// More steps of upkeep than these in a row are a bug.
const MOST_STEPS: usize = 10_000;

type Records<F> = FlashLog<F, 16, 1>;

/// A log with 16 stream slots and one tracker.
pub(super) struct Evenkeel<F: Medium> {
    log: Log<'static, Records<F>>,
}

/// An aggregate whose state is 16 bytes, which is what its snapshots store.
#[derive(Default, Serialize, Deserialize)]
struct Tally {
    events: u64,
    sum: u64,
}

impl Aggregate for Tally {
    const KIND: Kind = Kind(1);
    type Event = [u8; 16];

    fn apply(&mut self, event: &[u8; 16]) {
        self.events += 1;
        self.sum += event.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
}

impl Snapshot for Tally {
    const SCHEMA: u8 = 1;
}

/// The state that a snapshot stores while the oldest events are let go.
const STATE: [u8; 16] = [0x5A; 16];

impl<F: Medium> Evenkeel<F> {
    pub(super) fn open(flash: F, setup: Setup) -> Self {
        let range = 0..flash.sectors() as u32 * F::SECTOR_BYTES;
        let region = Region::checked::<F>(range).and_then(|region| region.program_page(setup.program_page as u32));
        let region = region.expect("a geometry that can hold a log");
        let mut records = Records::new(flash, region, Retention::OverwriteAcknowledged(&[SEEN]));
        // A benchmark runs once, and a log of no lifetime is easier to handle.
        let scratch = vec![0; setup.scratch].leak();
        if setup.blank {
            let identity = Identity { log: LogId(1), epoch: Epoch::new(1, 0xC0FF_EE00) };
            records.format(identity, scratch).expect("formatting");
        }
        Self { log: Log::mount(records, scratch).expect("mounting") }
    }

    fn try_append(&mut self, events: &[Event<'_>]) -> Result<(), AppendError<Infallible>> {
        let appended = self.log.append::<AppendError<_>>(|batch| {
            for event in events {
                let op = Op::Event {
                    stream: StreamId(u64::from(event.stream) + 1),
                    kind: Kind(1),
                    schema: 0,
                    version: Version(event.version),
                };
                batch.push(op, |room| copy(event.payload, room))?;
            }
            Ok(())
        });
        appended.map(|_| ())
    }

    fn snapshot(&mut self, stream: StreamId, kind: Kind) {
        let head = self.log.head(stream).expect("reading").expect("a stream that upkeep asks for");
        let op = Op::Snapshot { stream, kind, schema: 1, version: head.version };
        let stored = self.log.append::<AppendError<_>>(|batch| Ok(batch.push(op, |room| copy(&STATE, room))?));
        stored.expect("room for a snapshot");
    }
}

impl<F: Medium> System for Evenkeel<F> {
    fn append(&mut self, events: &[Event<'_>]) {
        match self.try_append(events) {
            Ok(()) => {}
            Err(AppendError::Full { .. }) => {
                self.all_seen();
                self.upkeep();
                self.try_append(events).expect("room after upkeep");
            }
            Err(error) => panic!("appending: {error:?}"),
        }
    }

    fn all_seen(&mut self) {
        let last = self.log.bounds().last();
        self.log.acknowledge(SEEN, last).expect("acknowledging");
    }

    fn acknowledge(&mut self, events: u64) {
        let position = self.log.bounds().first.plus(events).previous();
        self.log.acknowledge(SEEN, position).expect("acknowledging");
    }

    fn upkeep(&mut self) {
        for _ in 0..MOST_STEPS {
            let (records, scratch) = self.log.parts();
            match records.upkeep(scratch).expect("upkeep") {
                Upkeep::Worked => {}
                Upkeep::NeedsSnapshot { stream, kind } => self.snapshot(stream, kind),
                _ => return,
            }
        }
        panic!("upkeep never ends");
    }

    fn close(&mut self) {
        self.log.records().close(&mut [0; 256]).expect("closing");
    }

    fn iterate(&mut self) -> u64 {
        let (mut at, mut events) = (self.log.bounds().first.previous(), 0);
        while let Some(found) = self.log.next_notification(at).expect("reading") {
            assert!(matches!(found, Notification::Event(_)), "position {at:?} is followed by a gap");
            at = Position(at.0 + 1);
            events += 1;
        }
        events
    }

    fn load(&mut self, stream: u16) -> u64 {
        let tally = self.log.load::<Tally>(StreamId(u64::from(stream) + 1)).expect("loading");
        assert_eq!(tally.events, u64::from(tally.version().0), "events of the stream are missing");
        tally.events
    }

    fn section(&mut self, after: u64, room: usize) -> usize {
        let mut bytes = vec![0; room];
        match self.log.section(Position(after), &mut bytes).expect("reading") {
            Section::Events { bytes, .. } => bytes.len(),
            other => panic!("no events behind {after}: {other:?}"),
        }
    }
}

/// Bytes of a mounted log with so many stream slots and 4 trackers, without the driver of its flash.
pub(super) fn ram_bytes<const SLOTS: usize>() -> usize {
    size_of::<FlashLog<CountingFlash<4>, SLOTS, 4>>() - size_of::<CountingFlash<4>>()
}

fn copy(bytes: &[u8], room: &mut [u8]) -> Result<usize, CodecError> {
    let room = room.get_mut(..bytes.len()).ok_or(CodecError::DoesNotFit)?;
    room.copy_from_slice(bytes);
    Ok(bytes.len())
}
