//! The cold-chain monitor on simulated flash, its power cut anywhere: it comes to the same as without.

use evenkeel_apps::cold_chain::{Config, Monitor, Totals};
use evenkeel_core::{Epoch, Log, LogId, Position};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::Nrf52840Flash;
use evenkeel_host_sim::kit::PowerCuts;

/// Some hours in the limits, some outside, one without a contact.
const HOURS: [i16; 24] = [
    500, 510, 520, 860, 900, 910, 905, 900, 640, 500, -9_999, 480, 470, 460, 450, 440, 430, 420, 410, 400, 850, 700,
    690, 680,
];

/// What there is in the end: the sums, and every event of the log.
type Outcome = (Totals, Vec<(u64, u32, Vec<u8>)>);

fn records(flash: Nrf52840Flash) -> FlashLog<Nrf52840Flash> {
    const REGION: Region = Region::new::<Nrf52840Flash>(0..0x4000).word_by_word();
    FlashLog::new(flash, REGION, Retention::Refuse)
}

/// A chip as it leaves the factory, with an empty log.
fn provisioned() -> Nrf52840Flash {
    let flash = Nrf52840Flash::blank(4);
    let identity = Identity { log: LogId(0), epoch: Epoch::new(1, 0xC01D_0001) };
    records(flash.clone()).format(identity, &mut [0; 512]).unwrap();
    flash
}

fn ride(flash: Nrf52840Flash) -> Result<Outcome, Box<dyn std::error::Error>> {
    let mut scratch = [0; 512];
    let log = Log::mount(records(flash), &mut scratch)?;
    let config = Config { shipment_hours: 10, alarm_after_minutes: 120, ..Config::default() };
    let mut monitor = Monitor::start(log, config)?;
    for (hour, raw) in (0_u32..).zip(HOURS) {
        // Hours that are in the log already are passed over.
        monitor.record(hour, raw)?;
    }
    let totals = monitor.totals()?;
    let (mut events, mut seen) = (Vec::new(), Position::START);
    while let Some(next) = monitor.log().next_notification(seen)? {
        let record = next.record().ok_or("events are missing")?;
        events.push((record.stream.0, record.version.0, record.payload.to_vec()));
        seen = next.last();
    }
    Ok((totals, events))
}

#[test]
fn a_shipment_is_written_down_the_same_whenever_the_power_fails() {
    let explored = PowerCuts::on(provisioned()).explore(ride);
    assert!(explored.exhaustive && explored.points > 100 && explored.cuts > 1_000, "{explored}");
    println!("{explored}");
}
