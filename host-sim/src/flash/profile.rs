//! Geometry, times and endurance of real chips.
//!
//! Times are what the data sheet calls typical, or the maximum where it gives only that. They make virtual time and
//! wear comparable between designs; they are no promise about a given part. Read times depend on clocks, caches and
//! bus modes rather than on the flash, so **every read time here is an assumption**: one 32-bit word per bus access
//! at the part's usual clock for internal flash, single-bit SPI at 32 MHz with a five-byte command for external
//! flash. The time to move the bytes of a program command over SPI is left out.

/// What a simulated chip is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChipProfile {
    /// The chip's name.
    pub name: &'static str,
    /// Bytes of a word: the least that can be programmed, once between two erases.
    pub word: usize,
    /// Bytes that reads are aligned to.
    pub read: usize,
    /// Bytes of a sector: the least that can be erased.
    pub sector: usize,
    /// Bytes that one program command may touch, aligned to themselves: 256 on SPI NOR, the word on internal flash.
    pub program_page: usize,
    /// Nanoseconds for a read call, whatever its length.
    pub read_call_ns: u64,
    /// Nanoseconds for each byte read.
    pub read_byte_ns: u64,
    /// Nanoseconds for each program command: for each program page that a write call touches.
    pub program_call_ns: u64,
    /// Nanoseconds for each word programmed.
    pub program_word_ns: u64,
    /// Nanoseconds for a sector erase.
    pub erase_ns: u64,
    /// Erases of a sector that the maker vouches for.
    pub endurance_cycles: u32,
    /// Where the figures come from.
    pub source: &'static str,
}

impl ChipProfile {
    /// A chip of any geometry, with times that are easy to count by: 1 us for a read call, 10 us for a word and 1 ms
    /// for an erase.
    ///
    /// # Panics
    ///
    /// When `word`, `read` or `sector` is 0, or the sector is no multiple of both others.
    #[must_use]
    pub const fn generic(word: usize, read: usize, sector: usize) -> Self {
        let profile = Self {
            name: "generic",
            word,
            read,
            sector,
            program_page: word,
            read_call_ns: 1_000,
            read_byte_ns: 0,
            program_call_ns: 0,
            program_word_ns: 10_000,
            erase_ns: 1_000_000,
            endurance_cycles: 10_000,
            source: "round figures, of no real chip",
        };
        profile.check();
        profile
    }

    /// The same chip with sectors of `sector` bytes: keeps exhaustive tests on a real chip's words small.
    ///
    /// # Panics
    ///
    /// When the sector is no multiple of the word, the read size and the program page.
    #[must_use]
    pub const fn with_sector(mut self, sector: usize) -> Self {
        self.sector = sector;
        self.check();
        self
    }

    /// The same chip with program commands of up to `program_page` bytes.
    ///
    /// # Panics
    ///
    /// When `program_page` is no multiple of the word or the sector no multiple of `program_page`.
    #[must_use]
    pub const fn with_program_page(mut self, program_page: usize) -> Self {
        self.program_page = program_page;
        self.check();
        self
    }

    pub(super) const fn check(&self) {
        assert!(self.word > 0 && self.read > 0 && self.sector > 0 && self.program_page > 0, "a unit of 0 bytes");
        assert!(self.sector.is_multiple_of(self.word), "the sector is no multiple of the word");
        assert!(self.sector.is_multiple_of(self.read), "the sector is no multiple of the read size");
        assert!(self.program_page.is_multiple_of(self.word), "the program page is no multiple of the word");
        assert!(self.sector.is_multiple_of(self.program_page), "the sector is no multiple of the program page");
    }
}
