//! Evenkeel's flash store as a system under test.

use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::{Epoch, Kind, Log, LogId, Notification, Position, StreamId, Tracker, Upkeep, Version};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};

use crate::flash::CountingFlash;
use crate::system::{Event, System};

/// The tracker that retention asks for.
const SEEN: Tracker = Tracker(1);
/// The state that a snapshot stores.
const STATE: [u8; 16] = [0x5A; 16];
/// More steps of upkeep than these in a row are a bug.
const MOST_STEPS: usize = 200;

type Records<const WORD: usize> = FlashLog<CountingFlash<WORD>, 16, 1>;

/// A log with 16 stream slots and one tracker.
///
/// Words of 1 byte are taken for SPI NOR with program pages of 256 bytes, larger ones for flash that is programmed
/// word by word.
#[derive(Debug)]
pub struct Evenkeel<const WORD: usize> {
    log: Log<'static, Records<WORD>>,
}

impl<const WORD: usize> Evenkeel<WORD> {
    fn records(flash: CountingFlash<WORD>) -> Records<WORD> {
        let end = (flash.sectors() * crate::flash::SECTOR) as u32;
        let mut region = Region::checked::<CountingFlash<WORD>>(0..end).expect("a geometry that can hold a log");
        if WORD > 1 {
            region = region.word_by_word();
        }
        FlashLog::new(flash, region, Retention::OverwriteAcknowledged(&[SEEN]))
    }

    fn try_append(&mut self, events: &[Event<'_>]) -> Result<(), AppendError<std::convert::Infallible>> {
        let appended = self.log.append::<AppendError<_>>(|batch| {
            for event in events {
                let op = Op::Event {
                    stream: StreamId(event.stream.map_or(1, u64::from)),
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

impl<const WORD: usize> System<WORD> for Evenkeel<WORD> {
    const NAME: &'static str = "evenkeel";

    fn format(flash: CountingFlash<WORD>, scratch: usize) -> Self {
        let mut records = Self::records(flash);
        let identity = Identity { log: LogId(1), epoch: Epoch::new(1, 0xC0FF_EE00) };
        let scratch = buffer(scratch);
        records.format(identity, scratch).expect("formatting");
        Self { log: Log::mount(records, scratch).expect("mounting what was formatted") }
    }

    fn mount(flash: CountingFlash<WORD>, scratch: usize) -> Self {
        Self { log: Log::mount(Self::records(flash), buffer(scratch)).expect("mounting") }
    }

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
            match evenkeel_core::blocking::RecordManager::upkeep(records, scratch).expect("upkeep") {
                Upkeep::Worked => {}
                Upkeep::NeedsSnapshot { stream, kind } => self.snapshot(stream, kind),
                _ => return,
            }
        }
        panic!("upkeep never ends");
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
}

/// A buffer that is never given back: a benchmark runs once, and a log of no lifetime is easier to handle.
fn buffer(bytes: usize) -> &'static mut [u8] {
    vec![0; bytes].leak()
}

fn copy(bytes: &[u8], room: &mut [u8]) -> Result<usize, evenkeel_core::codec::CodecError> {
    let room = room.get_mut(..bytes.len()).ok_or(evenkeel_core::codec::CodecError::DoesNotFit)?;
    room.copy_from_slice(bytes);
    Ok(bytes.len())
}
