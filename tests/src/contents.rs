//! Everything that a mounted log gives away when it is read.

use std::collections::BTreeMap;
use std::fmt;

use evenkeel_core::blocking::RecordManager;
use evenkeel_core::error::ReadError;
use evenkeel_core::{GapReason, Log, Notification, Record, StreamId, Tracker, Version};

/// A record, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its stream.
    pub stream: u64,
    /// The stream's kind.
    pub kind: u8,
    /// Its version.
    pub version: u32,
    /// Its schema.
    pub schema: u8,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl From<&Record<'_>> for Held {
    fn from(record: &Record<'_>) -> Self {
        Self {
            stream: record.stream.0,
            kind: record.kind.0,
            version: record.version.0,
            schema: record.schema,
            payload: record.payload.to_vec(),
        }
    }
}

/// What is read of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Kind and version.
    pub head: Option<(u8, u32)>,
    /// Its newest snapshot.
    pub snapshot: Option<Held>,
    /// Its events that are still held, oldest first.
    pub events: Vec<Held>,
}

/// What is read of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The bounds.
    pub first: u64,
    /// The position that the next event will get.
    pub next: u64,
    /// Trackers that have moved.
    pub trackers: BTreeMap<u8, u64>,
    /// By position.
    pub events: BTreeMap<u64, Held>,
    /// First and last position, and why.
    pub gaps: Vec<(u64, u64, GapReason)>,
    /// By number: those that an event or a question names.
    pub streams: BTreeMap<u64, Stream>,
}

/// So many answers in a row are no log any more but a loop.
const ANSWERS_AT_MOST: usize = 1 << 17;

impl Contents {
    /// Reads the log by position, and by stream: those found and those asked for.
    ///
    /// # Errors
    /// Reading failed.
    ///
    /// # Panics
    /// If reading does not end, or goes backwards.
    pub fn read<R: RecordManager>(log: &mut Log<'_, R>, ask: &[u64]) -> Result<Self, ReadError<R::Error>> {
        let bounds = log.bounds();
        assert!(bounds.first.0 >= 1 && bounds.first <= bounds.next, "bounds from {} to {}", bounds.first, bounds.next);
        let (mut events, mut gaps) = (BTreeMap::new(), Vec::new());
        let mut at = bounds.first.previous();
        while let Some(found) = log.next_notification(at)? {
            assert!(events.len() + gaps.len() < ANSWERS_AT_MOST, "reading by position never ends");
            let last = found.last();
            assert!(last > at, "reading by position goes from {at} to {last}");
            match found {
                Notification::Event(record) => {
                    assert_eq!(record.position, Some(at.next()), "the record after {at} has another position");
                    events.insert(last.0, Held::from(&record));
                }
                Notification::Gap { first, last, reason } => {
                    assert!(first == at.next(), "the gap after {at} starts at {first}");
                    gaps.push((first.0, last.0, reason));
                }
                other => panic!("unexpected {other:?}"),
            }
            at = last;
        }
        assert!(at == bounds.last() || bounds.first == bounds.next, "reading ends at {at}, not at {}", bounds.last());
        let trackers =
            (0..=u8::MAX).map(|name| (name, log.tracked(Tracker(name)).0)).filter(|(_, at)| *at > 0).collect();
        let mut contents =
            Self { first: bounds.first.0, next: bounds.next.0, trackers, events, gaps, streams: BTreeMap::new() };
        let mut names: Vec<_> = contents.events.values().map(|event| event.stream).chain(ask.iter().copied()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let stream = Stream::read(log, StreamId(name))?;
            contents.streams.insert(name, stream);
        }
        Ok(contents)
    }

    /// Whether this position is told to be missing.
    #[must_use]
    pub fn is_gap(&self, position: u64) -> bool {
        self.gaps.iter().any(|(first, last, _)| (*first..=*last).contains(&position))
    }
}

impl Stream {
    fn read<R: RecordManager>(log: &mut Log<'_, R>, id: StreamId) -> Result<Self, ReadError<R::Error>> {
        let head = log.head(id)?.map(|head| (head.kind.0, head.version.0));
        let (records, scratch) = log.parts();
        let snapshot = records.latest_snapshot(id, Version::MAX, scratch)?.map(|record| Held::from(&record));
        let (mut events, mut after) = (Vec::new(), Version::NONE);
        while let Some(record) = log.next_event(id, after)? {
            assert!(record.version > after, "the event of stream {id} after {after} is {}", record.version);
            assert!(record.stream == id, "reading stream {id} gives an event of {}", record.stream);
            assert!(events.len() < ANSWERS_AT_MOST, "reading by stream never ends");
            after = record.version;
            events.push(Held::from(&record));
        }
        Ok(Self { head, snapshot, events })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, kind, version, schema, payload } = self;
        write!(f, "stream {stream} kind {kind} version {version} schema {schema} payload")?;
        if payload.is_empty() {
            return f.write_str(" -");
        }
        f.write_str(" ")?;
        payload.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "positions {} up to, not including, {}", self.first, self.next)?;
        for (tracker, at) in &self.trackers {
            writeln!(f, "tracker {tracker} at {at}")?;
        }
        let mut gaps = self.gaps.iter().peekable();
        for (position, event) in &self.events {
            while let Some((first, last, reason)) = gaps.next_if(|gap| gap.0 < *position) {
                writeln!(f, "gap {first} to {last}: {reason:?}")?;
            }
            writeln!(f, "{position}: {event}")?;
        }
        for (first, last, reason) in gaps {
            writeln!(f, "gap {first} to {last}: {reason:?}")?;
        }
        for (name, Stream { head, snapshot, events }) in &self.streams {
            match head {
                Some((kind, version)) => write!(f, "stream {name}: kind {kind} at version {version}")?,
                None => write!(f, "stream {name}: unknown")?,
            }
            let versions: Vec<_> = events.iter().map(|event| event.version).collect();
            writeln!(f, ", events {versions:?}")?;
            if let Some(snapshot) = snapshot {
                writeln!(f, "  snapshot: {snapshot}")?;
            }
        }
        Ok(())
    }
}
