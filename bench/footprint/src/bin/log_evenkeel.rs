//! Evenkeel's log alone: append, iterate, acknowledge, mount.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_footprint::stored::Evenkeel;

evenkeel_firmware_kit::panics_do_not_link!();

#[entry]
fn main() -> ! {
    evenkeel_footprint::work::measure::<Evenkeel>()
}
