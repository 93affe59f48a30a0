//! Commands: decide, append, apply.

use super::{Log, RecordManager, face};
use crate::aggregate::{Aggregate, Root, Snapshot};
use crate::batch::Batch;
use crate::error::{AppendError, ExecuteError, LoadError};
use crate::together::{Together, apply, fill};
use crate::{Appended, Cache, StreamId, Trace};

#[face]
impl<R: RecordManager> Log<'_, R> {
    /// Decides, appends, applies: runs a command on the aggregate, makes the events that it returns durable in one
    /// atomic batch, and only then applies them.
    ///
    /// If this fails the aggregate is as it was, and no event is lost that anybody has seen: the command can be given
    /// again. After [`AppendError::Conflict`] it is behind the log: [`fast_forward`](Log::fast_forward) it first. After
    /// [`AppendError::Storage`] the batch may or may not be in the log: fast-forward it, too. A command without events writes
    /// nothing.
    pub async fn execute<A: Aggregate, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        root: &mut Root<A>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        self.execute_traced(root, None, decide).await
    }

    /// As [`execute`](Log::execute), and stores with each event what it is a consequence of.
    pub async fn execute_because<A: Aggregate, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        trace: Trace,
        root: &mut Root<A>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        self.execute_traced(root, Some(trace), decide).await
    }

    #[inline]
    async fn execute_traced<A: Aggregate, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        root: &mut Root<A>,
        trace: Option<Trace>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        if root.is_discarded() {
            return Err(AppendError::Discarded { stream: root.id() }.into());
        }
        let events = decide(root).map_err(ExecuteError::Refused)?;
        let mut batch = self.scratch.batch(R::HEADROOM);
        fill(&mut batch, root, events, trace).map_err(AppendError::from)?;
        if batch.is_empty() {
            return Ok(Appended { first: self.records.bounds().next, events: 0 });
        }
        let appended = self.records.append(&mut batch).await?;
        apply(&batch, root, appended.first).map_err(AppendError::from)?;
        Ok(appended)
    }

    /// As [`execute`](Log::execute), and on a conflict loads the aggregate again and decides again, `attempts`
    /// times in all. Any other failure is answered at once.
    pub async fn execute_retrying<A: Snapshot, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        attempts: u32,
        root: &mut Root<A>,
        mut decide: impl FnMut(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        let mut left = attempts;
        loop {
            let outcome = self.execute(root, &mut decide).await;
            left = left.saturating_sub(1);
            match outcome {
                Err(ExecuteError::Log(AppendError::Conflict { .. })) if left > 0 => {
                    self.fast_forward(root).await.map_err(ExecuteError::Load)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// As [`execute`](Log::execute), and stores a snapshot behind the events when [`Snapshot::PERIOD`] says so.
    ///
    /// A snapshot that cannot be stored does not fail the command: it is due again at the next.
    pub async fn execute_snapshotting<A: Snapshot, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        root: &mut Root<A>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        let appended = self.execute(root, decide).await?;
        let _ = self.snapshot_if_due(root).await;
        Ok(appended)
    }

    /// A command on an aggregate out of a cache, which is brought up to date first, or loaded; one that is not there is
    /// created. It stays in the cache unless anything but its own refusal fails.
    pub async fn execute_cached<A: Snapshot, I: IntoIterator<Item = A::Event>, Refused, const N: usize>(
        &mut self,
        cache: &mut Cache<A, N>,
        id: impl Into<StreamId>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        let id = id.into();
        match self.load_cached(cache, id).await {
            Ok(_) => {}
            Err(LoadError::NotFound) => {
                let _ = cache.keep(Root::new(id));
            }
            Err(error) => return Err(ExecuteError::Load(error)),
        }
        let Some(mut root) = cache.evict(id) else { return Err(ExecuteError::Load(LoadError::NotFound)) };
        let outcome = self.execute_snapshotting(&mut root, decide).await;
        if matches!(outcome, Ok(_) | Err(ExecuteError::Refused(_))) && root.version() > crate::Version::NONE {
            let _ = cache.keep(root);
        }
        outcome
    }

    /// A command over several aggregates: what it returns, a tuple of the events of each, becomes durable in one atomic
    /// batch, and is then applied to each. If this fails all of them are as they were.
    ///
    /// ```
    /// # use evenkeel_core::{Aggregate, Kind, Log, RamLog, Root};
    /// # #[derive(Default)] struct Tank { litres: i32 }
    /// # impl Aggregate for Tank {
    /// #     const KIND: Kind = Kind(1);
    /// #     type Event = i32;
    /// #     fn apply(&mut self, by: &i32) { self.litres += by; }
    /// # }
    /// # impl Tank {
    /// #     fn fill(&self, by: i32) -> Result<[i32; 1], &'static str> { Ok([by]) }
    /// #     fn drain(&self, by: i32) -> Result<[i32; 1], &'static str> {
    /// #         if by > self.litres { Err("not so much") } else { Ok([-by]) }
    /// #     }
    /// # }
    /// # let mut scratch = [0; 256];
    /// # let mut log = Log::mount(RamLog::<_, 4, 2>::new([0; 1024]), &mut scratch).unwrap();
    /// let (mut from, mut to) = (Root::<Tank>::new(1), Root::<Tank>::new(2));
    /// log.execute(&mut from, |tank| tank.fill(10)).unwrap();
    /// log.execute_all((&mut from, &mut to), |(from, to)| Ok::<_, &str>((from.drain(4)?, to.fill(4)?))).unwrap();
    /// assert_eq!((from.litres, to.litres), (6, 4));
    /// assert!(log.execute_all((&mut from, &mut to), |(from, to)| Ok::<_, &str>((from.drain(7)?, to.fill(7)?))).is_err());
    /// assert_eq!((from.litres, to.litres, log.bounds().last().0), (6, 4, 3));
    /// ```
    pub async fn execute_all<T: Together<Facts>, Facts, Refused>(
        &mut self,
        mut roots: T,
        decide: impl FnOnce(&T) -> Result<Facts, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        if let Some(stream) = roots.discarded() {
            return Err(AppendError::Discarded { stream }.into());
        }
        let facts = decide(&roots).map_err(ExecuteError::Refused)?;
        let mut batch = self.scratch.batch(R::HEADROOM);
        roots.fill(&mut batch, facts).map_err(AppendError::from)?;
        if batch.is_empty() {
            return Ok(Appended { first: self.records.bounds().next, events: 0 });
        }
        let appended = self.records.append(&mut batch).await?;
        roots.apply(&batch, appended.first).map_err(AppendError::from)?;
        Ok(appended)
    }

    /// Discards an aggregate: its stream ends with one more event, after which it is not found any more, takes no
    /// commands, and cannot be created again. Versions before can still be loaded ([`load_at`](Log::load_at)).
    ///
    /// That event is the tombstone. As soon as retention lets it go the stream is forgotten, with all that was in it: it
    /// needs no snapshot. Do not give its id to another aggregate then either, as others may remember it.
    pub async fn discard<A: Aggregate>(&mut self, root: &mut Root<A>) -> Result<Appended, AppendError<R::Error>> {
        match self.execute_last(root, |_| Ok::<[A::Event; 0], core::convert::Infallible>([])).await {
            Ok(appended) => Ok(appended),
            Err(ExecuteError::Log(error)) => Err(error),
            Err(ExecuteError::Load(LoadError::Read(error))) => Err(error.into()),
            // None of these can be: nothing is loaded, and nothing refuses.
            Err(ExecuteError::Refused(_) | ExecuteError::Load(_)) => Err(AppendError::Discarded { stream: root.id() }),
        }
    }

    /// A last command: its events, and that the aggregate is [discarded](Log::discard), become durable in one atomic batch.
    pub async fn execute_last<A: Aggregate, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        root: &mut Root<A>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        if root.is_discarded() {
            return Err(AppendError::Discarded { stream: root.id() }.into());
        }
        let events = decide(root).map_err(ExecuteError::Refused)?;
        let mut batch = self.scratch.batch(R::HEADROOM);
        fill(&mut batch, root, events, None).map_err(AppendError::from)?;
        let last = crate::Version(root.version().0.saturating_add(batch.events()));
        batch.discard::<A>(root.id(), last).map_err(AppendError::from)?;
        let appended = self.records.append(&mut batch).await?;
        apply(&batch, root, appended.first).map_err(AppendError::from)?;
        Ok(appended)
    }

    /// Appends a batch that `fill` builds, for what no single aggregate covers: events of several aggregates, or
    /// events with a tracker.
    ///
    /// Roots are not updated: [`fast_forward`](Log::fast_forward) them.
    pub async fn append<E: Into<AppendError<R::Error>>>(
        &mut self,
        fill: impl FnOnce(&mut Batch<'_>) -> Result<(), E>,
    ) -> Result<Appended, AppendError<R::Error>> {
        let mut batch = self.scratch.batch(R::HEADROOM);
        fill(&mut batch).map_err(Into::into)?;
        if batch.is_empty() {
            return Ok(Appended { first: self.records.bounds().next, events: 0 });
        }
        self.records.append(&mut batch).await
    }
}
