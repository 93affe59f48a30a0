//! Record managers that are careless in one way each: the cases must notice.

mod manager;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use evenkeel_tests::report::{Quiet, tell};
use manager::Fault;

/// Faults, and the case that is there to notice each.
const MEANT: [(Fault, &str); 27] = [
    (Fault::OneByOne, "case_04_a_batch_with_a_conflict_stores_nothing"),
    (Fault::HidesConflicts, "case_25_the_second_of_two_writers_conflicts"),
    (Fault::GapsAreConflicts, "finding_06_a_gap_and_a_conflict_are_different_errors"),
    (Fault::HidesTracking, "finding_07_a_tracker_accepts_its_next_position_or_an_explicit_stretch"),
    (Fault::CountsRefused, "case_66_a_conflict_takes_no_position"),
    (Fault::TellsNext, "case_65_positions_in_the_order_of_commits"),
    (Fault::CountsOneMore, "case_60_the_sections_of_an_empty_log"),
    (Fault::TellsLocal, "case_69_a_local_event_is_in_its_stream_and_no_reader_sees_it"),
    (Fault::LosesLast, "case_29_all_events_of_a_command_are_there_at_once"),
    (Fault::CutsPayloads, "case_07_a_batch_that_follows_on_is_stored"),
    (Fault::ForgetsSchema, "case_09_one_event_is_fetched_or_is_not_there"),
    (Fault::ListsNone, "case_02_streams_are_listed_each_once"),
    (Fault::ListsGhost, "case_01_an_empty_store_has_no_streams"),
    (Fault::HeadsGhosts, "case_32_an_unknown_id_is_not_found"),
    (Fault::HeadsNone, "case_35_a_stream_without_its_first_event_is_an_error"),
    (Fault::Resurrects, "case_30_what_was_discarded_is_not_found_and_stays_so"),
    (Fault::ShowsBefore, "case_12_above_a_version"),
    (Fault::ShowsBehind, "case_09_one_event_is_fetched_or_is_not_there"),
    (Fault::LosesSnapshots, "case_55_what_a_snapshot_stands_for_may_be_gone"),
    (Fault::ShowsNewestSnapshot, "case_52_the_nearest_snapshot_is_found"),
    (Fault::MisdatesSnapshots, "case_54_a_snapshot_and_later_events_equal_a_full_replay"),
    (Fault::MissesAhead, "case_76_a_reader_ahead_of_the_log_is_told"),
    (Fault::SkipsNotification, "case_70_a_reader_goes_on_where_it_was"),
    (Fault::EndsEarly, "case_75_a_log_elsewhere_is_read_in_sections"),
    (Fault::Rots, "case_67_an_archived_section_never_changes"),
    (Fault::ForgetsTrackers, "case_76_an_interrupted_transfer_goes_on_behind_what_arrived"),
    (Fault::TracksAhead, "case_84_the_reading_place_moves_on_without_a_reaction"),
];

/// The cases that fail with a fault, and those that do not.
fn noticed(fault: Fault) -> BTreeMap<&'static str, bool> {
    let mut noticed = BTreeMap::new();
    let mut visit = |case: &'static str, run: &dyn Fn()| {
        let failed = catch_unwind(AssertUnwindSafe(run)).is_err();
        assert_eq!(noticed.insert(case, failed), None, "{case} is listed twice");
    };
    evenkeel_conformance::cases!(each || fault, visit);
    noticed
}

#[test]
fn each_carelessness_is_noticed_by_its_case_and_care_is_not() {
    let quiet = Quiet::please();
    let table: Vec<_> = Fault::ALL.into_iter().map(|fault| (fault, noticed(fault))).collect();
    drop(quiet);
    let by = |fault| &table.iter().find(|(other, _)| *other == fault).expect("a fault").1;
    let failing = by(Fault::None).iter().filter(|(_, failed)| **failed).collect::<Vec<_>>();
    assert!(failing.is_empty(), "fail though nothing is wrong: {failing:?}");
    assert!(by(Fault::None).len() > 80, "{} cases", by(Fault::None).len());

    let told = MEANT.iter().map(|(fault, _)| *fault).collect::<BTreeSet<_>>();
    assert_eq!(told, Fault::ALL.into_iter().skip(1).collect(), "a fault that no case is meant to notice");
    for (fault, case) in MEANT {
        assert_eq!(by(fault).get(case), Some(&true), "{case} does not notice {fault:?}");
    }

    let mut never: BTreeSet<_> = by(Fault::None).keys().copied().collect();
    for (fault, noticed) in &table {
        let failed: Vec<_> = noticed.iter().filter(|(_, failed)| **failed).map(|(case, _)| *case).collect();
        tell(&format!("{fault:?}: noticed by {} of {} cases", failed.len(), noticed.len()));
        failed.iter().for_each(|case| _ = never.remove(case));
    }
    assert!(never.is_empty(), "no fault makes these fail: {never:?}");
}
