//! The flash that every system works on: memory that counts what is done to it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash as asynchronous;

/// Bytes of a sector, where nothing else is said.
pub const SECTOR: usize = 4096;
/// Bytes of the program pages that are counted.
const PAGE: usize = 256;

/// A flash with both faces, for systems of either; it allows words to be programmed twice.
pub trait Medium: NorFlash<Error = Infallible> + asynchronous::MultiwriteNorFlash + 'static {
    /// Bytes of a sector.
    const SECTOR_BYTES: u32 = <Self as NorFlash>::ERASE_SIZE as u32;

    /// How many sectors there are.
    fn sectors(&self) -> usize {
        ReadNorFlash::capacity(self) / <Self as NorFlash>::ERASE_SIZE
    }
}

/// NOR flash in memory, with words of `WORD` bytes and sectors of `BYTES`. Clones share the memory.
///
/// It has the blocking and the asynchronous traits, which do and count the same. It allows words to be programmed
/// twice, as `MultiwriteNorFlash` does, and counts them: bits are only ever cleared between two erases. Reads may be
/// of any bytes.
///
/// A call that is misaligned or out of bounds panics: it is a bug of the system under test.
#[derive(Debug, Clone)]
pub struct CountingFlash<const WORD: usize, const BYTES: usize = SECTOR> {
    chip: Rc<RefCell<Chip>>,
}

#[derive(Debug, Clone)]
struct Chip {
    /// Shared with forks until one of them changes it, so that a fork of a large flash costs little.
    sectors: Vec<Rc<Sector>>,
    erased: Vec<u64>,
    /// Which sectors have been read.
    visited: Vec<bool>,
    last_written: usize,
    counters: Counters,
}

#[derive(Debug, Clone)]
struct Sector {
    memory: Vec<u8>,
    /// Whether a word has been programmed since its erase.
    programmed: Vec<bool>,
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
    /// Program pages of 256 bytes that write calls touched.
    pub pages: u64,
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
            pages: self.pages - earlier.pages,
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
            pages: self.pages + other.pages,
            erases: self.erases + other.erases,
            rewritten_words: self.rewritten_words + other.rewritten_words,
        }
    }
}

impl<const WORD: usize, const BYTES: usize> CountingFlash<WORD, BYTES> {
    /// An erased flash.
    #[must_use]
    pub fn blank(sectors: usize) -> Self {
        let blank = Rc::new(Sector::blank(WORD, BYTES));
        let chip = Chip {
            sectors: vec![blank; sectors],
            erased: vec![0; sectors],
            visited: vec![false; sectors],
            last_written: 0,
            counters: Counters::default(),
        };
        Self { chip: Rc::new(RefCell::new(chip)) }
    }

    /// A copy that shares nothing with this one, as far as anybody can see.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { chip: Rc::new(RefCell::new(self.chip.borrow().clone())) }
    }

    /// What was done since the flash was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.chip.borrow().counters
    }

    /// By how many erases the sector erased most is ahead of the one erased least.
    #[must_use]
    pub fn erase_spread(&self) -> u64 {
        let chip = self.chip.borrow();
        let most = chip.erased.iter().max().copied().unwrap_or_default();
        most - chip.erased.iter().min().copied().unwrap_or_default()
    }

    /// From now on [`sectors_read`](Self::sectors_read) counts anew.
    pub fn forget_reads(&self) {
        self.chip.borrow_mut().visited.fill(false);
    }

    /// How many sectors were read.
    #[must_use]
    pub fn sectors_read(&self) -> usize {
        self.chip.borrow().visited.iter().filter(|visited| **visited).count()
    }

    /// The sector that was written last.
    #[must_use]
    pub fn last_written(&self) -> usize {
        self.chip.borrow().last_written
    }
}

impl Sector {
    fn blank(word: usize, bytes: usize) -> Self {
        Self { memory: vec![0xFF; bytes], programmed: vec![false; bytes / word] }
    }
}

impl Chip {
    fn read(&mut self, sector_bytes: usize, offset: u32, mut bytes: &mut [u8]) {
        self.counters.reads += 1;
        self.counters.read_bytes += bytes.len() as u64;
        let mut at = offset as usize;
        while !bytes.is_empty() {
            let (index, inside) = (at / sector_bytes, at % sector_bytes);
            let (here, rest) = bytes.split_at_mut(bytes.len().min(sector_bytes - inside));
            here.copy_from_slice(&self.sectors[index].memory[inside..inside + here.len()]);
            self.visited[index] = true;
            at += here.len();
            bytes = rest;
        }
    }

    fn write(&mut self, word: usize, sector_bytes: usize, offset: u32, mut bytes: &[u8]) {
        let mut at = offset as usize;
        assert!(at.is_multiple_of(word) && bytes.len().is_multiple_of(word), "a write of no whole words");
        self.counters.writes += 1;
        self.counters.written_bytes += bytes.len() as u64;
        self.counters.pages += ((at + bytes.len()).div_ceil(PAGE) - at / PAGE) as u64;
        while !bytes.is_empty() {
            let (index, inside) = (at / sector_bytes, at % sector_bytes);
            let (here, rest) = bytes.split_at(bytes.len().min(sector_bytes - inside));
            let end = inside + here.len();
            let sector = Rc::make_mut(&mut self.sectors[index]);
            for (old, new) in sector.memory[inside..end].iter_mut().zip(here) {
                *old &= new;
            }
            for programmed in &mut sector.programmed[inside / word..end / word] {
                self.counters.rewritten_words += u64::from(*programmed);
                *programmed = true;
            }
            self.last_written = index;
            at += here.len();
            bytes = rest;
        }
    }

    fn erase(&mut self, word: usize, sector_bytes: usize, from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        let whole = from.is_multiple_of(sector_bytes) && to.is_multiple_of(sector_bytes) && from <= to;
        assert!(whole, "an erase of no whole sectors");
        for index in from / sector_bytes..to / sector_bytes {
            self.sectors[index] = Rc::new(Sector::blank(word, sector_bytes));
            self.erased[index] += 1;
            self.counters.erases += 1;
        }
    }
}

impl<const WORD: usize, const BYTES: usize> Medium for CountingFlash<WORD, BYTES> {}

impl<const WORD: usize, const BYTES: usize> ErrorType for CountingFlash<WORD, BYTES> {
    type Error = Infallible;
}

impl<const WORD: usize, const BYTES: usize> ReadNorFlash for CountingFlash<WORD, BYTES> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.chip.borrow_mut().read(BYTES, offset, bytes);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.chip.borrow().erased.len() * BYTES
    }
}

impl<const WORD: usize, const BYTES: usize> NorFlash for CountingFlash<WORD, BYTES> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.chip.borrow_mut().erase(WORD, BYTES, from, to);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        self.chip.borrow_mut().write(WORD, BYTES, offset, bytes);
        Ok(())
    }
}

/// Gives a blocking flash the asynchronous face, which never waits.
macro_rules! asynchronous_too {
    ($flash:ident) => {
        impl<const WORD: usize, const BYTES: usize> asynchronous::ReadNorFlash for $flash<WORD, BYTES> {
            const READ_SIZE: usize = 1;

            async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
                ReadNorFlash::read(self, offset, bytes)
            }

            fn capacity(&self) -> usize {
                ReadNorFlash::capacity(self)
            }
        }

        impl<const WORD: usize, const BYTES: usize> asynchronous::NorFlash for $flash<WORD, BYTES> {
            const WRITE_SIZE: usize = WORD;
            const ERASE_SIZE: usize = BYTES;

            async fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
                NorFlash::erase(self, from, to)
            }

            async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
                NorFlash::write(self, offset, bytes)
            }
        }

        impl<const WORD: usize, const BYTES: usize> asynchronous::MultiwriteNorFlash for $flash<WORD, BYTES> {}
    };
}

asynchronous_too!(CountingFlash);
asynchronous_too!(PlainFlash);

/// The cheapest flash in memory, for counting instructions: nothing is counted or checked but bounds.
#[derive(Debug)]
pub struct PlainFlash<const WORD: usize, const BYTES: usize = SECTOR> {
    memory: Vec<u8>,
}

impl<const WORD: usize, const BYTES: usize> PlainFlash<WORD, BYTES> {
    /// An erased flash.
    #[must_use]
    pub fn blank(sectors: usize) -> Self {
        Self { memory: vec![0xFF; sectors * BYTES] }
    }
}

impl<const WORD: usize, const BYTES: usize> Medium for PlainFlash<WORD, BYTES> {}

impl<const WORD: usize, const BYTES: usize> ErrorType for PlainFlash<WORD, BYTES> {
    type Error = Infallible;
}

impl<const WORD: usize, const BYTES: usize> ReadNorFlash for PlainFlash<WORD, BYTES> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        let from = offset as usize;
        bytes.copy_from_slice(&self.memory[from..from + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl<const WORD: usize, const BYTES: usize> NorFlash for PlainFlash<WORD, BYTES> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.memory[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        let from = offset as usize;
        for (old, new) in self.memory[from..from + bytes.len()].iter_mut().zip(bytes) {
            *old &= new;
        }
        Ok(())
    }
}

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
        NorFlash::erase(&mut flash, 4096, 8192).unwrap();
        let expected =
            Counters { reads: 1, read_bytes: 3, writes: 2, written_bytes: 12, pages: 2, erases: 1, rewritten_words: 1 };
        assert_eq!(flash.counters(), expected);
        assert_eq!((flash.erase_spread(), flash.sectors_read(), flash.last_written()), (1, 1, 0));
    }

    #[test]
    fn calls_cross_sectors_and_pages() {
        let mut flash = CountingFlash::<1, 256>::blank(3);
        NorFlash::write(&mut flash, 250, &[7; 300]).unwrap();
        let mut bytes = [0; 300];
        ReadNorFlash::read(&mut flash, 250, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 300]);
        assert_eq!((flash.counters().pages, flash.sectors_read(), flash.last_written()), (3, 3, 2));
    }

    #[test]
    fn a_fork_shares_nothing_that_shows() {
        let mut flash = CountingFlash::<4>::blank(2);
        let mut fork = flash.fork();
        NorFlash::write(&mut flash, 0, &[0; 4]).unwrap();
        NorFlash::write(&mut fork, 4, &[0; 4]).unwrap();
        let mut bytes = [0; 8];
        ReadNorFlash::read(&mut fork, 0, &mut bytes).unwrap();
        assert_eq!(bytes, [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
        assert_eq!((flash.counters().writes, fork.counters().writes), (1, 1));
    }

    #[test]
    #[should_panic(expected = "no whole words")]
    fn half_words_are_refused() {
        NorFlash::write(&mut CountingFlash::<4>::blank(1), 2, &[0; 4]).unwrap();
    }
}
