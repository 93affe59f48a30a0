//! A record manager around another, that does what nobody should.

use evenkeel_core::batch::{Batch, Headroom, Op};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, Notification, Position, Record, RecordManager, StreamHead, StreamId, Tracker, Upkeep, Version,
};

/// Hides the first events of every stream, as if they had been let go or lost, and lets somebody else append first.
pub(crate) struct Between<R> {
    inner: R,
    /// Events up to this version are hidden.
    pub(crate) hidden: Version,
    /// So many appends find that another writer was faster.
    pub(crate) overtaken: u32,
    /// What that writer appends.
    pub(crate) theirs: &'static [u8],
}

impl<R> Between<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hidden: Version::NONE, overtaken: 0, theirs: &[] }
    }
}

impl<R: RecordManager> RecordManager for Between<R> {
    type Error = R::Error;
    type MountError = R::MountError;
    const HEADROOM: Headroom = R::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), R::MountError> {
        self.inner.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<R::Error>> {
        if let (Some(left), Some(entry)) = (self.overtaken.checked_sub(1), batch.entry(0)) {
            self.overtaken = left;
            let (mut bytes, theirs) = ([0; 256], self.theirs);
            let mut other = Batch::new(&mut bytes, R::HEADROOM);
            other.push(entry.op, |room| {
                room.get_mut(..theirs.len()).unwrap_or_default().copy_from_slice(theirs);
                Ok(theirs.len())
            })?;
            assert!(matches!(entry.op, Op::Event { .. }), "only events are overtaken");
            self.inner.append(&mut other)?;
        }
        self.inner.append(batch)
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
        self.inner.next_event(stream, after.max(self.hidden), scratch)
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
