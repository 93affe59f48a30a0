//! What every measured program has: start, flash driver, console. Its size is taken off the others'.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use evenkeel_footprint::flash::{Flash, SECTOR};
use evenkeel_footprint::work::{System, measure};

evenkeel_firmware_kit::panics_do_not_link!();

/// Writes, reads and erases, as simply as can be.
struct Nothing(Flash);

impl System for Nothing {
    const STREAMS: bool = true;

    fn new(flash: Flash) -> Option<Self> {
        Some(Self(flash))
    }

    fn create(&mut self) -> Option<()> {
        Some(())
    }

    fn mount(&mut self) -> Option<()> {
        Some(())
    }

    fn release(self) -> Flash {
        self.0
    }

    fn append(&mut self, stream: u16, _: u32, payload: &[u8]) -> Option<()> {
        self.0.write(u32::from(stream) * 64, payload).ok()
    }

    fn iterate(&mut self) -> Option<u32> {
        let mut bytes = [0; 4];
        self.0.read(0, &mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn acknowledge(&mut self, _: u32) -> Option<()> {
        self.0.erase(0, SECTOR).ok()
    }

    fn load(&mut self, _: u16) -> Option<u32> {
        Some(1)
    }
}

#[entry]
fn main() -> ! {
    measure::<Nothing>()
}
