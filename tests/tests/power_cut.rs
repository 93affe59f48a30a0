//! Power is cut at every word and every erase of a workload, in every way, and again at every point of the
//! recovery: what was acknowledged is there, what was under way is there whole or not at all, and the log goes on.

use evenkeel_core::Log;
use evenkeel_flash_store::sabotage::{self, Break};
use evenkeel_host_sim::flash::{ChipProfile, Cut, FlashOp, SimFlash, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::oracle::{Oracle, PowerCut, SCRATCH, Step, identity, unmounted, workload};

/// Counts what was tried.
#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    nested: u64,
    compared: u64,
}

/// Runs the steps from `*done` on until they are done or power is cut.
fn live<const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    oracle: &mut Oracle,
    steps: &[Step],
    done: &mut usize,
    weak: bool,
) -> Result<(), PowerCut> {
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(unmounted(flash), &mut scratch).expect("a log cut off can be mounted");
    oracle.check_after_mount(&mut log, weak);
    while let Some(step) = steps.get(*done) {
        *done += 1;
        oracle.step(&mut log, flash, step)?;
    }
    oracle.compare(&mut log);
    Ok(())
}

/// One life with these cuts, one after another; afterwards the device lives on without faults.
fn life<const W: usize, const R: usize, const S: usize>(
    fresh: &SimFlash<W, R, S>,
    oracle: &Oracle,
    steps: &[Step],
    cuts: &[Cut],
    tally: &mut Tally,
) -> u64 {
    let flash = fresh.fork();
    let (mut oracle, mut done) = (oracle.clone(), 0);
    flash.arm_each_boot(cuts.iter().copied());
    let mut recovery = 0;
    let mut boots = 0;
    while live(&flash, &mut oracle, steps, &mut done, cuts.iter().any(|cut| cut.weak != WeakRead::Off)).is_err() {
        boots += 1;
        assert!(boots <= cuts.len(), "power fails without being cut");
        recovery = flash.cut_points();
        oracle.erase_was_cut |= flash.last_struck().is_some_and(|struck| struck.op == FlashOp::Erase);
        flash.power_on();
    }
    // Once more from the start, as what was written after the recovery must be found too.
    flash.power_on();
    live(&flash, &mut oracle, &[], &mut 0, true).expect("no cut is left");
    flash.assert_no_violations();
    tally.compared += oracle.compared;
    flash.cut_points() - recovery
}

/// Every point and every variant; and behind each `stride`-th of them every point of the rest of that life.
fn exhaust<const W: usize, const R: usize, const S: usize>(
    sectors: usize,
    page: usize,
    seed: u64,
    steps: usize,
    nest: usize,
) -> Tally {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let flash = SimFlash::<W, R, S>::new(&profile, sectors);
    let mut scratch = [0; SCRATCH];
    unmounted(&flash).mount_or_format(identity(), &mut scratch).unwrap();
    // A log that has gone round already: retention, old sectors and a wrapped ring are part of the picture.
    let mut oracle = Oracle::default();
    let warm = workload(seed, 120, 4, S / 10);
    live(&flash, &mut oracle, &warm, &mut 0, false).expect("nothing cuts power yet");
    let steps = workload(seed + 1, steps, 4, S / 10);
    let mut tally = Tally::default();
    let start = flash.cut_points();
    let points = life(&flash, &oracle, &steps, &[], &mut tally).saturating_sub(start);
    assert!(points > 50, "only {points} cut points");
    if let Ok(cuts) = std::env::var("EVENKEEL_CUTS") {
        let cuts: Vec<Cut> = cuts.split(';').map(|cut| cut.parse().expect("a cut as it was printed")).collect();
        life(&flash, &oracle, &steps, &cuts, &mut tally);
        return tally;
    }
    let variants = |after| if page > W { Cut::all_page_variants(after, W) } else { Cut::all_variants(after, W) };
    for after in 0..points {
        for (index, cut) in variants(after).into_iter().enumerate() {
            let cut = cut.with_seed(seed ^ after << 8 ^ index as u64);
            let rest = replayable(&cut, None, || life(&flash, &oracle, &steps, &[cut], &mut tally));
            tally.cuts += 1;
            if nest == 0 || !(after as usize * 31 + index).is_multiple_of(nest) {
                continue;
            }
            for then in 0..rest.min(40) {
                let second = Cut::random(then, W, &mut Rng::from_seed(seed ^ after << 20 ^ then));
                replayable(&cut, Some(&second), || life(&flash, &oracle, &steps, &[cut, second], &mut tally));
                tally.nested += 1;
            }
        }
    }
    tally
}

/// Says which cuts they were, if the life under them fails.
fn replayable<T>(cut: &Cut, second: Option<&Cut>, life: impl FnOnce() -> T) -> T {
    struct Tell<'c>(&'c Cut, Option<&'c Cut>);
    impl Drop for Tell<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let second = self.1.map(|cut| format!(";{cut}")).unwrap_or_default();
                let test = std::thread::current().name().unwrap_or_default().to_owned();
                eprintln!(
                    "replay: EVENKEEL_CUTS='{}{second}' cargo test -p evenkeel-tests --test power_cut -- {test}",
                    self.0
                );
            }
        }
    }
    let tell = Tell(cut, second);
    let outcome = life();
    std::mem::forget(tell);
    outcome
}

fn report(name: &str, tally: &Tally) {
    println!(
        "{name}: {} cut points tried, {} nested ones, {} records compared, 0 lost",
        tally.cuts + tally.nested,
        tally.nested,
        tally.compared
    );
    let replaying = std::env::var("EVENKEEL_CUTS").is_ok();
    assert!(replaying || tally.cuts > 500 && tally.compared > 5000);
}

#[test]
fn power_cut_anywhere_with_words_of_4_bytes() {
    report("4 B words, 3 sectors of 512 B", &exhaust::<4, 4, 512>(3, 4, 11, 25, 40));
}

#[test]
fn power_cut_anywhere_with_words_of_1_byte_in_pages() {
    report("1 B words in pages of 64 B, 4 sectors of 512 B", &exhaust::<1, 1, 512>(4, 64, 12, 8, 200));
}

#[test]
fn power_cut_anywhere_with_words_of_8_bytes() {
    report("8 B words, 3 sectors of 512 B", &exhaust::<8, 4, 512>(3, 8, 13, 40, 40));
}

#[test]
fn power_cut_anywhere_with_words_of_16_bytes() {
    report("16 B words, 4 sectors of 1 KiB", &exhaust::<16, 1, 1024>(4, 16, 14, 40, 40));
}

#[test]
fn power_cut_anywhere_with_words_of_32_bytes() {
    report("32 B words, 3 sectors of 1 KiB", &exhaust::<32, 4, 1024>(3, 32, 15, 60, 20));
}

#[test]
fn power_cut_anywhere_in_the_smallest_ring() {
    report("4 B words, 2 sectors of 1 KiB", &exhaust::<4, 4, 1024>(2, 4, 16, 20, 60));
}

/// The check can fail: without the torn-tail rule a cut loses events or programs a word twice.
#[test]
fn a_broken_torn_tail_rule_is_caught() {
    sabotage::set(Some(Break::TornTailRule));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| exhaust::<4, 4, 512>(3, 4, 11, 25, 0));
    std::panic::set_hook(hook);
    sabotage::set(None);
    let message = *caught.expect_err("the break went unnoticed").downcast::<String>().unwrap();
    println!("caught: {}", message.lines().next().unwrap_or_default());
    assert!(message.contains("ProgrammedTwice"), "caught for another reason: {message}");
}
