//! A small domain for the cases of processes: meters that count, and bells that ring.

use core::cell::Cell;

use evenkeel_core::process::{ReactError, View};
use evenkeel_core::{
    Aggregate, CodecError, Kind, Log, ProcessManager, Projection, Reaction, Record, RecordManager, Snapshot, StreamId,
    Tracker,
};
use serde::{Deserialize, Serialize};

/// Adds up what it is told.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meter {
    pub(crate) total: u32,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = u32;

    fn apply(&mut self, by: &u32) {
        self.total += by;
    }
}

impl Snapshot for Meter {
    const SCHEMA: u8 = 1;
}

/// Lists what it was rung for.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bell {
    pub(crate) rung_for: Vec<u32>,
}

impl Aggregate for Bell {
    const KIND: Kind = Kind(2);
    type Event = u32;

    fn apply(&mut self, by: &u32) {
        self.rung_for.push(*by);
    }
}

impl Snapshot for Bell {
    const SCHEMA: u8 = 1;
}

pub(crate) const METER: StreamId = StreamId(0x0A);
pub(crate) const BELL: StreamId = StreamId(0x0B);
/// A bell that counts how often the other one was rung.
pub(crate) const TALLY: StreamId = StreamId(0x0C);

/// Rings the bell for readings above a limit, and the tally with it; fails for those that it is told to.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(crate) above: u32,
    /// Fails for this reading.
    pub(crate) fails_for: Cell<Option<u32>>,
    /// How often it has been asked.
    pub(crate) asked: Cell<u32>,
}

pub(crate) const RING: Tracker = Tracker(1);

impl ProcessManager for Ring {
    const TRACKER: Tracker = RING;
    const FOLLOWS: &'static [Kind] = &[Meter::KIND];
    const CHECKPOINT: u32 = 4;
    type Trigger = u32;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<u32>, CodecError> {
        Ok(event.event::<Meter>().transpose()?.filter(|by| *by > self.above))
    }

    fn react<R: RecordManager>(&self, by: u32, reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
        self.asked.set(self.asked.get() + 1);
        let _ = reaction.execute::<Bell, _, ()>(BELL, |_| Ok([by]))?;
        if self.fails_for.get() == Some(by) {
            return Err(ReactError::Failed { code: by });
        }
        let rung = reaction.load::<Bell>(BELL)?.rung_for.len() as u32;
        let _ = reaction.execute::<Bell, _, ()>(TALLY, |tally| {
            assert_eq!(tally.rung_for.len() as u32 + 1, rung, "the two bells are rung together");
            Ok([rung])
        })?;
        Ok(())
    }
}

/// What readings come to, in a view that is stored after each event.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) total: u32,
    pub(crate) events: u32,
}

/// A reading that the view cannot take in.
pub(crate) const INDIGESTIBLE: u32 = 666;

impl Projection for Total {
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError> {
        if let Some(by) = event.event::<Meter>().transpose()? {
            self.total += by;
            self.events += 1;
            if by == INDIGESTIBLE && !DIGESTS.get() {
                return Err(CodecError::Unsupported);
            }
        }
        Ok(())
    }
}

impl View for Total {
    const KIND: Kind = Kind(3);
    const STREAM: StreamId = StreamId(0x0D);
    const SCHEMA: u8 = 1;
    const TRACKER: Tracker = Tracker(2);
    const CHECKPOINT: u32 = 1;
}

thread_local! {
    /// Whether the view takes in what it cannot otherwise.
    pub(crate) static DIGESTS: Cell<bool> = const { Cell::new(false) };
}

/// Appends readings to the meter, one a batch.
pub(crate) fn record<R: RecordManager>(log: &mut Log<'_, R>, readings: &[u32]) {
    let mut meter = log.load_or_new::<Meter>(METER).unwrap();
    for reading in readings {
        log.execute(&mut meter, |_| Ok::<_, ()>([*reading])).unwrap();
    }
}

/// What a bell was rung for.
pub(crate) fn rung<R: RecordManager>(log: &mut Log<'_, R>, bell: StreamId) -> Vec<u32> {
    log.load_or_new::<Bell>(bell).unwrap().into_state().rung_for
}
