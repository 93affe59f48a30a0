//! The relay's side that the device sees.

use evenkeel_core::{Epoch, Position};

use super::{FrameKey, NOTE_BYTES, Note, RelayStore, commit_of, doubt_of, head_of, in_no_life, note_message, reach};
use crate::seal::{Purpose, Seal, prove_position};
use crate::sink::SinkError;
use crate::wire::{self, Commit, Head, Hello, MAX_EVENTS, Message, Read, Refusal, Time};
use crate::{Missing, Plain, Proof, SinkConfig, SourceIdentity};

/// How many requests in a row may stay unanswered before the relay asks who is there at all.
const UNANSWERED: u32 = 16;
/// How often what is kept is told to a device that does not answer: it may take nobody's word.
const TOLD: u32 = 4;

/// Pulls a device's frames into a [`RelayStore`], and carries commits to the device.
///
/// [`poll`](Self::poll) gives the frames to send and repeats them as time passes; [`handle`](Self::handle) takes in what
/// arrives. Once it [is caught up](Self::is_caught_up) it is silent until [`pull`](Self::pull), or until the device gives
/// notice. It may be thrown away and made anew at any instant: what matters is in the store.
///
/// Of the [`SinkConfig`] it heeds all but the two about commits; `sink` is the number of the relay.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RelaySink<S = Plain> {
    config: SinkConfig,
    custody: Option<S>,
    phase: RelayPhase,
    /// What the device has said last, with `next` and `cursor` as known by now.
    head: Option<Head>,
    /// The life that is dealt with, and the position after its last one.
    log: Option<(SourceIdentity, Position)>,
    /// Up to where that life is here, or committed, without a hole.
    reached: Position,
    /// What is fetched once more.
    doubt: Option<(Position, Position)>,
    /// The commit that is being carried.
    commit: Option<Commit>,
    /// Commits of this contact wait: the device wants others first.
    commits_wait: bool,
    /// Up to where the device has noted what is kept here.
    noted: Position,
    request: u32,
    heard: u32,
    unanswered: u32,
    due_us: u64,
    time: Option<(Time, u64)>,
}

/// What a [`RelaySink`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RelayPhase {
    /// It asks who is there.
    Greeting,
    /// It brings a commit.
    Committing,
    /// It pulls.
    Reading,
    /// It says what it keeps.
    Keeping,
    /// It keeps all that there is and has brought all that it had.
    CaughtUp,
    /// There is no room for more frames. [`pull`](RelaySink::pull) tries again.
    Full,
    /// The device cannot send its next event in frames of the size that is allowed.
    FrameTooSmall {
        /// The bytes needed, at most.
        needed: u64,
    },
    /// The device understands other versions only: bit n for version n.
    OtherVersion(u8),
}

/// What a frame that came in led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RelayEvent {
    /// Nothing: damaged, not for this relay, or out of date.
    Ignored,
    /// The device said how far its log reaches.
    Head(SourceIdentity),
    /// A frame is kept; up to here there is no hole.
    Kept(Position),
    /// There was no room for a frame.
    Full,
    /// The device has sent all that it was allowed to, or all there is.
    Done,
    /// The device has stored a commit up to here. What it covers has been forgotten.
    Committed(Position),
    /// The device has noted that what is up to here is kept.
    Noted(Position),
    /// The device asks for patience.
    Busy,
    /// The device has at least so many events that nobody has committed.
    Notified(u64),
    /// The device refused.
    Refused(Refusal),
    /// Another device than the one to pull from answered.
    OtherDevice(u64),
}

impl RelaySink {
    /// A relay that begins with asking who is there, and tells nobody what it keeps.
    #[must_use]
    pub const fn new(config: SinkConfig) -> Self {
        Self::made(config, None)
    }
}

impl<S> RelaySink<S> {
    /// A relay that tells the device what it keeps, under the key that it shares with the device: see
    /// [`Source::with_custody`](crate::Source::with_custody).
    #[must_use]
    pub const fn with_custody(config: SinkConfig, seal: S) -> Self {
        Self::made(config, Some(seal))
    }

    const fn made(config: SinkConfig, custody: Option<S>) -> Self {
        Self {
            custody,
            phase: RelayPhase::Greeting,
            head: None,
            log: None,
            reached: Position::START,
            doubt: None,
            commit: None,
            commits_wait: false,
            noted: Position::START,
            request: config.nonce,
            heard: 0,
            unanswered: 0,
            due_us: 0,
            time: None,
            config,
        }
    }

    /// What it is doing.
    #[must_use]
    pub const fn phase(&self) -> RelayPhase {
        self.phase
    }

    /// Whether it keeps all that the device had when it last said so, and has brought the commits that it had.
    #[must_use]
    pub const fn is_caught_up(&self) -> bool {
        matches!(self.phase, RelayPhase::CaughtUp)
    }

    /// The identity under which the head of the device is noted, once it is known: that of its newest life.
    #[must_use]
    pub fn identity(&self) -> Option<SourceIdentity> {
        let head = self.head?;
        let epoch = head.lives.newest()?.epoch;
        Some(SourceIdentity { device: head.device, log: head.log, epoch })
    }

    /// How it pulls, to be changed.
    pub fn config_mut(&mut self) -> &mut SinkConfig {
        &mut self.config
    }

    /// Says what time of day it is now; the device is told.
    pub fn set_time(&mut self, now_us: u64, time: Time) {
        self.time = Some((time, now_us));
    }

    /// When [`poll`](Self::poll) has something to do next, in microseconds; `None`: not before a frame comes in or
    /// [`pull`](Self::pull) is called.
    #[must_use]
    pub const fn wake_us(&self) -> Option<u64> {
        if self.is_busy() { Some(self.due_us) } else { None }
    }

    const fn is_busy(&self) -> bool {
        use RelayPhase::{Committing, Greeting, Keeping, Reading};
        matches!(self.phase, Greeting | Committing | Reading | Keeping)
    }

    /// Starts another round, after being caught up or at a stop. Does nothing in the middle of one.
    pub fn pull(&mut self) {
        if !self.is_busy() {
            self.enter(RelayPhase::Greeting, 0);
        }
    }

    fn enter(&mut self, phase: RelayPhase, due_us: u64) {
        (self.phase, self.due_us, self.unanswered) = (phase, due_us, 0);
    }

    fn wait(&mut self, now_us: u64, duration_us: u64) {
        self.due_us = now_us.saturating_add(duration_us);
    }

    fn next_request(&mut self) -> u32 {
        // 0 is for what was not asked for.
        self.request = self.request.wrapping_add(1).max(1);
        self.request
    }
}

impl<S: Seal> RelaySink<S> {
    /// Takes in one frame, and puts what is new in it into the store. When this fails the store has failed; the same
    /// frames will be asked for again.
    pub fn handle<T: RelayStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        frame: &mut [u8],
    ) -> Result<RelayEvent, T::Error> {
        if let Some(key) = FrameKey::of(frame) {
            return self.piece(store, now_us, key, frame);
        }
        let known = self.log.map(|(log, _)| log).or(self.identity());
        let Ok(message) = Message::parse(frame, known.as_ref()) else { return Ok(RelayEvent::Ignored) };
        match message {
            Message::Head(head) => self.take_head(store, now_us, &head),
            Message::Done { request, next } => self.done(store, now_us, request, next),
            Message::Committed { epoch, cursor, .. } => self.committed(store, now_us, epoch, cursor),
            Message::Custody { epoch, relay, position, proof } => {
                self.take_note(now_us, (epoch, relay), position, &proof)
            }
            Message::Busy { request, retry_ms } if request == self.request => {
                self.unanswered = 0;
                self.wait(now_us, u64::from(retry_ms).saturating_mul(1000));
                Ok(RelayEvent::Busy)
            }
            Message::Err { request, refusal, .. } => self.refused(store, now_us, request, refusal),
            Message::Notify { device, log, pending } => {
                let ours = self.head.is_none_or(|head| head.device == device);
                if !ours || log != self.config.log || self.config.device.is_some_and(|only| only != device) {
                    return Ok(RelayEvent::Ignored);
                }
                if self.is_caught_up() {
                    self.pull();
                }
                Ok(RelayEvent::Notified(pending))
            }
            _ => Ok(RelayEvent::Ignored),
        }
    }

    fn take_head<T: RelayStore>(&mut self, store: &mut T, now_us: u64, head: &Head) -> Result<RelayEvent, T::Error> {
        if head.request != self.request || head.log != self.config.log || head.relayed {
            return Ok(RelayEvent::Ignored);
        }
        if self.config.device.is_some_and(|device| device != head.device) {
            return Ok(RelayEvent::OtherDevice(head.device));
        }
        let Some(newest) = head.lives.newest() else { return Ok(RelayEvent::Ignored) };
        let log = SourceIdentity { device: head.device, log: head.log, epoch: newest.epoch };
        if self.identity() != Some(log) {
            self.noted = Position::START;
        }
        note_message(store, &log, Note::Head, &Message::Head(*head))?;
        Self::note_life(store, &log, head)?;
        self.head = Some(*head);
        self.commits_wait = false;
        self.let_go(store, head.cursor)?;
        self.go_on(store, now_us)?;
        Ok(RelayEvent::Head(log))
    }

    /// Notes that lives of the log are not on the device any more.
    fn note_life<T: RelayStore>(store: &mut T, log: &SourceIdentity, head: &Head) -> Result<(), T::Error> {
        let anyone = in_no_life(log.device, log.log);
        let mut bytes = [0; NOTE_BYTES];
        let len = store.note(&anyone, Note::Newest, &mut bytes)?;
        let before = len.and_then(|_| bytes.first_chunk().copied()).map(u64::from_le_bytes).map(Epoch);
        if before == Some(log.epoch) {
            return Ok(());
        }
        if let Some(epoch) = before.filter(|epoch| head.lives.find(*epoch).is_none()) {
            let gone = SourceIdentity { epoch, ..*log };
            let old = head_of(store, &gone)?;
            let lives = old.as_ref().map(|old| old.lives.as_slice()).unwrap_or_default();
            for life in lives.iter().filter(|life| head.lives.find(life.epoch).is_none()) {
                let gone = SourceIdentity { epoch: life.epoch, ..*log };
                store.set_note(&gone, Note::Gone, Some(&[1]))?;
            }
        }
        store.set_note(&anyone, Note::Newest, Some(&log.epoch.0.to_le_bytes()))
    }

    /// Forgets what the device says is committed.
    fn let_go<T: RelayStore>(&mut self, store: &mut T, cursor: Position) -> Result<(), T::Error> {
        let Some(mut head) = self.head else { return Ok(()) };
        if cursor > head.cursor {
            head.cursor = cursor;
            self.head = Some(head);
            // First the note: without what is forgotten the frames reach from the cursor on.
            if let Some(log) = self.identity() {
                note_message(store, &log, Note::Head, &Message::Head(head))?;
            }
        }
        for life in head.lives.as_slice().iter().filter(|life| life.base <= head.cursor) {
            let log = SourceIdentity { device: head.device, log: head.log, epoch: life.epoch };
            store.forget(&log, head.cursor)?;
            if commit_of(store, &log)?.is_some_and(|commit| commit.to <= head.cursor) {
                store.set_note(&log, Note::Commit, None)?;
            }
        }
        Ok(())
    }

    /// Decides what is to be done next: bring commits, fetch what is in doubt, fetch what is missing, say what is kept.
    fn go_on<T: RelayStore>(&mut self, store: &mut T, now_us: u64) -> Result<(), T::Error> {
        let Some(head) = self.head else {
            self.enter(RelayPhase::Greeting, now_us);
            return Ok(());
        };
        (self.doubt, self.commit) = (None, None);
        let lives = head.lives.as_slice();
        let in_life = |epoch| SourceIdentity { device: head.device, log: head.log, epoch };
        if !self.commits_wait {
            for life in lives {
                let log = in_life(life.epoch);
                let commit = commit_of(store, &log)?.filter(|commit| commit.to > head.cursor);
                if commit.is_some() {
                    (self.log, self.commit) = (Some((log, head.next)), commit);
                    self.enter(RelayPhase::Committing, now_us);
                    return Ok(());
                }
            }
        }
        for (index, life) in lives.iter().enumerate() {
            let log = in_life(life.epoch);
            let end = lives.get(index.saturating_add(1)).map_or(head.next, |next| next.base);
            let from = if head.cursor >= life.base { head.cursor } else { Position::START };
            let doubt = doubt_of(store, &log)?.filter(|(_, last)| *last > head.cursor && *last < end);
            let reached = reach(store, &log, from, |seen| seen)?;
            if doubt.is_some() || reached.next() < end {
                (self.log, self.doubt, self.reached) = (Some((log, end)), doubt, reached);
                self.enter(RelayPhase::Reading, now_us);
                return Ok(());
            }
            (self.log, self.reached) = (Some((log, end)), reached);
        }
        let owes = self.custody.is_some() && self.reached > self.noted.max(head.cursor);
        self.enter(if owes { RelayPhase::Keeping } else { RelayPhase::CaughtUp }, now_us);
        Ok(())
    }

    fn piece<T: RelayStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        key: FrameKey,
        frame: &mut [u8],
    ) -> Result<RelayEvent, T::Error> {
        let (Some((log, end)), RelayPhase::Reading) = (self.log, self.phase) else { return Ok(RelayEvent::Ignored) };
        // What the device cannot have been asked for is of another life, or made up.
        let window = u64::from(self.config.credit.max(1)).saturating_mul(u64::from(MAX_EVENTS)).saturating_mul(2);
        let asked = self.doubt.map_or(self.reached, |(first, _)| first.previous());
        if key.last <= asked || key.last >= end || key.first > asked.plus(window) {
            return Ok(RelayEvent::Ignored);
        }
        let plain = self.head.is_some_and(|head| head.suite == Plain::SUITE);
        if plain && Message::open(frame, Some(&log), &Plain).is_err() {
            return Ok(RelayEvent::Ignored);
        }
        if !store.keep(&log, key, frame)? {
            self.enter(RelayPhase::Full, now_us);
            return Ok(RelayEvent::Full);
        }
        self.unanswered = 0;
        self.heard = self.heard.saturating_add(1);
        if self.doubt.is_none() && key.first <= self.reached.next() {
            self.reached = reach(store, &log, self.reached, |seen| seen)?;
        }
        if self.heard < self.config.credit {
            self.wait(now_us, self.config.quiet_us);
        } else {
            self.go_on(store, now_us)?;
        }
        Ok(RelayEvent::Kept(self.reached))
    }

    fn done<T: RelayStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        request: u32,
        next: Position,
    ) -> Result<RelayEvent, T::Error> {
        let (Some((log, end)), RelayPhase::Reading) = (self.log, self.phase) else { return Ok(RelayEvent::Ignored) };
        if request != self.request {
            return Ok(RelayEvent::Ignored);
        }
        self.unanswered = 0;
        let newest = self.identity() == Some(log);
        if newest && next < end {
            // Its log has become shorter: who is it?
            self.enter(RelayPhase::Greeting, now_us);
            return Ok(RelayEvent::Done);
        }
        if let Some(head) = self.head.as_mut().filter(|_| newest) {
            head.next = next;
        }
        if self.doubt.is_some() && self.heard > 0 {
            store.set_note(&log, Note::Doubt, None)?;
        }
        let (heard, before) = (self.heard, self.reached);
        self.go_on(store, now_us)?;
        if self.phase == RelayPhase::Reading && self.reached == before && self.doubt.is_none() {
            // What is missing of the answer was lost, or is late.
            let patience = if heard == 0 { self.config.quiet_us } else { self.config.settle_us };
            self.wait(now_us, patience);
        }
        Ok(RelayEvent::Done)
    }

    fn committed<T: RelayStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        epoch: Epoch,
        cursor: Position,
    ) -> Result<RelayEvent, T::Error> {
        let Some(head) = self.head.filter(|head| head.lives.find(epoch).is_some()) else {
            return Ok(RelayEvent::Ignored);
        };
        if cursor >= head.next {
            return Ok(RelayEvent::Ignored);
        }
        self.let_go(store, cursor)?;
        if self.phase == RelayPhase::Committing {
            self.go_on(store, now_us)?;
        }
        Ok(RelayEvent::Committed(cursor))
    }

    fn take_note<E>(
        &mut self,
        now_us: u64,
        (epoch, relay): (Epoch, u64),
        position: Position,
        proof: &Proof,
    ) -> Result<RelayEvent, E> {
        let (Some(seal), Some((log, _))) = (&self.custody, self.log) else { return Ok(RelayEvent::Ignored) };
        let ours = relay == self.config.sink && epoch == log.epoch;
        if !ours || !prove_position(seal, &log, Purpose::Custody, relay, position).fits(proof) {
            return Ok(RelayEvent::Ignored);
        }
        self.noted = self.noted.max(position);
        if self.phase == RelayPhase::Keeping && self.noted >= self.reached {
            self.enter(RelayPhase::CaughtUp, now_us);
        }
        Ok(RelayEvent::Noted(position))
    }

    fn refused<T: RelayStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        request: u32,
        refusal: Refusal,
    ) -> Result<RelayEvent, T::Error> {
        if let (RelayPhase::Committing, Some(commit), Some((log, _))) = (self.phase, self.commit, self.log) {
            let about = match refusal {
                Refusal::Diverged { from, to } => (from, to) == (commit.from, commit.to),
                Refusal::Unproven { first, last } => first > commit.from && last <= commit.to,
                Refusal::UnknownEpoch | Refusal::Ahead { .. } | Refusal::OlderFirst { .. } => true,
                _ => false,
            };
            if !about {
                return Ok(RelayEvent::Ignored);
            }
            if matches!(refusal, Refusal::Diverged { .. } | Refusal::Unproven { .. }) {
                // The collector must hear of it, and make another commit or none.
                let teller = self.identity().unwrap_or(log);
                note_message(store, &teller, Note::Refusal, &Message::Err { request: 0, epoch: log.epoch, refusal })?;
                store.set_note(&log, Note::Commit, None)?;
            } else {
                self.commits_wait = true;
            }
            self.go_on(store, now_us)?;
            return Ok(RelayEvent::Refused(refusal));
        }
        if request != self.request {
            return Ok(RelayEvent::Ignored);
        }
        match refusal {
            Refusal::UnknownEpoch | Refusal::Ahead { .. } => self.enter(RelayPhase::Greeting, now_us),
            Refusal::FrameTooSmall { needed } => self.enter(RelayPhase::FrameTooSmall { needed }, now_us),
            Refusal::Version { versions } => self.enter(RelayPhase::OtherVersion(versions), now_us),
            _ => return Ok(RelayEvent::Ignored),
        }
        Ok(RelayEvent::Refused(refusal))
    }

    /// Writes the next frame to send to the front of `out` and answers its length; `None`: nothing to send now, see
    /// [`wake_us`](Self::wake_us).
    pub fn poll<T: RelayStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        out: &mut [u8],
    ) -> Result<Option<usize>, SinkError<T::Error>> {
        if !self.is_busy() || now_us < self.due_us {
            return Ok(None);
        }
        if self.phase == RelayPhase::Keeping && self.unanswered >= TOLD {
            self.noted = self.reached;
            self.enter(RelayPhase::CaughtUp, now_us);
            return Ok(None);
        }
        if self.unanswered >= UNANSWERED {
            self.enter(RelayPhase::Greeting, now_us);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.wait(now_us, self.config.timeout_us);
        let log = self.log.map(|(log, _)| log).or(self.identity());
        let message = match (self.phase, self.log, self.commit, &self.custody) {
            (RelayPhase::Committing, Some((log, _)), Some(commit), _) => Message::Commit { epoch: log.epoch, commit },
            (RelayPhase::Keeping, Some((log, _)), _, Some(seal)) => {
                let (relay, position) = (self.config.sink, self.reached);
                let proof = prove_position(seal, &log, Purpose::Custody, relay, position);
                Message::Custody { epoch: log.epoch, relay, position, proof }
            }
            (RelayPhase::Reading, Some((log, _)), _, _) => self.read(store, &log).map_err(SinkError::Store)?,
            _ => self.hello(now_us),
        };
        let log = log.unwrap_or(SourceIdentity::NOBODY);
        message.write(&log, &Plain, out).map(Some).ok_or(SinkError::FrameTooSmall)
    }

    fn hello(&mut self, now_us: u64) -> Message<'static> {
        let told = |(time, at): (Time, u64)| Time {
            unix_ms: time.unix_ms.saturating_add(now_us.saturating_sub(at) / 1000),
            ..time
        };
        let (request, time) = (self.next_request(), self.time.map(told));
        let SinkConfig { log, sink, limit, .. } = self.config;
        Message::Hello(Hello { request, log, versions: 1 << wire::VERSION, sink, limit, time })
    }

    fn read<T: RelayStore>(&mut self, store: &mut T, log: &SourceIdentity) -> Result<Message<'static>, T::Error> {
        let request = self.next_request();
        self.heard = 0;
        let mut missing = Missing::ALL;
        let after = match self.doubt {
            Some((first, last)) => {
                // These alone: what follows is taken as held.
                let _ = missing.push(last.since(first.previous()), u64::MAX >> 1);
                first.previous()
            }
            None => {
                missing = self.missing(store, log)?;
                self.reached
            }
        };
        let SinkConfig { credit, limit, .. } = self.config;
        let epoch = log.epoch;
        Ok(Message::Read(Read {
            request,
            epoch,
            after,
            credit: credit.max(1),
            limit,
            commit: None,
            missing,
            proof: None,
        }))
    }

    /// What is missing beyond what there is without a hole.
    fn missing<T: RelayStore>(&self, store: &mut T, log: &SourceIdentity) -> Result<Missing, T::Error> {
        let mut map = Missing::ALL;
        let mut done = self.reached;
        let mut run: Option<(Position, Position)> = None;
        let mut after = FrameKey::ending_after(self.reached);
        while let Some(key) = store.next_key(log, after)? {
            after = key;
            run = match run {
                Some((first, last)) if key.first <= last.next() => Some((first.min(key.first), key.last)),
                Some((first, last)) => {
                    if !push(&mut map, done, first, last) {
                        return Ok(map);
                    }
                    done = last;
                    Some((key.first, key.last))
                }
                None => Some((key.first, key.last)),
            };
        }
        if let Some((first, last)) = run {
            push(&mut map, done, first, last);
        }
        Ok(map)
    }
}

/// Adds a run that is held to a map in which all up to `done` is told; `false` if there is no room.
fn push(map: &mut Missing, done: Position, first: Position, last: Position) -> bool {
    match first.previous().since(done) {
        0 => false,
        missing => map.push(missing, last.next().since(first)),
    }
}
