//! The life of a cold-chain monitor from power-on to the end of its journey, on any flash.
//!
//! It tells the console what the log holds when it starts (`held`), each event once it is durable (`kept`), up to where the
//! tracker of the uplink stands (`acknowledged`), and what the log holds at the end. Whoever takes the power knows from that what
//! must be there afterwards. The journey is the same in every life: what has been recorded before is not recorded again.

use embedded_storage::nor_flash::NorFlash;
use evenkeel_apps::cold_chain::input::{NO_CONTACT, Observation, Sample, journey};
use evenkeel_apps::cold_chain::{Alarm, CentiCelsius, Config, Limits, Monitor, Sensor, Shipment};
use evenkeel_core::{Epoch, Log, LogId, Maintained, Notification, Position, RecordManager, Tracker};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};

use crate::console::Console;

/// Who pulls the log.
pub const UPLINK: Tracker = Tracker(0);
/// The log of this device.
pub const IDENTITY: Identity = Identity { log: LogId(0), epoch: Epoch::new(1, 0x5EED_C0DE) };
/// How many hours the journey takes.
pub const HOURS: u32 = 260;

/// What the probe reads while a door stands open.
const WARM: CentiCelsius = 1_050;
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
const SCRATCH_BYTES: usize = 320;
/// Short shipments, and snapshots often: there is much to be done in little time.
const CONFIG: Config = Config {
    probe_serial: 4711,
    probe_offset: -25,
    limits: Limits::REFRIGERATED,
    first_holder: 10,
    shipment_hours: 72,
    alarm_after_minutes: 120,
    snapshot_every: 48,
};

/// A log for twelve streams and three trackers.
pub type Records<F> = FlashLog<F, 12, 3>;

/// One life, from the flash as it is to the end of the journey; whether nothing failed.
pub fn life<F: NorFlash>(flash: F, region: Region) -> bool {
    let mut console = Console::open();
    let mut scratch = [0; SCRATCH_BYTES];
    let mut records = Records::new(flash, region, RETENTION);
    let lived = travel(&mut console, &mut records, &mut scratch);
    console.text(if lived.is_some() { "arrived" } else { "FAILED" }).end();
    lived.is_some()
}

/// Mounts the log and goes on with the journey from where it says; nothing if something fails.
fn travel<F: NorFlash>(console: &mut Console, records: &mut Records<F>, scratch: &mut [u8]) -> Option<()> {
    console.text("boot").end();
    said(console, "mount", records.mount_or_format(IDENTITY, scratch))?;
    let mut log = Log::mounted(records, scratch);
    tell_held(console, &mut log)?;
    let mut told = log.bounds().last();
    console.text("ready").end();

    let mut monitor = Monitor::new(log, CONFIG);
    if monitor.resume().is_err() {
        upkeep(console, &mut monitor)?;
        said(console, "start", monitor.resume())?;
    }
    told = tell_kept(console, monitor.log(), told)?;
    for sample in journey(weather()) {
        if sample.hour < monitor.next_hour() && monitor.shipment().dispatched().is_some() {
            continue;
        }
        told = hour(console, &mut monitor, &sample, told)?;
        if sample.hour % 24 == 0 {
            said(console, "acknowledge", monitor.log().acknowledge(UPLINK, told))?;
            console.text("acknowledged ").number(told.0).end();
        }
        upkeep(console, &mut monitor)?;
    }
    let totals = said(console, "totals", monitor.totals())?;
    console.text("shipments ").number(totals.shipments.into()).text(" excursions ").number(totals.excursions.into());
    console.text(" alarms ").number(totals.alarms.into()).text(" faults ").number(totals.faults.into()).end();
    tell_held(console, monitor.log())
}

/// Erases ahead and takes the snapshots that are due, in the time between two readings.
fn upkeep<R: RecordManager>(console: &mut Console, monitor: &mut Monitor<'_, R>) -> Option<()> {
    // Of the log itself: the monitor would first catch up with its log, which takes room that upkeep is to make.
    while said(console, "maintain", monitor.log().maintain::<(Shipment, Sensor, Alarm)>())? == Maintained::More {}
    Some(())
}

/// An hour of the device: the shipment changes hands once, somebody sees to the alarm, a reading is taken. For three hours the
/// probe's plug is loose, and once a door stands open.
fn hour<R: RecordManager>(
    console: &mut Console,
    monitor: &mut Monitor<'_, R>,
    sample: &Sample,
    mut told: Position,
) -> Option<Position> {
    let age = sample.hour.saturating_sub(monitor.shipment().dispatched().unwrap_or(sample.hour));
    let holder = monitor.shipment().holder();
    if age >= CONFIG.shipment_hours / 2 && holder == CONFIG.first_holder {
        said(console, "hand over", monitor.hand_over(holder, holder.saturating_add(1)))?;
        told = tell_kept(console, monitor.log(), told)?;
    }
    let since = monitor.alarm().cause().map_or(u32::MAX, |cause| cause.since);
    if monitor.alarm().rings() && sample.hour >= since.saturating_add(4) {
        said(console, "acknowledge alarm", monitor.acknowledge_alarm(7))?;
        told = tell_kept(console, monitor.log(), told)?;
    }
    let raw = match sample.hour {
        100..103 => NO_CONTACT,
        150..158 => WARM,
        _ => sample.raw,
    };
    if monitor.record(sample.hour, raw).is_err() {
        // Power cuts may have used up what was erased ahead: with upkeep there is room. An hour is recorded once, however often.
        upkeep(console, monitor)?;
        said(console, "record", monitor.record(sample.hour, raw))?;
    }
    tell_kept(console, monitor.log(), told)
}

/// Warm days and cool nights.
fn weather() -> impl Iterator<Item = Observation> {
    (0..HOURS).map(|hour| {
        let from_noon = (hour % 24).abs_diff(12);
        let ambient = 2_800_u32.saturating_sub(from_noon.saturating_mul(150));
        Observation { hour, ambient: CentiCelsius::try_from(ambient).unwrap_or(0) }
    })
}

/// Says which step failed.
fn said<T, E>(console: &mut Console, step: &str, outcome: Result<T, E>) -> Option<T> {
    if outcome.is_err() {
        console.text("failed: ").text(step).end();
    }
    outcome.ok()
}

/// Tells everything that the log holds.
fn tell_held<R: RecordManager>(console: &mut Console, log: &mut Log<'_, R>) -> Option<()> {
    let bounds = log.bounds();
    console.text("bounds ").number(bounds.first.0).text(" ").number(bounds.next.0);
    console.text(" tracked ").number(log.tracked(UPLINK).0).end();
    tell(console, log, "held ", bounds.first.previous())?;
    Some(())
}

/// Tells the events behind `after`: they are durable, and the command that they come of is `done`. Answers the last.
fn tell_kept<R: RecordManager>(console: &mut Console, log: &mut Log<'_, R>, after: Position) -> Option<Position> {
    let last = tell(console, log, "kept ", after)?;
    if last > after {
        console.text("done").end();
    }
    Some(last)
}

fn tell<R: RecordManager>(
    console: &mut Console,
    log: &mut Log<'_, R>,
    what: &str,
    after: Position,
) -> Option<Position> {
    let mut seen = after;
    while let Some(notification) = said(console, "read", log.next_notification(seen))? {
        seen = notification.last();
        match notification {
            Notification::Event(event) => {
                console.text(what).number(seen.0).text(" ").number(event.stream.0).text(" ");
                console.number(event.kind.0.into()).text(" ").number(event.version.0.into()).text(" ");
                console.hex(event.payload).end();
            }
            Notification::Gap { first, last, .. } => {
                console.text("gap ").number(first.0).text(" ").number(last.0).end();
            }
            _ => console.text("unknown").end(),
        }
    }
    Some(seen)
}
