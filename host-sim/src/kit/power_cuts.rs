//! The power fails at every instant of an application's life.

use core::fmt;
use core::fmt::Debug;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::flash::{Cut, SimFlash, WeakRead};
use crate::rng::Rng;

/// Explores what power cuts do to an application: it lives once without any, and then again and again from the same
/// flash, each time cut off at another place in another way, switched on again, and run to its end.
///
/// An application is a function that is given the flash, mounts its log, goes on from wherever it finds
/// itself, works to its end and answers what it has come to: the state of its aggregates, what its log holds, what its
/// outputs are. **Whatever the power did, it must come to the same as without**; it must not fail or panic while the power
/// is on; and no word may be programmed twice between two erases.
///
/// ```
/// use evenkeel_host_sim::flash::Nrf52840Flash;
/// use evenkeel_host_sim::kit::PowerCuts;
/// # use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Snapshot};
/// # use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Default, Serialize, Deserialize)] struct Doses { given: u32 }
/// # impl Aggregate for Doses {
/// #     const KIND: Kind = Kind(1);
/// #     type Event = u8;
/// #     fn apply(&mut self, _: &u8) { self.given += 1; }
/// # }
/// # impl Snapshot for Doses { const SCHEMA: u8 = 1; }
/// # fn records(flash: Nrf52840Flash) -> FlashLog<Nrf52840Flash> {
/// #     const REGION: Region = Region::new::<Nrf52840Flash>(0..0x2000).word_by_word();
/// #     FlashLog::new(flash, REGION, Retention::Refuse)
/// # }
/// # fn provisioned() -> Nrf52840Flash {
/// #     let flash = Nrf52840Flash::blank(2);
/// #     let identity = Identity { log: LogId(0), epoch: Epoch::new(1, 7) };
/// #     records(flash.clone()).format(identity, &mut [0; 256]).unwrap();
/// #     flash
/// # }
/// # fn pump(flash: Nrf52840Flash) -> Result<u32, Box<dyn std::error::Error>> {
/// #     let mut scratch = [0; 256];
/// #     let mut log = Log::mount(records(flash), &mut scratch)?;
/// #     let mut doses = log.load_or_new::<Doses>(1)?;
/// #     while doses.given < 10 {
/// #         log.execute(&mut doses, |_| Ok::<_, ()>([3])).map_err(|error| format!("{error:?}"))?;
/// #     }
/// #     Ok(doses.given)
/// # }
///
/// // `pump` mounts its log and gives doses until there were ten; `provisioned` is the chip as the factory leaves it.
/// let explored = PowerCuts::on(provisioned()).explore(pump);
/// println!("{explored}");
/// # assert!(explored.cuts > 100);
/// ```
///
/// A life that goes wrong ends the test with a line that replays it: `EVENKEEL_CUTS='after=17,…' cargo test …`.
#[derive(Debug)]
pub struct PowerCuts<const WORD: usize, const READ: usize, const SECTOR: usize> {
    flash: SimFlash<WORD, READ, SECTOR>,
    at_most: u64,
    nested: u64,
    weak: bool,
    seed: u64,
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life<T, P> {
    /// What the application came to.
    pub ended: T,
    /// What it told the world outside on the way, in order, over all its boots.
    pub told: Vec<P>,
    /// How often it was switched on.
    pub boots: u32,
}

/// What was explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Explored {
    /// Places at which the power could fail in a life without cuts: words programmed and sectors erased.
    pub points: u64,
    /// Lives lived.
    pub lives: u64,
    /// Power cuts in all of them.
    pub cuts: u64,
    /// Lives in which the power failed more than once.
    pub nested: u64,
    /// Whether every kind of cut was tried at every point.
    pub exhaustive: bool,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, lives, cuts, nested, exhaustive } = self;
        let how = if *exhaustive { "every kind of cut at each" } else { "a sample" };
        write!(f, "{cuts} power cuts in {lives} lives, {nested} of them cut more than once; {points} points, {how}")
    }
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> PowerCuts<WORD, READ, SECTOR> {
    /// Explores lives that begin with this flash, as it is now. It is not changed.
    #[must_use]
    pub fn on(flash: SimFlash<WORD, READ, SECTOR>) -> Self {
        Self { flash, at_most: 5_000, nested: 7, weak: true, seed: 1 }
    }

    /// Lives so many lives at most (5,000 if nothing is said). If that is not enough for every kind of cut at every
    /// point, a sample is taken all over the life.
    #[must_use]
    pub fn at_most(mut self, lives: u64) -> Self {
        self.at_most = lives.max(1);
        self
    }

    /// In every so manieth life the power fails a second time, somewhere between the first cut and the end (every 7th
    /// if nothing is said); 0: in none.
    #[must_use]
    pub fn nested_in_every(mut self, lives: u64) -> Self {
        self.nested = lives;
        self
    }

    /// Leaves out cells that read differently from one time to the next after a cut.
    #[must_use]
    pub fn without_weak_cells(mut self) -> Self {
        self.weak = false;
        self
    }

    /// Decides about all that is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Explores an application that comes to the same whatever the power does.
    ///
    /// # Panics
    /// If a life goes wrong.
    #[track_caller]
    pub fn explore<T: PartialEq + Debug, E: Debug>(
        &self,
        mut life: impl FnMut(SimFlash<WORD, READ, SECTOR>) -> Result<T, E>,
    ) -> Explored {
        self.explore_with(
            |flash, _: &mut Vec<()>| life(flash),
            |cut, uncut| assert_eq!(cut.ended, uncut.ended, "cut off it comes to something else (left)"),
        )
    }

    /// Explores an application whose life is checked by `check`, which is given each life that was cut, and the one that
    /// was not, and panics if something is wrong.
    ///
    /// What the application pushes to its second argument outlives the power, like everything that the world outside has
    /// been told: an event that was acknowledged, a relay that was switched. So `check` can tell what was promised.
    ///
    /// # Panics
    /// If a life goes wrong.
    #[track_caller]
    pub fn explore_with<T, P, E: Debug>(
        &self,
        mut life: impl FnMut(SimFlash<WORD, READ, SECTOR>, &mut Vec<P>) -> Result<T, E>,
        mut check: impl FnMut(&Life<T, P>, &Life<T, P>),
    ) -> Explored {
        let (recorded, uncut) = self.live(&[], &mut life);
        let points = recorded.cut_points() - self.flash.cut_points();
        let mut explored = Explored { points, ..Explored::default() };
        let mut one = |cuts: &[Cut], explored: &mut Explored| {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let (flash, cut) = self.live(cuts, &mut life);
                check(&cut, &uncut);
                flash.assert_no_violations();
                (flash.cut_points(), cut.boots)
            }));
            let (end, boots) = outcome.unwrap_or_else(|panic| fail(cuts, &*panic));
            explored.lives += 1;
            explored.cuts += u64::from(boots) - 1;
            explored.nested += u64::from(boots > 2);
            end
        };
        if let Ok(cuts) = std::env::var(REPLAY) {
            let cuts: Vec<Cut> = cuts.split(';').map(|cut| cut.parse().expect("a cut as it was printed")).collect();
            one(&cuts, &mut explored);
            return explored;
        }
        let kinds = self.kinds().len() as u64;
        let all = points * kinds;
        explored.exhaustive = all <= self.at_most;
        let mut rng = Rng::from_seed(self.seed);
        for nth in 0..all.min(self.at_most) {
            let place = if explored.exhaustive { nth } else { (nth * all + rng.below(all)) / self.at_most };
            let cut = self.kind(place % kinds, (place / kinds).min(points - 1)).with_seed(rng.next_u64());
            let end = one(&[cut], &mut explored);
            let behind = (end - self.flash.cut_points()).saturating_sub(cut.after + 1);
            if self.nested > 0 && nth.is_multiple_of(self.nested) && behind > 0 {
                // Nearly all that is special comes soon after the power is back.
                let then = if rng.below(2) == 0 { rng.below(behind.min(24)) } else { rng.below(behind) };
                let second = self.kind(rng.below(kinds), then).with_seed(rng.next_u64());
                one(&[cut, second], &mut explored);
            }
        }
        explored
    }

    /// Lives once, started again after each of these cuts.
    #[track_caller]
    fn live<T, P, E: Debug>(
        &self,
        cuts: &[Cut],
        life: &mut impl FnMut(SimFlash<WORD, READ, SECTOR>, &mut Vec<P>) -> Result<T, E>,
    ) -> (SimFlash<WORD, READ, SECTOR>, Life<T, P>) {
        let flash = self.flash.fork();
        flash.power_on();
        flash.arm_each_boot(cuts.iter().copied());
        let (mut told, mut boots) = (Vec::new(), 0);
        loop {
            boots += 1;
            let end = life(flash.clone(), &mut told);
            if flash.is_powered() {
                match end {
                    Ok(ended) => return (flash, Life { ended, told, boots }),
                    Err(error) => panic!("boot {boots} fails with the power on: {error:?}"),
                }
            }
            flash.power_on();
        }
    }

    /// Every kind of cut.
    fn kinds(&self) -> Vec<Cut> {
        let pages = self.flash.profile().program_page > WORD;
        let mut kinds = if pages { Cut::all_page_variants(0, WORD) } else { Cut::all_variants(0, WORD) };
        // A torn word that cannot be read takes along what is read with it, and chips correct whole reads.
        kinds.retain(|cut| match cut.weak {
            WeakRead::Off => true,
            WeakRead::Ecc => self.weak && READ <= WORD,
            _ => self.weak,
        });
        kinds
    }

    fn kind(&self, nth: u64, after: u64) -> Cut {
        let kinds = self.kinds();
        Cut { after, ..kinds[nth as usize % kinds.len()] }
    }
}

/// The variable that has one life lived again.
const REPLAY: &str = "EVENKEEL_CUTS";

#[track_caller]
fn fail(cuts: &[Cut], panic: &(dyn Any + Send)) -> ! {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let list: Vec<_> = cuts.iter().map(ToString::to_string).collect();
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    panic!(
        "a life goes wrong: {}\nlive it again: {REPLAY}='{}' cargo test {test}",
        said.unwrap_or("a panic without a message"),
        list.join(";")
    );
}
