//! The cold-chain device with its side of sync.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use evenkeel_core::LogId;
use evenkeel_core::scratch::Scratch;
use evenkeel_firmware_kit::exit;
use evenkeel_footprint::device::{IDENTITY, Records, UPLINK, run};
use evenkeel_sync::{Source, SourceIdentity};

evenkeel_firmware_kit::panics_do_not_link!();

/// Answers what may have come in.
fn answer(records: &mut Records, scratch: &mut [u8]) -> Option<()> {
    let identity = SourceIdentity { device: 0x5EED, log: LogId(1), epoch: IDENTITY.epoch };
    let mut source = Source::new(identity, UPLINK);
    let mut scratch = Scratch::new(scratch);
    let mut frame = core::hint::black_box([0; 128]);
    source.handle(records, &mut scratch, &frame).ok()?;
    while source.poll(records, &mut scratch, &mut frame).ok()?.is_some() {}
    Some(())
}

#[entry]
fn main() -> ! {
    exit(run(answer).is_some())
}
