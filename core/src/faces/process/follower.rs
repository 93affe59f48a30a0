//! A process manager at work.

use super::{Log, ProcessManager, Reaction, RecordManager, Upstream, face};
use crate::batch::Op;
use crate::error::{AppendError, ReadError};
use crate::policy::Processed;
use crate::process::{Causality, LogName, ProcessError, ReactError, Saw};
use crate::scratch::Scratch;
use crate::{CodecError, Kind, Notification, Position, Trace, Tracker, Version, codec};

/// A process manager at work: with the place up to which it has read.
#[derive(Debug, Clone)]
pub struct Follower<M> {
    manager: M,
    tracker: Tracker,
    /// `None` before its first run, and after one that did not end well.
    place: Option<Place>,
}

/// How far a follower is.
#[derive(Debug, Clone, Copy)]
struct Place {
    seen: Position,
    /// Where the tracker was left.
    stored: Position,
}

/// Another log, as the events that it leads to name it.
type Origin<'c> = Option<(LogName, &'c Causality)>;

/// What is to be done about a notification.
enum Looked<T> {
    React { at: Position, trigger: T, trace: Option<Trace> },
    PassBy { at: Position },
    Wait { at: Position, saw: Saw },
    Lost { first: Position, last: Position },
}

impl<T> Looked<T> {
    /// Without the trace, which names positions of the log that is followed.
    fn untraced(self) -> Self {
        match self {
            Self::React { at, trigger, .. } => Self::React { at, trigger, trace: None },
            other => other,
        }
    }
}

#[face]
impl<M: ProcessManager> Follower<M> {
    /// Starts from wherever the process manager's tracker stands in the log.
    pub fn new(manager: M) -> Self {
        Self::under(M::TRACKER, manager)
    }

    /// As [`new`](Self::new), under another tracker: for process managers that follow several logs.
    pub fn under(tracker: Tracker, manager: M) -> Self {
        Self { manager, tracker, place: None }
    }

    /// The process manager.
    pub fn manager(&self) -> &M {
        &self.manager
    }

    /// The tracker that its reading place is stored under.
    pub fn tracker(&self) -> Tracker {
        self.tracker
    }

    /// Up to where it has read since it was made; `None` before its first run and after an error.
    pub fn seen(&self) -> Option<Position> {
        self.place.map(|place| place.seen)
    }

    fn look(
        &self,
        notification: &Notification<'_>,
        origin: Origin<'_>,
    ) -> Result<Looked<M::Trigger>, (Position, CodecError)> {
        let at = notification.last();
        let record = match notification {
            Notification::Gap { first, last, .. } => return Ok(Looked::Lost { first: *first, last: *last }),
            Notification::Event(record) => record,
        };
        if let Some((_, causality)) = origin.filter(|(_, causality)| causality.kind == record.kind) {
            let saw: Saw = codec::decode(record.payload).map_err(|error| (at, error))?;
            if causality.tracker(LogName(saw.log)).is_some() {
                return Ok(Looked::Wait { at, saw });
            }
        }
        if !M::FOLLOWS.contains(&record.kind) {
            return Ok(Looked::PassBy { at });
        }
        Ok(match self.manager.trigger(record).map_err(|error| (at, error))? {
            Some(trigger) => Looked::React { at, trigger, trace: Trace::of(record).filter(|_| M::TRACED) },
            None => Looked::PassBy { at },
        })
    }

    /// Where it is, or else where its tracker stands. From now on it is nowhere, until it is put somewhere.
    async fn leave<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
    ) -> Result<Place, ReadError<R::Error>> {
        if let Some(place) = self.place.take() {
            return Ok(place);
        }
        // Where trackers stand after an append that failed is found out by reading.
        records.next_notification(records.bounds().last(), scratch).await?;
        let stored = records.tracked(self.tracker);
        Ok(Place { seen: stored, stored })
    }

    /// Deals with one notification: what is to be stored about it is stored.
    async fn deal<R: RecordManager, U>(
        &self,
        (records, scratch): (&mut R, &mut Scratch<'_>),
        place: &mut Place,
        looked: Looked<M::Trigger>,
        origin: Origin<'_>,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<Processed, ProcessError<R::Error, U>> {
        let (mut done, mut trigger) = (Processed { seen: 1, ..Processed::default() }, None);
        let at = match looked {
            Looked::PassBy { at } => at,
            Looked::React { at, trigger: found, trace } => {
                trigger = Some((found, trace));
                at
            }
            Looked::Lost { first, last } => {
                (done.seen, done.lost) = (0, last.next().since(first));
                last
            }
            Looked::Wait { at, saw } => {
                let (log, needed) = (LogName(saw.log), Position(saw.position));
                let tracker = origin.and_then(|(_, causality)| causality.tracker(log));
                let seen = tracker.map_or(Position(u64::MAX), |tracker| records.tracked(tracker));
                if seen < needed {
                    return Err(ProcessError::Dependency { at, log, needed, seen });
                }
                at
            }
        };
        if let Some(trigger) = trigger {
            done.reactions = self.react((records, scratch), *place, at, trigger, origin, appended).await?;
        }
        if done.reactions > 0 {
            place.stored = at;
        } else if at.since(place.stored) >= u64::from(M::CHECKPOINT) {
            store_place((records, scratch), self.tracker, place.stored, at).await?;
            place.stored = at;
        }
        place.seen = at;
        Ok(done)
    }

    /// Stores the reaction to the event at `at` together with that position; answers how many events it has.
    async fn react<R: RecordManager, U>(
        &self,
        (records, scratch): (&mut R, &mut Scratch<'_>),
        place: Place,
        at: Position,
        (trigger, trace): (M::Trigger, Option<Trace>),
        origin: Origin<'_>,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<u32, ProcessError<R::Error, U>> {
        let failed = |error| ProcessError::React { at, error };
        let vector = match origin {
            Some((_, causality)) => records.head(causality.stream, scratch).await.map_err(ProcessError::Read)?,
            None => None,
        };
        let mut reaction = Reaction::new(records, scratch, trace);
        if let Some((log, causality)) = origin {
            let version = vector.map_or(Version::NONE, |head| head.version);
            let saw = Saw { log: log.0, position: at.0 };
            let (stream, kind) = (causality.stream, causality.kind);
            let op = Op::Event { stream, kind, schema: 0, version: version.next() };
            reaction.batch.push(op, |out| codec::encode(&saw, out)).map_err(|error| failed(error.into()))?;
        }
        let (announced, first) = (reaction.events(), reaction.batch.len());
        self.manager.react(trigger, &mut reaction).await.map_err(failed)?;
        if M::FEEDBACK > 0 {
            self.feed_back(&mut reaction, first).await.map_err(failed)?;
        }
        let events = reaction.events().saturating_sub(announced);
        if events == 0 {
            return Ok(0);
        }
        let (records, mut batch) = reaction.into_parts();
        batch.track_from(self.tracker, place.stored, at).map_err(AppendError::from)?;
        records.append(&mut batch).await?;
        for (entry, _) in batch.iter() {
            if let Op::Event { kind, .. } = entry.op {
                appended(kind);
            }
        }
        Ok(events)
    }

    /// Reacts to what the reaction has, from its entry `first` on, and to what is added by that, until nothing is left.
    async fn feed_back<R: RecordManager>(
        &self,
        reaction: &mut Reaction<'_, R>,
        first: usize,
    ) -> Result<(), ReactError<R::Error>> {
        let (mut index, mut left) = (first, M::FEEDBACK);
        while index < reaction.batch.len() {
            let trigger = match reaction.batch.record(index) {
                Some(record) if M::FOLLOWS.contains(&record.kind) => self.manager.trigger(&record)?,
                _ => None,
            };
            index = index.saturating_add(1);
            if let Some(trigger) = trigger {
                left = left.checked_sub(1).ok_or(ReactError::Endless { most: M::FEEDBACK })?;
                self.manager.react(trigger, reaction).await?;
            }
        }
        Ok(())
    }
}

#[face]
async fn store_place<R: RecordManager>(
    (records, scratch): (&mut R, &mut Scratch<'_>),
    tracker: Tracker,
    from: Position,
    to: Position,
) -> Result<(), AppendError<R::Error>> {
    let mut batch = scratch.batch(R::HEADROOM);
    batch.track_from(tracker, from, to)?;
    records.append(&mut batch).await.map(|_| ())
}

/// An event that could not be decoded.
fn undecoded<E, U>((at, error): (Position, CodecError)) -> ProcessError<E, U> {
    ProcessError::React { at, error: ReactError::Codec(error) }
}

#[face]
impl<R: RecordManager> Log<'_, R> {
    /// Runs a process manager over what is new in this log up to now, over `most` events in this call.
    ///
    /// What its reactions themselves lead to is left for the next call. After an error it takes its place from the log
    /// again.
    pub async fn run<M: ProcessManager>(
        &mut self,
        follower: &mut Follower<M>,
        most: u32,
    ) -> Result<Processed, ProcessError<R::Error>> {
        let end = self.records.bounds().last();
        self.run_to(follower, end, most, &mut |_| {}).await
    }

    /// As [`run`](Self::run), up to the position `end`, and says of which kinds the appended events are.
    pub(super) async fn run_to<M: ProcessManager>(
        &mut self,
        follower: &mut Follower<M>,
        end: Position,
        most: u32,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<Processed, ProcessError<R::Error>> {
        if M::FEEDBACK > 0 {
            return Err(ProcessError::OwnLog);
        }
        let mut place = follower.leave(&mut self.records, &mut self.scratch).await.map_err(ProcessError::Read)?;
        let mut done = Processed::default();
        while place.seen < end && done.seen < most {
            let next = self.records.next_notification(place.seen, &mut self.scratch).await;
            let Some(notification) = next.map_err(ProcessError::Upstream)? else { break };
            let looked = follower.look(&notification, None).map_err(undecoded)?;
            if matches!(looked, Looked::React { .. }) && self.records.secure(&mut self.scratch).await? {
                continue; // it may be gone
            }
            let parts = (&mut self.records, &mut self.scratch);
            done.add(follower.deal(parts, &mut place, looked, None, appended).await?);
        }
        follower.place = Some(place);
        Ok(done)
    }

    /// Runs a process manager over what is new in another log, over `most` events in this call. Its reactions and its
    /// reading place are stored in this log.
    pub async fn follow<M: ProcessManager, U: Upstream>(
        &mut self,
        follower: &mut Follower<M>,
        upstream: &mut U,
        most: u32,
    ) -> Result<Processed, ProcessError<R::Error, U::Error>> {
        self.follow_from(follower, upstream, most, None).await
    }

    /// As [`follow`](Self::follow), minding what the events of several logs depend on: the reactions are announced as
    /// depending on the log `name`, and what depends on other logs waits for these
    /// ([`ProcessError::Dependency`]).
    pub async fn follow_causally<M: ProcessManager, U: Upstream>(
        &mut self,
        follower: &mut Follower<M>,
        upstream: &mut U,
        most: u32,
        name: LogName,
        causality: &Causality,
    ) -> Result<Processed, ProcessError<R::Error, U::Error>> {
        self.follow_from(follower, upstream, most, Some((name, causality))).await
    }

    async fn follow_from<M: ProcessManager, U: Upstream>(
        &mut self,
        follower: &mut Follower<M>,
        upstream: &mut U,
        most: u32,
        origin: Origin<'_>,
    ) -> Result<Processed, ProcessError<R::Error, U::Error>> {
        let mut place = follower.leave(&mut self.records, &mut self.scratch).await.map_err(ProcessError::Read)?;
        let mut done = Processed::default();
        while done.seen < most {
            let next = upstream.next_after(place.seen).await.map_err(ProcessError::Upstream)?;
            let Some(notification) = next else { break };
            let looked = follower.look(&notification, origin).map_err(undecoded)?.untraced();
            let parts = (&mut self.records, &mut self.scratch);
            done.add(follower.deal(parts, &mut place, looked, origin, &mut |_| {}).await?);
        }
        follower.place = Some(place);
        Ok(done)
    }

    /// Stores the reading place of a process manager now, as it does itself with reactions and at checkpoints: before
    /// the power is switched off, or when retention waits for its tracker. Writes nothing if there is nothing new.
    pub async fn checkpoint<M: ProcessManager>(
        &mut self,
        follower: &mut Follower<M>,
    ) -> Result<(), AppendError<R::Error>> {
        let Some(Place { seen, stored }) = follower.place.take() else { return Ok(()) };
        if seen > stored {
            store_place((&mut self.records, &mut self.scratch), follower.tracker, stored, seen).await?;
        }
        follower.place = Some(Place { seen, stored: seen });
        Ok(())
    }

    /// Passes over all up to `position` under this tracker, unseen and on purpose: what a process manager cannot deal
    /// with, or what is gone. Processes under this tracker are to be made anew.
    ///
    /// As the tracker may be one of another log, this is not checked against the end of this one.
    pub async fn skip(&mut self, tracker: Tracker, position: Position) -> Result<(), AppendError<R::Error>> {
        let at = self.records.tracked(tracker);
        store_place((&mut self.records, &mut self.scratch), tracker, at, position).await
    }
}
