//! Where on the flash a log lives, and what its geometry is.

use core::fmt;
use core::ops::Range;

use embedded_storage::nor_flash::NorFlash;

/// The part of a flash that a log owns, with the geometry of that flash.
///
/// Best made in a constant, so that a range that does not suit the flash fails the build:
///
/// ```
/// use evenkeel_flash_store::Region;
/// use evenkeel_host_sim::flash::Nrf52840Flash;
///
/// const REGION: Region = Region::new::<Nrf52840Flash>(0x1000..0x41000);
/// assert_eq!((REGION.sectors(), REGION.sector_bytes()), (64, 4096));
/// ```
///
/// ```compile_fail
/// # use evenkeel_flash_store::Region;
/// # use evenkeel_host_sim::flash::Nrf52840Flash;
/// const REGION: Region = Region::new::<Nrf52840Flash>(0x1000..0x41001); // not whole sectors
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region {
    pub(crate) start: u32,
    pub(crate) sectors: u32,
    pub(crate) sector: u32,
    pub(crate) word: u32,
    pub(crate) read: u32,
    pub(crate) page: u32,
}

/// Why a range of a flash cannot hold a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GeometryError {
    /// The range does not start and end at sectors, or is empty or reversed.
    NotWholeSectors,
    /// There are fewer than 2 sectors or more than 4096.
    SectorCount,
    /// A sector is not a power of two from 256 B to 128 KiB.
    SectorSize,
    /// A word is not a power of two from 1 to 32 bytes.
    WordSize,
    /// What one read must be a multiple of is not a power of two from 1 to 32 bytes.
    ReadSize,
    /// The program page is no power of two, smaller than a word, or more than a quarter of a sector.
    ProgramPage,
    /// The range reaches beyond the end of the flash.
    BeyondCapacity,
}

impl Region {
    /// The log at this byte range of the flash, checked when the program is built.
    ///
    /// The program page (see [`program_page`](Self::program_page)) is taken to be 256 B, or a quarter of a sector
    /// where that is less: right for every flash, but wasteful after a power cut on flash that programs word by
    /// word.
    ///
    /// # Panics
    /// If the range does not suit the flash; in a constant that fails the build. The fallible twin is
    /// [`checked`](Self::checked).
    #[must_use]
    pub const fn new<F: NorFlash>(range: Range<u32>) -> Self {
        Self::or_fail(Self::checked::<F>(range))
    }

    /// The log at this byte range of the flash, or why it cannot be there.
    pub const fn checked<F: NorFlash>(range: Range<u32>) -> Result<Self, GeometryError> {
        Self::of_sizes(range, F::ERASE_SIZE, F::WRITE_SIZE, F::READ_SIZE)
    }

    /// As [`new`](Self::new), for a flash with an asynchronous driver.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[cfg(feature = "async")]
    #[must_use]
    pub const fn new_async<F: embedded_storage_async::nor_flash::NorFlash>(range: Range<u32>) -> Self {
        Self::or_fail(Self::checked_async::<F>(range))
    }

    /// As [`checked`](Self::checked), for a flash with an asynchronous driver.
    #[cfg(feature = "async")]
    pub const fn checked_async<F: embedded_storage_async::nor_flash::NorFlash>(
        range: Range<u32>,
    ) -> Result<Self, GeometryError> {
        Self::of_sizes(range, F::ERASE_SIZE, F::WRITE_SIZE, F::READ_SIZE)
    }

    #[allow(clippy::panic)] // a failed build, as long as it is called in a constant
    const fn or_fail(checked: Result<Self, GeometryError>) -> Self {
        match checked {
            Ok(region) => region,
            Err(_) => panic!("this range of the flash cannot hold a log: see Region::checked for why"),
        }
    }

    const fn of_sizes(range: Range<u32>, sector: usize, word: usize, read: usize) -> Result<Self, GeometryError> {
        if !sector.is_power_of_two() || sector < 256 || sector > 128 * 1024 {
            return Err(GeometryError::SectorSize);
        }
        if !word.is_power_of_two() || word > 32 {
            return Err(GeometryError::WordSize);
        }
        if !read.is_power_of_two() || read > 32 {
            return Err(GeometryError::ReadSize);
        }
        let (sector, word, read) = (sector as u32, word as u32, read as u32);
        let inside = sector.wrapping_sub(1);
        if range.start >= range.end || range.start & inside != 0 || range.end & inside != 0 {
            return Err(GeometryError::NotWholeSectors);
        }
        let sectors = range.end.wrapping_sub(range.start) >> sector.trailing_zeros();
        if sectors < 2 || sectors > 4096 {
            return Err(GeometryError::SectorCount);
        }
        let page = if sector >> 2 < 256 { sector >> 2 } else { 256 };
        Ok(Self { start: range.start, sectors, sector, word, read, page })
    }

    /// Says how many bytes one program command of the chip may touch: its page on SPI NOR (256), one word on
    /// flash that is programmed word by word. After an unclean stop the log goes on at the next such boundary.
    ///
    /// The program page is part of the geometry that is stored with the log: it cannot be changed without
    /// formatting.
    pub const fn program_page(self, bytes: u32) -> Result<Self, GeometryError> {
        if !bytes.is_power_of_two() || bytes < self.word || bytes > self.sector >> 2 {
            return Err(GeometryError::ProgramPage);
        }
        Ok(Self { page: bytes, ..self })
    }

    /// The log on flash that is programmed word by word, as the flash inside most microcontrollers is.
    #[must_use]
    pub const fn word_by_word(self) -> Self {
        Self { page: self.word, ..self }
    }

    /// The region that a header tells of, from address 0 on, in a memory that can be read byte by byte.
    #[cfg(feature = "image")]
    pub(crate) fn of_stored(stored: &crate::StoredGeometry) -> Result<Self, GeometryError> {
        let crate::StoredGeometry { sector_bytes, sectors, word_bytes, program_page_bytes } = *stored;
        if !(2..=4096).contains(&sectors) {
            return Err(GeometryError::SectorCount);
        }
        let end = sectors.saturating_mul(sector_bytes);
        Self::of_sizes(0..end, sector_bytes as usize, word_bytes as usize, 1)?.program_page(program_page_bytes)
    }

    /// How many sectors there are.
    #[must_use]
    pub const fn sectors(&self) -> u32 {
        self.sectors
    }

    /// How many bytes one erase erases.
    #[must_use]
    pub const fn sector_bytes(&self) -> u32 {
        self.sector
    }

    /// How many bytes are programmed at once, at least.
    #[must_use]
    pub const fn word_bytes(&self) -> u32 {
        self.word
    }

    /// The byte range on the flash.
    #[must_use]
    pub const fn range(&self) -> Range<u32> {
        self.start..self.start.saturating_add(self.sectors.saturating_mul(self.sector))
    }

    /// `bytes` rounded up to whole words.
    pub(crate) const fn words(&self, bytes: u32) -> u32 {
        align_up(bytes, self.word)
    }

    /// How far behind the frontier a new start goes, at least: four words, 16 bytes. What was being written there when power
    /// failed, and does not show, is less than that, or in the same page: a word, or a checksum that looks erased.
    pub(crate) const fn leap(&self) -> u32 {
        if self.word < 4 { 16 } else { self.word << 2 }
    }

    /// New starts stand behind multiples of this, a page at least: so that those behind one frontier stand at one place,
    /// whatever of what was being written there shows today.
    pub(crate) const fn grid(&self) -> u32 {
        if self.leap() > self.page { self.leap() } else { self.page }
    }

    /// So many erased bytes are the end of a sector's frames: more than a new start can be behind what shows, if a page
    /// of that, or the mark of another start in between, has come to read as erased.
    pub(crate) const fn quiet(&self) -> u32 {
        // A large word may hold all that shows of a long frame.
        let hidden = if self.word < 8 { 8 } else { 256 };
        let starts = self.grid() << 1;
        self.leap()
            .saturating_add(starts)
            .saturating_add(self.page)
            .saturating_add(self.word << 3)
            .saturating_add(hidden)
    }

    /// Whether a sector of the reserve has room for moves of trackers beside the snapshots, also after some power cuts.
    pub(crate) const fn is_roomy(&self) -> bool {
        // In a ring of two there is only ever one sector to go on in.
        let least = if self.sectors > 2 { 512 } else { 1024 };
        self.sector >= least && self.sector >> 4 >= self.grid()
    }

    /// Whether the header of a sector tells where to look for streams that are not in the sector before it: where it is
    /// small beside the sector.
    pub(crate) const fn tells_trails(&self) -> bool {
        self.sector >= 2048
    }

    /// How many bytes the marks of a new start take.
    pub(crate) const fn marks(&self) -> u32 {
        self.word << 1
    }

    /// Which sector of the region holds this sequence number.
    pub(crate) const fn index_of(&self, sequence: u32) -> u32 {
        match sequence.checked_rem(self.sectors) {
            Some(index) => index,
            None => 0,
        }
    }

    /// Where in the region the sector of this sequence number starts.
    pub(crate) const fn sector_at(&self, sequence: u32) -> u32 {
        self.index_of(sequence).saturating_mul(self.sector)
    }
}

/// `value` rounded up to a multiple of a power of two.
pub(crate) const fn align_up(value: u32, to: u32) -> u32 {
    let mask = to.wrapping_sub(1);
    value.saturating_add(mask) & !mask
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWholeSectors => "the range is not made of whole sectors",
            Self::SectorCount => "there must be 2 to 4096 sectors",
            Self::SectorSize => "a sector must be a power of two from 256 B to 128 KiB",
            Self::WordSize => "a word must be a power of two from 1 to 32 bytes",
            Self::ReadSize => "the read size must be a power of two from 1 to 32 bytes",
            Self::ProgramPage => "a program page must be a power of two from a word to a quarter of a sector",
            Self::BeyondCapacity => "the range reaches beyond the end of the flash",
        })
    }
}

impl core::error::Error for GeometryError {}
