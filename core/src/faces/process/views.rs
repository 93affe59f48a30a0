//! Projections that are stored with their reading place.

use super::{Log, RecordManager, face};
use crate::error::{AppendError, ReadError};
use crate::policy::Processed;
use crate::process::{ProcessError, ReactError, View, ViewState};
use crate::{Notification, Position, Projection, Version};

/// A [`View`] at work: its state, and the place up to which it has seen the log.
#[derive(Debug, Clone)]
pub struct Tracked<V> {
    /// `None` before its first run, and after one that did not end well.
    state: Option<ViewState<V>>,
    place: Option<Stored>,
}

/// What the log has of a view.
#[derive(Debug, Clone, Copy)]
struct Stored {
    /// The version of its stream: none before it is stored for the first time.
    version: Version,
    /// Where its tracker stands.
    seen: Position,
}

impl<V> Default for Tracked<V> {
    fn default() -> Self {
        Self { state: None, place: None }
    }
}

#[face]
impl<V: View> Tracked<V> {
    /// Starts from what is stored in the log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The view; `None` before it has been brought up to date for the first time, and after an error.
    pub fn view(&self) -> Option<&V> {
        self.state.as_ref().map(ViewState::view)
    }

    /// Up to where it has seen the log; `None` as with [`view`](Self::view).
    pub fn seen(&self) -> Option<Position> {
        self.state.as_ref().map(ViewState::seen)
    }

    /// Begins without what the log no longer holds: an empty view that knows nothing of what is before and at `seen`,
    /// which it is told as lost.
    pub fn begin_after(&mut self, seen: Position) {
        let mut view = V::default();
        view.lost(Position(1), seen, crate::GapReason::Overwritten);
        (self.state, self.place) = (Some(ViewState { seen: seen.0, view }), None);
    }
}

#[face]
impl<R: RecordManager> Log<'_, R> {
    /// Brings a projection in memory up to date with everything after `seen`, and `seen` with it: after an error it
    /// stands before the event that failed.
    ///
    /// Whether the projection has half taken in that event is its own affair; one that may have is to be made anew.
    pub async fn project<P: Projection + ?Sized>(
        &mut self,
        projection: &mut P,
        seen: &mut Position,
    ) -> Result<(), ReadError<R::Error>> {
        while let Some(notification) = self.records.next_notification(*seen, &mut self.scratch).await? {
            match notification {
                Notification::Event(record) => {
                    projection.take_in(&record)?;
                    *seen = seen.next();
                }
                Notification::Gap { first, last, reason } => {
                    projection.lost(first, last, reason);
                    *seen = last;
                }
            }
        }
        Ok(())
    }

    /// Brings a view up to date, over `most` events in this call; stores it at its checkpoints.
    ///
    /// A view that is stored nowhere is computed from the start of the log. If that is not held any more, this is
    /// [`ReadError::Trimmed`](crate::error::ReadError::Trimmed); [`Tracked::begin_after`] then begins with what there
    /// is. After an error the view takes its state from the log again: what it has half taken in is forgotten.
    pub async fn refresh<V: View>(
        &mut self,
        tracked: &mut Tracked<V>,
        most: u32,
    ) -> Result<Processed, ProcessError<R::Error>> {
        let end = self.records.bounds().last();
        self.refresh_to(tracked, end, most).await
    }

    pub(super) async fn refresh_to<V: View>(
        &mut self,
        tracked: &mut Tracked<V>,
        end: Position,
        most: u32,
    ) -> Result<Processed, ProcessError<R::Error>> {
        let (mut state, mut place) = self.leave(tracked).await?;
        let mut done = Processed::default();
        while state.seen < end.0 && done.seen < most {
            let next = self.records.next_notification(state.seen(), &mut self.scratch).await;
            match next.map_err(ProcessError::Upstream)? {
                None => break,
                Some(Notification::Event(record)) => {
                    let at = state.seen().next();
                    let error = |error| ProcessError::React { at, error: ReactError::Codec(error) };
                    state.view.take_in(&record).map_err(error)?;
                    (state.seen, done.seen) = (at.0, done.seen.saturating_add(1));
                }
                Some(Notification::Gap { first, last, reason }) => {
                    state.view.lost(first, last, reason);
                    (state.seen, done.lost) = (last.0, done.lost.saturating_add(last.next().since(first)));
                }
            }
            if state.seen().since(place.seen) >= u64::from(V::CHECKPOINT) {
                self.store_view(&state, &mut place).await?;
            }
        }
        (tracked.state, tracked.place) = (Some(state), Some(place));
        Ok(done)
    }

    /// Stores a view now, as [`refresh`](Self::refresh) does at its checkpoints: before the power is switched off, or
    /// when retention waits for its tracker. Writes nothing if there is nothing new.
    pub async fn store<V: View>(&mut self, tracked: &mut Tracked<V>) -> Result<(), ProcessError<R::Error>> {
        let (Some(state), Some(mut place)) = (tracked.state.take(), tracked.place.take()) else { return Ok(()) };
        self.store_view(&state, &mut place).await?;
        (tracked.state, tracked.place) = (Some(state), Some(place));
        Ok(())
    }

    /// The state of a view, or else what is stored of it. From now on it has none, until it is given one.
    async fn leave<V: View>(
        &mut self,
        tracked: &mut Tracked<V>,
    ) -> Result<(ViewState<V>, Stored), ProcessError<R::Error>> {
        let (state, place) = (tracked.state.take(), tracked.place.take());
        let place = match place {
            Some(place) => place,
            None => {
                let head = self.records.head(V::STREAM, &mut self.scratch).await.map_err(ProcessError::Read)?;
                let version = head.map_or(Version::NONE, |head| head.version);
                Stored { version, seen: self.records.tracked(V::TRACKER) }
            }
        };
        let state = match state {
            Some(state) => state,
            None if place.version == Version::NONE => ViewState::default(),
            None => self.load::<ViewState<V>>(V::STREAM).await.map_err(ProcessError::Load)?.into_state(),
        };
        Ok((state, place))
    }

    /// Stores a view with its place, unless it is still behind what is stored.
    async fn store_view<V: View>(
        &mut self,
        state: &ViewState<V>,
        place: &mut Stored,
    ) -> Result<(), AppendError<R::Error>> {
        if state.seen() <= place.seen {
            return Ok(());
        }
        let version = place.version.max(Version(1));
        let mut batch = self.scratch.batch(R::HEADROOM);
        if place.version == Version::NONE {
            batch.event::<ViewState<V>>(V::STREAM, Version::NONE, &())?;
        }
        batch.snapshot::<ViewState<V>>(V::STREAM, version, state)?;
        batch.track_from(V::TRACKER, place.seen, state.seen())?;
        self.records.append(&mut batch).await?;
        *place = Stored { version, seen: state.seen() };
        Ok(())
    }
}
