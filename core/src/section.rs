//! Sections of the notification log in a compact encoding, as they travel.
//!
//! ```text
//! section = { event }
//! event   = slot stream? length payload
//! slot    = u8        0..=15: a stream introduced before in this section; its version is the next one
//!                     0xFF: introduces a stream, which gets the next slot if one of the 16 is free
//! stream  = kind u8, schema u8, id varint, version varint      (only after 0xFF)
//! length  = varint    of the payload
//! ```
//!
//! Positions are not in it: the section's first position is told beside it, and the rest follow without a hole.
//! An event of a stream that is already known costs two bytes beside its payload.

use heapless::Vec;

use crate::bytes::{ByteReader, ByteWriter, varint_len};
use crate::{Kind, Position, Record, StreamId, Version};

/// How many streams of a section have a slot.
pub const SLOTS: usize = 16;
const INTRODUCTION: u8 = 0xFF;

#[derive(Debug, Clone, Copy)]
struct Slot {
    stream: StreamId,
    kind: Kind,
    schema: u8,
    version: Version,
}

/// Encodes consecutive events into a lent buffer, as many as fit.
#[derive(Debug)]
pub struct SectionWriter<'b> {
    out: ByteWriter<'b>,
    slots: Vec<Slot, SLOTS>,
    events: u32,
}

impl<'b> SectionWriter<'b> {
    /// An empty section in these bytes.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { out: ByteWriter::new(bytes), slots: Vec::new(), events: 0 }
    }

    /// How many events are in it.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.events
    }

    /// The encoded events.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.out.written()
    }

    /// Adds an event; `false`, and nothing is changed, if it does not fit.
    ///
    /// The caller adds events in the order of their positions, without a hole.
    pub fn push(&mut self, event: &Record<'_>) -> bool {
        let slot = self.slots.iter().position(|slot| {
            slot.stream == event.stream
                && slot.kind == event.kind
                && slot.schema == event.schema
                && slot.version.next() == event.version
        });
        let mark = self.out.len();
        if self.write(event, slot).is_none() {
            self.out.truncate(mark);
            return false;
        }
        match slot.and_then(|slot| self.slots.get_mut(slot)) {
            Some(slot) => slot.version = event.version,
            None => {
                // Without a free slot the next event of this stream is introduced again.
                let _ = self.slots.push(Slot {
                    stream: event.stream,
                    kind: event.kind,
                    schema: event.schema,
                    version: event.version,
                });
            }
        }
        self.events = self.events.saturating_add(1);
        true
    }

    fn write(&mut self, event: &Record<'_>, slot: Option<usize>) -> Option<()> {
        match slot.and_then(|slot| u8::try_from(slot).ok()) {
            Some(slot) => self.out.u8(slot)?,
            None => {
                self.out.slice(&[INTRODUCTION, event.kind.0, event.schema])?;
                self.out.varint(event.stream.0)?;
                self.out.varint(u64::from(event.version.0))?;
            }
        }
        self.out.varint(event.payload.len() as u64)?;
        self.out.slice(event.payload)
    }
}

/// The most bytes that one event takes in a section.
#[must_use]
pub fn event_bytes_at_most(payload: usize) -> usize {
    3_usize
        .saturating_add(varint_len(u64::MAX))
        .saturating_add(varint_len(u64::from(u32::MAX)))
        .saturating_add(varint_len(payload as u64))
        .saturating_add(payload)
}

/// Decodes the events of a section, one after another.
///
/// Ends after the last event, or after an error: bytes that are no section never panic.
#[derive(Debug, Clone)]
pub struct SectionReader<'b> {
    input: ByteReader<'b>,
    slots: Vec<Slot, SLOTS>,
    next: Position,
}

/// The bytes are no section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MalformedSection;

impl core::fmt::Display for MalformedSection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the bytes are no section of a notification log")
    }
}

impl core::error::Error for MalformedSection {}

impl<'b> SectionReader<'b> {
    /// Reads the section whose first event has the position `first`.
    #[must_use]
    pub fn new(first: Position, bytes: &'b [u8]) -> Self {
        Self { input: ByteReader::new(bytes), slots: Vec::new(), next: first }
    }

    fn read(&mut self) -> Option<Record<'b>> {
        let slot = match self.input.u8()? {
            INTRODUCTION => {
                let (kind, schema) = (Kind(self.input.u8()?), self.input.u8()?);
                let stream = StreamId(self.input.varint()?);
                let version = Version(u32::try_from(self.input.varint()?).ok()?);
                let slot = Slot { stream, kind, schema, version };
                let _ = self.slots.push(slot);
                slot
            }
            number => {
                let slot = self.slots.get_mut(usize::from(number))?;
                slot.version = Version(slot.version.0.checked_add(1)?);
                *slot
            }
        };
        let length = usize::try_from(self.input.varint()?).ok()?;
        let payload = self.input.slice(length)?;
        let position = self.next;
        self.next = position.next();
        let Slot { stream, kind, schema, version } = slot;
        Some(Record { stream, kind, version, schema, position: Some(position), payload })
    }
}

impl<'b> Iterator for SectionReader<'b> {
    type Item = Result<Record<'b>, MalformedSection>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.is_empty() {
            return None;
        }
        let read = self.read().ok_or(MalformedSection);
        if read.is_err() {
            self.input = ByteReader::new(&[]);
        }
        Some(read)
    }
}

/// A piece of the notification log, encoded, lent from the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Section<'b> {
    /// Consecutive events.
    Events {
        /// The position of the first.
        first: Position,
        /// How many there are; at least 1.
        count: u32,
        /// Their encoding: see [`SectionReader`].
        bytes: &'b [u8],
    },
    /// Positions that hold nothing any more.
    Gap {
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
        /// What became of them.
        reason: crate::GapReason,
    },
    /// The end of the log.
    End {
        /// The position that the next event will get.
        next: Position,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: u64, version: u32, position: u64, payload: &'static [u8]) -> Record<'static> {
        Record {
            stream: StreamId(stream),
            kind: Kind(stream as u8),
            version: Version(version),
            schema: 0,
            position: Some(Position(position)),
            payload,
        }
    }

    #[test]
    fn events_come_back_and_a_known_stream_costs_two_bytes() {
        let events = [event(1, 5, 40, b"one"), event(2, 1, 41, b""), event(1, 6, 42, b"two"), event(1, 7, 43, b"x")];
        let mut room = [0; 64];
        let mut out = SectionWriter::new(&mut room);
        assert!(events.iter().all(|event| out.push(event)));
        assert_eq!(out.bytes().len(), (6 + 3) + 6 + (2 + 3) + (2 + 1));
        let back: Vec<_, 8> = SectionReader::new(Position(40), out.bytes()).map(Result::unwrap).collect();
        assert_eq!(back, events);
    }

    #[test]
    fn more_streams_than_slots_and_versions_that_jump_are_introduced_again() {
        let mut room = [0; 1024];
        let mut out = SectionWriter::new(&mut room);
        let mut events = std::vec::Vec::new();
        for round in 1..=3_u32 {
            for stream in 0..20 {
                events.push(event(stream, round * 2, 1 + events.len() as u64, b"p"));
            }
        }
        assert!(events.iter().all(|event| out.push(event)));
        let back: std::vec::Vec<_> = SectionReader::new(Position(1), out.bytes()).map(Result::unwrap).collect();
        assert_eq!(back, events);
    }

    #[test]
    fn what_does_not_fit_leaves_the_section_as_it_was() {
        let mut room = [0; 12];
        let mut out = SectionWriter::new(&mut room);
        assert!(out.push(&event(1, 1, 1, b"abc")));
        assert!(!out.push(&event(1, 2, 2, b"abcd")));
        assert!(out.push(&event(1, 2, 2, b"a")));
        assert_eq!(SectionReader::new(Position(1), out.bytes()).count(), 2);
    }

    #[test]
    fn bytes_that_are_no_section_are_an_error_and_then_the_end() {
        for bytes in [&[0_u8][..], &[0xFF], &[0xFF, 1, 0, 1, 1, 9, 1], &[7, 0]] {
            let read: std::vec::Vec<_> = SectionReader::new(Position(1), bytes).collect();
            assert_eq!(read, [Err(MalformedSection)], "{bytes:?}");
        }
    }
}
