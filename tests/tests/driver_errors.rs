//! The driver fails: once, a few times, or for ever at one place. What was acknowledged stays, an append that failed is
//! there whole or not at all, a place that fails for ever costs no more than itself, and the log goes on.

use evenkeel_core::{Log, RecordManager};
use evenkeel_flash_store::sabotage::{self, Break};
use evenkeel_host_sim::flash::{ChipProfile, FlashOp, Leaves, SimFlash, Times};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::life::warmed;
use evenkeel_tests::oracle::{Oracle, SCRATCH, Step, unmounted, workload};
use evenkeel_tests::report::{Findings, Quiet, command, hunting, message, number, tell};

/// So often a step is tried that the driver makes fail.
const TRIES: u32 = 12;

/// How to go on behind an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// With the log as it is: it finds out by itself how far it got.
    GoesOn,
    /// The device starts again.
    Starts,
}

/// Does the steps, each of them until it works.
fn persevere<const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    oracle: &mut Oracle,
    steps: &[Step],
    then: Then,
) -> u64 {
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(unmounted(flash), &mut scratch).unwrap_or_else(|error| panic!("mounting: {error}"));
    oracle.driver_fails = true;
    oracle.check_after_mount(&mut log, false);
    let mut failed = 0;
    for step in steps {
        for tried in 0.. {
            assert!(tried < TRIES, "{step:?} fails {TRIES} times in a row");
            if oracle.step(&mut log, flash, step).is_ok() {
                break;
            }
            failed += 1;
            if then == Then::Starts {
                let (records, scratch) = log.parts();
                *records = unmounted(flash);
                records.mount(scratch).unwrap_or_else(|error| panic!("mounting: {error}"));
            } else {
                // Any call finds out what became of what was begun.
                let _ = log.head(0_u64);
            }
            oracle.check_after_mount(&mut log, false);
        }
    }
    failed
}

/// At the end the driver works again, and all is compared from the start.
fn afterwards<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>, oracle: &mut Oracle) {
    flash.clear_failures();
    let mut scratch = [0; SCRATCH];
    oracle.brief = false;
    let mut log = Log::mount(unmounted(flash), &mut scratch).expect("a log can be mounted");
    oracle.check_after_mount(&mut log, false);
    for step in workload(99, 20, 4, 40) {
        oracle.step(&mut log, flash, &step).expect("the driver works again");
    }
    oracle.compare(&mut log);
    flash.assert_no_violations();
}

/// At most so many cases are `known` to lose or block something, which may only go down: writes that left a part.
///
/// Each call of a workload fails, from one to four times in a row, and leaves nothing, half or all of it done.
fn transient<const W: usize, const R: usize, const S: usize>(test: &str, sectors: usize, page: usize, known: u64) {
    let quiet = Quiet::please();
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let (mut findings, mut cases, mut failed) = (Findings::default(), 0, 0);
    let warm = warmed::<W, R, S>(&profile, sectors, 1, (3, 5), S / 10);
    let steps = workload(4, 10, 4, S / 10);
    let stride = if cfg!(debug_assertions) { 5 } else { 1 };
    for op in [FlashOp::Read, FlashOp::Write, FlashOp::Erase] {
        for after in (0..400_u32).step_by(stride) {
            for (nth, leaves) in [Leaves::Nothing, Leaves::Part, Leaves::All].into_iter().enumerate() {
                // A failing read leaves nothing in any case.
                if op == FlashOp::Read && nth > 0 {
                    continue;
                }
                let case = u64::from(after) << 8 | nth as u64;
                if number("EVENKEEL_CASE").is_some_and(|only| only != case) {
                    continue;
                }
                let then = if after % 2 == 0 { Then::GoesOn } else { Then::Starts };
                let run = || {
                    let (flash, mut oracle) = (warm.0.fork(), warm.1.clone());
                    flash.set_leaves(leaves);
                    flash.fail_later(op, after, 1 + after % 4);
                    let failed = persevere(&flash, &mut oracle, &steps, then);
                    afterwards(&flash, &mut oracle);
                    failed
                };
                let replay = || {
                    let what = format!("{op} call {after} fails {} times, leaves {leaves:?}, {then:?}", 1 + after % 4);
                    format!("{what}; {}", command(&format!("EVENKEEL_CASE={case}"), "driver_errors", test))
                };
                let run = findings.case(replay, run);
                cases += 1;
                failed += run.unwrap_or(0);
            }
        }
    }
    drop(quiet);
    tell(&format!(
        "{W} B words, {sectors} sectors of {S} B: {cases} driver errors, {failed} calls of the log failed, {} findings",
        findings.count
    ));
    assert!(findings.count <= known, "{} cases lose or block something, more than the {known} known", findings.count);
}

#[test]
fn a_driver_that_fails_for_a_while_costs_nothing_with_words_of_4_bytes() {
    transient::<4, 4, 512>("a_driver_that_fails_for_a_while_costs_nothing_with_words_of_4_bytes", 3, 4, 2);
}

#[test]
fn a_driver_that_fails_for_a_while_costs_nothing_with_pages() {
    transient::<1, 1, 512>("a_driver_that_fails_for_a_while_costs_nothing_with_pages", 4, 64, 6);
}

/// A few bytes fail for ever from some moment on: for writes before anything is in them.
#[test]
fn a_place_that_never_works_again_costs_itself() {
    if !hunting("a place that can never be written costs itself alone") {
        return;
    }
    const TEST: &str = "a_place_that_never_works_again_costs_itself";
    let quiet = Quiet::please();
    let profile = ChipProfile::generic(4, 4, 512);
    let warm = warmed::<4, 4, 512>(&profile, 4, 1, (3, 5), 50);
    let (mut findings, mut failed) = (Findings::default(), 0);
    let cases = if cfg!(debug_assertions) { 300 } else { 6_000 };
    for seed in (0..cases).filter(|seed| number("EVENKEEL_SEED").is_none_or(|only| only == *seed)) {
        let mut rng = Rng::from_seed(seed);
        let at = 4 * rng.below(4 * 512 / 4) as u32;
        let len = 4 * (1 + rng.below(4)) as u32;
        let steps = workload(rng.next_u64(), 60, 4, 50);
        let then = *rng.pick(&[Then::GoesOn, Then::Starts]);
        let run = || {
            let (flash, mut oracle) = (warm.0.fork(), warm.1.clone());
            oracle.brief = true;
            flash.set_leaves(*rng.pick(&[Leaves::Nothing, Leaves::Part]));
            flash.fail_at(at..at + len, FlashOp::Write, Times::Forever);
            let failed = persevere(&flash, &mut oracle, &steps, then);
            afterwards(&flash, &mut oracle);
            failed
        };
        let replay = || {
            let what = format!("writes at {at:#x} for {len} bytes fail for ever, {then:?}");
            format!("{what}; {}", command(&format!("EVENKEEL_SEED={seed}"), "driver_errors", TEST))
        };
        failed += findings.case(replay, run).unwrap_or(0);
    }
    drop(quiet);
    tell(&format!("{cases} places that cannot be written: {failed} calls failed, {} findings", findings.count));
    findings.assert_none();
}

/// A sector that cannot be erased any more is passed over.
#[test]
fn a_sector_that_never_erases_again_is_passed_over() {
    if !hunting("a sector that never erases again is passed over") {
        return;
    }
    const TEST: &str = "a_sector_that_never_erases_again_is_passed_over";
    let quiet = Quiet::please();
    let profile = ChipProfile::generic(4, 4, 512);
    let warm = warmed::<4, 4, 512>(&profile, 4, 1, (3, 5), 50);
    let (mut findings, mut failed) = (Findings::default(), 0);
    for seed in (0..40).filter(|seed| number("EVENKEEL_SEED").is_none_or(|only| only == *seed)) {
        let sector = seed as u32 % 4;
        let run = || {
            let (flash, mut oracle) = (warm.0.fork(), warm.1.clone());
            oracle.brief = true;
            flash.set_leaves(if seed % 8 < 4 { Leaves::Nothing } else { Leaves::All });
            flash.fail_at(sector * 512..(sector + 1) * 512, FlashOp::Erase, Times::Forever);
            let steps = workload(seed, 150, 4, 50);
            let failed = persevere(&flash, &mut oracle, &steps, if seed < 20 { Then::GoesOn } else { Then::Starts });
            afterwards(&flash, &mut oracle);
            failed
        };
        let replay = || {
            let variables = format!("EVENKEEL_SEED={seed}");
            format!("sector {sector} never erases; {}", command(&variables, "driver_errors", TEST))
        };
        failed += findings.case(replay, run).unwrap_or(0);
    }
    drop(quiet);
    tell(&format!("40 sectors that cannot be erased: {failed} calls failed, {} findings", findings.count));
    findings.assert_none();
}

/// The check of G9 can fail: a log that does not find out what became of a write that failed never works again.
#[test]
fn a_log_that_stays_down_after_an_error_is_caught() {
    let warm = warmed::<4, 4, 512>(&ChipProfile::generic(4, 4, 512), 3, 1, (3, 5), 50);
    let run = |rule: Option<Break>| {
        sabotage::set(rule);
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (flash, mut oracle) = (warm.0.fork(), warm.1.clone());
            flash.set_leaves(Leaves::Nothing);
            flash.fail_later(FlashOp::Write, 1, 1);
            let failed = persevere(&flash, &mut oracle, &workload(4, 10, 4, 50), Then::GoesOn);
            assert!(failed > 0, "no write failed");
        }));
        sabotage::set(None);
        lived.err().map(|panic| message(&*panic))
    };
    assert_eq!(run(None), None);
    let told = run(Some(Break::FindingOut)).expect("the break went unnoticed");
    assert!(told.contains("NotMounted"), "caught for another reason: {told}");
}
