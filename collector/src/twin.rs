//! Digital twins: the aggregates of the firmware, replayed from what was collected.

use evenkeel_core::{Aggregate, Position, ReplayError, Root, StreamId};
use evenkeel_sync::SourceIdentity;

use crate::{SqliteStore, StoreError, StoredGap};

/// An aggregate of a device, as far as what was collected tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Twin<A> {
    /// The aggregate, after the last event that follows on without a hole.
    pub root: Root<A>,
    /// Where replay had to stop, if it did not reach the last event stored.
    pub stopped: Option<TwinStop>,
    /// What was lost of the log after the last event replayed: the stream may have had events there.
    pub lost: Vec<StoredGap>,
}

/// Where and why the replay of a twin stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TwinStop {
    /// The position of the event that could not be applied.
    pub position: Position,
    /// Why: [`OutOfOrder`](ReplayError::OutOfOrder) after events that were lost.
    pub error: ReplayError,
}

impl<A> Twin<A> {
    /// Whether the twin is in the state that the aggregate had at the store's cursor.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none() && self.lost.is_empty()
    }
}

impl SqliteStore {
    /// Replays what is stored of one stream. Without any event it is an aggregate that does not exist yet.
    pub fn twin<A: Aggregate>(&self, identity: &SourceIdentity, stream: StreamId) -> Result<Twin<A>, StoreError> {
        let mut root = Root::<A>::new(stream);
        let mut stopped = None;
        self.events_of(identity, stream, |record| {
            if stopped.is_none() {
                let position = record.position.unwrap_or_default();
                stopped = root.replay(record).err().map(|error| TwinStop { position, error });
            }
        })?;
        let mut lost = self.gaps(identity)?;
        lost.retain(|gap| gap.last > root.position());
        Ok(Twin { root, stopped, lost })
    }
}
