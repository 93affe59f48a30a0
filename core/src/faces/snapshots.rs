//! Snapshots: taken on request, at a period, and when the oldest records are to be let go.

use super::{Log, RecordManager, Roster, face};
use crate::aggregate::{Root, Snapshot};
use crate::error::{AppendError, HeldBy, LogError};
use crate::{Maintained, StreamId, Upkeep, Version};

/// The most steps of upkeep that one call of [`Log::maintain`] does.
const UPKEEP_STEPS: u32 = 64;

#[face]
impl<R: RecordManager> Log<'_, R> {
    /// Stores the state of an aggregate, so that loading starts there and older events can be let go; answers whether
    /// that was to be done: a snapshot of this very version that can be read is not stored again.
    ///
    /// A root that is behind the log is a conflict, as with a command, so a snapshot never tells of more or of less than
    /// the log has at its place. An aggregate that does not exist yet has none to store.
    pub async fn take_snapshot<A: Snapshot>(&mut self, root: &mut Root<A>) -> Result<bool, AppendError<R::Error>> {
        if root.version() == Version::NONE {
            return Ok(false);
        }
        if root.is_discarded() {
            return Err(AppendError::Discarded { stream: root.id() });
        }
        let newest = self.records.latest_snapshot(root.id(), Version::MAX, &mut self.scratch).await?;
        let stands = newest.is_some_and(|newest| {
            newest.version == root.version() && A::decode_state(newest.schema, newest.payload).is_ok()
        });
        if !stands {
            self.store_snapshot(root).await?;
        }
        root.note_snapshot();
        Ok(!stands)
    }

    /// Loads an aggregate and stores its state, as [`take_snapshot`](Log::take_snapshot) does; answers the version of the
    /// snapshot there is now. `None` if there is no such aggregate, or not any more.
    pub async fn snapshot<A: Snapshot>(
        &mut self,
        id: impl Into<StreamId>,
    ) -> Result<Option<Version>, LogError<R::Error>> {
        let mut root = match self.load::<A>(id).await {
            Err(error) if error.is_not_found() => return Ok(None),
            root => root?,
        };
        self.take_snapshot(&mut root).await?;
        Ok(Some(root.version()))
    }

    /// Stores the state of an aggregate if a multiple of [`Snapshot::PERIOD`] has been passed since its newest snapshot
    /// that the root knows of; answers whether it was.
    pub async fn snapshot_if_due<A: Snapshot>(&mut self, root: &mut Root<A>) -> Result<bool, AppendError<R::Error>> {
        if !root.snapshot_is_due(A::PERIOD) {
            return Ok(false);
        }
        self.store_snapshot(root).await?;
        root.note_snapshot();
        Ok(true)
    }

    pub(super) async fn store_snapshot<A: Snapshot>(&mut self, root: &Root<A>) -> Result<(), AppendError<R::Error>> {
        let mut batch = self.scratch.batch(R::HEADROOM);
        batch.snapshot::<A>(root.id(), root.version(), root)?;
        self.records.append(&mut batch).await.map(|_| ())
    }

    /// Does what is to be done between appends: erases ahead, and stores snapshots of the aggregates that the oldest
    /// records belong to, as long as their types are among `A`, such as `(Valve, Alarm)`.
    ///
    /// Bounded in one call; call it when there is time. Power may fail at any instant of it. A stream that is needed and
    /// cannot be loaded is an error: it holds its records, and the log goes on as long as there is room.
    pub async fn maintain<A: Roster>(&mut self) -> Result<Maintained, LogError<R::Error>> {
        for _ in 0..UPKEEP_STEPS {
            match self.records.upkeep(&mut self.scratch).await? {
                Upkeep::Idle => return Ok(Maintained::Ready),
                Upkeep::Worked => {}
                Upkeep::Held(held_by) => return Ok(Maintained::Held(held_by)),
                Upkeep::NeedsSnapshot { stream, kind } => {
                    if !A::snapshot(self, stream, kind).await? {
                        return Ok(Maintained::Held(HeldBy::Stream(stream, kind)));
                    }
                }
            }
        }
        Ok(Maintained::More)
    }
}
