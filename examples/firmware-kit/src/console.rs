//! Lines of text to whoever runs the emulator, over semihosting; without `core::fmt`, which is large and may panic.

use core::arch::asm;

const LINE_BYTES: usize = 160;

const SYS_OPEN: u32 = 0x01;
const SYS_WRITE: u32 = 0x05;
const SYS_EXIT: u32 = 0x18;
const OPEN_TO_WRITE: u32 = 4;
const APPLICATION_EXIT: u32 = 0x2_0026;
const INTERNAL_ERROR: u32 = 0x2_0024;

/// A request to the host that runs the emulator.
fn host(operation: u32, argument: u32) -> u32 {
    let answer;
    // SAFETY: the emulator reads what the argument points to, and writes nothing but the register.
    unsafe { asm!("bkpt 0xAB", inlateout("r0") operation => answer, in("r1") argument, options(nostack)) };
    answer
}

/// Ends the emulator.
pub(crate) fn end_emulator(ok: bool) -> ! {
    host(SYS_EXIT, if ok { APPLICATION_EXIT } else { INTERNAL_ERROR });
    loop {
        cortex_m::asm::nop();
    }
}

/// Text on its way to the standard output of the emulator, which it reaches line by line.
#[derive(Debug)]
pub struct Console {
    handle: u32,
    line: [u8; LINE_BYTES],
    used: usize,
}

impl Console {
    /// Opens the standard output.
    #[must_use]
    pub fn open() -> Self {
        let name = b":tt\0";
        let request = [name.as_ptr() as u32, OPEN_TO_WRITE, 3];
        Self { handle: host(SYS_OPEN, request.as_ptr() as u32), line: [0; LINE_BYTES], used: 0 }
    }

    /// Adds bytes as they are. What does not fit the line any more begins another write.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            if self.used >= LINE_BYTES {
                self.flush();
            }
            if let Some(place) = self.line.get_mut(self.used) {
                *place = *byte;
                self.used = self.used.wrapping_add(1);
            }
        }
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number in decimal digits.
    pub fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [b'0'; 20];
        let (mut rest, mut count) = (number, 0_usize);
        for place in digits.iter_mut().rev() {
            // A Cortex-M0 has no division: 64 bits are divided in software.
            *place = b'0'.wrapping_add((rest % 10) as u8);
            rest /= 10;
            count = count.wrapping_add(1);
            if rest == 0 {
                break;
            }
        }
        let (_, shown) = digits.split_at_checked(digits.len().wrapping_sub(count)).unwrap_or_default();
        self.bytes(shown)
    }

    /// Adds bytes in hexadecimal.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        let digit = |nibble: u8| {
            if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble).wrapping_sub(10) }
        };
        for byte in bytes {
            self.bytes(&[digit(byte >> 4), digit(byte & 15)]);
        }
        self
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.bytes(b"\n");
        self.flush();
    }

    fn flush(&mut self) {
        let request = [self.handle, self.line.as_ptr() as u32, self.used as u32];
        host(SYS_WRITE, request.as_ptr() as u32);
        self.used = 0;
    }
}
