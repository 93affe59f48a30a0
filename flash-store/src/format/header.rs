//! The first part of a sector's header: written when its erase has completed.

use evenkeel_core::bytes::{ByteReader, ByteWriter};
use evenkeel_core::{Epoch, LogId};

use super::checksum::Checksum;
use crate::region::Region;

/// The format that this code writes.
pub(crate) const VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"EK";

/// Bytes of a prepared header before it is padded to whole words.
pub(crate) const PREPARED_BYTES: usize = 28;

/// Which log a sector belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Identity {
    /// Which log of the device.
    pub log: LogId,
    /// Which life of that log.
    pub epoch: Epoch,
}

/// What is written when a sector has been erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) identity: Identity,
    pub(crate) sequence: u32,
    pub(crate) erases: u32,
}

/// The geometry that a header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StoredGeometry {
    /// Bytes of a sector.
    pub sector_bytes: u32,
    /// Number of sectors.
    pub sectors: u32,
    /// Bytes of a word.
    pub word_bytes: u32,
    /// Bytes of a program page.
    pub program_page_bytes: u32,
}

/// What stands where a prepared header should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Prepared(Prepared),
    OtherGeometry(StoredGeometry),
    OtherVersion(u8),
    Blank,
    Unknown,
}

impl Prepared {
    /// The header, padded with FF to whole words of every size.
    pub(crate) fn encode(&self, region: &Region) -> [u8; 32] {
        let mut bytes = [0xFF; 32];
        let mut out = ByteWriter::new(&mut bytes);
        let _ = self.write(region, &mut out);
        let mut crc = Checksum::unseeded();
        crc.update(out.written());
        let _ = out.u32(crc.stored());
        bytes
    }

    fn write(&self, region: &Region, out: &mut ByteWriter<'_>) -> Option<()> {
        let log2 = |bytes: u32| u8::try_from(bytes.trailing_zeros()).unwrap_or(0);
        out.slice(&MAGIC)?;
        out.u8(VERSION)?;
        out.u8(log2(region.sector))?;
        out.u8(log2(region.word) << 4 | log2(region.page) & 0x0F)?;
        // 4096 sectors are stored as they are: there are never 65536.
        out.u16(u16::try_from(region.sectors).unwrap_or(0))?;
        out.u16(self.identity.log.0)?;
        out.u64(self.identity.epoch.0)?;
        out.u32(self.sequence)?;
        let [a, b, c, _] = self.erases.min(0xFF_FFFF).to_le_bytes();
        out.slice(&[a, b, c])
    }

    pub(crate) fn decode(region: &Region, bytes: &[u8]) -> Found {
        if bytes.iter().all(|byte| *byte == 0xFF) {
            return Found::Blank;
        }
        read(region, bytes).unwrap_or(Found::Unknown)
    }
}

impl Found {
    /// The header, if it is one of this geometry.
    pub(crate) fn prepared(self) -> Option<Prepared> {
        if let Self::Prepared(header) = self { Some(header) } else { None }
    }
}

fn read(region: &Region, bytes: &[u8]) -> Option<Found> {
    let mut input = ByteReader::new(bytes);
    if input.slice(2)? != MAGIC {
        return None;
    }
    let version = input.u8()?;
    let (sector, sizes, sectors) = (input.u8()?, input.u8()?, input.u16()?);
    let identity = Identity { log: LogId(input.u16()?), epoch: Epoch(input.u64()?) };
    let sequence = input.u32()?;
    let erases = input.slice(3)?;
    let covered = bytes.len().saturating_sub(input.rest().len());
    let mut crc = Checksum::unseeded();
    crc.update(bytes.get(..covered)?);
    if input.u32()? != crc.stored() {
        return None;
    }
    if version != VERSION {
        return Some(Found::OtherVersion(version));
    }
    let erases = erases.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let power = |log2: u8| 1_u32.checked_shl(u32::from(log2)).unwrap_or(0);
    let geometry = StoredGeometry {
        sector_bytes: power(sector),
        sectors: u32::from(sectors),
        word_bytes: power(sizes >> 4),
        program_page_bytes: power(sizes & 0x0F),
    };
    if geometry != StoredGeometry::of(region) {
        return Some(Found::OtherGeometry(geometry));
    }
    Some(Found::Prepared(Prepared { identity, sequence, erases }))
}

impl StoredGeometry {
    pub(crate) fn of(region: &Region) -> Self {
        Self {
            sector_bytes: region.sector,
            sectors: region.sectors,
            word_bytes: region.word,
            program_page_bytes: region.page,
        }
    }
}
