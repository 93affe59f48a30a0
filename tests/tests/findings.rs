//! What was found weak in the Python library and is a matter of figures: size, an end to growth, what is published. The
//! other findings are beside what they are about: `grep -rn "fn finding_"`.

use evenkeel_core::error::{LoadError, ReadError};
use evenkeel_core::{Aggregate, Kind, Log, Position, RamLog, Snapshot, Tracker};
use evenkeel_core::{Maintained, Version};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_tests::oracle::identity;
use serde::{Deserialize, Serialize};

/// Counts; its events say nothing but that they have happened.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally(u64);

impl Aggregate for Tally {
    const KIND: Kind = Kind(1);
    type Event = ();

    fn apply(&mut self, (): &()) {
        self.0 += 1;
    }
}

impl Snapshot for Tally {
    const SCHEMA: u8 = 1;
}

const SEEN: Tracker = Tracker(1);

/// An event without payload took 132 bytes there, with its hash 339; in version 9 with one number 89.
#[test]
fn finding_12_an_event_takes_few_bytes() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(RamLog::<_, 4, 2>::new([0; 1024]), &mut scratch).unwrap();
    let mut tally = log.load_or_new::<Tally>(1).unwrap();
    log.execute(&mut tally, |_| Ok::<_, ()>([()])).unwrap();
    let first = log.records().used();
    log.execute(&mut tally, |_| Ok::<_, ()>([()])).unwrap();
    assert_eq!(log.records().used() - first, 9, "in memory");

    type Flash = SimFlash<1, 1, 4096>;
    let flash = Flash::new(&ChipProfile::generic(1, 1, 4096), 4);
    let region = Region::checked::<Flash>(0..4 * 4096).unwrap();
    let mut records = FlashLog::<_>::new(flash.clone(), region, Retention::Refuse);
    records.format(identity(), &mut scratch).unwrap();
    let mut log = Log::mount(records, &mut scratch).unwrap();
    let mut tally = log.load_or_new::<Tally>(1).unwrap();
    log.execute(&mut tally, |_| Ok::<_, ()>([()])).unwrap();
    flash.reset_counters();
    log.execute(&mut tally, |_| Ok::<_, ()>([()])).unwrap();
    assert_eq!(flash.counters().words_programmed, 8, "on flash, with words of a byte");
}

/// The log grew for ever there. Here 20,000 events go through four sectors that hold some hundreds, no state is lost, and
/// what was let go is told.
#[test]
fn finding_13_a_small_log_lasts_for_ever() {
    const AGGREGATES: u64 = 8;
    const EVENTS: u64 = 20_000;
    type Flash = SimFlash<4, 4, 1024>;
    let flash = Flash::new(&ChipProfile::generic(4, 4, 1024), 4);
    let region = Region::checked::<Flash>(0..4 * 1024).unwrap();
    let (mut scratch, policy) = ([0; 256], Retention::OverwriteAcknowledged(&[SEEN]));
    let mut records = FlashLog::<_>::new(flash.clone(), region, policy);
    records.format(identity(), &mut scratch).unwrap();
    let mut log = Log::mount(records, &mut scratch).unwrap();
    let mut tallies: Vec<_> = (1..=AGGREGATES).map(|id| log.load_or_new::<Tally>(id).unwrap()).collect();
    for number in 0..EVENTS {
        log.execute(&mut tallies[(number % AGGREGATES) as usize], |_| Ok::<_, ()>([()])).unwrap();
        if number % 16 == 0 {
            let last = log.bounds().last();
            log.acknowledge(SEEN, last).unwrap();
        }
        while log.maintain::<(Tally,)>().unwrap() == Maintained::More {}
    }
    let mut other = [0; 256];
    let mut log = Log::mount(FlashLog::<_>::new(flash, region, policy), &mut other).unwrap();
    for id in 1..=AGGREGATES {
        assert_eq!(*log.load::<Tally>(id).unwrap(), Tally(EVENTS / AGGREGATES));
        assert!(matches!(log.load_at::<Tally>(id, Version(1)), Err(LoadError::Trimmed { .. })));
    }
    let bounds = log.bounds();
    assert_eq!(bounds.last(), Position(EVENTS));
    assert!(bounds.last().since(bounds.first) < 500, "{bounds:?}");
    let gone = log.next_notification(Position::START).map(|_| ());
    assert!(matches!(gone, Err(ReadError::Trimmed { first }) if first == bounds.first), "{gone:?}");
}

/// Hardly any figures were published there. Here they are, with how to make them again and with what is missed.
#[test]
fn finding_14_the_measured_pages_say_how_they_are_made_and_name_what_is_missed() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for (page, workloads) in [("benchmarks.md", "flash"), ("benchmarks-es.md", "es")] {
        let text = std::fs::read_to_string(docs.join(page)).unwrap();
        let command =
            format!("cargo run --release -p evenkeel-bench -- {workloads} [--json FILE] [--markdown docs/{page}]");
        assert!(text.contains(&command), "{page} does not say how it is made");
        let targets = text.split("## Targets").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        let judged = targets.lines().filter(|line| line.starts_with("| ")).skip(2);
        let verdicts = judged.map(|line| line.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default());
        for verdict in verdicts {
            let said = ["met", "**missed**", "not measured"].iter().any(|word| verdict.starts_with(word));
            assert!(said, "{page}: {verdict}");
        }
    }
}
