//! What source and sink say to each other, byte by byte.
//!
//! A frame is what one datagram holds; on a byte stream the link adapter marks where frames end. Every message is
//! absolute in (epoch, position), so a frame may be lost, repeated or overtaken by another.
//!
//! ```text
//! frame     = type u8, body, check u32
//! type      = version (upper 3 bits, 1) and message (lower 5 bits)
//!
//! HELLO     = 0x20  request u32, log varint
//! HEAD      = 0x21  request u32, device u64, log varint, epoch u64, first varint, next varint, cursor varint
//! READ      = 0x22  request u32, epoch u64, after varint, credit varint, limit varint, flags u8, [commit varint]
//! SECTION   = 0x23  epoch tag u16, first varint, count varint, events (core's section encoding)
//! GAP       = 0x24  epoch tag u16, first varint, last varint, reason u8
//! COMMIT    = 0x25  epoch u64, position varint
//! COMMITTED = 0x26  epoch u64, cursor varint
//! ERR       = 0x2B  request u32, epoch u64, code u8, detail varint
//! ```
//!
//! Numbers are little-endian; varints are LEB128, as in [`evenkeel_core::bytes`]. Messages 0x27 to 0x2A and 0x2C are
//! kept for CUSTODY, SCHEMA_GET, SCHEMA, BUSY and NOTIFY.
//!
//! - `request` is a number that the sink chooses anew for each HELLO and READ and that the answer echoes, so that an
//!   answer from long ago is told from the newest.
//! - `after` is the sink's cursor: the positions wanted come after it. `credit` is how many SECTION and GAP frames the
//!   source may send; `limit` is the most bytes a frame may have, 0 for no limit.
//! - `flags` bit 0: `commit` follows, with the meaning of a COMMIT. The other bits are 0.
//! - `reason` is the number of a [`Loss`], `code` that of a [`Refusal`], whose one number is `detail`.
//!
//! **Check**: CRC-32C (Castagnoli: polynomial 0x1EDC6F41, initial value and final xor all ones, reflected) of
//! the *address* and all bytes of the frame before the check. The address is not sent; both ends know it. It is
//!
//! ```text
//! HELLO, HEAD                           nothing
//! READ, COMMIT, COMMITTED, ERR          device u64, log u16
//! SECTION, GAP                          device u64, log u16, epoch u64
//! ```
//!
//! so that a frame of another device, another log or another life of the log is dropped like a damaged one, at no cost
//! in bytes: a commit that strays to another device on the same bus frees nothing there.
//!
//! **Extension**: a reader ignores what stands between the fields it knows and the check, except in SECTION, whose
//! events reach up to it. A change that this does not allow takes the next version number.
//!
//! **Cost**: a SECTION takes 7 bytes, its first position (1 to 3 bytes below two million) and its count (1 byte below
//! 128); core's section encoding takes 2 bytes an event and, at small numbers, 4 or 5 more to introduce a stream.
//! Events of 16 bytes of one stream, around the thousandth of a log: 12 in a frame of 244 bytes with 3.25 bytes of
//! overhead each; 56 in 1,024 bytes with 2.26; 2 in 51 bytes with 9.5.

use crc::{CRC_32_ISCSI, Crc};
use evenkeel_core::bytes::{ByteReader, ByteWriter};
use evenkeel_core::{Epoch, LogId, Position};

use crate::{Loss, Piece, SourceIdentity};

#[cfg(test)]
mod tests;

/// The version of this format, as the upper three bits of a frame say it.
pub const VERSION: u8 = 1;

/// The bytes of the check at the end of a frame.
pub const CHECK_BYTES: usize = 4;

/// The most bytes that any message but SECTION takes: a frame buffer of this size is never too small for them.
pub const CONTROL_BYTES_AT_MOST: usize = 64;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

const HELLO: u8 = 0;
const HEAD: u8 = 1;
const READ: u8 = 2;
const SECTION: u8 = 3;
const GAP: u8 = 4;
const COMMIT: u8 = 5;
const COMMITTED: u8 = 6;
const ERR: u8 = 11;

const FLAG_COMMIT: u8 = 1;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Message<'b> {
    /// Sink to source: who are you, and how far does your log reach?
    Hello {
        /// To be echoed.
        request: u32,
        /// The log that is asked for.
        log: LogId,
    },
    /// Source to sink: what there is.
    Head(Head),
    /// Sink to source: send what comes after a position. It is also the retry.
    Read(Read),
    /// Source to sink: events, or the news that some are gone.
    Piece(Piece<'b>),
    /// Sink to source: everything up to this position is durable at the sink.
    Commit {
        /// The epoch that the position belongs to.
        epoch: Epoch,
        /// The sink's cursor.
        position: Position,
    },
    /// Source to sink: the commit that is now durable at the source.
    Committed {
        /// The epoch that the cursor belongs to.
        epoch: Epoch,
        /// The stored cursor; it may be beyond the one that was sent.
        cursor: Position,
    },
    /// Source to sink: this cannot be done.
    Err {
        /// The request that it answers; that of the last READ for a COMMIT.
        request: u32,
        /// The epoch of the source's log.
        epoch: Epoch,
        /// Why.
        refusal: Refusal,
    },
}

/// What a source says about its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// The request that it answers.
    pub request: u32,
    /// Whose log it is.
    pub identity: SourceIdentity,
    /// The oldest position still held.
    pub first: Position,
    /// The position that the next event will get.
    pub next: Position,
    /// Up to where a sink has committed.
    pub cursor: Position,
}

/// A request for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Read {
    /// To be echoed.
    pub request: u32,
    /// The epoch that the positions belong to.
    pub epoch: Epoch,
    /// The sink's cursor.
    pub after: Position,
    /// How many SECTION and GAP frames may be sent.
    pub credit: u32,
    /// The most bytes that a frame may have; 0: no limit.
    pub limit: u32,
    /// Everything up to this position is durable at the sink.
    pub commit: Option<Position>,
}

/// Why a source does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The message is of another epoch than the log.
    UnknownEpoch,
    /// The message names a position beyond the end of the log: the sink knows of more than there is.
    Ahead {
        /// The position that the next event will get.
        next: Position,
    },
    /// The message is not understood, such as one of a newer version.
    Malformed,
    /// The next event does not fit a frame of the size that is allowed.
    FrameTooSmall {
        /// The bytes needed, at most.
        needed: u64,
    },
    /// A reason that this version does not know.
    Other(u8),
}

impl Refusal {
    const fn code(self) -> u8 {
        match self {
            Self::UnknownEpoch => 1,
            Self::Ahead { .. } => 2,
            Self::Malformed => 3,
            Self::FrameTooSmall { .. } => 4,
            Self::Other(code) => code,
        }
    }

    const fn detail(self) -> u64 {
        match self {
            Self::Ahead { next } => next.0,
            Self::FrameTooSmall { needed } => needed,
            _ => 0,
        }
    }

    const fn from_code(code: u8, detail: u64) -> Self {
        match code {
            1 => Self::UnknownEpoch,
            2 => Self::Ahead { next: Position(detail) },
            3 => Self::Malformed,
            4 => Self::FrameTooSmall { needed: detail },
            other => Self::Other(other),
        }
    }
}

/// Why bytes are no message for the reader. Damage and strangers look alike: drop the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WireError {
    /// The check fails: the frame is damaged, or of another device, log or epoch.
    Check,
    /// A section or gap of another epoch, by its tag.
    OtherEpoch,
    /// A message that can only be read by one who knows whose log it is about.
    Unaddressed,
    /// A format version or message that is not known.
    Unknown,
    /// The check holds and yet the fields are nonsense.
    Malformed,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Check => "the frame is damaged or meant for somebody else",
            Self::OtherEpoch => "the frame belongs to another epoch of the log",
            Self::Unaddressed => "the frame belongs to a log that is not known yet",
            Self::Unknown => "the frame is of an unknown version or type",
            Self::Malformed => "the fields of the frame make no sense",
        })
    }
}

impl core::error::Error for WireError {}

/// The lent buffer cannot hold the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameTooSmall;

impl core::fmt::Display for FrameTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the frame buffer is too small")
    }
}

impl core::error::Error for FrameTooSmall {}

/// How much of the identity the check of a message covers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    None,
    Log,
    Epoch,
}

const fn address_of(message: u8) -> Address {
    match message {
        HELLO | HEAD => Address::None,
        SECTION | GAP => Address::Epoch,
        _ => Address::Log,
    }
}

const fn type_byte(message: u8) -> u8 {
    (VERSION << 5) | message
}

fn check(identity: &SourceIdentity, address: Address, bytes: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    if address != Address::None {
        digest.update(&identity.device.to_le_bytes());
        digest.update(&identity.log.0.to_le_bytes());
    }
    if address == Address::Epoch {
        digest.update(&identity.epoch.0.to_le_bytes());
    }
    digest.update(bytes);
    digest.finalize()
}

impl<'b> Message<'b> {
    /// Reads a frame. `identity` says whose log the reader deals with; HELLO and HEAD can be read without.
    ///
    /// That the events of a section decode is not checked here.
    pub fn parse(frame: &'b [u8], identity: Option<&SourceIdentity>) -> Result<Self, WireError> {
        let end = frame.len().checked_sub(CHECK_BYTES).ok_or(WireError::Check)?;
        let (bytes, given) = frame.split_at_checked(end).ok_or(WireError::Check)?;
        let given = ByteReader::new(given).u32().ok_or(WireError::Check)?;
        let mut input = ByteReader::new(bytes);
        let first = input.u8().ok_or(WireError::Check)?;
        let message = first & 0x1F;
        let address = address_of(message);
        let known = match identity {
            None if address != Address::None => return Err(WireError::Unaddressed),
            None => SourceIdentity { device: 0, log: LogId(0), epoch: Epoch(0) },
            Some(identity) => *identity,
        };
        if check(&known, address, bytes) != given {
            let tag = ByteReader::new(input.rest()).u16();
            let other = address == Address::Epoch && tag.is_some_and(|tag| tag != known.epoch_tag());
            return Err(if other { WireError::OtherEpoch } else { WireError::Check });
        }
        if first >> 5 != VERSION {
            return Err(WireError::Unknown);
        }
        match message {
            HELLO => hello(&mut input),
            HEAD => head(&mut input),
            READ => read(&mut input),
            SECTION => section(&mut input),
            GAP => gap(&mut input),
            COMMIT => commit(&mut input),
            COMMITTED => committed(&mut input),
            ERR => err(&mut input),
            _ => return Err(WireError::Unknown),
        }
        .ok_or(WireError::Malformed)
    }

    /// Writes the frame to the front of `out` and answers its length; `None` if it does not fit.
    #[must_use]
    pub fn write(&self, identity: &SourceIdentity, out: &mut [u8]) -> Option<usize> {
        let mut body = ByteWriter::new(out);
        let message = self.write_body(identity, &mut body)?;
        let check = check(identity, address_of(message), body.written());
        body.u32(check)?;
        Some(body.len())
    }

    fn write_body(&self, identity: &SourceIdentity, out: &mut ByteWriter<'_>) -> Option<u8> {
        let message = match self {
            Self::Hello { .. } => HELLO,
            Self::Head(_) => HEAD,
            Self::Read(_) => READ,
            Self::Piece(Piece::Events { .. }) => SECTION,
            Self::Piece(Piece::Gap { .. }) => GAP,
            Self::Commit { .. } => COMMIT,
            Self::Committed { .. } => COMMITTED,
            Self::Err { .. } => ERR,
        };
        out.u8(type_byte(message))?;
        match self {
            Self::Hello { request, log } => {
                out.u32(*request)?;
                out.varint(u64::from(log.0))?;
            }
            Self::Head(head) => {
                out.u32(head.request)?;
                out.u64(head.identity.device)?;
                out.varint(u64::from(head.identity.log.0))?;
                out.u64(head.identity.epoch.0)?;
                out.varint(head.first.0)?;
                out.varint(head.next.0)?;
                out.varint(head.cursor.0)?;
            }
            Self::Read(read) => {
                out.u32(read.request)?;
                out.u64(read.epoch.0)?;
                out.varint(read.after.0)?;
                out.varint(u64::from(read.credit))?;
                out.varint(u64::from(read.limit))?;
                out.u8(if read.commit.is_some() { FLAG_COMMIT } else { 0 })?;
                if let Some(commit) = read.commit {
                    out.varint(commit.0)?;
                }
            }
            Self::Piece(piece) => {
                out.u16(identity.epoch_tag())?;
                out.varint(piece.first().0)?;
                match piece {
                    Piece::Events { count, bytes, .. } => {
                        out.varint(u64::from(*count))?;
                        out.slice(bytes)?;
                    }
                    Piece::Gap { last, reason, .. } => {
                        out.varint(last.0)?;
                        out.u8(reason.code())?;
                    }
                }
            }
            Self::Commit { epoch, position } | Self::Committed { epoch, cursor: position } => {
                out.u64(epoch.0)?;
                out.varint(position.0)?;
            }
            Self::Err { request, epoch, refusal } => {
                out.u32(*request)?;
                out.u64(epoch.0)?;
                out.u8(refusal.code())?;
                out.varint(refusal.detail())?;
            }
        }
        Some(message)
    }
}

/// Writes a SECTION whose events `fill` encodes in place: it is given the room for them and answers how many events
/// it wrote and how many bytes they take. Answers the length of the frame; `None` if there is no room for any.
pub(crate) fn write_section<E>(
    identity: &SourceIdentity,
    first: Position,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Result<(u32, usize), E>,
) -> Result<Option<usize>, E> {
    let Some(end) = out.len().checked_sub(CHECK_BYTES) else { return Ok(None) };
    let mut header = ByteWriter::new(out);
    let begun = header
        .u8(type_byte(SECTION))
        .and_then(|()| header.u16(identity.epoch_tag()))
        .and_then(|()| header.varint(first.0));
    let at = header.len();
    // An event takes two bytes at least: that bounds the count, and so the bytes that its varint takes.
    let kept = evenkeel_core::bytes::varint_len((end.saturating_sub(at) / 2) as u64);
    let events_at = at.saturating_add(kept);
    let (Some(()), Some(room)) = (begun, out.get_mut(events_at..end)) else { return Ok(None) };
    let (count, len) = fill(room)?;
    let finished = (|| {
        let mut rest = ByteWriter::new(out.get_mut(at..)?);
        rest.varint(u64::from(count))?;
        let events_now = at.checked_add(rest.len())?;
        let written = events_now.checked_add(len)?;
        move_down(out, events_at, events_now, len);
        let check = check(identity, Address::Epoch, out.get(..written)?);
        ByteWriter::new(out.get_mut(written..)?).u32(check)?;
        written.checked_add(CHECK_BYTES)
    })();
    Ok(finished)
}

/// Moves `len` bytes at `from` down to `to`.
fn move_down(bytes: &mut [u8], from: usize, to: usize, len: usize) {
    if from == to {
        return;
    }
    for offset in 0..len {
        let byte = bytes.get(from.saturating_add(offset)).copied();
        if let (Some(byte), Some(place)) = (byte, bytes.get_mut(to.saturating_add(offset))) {
            *place = byte;
        }
    }
}

fn log_id(input: &mut ByteReader<'_>) -> Option<LogId> {
    Some(LogId(u16::try_from(input.varint()?).ok()?))
}

fn position(input: &mut ByteReader<'_>) -> Option<Position> {
    input.varint().map(Position)
}

fn count(input: &mut ByteReader<'_>) -> Option<u32> {
    u32::try_from(input.varint()?).ok()
}

fn hello<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    Some(Message::Hello { request: input.u32()?, log: log_id(input)? })
}

fn head<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let request = input.u32()?;
    let identity = SourceIdentity { device: input.u64()?, log: log_id(input)?, epoch: Epoch(input.u64()?) };
    let (first, next, cursor) = (position(input)?, position(input)?, position(input)?);
    let sound = first.0 >= 1 && first <= next && cursor < next;
    sound.then_some(Message::Head(Head { request, identity, first, next, cursor }))
}

fn read<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (request, epoch) = (input.u32()?, Epoch(input.u64()?));
    let (after, credit, limit) = (position(input)?, count(input)?, count(input)?);
    let commit = match input.u8()? & FLAG_COMMIT {
        0 => None,
        _ => Some(position(input)?),
    };
    Some(Message::Read(Read { request, epoch, after, credit, limit, commit }))
}

fn section<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    input.u16()?;
    let (first, count) = (position(input)?, count(input)?);
    let end = first.0.checked_add(u64::from(count))?;
    let sound = first.0 >= 1 && end > first.0;
    sound.then_some(Message::Piece(Piece::Events { first, count, bytes: input.rest() }))
}

fn gap<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    input.u16()?;
    let (first, last, reason) = (position(input)?, position(input)?, Loss::from_code(input.u8()?));
    let sound = first.0 >= 1 && first <= last && last.0 < u64::MAX;
    sound.then_some(Message::Piece(Piece::Gap { first, last, reason }))
}

fn commit<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    Some(Message::Commit { epoch: Epoch(input.u64()?), position: position(input)? })
}

fn committed<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    Some(Message::Committed { epoch: Epoch(input.u64()?), cursor: position(input)? })
}

fn err<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (request, epoch) = (input.u32()?, Epoch(input.u64()?));
    let (code, detail) = (input.u8()?, input.varint()?);
    Some(Message::Err { request, epoch, refusal: Refusal::from_code(code, detail) })
}
