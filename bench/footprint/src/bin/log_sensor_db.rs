//! The time series database sensor-db.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_footprint::peers::Series;

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    evenkeel_firmware_kit::exit(false)
}

#[entry]
fn main() -> ! {
    evenkeel_footprint::work::measure::<Series>()
}
