//! Finding regions in a dump: by the first parts of their sectors' headers.

use crate::format::header::{Found, Identity, PREPARED_BYTES, Prepared, StoredGeometry};
use crate::region::Region;

/// The first part of a sector's header, found somewhere in a dump. Its CRC is right, and its geometry can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundHeader {
    /// At which byte of the dump it stands: there the sector starts.
    pub at: u64,
    /// The geometry of the region.
    pub geometry: StoredGeometry,
    /// Whose sector it is.
    pub identity: Identity,
    /// The sector's sequence number.
    pub sequence: u32,
    /// How often the sector had been erased, as far as is known.
    pub erases: u32,
}

impl FoundHeader {
    /// The index of the sector in its region.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.sequence.checked_rem(self.geometry.sectors).unwrap_or(0)
    }

    /// At which byte of the dump the region starts; negative if its beginning is not in the dump.
    #[must_use]
    pub fn region_start(&self) -> i64 {
        let before = i64::from(self.index()).saturating_mul(i64::from(self.geometry.sector_bytes));
        i64::try_from(self.at).unwrap_or(i64::MAX).saturating_sub(before)
    }
}

/// The sectors' headers in a dump, in the order in which they stand there, at whatever byte.
///
/// Headers that name the same geometry and the same [`region_start`](FoundHeader::region_start) are of one region. A
/// sector that was never used, or whose header is damaged, is not found.
///
/// ```
/// # use evenkeel_core::{Epoch, LogId};
/// # use evenkeel_flash_store::{FlashLog, Identity, Region, Retention, image};
/// # use evenkeel_host_sim::flash::Nrf52840Flash;
/// let flash = Nrf52840Flash::blank(16);
/// let region = Region::new::<Nrf52840Flash>(0x4000..0x8000);
/// let identity = Identity { log: LogId(0), epoch: Epoch::new(1, 2) };
/// FlashLog::<_>::new(flash.clone(), region, Retention::Refuse).format(identity, &mut [0; 256]).unwrap();
///
/// let dump = flash.image();
/// let header = image::headers(&dump).next().unwrap();
/// assert_eq!((header.region_start(), header.geometry.sectors, header.identity), (0x4000, 4, identity));
/// assert_eq!(image::headers(&dump[0x1001..]).next().unwrap().region_start(), 0x2FFF);
/// ```
#[must_use]
pub fn headers(dump: &[u8]) -> Headers<'_> {
    Headers { dump, at: 0 }
}

/// What [`headers`] answers.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    dump: &'a [u8],
    at: usize,
}

impl Iterator for Headers<'_> {
    type Item = FoundHeader;

    fn next(&mut self) -> Option<FoundHeader> {
        loop {
            let rest = self.dump.get(self.at..)?;
            let first = rest.iter().position(|byte| *byte == b'E')?;
            let at = self.at.saturating_add(first);
            self.at = at.saturating_add(1);
            let Some(bytes) = self.dump.get(at..at.saturating_add(PREPARED_BYTES)) else { continue };
            if let Some(found) = read(bytes, at) {
                return Some(found);
            }
        }
    }
}

/// No region has this geometry, so that every header is found to be of another one.
const NOWHERE: Region = Region { start: 0, sectors: 0, sector: 0, word: 0, read: 1, page: 0 };

fn read(bytes: &[u8], at: usize) -> Option<FoundHeader> {
    let Found::OtherGeometry(geometry) = Prepared::decode(&NOWHERE, bytes) else { return None };
    let region = Region::of_stored(&geometry).ok()?;
    let Found::Prepared(Prepared { identity, sequence, erases }) = Prepared::decode(&region, bytes) else {
        return None;
    };
    Some(FoundHeader { at: u64::try_from(at).ok()?, geometry, identity, sequence, erases })
}
