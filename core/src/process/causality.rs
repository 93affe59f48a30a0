//! What events in one log depend on in others.

use core::fmt;

use heapless::Vec;
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Aggregate, Kind, Position, Snapshot, StreamId, Tracker};

/// The name of a log among all that are followed anywhere: a device's number, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LogName(pub u64);

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How the logs of a system of devices tell what their events depend on.
///
/// When a process that follows another log appends a reaction, [`Saw`] goes before it into the stream
/// [`stream`](Causality::stream): up to where the other log had been seen. These events make up a version vector, and
/// travel as any others. Who follows both logs deals with the reaction only after what it depends on; until then it
/// stops with [`ProcessError::Dependency`](super::ProcessError::Dependency).
#[derive(Debug, Clone, Copy)]
pub struct Causality {
    /// The kind of the stream of [`Saw`] events, the same in all logs.
    pub kind: Kind,
    /// The stream in this log that they go into.
    pub stream: StreamId,
    /// The trackers under which this device follows logs. What depends on a log that is not listed here waits for
    /// nothing.
    pub trackers: &'static [(LogName, Tracker)],
}

impl Causality {
    /// The tracker under which this log is followed.
    #[must_use]
    pub fn tracker(&self, log: LogName) -> Option<Tracker> {
        self.trackers.iter().find(|(name, _)| *name == log).map(|(_, tracker)| *tracker)
    }
}

/// What comes next in this log depends on another one, up to this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Saw {
    /// The [`LogName`] of the other log.
    pub log: u64,
    /// The [`Position`] in it.
    pub position: u64,
}

/// The version vector that the [`Saw`] events of a log make up: up to where each other log had been seen.
///
/// To load it, and to name it in [`Log::maintain`](crate::Log::maintain), for the stream of a [`Causality`]. Of more
/// than `LOGS` logs it knows the `LOGS` first ones; the dependencies themselves are in the events, and complete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Horizon<const KIND: u8, const LOGS: usize> {
    seen: Vec<(u64, u64), LOGS>,
}

impl<const KIND: u8, const LOGS: usize> Horizon<KIND, LOGS> {
    /// Up to where this log had been seen; [`Position::START`] if never.
    #[must_use]
    pub fn seen(&self, log: LogName) -> Position {
        self.iter().find(|(name, _)| *name == log).map_or(Position::START, |(_, seen)| seen)
    }

    /// Up to where each log had been seen.
    pub fn iter(&self) -> impl Iterator<Item = (LogName, Position)> + '_ {
        self.seen.iter().map(|(log, position)| (LogName(*log), Position(*position)))
    }
}

impl<const KIND: u8, const LOGS: usize> Aggregate for Horizon<KIND, LOGS> {
    const KIND: Kind = Kind(KIND);
    type Event = Saw;

    fn apply(&mut self, saw: &Saw) {
        match self.seen.iter_mut().find(|(log, _)| *log == saw.log) {
            Some((_, position)) => *position = saw.position.max(*position),
            None => {
                let _ = self.seen.push((saw.log, saw.position)); // as its documentation says
            }
        }
    }
}

impl<const KIND: u8, const LOGS: usize> Snapshot for Horizon<KIND, LOGS> {
    const SCHEMA: u8 = 1;
}

impl<const KIND: u8, const LOGS: usize> Serialize for Horizon<KIND, LOGS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.seen.len()))?;
        for entry in &self.seen {
            list.serialize_element(entry)?;
        }
        list.end()
    }
}

impl<'de, const KIND: u8, const LOGS: usize> Deserialize<'de> for Horizon<KIND, LOGS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<const LOGS: usize>;
        impl<'de, const LOGS: usize> Visitor<'de> for Entries<LOGS> {
            type Value = Vec<(u64, u64), LOGS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "up to {LOGS} logs with their positions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry).map_err(|_| serde::de::Error::custom("more logs than there is room for"))?;
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(Entries).map(|seen| Self { seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_horizon_keeps_the_newest_of_each_log_and_comes_back() {
        let mut horizon = Horizon::<9, 2>::default();
        for (log, position) in [(7, 3), (8, 1), (7, 5), (9, 9), (7, 4)] {
            horizon.apply(&Saw { log, position });
        }
        let seen = |log| horizon.seen(LogName(log));
        assert_eq!([seen(7), seen(8), seen(9)], [Position(5), Position(1), Position(0)]);
        let mut room = [0; 32];
        let len = codec::encode(&horizon, &mut room).unwrap();
        assert_eq!(codec::decode::<Horizon<9, 2>>(&room[..len]), Ok(horizon));
        assert!(codec::decode::<Horizon<9, 1>>(&room[..len]).is_err());
    }
}
