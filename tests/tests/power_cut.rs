//! Power is cut at every word and every erase of many workloads, in every way, and again at the points of the
//! recovery, and again in the recovery from that: what was acknowledged is there, what was under way is there whole or
//! not at all, and the log goes on.
//!
//! Every case is a life of its own, from a copy of a log that has gone round its ring: it is cut off, started again,
//! works on to the end, is cut off once more and compared in full (`evenkeel_tests::life`). A failing one prints the
//! command that replays it. `EVENKEEL_SEEDS` says how many workloads there are on each geometry, `EVENKEEL_GEOMETRY`
//! on which, and `EVENKEEL_FROM` the first of them: so that as many cut points can be tried that nobody has seen before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use evenkeel_flash_store::sabotage::{self, Break};
use evenkeel_host_sim::flash::{ChipProfile, Cut, TornErase, TornPage, TornWord, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::life::{life, warmed};
use evenkeel_tests::oracle::workload;
use evenkeel_tests::report::{Findings, Quiet, command, message, number, tell};

/// Counts what was tried.
#[derive(Debug, Default, Clone)]
struct Tally {
    workloads: u64,
    /// Lives with one cut, with two and with three. A cut that was not come to does not count.
    cuts: [u64; 3],
    compared: u64,
    losses: Findings,
}

impl Tally {
    fn tried(&self) -> u64 {
        self.cuts.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.workloads += other.workloads;
        self.compared += other.compared;
        self.losses.count += other.losses.count;
        self.cuts.iter_mut().zip(other.cuts).for_each(|(sum, cuts)| *sum += cuts);
    }
}

/// A kind of flash, and how many cuts are tried on it in a release build.
struct Geometry {
    name: &'static str,
    sweep: fn(&'static str, u64) -> Tally,
    cuts: u64,
}

/// Words, reads and sectors in bytes, number of sectors, program page, cuts.
macro_rules! geometries {
    ($($word:literal $read:literal $sector:literal x $sectors:literal page $page:literal: $cuts:literal;)*) => {
        &[$(Geometry {
            name: concat!($word, "-", $read, "-", $sector, "-", $sectors, "-", $page),
            sweep: |name, quota| sweep::<$word, $read, $sector>(name, $sectors, $page, quota),
            cuts: $cuts,
        }),*]
    };
}

const GEOMETRIES: &[Geometry] = geometries! {
    1 1 256 x 3 page 1: 60_000;
    1 1 256 x 8 page 64: 50_000;
    1 4 512 x 3 page 1: 40_000;
    1 1 512 x 4 page 64: 60_000;
    1 1 512 x 2 page 128: 30_000;
    1 1 1024 x 3 page 256: 40_000;
    2 1 256 x 4 page 2: 50_000;
    2 1 512 x 3 page 2: 40_000;
    4 4 256 x 3 page 4: 60_000;
    4 4 256 x 8 page 4: 50_000;
    4 4 512 x 3 page 4: 60_000;
    4 4 512 x 4 page 64: 40_000;
    4 1 512 x 2 page 4: 40_000;
    4 4 1024 x 2 page 4: 40_000;
    4 4 1024 x 4 page 4: 30_000;
    8 4 256 x 4 page 8: 50_000;
    8 4 512 x 3 page 8: 50_000;
    8 1 512 x 8 page 8: 50_000;
    16 1 512 x 3 page 16: 50_000;
    16 1 1024 x 4 page 16: 30_000;
    32 4 1024 x 3 page 32: 50_000;
    32 1 1024 x 4 page 32: 40_000;
};

/// A debug build tries so much less.
const DEBUG_SHARE: u64 = 33;
/// Behind one of so many cuts a second is tried at many points, and behind one of so many of these a third.
const NESTED: u64 = 60;
const NESTED_TWICE: u64 = 5;
/// So many points behind a cut are cut again: those of the recovery and of the work that follows.
const BEHIND: u64 = 40;

/// Every kind of cut of such a chip at this point.
///
/// A torn word that cannot be read takes along what is read with it. So there is none where one read is of several
/// words: chips with error correction correct whole reads.
fn variants<const W: usize, const R: usize>(after: u64, page: usize) -> Vec<Cut> {
    let mut all = if page > W { Cut::all_page_variants(after, W) } else { Cut::all_variants(after, W) };
    // Flash of large words has error correction: there whatever is torn may be unreadable.
    if W >= 8 {
        let torn = [
            (TornWord::None, TornErase::Unchanged),
            (TornWord::All, TornErase::WeakBlank),
            (TornWord::BytePrefix(W as u8 / 2), TornErase::RandomBits),
        ];
        all.extend(torn.map(|(word, erase)| Cut { word, erase, weak: WeakRead::Ecc, ..Cut::after(after) }));
    }
    all.retain(|cut| cut.weak != WeakRead::Ecc || R <= W);
    all
}

/// Any of them, in pages or not.
fn random<const W: usize, const R: usize>(after: u64, rng: &mut Rng) -> Cut {
    let cut = Cut::random(after, W, rng);
    if cut.weak == WeakRead::Ecc && R > W { Cut { weak: WeakRead::Flicker, ..cut } } else { cut }
}

/// The cuts as they are given on the command line.
fn listed(cuts: &[Cut]) -> String {
    cuts.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

/// One geometry: workload after workload is cut everywhere, until so many cuts have been tried.
fn sweep<const W: usize, const R: usize, const S: usize>(
    name: &'static str,
    sectors: usize,
    page: usize,
    quota: u64,
) -> Tally {
    let mut tally = Tally::default();
    let seeds = match number("EVENKEEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("EVENKEEL_FROM").unwrap_or(0);
            first..first + number("EVENKEEL_SEEDS").unwrap_or(10_000)
        }
    };
    let counted = number("EVENKEEL_SEED").is_none() && number("EVENKEEL_SEEDS").is_none();
    for seed in seeds {
        if counted && tally.tried() >= quota || tally.losses.count > 5000 {
            break;
        }
        exhaust::<W, R, S>(name, (sectors, page), seed, if counted { quota } else { u64::MAX }, &mut tally);
        tally.workloads += 1;
    }
    tally
}

/// One workload: every point and every variant; and behind some of them many points of the rest of that life.
fn exhaust<const W: usize, const R: usize, const S: usize>(
    name: &str,
    (sectors, page): (usize, usize),
    seed: u64,
    quota: u64,
    tally: &mut Tally,
) {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let mut rng = Rng::from_seed(seed ^ (W as u64) << 40 ^ (S as u64) << 48 ^ (sectors as u64) << 32);
    let largest = S / *rng.pick(&[20, 10, 10, 6]);
    // Not every life begins at the same place of a sector.
    let warm = warmed::<W, R, S>(&profile, sectors, 1, (rng.next_u64() >> 20, rng.below(30) as usize), largest);
    let steps = workload(rng.next_u64(), 6 + rng.below(6) as usize, 4, largest);
    let try_out = |cuts: &[Cut], brief: bool, tally: &mut Tally| -> Option<u64> {
        let variables = || format!("EVENKEEL_GEOMETRY={name} EVENKEEL_SEED={seed} EVENKEEL_CUTS='{}'", listed(cuts));
        let replay = || format!("on {name}, {}", command(&variables(), "power_cut", "power_cut_everywhere"));
        let lived = tally.losses.case(replay, || life(&warm, &steps, cuts, brief))?;
        tally.compared += lived.compared;
        if let Some(count) = lived.cuts.checked_sub(1).and_then(|nth| tally.cuts.get_mut(nth)) {
            *count += 1;
        }
        (lived.cuts == cuts.len()).then_some(lived.rest)
    };
    if let Ok(cuts) = std::env::var("EVENKEEL_CUTS") {
        let cuts: Vec<Cut> = cuts.split(';').map(|cut| cut.parse().expect("a cut as it was printed")).collect();
        try_out(&cuts, false, tally);
        // Whether it was seen depends on what was read: as it was in the sweep, too.
        try_out(&cuts, true, tally);
        return;
    }
    let Some(points) = try_out(&[], false, tally) else { return };
    for after in 0..points {
        if tally.tried() >= quota {
            return;
        }
        for (index, cut) in variants::<W, R>(after, page).into_iter().enumerate() {
            let cut = cut.with_seed(seed ^ after << 8 ^ index as u64);
            let nth = after * 31 + index as u64;
            let Some(rest) = try_out(&[cut], !nth.is_multiple_of(4), tally) else { continue };
            if !nth.is_multiple_of(NESTED) {
                continue;
            }
            for then in 0..rest.min(BEHIND) {
                let mut rng = Rng::from_seed(seed ^ after << 20 ^ then);
                let second = random::<W, R>(then, &mut rng);
                let Some(rest) = try_out(&[cut, second], !then.is_multiple_of(4), tally) else { continue };
                if then.is_multiple_of(NESTED_TWICE) && rest > 0 {
                    let third = random::<W, R>(rng.below(rest.min(BEHIND)), &mut rng);
                    try_out(&[cut, second, third], false, tally);
                }
            }
        }
    }
}

fn told(name: &str, tally: &Tally) {
    let Tally { workloads, cuts: [_, nested, thrice], compared, losses } = tally;
    tell(&format!(
        "{name}: {} cut points tried ({nested} nested twice, {thrice} three times) in {workloads} workloads, \
         {compared} records compared, {} losses",
        tally.tried(),
        losses.count
    ));
}

#[test]
fn power_cut_everywhere() {
    let share = if cfg!(debug_assertions) { DEBUG_SHARE } else { 1 };
    let only = std::env::var("EVENKEEL_GEOMETRY").ok();
    let chosen: Vec<_> = GEOMETRIES.iter().filter(|one| only.as_ref().is_none_or(|name| name == one.name)).collect();
    assert!(!chosen.is_empty(), "no such geometry");
    let (next, sum) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let losing = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(chosen.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _quiet = Quiet::please();
                while let Some(one) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A geometry on which not even the log without cuts works is a loss as well.
                    let tally = catch_unwind(|| (one.sweep)(one.name, one.cuts / share)).unwrap_or_else(|panic| {
                        let mut tally = Tally::default();
                        tally.losses.add(&message(&*panic), || one.name.to_owned());
                        tally
                    });
                    told(one.name, &tally);
                    tally.losses.tell_sorts();
                    if tally.losses.count > 0 {
                        losing.lock().unwrap_or_else(PoisonError::into_inner).push((one.name, tally.losses.count));
                    }
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(&tally);
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    told(&format!("power cuts in all, on {} geometries", chosen.len()), &sum);
    let losing = losing.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(losing.is_empty(), "something was lost: {losing:?}");
    if ["EVENKEEL_CUTS", "EVENKEEL_SEED", "EVENKEEL_SEEDS", "EVENKEEL_GEOMETRY"]
        .iter()
        .all(|name| std::env::var_os(name).is_none())
    {
        assert!(sum.tried() >= 1_000_000 / share, "only {} cut points", sum.tried());
    }
}

/// What a sweep of simple cuts says when this rule is broken.
fn caught(rule: Break) -> String {
    let profile = ChipProfile::generic(4, 4, 512);
    let warm = warmed::<4, 4, 512>(&profile, 3, 1, (11, 5), 50);
    let steps = workload(12, 8, 4, 50);
    let lives = || {
        (0..200).find_map(|after| {
            let cut = Cut { word: TornWord::RandomBits, page: TornPage::InOrder, ..Cut::after(after) };
            catch_unwind(AssertUnwindSafe(|| life(&warm, &steps, &[cut.with_seed(after)], true))).err()
        })
    };
    assert!(lives().is_none(), "these cuts lose something without any break");
    sabotage::set(Some(rule));
    let caught = lives();
    sabotage::set(None);
    let message = message(&*caught.expect("the break went unnoticed"));
    tell(&format!("with {rule:?} broken: {message}"));
    message
}

/// The check of G7 can fail: without the torn-tail rule a cut has a word programmed twice.
#[test]
fn power_cut_with_a_broken_torn_tail_rule_is_caught() {
    let message = caught(Break::TornTailRule);
    assert!(message.contains("ProgrammedTwice"), "caught for another reason: {message}");
}

/// The check of G1 can fail: a last frame that is not repeated is void, though its append had returned.
#[test]
fn power_cut_is_caught_losing_a_last_frame_that_is_not_repeated() {
    let message = caught(Break::LastFrame);
    assert!(message.starts_with("positions") && message.ends_with("are lost"), "caught for another reason: {message}");
}

/// The check of G2 can fail: without its checksum a batch that was cut off is there in part.
#[test]
fn power_cut_is_caught_tearing_a_batch_that_has_no_checksum() {
    let message = caught(Break::Checksum);
    assert!(message.contains("the log ends at"), "caught for another reason: {message}");
}
