//! A SPI NOR chip behind the flash controller of the AST1030, in its user mode: each byte stored into the chip's window goes out
//! on the bus, each byte loaded from it comes in. Sectors of 4 KiB, words of 1 byte, program pages of 256 bytes.

use core::ptr::{read_volatile, write_volatile};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::marks::before_operation;

const CONFIG: *mut u32 = 0x7E62_0000 as *mut u32;
const WRITABLE: u32 = 1 << 16;
const CONTROL: *mut u32 = 0x7E62_0010 as *mut u32;
const WINDOW: *mut u8 = 0x8000_0000 as *mut u8;
const USER_MODE: u32 = 3;
const DESELECTED: u32 = 1 << 2;

const PROGRAM: u8 = 0x02;
const READ: u8 = 0x03;
const STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const ERASE_4K: u8 = 0x20;

const SECTOR: u32 = 4096;
/// How many bytes one program command may touch.
pub const PROGRAM_PAGE: u32 = 256;
/// How large the driver takes the chip to be.
pub const CHIP_BYTES: u32 = 1 << 20;

/// The first chip of the controller.
#[derive(Debug)]
pub struct SpiNor(());

impl SpiNor {
    /// Sets the controller up.
    ///
    /// # Safety
    /// There must be no other driver of this controller.
    #[must_use]
    pub unsafe fn new() -> Self {
        // SAFETY: registers of the controller.
        unsafe {
            write_volatile(CONFIG, read_volatile(CONFIG) | WRITABLE);
            write_volatile(CONTROL, USER_MODE | DESELECTED);
        }
        Self(())
    }

    #[inline(never)]
    fn command(&mut self, command: &[u8], data: &[u8], answer: &mut [u8]) {
        // SAFETY: registers and the window of the controller.
        unsafe {
            write_volatile(CONTROL, USER_MODE);
            for byte in command.iter().chain(data) {
                write_volatile(WINDOW, *byte);
            }
            for byte in answer {
                *byte = read_volatile(WINDOW);
            }
            write_volatile(CONTROL, USER_MODE | DESELECTED);
        }
    }

    fn change(&mut self, command: u8, at: u32, data: &[u8]) {
        before_operation();
        self.command(&[WRITE_ENABLE], &[], &mut []);
        self.command(&addressed(command, at), data, &mut []);
        let mut status = [1];
        while status[0] & 1 != 0 {
            self.command(&[STATUS], &[], &mut status);
        }
    }
}

fn addressed(command: u8, at: u32) -> [u8; 4] {
    let [_, high, middle, low] = at.to_be_bytes();
    [command, high, middle, low]
}

impl ErrorType for SpiNor {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for SpiNor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        self.command(&addressed(READ, offset), &[], bytes);
        Ok(())
    }

    fn capacity(&self) -> usize {
        CHIP_BYTES as usize
    }
}

impl NorFlash for SpiNor {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        let mut at = from;
        while at < to {
            self.change(ERASE_4K, at, &[]);
            at = at.wrapping_add(SECTOR);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            // A command that goes on behind the end of its page would come back to the page's begin.
            let room = PROGRAM_PAGE.wrapping_sub(at & PROGRAM_PAGE.wrapping_sub(1));
            let (now, later) = rest.split_at_checked(room as usize).unwrap_or((rest, &[]));
            self.change(PROGRAM, at, now);
            at = at.wrapping_add(room);
            rest = later;
        }
        Ok(())
    }
}
