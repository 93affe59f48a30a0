//! The cold-chain device: everything that its firmware is but the drivers.

use evenkeel_apps::cold_chain::{Config, Monitor};
use evenkeel_core::{Epoch, Log, LogId, Maintained, Position, RecordManager, Tracker};
use evenkeel_firmware_kit::console::Console;
use evenkeel_firmware_kit::stack;
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};

use crate::flash::{Flash, SECTOR, SECTORS, flash};

/// Who pulls the log.
pub const UPLINK: Tracker = Tracker(0);
/// The log of the device.
pub const IDENTITY: Identity = Identity { log: LogId(1), epoch: Epoch::new(1, 0xC0FF_EE00) };
const REGION: Region = Region::new::<Flash>(0..SECTORS * SECTOR).word_by_word();
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
/// Bytes that are lent to it.
pub const SCRATCH_BYTES: usize = 256;
/// How many hours it records.
const HOURS: u32 = 300;

/// A log for four streams, which is one more than are written to at a time, and two trackers.
pub type Records = FlashLog<Flash, 4, 2>;

/// Runs the device, telling how deep the stack gets; `with` is what else it is built with.
#[inline(always)]
pub fn run(with: impl FnOnce(&mut Records, &mut [u8]) -> Option<()>) -> Option<()> {
    let mut console = Console::open();
    let mut scratch = [0; SCRATCH_BYTES];
    let mut records = Records::new(flash(), REGION, RETENTION);
    console.text("ram ").number((size_of::<Monitor<'_, Records>>() - size_of::<Flash>()) as u64).end();
    stack::paint();
    records.mount_or_format(IDENTITY, &mut scratch).ok()?;
    tell(&mut console, "format", stack::used());
    let mut monitor =
        Monitor::new(Log::mounted(&mut records, &mut scratch), Config { snapshot_every: 32, ..Config::default() });
    stack::paint();
    monitor.resume().ok()?;
    for hour in 0..HOURS {
        let celsius = if hour % 50 < 6 { 900 } else { 500 };
        monitor.record(hour, celsius).ok()?;
    }
    tell(&mut console, "record", stack::used());
    stack::paint();
    let last = monitor.log().bounds().last();
    monitor.log().acknowledge(UPLINK, last).ok()?;
    tell(&mut console, "acknowledge", stack::used());
    stack::paint();
    while monitor.maintain().ok()? == Maintained::More {}
    tell(&mut console, "maintain", stack::used());
    stack::paint();
    let mut out = [0; 64];
    monitor.log().section(Position::START, &mut out).ok()?;
    tell(&mut console, "section", stack::used());
    stack::paint();
    monitor.past_shipment(0).ok()?;
    tell(&mut console, "load", stack::used());
    drop(monitor);
    stack::paint();
    let mut scratch_of_mount = evenkeel_core::scratch::Scratch::new(&mut scratch);
    records.mount(&mut scratch_of_mount).ok()?;
    tell(&mut console, "mount", stack::used());
    stack::paint();
    with(&mut records, &mut scratch)?;
    tell(&mut console, "with", stack::used());
    Some(())
}

fn tell(console: &mut Console, name: &str, depth: u32) {
    console.text("stack ").text(name).text(" ").number(u64::from(depth)).end();
}
