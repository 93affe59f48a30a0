//! The flash below the log: windows of it in the caller's buffer, and frames that verify.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::{Held, Scratch};

use super::{NorFlash, face};
use crate::format::checksum::Checksum;
use crate::format::frame::{self, Claim, Frame, HEAD_BYTES, LEAST_BYTES};
use crate::region::{Region, align_up};
use crate::sabotage::{self, Break};

/// How often a failing read is tried in all.
const TRIES: u32 = 3;

/// A flash, the region of it that the log owns, and how often that region was changed.
///
/// Places are offsets in the region.
#[derive(Debug)]
pub(crate) struct Medium<F: NorFlash> {
    pub(crate) flash: F,
    pub(crate) region: Region,
    generation: u32,
    /// How often a buffer was filled from the flash.
    fillings: u32,
    /// The last error of a read that was taken for damage.
    pub(crate) unreadable: Option<F::Error>,
}

#[face]
impl<F: NorFlash> Medium<F> {
    pub(crate) fn new(flash: F, region: Region) -> Self {
        Self { flash, region, generation: 1, fillings: 0, unreadable: None }
    }

    /// At least `least` bytes of the region from `at` on, which all lie before `limit`; more where the buffer has
    /// room.
    ///
    /// What cannot be read, after some tries, reads as zeros: a read error is damage like any other, found by the
    /// CRC of the frame that it is in.
    pub(crate) async fn window<'s>(
        &mut self,
        at: u32,
        least: u32,
        limit: u32,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<&'s [u8], ReadError<F::Error>> {
        let held = scratch.held();
        let end = held.at.saturating_add(held.len);
        let holds = held.generation == self.generation && at >= held.at && at.saturating_add(least) <= end;
        if !holds {
            self.fill(at, least, limit, scratch).await?;
        }
        let held = scratch.held();
        let from = at.saturating_sub(held.at) as usize;
        Ok(scratch.bytes().get(from..held.len as usize).unwrap_or_default())
    }

    /// Where in the buffer the bytes `from..to` of the region stand, if it holds them.
    pub(crate) fn held(&self, from: u32, to: u32, scratch: &Scratch<'_>) -> Option<core::ops::Range<usize>> {
        let held = scratch.held();
        let end = held.at.saturating_add(held.len);
        let holds = held.generation == self.generation && from >= held.at && to <= end;
        holds.then(|| from.saturating_sub(held.at) as usize..to.saturating_sub(held.at) as usize)
    }

    async fn fill(
        &mut self,
        at: u32,
        least: u32,
        limit: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<F::Error>> {
        let unit = self.region.read;
        let start = at & !unit.wrapping_sub(1);
        let lent = u32::try_from(scratch.len()).unwrap_or(u32::MAX) & !unit.wrapping_sub(1);
        let len = lent.min(align_up(limit, unit).saturating_sub(start));
        let needed = align_up(at.saturating_sub(start).saturating_add(least), unit);
        if len < needed {
            return Err(ReadError::ScratchTooSmall { needed });
        }
        let generation = self.generation;
        self.fillings = self.fillings.wrapping_add(1);
        let bytes = scratch.bytes_mut().get_mut(..len as usize).unwrap_or_default();
        self.read_with_tries(start, bytes).await;
        scratch.set_held(Held { at: start, len, generation });
        Ok(())
    }

    async fn read_with_tries(&mut self, at: u32, bytes: &mut [u8]) {
        if self.read(at, bytes).await {
            return;
        }
        // Some of it may be readable: only the words that are not must count as damaged.
        let step = self.region.read.max(self.region.word);
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let to_next = step.saturating_sub(at & step.wrapping_sub(1)) as usize;
            let (piece, later) = rest.split_at_mut(to_next.min(rest.len()));
            if !self.read(at, piece).await {
                piece.fill(0);
            }
            at = at.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
            rest = later;
        }
    }

    async fn read(&mut self, at: u32, bytes: &mut [u8]) -> bool {
        for _ in 0..TRIES {
            match self.flash.read(self.region.start.saturating_add(at), bytes).await {
                Ok(()) => return true,
                Err(error) => self.unreadable = Some(error),
            }
        }
        false
    }

    /// Programs whole words, none of which has been programmed since its erase.
    pub(crate) async fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.generation = self.generation.wrapping_add(1);
        self.flash.write(self.region.start.saturating_add(at), bytes).await
    }

    /// Erases the sector that starts at `at`.
    pub(crate) async fn erase(&mut self, at: u32) -> Result<(), F::Error> {
        self.generation = self.generation.wrapping_add(1);
        let from = self.region.start.saturating_add(at);
        self.flash.erase(from, from.saturating_add(self.region.sector)).await
    }

    /// The frame at this offset of the sector at `sector`, if it verifies.
    pub(crate) async fn frame(
        &mut self,
        sector: u32,
        seed: u32,
        at: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        let Some(claim) = self.claim(sector, at, scratch).await? else { return Ok(None) };
        let limit = sector.saturating_add(self.region.sector);
        let len = claim.end.saturating_sub(at);
        if len <= self.most_held(sector.saturating_add(at), scratch) {
            self.window(sector.saturating_add(at), len, limit, scratch).await?;
        }
        let Some(claim) = self.claim(sector, at, scratch).await? else { return Ok(None) };
        let filling = self.fillings;
        let mut crc = Checksum::of_frame(seed, at);
        let mut from = at.saturating_add(4);
        let (mut ordinal, mut trailing) = (0, 0_u32);
        while from < claim.end {
            let bytes = self.window(sector.saturating_add(from), 1, limit, scratch).await?;
            let bytes = bytes.get(..bytes.len().min(claim.end.saturating_sub(from) as usize)).unwrap_or_default();
            if let Some(byte) = claim.body.checked_sub(from).and_then(|at| bytes.get(at as usize)) {
                ordinal = *byte;
            }
            crc.update(bytes);
            let erased = frame::trailing(bytes);
            trailing = if erased as usize == bytes.len() { trailing.saturating_add(erased) } else { erased };
            from = from.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        let next = at.saturating_add(frame::padded(&self.region, len, trailing));
        let frame = Frame { at, entries: claim.body.saturating_add(1), end: claim.end, next, ordinal, filling };
        Ok((crc.stored() == claim.crc || sabotage::is_on(Break::Checksum)).then_some(frame))
    }

    /// How many bytes from `at` on the buffer can hold at once.
    pub(crate) fn most_held(&self, at: u32, scratch: &Scratch<'_>) -> u32 {
        let unit = self.region.read;
        let before = at & unit.wrapping_sub(1);
        let lent = u32::try_from(scratch.len()).unwrap_or(u32::MAX) & !unit.wrapping_sub(1);
        lent.saturating_sub(before)
    }

    /// Whether what the buffer holds of a frame is what was verified, or verifies now.
    ///
    /// A frame that was being written when power failed may read differently every time: so its entries are taken
    /// from the very bytes that were verified. Of a frame that is larger than the buffer that cannot be had.
    pub(crate) async fn still_verified(
        &mut self,
        sector: u32,
        seed: u32,
        frame: &mut Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let len = frame.end.saturating_sub(frame.at);
        let held = self.held(sector.saturating_add(frame.at), sector.saturating_add(frame.end), scratch).is_some();
        if (frame.filling == self.fillings && held) || len as usize > scratch.len() {
            return Ok(true);
        }
        let again = self.frame(sector, seed, frame.at, scratch).await?;
        Ok(match again {
            Some(again) if again.end == frame.end => {
                *frame = again;
                true
            }
            _ => false,
        })
    }

    /// What the bytes at this offset claim to be.
    pub(crate) async fn claim(
        &mut self,
        sector: u32,
        at: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Claim>, ReadError<F::Error>> {
        let left = self.region.sector.saturating_sub(at);
        if left < LEAST_BYTES {
            return Ok(None);
        }
        let limit = sector.saturating_add(self.region.sector);
        let head = u32::try_from(HEAD_BYTES).unwrap_or(8).min(left);
        let bytes = self.window(sector.saturating_add(at), head, limit, scratch).await?;
        Ok(Claim::read(bytes, at, self.region.sector))
    }
}
