//! The example applications: policies, process managers, systems, views, entities.

use evenkeel_apps::cold_chain::{Config, Monitor, TimeOutOfRange};
use evenkeel_apps::dispenser::{Dispenser, Drug, hand_over};
use evenkeel_apps::orders::Shop;
use evenkeel_core::{Log, Position, RecordManager, Root};

use super::Steps;

/// The cold-chain monitor; answers nothing if a step fails.
#[inline(never)]
pub(super) fn cold_chain<R: RecordManager>(steps: &mut Steps, log: Log<'_, R>) -> Option<()> {
    let mut monitor =
        steps.step("monitor", Monitor::start(log, Config { alarm_after_minutes: 60, ..Config::default() }))?;
    for (hour, celsius) in (0..).zip([500, 510, 870, 920, 930, 500, i16::MIN, 520]) {
        steps.step("record", monitor.record(hour, celsius))?;
    }
    steps.step("hand over", monitor.hand_over(1, 2))?;
    let totals = steps.step("totals", monitor.totals())?;
    steps.check("totals", totals.alarms == 1 && totals.excursions == 1)?;
    steps.step("maintain", monitor.maintain())?;
    let mut view = TimeOutOfRange::default();
    steps.step("catch up", monitor.log().catch_up(&mut view, Position::START))?;
    Some(())
}

/// The vending machine; answers nothing if a step fails.
#[inline(never)]
pub(super) fn orders<R: RecordManager>(steps: &mut Steps, log: Log<'_, R>) -> Option<()> {
    let mut shop = Shop::open(log);
    steps.step("fill", shop.fill(50))?;
    steps.step("place", shop.place(1, 3))?;
    steps.step("run", shop.run())?;
    steps.step("turnover", shop.turnover())?;
    steps.step("maintain", shop.maintain())?;
    Some(())
}

/// The pill dispenser; answers nothing if a step fails.
#[inline(never)]
pub(super) fn dispenser<R: RecordManager>(steps: &mut Steps, mut log: Log<'_, R>) -> Option<()> {
    let mut ward = Root::<Dispenser>::new(Dispenser::stream("WARD-7"));
    let mut lab = Root::<Dispenser>::new(Dispenser::stream("LAB-1"));
    for dispenser in [&mut ward, &mut lab] {
        steps.step("fit", log.execute(dispenser, |dispenser| dispenser.fit(0, Drug(300))))?;
    }
    steps.step("fill", log.execute(&mut ward, |ward| ward.fill(0, 20)))?;
    steps.step("hand over", hand_over(&mut log, &mut ward, &mut lab, Drug(300), 5))?;
    Some(())
}
