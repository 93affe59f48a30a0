//! The CRC-32 of frames and headers, seeded.

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use evenkeel_core::{Epoch, LogId};

/// The one table of a kilobyte that there is.
pub(super) static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// What the frames of one sector are seeded with, beside their place.
///
/// The CRC-32 of log, epoch and sequence: as only the last four bytes differ between two sectors of a life, two of
/// them never have the same seed.
pub(crate) fn sector_seed(log: LogId, epoch: Epoch, sequence: u32) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&log.0.to_le_bytes());
    digest.update(&epoch.0.to_le_bytes());
    digest.update(&sequence.to_le_bytes());
    digest.finalize()
}

/// A running CRC, with the table of the `crc` crate: but four bytes are taken in at once, which takes half the
/// instructions.
pub(crate) struct Checksum(u32);

impl Checksum {
    /// Of a header, which knows all that could seed it from its own bytes.
    pub(crate) fn unseeded() -> Self {
        Self(u32::MAX)
    }

    /// Of the frame at this offset of a sector with this seed.
    #[inline]
    pub(crate) fn of_frame(seed: u32, offset: u32) -> Self {
        Self(after(after(after(after(u32::MAX ^ seed ^ offset)))))
    }

    #[inline]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, behind)) = rest.split_first_chunk() {
            self.0 = after(after(after(after(self.0 ^ u32::from_le_bytes(*word)))));
            rest = behind;
        }
        self.0 = rest.iter().fold(self.0, |crc, byte| after(crc ^ u32::from(*byte)));
    }

    /// The CRC as it is stored: never all ones, which is what erased flash reads, and never all zeros.
    pub(crate) fn stored(self) -> u32 {
        match !self.0 {
            0 => 1,
            u32::MAX => u32::MAX.wrapping_sub(1),
            crc => crc,
        }
    }
}

/// The state after one byte more, which is in the lowest byte already.
#[inline]
fn after(crc: u32) -> u32 {
    let [table] = CRC.table();
    let [lowest, ..] = crc.to_le_bytes();
    table.get(usize::from(lowest)).map_or(0, |entry| entry ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_32_of_the_catalogue_in_pieces_of_any_length() {
        let bytes: Vec<u8> = (0..=70_u8).map(|byte| byte.wrapping_mul(151)).collect();
        for len in 0..bytes.len() {
            for cut in 0..=len {
                let mut crc = Checksum::unseeded();
                crc.update(&bytes[..cut]);
                crc.update(&bytes[cut..len]);
                assert_eq!(!crc.0, CRC.checksum(&bytes[..len]), "{cut} of {len}");
            }
        }
        let mut seeded = CRC.digest();
        seeded.update(&(0xC0FF_EE00_u32 ^ 0x1234).to_le_bytes());
        seeded.update(&bytes);
        let mut crc = Checksum::of_frame(0xC0FF_EE00, 0x1234);
        crc.update(&bytes);
        assert_eq!(crc.stored(), seeded.finalize());
    }
}
