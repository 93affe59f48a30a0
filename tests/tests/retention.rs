//! What a full log gives way to: everything, what was seen, or nothing; and what was lost is told.

use evenkeel_core::error::{AppendError, ExecuteError, HeldBy, ReadError};
use evenkeel_core::{Aggregate, GapReason, Kind, Log, Notification, Position, Snapshot, Tracker};
use evenkeel_flash_store::sabotage::{self, Break};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash, TornErase};
use evenkeel_tests::life::live;
use evenkeel_tests::oracle::{Oracle, SCRATCH, Step, identity, unmounted, workload};
use evenkeel_tests::report::message;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 512>;
type Records = FlashLog<Flash, 3, 2>;

const SECTORS: usize = 4;
const TRACKER: Tracker = Tracker(1);
const OLDEST: Retention = Retention::OverwriteOldest(&[TRACKER]);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Meter {
    total: u64,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = u32;
    fn apply(&mut self, by: &u32) {
        self.total += u64::from(*by);
    }
}

impl Snapshot for Meter {
    const SCHEMA: u8 = 1;
}

fn records(flash: &Flash, retention: Retention) -> Records {
    let region = Region::checked::<Flash>(0..(SECTORS * 512) as u32).unwrap().word_by_word();
    Records::new(flash.clone(), region, retention)
}

fn formatted(retention: Retention) -> Flash {
    let flash = Flash::blank(SECTORS);
    records(&flash, retention).mount_or_format(identity(), &mut [0; 256]).unwrap();
    flash
}

/// Adds to one of two meters; upkeep writes the snapshots that are missing.
fn add(
    log: &mut Log<'_, Records>,
    number: u64,
) -> Result<(), AppendError<<Records as evenkeel_core::RecordManager>::Error>> {
    for _ in 0..6 {
        let mut meter = log.load_or_new::<Meter>(number % 2).map_err(|_| AppendError::NotMounted)?;
        match log.execute(&mut meter, |_| Ok::<_, ()>([7])) {
            Ok(_) => return Ok(()),
            Err(ExecuteError::Log(AppendError::Full { held_by: HeldBy::Stream(..) })) => {
                log.maintain::<(Meter,)>().map_err(|_| AppendError::NotMounted)?;
            }
            Err(ExecuteError::Log(error)) => return Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("maintained, and full all the same");
}

/// Reads on from `seen`: exactly what is not there any more is told as overwritten, in one gap, and all else is there.
#[track_caller]
fn told(log: &mut Log<'_, Records>, seen: u64) {
    told_at(log, seen, "");
}

#[track_caller]
fn told_at(log: &mut Log<'_, Records>, seen: u64, place: &str) {
    let bounds = log.bounds();
    let mut at = Position(seen);
    if at.next() < bounds.first {
        let expected =
            Notification::Gap { first: at.next(), last: bounds.first.previous(), reason: GapReason::Overwritten };
        assert_eq!(log.next_notification(at), Ok(Some(expected)), "{place}");
        at = bounds.first.previous();
    }
    while let Some(next) = log.next_notification(at).unwrap() {
        assert!(next.record().is_some_and(|record| record.position == Some(at.next())), "{next:?}");
        at = next.last();
    }
    assert_eq!(at.next(), bounds.next);
}

#[test]
fn a_small_ring_never_refuses_for_a_tracker_and_tells_what_it_has_lost() {
    let flash = formatted(OLDEST);
    let (mut scratch, mut seen) = ([0; 256], 0);
    for boot in 0..20_u64 {
        let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
        told(&mut log, seen);
        for number in 0..37 {
            add(&mut log, number).unwrap();
            if number % 5 == 0 {
                told(&mut log, seen);
            }
        }
        if boot % 3 == 2 {
            seen = log.bounds().last().0 - boot;
            log.acknowledge(TRACKER, Position(seen)).unwrap();
        }
    }
    let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
    assert_eq!(log.bounds().last(), Position(20 * 37));
    // What had been seen when it went was not lost.
    let first = log.bounds().first;
    assert_eq!(log.next_notification(Position(1)), Err(ReadError::Trimmed { first }));
    flash.assert_no_violations();
}

#[test]
fn what_was_overwritten_is_told_after_power_cuts_around_the_erase() {
    for erase in [TornErase::Unchanged, TornErase::Complete] {
        for after in 0..160 {
            let flash = formatted(OLDEST);
            let mut scratch = [0; 256];
            let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
            (0..60).for_each(|number| add(&mut log, number).unwrap());
            let acknowledged = log.bounds().last().0;
            flash.arm(Cut { erase, ..Cut::after(after) });
            let mut done = 0;
            while flash.is_powered() && done < 100 && add(&mut log, done).is_ok() {
                done += 1;
            }
            drop(log);
            flash.disarm();
            flash.power_on();
            let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
            assert!(log.bounds().last().0 >= acknowledged + done, "cut {after}");
            told_at(&mut log, 0, &format!("after cut {after}, {erase:?}"));
            (0..20).for_each(|number| add(&mut log, number).unwrap());
            told(&mut log, 0);
            let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
            told(&mut log, 0);
        }
    }
}

/// The checks of G8 can fail: a sector that goes before it was seen, or before its streams have snapshots.
#[test]
fn letting_go_too_early_is_caught() {
    let run = |rule: Option<Break>| {
        let profile = ChipProfile::generic(4, 4, 512);
        sabotage::set(rule);
        let lived = std::panic::catch_unwind(|| {
            let flash = SimFlash::<4, 4, 512>::new(&profile, 4);
            unmounted(&flash).mount_or_format(identity(), &mut [0; SCRATCH]).unwrap();
            let mut steps = workload(5, 200, 4, 50);
            // What is acknowledged is only what a full log asks for.
            steps.retain(|step| matches!(step, Step::Append(_) | Step::Maintain));
            live(&flash, &mut Oracle::default(), &steps, &mut 0, false).expect("power was never cut");
        });
        sabotage::set(None);
        lived.err().map(|panic| message(&*panic))
    };
    assert_eq!(run(None), None);
    let unseen = run(Some(Break::Retention)).expect("the break went unnoticed");
    assert!(unseen.contains("were let go"), "caught for another reason: {unseen}");
    let unreplaced = run(Some(Break::Snapshots)).expect("the break went unnoticed");
    assert!(unreplaced.contains("stream"), "caught for another reason: {unreplaced}");
}

#[test]
fn other_policies_hold_what_was_not_seen() {
    for retention in [Retention::Refuse, Retention::OverwriteAcknowledged(&[TRACKER])] {
        let flash = formatted(retention);
        let mut scratch = [0; 256];
        let mut log = Log::mount(records(&flash, retention), &mut scratch).unwrap();
        let refused = (0..1000).find_map(|number| add(&mut log, number).err()).unwrap();
        let expected = match retention {
            Retention::Refuse => HeldBy::Policy,
            _ => HeldBy::Tracker(TRACKER),
        };
        assert_eq!(refused, AppendError::Full { held_by: expected });
        assert_eq!(log.bounds().first, Position(1));
        told(&mut log, 0);
        let last = log.bounds().last();
        log.acknowledge(TRACKER, last).unwrap();
        let more = add(&mut log, 0);
        assert_eq!(more.is_ok(), retention != Retention::Refuse, "{more:?}");
    }
}

/// At the start of a lap all sectors have been erased as often as the newest. Each was taken for one that had been erased
/// more often than the others and was set aside, and for the next of them one more was let go, until the newest alone was
/// left. Only the next mount found the others again.
#[test]
fn a_new_lap_lets_nothing_go_that_is_not_in_its_way() {
    let flash = formatted(OLDEST);
    let mut scratch = [0; 256];
    let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
    let mut least = u64::MAX;
    for number in 0..1000 {
        add(&mut log, number).unwrap();
        let bounds = log.bounds();
        if flash.erase_counts().iter().all(|erases| *erases > 1) {
            least = least.min(bounds.next.0 - bounds.first.0);
        }
    }
    assert!(flash.erase_counts().iter().all(|erases| *erases > 4));
    assert!((30..200).contains(&least), "at times only {least} events are left");
}
