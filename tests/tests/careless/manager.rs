//! A record manager in memory that is careless in one way.

use std::cell::Cell;

use evenkeel_conformance::Home;
use evenkeel_core::batch::{Batch, Headroom, Op};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, CodecError, Kind, Notification, Position, RamLog, Record, RecordManager, StreamHead, StreamId,
    Tracker, Upkeep, Version,
};

type Ram = RamLog<Vec<u8>, 64>;
type Error = <Ram as RecordManager>::Error;

/// A case that has asked so often goes round in circles.
const PATIENCE: u32 = 60_000;

/// What a record manager does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing: the control.
    None,
    /// Appends the entries of a batch one by one.
    OneByOne,
    /// Says that a batch that conflicts was stored.
    HidesConflicts,
    /// Says that an event which leaves a gap conflicts.
    GapsAreConflicts,
    /// Says that a batch whose tracker does not fit was stored.
    HidesTracking,
    /// Gives a position to batches that it refuses.
    CountsRefused,
    /// Tells positions that are one too high.
    TellsNext,
    /// Says that it holds one event more.
    CountsOneMore,
    /// Gives positions to local events.
    TellsLocal,
    /// Leaves the last of several events of a batch out.
    LosesLast,
    /// Shows no more than 12 bytes of an event.
    CutsPayloads,
    /// Says that every event is of schema 0.
    ForgetsSchema,
    /// Lists no streams.
    ListsNone,
    /// Lists one that does not exist.
    ListsGhost,
    /// Has a head for streams that do not exist.
    HeadsGhosts,
    /// Has no head for any stream.
    HeadsNone,
    /// Has forgotten that streams were discarded.
    Resurrects,
    /// Shows the event before the one that is asked for.
    ShowsBefore,
    /// Shows the event behind the one that is asked for.
    ShowsBehind,
    /// Has no snapshots.
    LosesSnapshots,
    /// Shows the newest snapshot, whatever version is asked for.
    ShowsNewestSnapshot,
    /// Shows snapshots of a version one too low.
    MisdatesSnapshots,
    /// Has nothing to say to a reader that is ahead of it.
    MissesAhead,
    /// Leaves a notification out.
    SkipsNotification,
    /// Ends three notifications early.
    EndsEarly,
    /// What it shows of a notification changes when the log has grown.
    Rots,
    /// Has forgotten where trackers stand.
    ForgetsTrackers,
    /// Tells trackers of one further position.
    TracksAhead,
}

impl Fault {
    pub(crate) const ALL: [Self; 28] = [
        Self::None,
        Self::OneByOne,
        Self::HidesConflicts,
        Self::GapsAreConflicts,
        Self::HidesTracking,
        Self::CountsRefused,
        Self::TellsNext,
        Self::CountsOneMore,
        Self::TellsLocal,
        Self::LosesLast,
        Self::CutsPayloads,
        Self::ForgetsSchema,
        Self::ListsNone,
        Self::ListsGhost,
        Self::HeadsGhosts,
        Self::HeadsNone,
        Self::Resurrects,
        Self::ShowsBefore,
        Self::ShowsBehind,
        Self::LosesSnapshots,
        Self::ShowsNewestSnapshot,
        Self::MisdatesSnapshots,
        Self::MissesAhead,
        Self::SkipsNotification,
        Self::EndsEarly,
        Self::Rots,
        Self::ForgetsTrackers,
        Self::TracksAhead,
    ];

    /// An event as it is shown.
    fn show(self, record: Record<'_>) -> Record<'_> {
        let payload = match record.payload.len() {
            13.. if self == Self::CutsPayloads => &record.payload[..12],
            _ => record.payload,
        };
        let schema = if self == Self::ForgetsSchema { 0 } else { record.schema };
        Record { payload, schema, ..record }
    }
}

/// A log in memory with a fault.
pub(crate) struct Careless {
    records: Ram,
    fault: Fault,
    refused: u64,
    asked: Cell<u32>,
}

impl Home for Fault {
    type Manager = Careless;

    fn open(&mut self) -> Careless {
        Careless { records: RamLog::new(vec![0; 1 << 17]), fault: *self, refused: 0, asked: Cell::new(0) }
    }
}

impl Careless {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn ask(&self) {
        self.asked.set(self.asked.get() + 1);
        assert!(self.asked.get() < PATIENCE, "it goes round in circles");
    }

    /// Appends some entries of a batch, as if they were all, in another buffer.
    fn append_part(
        &mut self,
        of: &Batch<'_>,
        part: impl Iterator<Item = usize>,
    ) -> Result<Appended, AppendError<Error>> {
        let mut room = vec![0; 16_384];
        let mut batch = Batch::new(&mut room, Self::HEADROOM);
        for index in part {
            let (entry, payload) = (of.entry(index).unwrap(), of.payload(index));
            let encode = |out: &mut [u8]| {
                out.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?.copy_from_slice(payload);
                Ok(payload.len())
            };
            match entry.local && !self.is(Fault::TellsLocal) {
                true => batch.push_local(entry.op, encode).unwrap(),
                false => batch.push(entry.op, encode).unwrap(),
            }
        }
        self.records.append(&mut batch)
    }

    fn append_all(&mut self, batch: &Batch<'_>) -> Result<Appended, AppendError<Error>> {
        let first = self.records.bounds().next;
        let (len, step) = (batch.len(), if self.is(Fault::OneByOne) { 1 } else { batch.len().max(1) });
        let is_event = |index: usize| matches!(batch.entry(index).unwrap().op, Op::Event { .. });
        let lost = (self.is(Fault::LosesLast) && batch.events() > 1).then(|| (0..len).rfind(|at| is_event(*at)));
        for start in (0..len).step_by(step) {
            let part = (start..start + step).filter(|at| Some(Some(*at)) != lost);
            self.append_part(batch, part)?;
        }
        Ok(Appended { first, events: batch.positions() })
    }
}

impl RecordManager for Careless {
    type Error = Error;
    type MountError = <Ram as RecordManager>::MountError;

    const HEADROOM: Headroom = Ram::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Self::MountError> {
        self.records.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Error>> {
        self.ask();
        let first = self.bounds().next;
        let said = Appended { first, events: batch.positions() };
        let appended = self.append_all(batch);
        self.refused += u64::from(appended.is_err());
        match appended {
            Err(AppendError::Conflict { .. }) if self.is(Fault::HidesConflicts) => Ok(said),
            Err(AppendError::Tracking { .. }) if self.is(Fault::HidesTracking) => Ok(said),
            Err(AppendError::Gap { stream, expected, actual }) if self.is(Fault::GapsAreConflicts) => {
                Err(AppendError::Conflict { stream, expected, actual })
            }
            Ok(_) if self.is(Fault::TellsNext) => Ok(Appended { first: first.next(), ..said }),
            other => other,
        }
    }

    fn bounds(&self) -> Bounds {
        let bounds = self.records.bounds();
        let more = match self.fault {
            Fault::CountsRefused => self.refused,
            Fault::CountsOneMore => 1,
            _ => 0,
        };
        Bounds { next: bounds.next.plus(more), ..bounds }
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        let at = RecordManager::tracked(&self.records, tracker);
        match self.fault {
            Fault::ForgetsTrackers => Position::START,
            Fault::TracksAhead if at > Position::START => at.next(),
            _ => at,
        }
    }

    fn head(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<Error>> {
        self.ask();
        let head = RecordManager::head(&mut self.records, stream, scratch)?;
        Ok(match self.fault {
            Fault::HeadsGhosts => head.or(Some(StreamHead { kind: Kind(1), version: Version(1), discarded: false })),
            Fault::HeadsNone => None,
            Fault::Resurrects => head.map(|head| StreamHead { discarded: false, ..head }),
            _ => head,
        })
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Error>> {
        self.ask();
        let after = match self.fault {
            Fault::ShowsBefore => Version(after.0.saturating_sub(1)),
            Fault::ShowsBehind => Version(after.0.saturating_add(1)),
            _ => after,
        };
        let (fault, found) = (self.fault, self.records.next_event(stream, after, scratch)?);
        Ok(found.map(|record| fault.show(record)))
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Error>> {
        self.ask();
        let (fault, at_most) = match self.fault {
            Fault::ShowsNewestSnapshot => (self.fault, Version::MAX),
            fault => (fault, at_most),
        };
        let found = self.records.latest_snapshot(stream, at_most, scratch)?;
        Ok(match fault {
            Fault::LosesSnapshots => None,
            Fault::MisdatesSnapshots => {
                found.map(|record| Record { version: Version(record.version.0.saturating_sub(1)), ..record })
            }
            _ => found,
        })
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Error>> {
        self.ask();
        let end = self.records.bounds().last();
        let after = match self.fault {
            Fault::MissesAhead if after > end => return Ok(None),
            Fault::EndsEarly if after.plus(3) >= end && after <= end => return Ok(None),
            Fault::SkipsNotification if after.0 >= 2 && after < end => after.next(),
            _ => after,
        };
        let fault = self.fault;
        Ok(match self.records.next_notification(after, scratch)? {
            Some(Notification::Event(record)) => {
                let record = fault.show(record);
                let rotten = fault == Fault::Rots && end > Position(60) && record.position == Some(Position(3));
                let payload = if rotten { &[][..] } else { record.payload };
                Some(Notification::Event(Record { payload, ..record }))
            }
            other => other,
        })
    }

    fn list_streams(&mut self, list: &mut StreamList<'_>, scratch: &mut Scratch<'_>) -> Result<(), ReadError<Error>> {
        self.ask();
        match self.fault {
            Fault::ListsNone => return Ok(()),
            Fault::ListsGhost => list.offer(StreamId(0x6057), Kind(1)),
            _ => {}
        }
        self.records.list_streams(list, scratch)
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<Error>> {
        self.ask();
        self.records.upkeep(scratch)
    }
}
