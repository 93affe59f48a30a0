//! Evenkeel's log as a system under test: the record manager with its scratch, without aggregates.

use evenkeel_core::batch::Op;
use evenkeel_core::bytes::copy;
use evenkeel_core::codec::CodecError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Epoch, Kind, LogId, Notification, Position, RecordManager, StreamId, Tracker, Version};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};

use crate::flash::{Flash, SECTOR, SECTORS};
use crate::work::System;

const SEEN: Tracker = Tracker(0);
const REGION: Region = Region::new::<Flash>(0..SECTORS * SECTOR).word_by_word();
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[SEEN]);
const IDENTITY: Identity = Identity { log: LogId(1), epoch: Epoch::new(1, 0xC0FF_EE00) };
/// Bytes that are lent to it.
pub const SCRATCH_BYTES: usize = 256;

/// A log of 16 stream slots and one tracker, with its scratch.
pub struct Evenkeel {
    records: FlashLog<Flash, 16, 1>,
    scratch: [u8; SCRATCH_BYTES],
}

impl System for Evenkeel {
    const STREAMS: bool = true;

    fn new(flash: Flash) -> Option<Self> {
        Some(Self { records: FlashLog::new(flash, REGION, RETENTION), scratch: [0; SCRATCH_BYTES] })
    }

    fn create(&mut self) -> Option<()> {
        self.records.mount_or_format(IDENTITY, &mut self.scratch).ok()
    }

    fn mount(&mut self) -> Option<()> {
        self.records.mount(&mut Scratch::new(&mut self.scratch)).ok()
    }

    fn release(self) -> Flash {
        self.records.release()
    }

    fn append(&mut self, stream: u16, version: u32, payload: &[u8]) -> Option<()> {
        let mut scratch = Scratch::new(&mut self.scratch);
        let mut batch = scratch.batch(<FlashLog<Flash, 16, 1> as RecordManager>::HEADROOM);
        let stream = StreamId(u64::from(stream).wrapping_add(1));
        let op = Op::Event { stream, kind: Kind(1), schema: 0, version: Version(version) };
        let pushed = batch.push(op, |room| {
            copy(payload, room.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?);
            Ok(payload.len())
        });
        pushed.ok()?;
        self.records.append(&mut batch).ok().map(|_| ())
    }

    fn iterate(&mut self) -> Option<u32> {
        let mut scratch = Scratch::new(&mut self.scratch);
        let (mut at, mut events) = (self.records.bounds().first.previous(), 0_u32);
        while let Some(found) = self.records.next_notification(at, &mut scratch).ok()? {
            events = events.wrapping_add(u32::from(matches!(found, Notification::Event(_))));
            at = found.last();
        }
        Some(events)
    }

    fn acknowledge(&mut self, events: u32) -> Option<()> {
        let mut scratch = Scratch::new(&mut self.scratch);
        let mut batch = scratch.batch(<FlashLog<Flash, 16, 1> as RecordManager>::HEADROOM);
        batch.track_from(SEEN, Position::START, Position(u64::from(events))).ok()?;
        self.records.append(&mut batch).ok().map(|_| ())
    }

    fn load(&mut self, stream: u16) -> Option<u32> {
        let mut scratch = Scratch::new(&mut self.scratch);
        let stream = StreamId(u64::from(stream).wrapping_add(1));
        let (mut version, mut events) = (Version::NONE, 0_u32);
        while let Some(event) = self.records.next_event(stream, version, &mut scratch).ok()? {
            version = event.version;
            events = events.wrapping_add(1);
        }
        Some(events)
    }
}
