//! The outside of a frame.

use core::num::NonZeroU32;

use evenkeel_core::bytes::{ByteReader, ByteWriter, varint_len};

use super::checksum::Checksum;
use crate::region::Region;

/// The most bytes of a frame before its first entry: CRC, length, ordinal.
pub(crate) const HEAD_BYTES: usize = 8;
/// The fewest bytes that a frame can have: CRC, length, ordinal, a tag.
pub(crate) const LEAST_BYTES: u32 = 7;

/// A frame that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where in its sector it starts.
    pub(crate) at: u32,
    /// Where its first entry starts.
    pub(crate) entries: u32,
    /// Where its last entry ends.
    pub(crate) end: u32,
    /// Where the next frame is expected: behind its padding.
    pub(crate) next: u32,
    /// The lowest byte of the ordinal of its first event.
    pub(crate) ordinal: u8,
    /// Which filling of the buffer it was verified in: what is read again may not be what was verified.
    pub(crate) filling: u32,
}

/// A frame that was verified at its place, in less memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    at: u32,
    len: NonZeroU32,
    filling: u32,
    /// How far behind its start its first entry is.
    entries: u8,
    padding: u8,
    ordinal: u8,
}

impl Kept {
    /// `None` of a frame that cannot be: one of no length, or with more before its entries, or behind them, than any.
    pub(crate) fn of(frame: &Frame) -> Option<Self> {
        let Frame { at, entries, end, next, ordinal, filling } = *frame;
        Some(Self {
            at,
            len: NonZeroU32::new(end.checked_sub(at)?)?,
            filling,
            entries: u8::try_from(entries.checked_sub(at)?).ok()?,
            padding: u8::try_from(next.checked_sub(end)?).ok()?,
            ordinal,
        })
    }

    pub(crate) fn frame(&self) -> Frame {
        let Self { at, len, filling, entries, padding, ordinal } = *self;
        let end = at.saturating_add(len.get());
        let (entries, next) = (at.saturating_add(u32::from(entries)), end.saturating_add(u32::from(padding)));
        Frame { at, entries, end, next, ordinal, filling }
    }
}

/// What the first bytes of a frame claim; nothing of it is to be trusted before the CRC has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) crc: u32,
    /// Where the bytes that the length counts start: at the ordinal.
    pub(crate) body: u32,
    pub(crate) end: u32,
}

impl Claim {
    /// Reads the claim of a frame at `at`, which cannot reach beyond `limit`.
    pub(crate) fn read(bytes: &[u8], at: u32, limit: u32) -> Option<Self> {
        let mut input = ByteReader::new(bytes);
        let crc = input.u32()?;
        if crc == 0 || crc == u32::MAX {
            return None;
        }
        let before = input.rest().len();
        let length = u32::try_from(input.varint()?).ok()?;
        let taken = u32::try_from(before.saturating_sub(input.rest().len())).ok()?;
        let body = at.saturating_add(4).saturating_add(taken);
        let end = body.checked_add(length)?;
        (length >= 2 && end <= limit).then_some(Self { crc, body, end })
    }
}

/// How many bytes a frame takes whose entries take `entries`, before it is padded to words.
#[inline]
pub(crate) fn frame_len(entries: usize) -> usize {
    let body = entries.saturating_add(1);
    body.saturating_add(varint_len(body as u64)).saturating_add(4)
}

/// Writes what stands before the entries: a place for the CRC, the length, the ordinal.
#[inline]
pub(crate) fn write_head(entries: usize, ordinal: u8, out: &mut ByteWriter<'_>) -> Option<()> {
    out.u32(0)?;
    out.varint(entries.saturating_add(1) as u64)?;
    out.u8(ordinal)
}

/// How many bytes a frame of `len` bytes takes with its padding, that ends in so many bytes of FF.
///
/// The last word programmed never looks erased: if it did, a frame could read whole although power failed while an
/// earlier word of it was programmed, which may then read differently later. So a frame that fills its words and of
/// which the last is all FF gets one word more.
#[inline]
pub(crate) const fn padded(region: &Region, len: u32, trailing: u32) -> u32 {
    let words = region.words(len);
    if words == len && trailing >= region.word { words.saturating_add(region.word) } else { words }
}

/// How many bytes of FF there are at the end.
#[inline]
pub(crate) fn trailing(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.iter().rev().take_while(|byte| **byte == 0xFF).count()).unwrap_or(u32::MAX)
}

/// Puts the CRC into a frame of which all other bytes are written, and pads it with zeros.
///
/// Answers how many bytes are to be programmed; `None` if `bytes` has no room for the padding.
pub(crate) fn finish(region: &Region, seed: u32, at: u32, len: usize, bytes: &mut [u8]) -> Option<usize> {
    let body = bytes.get(4..len)?;
    let padded = padded(region, u32::try_from(len).ok()?, trailing(body)) as usize;
    let mut crc = Checksum::of_frame(seed, at);
    crc.update(body);
    bytes.get_mut(len..padded)?.iter_mut().for_each(|byte| *byte = 0);
    *bytes.first_chunk_mut()? = crc.stored().to_le_bytes();
    Some(padded)
}
