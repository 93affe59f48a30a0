//! The flash that every system works on: memory that counts what is done to it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash as asynchronous;

/// Bytes of a sector.
pub const SECTOR: usize = 4096;

/// NOR flash in memory, with words of `WORD` bytes and sectors of [`SECTOR`]. Clones share the memory.
///
/// It has the blocking and the asynchronous traits, which do and count the same. It allows words to be programmed
/// twice, as `MultiwriteNorFlash` does, and counts them: bits are only ever cleared between two erases. Reads may be
/// of any bytes.
///
/// A call that is misaligned or out of bounds panics: it is a bug of the system under test.
#[derive(Debug, Clone)]
pub struct CountingFlash<const WORD: usize> {
    chip: Rc<RefCell<Chip>>,
}

#[derive(Debug, Clone)]
struct Chip {
    memory: Vec<u8>,
    /// Whether a word has been programmed since its erase.
    programmed: Vec<bool>,
    erased: Vec<u64>,
    counters: Counters,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Read calls.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write calls.
    pub writes: u64,
    /// Bytes programmed, which are whole words.
    pub written_bytes: u64,
    /// Sectors erased.
    pub erases: u64,
    /// Words that were programmed once more without an erase in between.
    pub rewritten_words: u64,
}

impl Counters {
    /// What was done since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            read_bytes: self.read_bytes - earlier.read_bytes,
            writes: self.writes - earlier.writes,
            written_bytes: self.written_bytes - earlier.written_bytes,
            erases: self.erases - earlier.erases,
            rewritten_words: self.rewritten_words - earlier.rewritten_words,
        }
    }

    /// What was done here and there together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            read_bytes: self.read_bytes + other.read_bytes,
            writes: self.writes + other.writes,
            written_bytes: self.written_bytes + other.written_bytes,
            erases: self.erases + other.erases,
            rewritten_words: self.rewritten_words + other.rewritten_words,
        }
    }
}

impl<const WORD: usize> CountingFlash<WORD> {
    /// An erased flash.
    #[must_use]
    pub fn blank(sectors: usize) -> Self {
        let chip = Chip {
            memory: vec![0xFF; sectors * SECTOR],
            programmed: vec![false; sectors * SECTOR / WORD],
            erased: vec![0; sectors],
            counters: Counters::default(),
        };
        Self { chip: Rc::new(RefCell::new(chip)) }
    }

    /// A copy that shares nothing with this one.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { chip: Rc::new(RefCell::new(self.chip.borrow().clone())) }
    }

    /// What was done since the flash was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.chip.borrow().counters
    }

    /// Number of sectors.
    #[must_use]
    pub fn sectors(&self) -> usize {
        self.chip.borrow().erased.len()
    }

    /// By how many erases the sector erased most is ahead of the one erased least.
    #[must_use]
    pub fn erase_spread(&self) -> u64 {
        let chip = self.chip.borrow();
        let most = chip.erased.iter().max().copied().unwrap_or_default();
        most - chip.erased.iter().min().copied().unwrap_or_default()
    }
}

impl Chip {
    fn read(&mut self, offset: u32, bytes: &mut [u8]) {
        let from = offset as usize;
        bytes.copy_from_slice(&self.memory[from..from + bytes.len()]);
        self.counters.reads += 1;
        self.counters.read_bytes += bytes.len() as u64;
    }

    fn write(&mut self, word: usize, offset: u32, bytes: &[u8]) {
        let from = offset as usize;
        assert!(from.is_multiple_of(word) && bytes.len().is_multiple_of(word), "a write of no whole words");
        for (old, new) in self.memory[from..from + bytes.len()].iter_mut().zip(bytes) {
            *old &= new;
        }
        for programmed in &mut self.programmed[from / word..(from + bytes.len()) / word] {
            self.counters.rewritten_words += u64::from(*programmed);
            *programmed = true;
        }
        self.counters.writes += 1;
        self.counters.written_bytes += bytes.len() as u64;
    }

    fn erase(&mut self, word: usize, from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        assert!(from.is_multiple_of(SECTOR) && to.is_multiple_of(SECTOR) && from <= to, "an erase of no whole sectors");
        self.memory[from..to].fill(0xFF);
        self.programmed[from / word..to / word].fill(false);
        for erased in &mut self.erased[from / SECTOR..to / SECTOR] {
            *erased += 1;
            self.counters.erases += 1;
        }
    }
}

impl<const WORD: usize> ErrorType for CountingFlash<WORD> {
    type Error = Infallible;
}

impl<const WORD: usize> ReadNorFlash for CountingFlash<WORD> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.chip.borrow_mut().read(offset, bytes);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.chip.borrow().memory.len()
    }
}

impl<const WORD: usize> NorFlash for CountingFlash<WORD> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.chip.borrow_mut().erase(WORD, from, to);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        self.chip.borrow_mut().write(WORD, offset, bytes);
        Ok(())
    }
}

impl<const WORD: usize> asynchronous::ReadNorFlash for CountingFlash<WORD> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        ReadNorFlash::read(self, offset, bytes)
    }

    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(self)
    }
}

impl<const WORD: usize> asynchronous::NorFlash for CountingFlash<WORD> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        NorFlash::erase(self, from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        NorFlash::write(self, offset, bytes)
    }
}

impl<const WORD: usize> asynchronous::MultiwriteNorFlash for CountingFlash<WORD> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted() {
        let mut flash = CountingFlash::<4>::blank(2);
        NorFlash::write(&mut flash, 8, &[0xF0; 8]).unwrap();
        NorFlash::write(&mut flash, 12, &[0x3C; 4]).unwrap();
        let mut bytes = [0; 3];
        ReadNorFlash::read(&mut flash, 11, &mut bytes).unwrap();
        assert_eq!(bytes, [0xF0, 0x30, 0x30]);
        NorFlash::erase(&mut flash, 0, 4096).unwrap();
        NorFlash::write(&mut flash, 8, &[0; 4]).unwrap();
        let expected =
            Counters { reads: 1, read_bytes: 3, writes: 3, written_bytes: 16, erases: 1, rewritten_words: 1 };
        assert_eq!(flash.counters(), expected);
        assert_eq!(flash.erase_spread(), 1);
    }

    #[test]
    #[should_panic(expected = "whole words")]
    fn a_misaligned_write_is_refused() {
        let _ = NorFlash::write(&mut CountingFlash::<8>::blank(1), 4, &[0; 8]);
    }
}
