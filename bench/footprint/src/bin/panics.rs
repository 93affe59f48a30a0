//! Can panic, on purpose: the linker is to refuse it.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_firmware_kit::exit;
use evenkeel_flash_store as _;

evenkeel_firmware_kit::panics_do_not_link!();

#[entry]
fn main() -> ! {
    let numbers = [1_u32, 2, 3];
    // A number that the compiler does not know.
    let index = core::hint::black_box(2_usize);
    exit(numbers[index] == 3)
}
