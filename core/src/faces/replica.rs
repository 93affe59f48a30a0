//! Copies of another log, position by position.

use super::{Log, RecordManager, face};
use crate::batch::Op;
use crate::bytes::copy;
use crate::codec::CodecError;
use crate::error::{AppendError, ReplicateError};
use crate::section::{MalformedSection, Section, SectionReader};
use crate::{Appended, Position, Record};

#[face]
impl<'b, R: RecordManager> Log<'b, R> {
    /// Takes in a section of another log, of which this one is a copy: the same events at the same positions.
    ///
    /// Those that are here already must be the same, and are passed over; the others are appended in one batch. A copy
    /// goes on behind [`Bounds::last`](crate::Bounds::last). It is whole, so positions that the other log has lost, or
    /// has let go, cannot be copied; nor can a stream of which some events are local only.
    ///
    /// # Errors
    /// [`ReplicateError::Contradiction`] if another event stands here at one of its positions,
    /// [`ReplicateError::Ahead`] if the section does not follow on. Nothing has been appended then.
    pub async fn replicate(&mut self, section: &Section<'_>) -> Result<Appended, ReplicateError<R::Error>> {
        match *section {
            Section::Events { first, count, bytes } => {
                let events = SectionReader::new(first, bytes);
                let decoded = events.clone().try_fold(0_u32, |count, event| event.map(|_| count.saturating_add(1)));
                if decoded != Ok(count) {
                    return Err(ReplicateError::Malformed);
                }
                self.replicate_events(events).await
            }
            Section::Gap { first, last, .. } if last >= self.bounds().next => Err(ReplicateError::Lost { first, last }),
            Section::Gap { .. } | Section::End { .. } => Ok(Appended { first: self.bounds().next, events: 0 }),
        }
    }

    /// Takes in one event of another log, of which this one is a copy: see [`replicate`](Self::replicate).
    pub async fn replicate_event(&mut self, event: &Record<'_>) -> Result<Appended, ReplicateError<R::Error>> {
        self.replicate_events(core::iter::once(Ok(*event))).await
    }

    async fn replicate_events<'r>(
        &mut self,
        mut events: impl Iterator<Item = Result<Record<'r>, MalformedSection>>,
    ) -> Result<Appended, ReplicateError<R::Error>> {
        let next = self.bounds().next;
        let mut one = events.next();
        while let Some(Ok(event)) = one.filter(|event| is_before(event, next)) {
            self.compare(&event).await?;
            one = events.next();
        }
        let mut position = next;
        let (records, scratch) = self.parts();
        let mut batch = scratch.batch(R::HEADROOM);
        for event in one.into_iter().chain(events) {
            let event = event.map_err(|_| ReplicateError::Malformed)?;
            let at = event.position.ok_or(ReplicateError::Local)?;
            if at != position {
                return Err(ReplicateError::Ahead { next: position, position: at });
            }
            let Record { stream, kind, schema, version, payload, .. } = event;
            let copy = |room: &mut [u8]| {
                copy(payload, room.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?);
                Ok(payload.len())
            };
            batch.push(Op::Event { stream, kind, schema, version }, copy).map_err(AppendError::from)?;
            position = position.next();
        }
        if batch.is_empty() {
            return Ok(Appended { first: next, events: 0 });
        }
        Ok(records.append(&mut batch).await?)
    }

    /// An event that is here already must be the very one.
    async fn compare(&mut self, event: &Record<'_>) -> Result<(), ReplicateError<R::Error>> {
        let position = event.position.unwrap_or_default();
        let here = self.next_notification(position.previous()).await?;
        match here.as_ref().and_then(|here| here.record()) {
            Some(here) if here == event => Ok(()),
            Some(_) => Err(ReplicateError::Contradiction { position }),
            None => Err(ReplicateError::Lost { first: position, last: position }),
        }
    }
}

fn is_before(event: &Result<Record<'_>, MalformedSection>, next: Position) -> bool {
    event.is_ok_and(|event| event.position.is_some_and(|position| position < next))
}
