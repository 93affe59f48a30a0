//! Event sourcing on a record manager: load, execute, process, catch up.

use super::{RecordManager, face};
use crate::aggregate::Root;
use crate::error::{AppendError, LogError, ReadError};
use crate::policy::{Policy, Process, Processed};
use crate::projection::Projection;
use crate::scratch::Scratch;
use crate::section::{Section, SectionWriter};
use crate::together::{apply, fill};
use crate::{Bounds, Notification, Position, Record, StreamHead, StreamId, Tracker, Version};

/// A mounted log: a record manager and the caller's scratch buffer.
///
/// The scratch buffer bounds what one batch and one record may take: an append needs the batch's payloads, the
/// record manager's headroom and [`ENTRY_BYTES`](crate::batch::ENTRY_BYTES) for each entry in it.
#[derive(Debug)]
pub struct Log<'b, R> {
    pub(super) records: R,
    pub(super) scratch: Scratch<'b>,
}

#[face]
impl<'b, R: RecordManager> Log<'b, R> {
    /// Finds the state of the log in its storage. Writes nothing: a foreign or blank storage is an error and stays
    /// as it is.
    pub async fn mount(mut records: R, scratch: &'b mut [u8]) -> Result<Self, R::MountError> {
        let mut scratch = Scratch::new(scratch);
        records.mount(&mut scratch).await?;
        Ok(Self { records, scratch })
    }

    /// A log on a record manager that has been mounted already, by a call of its own: so that the flash is not looked
    /// through twice. On one that has not, every call is an error that says so.
    pub fn mounted(records: R, scratch: &'b mut [u8]) -> Self {
        Self { records, scratch: Scratch::new(scratch) }
    }

    /// Gives the record manager back.
    pub fn release(self) -> R {
        self.records
    }

    /// The record manager, for what only it can do.
    pub fn records(&mut self) -> &mut R {
        &mut self.records
    }

    /// The record manager and the scratch buffer, for machines that drive both, such as those of offline sync.
    pub fn parts(&mut self) -> (&mut R, &mut Scratch<'b>) {
        (&mut self.records, &mut self.scratch)
    }

    /// Which part of the notification log is held.
    pub fn bounds(&self) -> Bounds {
        self.records.bounds()
    }

    /// Up to where this tracker has seen everything; [`Position::START`] if it has never moved.
    pub fn tracked(&self, tracker: Tracker) -> Position {
        self.records.tracked(tracker)
    }

    /// The kind and version of a stream; `None` if it has no events.
    pub async fn head(&mut self, id: impl Into<StreamId>) -> Result<Option<StreamHead>, ReadError<R::Error>> {
        self.records.head(id.into(), &mut self.scratch).await
    }

    /// Says that everything up to `position` has been seen under this tracker. Durable when it returns.
    ///
    /// Saying again what is stored already writes nothing.
    pub async fn acknowledge(&mut self, tracker: Tracker, position: Position) -> Result<(), AppendError<R::Error>> {
        let at = self.records.tracked(tracker);
        if at == position {
            return Ok(());
        }
        let last = self.records.bounds().last();
        if position > last {
            return Err(AppendError::Tracking { tracker, after: at, at, to: position });
        }
        let mut batch = self.scratch.batch(R::HEADROOM);
        batch.track_from(tracker, at, position)?;
        self.records.append(&mut batch).await.map(|_| ())
    }

    /// What stands after `after` in the notification log; `None` at its end.
    pub async fn next_notification(
        &mut self,
        after: Position,
    ) -> Result<Option<Notification<'_>>, ReadError<R::Error>> {
        self.records.next_notification(after, &mut self.scratch).await
    }

    /// The first event of a stream that is still held and has a version above `after`.
    pub async fn next_event(
        &mut self,
        id: impl Into<StreamId>,
        after: Version,
    ) -> Result<Option<Record<'_>>, ReadError<R::Error>> {
        self.records.next_event(id.into(), after, &mut self.scratch).await
    }

    /// Encodes the events after `after` into `out`, as many as fit, to be sent somewhere.
    ///
    /// An event that does not fit an empty `out` is [`ReadError::ScratchTooSmall`].
    pub async fn section<'o>(
        &mut self,
        after: Position,
        out: &'o mut [u8],
    ) -> Result<Section<'o>, ReadError<R::Error>> {
        section(&mut self.records, &mut self.scratch, after, out).await
    }

    /// Brings a projection up to date with everything after `after`; answers the position that it has now seen.
    ///
    /// Stops at the first event that the projection fails on; what it has seen is then lost with the error, so
    /// give it an event again only if it can bear that.
    pub async fn catch_up<P: Projection + ?Sized>(
        &mut self,
        projection: &mut P,
        after: Position,
    ) -> Result<Position, ReadError<R::Error>> {
        let mut seen = after;
        loop {
            match self.records.next_notification(seen, &mut self.scratch).await? {
                None => return Ok(seen),
                Some(Notification::Event(record)) => {
                    projection.take_in(&record)?;
                    seen = seen.next();
                }
                Some(Notification::Gap { first, last, reason }) => {
                    projection.lost(first, last, reason);
                    seen = last;
                }
            }
        }
    }

    /// Runs a policy over what is new in the log up to now: each reaction is appended in one batch with the
    /// position that it reacted to, and then applied to `target`.
    ///
    /// What the reactions themselves lead to is left for the next call. After an error the process takes its place
    /// from the log again; reload the target.
    pub async fn process<P: Policy>(
        &mut self,
        process: &mut Process<P>,
        target: &mut Root<P::Target>,
    ) -> Result<Processed, LogError<R::Error>> {
        let end = self.records.bounds().last();
        let mut done = Processed::default();
        let mut seen = match process.seen.take() {
            Some(seen) => seen,
            None => {
                // Where trackers stand after an append that failed is found out by reading.
                self.records.next_notification(end, &mut self.scratch).await?;
                process.stored = self.records.tracked(P::TRACKER);
                process.stored
            }
        };
        let mut certain = false;
        while seen < end {
            let Some(notification) = self.records.next_notification(seen, &mut self.scratch).await? else { break };
            if !certain && notification.record().is_some() {
                // It may be gone later: nothing reacts to it before it is known to stay.
                certain = true;
                self.records.secure(&mut self.scratch).await?;
                continue;
            }
            seen = notification.last();
            let reaction = match &notification {
                Notification::Event(record) => {
                    done.seen = done.seen.saturating_add(1);
                    Some(process.policy.react(record, target).map_err(ReadError::Codec)?)
                }
                Notification::Gap { first, last, .. } => {
                    done.lost = done.lost.saturating_add(last.next().since(*first));
                    None
                }
            };
            let mut batch = self.scratch.batch(R::HEADROOM);
            if let Some(reaction) = reaction {
                fill(&mut batch, target, reaction, None).map_err(AppendError::from)?;
            }
            if batch.is_empty() && seen.since(process.stored) < u64::from(P::CHECKPOINT) {
                continue;
            }
            batch.track_from(P::TRACKER, process.stored, seen).map_err(AppendError::from)?;
            let appended = self.records.append(&mut batch).await?;
            process.stored = seen;
            apply(&batch, target, appended.first).map_err(AppendError::from)?;
            done.reactions = done.reactions.saturating_add(appended.events);
        }
        process.seen = Some(seen);
        Ok(done)
    }
}

/// Encodes the events after `after` into `out`, as many as fit: [`Log::section`] for callers that hold the parts.
#[face]
pub async fn section<'o, R: RecordManager>(
    records: &mut R,
    scratch: &mut Scratch<'_>,
    after: Position,
    out: &'o mut [u8],
) -> Result<Section<'o>, ReadError<R::Error>> {
    section_up_to(records, scratch, after, Position(u64::MAX), out).await
}

/// As [`section`], of the events up to `last`: the bytes depend on the events only, not on the room that is left.
#[face]
pub async fn section_up_to<'o, R: RecordManager>(
    records: &mut R,
    scratch: &mut Scratch<'_>,
    after: Position,
    last: Position,
    out: &'o mut [u8],
) -> Result<Section<'o>, ReadError<R::Error>> {
    let lent = out.len();
    let mut writer = SectionWriter::new(out);
    let mut seen = after;
    let mut ended = None;
    while seen < last {
        let Some(notification) = records.next_notification(seen, scratch).await? else { break };
        match notification {
            Notification::Event(record) => {
                if !writer.push(&record) {
                    if writer.events() == 0 {
                        let needed = crate::section::event_bytes_at_most(record.payload.len()).max(lent);
                        return Err(ReadError::ScratchTooSmall { needed: u32::try_from(needed).unwrap_or(u32::MAX) });
                    }
                    break;
                }
                seen = seen.next();
            }
            Notification::Gap { first, last: end, reason } => {
                ended = Some(Section::Gap { first, last: end.min(last), reason });
                break;
            }
        }
    }
    let (count, len) = (writer.events(), writer.bytes().len());
    if count > 0 {
        let bytes = out.get(..len).unwrap_or_default();
        return Ok(Section::Events { first: after.next(), count, bytes });
    }
    Ok(ended.unwrap_or(Section::End { next: after.next() }))
}
