//! What a process manager adds to its reaction to one event.

use super::{Log, RecordManager, face};
use crate::aggregate::{Aggregate, Root, Snapshot};
use crate::batch::{Batch, BatchError};
use crate::error::{LoadError, ReadError};
use crate::process::ReactError;
use crate::scratch::Scratch;
use crate::together::{apply, fill};
use crate::{StreamId, Trace};

/// The reaction to one event, not stored yet.
///
/// Aggregates are loaded through it, from the log and with what this reaction has added to them so far: nothing that is
/// loaded elsewhere, as that may be behind.
#[derive(Debug)]
pub struct Reaction<'r, R> {
    records: &'r mut R,
    pub(super) batch: Batch<'r>,
    /// What its events are a consequence of, if that is to be stored.
    trace: Option<Trace>,
}

#[face]
impl<'r, R: RecordManager> Reaction<'r, R> {
    pub(super) fn new(records: &'r mut R, scratch: &'r mut Scratch<'_>, trace: Option<Trace>) -> Self {
        Self { records, batch: scratch.batch(R::HEADROOM), trace }
    }

    pub(super) fn into_parts(self) -> (&'r mut R, Batch<'r>) {
        (self.records, self.batch)
    }

    /// How many events it has.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.batch.events()
    }

    /// Loads an aggregate as it will be once this reaction is stored as it now is.
    pub async fn load<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let next = self.records.bounds().next;
        let mut lent = Log { records: &mut *self.records, scratch: Scratch::new(self.batch.free_mut()) };
        let mut root = match lent.load::<A>(id).await {
            Err(LoadError::NotFound) => match self.batch.head_before(self.batch.len(), id) {
                Some(head) if head.kind != A::KIND => {
                    return Err(LoadError::WrongKind { expected: A::KIND, actual: head.kind });
                }
                Some(_) => Root::new(id),
                None => return Err(LoadError::NotFound),
            },
            loaded => loaded?,
        };
        apply(&self.batch, &mut root, next).map_err(ReadError::Codec)?;
        match root.is_discarded() {
            true => Err(LoadError::Discarded { version: root.version() }),
            false => Ok(root),
        }
    }

    /// Loads an aggregate as [`load`](Self::load) does, or answers one that does not exist yet.
    pub async fn load_or_new<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        match self.load(id).await {
            Err(LoadError::NotFound) => Ok(Root::new(id)),
            other => other,
        }
    }

    /// Runs a command on the aggregate with this id, which need not exist yet, and adds the events that it returns;
    /// answers how many, or what the aggregate refused with: nothing is added then, and it is for the process manager to
    /// say what follows from that.
    pub async fn execute<A: Snapshot, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        id: impl Into<StreamId>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Result<u32, Refused>, ReactError<R::Error>> {
        let root = self.load_or_new::<A>(id).await?;
        match decide(&root) {
            Ok(events) => Ok(Ok(self.trigger(&root, events)?)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Adds events that follow on the version of this root, which was loaded through this reaction after whatever else
    /// was added to its stream; answers how many. The root does not take them in.
    pub fn trigger<A: Aggregate>(
        &mut self,
        root: &Root<A>,
        events: impl IntoIterator<Item = A::Event>,
    ) -> Result<u32, BatchError> {
        let before = self.batch.events();
        fill(&mut self.batch, root, events, self.trace)?;
        Ok(self.batch.events().saturating_sub(before))
    }

    /// Adds the end of this aggregate, which was loaded as for [`trigger`](Self::trigger): nothing can follow it.
    pub fn discard<A: Aggregate>(&mut self, root: &Root<A>) -> Result<(), BatchError> {
        self.batch.discard::<A>(root.id(), root.version())
    }
}
