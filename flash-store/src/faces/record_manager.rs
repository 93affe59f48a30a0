//! The record manager contract, fulfilled.

use evenkeel_core::batch::{Batch, Headroom};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, Epoch, LogId, Notification, Position, Record, StreamHead, StreamId, Tracker, Upkeep, Version,
};

use super::flash_log::FlashLog;
use super::{NorFlash, RecordManager, face};
use crate::error::MountError;
use crate::format::{entry, frame};

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> RecordManager for FlashLog<F, SLOTS, TRACKERS> {
    type Error = F::Error;
    type MountError = MountError<F::Error>;

    const HEADROOM: Headroom = Headroom { batch: frame::HEAD_BYTES, entry: entry::HEAD_BYTES };

    async fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), MountError<F::Error>> {
        self.find_log(scratch).await
    }

    async fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<F::Error>> {
        self.append_batch(batch).await
    }

    fn life(&self) -> (LogId, Epoch) {
        (self.identity.log, self.identity.epoch)
    }

    fn bounds(&self) -> Bounds {
        self.log_bounds()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.log_tracked(tracker)
    }

    async fn head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<F::Error>> {
        self.stream_head(stream, scratch).await
    }

    async fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<F::Error>> {
        self.event_after(stream, after, scratch).await
    }

    async fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<F::Error>> {
        self.snapshot_of(stream, at_most, scratch).await
    }

    async fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<F::Error>> {
        self.notification_after(after, scratch).await
    }

    async fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<F::Error>> {
        self.secure_last(scratch).await
    }

    async fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<F::Error>> {
        self.offer_streams(list, scratch).await
    }

    async fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<F::Error>> {
        self.one_step(scratch).await
    }
}
