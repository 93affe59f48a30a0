//! A log tells how full it is, what holds it, and how worn its flash is.

use evenkeel_core::error::HeldBy;
use evenkeel_core::{Aggregate, Kind, Log, Position, Snapshot, StreamId, Tracker};
use evenkeel_flash_store::{FlashLog, Region, Retention, Status};
use evenkeel_host_sim::flash::SimFlash;
use evenkeel_tests::oracle::identity;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 512>;
type Records = FlashLog<Flash, 3, 2>;

const SECTORS: usize = 6;
const TRACKER: Tracker = Tracker(1);
const ACKNOWLEDGED: Retention = Retention::OverwriteAcknowledged(&[TRACKER]);
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

/// The status, which neither changes the flash nor what comes next.
fn status(log: &mut Log<'_, Records>) -> Status {
    let mut scratch = [0; 256];
    let status = log.records().status(&mut scratch).unwrap();
    assert_eq!(log.records().status(&mut scratch), Ok(status), "asked twice");
    assert_eq!((status.sectors, status.sectors_used + status.sectors_free), (6, 6));
    assert_eq!(status.bytes_used + status.bytes_free, 6 * 512);
    assert_eq!((status.first, status.next), (log.bounds().first, log.bounds().next));
    status
}

/// Appends up to so many events, with upkeep for snapshots in between if `maintained`, as long as there is room.
fn fill(log: &mut Log<'_, Records>, events: u64, maintained: bool) -> u64 {
    for done in 0..events {
        let mut meter = log.load_or_new::<Meter>(done % 2).unwrap();
        for _ in 0..4 {
            if log.execute(&mut meter, |_| Ok::<_, ()>([7])).is_ok() {
                break;
            }
            if maintained {
                log.maintain::<(Meter,)>().unwrap();
                meter = log.load::<Meter>(done % 2).unwrap();
            } else {
                return done;
            }
        }
    }
    events
}

#[test]
fn a_fresh_log_is_all_but_empty() {
    let flash = formatted(ACKNOWLEDGED);
    let mut scratch = [0; 256];
    let mut log = Log::mount(records(&flash, ACKNOWLEDGED), &mut scratch).unwrap();
    let found = status(&mut log);
    assert_eq!((found.sectors_used, found.sectors_unreadable), (1, 0));
    assert_eq!((found.least_erases, found.most_erases), (1, 1));
    assert_eq!((found.first, found.next, found.held_by), (Position(1), Position(1), Some(HeldBy::Policy)));
    fill(&mut log, 1, false);
    let before = status(&mut log).bytes_free;
    fill(&mut log, 1, false);
    assert!((8..40).contains(&(before - status(&mut log).bytes_free)));
}

#[test]
fn a_full_log_tells_which_tracker_holds_it_and_then_which_stream() {
    let flash = formatted(ACKNOWLEDGED);
    let mut scratch = [0; 256];
    let mut log = Log::mount(records(&flash, ACKNOWLEDGED), &mut scratch).unwrap();
    assert!(fill(&mut log, 1000, false) < 1000);
    let image = flash.image();
    let found = status(&mut log);
    assert!(flash.image() == image && found.sectors_free <= 1, "{found:?}");
    assert_eq!((found.held_by, found.first), (Some(HeldBy::Tracker(TRACKER)), Position(1)));
    let last = log.bounds().last();
    log.acknowledge(TRACKER, last).unwrap();
    let found = status(&mut log);
    assert!(matches!(found.held_by, Some(HeldBy::Stream(StreamId(0 | 1), Kind(1)))), "{found:?}");
    log.maintain::<(Meter,)>().unwrap();
    assert_eq!(status(&mut log).sectors_unreadable, 0);
    assert!(fill(&mut log, 1, false) == 1 && status(&mut log).overwritten == 0);
}

#[test]
fn after_some_laps_the_counts_of_erases_are_told_and_what_was_overwritten() {
    let flash = formatted(OLDEST);
    let mut scratch = [0; 256];
    let mut log = Log::mount(records(&flash, OLDEST), &mut scratch).unwrap();
    assert_eq!(fill(&mut log, 600, true), 600);
    let found = status(&mut log);
    let erases = flash.erase_counts();
    assert_eq!(found.least_erases, *erases.iter().min().unwrap(), "{erases:?}");
    assert_eq!(found.most_erases, *erases.iter().max().unwrap(), "{erases:?}");
    assert!(found.most_erases >= 3 && found.first.0 > 300, "{found:?}");
    assert_eq!((found.first_overwritten, found.overwritten), (Position(1), found.first.0 - 1));
    let last = log.bounds().last();
    log.acknowledge(TRACKER, last).unwrap();
    assert_eq!(status(&mut log).overwritten, 0);
}
