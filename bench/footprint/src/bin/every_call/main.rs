//! Calls everything that a device can call of the blocking face, in a program that links only if none of it can panic.
#![no_std]
#![no_main]

mod application;
mod log;
mod sync;

use cortex_m_rt::entry;
use evenkeel_core::{Epoch, Log, LogId, Moment, Position, Tracker};
use evenkeel_firmware_kit::console::Console;
use evenkeel_firmware_kit::{exit, stack};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_footprint::flash::{self, Flash, SECTOR, SECTORS};

evenkeel_firmware_kit::panics_do_not_link!();

const UPLINK: Tracker = Tracker(0);
const REGION: Region = Region::new::<Flash>(0..SECTORS * SECTOR).word_by_word();
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
const IDENTITY: Identity = Identity { log: LogId(0), epoch: Epoch::new(1, 0x5EED_C0DE) };

type Records = FlashLog<Flash, 16, 8>;

/// A step of the program: says that it was taken, or which one failed.
struct Steps(Console);

impl Steps {
    fn step<T, E>(&mut self, name: &str, outcome: Result<T, E>) -> Option<T> {
        let end = if outcome.is_ok() { " ok" } else { " FAILED" };
        self.0.text(name).text(end).end();
        outcome.ok()
    }

    fn check(&mut self, name: &str, holds: bool) -> Option<()> {
        self.step(name, if holds { Ok(()) } else { Err(()) })
    }
}

fn every_call(steps: &mut Steps) -> Option<()> {
    let mut scratch = [0; 512];
    let mut records = Records::new(flash::flash(), REGION, RETENTION);
    let (records, scratch) = (&mut records, &mut scratch);
    // Nothing is formatted by itself.
    steps.check("blank", Log::mount(&mut *records, scratch).is_err())?;
    steps.step("mount or format", records.mount_or_format(IDENTITY, scratch))?;
    log::every_call(steps, &mut Log::mounted(&mut *records, scratch))?;
    anew(steps, records, scratch)?;
    application::cold_chain(steps, Log::mounted(&mut *records, scratch))?;
    anew(steps, records, scratch)?;
    application::orders(steps, Log::mounted(&mut *records, scratch))?;
    anew(steps, records, scratch)?;
    application::dispenser(steps, Log::mounted(&mut *records, scratch))?;
    sync::every_call(steps, records, scratch)?;
    let status = steps.step("status", records.status(scratch))?;
    steps.check("used", status.sectors_used >= 1 && status.most_erases >= 1)?;
    records.set_moment(Moment::default());
    steps.check("identity", records.identity() == IDENTITY && records.region() == REGION)?;
    steps.step("close", records.close(scratch))?;
    let log = steps.step("mount again", Log::mount(records, scratch))?;
    steps.check("held", log.bounds().last() > Position::START)
}

/// Another life of the log, for the streams of another application.
fn anew(steps: &mut Steps, records: &mut Records, scratch: &mut [u8]) -> Option<()> {
    steps.step("format", records.format(IDENTITY, scratch))
}

#[entry]
fn main() -> ! {
    let mut steps = Steps(Console::open());
    stack::paint();
    let held = every_call(&mut steps).is_some();
    steps.0.text(if held { "every call ok" } else { "a call FAILED" }).end();
    steps.0.text("stack ").number(u64::from(stack::used())).end();
    exit(held)
}
