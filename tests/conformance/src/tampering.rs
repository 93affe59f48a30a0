//! Somebody who changes what a record manager has stored, without the keys.

use std::cell::RefCell;
use std::rc::Rc;

use evenkeel_core::batch::{Batch, Headroom};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, Epoch, Kind, LogId, Notification, Position, Record, RecordManager, StreamHead, StreamId, Tracker,
    Upkeep, Version,
};

/// What is done to the events of a log. Positions are those of the log as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Replaces the payload of an event.
    Payload(Position, Vec<u8>),
    /// Gives an event another aggregate type.
    Kind(Position, Kind),
    /// Gives an event another schema number.
    Schema(Position, u8),
    /// Gives an event to another stream.
    Stream(Position, StreamId),
    /// Puts two events where the other one was.
    Swap(Position, Position),
    /// Takes an event out of the middle: those behind it move up, in the log and in their streams.
    Remove(Position),
    /// Cuts the log off before this position.
    CutOff(Position),
    /// Replaces the state in all snapshots.
    State(Vec<u8>),
}

/// What is done to a log: shared with whoever does it.
pub type Edits = Rc<RefCell<Vec<Edit>>>;

/// A record manager whose events are not what was stored any more.
///
/// Meant for short logs: each read copies the record and looks for what else it needs.
#[derive(Debug)]
pub struct Tampered<R> {
    records: R,
    edits: Edits,
}

/// A record that was read.
struct Read {
    record: Record<'static>,
    payload: Vec<u8>,
}

impl<R: RecordManager> Tampered<R> {
    /// Does these edits to what `records` reads.
    pub fn new(records: R, edits: Edits) -> Self {
        Self { records, edits }
    }

    /// Where the event stands that is shown at this position.
    fn source(&self, shown: Position) -> Position {
        self.edits.borrow().iter().fold(shown, |at, edit| match *edit {
            Edit::Swap(a, b) if at == a => b,
            Edit::Swap(a, b) if at == b => a,
            Edit::Remove(gone) if at >= gone => at.next(),
            _ => at,
        })
    }

    fn original(&mut self, at: Position, scratch: &mut Scratch<'_>) -> Result<Option<Read>, ReadError<R::Error>> {
        let found = self.records.next_notification(at.previous(), scratch)?;
        Ok(found.and_then(|found| found.record().map(Read::of)))
    }

    /// The event shown at this position.
    fn shown(&mut self, at: Position, scratch: &mut Scratch<'_>) -> Result<Option<Read>, ReadError<R::Error>> {
        if at >= self.bounds().next {
            return Ok(None);
        }
        let source = self.source(at);
        let Some(mut read) = self.original(source, scratch)? else { return Ok(None) };
        for edit in self.edits.borrow().iter() {
            match edit {
                Edit::Payload(of, payload) if *of == source => read.payload.clone_from(payload),
                Edit::Kind(of, kind) if *of == source => read.record.kind = *kind,
                Edit::Schema(of, schema) if *of == source => read.record.schema = *schema,
                Edit::Stream(of, stream) if *of == source => read.record.stream = *stream,
                _ => {}
            }
        }
        read.record.position = Some(at);
        Ok(Some(read))
    }
}

impl Read {
    fn of(record: &Record<'_>) -> Self {
        Self { record: Record { payload: &[], ..*record }, payload: record.payload.to_vec() }
    }

    fn lend<'s>(self, scratch: &'s mut Scratch<'_>) -> Record<'s> {
        let place = &mut scratch.bytes_mut()[..self.payload.len()];
        place.copy_from_slice(&self.payload);
        Record { payload: place, ..self.record }
    }
}

impl<R: RecordManager> RecordManager for Tampered<R> {
    type Error = R::Error;
    type MountError = R::MountError;

    const HEADROOM: Headroom = R::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), R::MountError> {
        self.records.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<R::Error>> {
        self.records.append(batch)
    }

    fn life(&self) -> (LogId, Epoch) {
        self.records.life()
    }

    fn bounds(&self) -> Bounds {
        let Bounds { first, next } = self.records.bounds();
        let next = self.edits.borrow().iter().fold(next, |next, edit| match edit {
            Edit::Remove(_) => next.previous(),
            Edit::CutOff(from) => *from,
            _ => next,
        });
        Bounds { first, next }
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.records.tracked(tracker)
    }

    fn head(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<R::Error>> {
        let mut head = self.records.head(stream, scratch)?;
        let mut found = false;
        for at in self.bounds().first.0..self.bounds().next.0 {
            if let Some(read) = self.shown(Position(at), scratch)?.filter(|read| read.record.stream == stream) {
                found = true;
                if let Some(head) = &mut head {
                    (head.version, head.kind) = (read.record.version, read.record.kind);
                }
            }
        }
        Ok(head.filter(|_| found))
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        for at in self.bounds().first.0..self.bounds().next.0 {
            let shown = self.shown(Position(at), scratch)?;
            if let Some(read) = shown.filter(|read| read.record.stream == stream && read.record.version > after) {
                return Ok(Some(read.lend(scratch)));
            }
        }
        Ok(None)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        let Some(mut read) = self.records.latest_snapshot(stream, at_most, scratch)?.as_ref().map(Read::of) else {
            return Ok(None);
        };
        if let Some(Edit::State(state)) = self.edits.borrow().iter().find(|edit| matches!(edit, Edit::State(_))) {
            read.payload.clone_from(state);
        }
        Ok(Some(read.lend(scratch)))
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<R::Error>> {
        let bounds = self.bounds();
        if after >= bounds.next {
            return Err(ReadError::BeyondEnd { next: bounds.next });
        }
        Ok(self.shown(after.next(), scratch)?.map(|read| Notification::Event(read.lend(scratch))))
    }

    fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<R::Error>> {
        self.records.list_streams(list, scratch)
    }

    fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<R::Error>> {
        self.records.secure(scratch)
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<R::Error>> {
        self.records.upkeep(scratch)
    }
}
