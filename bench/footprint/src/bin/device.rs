//! The cold-chain device.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_firmware_kit::exit;
use evenkeel_footprint::device::run;

evenkeel_firmware_kit::panics_do_not_link!();

#[entry]
fn main() -> ! {
    exit(run(|_, _| Some(())).is_some())
}
