//! A record manager that is lent.

use super::{RecordManager, face};
use crate::batch::{Batch, Headroom};
use crate::error::{AppendError, ReadError};
use crate::listing::StreamList;
use crate::scratch::Scratch;
use crate::{
    Appended, Bounds, Epoch, Kinds, LogId, Notification, Position, Record, StreamHead, StreamId, Tracker, Upkeep,
    Version,
};

#[face]
impl<T: RecordManager> RecordManager for &mut T {
    type Error = T::Error;
    type MountError = T::MountError;

    const HEADROOM: Headroom = T::HEADROOM;

    async fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), T::MountError> {
        T::mount(self, scratch).await
    }

    async fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<T::Error>> {
        T::append(self, batch).await
    }

    fn life(&self) -> (LogId, Epoch) {
        T::life(self)
    }

    fn bounds(&self) -> Bounds {
        T::bounds(self)
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        T::tracked(self, tracker)
    }

    async fn head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<T::Error>> {
        T::head(self, stream, scratch).await
    }

    async fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<T::Error>> {
        T::next_event(self, stream, after, scratch).await
    }

    async fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<T::Error>> {
        T::latest_snapshot(self, stream, at_most, scratch).await
    }

    async fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<T::Error>> {
        T::next_notification(self, after, scratch).await
    }

    async fn next_of_kinds<'s>(
        &mut self,
        seen: &mut Position,
        kinds: &Kinds,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<T::Error>> {
        T::next_of_kinds(self, seen, kinds, scratch).await
    }

    async fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<T::Error>> {
        T::secure(self, scratch).await
    }

    async fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<T::Error>> {
        T::list_streams(self, list, scratch).await
    }

    async fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<T::Error>> {
        T::upkeep(self, scratch).await
    }
}
