//! The cold-chain monitor on the flash controller of the nRF51822, a Cortex-M0 with 16 KiB of RAM.
//!
//! Built with the feature `cuts` it is run in an emulator that takes its power at each operation of the flash.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_firmware_kit::nvmc::Nvmc;
use evenkeel_firmware_kit::{cold_chain, exit};
use evenkeel_flash_store::Region;

evenkeel_firmware_kit::panics_do_not_link!();

/// Five pages: few, so that the log comes round soon.
const REGION: Region = Region::new::<Nvmc<1024>>(0..5 * 1024).word_by_word();

#[entry]
fn main() -> ! {
    // SAFETY: the only driver of this controller, in a program that ends before its part of the flash by the memory map.
    let flash = unsafe { Nvmc::<1024>::new() };
    exit(cold_chain::life(flash, REGION))
}
