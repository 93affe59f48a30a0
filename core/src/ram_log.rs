//! A log in memory, for tests, for twins, and for what need not outlive a reboot.
//!
//! ```text
//! record = tag u8, [schema u8], slot varint, version varint, link u32, distance varint, length varint, payload
//! tag    = bits 0 and 1: event, snapshot or local event; bit 2: a schema number other than 0 follows
//! slot   = the place of the stream in the table of streams
//! link   = of an event: where the next event of its stream stands; of a snapshot: where the one before stands, plus 1
//! distance = how many positions the event stands behind the one before of its stream
//! ```
//!
//! Records grow from the front of the memory. From its end down grow four bytes for each 64th position, which tell where it
//! stands. So appends, replays and look-ups take the same time however many events and streams there are.

use core::convert::Infallible;

use heapless::Vec;

use crate::batch::{Batch, Op};
use crate::bytes::{ByteReader, ByteWriter, varint_len};
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
    // The first stream of each hash; the others of the same hash follow from it.
    buckets: [u32; STREAMS],
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
    // Its first event.
    first: Option<Place>,
    // Its newest event, of which `position` is what the log had come to when it was appended.
    last: Place,
    // Where its newest snapshot stands.
    snapshot: Option<usize>,
    // The event last found by version, with the version before it: the next one is looked for from there on.
    found: (Version, Place),
    // The next stream of the same hash.
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    position: Position,
    at: usize,
}

const START: Place = Place { position: Position(1), at: 0 };
const NOBODY: u32 = u32::MAX;
/// Of so many positions, the place of one is kept.
const BLOCK: u64 = 64;
const IN_BLOCK: u64 = 63;
const ENTRY_BYTES: usize = 4;

const EVENT: u8 = 0;
const SNAPSHOT: u8 = 1;
const LOCAL: u8 = 2;
const OP: u8 = 3;
const SCHEMA: u8 = 4;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Front {
    op: u8,
    schema: u8,
    slot: u32,
    version: Version,
    link: u32,
    distance: u64,
    length: u32,
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    front: Front,
    /// Where its payload starts, and where it ends.
    payload: usize,
    end: usize,
}

impl Front {
    fn bytes(&self) -> usize {
        let fixed = if self.schema == 0 { 5 } else { 6 };
        [u64::from(self.slot), u64::from(self.version.0), self.distance, u64::from(self.length)]
            .into_iter()
            .fold(fixed, |bytes: usize, number| bytes.saturating_add(varint_len(number)))
    }

    /// How far behind the start of the record the link stands.
    fn link_at(&self) -> usize {
        let fixed: usize = if self.schema == 0 { 1 } else { 2 };
        fixed.saturating_add(varint_len(self.slot.into())).saturating_add(varint_len(self.version.0.into()))
    }

    fn write(&self, out: &mut ByteWriter<'_>) -> Option<()> {
        match self.schema {
            0 => out.u8(self.op)?,
            schema => out.slice(&[self.op | SCHEMA, schema])?,
        }
        out.varint(self.slot.into())?;
        out.varint(self.version.0.into())?;
        out.u32(self.link)?;
        out.varint(self.distance)?;
        out.varint(self.length.into())
    }

    fn read(input: &mut ByteReader<'_>) -> Option<Self> {
        let tag = input.u8()?;
        let schema = if tag & SCHEMA == 0 { 0 } else { input.u8()? };
        let slot = u32::try_from(input.varint()?).ok()?;
        let version = Version(u32::try_from(input.varint()?).ok()?);
        let (link, distance) = (input.u32()?, input.varint()?);
        let length = u32::try_from(input.varint()?).ok()?;
        Some(Self { op: tag & OP, schema, slot, version, link, distance, length })
    }

    fn has_position(&self) -> bool {
        self.op == EVENT
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const STREAMS: usize, const TRACKERS: usize> RamLog<B, STREAMS, TRACKERS> {
    /// An empty log in this memory, whatever the memory holds.
    pub fn new(bytes: B) -> Self {
        Self {
            bytes,
            len: 0,
            next: Position(1),
            streams: Vec::new(),
            buckets: [NOBODY; STREAMS],
            trackers: Vec::new(),
            place: START,
        }
    }

    /// How many bytes of the memory are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.len.saturating_add(index_bytes(self.next))
    }

    pub(crate) fn append_now(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Infallible>> {
        self.check(batch)?;
        let first = self.next;
        for (entry, payload) in batch.iter() {
            match entry.op {
                Op::Event { stream, kind, schema, version } => {
                    let op = if entry.local { LOCAL } else { EVENT };
                    self.store_event(op, (stream, kind), schema, version, payload);
                }
                Op::Snapshot { stream, kind, schema, version } => {
                    let Some(slot) = self.slot_of(stream, kind) else { continue };
                    let before = self.streams.get(slot as usize).and_then(|known| known.snapshot);
                    let link = before.and_then(|at| u32::try_from(at).ok()).map_or(0, |at| at.saturating_add(1));
                    let at = self.store(&Front { link, ..front(SNAPSHOT, schema, slot, version, 0, payload) }, payload);
                    if let Some(known) = self.streams.get_mut(slot as usize) {
                        known.snapshot = Some(at);
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
        let mut next = self.next;
        for (index, (entry, payload)) in batch.iter().enumerate() {
            match entry.op {
                Op::Event { stream, schema, version, .. } | Op::Snapshot { stream, schema, version, .. } => {
                    let found = self.find(stream);
                    batch
                        .check(index, found.and_then(|slot| self.streams.get(slot as usize)).and_then(Stream::head))?;
                    if found.is_none() && batch.head_before(index, stream).is_none() {
                        streams = streams.saturating_add(1);
                    }
                    // A stream of which nothing is known yet has its place at the end of the table or before it.
                    let slot = found.unwrap_or_else(|| u32::try_from(streams).unwrap_or(u32::MAX));
                    let known = self.streams.get(slot as usize).filter(|known| known.first.is_some());
                    let before = known.map_or(Position(0), |known| known.last.position);
                    let stored = front(EVENT, schema, slot, version, next.since(before), payload);
                    bytes = bytes.saturating_add(stored.bytes()).saturating_add(payload.len());
                    let counts = matches!(entry.op, Op::Event { .. }) && !entry.local;
                    next = next.plus(u64::from(counts));
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
        let room = self.bytes.as_ref().len().min(u32::MAX as usize);
        if bytes.saturating_add(index_bytes(next)) > room {
            return Err(AppendError::Full { held_by: HeldBy::Policy });
        }
        if streams > STREAMS || trackers > TRACKERS {
            return Err(AppendError::TableFull);
        }
        Ok(())
    }

    fn store_event(&mut self, op: u8, (id, kind): (StreamId, Kind), schema: u8, version: Version, payload: &[u8]) {
        let Some(slot) = self.slot_of(id, kind) else { return };
        let Some(known) = self.streams.get(slot as usize).copied() else { return };
        let before = known.first.map_or(Position(0), |_| known.last.position);
        let position = self.next;
        let at = self.store(&front(op, schema, slot, version, position.since(before), payload), payload);
        let here = Place { position, at };
        if known.first.is_some() {
            self.link(known.last.at, at);
        }
        if let Some(known) = self.streams.get_mut(slot as usize) {
            (known.version, known.discarded, known.last) = (version, ends_stream(schema), here);
            if known.first.is_none() {
                (known.first, known.found) = (Some(here), (Version(version.0.saturating_sub(1)), here));
            }
        }
        if op == EVENT {
            if position.0 & IN_BLOCK == 1 {
                self.note(position, at);
            }
            self.next = position.next();
        }
    }

    /// The slot of a stream, which gets one if it has none and there is room.
    fn slot_of(&mut self, id: StreamId, kind: Kind) -> Option<u32> {
        if let Some(slot) = self.find(id) {
            return Some(slot);
        }
        let slot = u32::try_from(self.streams.len()).ok()?;
        let bucket = self.buckets.get_mut(bucket_of::<STREAMS>(id))?;
        let (version, found) = (Version::NONE, (Version::NONE, START));
        let new = Stream {
            id,
            kind,
            version,
            discarded: false,
            first: None,
            last: START,
            snapshot: None,
            found,
            next: *bucket,
        };
        self.streams.push(new).ok()?;
        *bucket = slot;
        Some(slot)
    }

    fn find(&self, stream: StreamId) -> Option<u32> {
        let mut slot = *self.buckets.get(bucket_of::<STREAMS>(stream))?;
        loop {
            let known = self.streams.get(slot as usize)?;
            if known.id == stream {
                return Some(slot);
            }
            slot = known.next;
        }
    }

    fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(self.find(stream)? as usize)
    }

    fn store(&mut self, front: &Front, payload: &[u8]) -> usize {
        let at = self.len;
        let mut out = ByteWriter::new(self.bytes.as_mut().get_mut(at..).unwrap_or_default());
        let _ = front.write(&mut out).and_then(|()| out.slice(payload));
        self.len = at.saturating_add(out.len());
        at
    }

    /// Says at the event that stands at `from` where the next one of its stream stands.
    fn link(&mut self, from: usize, to: usize) {
        let Some(place) = self.load(from).and_then(|stored| from.checked_add(stored.front.link_at())) else { return };
        let link = self.bytes.as_mut().get_mut(place..).and_then(|rest| rest.first_chunk_mut());
        if let (Some(link), Ok(to)) = (link, u32::try_from(to)) {
            *link = to.to_le_bytes();
        }
    }

    /// Notes where the first position of a block stands.
    fn note(&mut self, position: Position, at: usize) {
        let place = self.bytes.as_ref().len().checked_sub(index_bytes(position.next()));
        let entry = place.and_then(|place| self.bytes.as_mut().get_mut(place..)?.first_chunk_mut());
        if let (Some(entry), Ok(at)) = (entry, u32::try_from(at)) {
            *entry = at.to_le_bytes();
        }
    }

    /// Where the first position of the block of `position` stands.
    fn block_of(&self, position: Position) -> Option<Place> {
        let start = Position(position.0.checked_sub(1)? & !IN_BLOCK).next();
        let place = self.bytes.as_ref().len().checked_sub(index_bytes(start.next()))?;
        let at = u32::from_le_bytes(*self.bytes.as_ref().get(place..)?.first_chunk()?);
        Some(Place { position: start, at: at as usize })
    }

    fn load(&self, at: usize) -> Option<Stored> {
        let rest = self.bytes.as_ref().get(at..self.len)?;
        let mut input = ByteReader::new(rest);
        let front = Front::read(&mut input)?;
        let payload = at.checked_add(rest.len().checked_sub(input.rest().len())?)?;
        let end = payload.checked_add(front.length as usize)?;
        (end <= self.len).then_some(Stored { front, payload, end })
    }

    fn record(&self, stored: &Stored, position: Option<Position>) -> Option<Record<'_>> {
        let Front { schema, slot, version, .. } = stored.front;
        let Stream { id: stream, kind, .. } = *self.streams.get(slot as usize)?;
        let payload = self.bytes.as_ref().get(stored.payload..stored.end)?;
        Some(Record { stream, kind, version, schema, position, payload })
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
        self.stream(stream)?.head()
    }

    pub(crate) fn event_after(&mut self, stream: StreamId, after: Version) -> Option<Record<'_>> {
        let slot = self.find(stream)? as usize;
        let known = self.streams.get(slot)?;
        if after >= known.version {
            return None;
        }
        let mut here = if known.found.0 <= after { known.found.1 } else { known.first? };
        let mut stored = self.load(here.at)?;
        while stored.front.version <= after {
            let at = usize::try_from(stored.front.link).ok().filter(|at| *at > here.at)?;
            stored = self.load(at)?;
            here = Place { position: here.position.plus(stored.front.distance), at };
        }
        if let Some(known) = self.streams.get_mut(slot) {
            known.found = (Version(stored.front.version.0.saturating_sub(1)), here);
        }
        self.record(&stored, stored.front.has_position().then_some(here.position))
    }

    pub(crate) fn snapshot_up_to(&self, stream: StreamId, at_most: Version) -> Option<Record<'_>> {
        let mut at = self.stream(stream)?.snapshot?;
        loop {
            let stored = self.load(at)?;
            if stored.front.version <= at_most {
                return self.record(&stored, None);
            }
            at = stored.front.link.checked_sub(1)? as usize;
        }
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
        let near = self.place.position <= wanted && wanted.since(self.place.position) < BLOCK;
        let mut place = if near { self.place } else { self.block_of(wanted).unwrap_or(START) };
        let stored = loop {
            let Some(stored) = self.load(place.at) else { return Ok(None) };
            if stored.front.has_position() {
                if place.position == wanted {
                    break stored;
                }
                place.position = place.position.next();
            }
            place.at = stored.end;
        };
        self.place = place;
        Ok(self.record(&stored, Some(wanted)).map(Notification::Event))
    }
}

impl Stream {
    /// What is known of its events, if it has any.
    fn head(&self) -> Option<StreamHead> {
        let head = StreamHead { kind: self.kind, version: self.version, discarded: self.discarded };
        (self.version > Version::NONE).then_some(head)
    }
}

fn front(op: u8, schema: u8, slot: u32, version: Version, distance: u64, payload: &[u8]) -> Front {
    Front { op, schema, slot, version, link: 0, distance, length: u32::try_from(payload.len()).unwrap_or(u32::MAX) }
}

/// How many bytes tell where positions stand when `next` is the next one.
fn index_bytes(next: Position) -> usize {
    let blocks = next.0.saturating_sub(1).div_ceil(BLOCK);
    usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(ENTRY_BYTES)
}

/// Which of `COUNT` buckets a stream belongs to: ids that follow each other are spread.
fn bucket_of<const COUNT: usize>(id: StreamId) -> usize {
    let hash = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let scaled = hash.wrapping_mul(COUNT as u64) >> 32;
    scaled as usize
}
