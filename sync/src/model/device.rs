//! The device of the model: a log that can be overwritten, cut off and formatted.

use core::convert::Infallible;

use evenkeel_core::batch::{Batch, Headroom, Op};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, GapReason, Kind, Notification, Position, RamLog, Record, RecordManager, StreamHead, StreamId,
    Tracker, Upkeep, Version,
};

pub(crate) const UPLINK: Tracker = Tracker(1);
const STREAMS: u64 = 3;

/// A log in memory whose oldest positions can be overwritten and single ones corrupted.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    ram: RamLog<Vec<u8>, 4, 2>,
    /// Positions before this one are overwritten.
    pub(crate) first: Position,
    /// These no longer verify.
    pub(crate) corrupt: Vec<Position>,
    /// What overwritten positions are reported as: a gap, or the error of a log that lets go what was acknowledged.
    pub(crate) trims: bool,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self { ram: RamLog::new(vec![0; 16 * 1024]), first: Position(1), corrupt: Vec::new(), trims: false }
    }

    /// Appends one event that holds this fact.
    pub(crate) fn record(&mut self, fact: u64) {
        let stream = StreamId(fact % STREAMS);
        let version = self.ram_head(stream);
        let mut room = [0; 64];
        let mut scratch = Scratch::new(&mut room);
        let mut batch = scratch.batch(Self::HEADROOM);
        let op = Op::Event { stream, kind: Kind(1), schema: 0, version: version.next() };
        let payload = fact.to_le_bytes();
        batch
            .push(op, |out| {
                out[..8].copy_from_slice(&payload);
                Ok(8)
            })
            .unwrap();
        self.append(&mut batch).unwrap();
    }

    fn ram_head(&mut self, stream: StreamId) -> Version {
        let mut room = [0; 8];
        let head = RecordManager::head(&mut self.ram, stream, &mut Scratch::new(&mut room)).unwrap();
        head.map_or(Version::NONE, |head| head.version)
    }

    /// The facts by position, from 1 on, overwritten or not.
    pub(crate) fn facts(&self) -> Vec<u64> {
        let mut ram = self.ram.clone();
        let mut room = [0; 8];
        let mut scratch = Scratch::new(&mut room);
        let mut facts = Vec::new();
        while let Some(event) = ram.next_notification(Position(facts.len() as u64), &mut scratch).unwrap() {
            facts.push(fact(event.record().unwrap()));
        }
        facts
    }
}

/// The fact in an event.
pub(crate) fn fact(record: &Record<'_>) -> u64 {
    u64::from_le_bytes(record.payload.try_into().unwrap())
}

/// The event that holds a fact.
pub(crate) fn record_of(fact: u64, version: Version, position: Position, payload: &[u8]) -> Record<'_> {
    let (stream, position) = (StreamId(fact % STREAMS), Some(position));
    Record { stream, kind: Kind(1), version, schema: 0, position, payload }
}

impl RecordManager for Device {
    type Error = Infallible;
    type MountError = Infallible;

    const HEADROOM: Headroom = Headroom { batch: 0, entry: 0 };

    fn mount(&mut self, _: &mut Scratch<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Infallible>> {
        self.ram.append(batch)
    }

    fn bounds(&self) -> Bounds {
        Bounds { first: self.first, next: self.ram.bounds().next }
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        RecordManager::tracked(&self.ram, tracker)
    }

    fn head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<Infallible>> {
        RecordManager::head(&mut self.ram, stream, scratch)
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Infallible>> {
        self.ram.next_event(stream, after, scratch)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Infallible>> {
        self.ram.latest_snapshot(stream, at_most, scratch)
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Infallible>> {
        let wanted = after.next();
        if wanted < self.first {
            if self.trims {
                return Err(ReadError::Trimmed { first: self.first });
            }
            let reason = GapReason::Overwritten;
            return Ok(Some(Notification::Gap { first: Position(1), last: self.first.previous(), reason }));
        }
        if self.corrupt.contains(&wanted) {
            return Ok(Some(Notification::Gap { first: wanted, last: wanted, reason: GapReason::Corrupt }));
        }
        self.ram.next_notification(after, scratch)
    }

    fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<Infallible>> {
        self.ram.list_streams(list, scratch)
    }

    fn upkeep(&mut self, _: &mut Scratch<'_>) -> Result<Upkeep, AppendError<Infallible>> {
        Ok(Upkeep::Idle)
    }
}
