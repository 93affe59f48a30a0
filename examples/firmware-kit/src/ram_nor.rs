//! A flash made of memory, for measurements: as cheap as a flash can be.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// A NOR flash with words of 4 bytes and sectors of 4 KiB in lent memory.
#[derive(Debug)]
pub struct RamNor<'m>(&'m mut [u8]);

impl<'m> RamNor<'m> {
    /// A flash of whole sectors, as the memory is.
    pub fn new(memory: &'m mut [u8]) -> Self {
        Self(memory)
    }

    fn part(&mut self, from: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let from = from as usize;
        self.0.get_mut(from..from.wrapping_add(len)).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for RamNor<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RamNor<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let held = self.part(offset, bytes.len())?;
        for (to, from) in bytes.iter_mut().zip(held) {
            *to = *from;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for RamNor<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.part(from, to.wrapping_sub(from) as usize)?.fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        for (to, from) in self.part(offset, bytes.len())?.iter_mut().zip(bytes) {
            *to &= *from;
        }
        Ok(())
    }
}
