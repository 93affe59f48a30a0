//! What is appended at once: wholly or not at all.

use core::cmp::Ordering;

use crate::codec::{self, CodecError};
use crate::error::AppendError;
use crate::{Aggregate, Kind, Position, Record, Snapshot, StreamHead, StreamId, Trace, Tracker, Version, trace};

/// How many bytes a record manager wants free before the payloads of a batch, to put its own headers there and
/// write the batch out of the buffer it was encoded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Before the first entry, beside what each entry has.
    pub batch: usize,
    /// Before each payload.
    pub entry: usize,
}

/// One entry of a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub op: Op,
    /// Of an event: it is of this log alone, with a version in its stream but without a position in the notification log.
    pub local: bool,
    /// Where its payload starts in the bytes of the batch.
    pub start: usize,
    /// How many bytes its payload has.
    pub len: usize,
}

/// What one entry of a batch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Appends an event.
    Event {
        /// Its stream.
        stream: StreamId,
        /// The aggregate type of the stream.
        kind: Kind,
        /// The schema number of the payload.
        schema: u8,
        /// The version that the stream will have with it.
        version: Version,
    },
    /// Stores the state of a stream.
    Snapshot {
        /// The stream.
        stream: StreamId,
        /// The aggregate type of the stream.
        kind: Kind,
        /// The schema number of the payload.
        schema: u8,
        /// The version of the last event in the state.
        version: Version,
    },
    /// Moves a tracker on.
    Track {
        /// The tracker.
        tracker: Tracker,
        /// Where it stands before: what has been seen begins behind this.
        after: Position,
        /// The position up to which everything has been seen.
        position: Position,
    },
}

/// Entries to be appended as one, encoded into the caller's buffer.
///
/// Payloads stand from the front of the buffer with [`Headroom`] between them, a table of 24 bytes for each
/// entry grows down from its end. A record manager may move the payloads towards the front while it puts its
/// headers between them, and says so with [`moved`](Batch::moved): afterwards they can still be read.
#[derive(Debug)]
pub struct Batch<'b> {
    bytes: &'b mut [u8],
    headroom: Headroom,
    front: usize,
    /// Where the table starts.
    table: usize,
    count: usize,
    events: u32,
    positions: u32,
}

/// Bytes of the table at the end of the buffer for each entry.
pub const ENTRY_BYTES: usize = 24;

impl<'b> Batch<'b> {
    /// An empty batch in these bytes.
    #[inline]
    pub fn new(bytes: &'b mut [u8], headroom: Headroom) -> Self {
        let table = bytes.len();
        Self { bytes, headroom, front: headroom.batch, table, count: 0, events: 0, positions: 0 }
    }

    /// How many entries it has.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no entries.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many of its entries are events.
    #[must_use]
    #[inline]
    pub fn events(&self) -> u32 {
        self.events
    }

    /// How many of its events get a position in the notification log: all but those that are local.
    #[must_use]
    #[inline]
    pub fn positions(&self) -> u32 {
        self.positions
    }

    /// Adds an event, encoded as its aggregate does, that follows version `after` of its stream.
    pub fn event<A: Aggregate>(
        &mut self,
        stream: StreamId,
        after: Version,
        event: &A::Event,
    ) -> Result<(), BatchError> {
        self.add(following::<A>(stream, after, A::SCHEMA)?, A::is_local(event), |out| codec::encode(event, out))
    }

    /// Adds an event as [`event`](Self::event) does, and stores with it what it is a consequence of.
    pub fn event_because<A: Aggregate>(
        &mut self,
        stream: StreamId,
        after: Version,
        event: &A::Event,
        trace: Trace,
    ) -> Result<(), BatchError> {
        self.add(following::<A>(stream, after, Trace::mark(A::SCHEMA))?, A::is_local(event), |out| {
            let len = trace.encode(out)?;
            let rest = out.get_mut(len..).unwrap_or_default();
            Ok(len.saturating_add(codec::encode(event, rest)?))
        })
    }

    /// Adds the end of a stream, after version `after`: nothing can follow it.
    pub fn discard<A: Aggregate>(&mut self, stream: StreamId, after: Version) -> Result<(), BatchError> {
        self.push(following::<A>(stream, after, trace::DISCARDED)?, |_| Ok(0))
    }

    /// Adds the state of an aggregate as of `version`.
    pub fn snapshot<A: Snapshot>(&mut self, stream: StreamId, version: Version, state: &A) -> Result<(), BatchError> {
        const { assert!(<A as Snapshot>::SCHEMA < trace::DISCARDED, "schema numbers are at most 126") };
        let op = Op::Snapshot { stream, kind: A::KIND, schema: <A as Snapshot>::SCHEMA, version };
        self.push(op, |out| codec::encode(state, out))
    }

    /// Adds the move of a tracker to its next position: it stands right before `position`.
    ///
    /// Appending fails with [`AppendError::Tracking`] if it stands elsewhere, as it does when `position` has been dealt
    /// with already, or when positions before it have not.
    pub fn track(&mut self, tracker: Tracker, position: Position) -> Result<(), BatchError> {
        self.track_from(tracker, position.previous(), position)
    }

    /// Adds the move of a tracker over several positions at once: it stands at `after`, and what follows up to
    /// `position` has been seen or is passed over on purpose.
    ///
    /// Appending fails with [`AppendError::Tracking`] if it stands elsewhere, or if this is no move forward.
    pub fn track_from(&mut self, tracker: Tracker, after: Position, position: Position) -> Result<(), BatchError> {
        self.push(Op::Track { tracker, after, position }, |_| Ok(0))
    }

    /// Adds an entry whose payload `encode` writes to the front of the bytes it is given, answering its length.
    #[inline]
    pub fn push(
        &mut self,
        op: Op,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, CodecError>,
    ) -> Result<(), BatchError> {
        self.add(op, false, encode)
    }

    /// As [`push`](Self::push), of an event that gets no position in the notification log.
    pub fn push_local(
        &mut self,
        op: Op,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, CodecError>,
    ) -> Result<(), BatchError> {
        self.add(op, true, encode)
    }

    #[inline]
    fn add(
        &mut self,
        op: Op,
        local: bool,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, CodecError>,
    ) -> Result<(), BatchError> {
        let start = self.front.saturating_add(self.headroom.entry);
        let end = self.table.saturating_sub(ENTRY_BYTES);
        let count = self.count.saturating_add(1);
        let too_small = |more: usize| {
            let needed = start.saturating_add(count.saturating_mul(ENTRY_BYTES));
            BatchError::ScratchTooSmall { needed: needed.saturating_add(more) }
        };
        let Some((room, row)) = self.bytes.get_mut(start..self.table).and_then(|free| free.split_last_chunk_mut())
        else {
            return Err(too_small(1));
        };
        let limit = room.len();
        let len = match encode(room) {
            Ok(len) if len <= limit => len,
            Ok(len) => return Err(too_small(len)),
            Err(CodecError::DoesNotFit) => return Err(too_small(limit.saturating_add(1))),
            Err(error) => return Err(BatchError::Codec(error)),
        };
        let local = local && matches!(op, Op::Event { .. });
        *row = Entry { op, local, start, len }.to_row();
        (self.front, self.table, self.count) = (start.saturating_add(len), end, count);
        if matches!(op, Op::Event { .. }) {
            self.events = self.events.saturating_add(1);
            self.positions = self.positions.saturating_add(u32::from(!local));
        }
        Ok(())
    }

    /// The entry with this index.
    #[must_use]
    #[inline]
    pub fn entry(&self, index: usize) -> Option<Entry> {
        if index >= self.count {
            return None;
        }
        let at = self.entry_at(index)?;
        let row: &[u8; ENTRY_BYTES] = self.bytes.get(at..)?.first_chunk()?;
        Some(Entry::from_row(row))
    }

    /// The entry of a batch that has one only.
    #[must_use]
    #[inline]
    pub fn only(&self) -> Option<Entry> {
        if self.count != 1 {
            return None;
        }
        self.bytes.last_chunk().map(Entry::from_row)
    }

    /// The payload of the entry with this index.
    #[must_use]
    #[inline]
    pub fn payload(&self, index: usize) -> &[u8] {
        let Some(entry) = self.entry(index) else { return &[] };
        self.bytes.get(entry.start..entry.start.saturating_add(entry.len)).unwrap_or_default()
    }

    /// The event with this index as a record, which has no position yet.
    pub(crate) fn record(&self, index: usize) -> Option<Record<'_>> {
        match self.entry(index)?.op {
            Op::Event { stream, kind, schema, version } => {
                Some(Record { stream, kind, version, schema, position: None, payload: self.payload(index) })
            }
            _ => None,
        }
    }

    /// All entries with their payloads.
    pub fn iter(&self) -> impl Iterator<Item = (Entry, &[u8])> {
        (0..self.count).filter_map(|index| Some((self.entry(index)?, self.payload(index))))
    }

    /// Says that the payload of the entry with this index now starts at `start`.
    #[inline]
    pub fn moved(&mut self, index: usize, start: usize) {
        if index >= self.count {
            return;
        }
        let row = self.entry_at(index).and_then(|at| self.bytes.get_mut(at..)?.first_chunk_mut());
        if let Some(row) = row {
            let start = u32::try_from(start).unwrap_or(u32::MAX);
            let row: &mut [u8; ENTRY_BYTES] = row;
            let [before @ .., _, _, _, _] = row;
            if let Some(place) = before.last_chunk_mut() {
                *place = start.to_le_bytes();
            }
        }
    }

    /// Says that the payload of the entry with this index now has `len` bytes from `start` on, where it ends no later
    /// than before: for record managers that store payloads in another form, and give them back in the first.
    #[inline]
    pub fn replaced(&mut self, index: usize, start: usize, len: usize) {
        let Some(entry) = self.entry(index) else { return };
        let row = self.entry_at(index).and_then(|at| self.bytes.get_mut(at..)?.first_chunk_mut::<ENTRY_BYTES>());
        if let Some(row) = row {
            *row = Entry { start, len, ..entry }.to_row();
        }
    }

    /// The bytes before the table: payloads, the headroom between them, and what is still free behind them.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.table).unwrap_or_default()
    }

    /// The bytes that [`bytes_mut`](Self::bytes_mut) gives, to read.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.table).unwrap_or_default()
    }

    /// The bytes behind the last payload that nobody uses, for look-ups while the batch stands.
    #[inline]
    pub fn free_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.front..self.table).unwrap_or_default()
    }

    /// Checks the entry with this index against the state of its stream in the log, and against the entries before
    /// it: that an event follows on, that a snapshot is of the very version that its stream is at, that the types agree,
    /// that nothing follows the end of a stream.
    ///
    /// `head` is the state in the log of the stream that the entry names, `None` if there is no such stream.
    pub fn check<E>(&self, index: usize, head: Option<StreamHead>) -> Result<(), AppendError<E>> {
        let Some(entry) = self.entry(index) else { return Ok(()) };
        let (stream, kind, version) = match entry.op {
            Op::Event { stream, kind, version, .. } | Op::Snapshot { stream, kind, version, .. } => {
                (stream, kind, version)
            }
            Op::Track { .. } => return Ok(()), // see `check_track`
        };
        let current = self.head_before(index, stream).or(head);
        if let Some(StreamHead { kind: actual, .. }) = current {
            if actual != kind {
                return Err(AppendError::WrongKind { stream, expected: kind, actual });
            }
        }
        let actual = current.map_or(Version::NONE, |head| head.version);
        let expected = match entry.op {
            Op::Event { .. } => Version(version.0.saturating_sub(1)),
            _ => version,
        };
        match expected.cmp(&actual) {
            Ordering::Equal if matches!(entry.op, Op::Event { version: Version::NONE, .. }) => {
                Err(AppendError::Conflict { stream, expected, actual })
            }
            Ordering::Equal if current.is_some_and(|head| head.discarded) => Err(AppendError::Discarded { stream }),
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(AppendError::Conflict { stream, expected, actual }),
            Ordering::Greater => Err(AppendError::Gap { stream, expected, actual }),
        }
    }

    /// Checks the entry with this index, if it moves a tracker, against where the tracker stands in the log and against
    /// the entries before it: that the tracker stands where the writer took it to stand, and that it goes forward.
    pub fn check_track<E>(&self, index: usize, at: Position) -> Result<(), AppendError<E>> {
        let Some(Entry { op: Op::Track { tracker, after, position }, .. }) = self.entry(index) else { return Ok(()) };
        let at = self.tracked_before(index, tracker).unwrap_or(at);
        if after == at && position > at {
            return Ok(());
        }
        Err(AppendError::Tracking { tracker, after, at, to: position })
    }

    /// Where the entries before `index` lead this tracker to, if one of them moves it.
    #[must_use]
    pub fn tracked_before(&self, index: usize, tracker: Tracker) -> Option<Position> {
        (0..index).rev().find_map(|earlier| match self.entry(earlier)?.op {
            Op::Track { tracker: of, position, .. } if of == tracker => Some(position),
            _ => None,
        })
    }

    /// The state of `stream` that the entries before `index` lead to, if one of them is an event of it.
    #[must_use]
    pub fn head_before(&self, index: usize, stream: StreamId) -> Option<StreamHead> {
        (0..index).rev().find_map(|earlier| match self.entry(earlier)?.op {
            Op::Event { stream: of, kind, version, schema } if of == stream => {
                Some(StreamHead { kind, version, discarded: trace::ends_stream(schema) })
            }
            _ => None,
        })
    }

    #[inline]
    fn entry_at(&self, index: usize) -> Option<usize> {
        self.bytes.len().checked_sub(index.checked_add(1)?.checked_mul(ENTRY_BYTES)?)
    }
}

/// An event that follows version `after` of its stream.
fn following<A: Aggregate>(stream: StreamId, after: Version, schema: u8) -> Result<Op, BatchError> {
    const { assert!(A::SCHEMA < trace::DISCARDED, "schema numbers are at most 126") };
    if after == Version::MAX {
        return Err(BatchError::VersionsExhausted(stream));
    }
    Ok(Op::Event { stream, kind: A::KIND, schema, version: after.next() })
}

impl Entry {
    // Row: op, kind or tracker, schema, local, version (4), stream or position (8), start (4), len (4).
    // A tracker has no payload: where it stands before is in the places of version (its lower half) and length.
    #[inline]
    fn to_row(self) -> [u8; ENTRY_BYTES] {
        let mut len = u32::try_from(self.len).unwrap_or(u32::MAX);
        let (op, kind, schema, version, number) = match self.op {
            Op::Event { stream, kind, schema, version } => (0, kind.0, schema, version.0, stream.0),
            Op::Snapshot { stream, kind, schema, version } => (1, kind.0, schema, version.0, stream.0),
            Op::Track { tracker, after, position } => {
                len = (after.0 >> 32) as u32;
                (2, tracker.0, 0, after.0 as u32, position.0)
            }
        };
        let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let [v0, v1, v2, v3] = version.to_le_bytes();
        let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_le_bytes();
        let ([s0, s1, s2, s3], [l0, l1, l2, l3]) = (count(self.start), len.to_le_bytes());
        [
            op,
            kind,
            schema,
            u8::from(self.local),
            v0,
            v1,
            v2,
            v3,
            n0,
            n1,
            n2,
            n3,
            n4,
            n5,
            n6,
            n7,
            s0,
            s1,
            s2,
            s3,
            l0,
            l1,
            l2,
            l3,
        ]
    }

    #[inline]
    fn from_row(row: &[u8; ENTRY_BYTES]) -> Self {
        let [op, kind, schema, local, v0, v1, v2, v3, n0, n1, n2, n3, n4, n5, n6, n7, s0, s1, s2, s3, l0, l1, l2, l3] =
            *row;
        let version = Version(u32::from_le_bytes([v0, v1, v2, v3]));
        let number = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        let start = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let mut len = length as usize;
        let (stream, kind_) = (StreamId(number), Kind(kind));
        let op = match op {
            0 => Op::Event { stream, kind: kind_, schema, version },
            1 => Op::Snapshot { stream, kind: kind_, schema, version },
            _ => {
                len = 0;
                let after = Position(u64::from(length) << 32 | u64::from(version.0));
                Op::Track { tracker: Tracker(kind), after, position: Position(number) }
            }
        };
        Self { op, local: local != 0, start, len }
    }

    /// The event of this entry as the record it becomes at `position`, which it has only if it is not local; `None` if
    /// it is no event.
    #[must_use]
    pub fn as_record<'p>(&self, position: Position, payload: &'p [u8]) -> Option<Record<'p>> {
        match self.op {
            Op::Event { stream, kind, schema, version } => {
                let position = (!self.local).then_some(position);
                Some(Record { stream, kind, version, schema, position, payload })
            }
            _ => None,
        }
    }
}

/// Why an entry could not be added to a batch. The batch is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BatchError {
    /// The lent buffer is too small.
    ScratchTooSmall {
        /// The bytes needed, at least.
        needed: usize,
    },
    /// The stream has had as many events as a stream can have.
    VersionsExhausted(StreamId),
    /// The value has no encoding.
    Codec(CodecError),
}

impl<E> From<BatchError> for AppendError<E> {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::ScratchTooSmall { needed } => {
                Self::ScratchTooSmall { needed: u32::try_from(needed).unwrap_or(u32::MAX) }
            }
            BatchError::VersionsExhausted(stream) => Self::Gap { stream, expected: Version::MAX, actual: Version::MAX },
            BatchError::Codec(error) => Self::Codec(error),
        }
    }
}

impl core::fmt::Display for BatchError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ScratchTooSmall { needed } => write!(f, "the scratch buffer is too small: {needed} bytes are needed"),
            Self::VersionsExhausted(stream) => write!(f, "stream {stream} can have no more events"),
            Self::Codec(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BatchError {}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Headroom = Headroom { batch: 8, entry: 4 };

    fn event(version: u32) -> Op {
        Op::Event { stream: StreamId(u64::MAX), kind: Kind(200), schema: 3, version: Version(version) }
    }

    fn put(payload: &'static [u8]) -> impl FnOnce(&mut [u8]) -> Result<usize, CodecError> {
        move |out| {
            out.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?.copy_from_slice(payload);
            Ok(payload.len())
        }
    }

    #[test]
    fn entries_come_back_as_they_were_put_in() {
        let mut bytes = [0xAA; 128];
        let mut batch = Batch::new(&mut bytes, ROOM);
        let (after, position) = (Position(0x0123_4567_89AB_CDEF), Position(u64::MAX - 1));
        let track = Op::Track { tracker: Tracker(7), after, position };
        let snapshot = Op::Snapshot { stream: StreamId(2), kind: Kind(1), schema: 9, version: Version(u32::MAX) };
        batch.push(event(5), put(b"abc")).unwrap();
        batch.push(snapshot, put(b"state")).unwrap();
        batch.push(track, |_| Ok(0)).unwrap();
        let all: Vec<_> = batch.iter().map(|(entry, payload)| (entry.op, entry.start, payload.to_vec())).collect();
        assert_eq!(all, [(event(5), 12, b"abc".to_vec()), (snapshot, 19, b"state".to_vec()), (track, 28, Vec::new())]);
        assert_eq!((batch.len(), batch.events()), (3, 1));
    }

    #[test]
    fn an_entry_that_does_not_fit_leaves_the_batch_as_it_was() {
        let mut bytes = [0; 8 + 4 + 3 + ENTRY_BYTES];
        let mut batch = Batch::new(&mut bytes, ROOM);
        batch.push(event(1), put(b"abc")).unwrap();
        let refused = batch.push(event(2), put(b"d"));
        assert!(matches!(refused, Err(BatchError::ScratchTooSmall { needed }) if needed > 39), "{refused:?}");
        assert_eq!(batch.len(), 1);
        assert_eq!(batch.payload(0), b"abc");
    }
}
