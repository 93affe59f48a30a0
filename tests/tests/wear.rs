//! Sectors wear evenly, also if power fails ten thousand times: the counts of erases of any two sectors differ by at
//! most 1, those included that were cut off.
//!
//! What is read is compared at every start, too, though briefly: losing events is no way to wear evenly.

use evenkeel_host_sim::flash::{ChipProfile, Cut, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::life::{live_through, warmed};
use evenkeel_tests::oracle::workload;
use evenkeel_tests::report::{Replay, hunting, number, tell};

/// How far apart the erase counts of two sectors may be; `EVENKEEL_SPREAD` asks for less, to see how a run goes on.
const SPREAD: u32 = 1;

/// Cuts in a row on one chip; the first lap is past.
fn wear<const W: usize, const R: usize, const S: usize>(profile: &ChipProfile, sectors: usize, cuts: u64) {
    let cuts = if cfg!(debug_assertions) { cuts / 7 } else { cuts };
    let seed = number("EVENKEEL_SEED").unwrap_or(1);
    let allowed = number("EVENKEEL_SPREAD").map_or(SPREAD, |spread| spread as u32);
    let replay = Replay::of("wear", format!("EVENKEEL_SEED={seed}"));
    let (flash, mut oracle) = warmed::<W, R, S>(profile, sectors, 1, (seed, 0), 200);
    oracle.brief = true;
    let before = flash.erase_counts().iter().sum::<u32>();
    let mut rng = Rng::from_seed(seed);
    let (mut struck, mut in_erases, mut weak) = (0, 0, false);
    while struck < cuts {
        // Three starts in a row: power fails in the work, then somewhere behind the mount, then in what follows.
        let reach = [1 << (3 + rng.below(7)), 1 << rng.below(8), 1 << rng.below(8)];
        let planned: Vec<_> = reach.iter().map(|bound| Cut::random(rng.below(*bound), W, &mut rng)).collect();
        weak |= planned.iter().any(|cut| cut.weak != WeakRead::Off);
        let steps = workload(rng.next_u64(), 20 + rng.below(20) as usize, 4, 120);
        live_through(&flash, &mut oracle, &steps, &planned, weak, |_, at, _| {
            struck += 1;
            in_erases += u64::from(at.is_some_and(|at| at.op == evenkeel_host_sim::flash::FlashOp::Erase));
            let erases = flash.erase_counts();
            let spread = erases.iter().max().unwrap_or(&0) - erases.iter().min().unwrap_or(&0);
            let due = struck % 100 == 0 || struck == cuts;
            assert!(!due || spread <= allowed, "after {struck} cuts the erase counts are {erases:?}");
        });
    }
    flash.assert_no_violations();
    let erases = flash.erase_counts();
    tell(&format!(
        "{}, {sectors} sectors of {S} B: {struck} cuts ({in_erases} in erases), {} erases, counts from {} to {}, {} \
         events, {} records compared, 0 lost",
        profile.name,
        erases.iter().sum::<u32>() - before,
        erases.iter().min().unwrap_or(&0),
        erases.iter().max().unwrap_or(&0),
        oracle.events(),
        oracle.compared
    ));
    replay.passed();
}

#[test]
fn power_cut_ten_thousand_times_wears_8_sectors_evenly() {
    if !hunting("even wear of 8 sectors over 10,000 power cuts") {
        return;
    }
    wear::<4, 4, 4096>(&ChipProfile::NRF52840, 8, 10_000);
}

#[test]
fn power_cut_ten_thousand_times_wears_16_sectors_evenly() {
    if !hunting("even wear of 16 sectors over 10,000 power cuts") {
        return;
    }
    wear::<4, 4, 4096>(&ChipProfile::NRF52840, 16, 10_000);
}

#[test]
fn power_cut_two_thousand_times_wears_an_spi_flash_evenly() {
    if !hunting("even wear of SPI flash over 2,000 power cuts") {
        return;
    }
    wear::<1, 1, 4096>(&ChipProfile::RP2040_W25Q16, 8, 2_000);
}
