//! The flash controller of the nRF51: pages of 1 KiB, words of 4 bytes, read like memory.

use core::ptr::{read_volatile, write_volatile};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::marks::before_operation;

const READY: *const u32 = 0x4001_E400 as *const u32;
const CONFIG: *mut u32 = 0x4001_E504 as *mut u32;
const ERASE_PAGE: *mut u32 = 0x4001_E508 as *mut u32;
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;
const PAGE: u32 = 1024;

/// Where the part of the flash that holds no program begins.
pub const DATA: u32 = 0x3_0000;
/// How large that part is.
pub const DATA_BYTES: u32 = 0x1_0000;

/// The last quarter of the flash, 64 KiB; `SECTOR` bytes, some pages, are erased as one.
#[derive(Debug)]
pub struct Nvmc<const SECTOR: usize = 1024>(());

impl<const SECTOR: usize> Nvmc<SECTOR> {
    /// The driver.
    ///
    /// # Safety
    /// There must be no other one that is used, and the program must end before [`DATA`].
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }

    fn wait() {
        // SAFETY: a register of the controller.
        while unsafe { read_volatile(READY) } & 1 == 0 {}
    }

    fn configure(mode: u32) {
        // SAFETY: a register of the controller.
        unsafe { write_volatile(CONFIG, mode) }
    }
}

impl<const SECTOR: usize> ErrorType for Nvmc<SECTOR> {
    type Error = NorFlashErrorKind;
}

impl<const SECTOR: usize> ReadNorFlash for Nvmc<SECTOR> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let from = DATA.wrapping_add(offset) as *const u8;
        // SAFETY: the range was checked, and the flash is memory that only this driver changes.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        DATA_BYTES as usize
    }
}

impl<const SECTOR: usize> NorFlash for Nvmc<SECTOR> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        Self::configure(ERASE);
        let mut page = from;
        while page < to {
            before_operation();
            // SAFETY: a register of the controller; the page was checked to be one of the data.
            unsafe { write_volatile(ERASE_PAGE, DATA.wrapping_add(page)) };
            Self::wait();
            page = page.wrapping_add(PAGE);
        }
        Self::configure(READ_ONLY);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        Self::configure(WRITE);
        let mut to = DATA.wrapping_add(offset) as *mut u32;
        let mut rest = bytes;
        while let Some((word, behind)) = rest.split_first_chunk() {
            before_operation();
            // SAFETY: the range was checked, and the controller takes whole words.
            unsafe { write_volatile(to, u32::from_le_bytes(*word)) };
            Self::wait();
            to = to.wrapping_add(1);
            rest = behind;
        }
        Self::configure(READ_ONLY);
        Ok(())
    }
}
