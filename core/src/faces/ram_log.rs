//! The record manager contract on memory.

use core::convert::Infallible;

use super::{RecordManager, face};
use crate::batch::{Batch, Headroom};
use crate::bytes::copy;
use crate::error::{AppendError, ReadError};
use crate::listing::StreamList;
use crate::scratch::Scratch;
use crate::{Appended, Bounds, Notification, Position, RamLog, Record, StreamHead, StreamId, Tracker, Upkeep, Version};

#[face]
impl<B: AsRef<[u8]> + AsMut<[u8]>, const STREAMS: usize, const TRACKERS: usize> RecordManager
    for RamLog<B, STREAMS, TRACKERS>
{
    type Error = Infallible;
    type MountError = Infallible;

    const HEADROOM: Headroom = Headroom { batch: 0, entry: 0 };

    async fn mount(&mut self, _: &mut Scratch<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    async fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Infallible>> {
        self.append_now(batch)
    }

    fn bounds(&self) -> Bounds {
        self.bounds_now()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.tracked_at(tracker)
    }

    async fn head(
        &mut self,
        stream: StreamId,
        _: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<Infallible>> {
        Ok(self.head_now(stream))
    }

    async fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Infallible>> {
        let Some(found) = self.event_after(stream, after) else { return Ok(None) };
        lend(found, scratch).map(Some)
    }

    async fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Infallible>> {
        let Some(found) = self.snapshot_up_to(stream, at_most) else { return Ok(None) };
        lend(found, scratch).map(Some)
    }

    async fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Infallible>> {
        match self.notification_after(after)? {
            Some(Notification::Event(record)) => Ok(Some(Notification::Event(lend(record, scratch)?))),
            _ => Ok(None),
        }
    }

    async fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        _: &mut Scratch<'_>,
    ) -> Result<(), ReadError<Infallible>> {
        self.offer_streams(list);
        Ok(())
    }

    async fn upkeep(&mut self, _: &mut Scratch<'_>) -> Result<Upkeep, AppendError<Infallible>> {
        Ok(Upkeep::Idle)
    }
}

/// Copies a payload into the caller's buffer, as any other record manager would read it there.
fn lend<'s>(record: Record<'_>, scratch: &'s mut Scratch<'_>) -> Result<Record<'s>, ReadError<Infallible>> {
    let Record { stream, kind, version, schema, position, payload } = record;
    let needed = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let place = scratch.bytes_mut().get_mut(..payload.len()).ok_or(ReadError::ScratchTooSmall { needed })?;
    copy(payload, place);
    Ok(Record { stream, kind, version, schema, position, payload: place })
}
