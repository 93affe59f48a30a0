//! Reacts to events with events of any aggregates.

use super::{Reaction, RecordManager, face};
use crate::process::ReactError;
use crate::{CodecError, Kind, Record, Tracker};

/// Reacts to the events of a log with events of any aggregates: the general form of a
/// [`Policy`](crate::Policy), whose target is one aggregate that is in memory.
///
/// All that it adds to the [`Reaction`] to one event becomes durable in one append, in the order in which it was added,
/// together with the position of that event. If it fails, nothing is stored and the event is the next one again. What
/// it adds must depend on its arguments, on what it loads through the reaction, and on nothing else.
///
/// ```
/// use evenkeel_core::process::ReactError;
/// use evenkeel_core::{Aggregate, CodecError, Follower, Kind, Log, ProcessManager, RamLog, Reaction, Record};
/// use evenkeel_core::{RecordManager, Root, Snapshot, StreamId, Tracker};
/// use serde::{Deserialize, Serialize};
///
/// /// A tank, filled by so many litres at a time.
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Tank { litres: u32 }
/// impl Aggregate for Tank {
///     const KIND: Kind = Kind(1);
///     type Event = u32;
///     fn apply(&mut self, litres: &u32) { self.litres += litres; }
/// }
///
/// /// How often a pump has been asked to run.
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Pump { runs: u32 }
/// impl Aggregate for Pump {
///     const KIND: Kind = Kind(2);
///     type Event = ();
///     fn apply(&mut self, (): &()) { self.runs += 1; }
/// }
/// impl Snapshot for Pump { const SCHEMA: u8 = 1; }
///
/// struct Drain;
/// impl ProcessManager for Drain {
///     const TRACKER: Tracker = Tracker(1);
///     const FOLLOWS: &'static [Kind] = &[Tank::KIND];
///     type Trigger = u32;
///
///     fn trigger(&self, event: &Record<'_>) -> Result<Option<u32>, CodecError> {
///         Ok(event.event::<Tank>().transpose()?.filter(|litres| *litres > 100))
///     }
///
///     fn react<R: RecordManager>(&self, _: u32, reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
///         let _ = reaction.execute::<Pump, _, ()>(StreamId(9), |_| Ok([()]))?;
///         Ok(())
///     }
/// }
///
/// let mut scratch = [0; 256];
/// let mut log = Log::mount(RamLog::<_, 4, 2>::new([0; 1024]), &mut scratch).unwrap();
/// log.execute(&mut Root::<Tank>::new(1), |_| Ok::<_, ()>([90, 120, 200])).unwrap();
/// let done = log.run(&mut Follower::new(Drain), u32::MAX).unwrap();
/// assert_eq!((done.seen, done.reactions), (3, 2));
/// assert_eq!(log.load::<Pump>(9).unwrap().runs, 2);
/// ```
#[face]
#[allow(async_fn_in_trait)] // the callers are single-threaded firmware: no `Send` is asked for
pub trait ProcessManager {
    /// Where the reading place is stored. Each process manager needs its own.
    const TRACKER: Tracker;
    /// The kinds of events that it reacts to; it is not asked about others.
    const FOLLOWS: &'static [Kind];
    /// After how many events without a reaction the reading place is stored.
    const CHECKPOINT: u32 = 64;
    /// Whether its events say what they are a consequence of ([`Trace`](crate::Trace)), when it follows its own log.
    const TRACED: bool = false;
    /// How many events of a reaction it may react to in turn, within the same append; 0: it does not see them.
    ///
    /// Then [`trigger`](Self::trigger) is asked about the events that it adds, too, in the order in which they were added
    /// (they have no position yet), until none is left to react to; with more than this the whole reaction fails
    /// ([`ReactError::Endless`]). Who does so cannot follow the log that it writes, as it would come by its own events once
    /// more ([`ProcessError::OwnLog`](crate::process::ProcessError::OwnLog)).
    const FEEDBACK: u32 = 0;
    /// What it takes from an event to react to it.
    type Trigger;

    /// What of this event there is to react to, if anything. An error stops the process before this event.
    fn trigger(&self, event: &Record<'_>) -> Result<Option<Self::Trigger>, CodecError>;

    /// Adds what follows to the reaction.
    async fn react<R: RecordManager>(
        &self,
        trigger: Self::Trigger,
        reaction: &mut Reaction<'_, R>,
    ) -> Result<(), ReactError<R::Error>>;
}
