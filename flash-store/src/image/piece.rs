//! What a sector is made of, as it is reported.

use evenkeel_core::{Kind, Moment, Position, StreamId, Tracker, Version};

/// A piece of a sector. Offsets are in bytes from the sector's first.
///
/// The pieces of a sector come in the order of their offsets and leave nothing out; the entries of a frame follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece<'a> {
    /// The first part of the sector's header, which verifies.
    Header(Stretch),
    /// A frame whose CRC is right. It is followed by its entries.
    Frame(FrameReport),
    /// An entry of the frame before.
    Entry(EntryReport<'a>),
    /// Events are missing here.
    Gap {
        /// The position of the first of them.
        first: Position,
        /// How many there are.
        events: u32,
    },
    /// The two words that are programmed before a new start.
    Marks(Stretch),
    /// What is written and verifies as nothing.
    Leftover(Leftover<'a>),
    /// What reads as erased.
    Erased(Stretch),
    /// What is not in the image.
    Missing(Stretch),
}

/// A stretch of bytes in a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Where it starts.
    pub at: u32,
    /// How many bytes it has.
    pub len: u32,
}

impl Stretch {
    /// The offset right behind it.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.at.saturating_add(self.len)
    }
}

/// A frame whose CRC is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameReport {
    /// Where it starts.
    pub at: u32,
    /// Its bytes, padding to whole words not counted.
    pub len: u32,
    /// The CRC as stored.
    pub crc: u32,
    /// The lowest byte of the number of events in the sector before it.
    pub ordinal: u8,
    /// Whether a mount reads it: if not, it was given up after an unclean stop, and repeated behind.
    pub counts: bool,
}

/// An entry of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryReport<'a> {
    /// Where it starts.
    pub at: u32,
    /// What it is.
    pub kind: EntryKind,
    /// Of an event that counts and is not local: its position.
    pub position: Option<Position>,
    /// Whether a mount reads it: not in a frame that was given up, nor what is repeated and was read already.
    pub counts: bool,
    /// The event or the state as it was encoded; of [`EntryKind::Unknown`] all that is left of the frame. At the end of
    /// an image that was cut off it may be shorter: what is missing reads as zeros, and if it was zeros the frame
    /// verifies.
    pub payload: &'a [u8],
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// An event.
    Event {
        /// Whose event; `None` if the entry that gave its stream a slot cannot be read.
        stream: Option<NamedStream>,
        /// The slot by which the sector names its stream; `None`: in full.
        slot: Option<u8>,
        /// Whether it gives its stream this slot.
        introduces: bool,
        /// It has a version in its stream and no position.
        local: bool,
    },
    /// A snapshot.
    Snapshot {
        /// Whose state, and of which version.
        stream: NamedStream,
    },
    /// A tracker was moved.
    Track {
        /// Which one.
        tracker: Tracker,
        /// Up to where it has seen events.
        position: Position,
    },
    /// The second part of the sector's header.
    Open {
        /// The position of the sector's first event.
        base: Position,
        /// The sequence number of the oldest sector in use.
        oldest: u32,
        /// How many sequence numbers before this one the sector stands that was the newest before; 0: there was none.
        back: u32,
        /// When the sector was opened.
        moment: Moment,
    },
    /// The log went on here after an unclean stop; the rest of the frame is the last one before, once more.
    Resume {
        /// The offset at which the next frame would have started.
        frontier: u32,
    },
    /// A clean stop.
    Close,
    /// A sector is going to be erased.
    Erase {
        /// How many sectors after this one it is to be opened.
        ahead: u32,
    },
    /// Events were overwritten though they were still asked for.
    Lost {
        /// The position of the first of them.
        first: Position,
        /// How many there are.
        count: u64,
    },
    /// A Bloom filter of the streams of the sector that was the newest before.
    Digest,
    /// The sector that was the newest before was given up after an unclean stop.
    Left {
        /// Where in that sector it ends.
        frontier: u32,
    },
    /// Where a stream appeared last that is not in the sector that was the newest before.
    Trail {
        /// Which stream.
        stream: StreamId,
        /// How many sequence numbers before this one that sector stands.
        back: u32,
    },
    /// A Bloom filter of the streams of which snapshots stand in the sector that was the newest before.
    Snapshots,
    /// Of a kind that this version does not know: the reading of the frame ends here.
    Unknown,
}

/// The stream of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedStream {
    /// Which one.
    pub stream: StreamId,
    /// What it is a stream of.
    pub kind: Kind,
    /// The schema number of snapshots of this kind when the entry was written.
    pub schema: u8,
    /// The stream's version after the event, or that of the snapshot.
    pub version: Version,
}

/// What is written and verifies as nothing.
///
/// In each sector at most as many bytes are checked in looking for frames between those that count as 64 sectors
/// have. Frames behind that are taken for a leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leftover<'a> {
    /// Where it starts.
    pub at: u32,
    /// Up to its last byte that does not read as erased, in whole words.
    pub len: u32,
    /// How many bytes a frame here would have, if its first bytes can be believed.
    pub claims: Option<u32>,
    /// How it came about, as far as can be told.
    pub cause: Cause,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// How bytes that verify as nothing came about, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Power failed during a write: what follows says so, or it is at the end of the sector. Nothing that was ever
    /// acknowledged is lost by it.
    Interrupted,
    /// Something that was written whole cannot be read any more.
    Damaged,
    /// The sector is not read by a mount.
    NotRead,
}
