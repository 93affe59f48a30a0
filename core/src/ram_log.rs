//! A log in memory, for tests, for twins, and for what need not outlive a reboot.

use core::convert::Infallible;

use heapless::Vec;

use crate::batch::{Batch, Op};
use crate::bytes::{ByteReader, ByteWriter};
use crate::error::{AppendError, HeldBy, ReadError};
use crate::listing::StreamList;
use crate::trace::ends_stream;
use crate::{Appended, Bounds, Kind, Notification, Position, Record, StreamHead, StreamId, Tracker, Version};

/// A record manager in lent or owned memory: `RamLog<[u8; 4096]>`, `RamLog<&mut [u8]>`, `RamLog<Vec<u8>>`.
///
/// It holds up to `STREAMS` streams and `TRACKERS` trackers, never lets anything go, and refuses with
/// [`AppendError::Full`] when its memory is used up. It obeys the same contract as a log on flash, atomicity
/// included, but for outliving a reboot.
///
/// ```
/// use evenkeel_core::{Log, RamLog};
///
/// let mut scratch = [0; 256];
/// let mut log = Log::mount(RamLog::<_, 16, 4>::new([0; 1024]), &mut scratch).unwrap();
/// assert_eq!(log.bounds().next.0, 1);
/// ```
#[derive(Debug, Clone)]
pub struct RamLog<B, const STREAMS: usize = 32, const TRACKERS: usize = 8> {
    bytes: B,
    len: usize,
    next: Position,
    streams: Vec<Stream, STREAMS>,
    trackers: Vec<(Tracker, Position), TRACKERS>,
    // The event last found by position: the next one is looked for from there on.
    place: Place,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    id: StreamId,
    kind: Kind,
    version: Version,
    discarded: bool,
    // Where its first event stands, and its position.
    first: (usize, Position),
    // Where its newest snapshot stands.
    snapshot: Option<usize>,
    // The event last found by version, with its position: the next one is looked for from there on.
    place: (Version, usize, Position),
}

#[derive(Debug, Clone, Copy)]
struct Place {
    position: Position,
    at: usize,
}

// Before each payload: op, kind, schema, version (4), stream (8), payload length (4).
const HEADER: usize = 19;
const EVENT: u8 = 0;
const SNAPSHOT: u8 = 1;
const LOCAL: u8 = 2;

struct Stored<'b> {
    event: bool,
    local: bool,
    record: Record<'b>,
    end: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const STREAMS: usize, const TRACKERS: usize> RamLog<B, STREAMS, TRACKERS> {
    /// An empty log in this memory, whatever the memory holds.
    pub fn new(bytes: B) -> Self {
        Self {
            bytes,
            len: 0,
            next: Position(1),
            streams: Vec::new(),
            trackers: Vec::new(),
            place: Place { position: Position(1), at: 0 },
        }
    }

    /// How many bytes of the memory are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.len
    }

    pub(crate) fn append_now(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Infallible>> {
        self.check(batch)?;
        let first = self.next;
        for (entry, payload) in batch.iter() {
            match entry.op {
                Op::Event { stream, kind, schema, version } => {
                    let op = if entry.local { LOCAL } else { EVENT };
                    let at = (self.store(op, stream, kind, schema, version, payload), self.next);
                    self.next = self.next.plus(u64::from(!entry.local));
                    match self.streams.iter_mut().find(|known| known.id == stream) {
                        Some(known) => (known.version, known.discarded) = (version, ends_stream(schema)),
                        None => {
                            let (place, discarded) = ((Version::NONE, at.0, at.1), ends_stream(schema));
                            let new = Stream { id: stream, kind, version, discarded, first: at, snapshot: None, place };
                            let _ = self.streams.push(new);
                        }
                    }
                }
                Op::Snapshot { stream, kind, schema, version } => {
                    let at = self.store(SNAPSHOT, stream, kind, schema, version, payload);
                    match self.streams.iter_mut().find(|known| known.id == stream) {
                        Some(known) => known.snapshot = Some(at),
                        None => {
                            let first = (at, self.next);
                            let place = (Version::NONE, at, self.next);
                            let (snapshot, discarded) = (Some(at), false);
                            let new = Stream { id: stream, kind, version, discarded, first, snapshot, place };
                            let _ = self.streams.push(new);
                        }
                    }
                }
                Op::Track { tracker, position, .. } => {
                    match self.trackers.iter_mut().find(|(known, _)| *known == tracker) {
                        Some((_, at)) => *at = position,
                        None => {
                            let _ = self.trackers.push((tracker, position));
                        }
                    }
                }
            }
        }
        Ok(Appended { first, events: batch.positions() })
    }

    /// Everything that can be refused is refused here, before anything is stored.
    fn check(&self, batch: &Batch<'_>) -> Result<(), AppendError<Infallible>> {
        let (mut bytes, mut streams, mut trackers) = (self.len, self.streams.len(), self.trackers.len());
        for (index, (entry, payload)) in batch.iter().enumerate() {
            match entry.op {
                Op::Event { stream, .. } | Op::Snapshot { stream, .. } => {
                    batch.check(index, self.head_now(stream))?;
                    if self.find(stream).is_none() && batch.head_before(index, stream).is_none() {
                        streams = streams.saturating_add(1);
                    }
                    bytes = bytes.saturating_add(HEADER).saturating_add(payload.len());
                }
                Op::Track { tracker, .. } => {
                    batch.check_track(index, self.tracked_at(tracker))?;
                    let known = self.trackers.iter().any(|(known, _)| *known == tracker);
                    if !known && batch.tracked_before(index, tracker).is_none() {
                        trackers = trackers.saturating_add(1);
                    }
                }
            }
        }
        if bytes > self.bytes.as_ref().len() {
            return Err(AppendError::Full { held_by: HeldBy::Policy });
        }
        if streams > STREAMS || trackers > TRACKERS {
            return Err(AppendError::TableFull);
        }
        Ok(())
    }

    fn store(&mut self, op: u8, id: StreamId, kind: Kind, schema: u8, version: Version, payload: &[u8]) -> usize {
        let at = self.len;
        let mut out = ByteWriter::new(self.bytes.as_mut().get_mut(at..).unwrap_or_default());
        let _ = out
            .slice(&[op, kind.0, schema])
            .and_then(|()| out.u32(version.0))
            .and_then(|()| out.u64(id.0))
            .and_then(|()| out.u32(u32::try_from(payload.len()).unwrap_or(u32::MAX)))
            .and_then(|()| out.slice(payload));
        self.len = at.saturating_add(out.len());
        at
    }

    fn load(&self, at: usize) -> Option<Stored<'_>> {
        if at >= self.len {
            return None;
        }
        let rest = self.bytes.as_ref().get(at..self.len)?;
        let mut input = ByteReader::new(rest);
        let (op, kind, schema) = (input.u8()?, Kind(input.u8()?), input.u8()?);
        let (version, stream) = (Version(input.u32()?), StreamId(input.u64()?));
        let length = input.u32()? as usize;
        let payload = input.slice(length)?;
        let end = at.saturating_add(HEADER).saturating_add(length);
        let record = Record { stream, kind, version, schema, position: None, payload };
        Some(Stored { event: op != SNAPSHOT, local: op == LOCAL, record, end })
    }

    fn find(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.iter().find(|known| known.id == stream)
    }

    pub(crate) fn tracked_at(&self, tracker: Tracker) -> Position {
        self.trackers.iter().find(|(known, _)| *known == tracker).map_or(Position::START, |(_, at)| *at)
    }

    pub(crate) fn bounds_now(&self) -> Bounds {
        Bounds { first: Position(1), next: self.next }
    }

    pub(crate) fn offer_streams(&self, list: &mut StreamList<'_>) {
        for known in self.streams.iter().filter(|known| known.version > Version::NONE) {
            list.offer(known.id, known.kind);
        }
    }

    pub(crate) fn head_now(&self, stream: StreamId) -> Option<StreamHead> {
        self.find(stream).map(Stream::head).filter(|head| head.version > Version::NONE)
    }

    pub(crate) fn event_after(&mut self, stream: StreamId, after: Version) -> Option<Record<'_>> {
        let known = self.find(stream)?;
        if after >= known.version {
            return None;
        }
        let (mut at, mut position) = if known.place.0 <= after { (known.place.1, known.place.2) } else { known.first };
        let (version, local) = loop {
            let stored = self.load(at)?;
            if stored.event && stored.record.stream == stream && stored.record.version > after {
                break (stored.record.version, stored.local);
            }
            position = position.plus(u64::from(stored.event && !stored.local));
            at = stored.end;
        };
        if let Some(known) = self.streams.iter_mut().find(|known| known.id == stream) {
            known.place = (Version(version.0.saturating_sub(1)), at, position);
        }
        Some(Record { position: (!local).then_some(position), ..self.load(at)?.record })
    }

    pub(crate) fn snapshot_up_to(&self, stream: StreamId, at_most: Version) -> Option<Record<'_>> {
        let newest = self.load(self.find(stream)?.snapshot?)?.record;
        if newest.version <= at_most {
            return Some(newest);
        }
        let (mut at, mut found) = (0, None);
        while let Some(stored) = self.load(at) {
            if !stored.event && stored.record.stream == stream && stored.record.version <= at_most {
                found = Some(at);
            }
            at = stored.end;
        }
        Some(self.load(found?)?.record)
    }

    pub(crate) fn notification_after(
        &mut self,
        after: Position,
    ) -> Result<Option<Notification<'_>>, ReadError<Infallible>> {
        let wanted = after.next();
        if wanted > self.next {
            return Err(ReadError::BeyondEnd { next: self.next });
        }
        if wanted == self.next {
            return Ok(None);
        }
        let mut place = if self.place.position <= wanted { self.place } else { Place { position: Position(1), at: 0 } };
        loop {
            let Some(stored) = self.load(place.at) else { return Ok(None) };
            if stored.event && !stored.local {
                if place.position == wanted {
                    break;
                }
                place.position = place.position.next();
            }
            place.at = stored.end;
        }
        self.place = place;
        let found = self.load(place.at).map(|stored| Record { position: Some(wanted), ..stored.record });
        Ok(found.map(Notification::Event))
    }
}

impl Stream {
    fn head(&self) -> StreamHead {
        StreamHead { kind: self.kind, version: self.version, discarded: self.discarded }
    }
}
