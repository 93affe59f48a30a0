//! A log in memory, which is there as long as its home is.

use std::cell::RefCell;
use std::rc::Rc;

use evenkeel_conformance::{Durable, Home};
use evenkeel_core::batch::{Batch, Headroom};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, Notification, Position, RamLog, Record, RecordManager, StreamHead, StreamId, Tracker, Upkeep,
    Version,
};

type Records = RamLog<Vec<u8>, 64>;
type Error = <Records as RecordManager>::Error;

/// Memory that has a battery.
pub(crate) struct Ram(Rc<RefCell<Records>>);

/// Whoever uses it now.
pub(crate) struct Lent(Rc<RefCell<Records>>);

impl Ram {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(RamLog::new(vec![0; 1 << 18]))))
    }
}

impl Home for Ram {
    type Manager = Lent;

    fn open(&mut self) -> Lent {
        Lent(Rc::clone(&self.0))
    }
}

impl Durable for Ram {}

impl RecordManager for Lent {
    type Error = Error;
    type MountError = <Records as RecordManager>::MountError;

    const HEADROOM: Headroom = Records::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Self::MountError> {
        self.0.borrow_mut().mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Error>> {
        self.0.borrow_mut().append(batch)
    }

    fn bounds(&self) -> Bounds {
        self.0.borrow().bounds()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        RecordManager::tracked(&*self.0.borrow(), tracker)
    }

    fn head(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<Error>> {
        RecordManager::head(&mut *self.0.borrow_mut(), stream, scratch)
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Error>> {
        self.0.borrow_mut().next_event(stream, after, scratch)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Error>> {
        self.0.borrow_mut().latest_snapshot(stream, at_most, scratch)
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Error>> {
        self.0.borrow_mut().next_notification(after, scratch)
    }

    fn list_streams(&mut self, list: &mut StreamList<'_>, scratch: &mut Scratch<'_>) -> Result<(), ReadError<Error>> {
        self.0.borrow_mut().list_streams(list, scratch)
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<Error>> {
        self.0.borrow_mut().upkeep(scratch)
    }
}
