//! The life of a device under power cuts: it starts, works, is cut off, starts again.

use evenkeel_core::Log;
use evenkeel_host_sim::flash::{ChipProfile, Cut, FlashOp, SimFlash, Struck, WeakRead};

use crate::oracle::{Oracle, PowerCut, SCRATCH, Step, identity, unmounted, workload};

/// Mounts, and does the steps from `*done` on until they are done or power is cut.
///
/// # Errors
/// Power was cut.
///
/// # Panics
/// If the log does not hold what it must.
pub fn live<const W: usize, const R: usize, const S: usize>(
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

/// Lives until all steps are done, started again after each of these cuts, of which some may never be come to.
///
/// `struck` is told of each that is: which it was, where it struck, and in what step.
///
/// # Panics
/// If the log does not hold what it must, or power fails without being cut.
pub fn live_through<const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    oracle: &mut Oracle,
    steps: &[Step],
    cuts: &[Cut],
    weak: bool,
    mut struck: impl FnMut(&Cut, Option<Struck>, Option<&Step>),
) {
    flash.arm_each_boot(cuts.iter().copied());
    let (mut done, mut boots) = (0, 0);
    while live(flash, oracle, steps, &mut done, weak).is_err() {
        assert!(boots < cuts.len(), "power fails without being cut");
        let at = flash.last_struck();
        oracle.erase_was_cut |= at.is_some_and(|at| at.op == FlashOp::Erase);
        struck(&cuts[boots], at, steps.get(done.max(1) - 1));
        boots += 1;
        flash.power_on();
    }
    flash.disarm();
}

/// How a life went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lived {
    /// How many of its cuts were come to.
    pub cuts: usize,
    /// Cut points from the last cut on, or in all if there was none.
    pub rest: u64,
    /// Records compared.
    pub compared: u64,
}

/// One life of a copy of this chip, which holds what `oracle` says, with these cuts one after another; afterwards the
/// device lives on without faults to the end of its steps, is cut off between two operations, and all is compared.
///
/// Whatever differs is a panic.
///
/// # Panics
/// If the log does not hold what it must.
#[must_use]
pub fn life<const W: usize, const R: usize, const S: usize>(
    warm: &(SimFlash<W, R, S>, Oracle),
    steps: &[Step],
    cuts: &[Cut],
    brief: bool,
) -> Lived {
    let (flash, mut oracle) = (warm.0.fork(), warm.1.clone());
    let (mut since, mut come_to) = (flash.cut_points(), 0);
    oracle.brief = brief;
    oracle.compared = 0;
    let weak = cuts.iter().any(|cut| cut.weak != WeakRead::Off);
    live_through(&flash, &mut oracle, steps, cuts, weak, |_, _, _| {
        since = flash.cut_points();
        come_to += 1;
    });
    let rest = flash.cut_points() - since;
    // Once more from the start, as what was written after the recovery must be found too.
    flash.cut_now();
    flash.power_on();
    oracle.brief = false;
    live(&flash, &mut oracle, &[], &mut 0, true).expect("no cut is left");
    flash.assert_no_violations();
    Lived { cuts: come_to, rest, compared: oracle.compared }
}

/// A log on this chip that has gone round its ring `laps` times at least, and some steps more, and what it holds.
///
/// # Panics
/// If the ring is never gone round, or not evenly.
#[must_use]
pub fn warmed<const W: usize, const R: usize, const S: usize>(
    profile: &ChipProfile,
    sectors: usize,
    laps: u32,
    (seed, more): (u64, usize),
    largest: usize,
) -> (SimFlash<W, R, S>, Oracle) {
    let flash = SimFlash::<W, R, S>::new(profile, sectors);
    let mut oracle = Oracle::default();
    oracle.brief = true;
    unmounted(&flash).mount_or_format(identity(), &mut [0; SCRATCH]).expect("a blank chip can be formatted");
    let work = |oracle: &mut Oracle, seed: u64, steps: usize| {
        let mut steps = workload(seed, steps, 4, largest);
        steps.retain(|step| !matches!(step, Step::Restart));
        live(&flash, oracle, &steps, &mut 0, false).expect("power was never cut");
    };
    for round in 0.. {
        assert!(round < 80, "the ring is never gone round");
        work(&mut oracle, seed << 16 | round, (sectors * S / 150).clamp(20, 1000));
        let erases = flash.erase_counts();
        let (least, most) = (erases.iter().min().copied(), erases.iter().max().copied());
        assert!(most <= least.map(|least| least + 1), "the ring is not gone round evenly: {erases:?}");
        if least >= Some(laps) {
            break;
        }
    }
    work(&mut oracle, seed << 16 | 0xFFFF, more);
    flash.assert_no_violations();
    oracle.brief = false;
    oracle.compared = 0;
    (flash, oracle)
}
