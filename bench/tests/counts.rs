//! Evenkeel's counts, which are exact: a change of any of them is a change of the format or of the algorithms.

use evenkeel_bench::evenkeel::Evenkeel;
use evenkeel_bench::flash::CountingFlash;
use evenkeel_bench::system::{Event, System};
use evenkeel_bench::workload::{self, Figures, Work};

const WORK: Work = Work { sectors: 8, payload: 16, streams: 1, batch: 1 };
const EVENTS: u64 = 1_000;

/// A figure for each event as the count that it came from.
fn count(figures: &Figures, metric: &str, of: u64) -> u64 {
    let found = figures.iter().find(|(name, _)| *name == metric);
    let (_, value) = found.unwrap_or_else(|| panic!("no figure {metric}"));
    (value * of as f64).round() as u64
}

/// Bytes, write calls, reads in appends, erases in appends, words programmed twice.
fn appended<const WORD: usize>(work: Work) -> [u64; 5] {
    let figures = workload::append::<Evenkeel<WORD>, WORD>(work, EVENTS);
    [
        count(&figures, "bytes_per_event", EVENTS),
        count(&figures, "write_calls_per_event", EVENTS),
        count(&figures, "reads_per_event", EVENTS),
        count(&figures, "erases_in_append", 1),
        count(&figures, "rewritten_words", 1),
    ]
}

#[test]
fn appends_write_what_they_wrote_before() {
    assert_eq!(appended::<1>(WORK), [24339, 1015, 5, 0, 0]);
    assert_eq!(appended::<4>(WORK), [24360, 1015, 5, 0, 0]);
    assert_eq!(appended::<32>(WORK), [32672, 1021, 8, 0, 0]);
    assert_eq!(appended::<4>(Work { payload: 64, ..WORK }), [73148, 1043, 18, 0, 0]);
}

#[test]
fn appends_to_sixteen_streams_write_what_they_wrote_before() {
    assert_eq!(appended::<4>(Work { streams: 16, ..WORK }), [25672, 1032, 6, 0, 0]);
}

#[test]
fn batches_write_what_they_wrote_before() {
    assert_eq!(appended::<4>(Work { batch: 8, ..WORK }), [20340, 140, 5, 0, 0]);
}

#[test]
fn acknowledging_writes_one_record() {
    let flash = CountingFlash::<4>::blank(32);
    let mut log: Evenkeel<4> = System::format(flash.clone(), 256);
    for version in 1..=1_500 {
        log.append(&[Event { stream: None, version, payload: &[7; 16] }]);
        log.upkeep();
    }
    let before = flash.counters();
    log.acknowledge(1_000);
    let done = flash.counters().since(&before);
    assert_eq!((done.written_bytes, done.writes, done.reads), (12, 1, 0));
}

#[test]
fn a_cold_acknowledgement_leaves_the_place_of_the_stop() {
    let figures = workload::acknowledge::<Evenkeel<4>, 4>(Work { sectors: 32, ..WORK });
    assert_eq!(count(&figures, "rewritten_words", 1), 0);
    assert_eq!(count(&figures, "bytes", 1), 48);
}
