//! The contract between event sourcing and whatever keeps the records.

use super::face;
use crate::batch::{Batch, Headroom};
use crate::error::{AppendError, ReadError};
use crate::listing::StreamList;
use crate::scratch::Scratch;
use crate::{
    Appended, Bounds, Epoch, Kinds, LogId, Notification, Position, Record, StreamHead, StreamId, Tracker, Upkeep,
    Version,
};

/// Keeps sequenced records: the streams of many aggregates, and one notification log through all of them.
///
/// # What an implementer owes
///
/// - **Atomic**: a batch is appended wholly or not at all, also when power fails at any instant, when the
///   storage fails, or when a future is dropped.
/// - **Durable**: once [`append`](RecordManager::append) has answered `Ok`, the batch survives power loss.
/// - **Contiguous**: events get the positions that follow the last one, in the order of the batch; a batch that
///   was refused takes no position.
/// - **Guarded**: each event is the next version of its stream, else `Conflict` or `Gap`; a stream keeps its
///   kind, else `WrongKind`; a tracker never goes backwards.
/// - **Traceless**: a batch that was refused has left nothing of its payloads in the storage; only after
///   [`Storage`](AppendError::Storage), a power cut or a dropped future may there be some.
/// - **Located**: an event tells its position, whether it was found by position or by stream. One that is
///   [local](crate::batch::Entry::local) has none: it is in its stream alone.
/// - **Honest**: what has been let go is `Trimmed`, what no longer verifies is a gap, and neither is ever an
///   empty answer or another record.
///
/// A stream without events may have a snapshot, of [`Version::NONE`]; it does not make the stream exist.
///
/// Reads lend records out of the bytes of the caller's [`Scratch`]; an implementer may keep read-ahead in it, marked with
/// [`Scratch::set_held`].
#[face]
#[allow(async_fn_in_trait)] // the callers are single-threaded firmware: no `Send` is asked for
pub trait RecordManager {
    /// An error of the storage.
    type Error: core::fmt::Debug;
    /// Why a log cannot be mounted.
    type MountError: core::fmt::Debug;

    /// The bytes wanted free before the payloads of a batch.
    const HEADROOM: Headroom;

    /// Finds the state of the log in the storage. Writes nothing. Mounting again is allowed at any time.
    async fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Self::MountError>;

    /// Appends a batch. The payloads may be moved within it, and can be read in it afterwards.
    async fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Self::Error>>;

    /// Which log this is, and which life of it, as far as that was stored: two logs of a device, and two lives of one
    /// log, do not have the same.
    fn life(&self) -> (LogId, Epoch) {
        (LogId::default(), Epoch::default())
    }

    /// Which part of the notification log is held.
    fn bounds(&self) -> Bounds;

    /// Where a tracker stands; [`Position::START`] if it has never moved.
    fn tracked(&self, tracker: Tracker) -> Position;

    /// The kind and version of a stream; `None` if it has no events.
    async fn head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<Self::Error>>;

    /// The first event of a stream that is still held and has a version above `after`.
    async fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Self::Error>>;

    /// The newest snapshot of a stream, up to version `at_most`.
    async fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Self::Error>>;

    /// What stands at the position after `after`; `None` at the end of the log.
    async fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Self::Error>>;

    /// What stands after `seen` that is an event of one of these types, or a gap. `seen` moves on over the events of
    /// other types, up to the end of the log if nothing else follows, but not over what is answered.
    ///
    /// As provided, reads what it answers twice; an implementer who knows the type of an event before its payload can do
    /// better.
    async fn next_of_kinds<'s>(
        &mut self,
        seen: &mut Position,
        kinds: &Kinds,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Self::Error>> {
        while !kinds.is_all() {
            match self.next_notification(*seen, scratch).await? {
                Some(Notification::Event(record)) if !kinds.has(record.kind) => *seen = seen.next(),
                _ => break,
            }
        }
        self.next_notification(*seen, scratch).await
    }

    /// Sees to it that what can be read now stays: after an unclean stop, an event whose append never returned may be read
    /// for a while and then be gone, until the next append settles it. To be called before anything acts on what was read,
    /// or tells it to others.
    ///
    /// Answers whether there was anything to be done: then what was read before is to be read again. `Full` if it cannot be
    /// done for want of room. As provided, there never is anything to be done.
    async fn secure(&mut self, _scratch: &mut Scratch<'_>) -> Result<bool, AppendError<Self::Error>> {
        Ok(false)
    }

    /// Offers every stream that exists, as far as an event or a snapshot of it is held, to the list, in any order and as often as it comes by
    /// them.
    async fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<Self::Error>>;

    /// Does one bounded step of upkeep, such as erasing ahead; called again until it answers otherwise than
    /// [`Upkeep::Worked`].
    async fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<Self::Error>>;
}
