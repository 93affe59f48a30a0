//! Whether the promises held.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use evenkeel_apps::cold_chain::{Alarm, Sensor, Shipment};
use evenkeel_collector::{SqliteStore, StoreError, StoredEvent, StoredLog};
use evenkeel_core::error::{LoadError, ReadError};
use evenkeel_core::{Aggregate, Log, Notification, Position, RecordManager, Snapshot, StreamId, Version};
use evenkeel_sync::SourceIdentity;

use super::witness::Ledger;

/// What the comparison of device, collector and witness came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Events collected.
    pub(crate) events: u64,
    /// Power cuts that struck.
    pub(crate) cuts: u32,
    /// Events that were acknowledged as durable and are neither collected nor in the device any more.
    pub(crate) acknowledged_lost: u64,
    /// Events collected once more than once.
    pub(crate) duplicated: u64,
    /// Events collected that the application never appended as they are.
    pub(crate) phantom: u64,
    /// Whether the aggregates replayed from what was collected are those of the device.
    pub(crate) twin_equal: bool,
}

impl Verdict {
    /// Whether all is as it was promised.
    pub(crate) fn holds(&self) -> bool {
        (self.acknowledged_lost, self.duplicated, self.phantom, self.twin_equal) == (0, 0, 0, true)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, cuts, acknowledged_lost, duplicated, phantom, twin_equal } = self;
        let twin = if *twin_equal { "equal" } else { "different" };
        write!(
            f,
            "events={events} cuts={cuts} acknowledged_lost={acknowledged_lost} duplicated={duplicated} \
             phantom={phantom} twin={twin}"
        )
    }
}

/// An aggregate as device and twin are compared: by its version and state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    /// A shipment.
    Shipment(Shipment),
    /// The probe.
    Sensor(Sensor),
    /// The alarm.
    Alarm(Alarm),
}

/// All aggregates of a device by their streams.
pub(crate) type States = BTreeMap<StreamId, (Version, State)>;

/// Loads every aggregate that the device has.
pub(crate) fn device_states<R: RecordManager>(log: &mut Log<'_, R>) -> Result<States, LoadError<R::Error>> {
    let mut states = States::new();
    load(log, &mut states, Sensor::STREAM, State::Sensor)?;
    load(log, &mut states, Alarm::STREAM, State::Alarm)?;
    for number in 0.. {
        if !load(log, &mut states, Shipment::stream(number), State::Shipment)? {
            break;
        }
    }
    Ok(states)
}

fn load<A: Snapshot + Copy, R: RecordManager>(
    log: &mut Log<'_, R>,
    states: &mut States,
    stream: StreamId,
    state: impl Fn(A) -> State,
) -> Result<bool, LoadError<R::Error>> {
    match log.load::<A>(stream) {
        Ok(root) => {
            states.insert(stream, (root.version(), state(*root)));
            Ok(true)
        }
        Err(LoadError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replays every stream that was collected; `None` if one cannot be replayed to its end.
pub(crate) fn twin_states(store: &SqliteStore, identity: &SourceIdentity) -> Result<Option<States>, StoreError> {
    let mut states = States::new();
    for stored in store.streams(identity)? {
        let whole = match stored.kind {
            Shipment::KIND => twin(store, identity, &mut states, stored.stream, State::Shipment)?,
            Sensor::KIND => twin(store, identity, &mut states, stored.stream, State::Sensor)?,
            Alarm::KIND => twin(store, identity, &mut states, stored.stream, State::Alarm)?,
            _ => false,
        };
        if !whole {
            return Ok(None);
        }
    }
    Ok(Some(states))
}

fn twin<A: Aggregate + Copy>(
    store: &SqliteStore,
    identity: &SourceIdentity,
    states: &mut States,
    stream: StreamId,
    state: impl Fn(A) -> State,
) -> Result<bool, StoreError> {
    let twin = store.twin::<A>(identity, stream)?;
    states.insert(stream, (twin.root.version(), state(*twin.root)));
    Ok(twin.is_complete())
}

/// Every event that the collector has, of whatever log it says.
pub(crate) fn collected(store: &SqliteStore) -> Result<Vec<StoredEvent>, StoreError> {
    let mut events = Vec::new();
    for StoredLog { identity, .. } in store.logs()? {
        store.events(&identity, Position::START, |record| events.push(record.into()))?;
    }
    Ok(events)
}

/// Adds every event that the device still has, up to where it can be read.
pub(crate) fn held<R: RecordManager>(
    log: &mut Log<'_, R>,
    events: &mut Vec<StoredEvent>,
) -> Result<(), ReadError<R::Error>> {
    let mut seen = log.bounds().first.previous();
    while let Some(notification) = log.next_notification(seen)? {
        if let Notification::Event(record) = &notification {
            events.push(StoredEvent::from(record));
        }
        seen = notification.last();
    }
    Ok(())
}

/// Compares what was promised with what is there.
pub(crate) fn judge(
    ledger: &Ledger,
    collected: &[StoredEvent],
    held: &[StoredEvent],
    cuts: u32,
    twin_equal: bool,
) -> Verdict {
    let there: HashSet<_> = collected.iter().chain(held).map(key).collect();
    let (mut versions, mut positions) = (HashSet::new(), HashSet::new());
    let (mut duplicated, mut phantom) = (0, 0);
    for event in collected {
        let (new_version, new_position) =
            (versions.insert((event.stream, event.version)), positions.insert(event.position));
        duplicated += u64::from(!(new_version && new_position));
        phantom += u64::from(!ledger.knows(event));
    }
    let acknowledged_lost = ledger.acknowledged().filter(|event| !there.contains(&key(event))).count() as u64;
    Verdict { events: collected.len() as u64, cuts, acknowledged_lost, duplicated, phantom, twin_equal }
}

type Key<'e> = (Position, StreamId, u8, u8, Version, &'e [u8]);

fn key(event: &StoredEvent) -> Key<'_> {
    (event.position, event.stream, event.kind.0, event.schema, event.version, &event.payload)
}
