//! Who remembers, outside of the device, what it promised.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel_collector::StoredEvent;
use evenkeel_core::batch::{Batch, Headroom, Op};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, Notification, Position, Record, RecordManager, StreamHead, StreamId, Tracker, Upkeep, Version,
};
use evenkeel_host_sim::clock::VirtualClock;

/// What was handed to the log, and what of it the log called durable. It survives the device's reboots.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By position: each event that an append was called with.
    attempted: BTreeMap<Position, Vec<StoredEvent>>,
    /// By position: each event whose append answered `Ok`. More than one if the log gave a position away twice.
    acknowledged: BTreeMap<Position, Vec<StoredEvent>>,
    /// Appends that answered `Ok`.
    pub(crate) appends: u64,
    /// Snapshots in them.
    pub(crate) snapshots: u64,
    /// Bytes of the payloads of the events in them.
    pub(crate) payload_bytes: u64,
    /// The longest that such an append kept its caller waiting, in microseconds of virtual time.
    pub(crate) slowest_us: u64,
}

impl Ledger {
    /// The events acknowledged, in the order of their positions.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = &StoredEvent> {
        self.acknowledged.values().flatten()
    }

    /// Whether the application appended this very event at this position: if any append there was acknowledged, one
    /// of those; else one that power cut short.
    pub(crate) fn knows(&self, event: &StoredEvent) -> bool {
        let at = |events: &BTreeMap<_, Vec<_>>| events.get(&event.position).map(|told: &Vec<_>| told.contains(event));
        at(&self.acknowledged).or_else(|| at(&self.attempted)).unwrap_or(false)
    }

    fn attempt(&mut self, events: &[StoredEvent]) {
        for event in events {
            self.attempted.entry(event.position).or_default().push(event.clone());
        }
    }

    fn withdraw(&mut self, events: &[StoredEvent]) {
        for event in events {
            if let Some(told) = self.attempted.get_mut(&event.position) {
                told.pop();
            }
        }
    }

    /// Notes events as durable from `first` on.
    fn acknowledge(&mut self, events: Vec<StoredEvent>, first: Position) {
        for (index, event) in (0..).zip(events) {
            self.payload_bytes += event.payload.len() as u64;
            let event = StoredEvent { position: first.plus(index), ..event };
            self.acknowledged.entry(event.position).or_default().push(event);
        }
    }
}

/// A record manager that has everything appended through it noted in a [`Ledger`], and changes nothing.
#[derive(Debug)]
pub(crate) struct Witness<R> {
    inner: R,
    ledger: Rc<RefCell<Ledger>>,
    clock: VirtualClock,
}

impl<R> Witness<R> {
    /// Watches this record manager; appends are timed with the clock.
    pub(crate) fn new(inner: R, ledger: Rc<RefCell<Ledger>>, clock: VirtualClock) -> Self {
        Self { inner, ledger, clock }
    }

    /// The record manager that is watched.
    pub(crate) fn inner(&mut self) -> &mut R {
        &mut self.inner
    }
}

/// The events of a batch, as they will be from position `next` on.
fn events_of(batch: &Batch<'_>, next: Position) -> Vec<StoredEvent> {
    let events = batch.iter().filter(|(entry, _)| matches!(entry.op, Op::Event { .. }) && !entry.local);
    (0..)
        .zip(events)
        .filter_map(|(index, (entry, payload))| {
            entry.as_record(next.plus(index), payload).as_ref().map(StoredEvent::from)
        })
        .collect()
}

fn snapshots_of(batch: &Batch<'_>) -> u64 {
    batch.iter().filter(|(entry, _)| matches!(entry.op, Op::Snapshot { .. })).count() as u64
}

impl<R: RecordManager> RecordManager for Witness<R> {
    type Error = R::Error;
    type MountError = R::MountError;
    const HEADROOM: Headroom = R::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), R::MountError> {
        self.inner.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<R::Error>> {
        let events = events_of(batch, self.inner.bounds().next);
        let snapshots = snapshots_of(batch);
        self.ledger.borrow_mut().attempt(&events);
        let begun = self.clock.now_us();
        let appended = self.inner.append(batch);
        let mut ledger = self.ledger.borrow_mut();
        match &appended {
            Ok(done) => {
                ledger.appends += 1;
                ledger.snapshots += snapshots;
                ledger.slowest_us = ledger.slowest_us.max(self.clock.now_us().saturating_sub(begun));
                ledger.acknowledge(events, done.first);
            }
            // How far it got is not known.
            Err(AppendError::Storage(_)) => {}
            Err(_) => ledger.withdraw(&events),
        }
        appended
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.inner.tracked(tracker)
    }

    fn head(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<R::Error>> {
        self.inner.head(stream, scratch)
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        self.inner.next_event(stream, after, scratch)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        self.inner.latest_snapshot(stream, at_most, scratch)
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<R::Error>> {
        self.inner.next_notification(after, scratch)
    }

    fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<R::Error>> {
        self.inner.list_streams(list, scratch)
    }

    fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<R::Error>> {
        self.inner.secure(scratch)
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<R::Error>> {
        self.inner.upkeep(scratch)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{Aggregate, Kind, Log, RamLog, Root};

    use super::*;

    #[derive(Default)]
    struct Count(u32);

    impl Aggregate for Count {
        const KIND: Kind = Kind(1);
        type Event = u32;
        fn apply(&mut self, by: &u32) {
            self.0 += by;
        }
    }

    fn event(position: u64, payload: &[u8]) -> StoredEvent {
        let (stream, kind, version) = (StreamId(7), Kind(1), Version(position as u32));
        StoredEvent { position: Position(position), stream, kind, schema: 0, version, payload: payload.to_vec() }
    }

    #[test]
    fn what_is_appended_is_noted_and_what_is_refused_is_not() {
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let ram = RamLog::<_, 2, 1>::new([0; 256]);
        let mut scratch = [0; 256];
        let witness = Witness::new(ram, Rc::clone(&ledger), VirtualClock::new());
        let mut log = Log::mount(witness, &mut scratch).unwrap();
        let mut count = Root::<Count>::new(7);
        let mut stale = Root::<Count>::new(7);
        log.execute(&mut count, |_| Ok::<_, ()>([3, 4])).unwrap();
        log.execute(&mut stale, |_| Ok::<_, ()>([5])).unwrap_err();
        log.execute(&mut count, |_| Ok::<_, ()>([6])).unwrap();
        let ledger = ledger.borrow();
        let noted: Vec<_> = ledger.acknowledged().cloned().collect();
        assert_eq!(noted, [event(1, &[3]), event(2, &[4]), event(3, &[6])]);
        assert_eq!((ledger.appends, ledger.payload_bytes), (2, 3));
        assert!(ledger.knows(&event(3, &[6])));
        for lie in [event(3, &[5]), event(4, &[6])] {
            assert!(!ledger.knows(&lie), "{lie:?}");
        }
    }

    #[test]
    fn an_append_cut_short_may_be_there_until_another_takes_its_place() {
        let mut ledger = Ledger::default();
        ledger.attempt(&[event(1, b"cut short")]);
        assert!(ledger.knows(&event(1, b"cut short")));
        ledger.attempt(&[event(1, b"again")]);
        ledger.acknowledge(vec![event(1, b"again")], Position(1));
        assert!(ledger.knows(&event(1, b"again")));
        assert!(!ledger.knows(&event(1, b"cut short")), "risen from the dead");
    }

    #[test]
    fn a_position_given_away_twice_is_two_promises() {
        let mut ledger = Ledger::default();
        ledger.acknowledge(vec![event(1, b"one")], Position(1));
        ledger.acknowledge(vec![event(1, b"two")], Position(1));
        assert_eq!(ledger.acknowledged().count(), 2);
    }
}
