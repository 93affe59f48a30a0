//! Sections of the notification log in a compact encoding, as they travel.
//!
//! ```text
//! section = { run }
//! run     = head u8, [count varint], [stream], [length varint], count x payload
//! stream  = [kind u8], [schema u8], id varint, version varint
//!
//! head bit 7   1: introduces a stream, which gets the next slot if one of the 16 is free
//!              0: of a stream introduced before in this section; the versions go on
//! head bit 6   the run reaches up to the end of the section: as many payloads as there are bytes left
//! head bit 5   `count` follows; else, without bit 6, there is one payload
//! head bit 4   with bit 7: `schema` follows, else it is 0; without: the length is that of the stream's last payload
//! head 3..=0   with bit 7: the kind, or 15 and then `kind` follows; without: the slot
//! version      of the first event: twice the version; or twice how far its position is beyond it, and 1
//! length       of each payload; not with bit 4 without bit 7
//! ```
//!
//! Positions are not in it: the section's first position is told beside it, and the rest follow without a hole.
//!
//! Events of one stream, of one length and one after another are a run: beyond the first they cost their payload alone.
//! An event of another stream that is already known costs one byte, or two if its length has changed. The bytes depend on
//! the events and their positions only.

use heapless::Vec;

use crate::bytes::{ByteReader, ByteWriter, varint, varint_len};
use crate::{Kind, Position, Record, StreamId, Version};

/// How many streams of a section have a slot.
pub const SLOTS: usize = 16;

const INTRODUCES: u8 = 0x80;
const TO_THE_END: u8 = 0x40;
const COUNTED: u8 = 0x20;
const SCHEMA: u8 = 0x10;
const SAME_LENGTH: u8 = 0x10;
const LOW: u8 = 0x0F;

#[derive(Debug, Clone, Copy)]
struct Slot {
    stream: StreamId,
    kind: Kind,
    schema: u8,
    version: Version,
    length: usize,
}

impl Slot {
    /// Whether this event is the next one of the stream.
    fn goes_on_with(&self, event: &Record<'_>) -> bool {
        let Self { stream, kind, schema, version, .. } = *self;
        (stream, kind, schema) == (event.stream, event.kind, event.schema) && version.next() == event.version
    }
}

/// The run that is written.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Where its head is.
    head: usize,
    events: u32,
    last: Slot,
}

/// Encodes consecutive events into a lent buffer, as many as fit.
#[derive(Debug)]
pub struct SectionWriter<'b> {
    out: ByteWriter<'b>,
    slots: Vec<Slot, SLOTS>,
    run: Option<Run>,
    events: u32,
}

impl<'b> SectionWriter<'b> {
    /// An empty section in these bytes.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { out: ByteWriter::new(bytes), slots: Vec::new(), run: None, events: 0 }
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
        let slot = self.slots.iter().position(|slot| slot.goes_on_with(event));
        let fits = match self.run {
            Some(run) if run.last.goes_on_with(event) && self.may_go_on(&run, event) => self.go_on(run, event),
            _ => self.begin(event, slot),
        };
        if fits.is_none() {
            return false;
        }
        let last = Slot {
            stream: event.stream,
            kind: event.kind,
            schema: event.schema,
            version: event.version,
            length: event.payload.len(),
        };
        if let Some(run) = &mut self.run {
            run.last = last;
        }
        match slot.and_then(|slot| self.slots.get_mut(slot)) {
            Some(slot) => *slot = last,
            None => {
                // Without a free slot the next event of this stream is introduced again.
                let _ = self.slots.push(last);
            }
        }
        self.events = self.events.saturating_add(1);
        true
    }

    fn may_go_on(&self, run: &Run, event: &Record<'_>) -> bool {
        run.last.length == event.payload.len() && !event.payload.is_empty()
    }

    fn go_on(&mut self, run: Run, event: &Record<'_>) -> Option<()> {
        self.out.slice(event.payload)?;
        *self.out.written_mut().get_mut(run.head)? |= TO_THE_END;
        self.run = Some(Run { events: run.events.saturating_add(1), ..run });
        Some(())
    }

    fn begin(&mut self, event: &Record<'_>, slot: Option<usize>) -> Option<()> {
        let mark = self.out.len();
        let (count, count_len) =
            self.run.filter(|run| run.events > 1).map_or(([0; 10], 0), |run| varint(run.events.into()));
        // The run before does not reach up to the end any more: it gets its count.
        if self.write(event, slot).is_none() || self.out.room() < count_len {
            self.out.truncate(mark);
            return None;
        }
        if count_len > 0 {
            let head = self.run?.head;
            *self.out.written_mut().get_mut(head)? ^= TO_THE_END | COUNTED;
            self.out.insert(head.saturating_add(1), count.get(..count_len)?)?;
        }
        let last = Slot { stream: event.stream, kind: event.kind, schema: 0, version: event.version, length: 0 };
        self.run = Some(Run { head: mark.saturating_add(count_len), events: 1, last });
        Some(())
    }

    fn write(&mut self, event: &Record<'_>, slot: Option<usize>) -> Option<()> {
        let known = slot.and_then(|index| Some((u8::try_from(index).ok()?, self.slots.get(index)?)));
        match known {
            Some((index, slot)) if slot.length == event.payload.len() => self.out.u8(index | SAME_LENGTH)?,
            Some((index, _)) => {
                self.out.u8(index)?;
                self.out.varint(event.payload.len() as u64)?;
            }
            None => {
                let kind = event.kind.0.min(LOW);
                self.out.u8(INTRODUCES | kind | if event.schema > 0 { SCHEMA } else { 0 })?;
                if kind == LOW {
                    self.out.u8(event.kind.0)?;
                }
                if event.schema > 0 {
                    self.out.u8(event.schema)?;
                }
                self.out.varint(event.stream.0)?;
                self.out.varint(version_code(event))?;
                self.out.varint(event.payload.len() as u64)?;
            }
        }
        self.out.slice(event.payload)
    }
}

/// The shorter of both ways of telling a version.
fn version_code(event: &Record<'_>) -> u64 {
    let version = u64::from(event.version.0);
    let behind = event.position.and_then(|position| position.0.checked_sub(version)).filter(|behind| *behind < version);
    match behind {
        Some(behind) => behind.saturating_mul(2) | 1,
        None => version.saturating_mul(2),
    }
}

fn version_of(code: u64, position: Position) -> Option<Version> {
    let number = code >> 1;
    let version = if code & 1 == 0 { number } else { position.0.checked_sub(number)? };
    Some(Version(u32::try_from(version).ok()?))
}

/// The most bytes that one event takes in a section.
#[must_use]
pub fn event_bytes_at_most(payload: usize) -> usize {
    3_usize
        .saturating_add(varint_len(u64::MAX))
        .saturating_add(varint_len(u64::from(u32::MAX) * 2))
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
    /// Of the run that is read: its stream, where that has a slot, and how many payloads follow; `None`: up to the end.
    run: Slot,
    slot: Option<usize>,
    left: Option<u64>,
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
        let run = Slot { stream: StreamId(0), kind: Kind(0), schema: 0, version: Version::NONE, length: 0 };
        let input = ByteReader::new(bytes);
        Self { input, slots: Vec::new(), run, slot: None, left: Some(0), next: first }
    }

    fn read(&mut self) -> Option<Record<'b>> {
        match self.left {
            Some(0) => self.begin()?,
            _ => self.run.version = Version(self.run.version.0.checked_add(1)?),
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        let Slot { stream, kind, schema, version, length } = self.run;
        if let Some(slot) = self.slot.and_then(|slot| self.slots.get_mut(slot)) {
            *slot = self.run;
        }
        let payload = self.input.slice(length)?;
        let position = self.next;
        self.next = position.next();
        Some(Record { stream, kind, version, schema, position: Some(position), payload })
    }

    /// Reads the head of a run.
    fn begin(&mut self) -> Option<()> {
        let head = self.input.u8()?;
        let count = if head & COUNTED == 0 { 1 } else { self.input.varint()? };
        if head & INTRODUCES != 0 {
            let kind = Kind(if head & LOW == LOW { self.input.u8()? } else { head & LOW });
            let schema = if head & SCHEMA == 0 { 0 } else { self.input.u8()? };
            let stream = StreamId(self.input.varint()?);
            let version = version_of(self.input.varint()?, self.next)?;
            let length = usize::try_from(self.input.varint()?).ok()?;
            self.run = Slot { stream, kind, schema, version, length };
            self.slot = self.slots.push(self.run).is_ok().then(|| self.slots.len().saturating_sub(1));
        } else {
            let slot = usize::from(head & LOW);
            let known = *self.slots.get(slot)?;
            let version = Version(known.version.0.checked_add(1)?);
            let length = match head & SAME_LENGTH {
                0 => usize::try_from(self.input.varint()?).ok()?,
                _ => known.length,
            };
            (self.run, self.slot) = (Slot { version, length, ..known }, Some(slot));
        }
        let endless = head & TO_THE_END != 0;
        // A run up to the end has payloads, and no count; a counted one is not empty.
        if (endless && (head & COUNTED != 0 || self.run.length == 0)) || count == 0 {
            return None;
        }
        self.left = (!endless).then_some(count);
        Some(())
    }
}

impl<'b> Iterator for SectionReader<'b> {
    type Item = Result<Record<'b>, MalformedSection>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.is_empty() && matches!(self.left, None | Some(0)) {
            return None;
        }
        // Payloads without a byte would let a few bytes stand for any number of events.
        let hollow = self.left > Some(1) && self.run.length == 0;
        let read = if hollow { None } else { self.read() }.ok_or(MalformedSection);
        if read.is_err() {
            (self.input, self.left) = (ByteReader::new(&[]), Some(0));
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

    fn back(first: u64, bytes: &[u8]) -> std::vec::Vec<Record<'_>> {
        SectionReader::new(Position(first), bytes).map(Result::unwrap).collect()
    }

    #[test]
    fn events_come_back_and_a_known_stream_costs_a_byte_or_two() {
        let events = [event(1, 5, 40, b"one"), event(2, 1, 41, b""), event(1, 6, 42, b"two"), event(1, 7, 43, b"x")];
        let mut room = [0; 64];
        let mut out = SectionWriter::new(&mut room);
        assert!(events.iter().all(|event| out.push(event)));
        assert_eq!(out.bytes().len(), (4 + 3) + 4 + (1 + 3) + (2 + 1));
        assert_eq!(back(40, out.bytes()), events);
    }

    #[test]
    fn of_a_run_only_the_first_costs_more_than_its_payload() {
        let mut room = [0; 2048];
        let mut out = SectionWriter::new(&mut room);
        let events: std::vec::Vec<_> =
            (1..=50).map(|number| event(7, number, 100 + u64::from(number), b"12345678")).collect();
        assert!(events.iter().all(|event| out.push(event)));
        assert_eq!(out.bytes().len(), 5 + 50 * 8);
        assert_eq!(back(101, out.bytes()), events);
        // What follows gives the run its count, and starts another.
        let mut all = events;
        for (version, payload) in [(51, &b"123"[..]), (52, b"123"), (53, b""), (54, b""), (55, b"12345678")] {
            all.push(event(7, version, 100 + u64::from(version), payload));
            assert!(out.push(all.last().unwrap()));
            assert_eq!(back(101, out.bytes()), all);
        }
        assert_eq!(out.bytes().len(), 5 + 50 * 8 + 1 + (2 + 6 + 1) + 2 + 1 + (2 + 8));
    }

    #[test]
    fn more_streams_than_slots_and_versions_that_jump_are_introduced_again() {
        let mut room = [0; 1024];
        let mut out = SectionWriter::new(&mut room);
        let mut events = std::vec::Vec::new();
        for round in 1..=3_u32 {
            for stream in 0..20 {
                for more in 0..=u32::from(stream == 9) {
                    let version = round * 4 + more;
                    let schema = (stream % 3) as u8;
                    events.push(Record { schema, ..event(stream, version, 1 + events.len() as u64, b"p") });
                }
            }
        }
        assert!(events.iter().all(|event| out.push(event)));
        assert_eq!(back(1, out.bytes()), events);
    }

    #[test]
    fn whatever_the_events_they_come_back_and_fit_what_is_promised() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        const PAYLOAD: [u8; 40] = [0xA5; 40];
        for _ in 0..2_000 {
            let mut versions = [0_u32; 24];
            let streams = 1 + random(24);
            let first = 1 + random(5_000);
            let lengths = [1, 2, 40][random(3) as usize];
            let mut room = [0; 300];
            let mut out = SectionWriter::new(&mut room);
            let mut events = std::vec::Vec::new();
            loop {
                let stream = random(streams);
                versions[stream as usize] += 1 + u32::from(random(9) == 0) * 1_000_000;
                let payload = &PAYLOAD[..random(lengths) as usize];
                let next =
                    event(stream << (random(2) * 40), versions[stream as usize], first + events.len() as u64, payload);
                let before = out.bytes().len();
                if !out.push(&next) {
                    assert!(before + event_bytes_at_most(payload.len()) + 2 > 300);
                    assert_eq!(out.bytes().len(), before);
                    break;
                }
                events.push(next);
            }
            assert_eq!(back(first, out.bytes()), events);
        }
    }

    #[test]
    fn what_does_not_fit_leaves_the_section_as_it_was() {
        let mut room = [0; 9];
        let mut out = SectionWriter::new(&mut room);
        assert!(out.push(&event(1, 1, 1, b"abc")));
        assert!(!out.push(&event(1, 2, 2, b"abcd")));
        assert!(out.push(&event(1, 2, 2, b"")));
        assert_eq!(SectionReader::new(Position(1), out.bytes()).count(), 2);
        // A run of two that fills the room has no room for its count.
        let mut room = [0; 4 + 6];
        let mut out = SectionWriter::new(&mut room);
        assert!(out.push(&event(1, 1, 1, b"abc")) && out.push(&event(1, 2, 2, b"abc")));
        assert!(!out.push(&event(1, 3, 3, b"")));
        assert_eq!(SectionReader::new(Position(1), out.bytes()).count(), 2);
    }

    #[test]
    fn bytes_that_are_no_section_are_an_error_and_then_the_end() {
        let bad: [&[u8]; 8] = [
            &[0],                                        // a slot that was not introduced
            &[0x80],                                     // broken off
            &[0x81, 1, 2, 9, 1],                         // a payload broken off
            &[0xC1, 1, 2, 0],                            // empty payloads up to the end
            &[0xE1, 2, 1, 2, 1, 0, 0],                   // a count, and up to the end
            &[0xA1, 0, 1, 2, 1],                         // a count of none
            &[0x81, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0], // a version beyond all
            &[0x81, 1, 9, 0],                            // a version before the beginning
        ];
        for bytes in bad {
            let read: std::vec::Vec<_> = SectionReader::new(Position(1), bytes).collect();
            assert_eq!(read.last(), Some(&Err(MalformedSection)), "{bytes:?}");
        }
        // A count of empty payloads as large as you like: ends soon.
        let hollow = SectionReader::new(Position(1), &[0xA1, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 0]);
        assert!(hollow.take(10).count() < 5);
    }
}
