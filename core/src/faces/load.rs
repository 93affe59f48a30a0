//! Loading aggregates: the nearest snapshot and the events after it.

use super::{Log, RecordManager, face};
use crate::aggregate::{Aggregate, ReplayError, Root, Snapshot};
use crate::error::{LoadError, ReadError};
use crate::{Cache, CodecError, StreamHead, StreamId, Version};

/// A snapshot that is of no use: its version, its schema number, and why.
type PassedOver = Option<(Version, u8, CodecError)>;

#[face]
impl<R: RecordManager> Log<'_, R> {
    /// Loads an aggregate from its newest snapshot and the events after it.
    ///
    /// A snapshot that cannot be read as this type is passed over, for an older one or the events that it stands for, as
    /// long as these are there; else it is [`LoadError::Snapshot`]. A discarded aggregate is
    /// [`LoadError::Discarded`].
    pub async fn load<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let head = self.head_of(id, A::KIND).await?;
        if head.discarded {
            return Err(LoadError::Discarded { version: head.version });
        }
        self.load_nearest(id, head.version).await
    }

    /// Loads an aggregate as it was at a version, from the nearest snapshot up to it and the events in between; also
    /// one that was discarded later.
    ///
    /// A version that has not been reached is [`LoadError::BeyondEnd`], [`Version::NONE`] is
    /// [`LoadError::NotFound`]; one whose events have been let go is [`LoadError::Trimmed`].
    pub async fn load_at<A: Snapshot>(
        &mut self,
        id: impl Into<StreamId>,
        version: Version,
    ) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let head = self.head_of(id, A::KIND).await?;
        match version {
            Version::NONE => Err(LoadError::NotFound),
            version if version > head.version => Err(LoadError::BeyondEnd { actual: head.version }),
            version if version == head.version && head.discarded => Err(LoadError::Discarded { version }),
            version => self.load_nearest(id, version).await,
        }
    }

    /// Loads an aggregate from all its events, whatever snapshots there are.
    pub async fn replay<A: Aggregate>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let head = self.head_of(id, A::KIND).await?;
        if head.discarded {
            return Err(LoadError::Discarded { version: head.version });
        }
        let mut root = Root::new(id);
        match self.replay_onto(&mut root, head.version).await {
            Ok(()) => Ok(root),
            Err(error) => Err(self.told(error, id, None).await?),
        }
    }

    /// Loads an aggregate, or answers one that does not exist yet if there is none with this id. One that was discarded
    /// is an error: it cannot be created again.
    pub async fn load_or_new<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        match self.load(id).await {
            Err(LoadError::NotFound) => Ok(Root::new(id)),
            other => other,
        }
    }

    /// Whether there is an aggregate of this type with this id, which has not been discarded.
    pub async fn contains<A: Aggregate>(&mut self, id: impl Into<StreamId>) -> Result<bool, ReadError<R::Error>> {
        let head = self.records.head(id.into(), &mut self.scratch).await?;
        Ok(head.is_some_and(|head| head.kind == A::KIND && !head.discarded))
    }

    /// Brings a root up to date: applies the events that others have appended since, or loads it anew where the log does
    /// not hold them any more. A root that does not exist yet stays so.
    ///
    /// After an error the root may have taken in some of them.
    pub async fn fast_forward<A: Snapshot>(&mut self, root: &mut Root<A>) -> Result<(), LoadError<R::Error>> {
        let head = match self.head_of(root.id(), A::KIND).await {
            Err(LoadError::NotFound) if root.version() == Version::NONE => return Ok(()),
            head => head?,
        };
        if head.version >= root.version() {
            match self.replay_onto(root, head.version).await {
                Err(LoadError::Incomplete { .. }) => {}
                Ok(()) if root.is_discarded() => return Err(LoadError::Discarded { version: head.version }),
                other => return other,
            }
        }
        *root = self.load(root.id()).await?;
        Ok(())
    }

    /// Lends an aggregate out of a cache, up to date with the log, or loads it into the cache. After an error it is not
    /// in the cache.
    pub async fn load_cached<'c, A: Snapshot, const N: usize>(
        &mut self,
        cache: &'c mut Cache<A, N>,
        id: impl Into<StreamId>,
    ) -> Result<&'c mut Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let root = match cache.evict(id) {
            Some(mut root) => {
                self.fast_forward(&mut root).await?;
                root
            }
            None => self.load(id).await?,
        };
        cache.keep(root).ok_or(LoadError::NotFound)
    }

    async fn head_of(&mut self, id: StreamId, kind: crate::Kind) -> Result<StreamHead, LoadError<R::Error>> {
        let head = self.records.head(id, &mut self.scratch).await?.ok_or(LoadError::NotFound)?;
        if head.kind != kind {
            return Err(LoadError::WrongKind { expected: kind, actual: head.kind });
        }
        Ok(head)
    }

    /// Loads from the newest snapshot up to `version` that can be read, and the events after it up to `version`.
    async fn load_nearest<A: Snapshot>(
        &mut self,
        id: StreamId,
        version: Version,
    ) -> Result<Root<A>, LoadError<R::Error>> {
        let (mut at_most, mut passed_over) = (version, None);
        let mut root = loop {
            let Some(record) = self.records.latest_snapshot(id, at_most, &mut self.scratch).await? else {
                break Root::new(id);
            };
            match A::decode_state(record.schema, record.payload) {
                Ok(state) if record.kind == A::KIND => break Root::from_snapshot(id, record.version, state),
                Ok(_) => {}
                Err(error) => {
                    passed_over.get_or_insert((record.version, record.schema, error));
                }
            }
            at_most = match record.version.0.checked_sub(1) {
                Some(before @ 1..) => Version(before),
                _ => break Root::new(id),
            };
        };
        match self.replay_onto(&mut root, version).await {
            Ok(()) => Ok(root),
            Err(error) => Err(self.told(error, id, passed_over).await?),
        }
    }

    /// Applies the events of the stream up to `version`.
    async fn replay_onto<A: Aggregate>(
        &mut self,
        root: &mut Root<A>,
        version: Version,
    ) -> Result<(), LoadError<R::Error>> {
        root.reach(self.records.bounds().last());
        while root.version() < version {
            let after = root.version();
            let record = self.records.next_event(root.id(), after, &mut self.scratch).await?;
            match record.map(|record| root.replay(&record)) {
                Some(Ok(())) => {}
                Some(Err(ReplayError::Codec(error))) => return Err(ReadError::Codec(error).into()),
                Some(Err(_)) => return Err(LoadError::Incomplete { after }),
                None => {
                    // After an unclean stop an event whose append never returned can be there and then be gone.
                    let head = self.records.head(root.id(), &mut self.scratch).await?;
                    if head.is_some_and(|head| head.version == after) {
                        break;
                    }
                    return Err(if head.is_none() { LoadError::NotFound } else { LoadError::Incomplete { after } });
                }
            }
        }
        Ok(())
    }

    /// Says more of a stream whose first events are missing: whether a snapshot of them cannot be read, or they have been
    /// let go.
    async fn told(
        &mut self,
        error: LoadError<R::Error>,
        id: StreamId,
        passed_over: PassedOver,
    ) -> Result<LoadError<R::Error>, LoadError<R::Error>> {
        let LoadError::Incomplete { after: Version::NONE } = error else { return Ok(error) };
        if let Some((version, schema, error)) = passed_over {
            return Ok(LoadError::Snapshot { version, schema, error });
        }
        let mut first = None;
        let mut at_most = Version::MAX;
        while let Some(older) = self.records.latest_snapshot(id, at_most, &mut self.scratch).await? {
            first = Some(older.version);
            match older.version.0.checked_sub(1) {
                Some(before @ 1..) => at_most = Version(before),
                _ => break,
            }
        }
        Ok(first.map_or(error, |first| LoadError::Trimmed { first }))
    }
}
