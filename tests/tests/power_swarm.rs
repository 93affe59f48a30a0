//! Random work and random power cuts on the geometries of real chips, a fresh seed for each run: what was
//! acknowledged is there, what was under way is there whole or not at all, and afterwards the log accepts work again.
//!
//! `EVENKEEL_SEEDS` says how many runs there are on each geometry, `EVENKEEL_SEED` replays one of them.

use evenkeel_core::error::LoadError;
use evenkeel_core::{Aggregate, Kind, Log, Position, Snapshot};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, Counters, Cut, FlashOp, SimFlash, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::life::{live, live_through, warmed};
use evenkeel_tests::oracle::{Oracle, SCRATCH, UPLINK, identity, workload};
use evenkeel_tests::report::{Replay, number, tell};
use serde::{Deserialize, Serialize};

/// Counts what was tried.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    cuts: u64,
    in_erases: u64,
    compared: u64,
    /// The largest difference of erase counts at the end of a run.
    spread: u32,
}

/// Appends that must be accepted when the faults have stopped.
const LIVELY: usize = 30;

/// One run: rounds of work under cuts, then work without.
fn run<const W: usize, const R: usize, const S: usize>(
    warm: &(SimFlash<W, R, S>, Oracle),
    seed: u64,
    tally: &mut Tally,
) {
    let mut rng = Rng::from_seed(seed);
    let (flash, mut oracle) = (warm.0.fork(), warm.1.clone());
    flash.reset_counters();
    // Each run has its own mix: how many streams and how large events, which cuts, how long until the next.
    let (streams, largest) = (1 + rng.below(4), *rng.pick(&[8, 40, 120, 400]));
    let with_weak = rng.chance(0.7);
    let reach = 3 + rng.below(9);
    let mut weak = false;
    let replaying = number("EVENKEEL_SEED").is_some();
    if replaying {
        tell(&format!("{streams} streams, events of up to {largest} B"));
    }
    for _ in 0..1 + rng.below(4) {
        let steps = workload(rng.next_u64(), 30 + rng.below(60) as usize, streams, largest);
        let mut cuts = Vec::new();
        for nth in 0..1 + rng.below(3) {
            // The first anywhere in the work, those after it mostly in what follows the mount.
            let bound = if nth == 0 { 1 << reach } else { 1 << rng.below(8) };
            let mut cut = Cut::random(rng.below(bound), W, &mut rng);
            if !with_weak {
                cut.weak = WeakRead::Off;
            }
            cuts.push(cut);
        }
        weak |= cuts.iter().any(|cut| cut.weak != WeakRead::Off);
        live_through(&flash, &mut oracle, &steps, &cuts, weak, |cut, struck, step| {
            if replaying {
                tell(&format!("{step:?}: {cut} struck {struck:?}"));
            }
            tally.cuts += 1;
            tally.in_erases += u64::from(struck.is_some_and(|struck| struck.op == FlashOp::Erase));
        });
    }
    // The faults stop: the device accepts work, and loses nothing more.
    let before = oracle.events();
    let steps: Vec<_> = workload(rng.next_u64(), 3 * LIVELY, streams, largest);
    live(&flash, &mut oracle, &steps, &mut 0, weak).expect("no cut is left");
    assert!(oracle.events() >= before + LIVELY as u64, "the log hardly accepts work again");
    flash.cut_now();
    flash.power_on();
    live(&flash, &mut oracle, &[], &mut 0, weak).expect("no cut is left");
    flash.assert_no_violations();
    let erases = flash.erase_counts();
    let spread = erases.iter().max().unwrap_or(&0) - erases.iter().min().unwrap_or(&0);
    tally.runs += 1;
    tally.compared += oracle.compared;
    tally.spread = tally.spread.max(spread);
}

/// Runs on one geometry, `runs` of them where `EVENKEEL_SEEDS` does not say otherwise.
fn swarm<const W: usize, const R: usize, const S: usize>(profile: &ChipProfile, sectors: usize, runs: u64) {
    // Large sectors take long to fill: there it goes round once only.
    let warm = warmed::<W, R, S>(profile, sectors, if S > 64 * 1024 { 1 } else { 2 }, (0, 0), 400);
    let mut tally = Tally::default();
    let seeds = match number("EVENKEEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("EVENKEEL_SEEDS").unwrap_or(runs),
    };
    for seed in seeds.clone() {
        let replay = Replay::of("power_swarm", format!("EVENKEEL_SEED={seed}"));
        run(&warm, seed, &mut tally);
        replay.passed();
    }
    let Tally { runs, cuts, in_erases, compared, spread } = tally;
    tell(&format!(
        "{}, {sectors} sectors of {S} B: {runs} runs, {cuts} cuts ({in_erases} in erases), {compared} records \
         compared, 0 lost; erase counts differ by {spread} at most",
        profile.name
    ));
    assert!(seeds.end - seeds.start < 3 || cuts > runs && compared > 100 * runs);
}

#[test]
fn power_swarm_on_nrf52840() {
    swarm::<4, 4, 4096>(&ChipProfile::NRF52840, 8, 60);
}

#[test]
fn power_swarm_on_nrf52840_with_64_sectors() {
    swarm::<4, 4, 4096>(&ChipProfile::NRF52840, 64, 10);
}

#[test]
fn power_swarm_on_rp2040_with_w25q16() {
    swarm::<1, 1, 4096>(&ChipProfile::RP2040_W25Q16, 8, 60);
}

#[test]
fn power_swarm_on_stm32l4() {
    swarm::<8, 1, 2048>(&ChipProfile::STM32L4, 8, 60);
}

#[test]
fn power_swarm_on_stm32h743() {
    swarm::<32, 1, 131_072>(&ChipProfile::STM32H743, 4, 3);
}

/// Sums what was counted.
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

/// A device that is cut off at `cut`, and then starts again and again without getting to an append.
fn crash_loop<const W: usize, const R: usize, const S: usize>(profile: &ChipProfile, cut: Cut) -> u64 {
    let flash = SimFlash::<W, R, S>::new(profile, 4);
    let region = Region::checked::<SimFlash<W, R, S>>(0..4 * S as u32).unwrap();
    let region = if profile.program_page > W { region } else { region.word_by_word() };
    let records = || FlashLog::<_, 3, 2>::new(flash.clone(), region, Retention::OverwriteAcknowledged(&[UPLINK]));
    let mut scratch = [0; SCRATCH];
    records().mount_or_format(identity(), &mut scratch).unwrap();
    let work = |log: &mut Log<'_, FlashLog<_, 3, 2>>| -> Option<()> {
        for round in 0..1000 {
            let mut meter = log.load_or_new::<Meter>(round % 3).ok()?;
            log.execute(&mut meter, |_| Ok::<_, ()>([round as u32, 1])).ok()?;
            if round % 9 == 0 {
                let last = log.bounds().last();
                log.acknowledge(UPLINK, last).ok()?;
                log.maintain::<(Meter,)>().ok()?;
            }
        }
        Some(())
    };
    flash.arm(cut);
    assert!(work(&mut Log::mount(records(), &mut scratch).unwrap()).is_none(), "the cut was never come to");
    let before = flash.counters();
    let mut read = 0;
    for boot in 0..200 {
        flash.power_on();
        let mut log = Log::mount(records(), &mut scratch).expect("a log cut off can be mounted");
        for stream in 0..3_u64 {
            match log.load::<Meter>(stream) {
                Ok(_) | Err(LoadError::NotFound) => {}
                Err(error) => panic!("stream {stream} at boot {boot}: {error}"),
            }
        }
        let mut at = Position(log.bounds().first.0 - 1);
        while let Some(next) = log.next_notification(at).unwrap() {
            at = next.last();
            read += 1;
        }
        flash.cut_now();
    }
    let Counters { words_programmed, erases, write_calls, .. } = flash.counters().since(&before);
    assert_eq!((words_programmed, erases, write_calls), (0, 0, 0), "starting wears the flash out: {cut}");
    flash.assert_no_violations();
    read
}

#[test]
fn power_cut_again_and_again_without_an_append_writes_nothing() {
    let (mut boots, mut read) = (0, 0);
    for after in [3, 40, 333, 1234] {
        for cut in Cut::all_variants(after, 4) {
            read += crash_loop::<4, 4, 4096>(&ChipProfile::NRF52840, cut.with_seed(after));
            boots += 200;
        }
        for cut in Cut::all_page_variants(after, 1).into_iter().skip(8) {
            let cut = Cut { after: cut.after * 4, ..cut };
            read += crash_loop::<1, 1, 512>(&ChipProfile::RP2040_W25Q16.with_sector(512).with_program_page(64), cut);
            boots += 200;
        }
    }
    tell(&format!("{boots} boots without an append, {read} records read: nothing programmed, nothing erased"));
}
