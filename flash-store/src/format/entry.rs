//! What stands in a frame.
//!
//! ```text
//! entry    = tag u8, fields, length varint (only if the tag's top bit is set), payload
//! ```
//!
//! The top bit of a tag says that more entries follow: then the length of a payload is told, else it is all that is
//! left of the frame. Entries without a payload never tell a length.
//!
//! | tag | entry | fields | payload |
//! | --- | --- | --- | --- |
//! | 0x00..=0x5F | event of the stream with this slot | version u8 (lowest byte) | event |
//! | 0x60 + f | event that introduces a stream | slot u8, identity | event |
//! | 0x64 + f | event of a stream without slot | identity | event |
//! | 0x68 + f | snapshot | identity | state |
//! | 0x6C | tracker | tracker u8, position varint | |
//! | 0x6D | OPEN: the second part of the sector's header | base, oldest, back, boot, tick: varints | |
//! | 0x6E | RESUME: goes on after an unclean stop | frontier varint | |
//! | 0x6F | CLOSE: a clean stop | | |
//! | 0x70 | ERASE: a sector is going to be erased | ahead varint | |
//! | 0x71 | LOST: events overwritten that were still asked for | first varint, count varint | |
//! | 0x72 | DIGEST of the streams of the sector before | | Bloom filter of 1, 2, 4 or 8 bytes |
//! | 0x73 | LEFT: the sector before was given up | frontier varint | |
//! | 0x74 | LOCAL: the event whose entry follows, with a tag of its own, has no position | | |
//! | 0x75 | TRAIL: where a stream appeared last that is not in the sector before | stream varint, back varint | |
//! | 0x76 | SNAPSHOTS: DIGEST of the streams of which snapshots stand in the sector before | | as of DIGEST |
//!
//! `identity = kind u8, schema u8 (if f has bit 0; else 0), stream varint, version varint, back varint (if f has bit 1;
//! else 1)`; `back` of a stream's first entry in a sector tells how many sectors back to look for the entries before it,
//! 0 if there are none.

use evenkeel_core::bytes::{ByteReader, ByteWriter, varint_len};
use evenkeel_core::{Kind, Moment, Position, StreamId, Tracker, Version};

/// How many streams of a sector can have a slot.
pub(crate) const SLOTS: u8 = 0x60;
const INTRODUCTION: u8 = 0x60;
const INLINE: u8 = 0x64;
const SNAPSHOT: u8 = 0x68;
const TRACK: u8 = 0x6C;
const OPEN: u8 = 0x6D;
const RESUME: u8 = 0x6E;
const CLOSE: u8 = 0x6F;
const ERASE: u8 = 0x70;
const LOST: u8 = 0x71;
const DIGEST: u8 = 0x72;
const LEFT: u8 = 0x73;
/// Stands before the tag of an event.
const LOCAL: u8 = 0x74;
const TRAIL: u8 = 0x75;
const SNAPSHOTS: u8 = 0x76;
const MORE: u8 = 0x80;

/// Of the tag of an entry with an identity: it tells a schema that is not 0.
const TELLS_SCHEMA: u8 = 1;
/// Of the tag of an entry with an identity: it tells how far back, which is not 1.
const TELLS_BACK: u8 = 2;
const TELLS: u8 = TELLS_SCHEMA | TELLS_BACK;

/// Whether this is the tag of an entry.
pub(crate) fn is_tag(tag: u8) -> bool {
    tag & !MORE <= SNAPSHOTS
}

/// The most bytes of an entry before its payload.
pub(crate) const HEAD_BYTES: usize = 32;

/// A stream as an entry names it in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) schema: u8,
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    pub(crate) back: u32,
}

/// An entry without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    Event {
        slot: u8,
        version_low: u8,
    },
    Introduction {
        slot: u8,
        named: Named,
    },
    Inline {
        named: Named,
    },
    Snapshot {
        named: Named,
    },
    Track {
        tracker: Tracker,
        position: Position,
    },
    Open {
        base: Position,
        oldest: u32,
        /// How many sequence numbers before this one the sector stands that was the newest before; 0: there was none.
        back: u32,
        moment: Moment,
    },
    Resume {
        frontier: u32,
    },
    Close,
    /// The sector that is to be opened so many after this one is going to be erased for it.
    Erase {
        ahead: u32,
    },
    /// So many events from this position on were overwritten though they were still asked for.
    Lost {
        first: Position,
        count: u64,
    },
    /// A Bloom filter of the streams of the sector that was the newest before this one.
    Digest,
    /// The sector that was the newest before this one was given up after an unclean stop: it ends at this frontier.
    Left {
        frontier: u32,
    },
    /// A stream that is not in the sector that was the newest before this one: how many sectors back it appeared last.
    Trail {
        stream: StreamId,
        back: u32,
    },
    /// A Bloom filter of the streams of which snapshots stand in the sector that was the newest before this one.
    Snapshots,
}

/// An entry's head as found: with how many bytes it has and how many its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) head: Head,
    /// It is an event without a position.
    pub(crate) local: bool,
    pub(crate) head_len: u32,
    pub(crate) payload_len: u32,
}

impl Head {
    /// Whether this is an event, and so has a position if it is not local.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Self::Event { .. } | Self::Introduction { .. } | Self::Inline { .. })
    }

    /// Whether it stands behind OPEN and the trackers in the header of a sector, before what is carried over.
    pub(crate) fn is_of_header(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Digest | Self::Snapshots | Self::Left { .. } | Self::Trail { .. })
    }

    fn has_payload(&self) -> bool {
        self.is_event() || matches!(self, Self::Snapshot { .. } | Self::Digest | Self::Snapshots)
    }

    /// How many bytes [`write`](Self::write) takes.
    pub(crate) fn len(&self, more: Option<usize>) -> usize {
        let fields = match self {
            Self::Event { .. } => 1,
            Self::Introduction { named, .. } => named.len().saturating_add(1),
            Self::Inline { named } | Self::Snapshot { named } => named.len(),
            Self::Track { position, .. } => varint_len(position.0).saturating_add(1),
            Self::Open { base, oldest, back, moment } => {
                [base.0, u64::from(*oldest), u64::from(*back), u64::from(moment.boot), moment.tick]
                    .iter()
                    .fold(0_usize, |sum, number| sum.saturating_add(varint_len(*number)))
            }
            Self::Resume { frontier } | Self::Left { frontier } => varint_len(u64::from(*frontier)),
            Self::Erase { ahead } => varint_len(u64::from(*ahead)),
            Self::Lost { first, count } => varint_len(first.0).saturating_add(varint_len(*count)),
            Self::Trail { stream, back } => varint_len(stream.0).saturating_add(varint_len(u64::from(*back))),
            Self::Digest | Self::Snapshots | Self::Close => 0,
        };
        let length = match more {
            Some(payload) if self.has_payload() => varint_len(payload as u64),
            _ => 0,
        };
        fields.saturating_add(length).saturating_add(1)
    }

    /// How many bytes [`write_as`](Self::write_as) takes.
    pub(crate) fn len_as(&self, local: bool, more: Option<usize>) -> usize {
        self.len(more).saturating_add(usize::from(local))
    }

    /// As [`write`](Self::write), of an event that has no position if it is `local`.
    pub(crate) fn write_as(&self, local: bool, more: Option<usize>, out: &mut ByteWriter<'_>) -> Option<()> {
        if local {
            out.u8(LOCAL)?;
        }
        self.write(more, out)
    }

    /// Writes the head of an entry; `more` is the length of its payload if other entries follow it.
    pub(crate) fn write(&self, more: Option<usize>, out: &mut ByteWriter<'_>) -> Option<()> {
        let flag = if more.is_some() { MORE } else { 0 };
        match self {
            Self::Event { slot, version_low } => out.slice(&[slot | flag, *version_low])?,
            Self::Introduction { slot, named } => {
                out.slice(&[INTRODUCTION | named.tells() | flag, *slot])?;
                named.write(out)?;
            }
            Self::Inline { named } => {
                out.u8(INLINE | named.tells() | flag)?;
                named.write(out)?;
            }
            Self::Snapshot { named } => {
                out.u8(SNAPSHOT | named.tells() | flag)?;
                named.write(out)?;
            }
            Self::Track { tracker, position } => {
                out.slice(&[TRACK | flag, tracker.0])?;
                out.varint(position.0)?;
            }
            Self::Open { base, oldest, back, moment } => {
                out.u8(OPEN | flag)?;
                out.varint(base.0)?;
                out.varint(u64::from(*oldest))?;
                out.varint(u64::from(*back))?;
                out.varint(u64::from(moment.boot))?;
                out.varint(moment.tick)?;
            }
            Self::Resume { frontier } => {
                out.u8(RESUME | flag)?;
                out.varint(u64::from(*frontier))?;
            }
            Self::Close => out.u8(CLOSE | flag)?,
            Self::Erase { ahead } => {
                out.u8(ERASE | flag)?;
                out.varint(u64::from(*ahead))?;
            }
            Self::Lost { first, count } => {
                out.u8(LOST | flag)?;
                out.varint(first.0)?;
                out.varint(*count)?;
            }
            Self::Digest => out.u8(DIGEST | flag)?,
            Self::Snapshots => out.u8(SNAPSHOTS | flag)?,
            Self::Trail { stream, back } => {
                out.u8(TRAIL | flag)?;
                out.varint(stream.0)?;
                out.varint(u64::from(*back))?;
            }
            Self::Left { frontier } => {
                out.u8(LEFT | flag)?;
                out.varint(u64::from(*frontier))?;
            }
        }
        match more {
            Some(payload) if self.has_payload() => out.varint(payload as u64),
            _ => Some(()),
        }
    }

    /// Reads the head of the entry at the start of `bytes`, of which `left` belong to the frame.
    pub(crate) fn parse(bytes: &[u8], left: u32) -> Option<Parsed> {
        let bytes = bytes.get(..bytes.len().min(usize::try_from(left).ok()?))?;
        let mut input = ByteReader::new(bytes);
        let first = input.u8()?;
        let local = first == LOCAL;
        let tag = if local { input.u8()? } else { first };
        let (more, tag) = (tag & MORE != 0, tag & !MORE);
        let head = match tag {
            slot if slot < SLOTS => Self::Event { slot, version_low: input.u8()? },
            tag if tag & !TELLS == INTRODUCTION => {
                Self::Introduction { slot: input.u8()?, named: Named::read(tag, &mut input)? }
            }
            tag if tag & !TELLS == INLINE => Self::Inline { named: Named::read(tag, &mut input)? },
            tag if tag & !TELLS == SNAPSHOT => Self::Snapshot { named: Named::read(tag, &mut input)? },
            TRACK => Self::Track { tracker: Tracker(input.u8()?), position: Position(input.varint()?) },
            OPEN => Self::Open {
                base: Position(input.varint()?),
                oldest: u32::try_from(input.varint()?).ok()?,
                back: u32::try_from(input.varint()?).ok()?,
                moment: Moment { boot: u32::try_from(input.varint()?).ok()?, tick: input.varint()? },
            },
            RESUME => Self::Resume { frontier: u32::try_from(input.varint()?).ok()? },
            CLOSE => Self::Close,
            ERASE => Self::Erase { ahead: u32::try_from(input.varint()?).ok()? },
            LOST => Self::Lost { first: Position(input.varint()?), count: input.varint()? },
            LEFT => Self::Left { frontier: u32::try_from(input.varint()?).ok()? },
            TRAIL => Self::Trail { stream: StreamId(input.varint()?), back: u32::try_from(input.varint()?).ok()? },
            DIGEST => Self::Digest,
            SNAPSHOTS => Self::Snapshots,
            _ => return None,
        };
        if local && !head.is_event() {
            return None;
        }
        let told = match (head.has_payload(), more) {
            (true, true) => Some(u32::try_from(input.varint()?).ok()?),
            (true, false) => None,
            (false, _) => Some(0),
        };
        let head_len = u32::try_from(bytes.len().saturating_sub(input.rest().len())).ok()?;
        let rest = left.checked_sub(head_len)?;
        let payload_len = told.unwrap_or(rest);
        (payload_len <= rest).then_some(Parsed { head, local, head_len, payload_len })
    }
}

impl Named {
    /// Which fields the tag says that there are.
    fn tells(&self) -> u8 {
        let schema = if self.schema == 0 { 0 } else { TELLS_SCHEMA };
        let back = if self.back == 1 { 0 } else { TELLS_BACK };
        schema | back
    }

    fn len(&self) -> usize {
        let back = if self.back == 1 { 0 } else { varint_len(u64::from(self.back)) };
        usize::from(self.schema != 0)
            .saturating_add(1)
            .saturating_add(varint_len(self.stream.0))
            .saturating_add(varint_len(u64::from(self.version.0)))
            .saturating_add(back)
    }

    fn write(&self, out: &mut ByteWriter<'_>) -> Option<()> {
        out.u8(self.kind.0)?;
        if self.schema != 0 {
            out.u8(self.schema)?;
        }
        out.varint(self.stream.0)?;
        out.varint(u64::from(self.version.0))?;
        match self.back {
            1 => Some(()),
            back => out.varint(u64::from(back)),
        }
    }

    fn read(tag: u8, input: &mut ByteReader<'_>) -> Option<Self> {
        let kind = Kind(input.u8()?);
        let schema = if tag & TELLS_SCHEMA == 0 { 0 } else { input.u8()? };
        let stream = StreamId(input.varint()?);
        let version = Version(u32::try_from(input.varint()?).ok()?);
        let back = if tag & TELLS_BACK == 0 { 1 } else { u32::try_from(input.varint()?).ok()? };
        Some(Self { kind, schema, stream, version, back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Head> {
        let named =
            Named { kind: Kind(9), schema: 2, stream: StreamId(u64::MAX), version: Version(u32::MAX), back: 4096 };
        vec![
            Head::Event { slot: 95, version_low: 255 },
            Head::Introduction { slot: 95, named },
            Head::Introduction { slot: 0, named: Named { back: 1, ..named } },
            Head::Introduction { slot: 0, named: Named { schema: 0, ..named } },
            Head::Inline { named },
            Head::Inline { named: Named { schema: 0, back: 1, ..named } },
            Head::Snapshot { named },
            Head::Snapshot { named: Named { schema: 0, back: 0, ..named } },
            Head::Erase { ahead: 4096 },
            Head::Lost { first: Position(u64::MAX), count: u64::MAX },
            Head::Digest,
            Head::Left { frontier: 131_072 },
            Head::Trail { stream: StreamId(u64::MAX), back: 4095 },
            Head::Snapshots,
            Head::Track { tracker: Tracker(255), position: Position(u64::MAX) },
            Head::Open { base: Position(1), oldest: 64, back: 4096, moment: Moment { boot: u32::MAX, tick: u64::MAX } },
            Head::Resume { frontier: 131_072 },
            Head::Close,
        ]
    }

    #[test]
    fn heads_come_back_and_their_length_is_known_beforehand() {
        for head in all() {
            for more in [None, Some(0), Some(300)] {
                let mut bytes = [0; 64];
                let mut out = ByteWriter::new(&mut bytes);
                head.write(more, &mut out).unwrap();
                let len = out.len();
                assert_eq!(len, head.len(more), "{head:?}");
                assert!(len <= HEAD_BYTES + 3, "{head:?} takes {len}");
                let left = len as u32 + if head.has_payload() { 300 } else { 0 };
                let parsed = Head::parse(&bytes, left).unwrap();
                assert_eq!((parsed.head, parsed.head_len), (head, len as u32));
                let payload = if head.has_payload() { more.unwrap_or(300) } else { 0 };
                assert_eq!(parsed.payload_len, payload as u32, "{head:?}");
                assert_eq!(Head::parse(&bytes[..len - 1], left), None, "{head:?}");
            }
        }
    }

    #[test]
    fn a_local_event_takes_one_byte_more_and_nothing_else_can_be_local() {
        for head in all() {
            for more in [None, Some(7)] {
                let mut bytes = [0; 64];
                let mut out = ByteWriter::new(&mut bytes);
                head.write_as(true, more, &mut out).unwrap();
                let len = out.len();
                assert_eq!((len, len), (head.len_as(true, more), head.len(more) + 1), "{head:?}");
                let parsed = Head::parse(&bytes, len as u32 + 7);
                if head.is_event() {
                    assert!(len <= HEAD_BYTES, "{head:?} takes {len}");
                    let parsed = parsed.unwrap();
                    assert_eq!((parsed.head, parsed.local, parsed.head_len), (head, true, len as u32));
                } else {
                    assert_eq!(parsed, None, "{head:?}");
                }
                assert_eq!(Head::parse(&bytes[..1], 1), None);
                assert!(!Head::parse(&bytes[1..], len as u32 + 6).unwrap().local);
            }
        }
    }

    #[test]
    fn a_payload_longer_than_the_frame_is_refused() {
        let mut bytes = [0; 16];
        let mut out = ByteWriter::new(&mut bytes);
        Head::Event { slot: 1, version_low: 7 }.write(Some(5), &mut out).unwrap();
        let len = out.len() as u32;
        assert!(Head::parse(&bytes, len + 5).is_some());
        assert_eq!(Head::parse(&bytes, len + 4), None);
    }
}
