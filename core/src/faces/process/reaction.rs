//! What a process manager adds to its reaction to one event.

use super::{Log, RecordManager, face};
use crate::aggregate::{Aggregate, Root, Snapshot};
use crate::batch::{Batch, BatchError, Op};
use crate::error::{LoadError, ReadError};
use crate::process::ReactError;
use crate::scratch::Scratch;
use crate::{Position, StreamId};

/// The reaction to one event, not stored yet.
///
/// Aggregates are loaded through it, from the log and with what this reaction has added to them so far: nothing that is
/// loaded elsewhere, as that may be behind.
#[derive(Debug)]
pub struct Reaction<'r, R> {
    records: &'r mut R,
    pub(super) batch: Batch<'r>,
}

#[face]
impl<'r, R: RecordManager> Reaction<'r, R> {
    pub(super) fn new(records: &'r mut R, scratch: &'r mut Scratch<'_>) -> Self {
        Self { records, batch: scratch.batch(R::HEADROOM) }
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
        self.take_in(&mut root, next)?;
        Ok(root)
    }

    /// Loads an aggregate as [`load`](Self::load) does, or answers one that does not exist yet.
    pub async fn load_or_new<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        match self.load(id).await {
            Err(LoadError::NotFound) => Ok(Root::new(id)),
            other => other,
        }
    }

    /// Applies the events of this root that have been added so far.
    fn take_in<A: Aggregate>(&self, root: &mut Root<A>, next: Position) -> Result<(), ReadError<R::Error>> {
        let mut position = next;
        for (entry, payload) in self.batch.iter() {
            if let Op::Event { stream, schema, .. } = entry.op {
                if stream == root.id() {
                    root.take_in(&A::decode_event(schema, payload)?, position);
                }
                position = position.next();
            }
        }
        Ok(())
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
        let (before, mut version) = (self.batch.events(), root.version());
        for event in events {
            self.batch.event::<A>(root.id(), version, &event)?;
            version = version.next();
        }
        Ok(self.batch.events().saturating_sub(before))
    }
}
