//! Event sourcing on a record manager: load, execute, process, catch up.

use super::{RecordManager, Roster, face};
use crate::aggregate::{Aggregate, ReplayError, Root, Snapshot};
use crate::batch::{Batch, Op};
use crate::codec;
use crate::error::{AppendError, ExecuteError, LoadError, LogError, ReadError};
use crate::policy::{Policy, Process, Processed};
use crate::projection::Projection;
use crate::scratch::Scratch;
use crate::section::{Section, SectionWriter};
use crate::{
    Appended, Bounds, Maintained, Notification, Position, Record, StreamHead, StreamId, Tracker, Upkeep, Version,
};

/// A mounted log: a record manager and the caller's scratch buffer.
///
/// The scratch buffer bounds what one batch and one record may take: an append needs the batch's payloads, the
/// record manager's headroom and [`ENTRY_BYTES`](crate::batch::ENTRY_BYTES) for each entry in it.
#[derive(Debug)]
pub struct Log<'b, R> {
    pub(super) records: R,
    pub(super) scratch: Scratch<'b>,
}

/// The most steps of upkeep that one call of [`Log::maintain`] does.
const UPKEEP_STEPS: u32 = 64;

#[face]
impl<'b, R: RecordManager> Log<'b, R> {
    /// Finds the state of the log in its storage. Writes nothing: a foreign or blank storage is an error and stays
    /// as it is.
    pub async fn mount(mut records: R, scratch: &'b mut [u8]) -> Result<Self, R::MountError> {
        let mut scratch = Scratch::new(scratch);
        records.mount(&mut scratch).await?;
        Ok(Self { records, scratch })
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

    /// Loads an aggregate from its newest snapshot and the events after it.
    ///
    /// A snapshot of another schema, or one that no longer decodes, is passed over as long as the events it
    /// stands for are there.
    pub async fn load<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let head = self.head_of::<A>(id).await?;
        let snapshot = self.records.latest_snapshot(id, head.version, &mut self.scratch).await?;
        let state = snapshot
            .filter(|record| record.kind == A::KIND && record.schema == <A as Snapshot>::SCHEMA)
            .and_then(|record| Some((record.version, codec::decode(record.payload).ok()?)));
        let root = match state {
            Some((version, state)) => Root::from_snapshot(id, version, state),
            None => Root::new(id),
        };
        self.replay_onto(root, head.version).await
    }

    /// Loads an aggregate from all its events, whatever snapshots there are.
    pub async fn replay<A: Aggregate>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        let head = self.head_of::<A>(id).await?;
        self.replay_onto(Root::new(id), head.version).await
    }

    /// Loads an aggregate, or answers one that does not exist yet if there is none with this id.
    pub async fn load_or_new<A: Snapshot>(&mut self, id: impl Into<StreamId>) -> Result<Root<A>, LoadError<R::Error>> {
        let id = id.into();
        match self.load(id).await {
            Err(LoadError::NotFound) => Ok(Root::new(id)),
            other => other,
        }
    }

    async fn head_of<A: Aggregate>(&mut self, id: StreamId) -> Result<StreamHead, LoadError<R::Error>> {
        let head = self.records.head(id, &mut self.scratch).await?.ok_or(LoadError::NotFound)?;
        if head.kind != A::KIND {
            return Err(LoadError::WrongKind { expected: A::KIND, actual: head.kind });
        }
        Ok(head)
    }

    async fn replay_onto<A: Aggregate>(
        &mut self,
        mut root: Root<A>,
        version: Version,
    ) -> Result<Root<A>, LoadError<R::Error>> {
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
        Ok(root)
    }

    /// Decides, appends, applies: runs a command on the aggregate, makes the events that it returns durable in one
    /// atomic batch, and only then applies them.
    ///
    /// If this fails the aggregate is as it was. After [`AppendError::Conflict`] it is behind the log: reload it.
    /// After [`AppendError::Storage`] the batch may or may not be in the log: reload too.
    pub async fn execute<A: Aggregate, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        root: &mut Root<A>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
    ) -> Result<Appended, ExecuteError<Refused, R::Error>> {
        let events = decide(root).map_err(ExecuteError::Refused)?;
        let mut batch = self.scratch.batch(R::HEADROOM);
        fill(&mut batch, root, events)?;
        if batch.is_empty() {
            return Ok(Appended { first: self.records.bounds().next, events: 0 });
        }
        let appended = self.records.append(&mut batch).await?;
        apply(&batch, root, appended)?;
        Ok(appended)
    }

    /// As [`execute`](Log::execute), and on a conflict loads the aggregate again and decides again, `attempts`
    /// times in all.
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
                    let id = root.id();
                    match self.load(id).await {
                        Ok(fresh) => *root = fresh,
                        Err(LoadError::Read(error)) => return Err(AppendError::from(error).into()),
                        Err(_) => return outcome,
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Appends a batch that `fill` builds, for what no single aggregate covers: events of several aggregates, or
    /// events with a tracker.
    ///
    /// Roots are not updated: load them again.
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

    /// Stores the state of an aggregate, so that loading starts there and older events can be let go.
    ///
    /// A root that is behind the log is a conflict, as with a command.
    pub async fn take_snapshot<A: Snapshot>(&mut self, root: &Root<A>) -> Result<(), AppendError<R::Error>> {
        let mut batch = self.scratch.batch(R::HEADROOM);
        batch.snapshot::<A>(root.id(), root.version(), root)?;
        self.records.append(&mut batch).await.map(|_| ())
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
        while seen < end {
            let Some(notification) = self.records.next_notification(seen, &mut self.scratch).await? else { break };
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
                fill(&mut batch, target, reaction)?;
            }
            if batch.is_empty() && seen.since(process.stored) < u64::from(P::CHECKPOINT) {
                continue;
            }
            batch.track_from(P::TRACKER, process.stored, seen).map_err(AppendError::from)?;
            let appended = self.records.append(&mut batch).await?;
            process.stored = seen;
            apply(&batch, target, appended)?;
            done.reactions = done.reactions.saturating_add(appended.events);
        }
        process.seen = Some(seen);
        Ok(done)
    }

    /// Does what is to be done between appends: erases ahead, and stores snapshots of the aggregates that the oldest
    /// records belong to, as long as their types are among `A`, such as `(Valve, Alarm)`.
    ///
    /// Bounded in one call; call it when there is time. Power may fail at any instant of it.
    pub async fn maintain<A: Roster>(&mut self) -> Result<Maintained, LogError<R::Error>> {
        for _ in 0..UPKEEP_STEPS {
            match self.records.upkeep(&mut self.scratch).await? {
                Upkeep::Idle => return Ok(Maintained::Ready),
                Upkeep::Worked => {}
                Upkeep::Held(held_by) => return Ok(Maintained::Held(held_by)),
                Upkeep::NeedsSnapshot { stream, kind } => {
                    if !A::snapshot(self, stream, kind).await? {
                        return Ok(Maintained::Held(crate::error::HeldBy::Stream(stream, kind)));
                    }
                }
            }
        }
        Ok(Maintained::More)
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
    let lent = out.len();
    let mut writer = SectionWriter::new(out);
    let mut seen = after;
    let mut ended = None;
    while let Some(notification) = records.next_notification(seen, scratch).await? {
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
            Notification::Gap { first, last, reason } => {
                ended = Some(Section::Gap { first, last, reason });
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

/// Adds the events that follow on the version of the root.
fn fill<A: Aggregate, E>(
    batch: &mut Batch<'_>,
    root: &Root<A>,
    events: impl IntoIterator<Item = A::Event>,
) -> Result<(), AppendError<E>> {
    let mut version = root.version();
    for event in events {
        batch.event::<A>(root.id(), version, &event)?;
        version = version.next();
    }
    Ok(())
}

/// Applies the events of this root that a batch has made durable, read back from their bytes: memory takes in what
/// a replay would.
fn apply<A: Aggregate, E>(batch: &Batch<'_>, root: &mut Root<A>, appended: Appended) -> Result<(), AppendError<E>> {
    let mut position = appended.first;
    for (entry, payload) in batch.iter() {
        if let Op::Event { stream, schema, .. } = entry.op {
            if stream == root.id() {
                root.take_in(&A::decode_event(schema, payload)?, position);
            }
            position = position.next();
        }
    }
    Ok(())
}
