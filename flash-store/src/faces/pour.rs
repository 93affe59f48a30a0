//! Writing a frame that stands nowhere in memory as a whole: pieces made here and pieces copied within the flash.

use evenkeel_core::bytes::copy;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::scratch::Scratch;

use super::medium::Medium;
use super::{NorFlash, face};
use crate::format::checksum::Checksum;
use crate::format::frame::{padded, trailing};

/// Bytes written at once; whole words of every size.
const CHUNK: usize = 64;
/// The largest word, for padding behind a chunk.
const WORD: usize = 32;

/// A frame poured out piece by piece, twice: first into its checksum, then, headed by that, into the flash.
///
/// It takes several writes, and nothing of it counts before the last, as the CRC in front is over all of it.
pub(crate) struct Pour {
    chunk: [u8; CHUNK + WORD],
    len: usize,
    /// Where in the region the chunk goes; behind the last one, where the next frame goes.
    pub(crate) place: u32,
    /// The checksum, in the first pass.
    crc: Option<Checksum>,
    /// How many bytes the frame is still to get; what is poured beyond is spilt.
    left: usize,
    /// How many bytes of FF were poured last.
    trailing: u32,
    spilt: bool,
}

impl Pour {
    /// The first pass: of the frame at this offset of a sector with this seed, that has `len` bytes behind its CRC.
    pub(crate) fn into_checksum(seed: u32, offset: u32, len: usize) -> Self {
        let crc = Some(Checksum::of_frame(seed, offset));
        Self { chunk: [0; CHUNK + WORD], len: 0, place: 0, crc, left: len, trailing: 0, spilt: false }
    }

    /// The second pass: to this place in the region, `len` bytes behind the checksum.
    pub(crate) fn into_flash(place: u32, crc: u32, len: usize) -> Self {
        let mut chunk = [0; CHUNK + WORD];
        if let Some(front) = chunk.first_chunk_mut() {
            *front = crc.to_le_bytes();
        }
        Self { chunk, len: 4, place, crc: None, left: len, trailing: 0, spilt: false }
    }

    /// Whether just as many bytes were poured as were announced: a source that rests on weak cells may read as more
    /// entries the one time, and fewer the next.
    pub(crate) fn is_exact(&self) -> bool {
        self.left == 0 && !self.spilt
    }

    /// The checksum, at the end of the first pass.
    pub(crate) fn checksum(self) -> u32 {
        self.crc.map_or(0, Checksum::stored)
    }
}

#[face]
impl<F: NorFlash> Medium<F> {
    /// Pours bytes.
    pub(crate) async fn pour(&mut self, pour: &mut Pour, bytes: &[u8]) -> Result<(), AppendError<F::Error>> {
        let taken = bytes.len().min(pour.left);
        pour.spilt |= taken < bytes.len();
        pour.left = pour.left.saturating_sub(taken);
        let bytes = bytes.get(..taken).unwrap_or_default();
        let erased = trailing(bytes);
        pour.trailing = if erased as usize == taken { pour.trailing.saturating_add(erased) } else { erased };
        if let Some(crc) = &mut pour.crc {
            crc.update(bytes);
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = pour.chunk.get_mut(pour.len..CHUNK).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            if let Some(room) = room.get_mut(..now.len()) {
                copy(now, room);
            }
            pour.len = pour.len.saturating_add(now.len());
            rest = later;
            if pour.len >= CHUNK {
                self.write_chunk(pour, pour.len).await?;
            }
        }
        Ok(())
    }

    /// Pours the bytes `from..to` of the sector that starts at `sector`.
    pub(crate) async fn pour_range(
        &mut self,
        pour: &mut Pour,
        sector: u32,
        from: u32,
        to: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), AppendError<F::Error>> {
        let limit = sector.saturating_add(self.region.sector);
        let mut at = from;
        while at < to {
            let mut piece = [0; CHUNK];
            let taken = {
                let bytes = self.window(sector.saturating_add(at), 1, limit, scratch).await?;
                let len = bytes.len().min(to.saturating_sub(at) as usize).min(CHUNK);
                match (piece.get_mut(..len), bytes.get(..len)) {
                    (Some(piece), Some(bytes)) => copy(bytes, piece),
                    _ => return Err(AppendError::from(ReadError::NotMounted)),
                }
                len
            };
            self.pour(pour, piece.get(..taken).unwrap_or_default()).await?;
            at = at.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// Writes what is left in the chunk, with its padding.
    pub(crate) async fn drain(&mut self, pour: &mut Pour) -> Result<(), AppendError<F::Error>> {
        if pour.crc.is_some() {
            return Ok(());
        }
        let len = u32::try_from(pour.len).unwrap_or_default();
        // A chunk is whole words: what counts of the whole frame, counts of its last chunk.
        let padded = padded(&self.region, len, pour.trailing) as usize;
        self.write_chunk(pour, padded).await
    }

    async fn write_chunk(&mut self, pour: &mut Pour, len: usize) -> Result<(), AppendError<F::Error>> {
        if len == 0 {
            return Ok(());
        }
        if let Some(padding) = pour.chunk.get_mut(pour.len..len) {
            padding.fill(0);
        }
        let bytes = pour.chunk;
        self.write(pour.place, bytes.get(..len).unwrap_or_default()).await.map_err(AppendError::Storage)?;
        pour.place = pour.place.saturating_add(u32::try_from(len).unwrap_or_default());
        pour.len = 0;
        Ok(())
    }
}
