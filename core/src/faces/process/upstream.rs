//! A log that is followed from another one.

use super::{Log, RecordManager, face};
use crate::error::{AppendError, ReadError};
use crate::process::{Received, ReceivedError};
use crate::{Notification, Position};

/// Another notification log, to be followed by [`Log::follow`](super::Log::follow): of another device, of a server, or
/// of the same device.
///
/// Positions are those of one life of that log: when it opens a new epoch it is another log.
#[face]
#[allow(async_fn_in_trait)] // the callers are single-threaded firmware: no `Send` is asked for
pub trait Upstream {
    /// Why it could not be read.
    type Error: core::fmt::Debug;

    /// What stands at the position after `after`; `None` at its end, as far as it is known here.
    async fn next_after(&mut self, after: Position) -> Result<Option<Notification<'_>>, Self::Error>;
}

#[face]
impl<R: RecordManager> Upstream for Log<'_, R> {
    type Error = ReadError<R::Error>;

    async fn next_after(&mut self, after: Position) -> Result<Option<Notification<'_>>, Self::Error> {
        // What is acted on in another log must not be gone from this one later. Where there is no room to see to it, it is
        // not shown before there is.
        if self.records.bounds().last() > after {
            match self.records.secure(&mut self.scratch).await {
                Ok(_) => {}
                Err(AppendError::Storage(error)) => return Err(ReadError::Storage(error)),
                Err(_) => return Ok(None),
            }
        }
        self.next_notification(after).await
    }
}

#[face]
impl Upstream for Received<'_> {
    type Error = ReceivedError;

    async fn next_after(&mut self, after: Position) -> Result<Option<Notification<'_>>, ReceivedError> {
        self.after(after)
    }
}
