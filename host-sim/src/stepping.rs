//! A world that moves in steps of virtual time: what happens in one step is seen in the next.
//!
//! In each step first the commands that are due are given. Then everybody fetches: notes what there is to be seen. Then,
//! behind this barrier, everybody executes: acts on what was fetched, and on nothing that others do in the same step. So
//! what comes out depends on the commands and their steps alone, never on who happens to be asked first, and a step is as
//! long as one wants: a second between two polls is simulated as fast as a microsecond.
//!
//! ```
//! use evenkeel_core::{CodecError, Log, Projection, RamLog, Record, Root, System};
//! use evenkeel_host_sim::clock::VirtualClock;
//! use evenkeel_host_sim::stepping::{Station, Stepper, World};
//! # use evenkeel_core::{process::ReactError, *};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Debug, Default, Serialize, Deserialize)]
//! # struct Count(u32);
//! # impl Aggregate for Count {
//! #     const KIND: Kind = Kind(1);
//! #     type Event = u32;
//! #     fn apply(&mut self, by: &u32) { self.0 += by; }
//! # }
//! # impl Snapshot for Count { const SCHEMA: u8 = 1; }
//! # struct CountDown;
//! # impl ProcessManager for CountDown {
//! #     const TRACKER: Tracker = Tracker(1);
//! #     const FOLLOWS: &'static [Kind] = &[Count::KIND];
//! #     type Trigger = u32;
//! #     fn trigger(&self, event: &Record<'_>) -> Result<Option<u32>, CodecError> {
//! #         Ok(event.event::<Count>().transpose()?.filter(|left| *left > 0))
//! #     }
//! #     fn react<R: RecordManager>(&self, left: u32, to: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
//! #         let _ = to.execute::<Count, _, ()>(7, |_| Ok([left - 1]))?;
//! #         Ok(())
//! #     }
//! # }
//! // `CountDown` follows the events of a `Count`, each of which is a number, with the number below it.
//! let mut scratch = [0; 256];
//! let log = Log::mount(RamLog::<_, 4, 2>::new([0; 1024]), &mut scratch).unwrap();
//! let mut world = Station::new(log, System::new((Follower::new(CountDown),)));
//! let clock = VirtualClock::new();
//! let mut stepper = Stepper::new(&clock, 1_000_000); // a second a step
//! stepper.at(2, |world: &mut Station<_, _>| {
//!     world.log.execute(&mut Root::<Count>::new(7), |_| Ok::<_, ()>([3])).unwrap();
//!     world.system.prompt(Count::KIND);
//! });
//! stepper.run(&mut world, 100);
//! // The command in step 2, one number lower in it and in each of the two after it, and a last look at 0.
//! assert_eq!((stepper.step(), clock.now_us()), (6, 6_000_000));
//! assert_eq!(world.log.bounds().last(), Position(4));
//! ```

use std::collections::BTreeMap;

use evenkeel_core::process::Ran;
use evenkeel_core::{Log, Members, Position, RecordManager, System};

use crate::clock::VirtualClock;

/// What moves in steps.
pub trait World {
    /// Notes what there is to be seen: nothing else is acted on in this step.
    fn fetch(&mut self, step: u64);

    /// Acts on what was fetched; answers whether it will do nothing more by itself.
    fn execute(&mut self, step: u64) -> bool;
}

/// Several at once: all fetch before any of them executes.
impl<W: World + ?Sized> World for Vec<Box<W>> {
    fn fetch(&mut self, step: u64) {
        self.iter_mut().for_each(|part| part.fetch(step));
    }

    fn execute(&mut self, step: u64) -> bool {
        let mut quiet = true;
        for part in self {
            quiet &= part.execute(step);
        }
        quiet
    }
}

impl<A: World, B: World> World for (A, B) {
    fn fetch(&mut self, step: u64) {
        self.0.fetch(step);
        self.1.fetch(step);
    }

    fn execute(&mut self, step: u64) -> bool {
        let quiet = self.0.execute(step);
        self.1.execute(step) && quiet
    }
}

/// Something to be done to the world in one step.
type Command<'c, W> = Box<dyn FnOnce(&mut W) + 'c>;

/// Moves a world on, step by step.
pub struct Stepper<'c, W> {
    clock: VirtualClock,
    us_a_step: u64,
    step: u64,
    /// By step, and then in the order in which they were given.
    due: BTreeMap<(u64, u64), Command<'c, W>>,
    given: u64,
}

impl<W> std::fmt::Debug for Stepper<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let due: Vec<_> = self.due.keys().collect();
        f.debug_struct("Stepper").field("step", &self.step).field("due", &due).finish_non_exhaustive()
    }
}

impl<'c, W: World> Stepper<'c, W> {
    /// Before step 0, with so many microseconds from one step to the next.
    #[must_use]
    pub fn new(clock: &VirtualClock, us_a_step: u64) -> Self {
        Self { clock: clock.clone(), us_a_step, step: 0, due: BTreeMap::new(), given: 0 }
    }

    /// The step that comes next: how many there have been.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Has this done at the beginning of a step; of the next one if that step has been.
    pub fn at(&mut self, step: u64, command: impl FnOnce(&mut W) + 'c) {
        self.due.insert((step.max(self.step), self.given), Box::new(command));
        self.given += 1;
    }

    /// Goes one step; answers whether the world is quiet and nothing is due any more.
    pub fn go(&mut self, world: &mut W) -> bool {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > self.step {
                break;
            }
            entry.remove()(world);
        }
        world.fetch(self.step);
        let quiet = world.execute(self.step);
        self.step += 1;
        self.clock.advance(self.us_a_step);
        quiet && self.due.is_empty()
    }

    /// Goes on until the world is quiet and nothing is due, for `most` steps; answers whether it came to that.
    pub fn run(&mut self, world: &mut W, most: u64) -> bool {
        (0..most).any(|_| self.go(world))
    }
}

/// A system over a log as a part of a world: its members see what was in the log when the step's barrier was come to,
/// each of them runs once in a step, and what they append is for the next step.
#[derive(Debug)]
pub struct Station<L, M> {
    /// The log.
    pub log: L,
    /// Who runs over it.
    pub system: System<M>,
    /// What the last step came to.
    pub ran: Ran,
    /// What went wrong in the steps so far, with the step; such a member is asked again in the next one.
    pub failed: Vec<(u64, String)>,
    end: Position,
}

impl<'b, R: RecordManager, M: Members> Station<Log<'b, R>, M> {
    /// A system over a log.
    #[must_use]
    pub fn new(log: Log<'b, R>, system: System<M>) -> Self {
        Self { log, system, ran: Ran::default(), failed: Vec::new(), end: Position::START }
    }
}

impl<R: RecordManager, M: Members> World for Station<Log<'_, R>, M> {
    fn fetch(&mut self, _: u64) {
        self.end = self.log.bounds().last();
    }

    fn execute(&mut self, step: u64) -> bool {
        match self.system.round(&mut self.log, self.end, u32::MAX) {
            Ok(ran) => self.ran = ran,
            Err(error) => self.failed.push((step, error.to_string())),
        }
        self.system.is_quiet()
    }
}
