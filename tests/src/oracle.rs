//! A log under test beside a plain list of what it must hold.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_core::batch::Op;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::{Log, Notification, Position, Record, StreamId, Tracker, Upkeep, Version, blocking::RecordManager};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{SimError, SimFlash};

pub use crate::steps::{Step, workload};
use crate::steps::{id, kind, payload, state};

/// The tracker that retention asks for.
pub const UPLINK: Tracker = Tracker(1);
/// Bytes of scratch that the log under test is given.
pub const SCRATCH: usize = 1024;

/// The log under test: few slots and trackers, so that their limits are met.
pub type TestLog<const W: usize, const R: usize, const S: usize> = FlashLog<SimFlash<W, R, S>, 3, 2>;

/// Power was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    stream: u64,
    version: u32,
    payload: Vec<u8>,
}

/// What the log must hold.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    events: Vec<Event>,
    heads: BTreeMap<u64, u32>,
    /// What was being appended when power failed.
    inflight: Vec<Event>,
    /// Positions of events whose append never returned and that may rest on weak cells: they may be lost later,
    /// but their positions never go to others.
    doubtful: BTreeSet<u64>,
    /// Those of them that were lost.
    lost: BTreeSet<u64>,
    /// How many of the last events were found after a cut and may still vanish: until something is appended, as the
    /// log writes nothing at a mount.
    unsettled: u64,
    /// What was under way and was not found, or not any more, and may still appear as long.
    maybe: Vec<Vec<Event>>,
    /// What may stand behind so many events, where that could not be read at the mount.
    undecided: (u64, Vec<Vec<Event>>),
    /// Where else the tracker may be as long.
    unsettled_tracker: BTreeSet<u64>,
    acknowledged: u64,
    acknowledging: Option<u64>,
    /// Cells may read differently from one time to the next.
    weak: bool,
    /// Power was cut while a sector was being erased.
    pub erase_was_cut: bool,
    /// How many records were compared.
    pub compared: u64,
    /// The driver may fail while power is on; what a failed step leaves is found out as after a power cut.
    pub driver_fails: bool,
    /// Makes the payloads others than those of another oracle.
    pub salt: u64,
    /// Only the newest records and the head of each stream are compared, in place of everything that can be read.
    pub brief: bool,
}

/// How many of the newest positions are compared when not all are.
const NEWEST: u64 = 8;

impl Oracle {
    /// How many events were acknowledged as durable or found to be.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.len() as u64
    }

    /// Does a step to the log, and says what must be true after it.
    ///
    /// # Errors
    /// Power was cut in it.
    pub fn step<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        flash: &SimFlash<W, R, S>,
        step: &Step,
    ) -> Result<(), PowerCut> {
        match step {
            Step::Append(events) => self.append(log, flash, events),
            Step::Acknowledge(before) => self.acknowledge(log, flash, self.events().saturating_sub(*before)),
            Step::Maintain => self.maintain(log, flash),
            Step::Restart => self.restart(log, flash),
        }
    }

    fn append<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        flash: &SimFlash<W, R, S>,
        wanted: &[(u64, usize)],
    ) -> Result<(), PowerCut> {
        for attempt in 0.. {
            let mut heads = self.heads.clone();
            self.inflight = wanted
                .iter()
                .map(|&(stream, len)| {
                    let version = heads.entry(stream).or_default();
                    *version += 1;
                    Event { stream, version: *version, payload: payload(self.salt, stream, *version, len) }
                })
                .collect();
            let batch: Vec<_> = self.inflight.clone();
            let appended = log.append::<AppendError<_>>(|out| {
                for Event { stream, version, payload } in &batch {
                    let op =
                        Op::Event { stream: id(*stream), kind: kind(*stream), schema: 0, version: Version(*version) };
                    out.push(op, |room| {
                        room[..payload.len()].copy_from_slice(payload);
                        Ok(payload.len())
                    })?;
                }
                Ok(())
            });
            match appended {
                Ok(appended) => {
                    assert_eq!(appended.first, Position(self.events() + 1), "an append skipped or repeated positions");
                    self.events.append(&mut self.inflight);
                    self.unsettled = 0;
                    // What was found at the mount, or what it may be instead: now it is settled which.
                    if std::mem::take(&mut self.unsettled_tracker).contains(&log.tracked(UPLINK).0) {
                        self.acknowledged = log.tracked(UPLINK).0;
                    }
                    self.maybe.clear();
                    self.heads = heads;
                    return Ok(());
                }
                Err(AppendError::Full { held_by }) => {
                    assert!(attempt < 8, "the log stays full, held by {held_by}");
                    self.inflight.clear();
                    self.acknowledge(log, flash, self.events())?;
                    self.maintain(log, flash)?;
                }
                // What was read after the mount has gone since: its stream is behind what was taken for its head.
                Err(AppendError::Gap { stream, actual, .. }) if self.doubtful.len() > self.lost.len() => {
                    assert!(attempt < 8, "{}", self.told_behind(stream, actual, log.bounds().first));
                    self.inflight.clear();
                    self.find_lost(log);
                    self.lose_behind(stream, actual);
                }
                Err(error) => return Err(cut(flash, &error, self.driver_fails)),
            }
        }
        unreachable!("the loop ends in one of its arms")
    }

    fn restart<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        flash: &SimFlash<W, R, S>,
    ) -> Result<(), PowerCut> {
        self.inflight.clear();
        match log.records().close(&mut [0; 64]) {
            Ok(()) => {
                let (records, scratch) = log.parts();
                *records = unmounted(flash);
                records.mount(scratch).expect("a log that was closed can be mounted");
                self.check_after_mount(log, self.weak);
                Ok(())
            }
            Err(error) => Err(cut(flash, &error, self.driver_fails)),
        }
    }

    fn acknowledge<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        flash: &SimFlash<W, R, S>,
        position: u64,
    ) -> Result<(), PowerCut> {
        let position = position.max(self.acknowledged);
        self.acknowledging = Some(position);
        match log.acknowledge(UPLINK, Position(position)) {
            Ok(()) => {
                self.acknowledged = position;
                self.acknowledging = None;
                Ok(())
            }
            Err(AppendError::Full { .. }) => {
                self.acknowledging = None;
                Ok(())
            }
            Err(error) => Err(cut(flash, &error, self.driver_fails)),
        }
    }

    fn maintain<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        flash: &SimFlash<W, R, S>,
    ) -> Result<(), PowerCut> {
        for _ in 0..200 {
            let (records, scratch) = log.parts();
            match records.upkeep(scratch) {
                Ok(Upkeep::Idle | Upkeep::Held(_)) => return Ok(()),
                Ok(Upkeep::Worked) => {}
                Ok(Upkeep::NeedsSnapshot { stream, kind }) => {
                    let number = if stream.0 > 1 << 60 { u64::MAX - stream.0 } else { stream.0 };
                    let version = self.heads[&number];
                    let state = state(self.salt, number, version);
                    let op = Op::Snapshot { stream, kind, schema: 1, version: Version(version) };
                    let stored = log.append::<AppendError<_>>(|batch| {
                        Ok(batch.push(op, |room| {
                            room[..state.len()].copy_from_slice(&state);
                            Ok(state.len())
                        })?)
                    });
                    match stored {
                        Ok(_) => {}
                        Err(AppendError::Gap { stream, actual, .. }) if self.doubtful.len() > self.lost.len() => {
                            self.find_lost(log);
                            self.lose_behind(stream, actual);
                        }
                        Err(error) => return Err(cut(flash, &error, self.driver_fails)),
                    }
                }
                Ok(other) => panic!("unexpected upkeep {other:?}"),
                Err(error) => return Err(cut(flash, &error, self.driver_fails)),
            }
        }
        panic!("upkeep never ends")
    }

    /// After a mount: finds out what became of what was under way, and compares everything.
    pub fn check_after_mount<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        weak: bool,
    ) {
        self.weak = weak;
        let last = log.bounds().last().0;
        // What was found at a mount can be gone at the next, and what was not can be there, as long as nothing was
        // appended in between.
        let mut vanished = Vec::new();
        while last < self.events() && self.unsettled > 0 {
            self.unsettled -= 1;
            self.doubtful.remove(&self.events());
            vanished.extend(self.events.pop());
        }
        vanished.reverse();
        if !vanished.is_empty() {
            self.count_heads();
        }
        let mut candidates = std::mem::take(&mut self.maybe);
        candidates.push(vanished);
        candidates.retain(|events| !events.is_empty());
        if last > self.events() {
            candidates.push(std::mem::take(&mut self.inflight));
            let found = (0..32).find_map(|_| {
                let found = log.next_notification(Position(self.events())).ok().flatten();
                found.and_then(|found| {
                    found.record().map(|record| (record.stream, record.version, record.payload.to_vec()))
                })
            });
            let len = (last - self.events()) as usize;
            let matches = |events: &Vec<Event>| {
                let first =
                    events.first().map(|event| (id(event.stream), Version(event.version), event.payload.clone()));
                events.len() == len && (first == found || found.is_none())
            };
            let fitting: Vec<_> = candidates.iter().filter(|events| matches(events)).cloned().collect();
            self.inflight = fitting.first().cloned().unwrap_or_default();
            self.undecided = (self.events(), fitting);
        }
        let (without, with) = (self.events(), self.events() + self.inflight.len() as u64);
        assert!(
            last == without || last == with,
            "the log ends at {last}; {without} events were appended and {} were under way",
            self.inflight.len()
        );
        if last == with {
            for event in std::mem::take(&mut self.inflight) {
                self.heads.insert(event.stream, event.version);
                self.events.push(event);
                if weak {
                    self.unsettled += 1;
                    self.doubtful.insert(self.events.len() as u64);
                }
            }
        }
        if weak {
            candidates.push(std::mem::take(&mut self.inflight));
            self.maybe = candidates;
        }
        self.inflight.clear();
        let tracked = log.tracked(UPLINK).0;
        let acknowledging = self.acknowledging.take();
        let mut possible = std::mem::take(&mut self.unsettled_tracker);
        possible.extend(acknowledging);
        possible.insert(self.acknowledged);
        assert!(
            possible.remove(&tracked),
            "the tracker is at {tracked}, not {} or {acknowledging:?} or one of {possible:?}",
            self.acknowledged
        );
        if weak {
            self.unsettled_tracker = possible;
        }
        self.acknowledged = tracked;
        self.compare_all(log, weak);
    }

    fn find_lost<const W: usize, const R: usize, const S: usize>(&mut self, log: &mut Log<'_, TestLog<W, R, S>>) {
        let lost = self.lost.len();
        for position in self.doubtful.range(log.bounds().first.0..).copied().collect::<Vec<_>>() {
            if let Ok(Some(Notification::Gap { .. })) = log.next_notification(Position(position - 1)) {
                self.lost.insert(position);
            }
        }
        if self.lost.len() > lost {
            self.count_heads();
        }
    }

    /// What is in doubt of a stream behind this version is lost, also if it has been let go meanwhile.
    fn lose_behind(&mut self, stream: StreamId, version: Version) {
        let gone = |position: &&u64| {
            let event = &self.events[**position as usize - 1];
            id(event.stream) == stream && event.version > version.0
        };
        let gone: Vec<_> = self.doubtful.iter().filter(gone).copied().collect();
        self.lost.extend(gone);
        self.count_heads();
    }

    fn told_behind(&self, stream: StreamId, version: Version, first: Position) -> String {
        let behind =
            (1_u64..).zip(&self.events).filter(|(_, event)| id(event.stream) == stream && event.version > version.0);
        let behind: Vec<_> = behind.map(|(at, _)| (at, self.doubtful.contains(&at), self.lost.contains(&at))).collect();
        format!(
            "stream {stream} stays at {version}; behind it are (position, in doubt, lost) {behind:?}; held from {first}, {} \
             events",
            self.events()
        )
    }

    fn count_heads(&mut self) {
        self.heads.clear();
        for (at, event) in self.events.iter().enumerate() {
            if !self.lost.contains(&(at as u64 + 1)) {
                self.heads.insert(event.stream, event.version);
            }
        }
    }

    /// Compares all that can be read with what must be there, when nothing is in doubt any more.
    pub fn compare<const W: usize, const R: usize, const S: usize>(&mut self, log: &mut Log<'_, TestLog<W, R, S>>) {
        if self.unsettled == 0 {
            self.find_lost(log);
        }
        self.compare_all(log, self.unsettled > 0);
    }

    fn compare_all<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        in_doubt: bool,
    ) {
        let first = log.bounds().first.0;
        assert!(first <= self.acknowledged + 1, "events up to {first} were let go, {} seen", self.acknowledged);
        let mut at = first - 1;
        if self.brief {
            at = at.max(self.events().saturating_sub(NEWEST));
        }
        while let Some(found) = log.next_notification(Position(at)).expect("reading") {
            match found {
                Notification::Event(record) => self.compare_event(at + 1, &record),
                Notification::Gap { first, last, .. } => {
                    let gone = if in_doubt { &self.doubtful } else { &self.lost };
                    // A sector that was being erased is still found, in part: what is in it was let go.
                    let let_go = if self.erase_was_cut { self.acknowledged } else { 0 };
                    let lost: Vec<_> =
                        (first.0..=last.0).filter(|position| *position > let_go && !gone.contains(position)).collect();
                    assert!(lost.is_empty(), "positions {lost:?} are lost");
                }
                other => panic!("unexpected {other:?}"),
            }
            at = found.last().0;
        }
        assert_eq!(at, self.events(), "the log ends too early");
        for (stream, head) in self.heads.clone() {
            // What may be one of several things that were under way is not decided before it can be read.
            let undecided = || self.undecided.1.iter().flatten().any(|event| event.stream == stream);
            let doubtful = in_doubt
                && (self.doubtful.iter().any(|position| self.events[*position as usize - 1].stream == stream)
                    || undecided());
            if !doubtful && !self.brief {
                self.compare_stream(log, stream, head);
            } else if !doubtful {
                Self::compare_head(log, stream, head);
            }
        }
    }

    /// What could not be read at the mount is decided by what is read later.
    fn decide(&mut self, position: u64, record: &Record<'_>) {
        let (before, candidates) = self.undecided.clone();
        let Some(at) = position.checked_sub(before + 1) else { return };
        let is_it = |event: &Event| {
            (id(event.stream), Version(event.version), event.payload.as_slice())
                == (record.stream, record.version, record.payload)
        };
        if let Some(events) = candidates.iter().find(|events| events.get(at as usize).is_some_and(is_it)) {
            let range = before as usize..before as usize + events.len();
            self.events.splice(range, events.iter().cloned());
            self.count_heads();
        }
    }

    fn compare_event(&mut self, position: u64, record: &Record<'_>) {
        self.decide(position, record);
        let event = &self.events[position as usize - 1];
        let expected = Record {
            stream: id(event.stream),
            kind: kind(event.stream),
            version: Version(event.version),
            schema: 0,
            position: Some(Position(position)),
            payload: &event.payload,
        };
        assert_eq!(*record, expected, "another record at position {position}");
        self.compared += 1;
    }

    fn compare_head<const W: usize, const R: usize, const S: usize>(
        log: &mut Log<'_, TestLog<W, R, S>>,
        stream: u64,
        head: u32,
    ) {
        let found = log.head(id(stream)).expect("reading");
        assert_eq!(found.map(|head| head.version.0), Some(head), "the head of stream {stream}");
    }

    fn compare_stream<const W: usize, const R: usize, const S: usize>(
        &mut self,
        log: &mut Log<'_, TestLog<W, R, S>>,
        stream: u64,
        head: u32,
    ) {
        Self::compare_head(log, stream, head);
        let (records, scratch) = log.parts();
        let snapshot = records.latest_snapshot(id(stream), Version::MAX, scratch).expect("reading");
        let mut after = snapshot.map_or(0, |snapshot| {
            assert_eq!(
                snapshot.payload,
                state(self.salt, stream, snapshot.version.0),
                "the snapshot of stream {stream}"
            );
            snapshot.version.0
        });
        while let Some(record) = log.next_event(id(stream), Version(after)).expect("reading") {
            assert_eq!(record.version.0, after + 1, "stream {stream} goes on with another version");
            let len = record.payload.len();
            assert_eq!(
                record.payload,
                payload(self.salt, stream, record.version.0, len),
                "stream {stream} at {}",
                after + 1
            );
            after += 1;
        }
        assert!(after == head, "stream {stream} ends at {after}, not {head}");
    }
}

fn cut<const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    error: &AppendError<SimError>,
    driver_fails: bool,
) -> PowerCut {
    let excused = driver_fails && matches!(error, AppendError::Storage(SimError::Injected | SimError::WornOut));
    assert!(excused || !flash.is_powered(), "the log failed while power was on: {error:?}");
    PowerCut
}

/// A log that was never mounted, in all of this flash.
#[must_use]
pub fn unmounted<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>) -> TestLog<W, R, S> {
    let range = 0..(flash.sectors() * S) as u32;
    let mut region = Region::checked::<SimFlash<W, R, S>>(range).expect("a geometry that can hold a log");
    if flash.profile().program_page <= W as u32 as usize {
        region = region.word_by_word();
    }
    FlashLog::new(flash.clone(), region, Retention::OverwriteAcknowledged(&[UPLINK]))
}

/// Which log it is in the tests.
#[must_use]
pub fn identity() -> Identity {
    Identity { log: evenkeel_core::LogId(7), epoch: evenkeel_core::Epoch::new(1, 0xABCD_1234) }
}

/// Whether reading failed because there is no such position any more.
#[must_use]
pub fn is_trimmed<E>(error: &ReadError<E>) -> bool {
    matches!(error, ReadError::Trimmed { .. })
}
