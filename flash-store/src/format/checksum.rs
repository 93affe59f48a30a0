//! The CRC-32 of frames and headers, seeded.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use evenkeel_core::{Epoch, LogId};

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

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

/// A running CRC.
pub(crate) struct Checksum(Digest<'static, u32, Table<1>>);

impl Checksum {
    /// Of a header, which knows all that could seed it from its own bytes.
    pub(crate) fn unseeded() -> Self {
        Self(CRC.digest())
    }

    /// Of the frame at this offset of a sector with this seed.
    pub(crate) fn of_frame(seed: u32, offset: u32) -> Self {
        let mut digest = CRC.digest();
        digest.update(&(seed ^ offset).to_le_bytes());
        Self(digest)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC as it is stored: never all ones, which is what erased flash reads, and never all zeros.
    pub(crate) fn stored(self) -> u32 {
        match self.0.finalize() {
            0 => 1,
            u32::MAX => u32::MAX.wrapping_sub(1),
            crc => crc,
        }
    }
}
