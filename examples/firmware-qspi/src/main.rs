//! The cold-chain monitor on a SPI NOR chip behind the flash controller of an AST1030: words of 1 byte, program pages of 256 bytes.
//!
//! Built with the feature `cuts` it is run in an emulator that takes its power at each operation of the flash.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_firmware_kit::spi_nor::SpiNor;
use evenkeel_firmware_kit::{cold_chain, exit};
use evenkeel_flash_store::Region;

evenkeel_firmware_kit::panics_do_not_link!();

/// Four sectors: few, so that the log comes round soon. Its program page is 256 bytes, which is what `new` takes it for.
const REGION: Region = Region::new::<SpiNor>(0x1_0000..0x1_4000);

#[entry]
fn main() -> ! {
    // SAFETY: the only driver of this controller.
    let flash = unsafe { SpiNor::new() };
    exit(cold_chain::life(flash, REGION))
}
