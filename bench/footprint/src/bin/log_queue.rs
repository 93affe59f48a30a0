//! The queue of sequential-storage without a cache.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_footprint::peers::Queue;

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    evenkeel_firmware_kit::exit(false)
}

#[entry]
fn main() -> ! {
    evenkeel_footprint::work::measure::<Queue>()
}
