//! The collector's side of one device.

use evenkeel_core::section::SectionReader;
use evenkeel_core::{Epoch, LogId, Position};

use crate::lot::Lot;
use crate::rules::{Broken, Rule};
use crate::seal::{Purpose, Seal, commit_proof, commit_prover, prove_event, prove_position};
use crate::wire::{self, Commit, FrameTooSmall, Head, Hello, Message, Read, Refusal, Time, WireError};
use crate::{Piece, Plain, SinkStore, SourceIdentity};

mod config;
mod report;
#[cfg(test)]
mod tests;

pub use config::SinkConfig;
pub use report::{Halt, Phase, SinkCounters, SinkError, SinkEvent};

/// How many requests in a row may stay unanswered before the sink asks who is there at all.
const UNANSWERED: u32 = 16;

/// The collector's side of sync with one device.
///
/// It pulls: [`poll`](Sink::poll) gives the frames to send and repeats them as time passes; [`handle`](Sink::handle)
/// takes in what arrives and puts it into the store. Once it [is caught up](Sink::is_caught_up) it is silent until
/// [`pull`](Sink::pull) starts the next round. It may be thrown away and made anew at any instant: the cursor is in
/// the store.
///
/// With [room](Sink::with_room) for what comes too early, after a loss only what is missing is sent again; without, all
/// that followed.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sink<B = [u8; 0], S = Plain> {
    config: SinkConfig,
    seal: S,
    phase: Phase,
    /// Whose log, in which life, is pulled; the first position of the life after it.
    identity: Option<SourceIdentity>,
    life_end: Option<Position>,
    cursor: Position,
    lot: Lot<B>,
    committed: Position,
    /// Up to where a relay has taken the commit over.
    carried: Position,
    /// What a proof has to leave out: the source cannot read up to here.
    floor: Position,
    request: u32,
    /// The cursor when the newest request was sent: the source's log cannot end before it.
    asked_after: Position,
    /// Frames of the answer to the newest READ that have arrived.
    heard: u32,
    unanswered: u32,
    due_us: u64,
    owes_cursor: bool,
    head: Option<(Head, u64)>,
    time: Option<(Time, u64)>,
    schema: (u64, u32),
    /// Of this life, and of those before it, the relay that speaks has nothing more.
    passed: Option<Epoch>,
    counters: SinkCounters,
    pub(crate) broken: Broken,
}

impl Sink {
    /// A sink that begins with asking who is there. It has no room for what comes too early.
    #[must_use]
    pub const fn new(config: SinkConfig) -> Self {
        Self::sealed(config, [], Plain)
    }
}

impl<B> Sink<B> {
    /// A sink that keeps what comes too early in this room, such as a `Vec<u8>` or an array of the bytes that
    /// [`SinkConfig::credit`] frames take.
    #[must_use]
    pub const fn with_room(config: SinkConfig, room: B) -> Self {
        Self::sealed(config, room, Plain)
    }
}

impl<B, S> Sink<B, S> {
    /// A sink of frames that are sealed.
    #[must_use]
    pub const fn sealed(config: SinkConfig, room: B, seal: S) -> Self {
        Self {
            phase: Phase::Greeting,
            seal,
            identity: None,
            life_end: None,
            cursor: Position::START,
            lot: Lot::new(room),
            committed: Position::START,
            carried: Position::START,
            floor: Position::START,
            request: config.nonce,
            asked_after: Position::START,
            heard: 0,
            unanswered: 0,
            due_us: 0,
            owes_cursor: false,
            head: None,
            time: None,
            schema: (0, 0),
            passed: None,
            broken: Broken::NONE,
            counters: SinkCounters::NONE,
            config,
        }
    }

    /// What it is doing.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the store has everything that the source had when it last said so, and the source knows.
    #[must_use]
    pub const fn is_caught_up(&self) -> bool {
        matches!(self.phase, Phase::CaughtUp)
    }

    /// Whose log it pulls, once it is known.
    #[must_use]
    pub const fn identity(&self) -> Option<SourceIdentity> {
        self.identity
    }

    /// Up to where the store has the log, as far as this sink knows.
    #[must_use]
    pub const fn cursor(&self) -> Position {
        self.cursor
    }

    /// The commit that the source is known to have stored.
    #[must_use]
    pub const fn committed(&self) -> Position {
        self.committed
    }

    /// What the source said last about its log, and when that came: with its [`moment`](Head::moment) and the time of day
    /// then, ticks of this boot become times.
    #[must_use]
    pub const fn head(&self) -> Option<(Head, u64)> {
        self.head
    }

    /// What it has seen.
    #[must_use]
    pub const fn counters(&self) -> SinkCounters {
        self.counters
    }

    /// How it pulls, to be changed: credit by load, say.
    pub fn config_mut(&mut self) -> &mut SinkConfig {
        &mut self.config
    }

    /// Says what time of day it is now; the device is told.
    pub fn set_time(&mut self, now_us: u64, time: Time) {
        self.time = Some((time, now_us));
    }

    /// When [`poll`](Sink::poll) has something to do next, in microseconds; `None`: not before a frame comes in or
    /// [`pull`](Sink::pull) is called.
    #[must_use]
    pub fn wake_us(&self) -> Option<u64> {
        match self.phase {
            Phase::Greeting | Phase::Describing | Phase::Reading | Phase::Committing => Some(self.due_us),
            Phase::Listening | Phase::CaughtUp | Phase::Halted(_) => self.owes_cursor.then_some(0),
        }
    }

    /// Starts another round, after being caught up or halted. Does nothing in the middle of one.
    pub fn pull(&mut self) {
        match self.phase {
            // A relay may have gone on, or another one may be there.
            Phase::CaughtUp if self.is_relayed() => self.enter(Phase::Greeting, 0),
            Phase::CaughtUp => self.enter(Phase::Reading, 0),
            Phase::Halted(_) => self.enter(Phase::Greeting, 0),
            _ => {}
        }
    }

    fn drop_frame(&mut self) -> SinkEvent {
        self.counters.dropped = self.counters.dropped.saturating_add(1);
        SinkEvent::Ignored
    }

    /// Whether a relay speaks for the device: then the log may well be longer than what is told.
    fn is_relayed(&self) -> bool {
        self.head.is_some_and(|(head, _)| head.relayed)
    }

    /// What the source is to be told that it may let go.
    fn target(&self) -> Position {
        self.life_end.map_or(self.cursor, |end| self.cursor.min(end.previous()))
    }

    /// Everything is in the store: what is left is that the source knows.
    fn settle(&mut self, now_us: u64) {
        let phase = if self.committed.max(self.carried) < self.target() {
            Phase::Committing
        } else if self.life_end.is_some() {
            // The next life.
            self.passed = self.identity.filter(|_| self.is_relayed()).map(|identity| identity.epoch);
            Phase::Greeting
        } else {
            Phase::CaughtUp
        };
        if self.phase != phase {
            self.enter(phase, now_us);
        }
    }

    fn enter(&mut self, phase: Phase, due_us: u64) {
        self.phase = phase;
        self.due_us = due_us;
        self.unanswered = 0;
    }

    fn wait(&mut self, now_us: u64, duration_us: u64) {
        self.due_us = now_us.saturating_add(duration_us);
    }

    fn next_request(&mut self) {
        // 0 is for what was not asked for.
        self.request = self.request.wrapping_add(1).max(1);
        self.asked_after = self.cursor;
    }

    fn hello(&mut self, now_us: u64) -> Message<'static> {
        self.next_request();
        let told = |(time, at): (Time, u64)| Time {
            unix_ms: time.unix_ms.saturating_add(now_us.saturating_sub(at) / 1000),
            ..time
        };
        let SinkConfig { log, sink, limit, .. } = self.config;
        let time = self.time.map(told);
        Message::Hello(Hello { request: self.request, log, versions: 1 << wire::VERSION, sink, limit, time })
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, S: Seal> Sink<B, S> {
    /// A sink that asks for nothing by itself, but takes what this log pushes, and answers it: for links on which the
    /// device speaks first. When this fails the store has failed.
    pub fn listen<T: SinkStore>(
        config: SinkConfig,
        room: B,
        seal: S,
        identity: SourceIdentity,
        store: &mut T,
    ) -> Result<Self, T::Error> {
        let cursor = store.cursor(&identity)?;
        let mut sink = Self::sealed(config, room, seal);
        sink.phase = Phase::Listening;
        sink.identity = Some(identity);
        sink.cursor = cursor;
        Ok(sink)
    }

    /// Takes in one frame, and puts what is new in it into the store. The frame is opened in place.
    ///
    /// When this fails the store has failed; the same frames will be asked for again.
    pub fn handle<T: SinkStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        frame: &mut [u8],
    ) -> Result<SinkEvent, T::Error> {
        let message = match Message::open(frame, self.identity.as_ref(), &self.seal) {
            Ok(message) => message,
            Err(WireError::Unaddressed) => return Ok(SinkEvent::Ignored),
            Err(_) => return Ok(self.drop_frame()),
        };
        if matches!(self.phase, Phase::Halted(_)) {
            return Ok(SinkEvent::Ignored);
        }
        match message {
            Message::Head(head) => self.take_head(store, now_us, &head),
            Message::Piece(piece) => self.piece(store, now_us, &piece),
            Message::Done { request, next } => Ok(self.done(request, next, now_us)),
            Message::Committed { epoch, cursor, proof } => {
                let Some(identity) = self.identity.filter(|identity| identity.epoch == epoch) else {
                    return Ok(SinkEvent::Ignored);
                };
                if !prove_position(&self.seal, &identity, Purpose::Committed, 0, cursor).fits(&proof) {
                    return Ok(self.drop_frame());
                }
                self.committed = self.committed.max(cursor);
                Ok(self.noted(cursor, now_us))
            }
            Message::Custody { epoch, position, .. } if self.is_of(epoch) => {
                self.carried = self.carried.max(position);
                self.noted(position, now_us);
                Ok(SinkEvent::Carried(position))
            }
            Message::Schema { digest, offset, total, bytes } => {
                self.take_schema(store, now_us, (digest, offset, total), bytes)
            }
            Message::Busy { request, retry_ms } if request == self.request => {
                self.unanswered = 0;
                self.wait(now_us, u64::from(retry_ms).saturating_mul(1000));
                Ok(SinkEvent::Busy)
            }
            Message::Err { request, refusal, .. } => Ok(self.refused(request, refusal, now_us)),
            Message::Notify { device, log, pending } => Ok(self.notified(device, log, pending)),
            _ => Ok(SinkEvent::Ignored),
        }
    }

    fn is_of(&self, epoch: Epoch) -> bool {
        self.identity.is_some_and(|identity| identity.epoch == epoch)
    }

    fn notified(&mut self, device: u64, log: LogId, pending: u64) -> SinkEvent {
        let ours = self.identity.is_none_or(|identity| identity.device == device);
        if !ours || log != self.config.log || self.config.device.is_some_and(|only| only != device) {
            return SinkEvent::Ignored;
        }
        if self.is_caught_up() {
            self.pull();
        }
        SinkEvent::Notified(pending)
    }

    fn take_head<T: SinkStore>(&mut self, store: &mut T, now_us: u64, head: &Head) -> Result<SinkEvent, T::Error> {
        if head.request != self.request || head.log != self.config.log {
            return Ok(SinkEvent::Ignored);
        }
        if self.config.device.is_some_and(|device| device != head.device) {
            return Ok(SinkEvent::OtherDevice(head.device));
        }
        self.head = Some((*head, now_us));
        if head.suite != S::SUITE {
            self.enter(Phase::Halted(Halt::OtherSuite(head.suite)), now_us);
            return Ok(SinkEvent::Head);
        }
        let lives = head.lives.as_slice();
        let passed = self.passed.take().filter(|_| head.relayed);
        let passed =
            lives.iter().position(|life| Some(life.epoch) == passed).map_or(0, |index| index.saturating_add(1));
        for (index, life) in lives.iter().enumerate().skip(passed) {
            let identity = SourceIdentity { device: head.device, log: head.log, epoch: life.epoch };
            let cursor = if self.identity == Some(identity) { self.cursor } else { store.cursor(&identity)? };
            let life_end = lives.get(index.saturating_add(1)).map(|next| next.base);
            let open = life_end.is_none_or(|end| cursor.next() < end || head.cursor.next() < end);
            if !open {
                continue;
            }
            if self.identity != Some(identity) {
                self.identity = Some(identity);
                self.cursor = cursor;
                self.asked_after = cursor;
                (self.carried, self.floor) = (Position::START, Position::START);
                self.lot.clear();
            }
            self.life_end = life_end;
            break;
        }
        self.unanswered = 0;
        self.committed = head.cursor;
        let end = self.life_end.unwrap_or(head.next);
        if self.life_end.is_none() && !head.relayed && end <= self.asked_after {
            self.enter(Phase::Halted(Halt::Ahead { cursor: self.asked_after, next: end }), now_us);
            // The device must hear of it, and that from one who can prove it.
            self.owes_cursor = true;
            return Ok(SinkEvent::Head);
        }
        let identity = self.identity.unwrap_or(SourceIdentity::NOBODY);
        let wanted = if head.schema == 0 { None } else { store.schema_wanted(&identity, head.schema)? };
        if let Some(offset) = wanted {
            self.schema = (head.schema, offset);
            self.enter(Phase::Describing, now_us);
        } else if end <= self.cursor.next() {
            self.settle(now_us);
        } else {
            self.enter(Phase::Reading, now_us);
        }
        Ok(SinkEvent::Head)
    }

    fn take_schema<T: SinkStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        (digest, offset, total): (u64, u32, u32),
        bytes: &[u8],
    ) -> Result<SinkEvent, T::Error> {
        let Some(identity) = self.identity else { return Ok(SinkEvent::Ignored) };
        if self.phase != Phase::Describing || (digest, offset) != self.schema || bytes.is_empty() {
            return Ok(SinkEvent::Ignored);
        }
        store.take_schema(&identity, digest, offset, total, bytes)?;
        match store.schema_wanted(&identity, digest)? {
            Some(next) => {
                self.schema.1 = next;
                self.enter(Phase::Describing, now_us);
            }
            None => self.enter(Phase::Reading, now_us),
        }
        Ok(SinkEvent::Schema)
    }

    fn piece<T: SinkStore>(&mut self, store: &mut T, now_us: u64, piece: &Piece<'_>) -> Result<SinkEvent, T::Error> {
        let Some(identity) = self.identity else { return Ok(SinkEvent::Ignored) };
        let Some(news) = self.weigh(piece) else { return Ok(self.drop_frame()) };
        self.unanswered = 0;
        self.heard = self.heard.saturating_add(1);
        let had = piece.last() <= self.cursor && self.broken.keeps(Rule::DropDuplicates);
        let parked = had || self.lot.has(piece);
        let early = !parked && piece.first() > self.cursor.next() && self.broken.keeps(Rule::Contiguous);
        let event = if parked {
            self.counters.duplicates = self.counters.duplicates.saturating_add(1);
            self.owes_cursor = true;
            SinkEvent::Duplicate
        } else if early && self.lot.insert(piece) {
            self.counters.parked = self.counters.parked.saturating_add(1);
            SinkEvent::Parked
        } else if early {
            self.counters.early = self.counters.early.saturating_add(1);
            SinkEvent::Ignored
        } else {
            self.cursor = store.apply(&identity, self.cursor, piece)?;
            if self.cursor == piece.last() {
                self.counters.add(&news);
            }
            self.drain(store, &identity)?;
            SinkEvent::Applied(self.cursor)
        };
        match self.phase {
            Phase::Listening => self.owes_cursor = true,
            Phase::Reading if self.heard < self.config.credit => self.wait(now_us, self.config.quiet_us),
            Phase::Reading => self.enter(Phase::Reading, now_us),
            // It was not asked for by this request, and yet it is news.
            Phase::Committing | Phase::CaughtUp if !parked => self.enter(Phase::Reading, now_us),
            _ => {}
        }
        Ok(event)
    }

    /// Stores what had come too early and now follows on.
    fn drain<T: SinkStore>(&mut self, store: &mut T, identity: &SourceIdentity) -> Result<(), T::Error> {
        while let Some(piece) = self.lot.first() {
            if piece.first() > self.cursor.next() {
                break;
            }
            if piece.last() > self.cursor {
                let news = news_of(&piece, self.cursor).unwrap_or_default();
                let last = piece.last();
                self.cursor = store.apply(identity, self.cursor, &piece)?;
                if self.cursor == last {
                    self.counters.add(&news);
                }
            }
            self.lot.remove_first();
        }
        Ok(())
    }

    /// What a piece would add to the store; `None` if its events do not decode.
    fn weigh(&self, piece: &Piece<'_>) -> Option<News> {
        news_of(piece, self.cursor)
    }

    fn done(&mut self, request: u32, next: Position, now_us: u64) -> SinkEvent {
        if self.phase == Phase::Listening {
            self.owes_cursor = true;
            return SinkEvent::Done;
        }
        if request != self.request || self.phase != Phase::Reading {
            return SinkEvent::Ignored;
        }
        self.unanswered = 0;
        if next <= self.asked_after && self.life_end.is_none() && !self.is_relayed() {
            self.enter(Phase::Greeting, now_us);
        } else if next <= self.cursor.next() {
            self.settle(now_us);
        } else {
            // What is missing of the answer was lost, or is late.
            let patience = if self.heard == 0 { self.config.quiet_us } else { self.config.settle_us };
            self.wait(now_us, patience);
        }
        SinkEvent::Done
    }

    fn noted(&mut self, cursor: Position, now_us: u64) -> SinkEvent {
        self.unanswered = 0;
        if self.phase == Phase::Committing {
            self.settle(now_us);
        }
        SinkEvent::Committed(cursor)
    }

    fn refused(&mut self, request: u32, refusal: Refusal, now_us: u64) -> SinkEvent {
        let about_commit = matches!(refusal, Refusal::Unproven { .. } | Refusal::Diverged { .. });
        if request != self.request && !about_commit {
            return SinkEvent::Ignored;
        }
        match refusal {
            // Who is there, and how far does it reach? The answer decides.
            Refusal::UnknownEpoch | Refusal::Ahead { .. } | Refusal::OlderFirst { .. } => {
                self.enter(Phase::Greeting, now_us);
            }
            Refusal::FrameTooSmall { needed } if self.phase == Phase::Reading => {
                self.enter(Phase::Halted(Halt::FrameTooSmall { needed }), now_us);
            }
            Refusal::Unproven { last, .. } if last > self.floor && last <= self.target() => {
                self.floor = last;
                if self.phase == Phase::Committing {
                    self.enter(Phase::Committing, now_us);
                }
            }
            Refusal::Diverged { from, to } if from >= self.committed && to <= self.cursor => {
                self.enter(Phase::Halted(Halt::Diverged { from, to }), now_us);
            }
            Refusal::Version { versions } => self.enter(Phase::Halted(Halt::OtherVersion(versions)), now_us),
            Refusal::NoSchema if self.phase == Phase::Describing => self.enter(Phase::Reading, now_us),
            _ => {}
        }
        SinkEvent::Refused(refusal)
    }

    /// Writes the next frame to send to the front of `out` and answers its length; `None`: nothing to send now, see
    /// [`wake_us`](Sink::wake_us).
    ///
    /// Reads from the store what a commit has to prove.
    pub fn poll<T: SinkStore>(
        &mut self,
        store: &mut T,
        now_us: u64,
        out: &mut [u8],
    ) -> Result<Option<usize>, SinkError<T::Error>> {
        let waiting = matches!(self.phase, Phase::Greeting | Phase::Describing | Phase::Reading | Phase::Committing);
        if !waiting || now_us < self.due_us {
            return self.answer(store, out);
        }
        if self.unanswered > 0 {
            self.counters.timeouts = self.counters.timeouts.saturating_add(1);
        }
        if self.unanswered >= UNANSWERED {
            self.enter(Phase::Greeting, now_us);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.wait(now_us, self.config.timeout_us);
        let (message, identity) = match (self.phase, self.identity) {
            (Phase::Reading, Some(identity)) => (self.read(store, &identity)?, identity),
            (Phase::Describing, Some(identity)) => {
                self.next_request();
                let (digest, offset) = self.schema;
                (Message::SchemaGet { request: self.request, digest, offset }, identity)
            }
            (Phase::Committing, Some(identity)) => {
                self.owes_cursor = false;
                let commit = self.commit(store, &identity)?;
                (Message::Commit { epoch: identity.epoch, commit }, identity)
            }
            (_, identity) => (self.hello(now_us), identity.unwrap_or(SourceIdentity::NOBODY)),
        };
        message.write(&identity, &self.seal, out).map(Some).ok_or(SinkError::FrameTooSmall)
    }

    fn read<T: SinkStore>(
        &mut self,
        store: &mut T,
        identity: &SourceIdentity,
    ) -> Result<Message<'static>, SinkError<T::Error>> {
        self.next_request();
        self.heard = 0;
        let due = self.target().since(self.committed.max(self.carried)) >= self.config.commit_every.max(1);
        let commit = if due { Some(self.commit(store, identity)?) } else { None };
        // A READ tells the cursor too.
        self.owes_cursor = false;
        let SinkConfig { credit, limit, .. } = self.config;
        let proof = prove_position(&self.seal, identity, Purpose::Read, 0, self.cursor);
        let proof = Some(proof).filter(|_| S::SUITE != Plain::SUITE);
        Ok(Message::Read(Read {
            request: self.request,
            epoch: identity.epoch,
            after: self.cursor,
            credit: credit.max(1),
            limit,
            commit,
            missing: self.lot.missing(self.cursor),
            proof,
        }))
    }

    /// What the store has that the source does not know of yet, and the proof of it.
    fn commit<T: SinkStore>(
        &mut self,
        store: &mut T,
        identity: &SourceIdentity,
    ) -> Result<Commit, SinkError<T::Error>> {
        let to = self.target();
        let most = Position(to.0.saturating_sub(self.config.prove_at_most));
        let after = self.committed.max(self.floor).max(most).min(to);
        let mut prover = commit_prover(&self.seal, identity);
        let from = store.replay(identity, after, to, &mut |event| prove_event(&mut prover, event));
        let from = from.map_err(SinkError::Store)?;
        Ok(Commit { from, to, proof: commit_proof::<S>(prover, from, to) })
    }

    /// The cursor in answer to a duplicate, or to what was pushed, where no request is on its way that would tell it.
    fn answer<T: SinkStore>(&mut self, store: &mut T, out: &mut [u8]) -> Result<Option<usize>, SinkError<T::Error>> {
        let Some(identity) = self.identity else { return Ok(None) };
        let ahead = matches!(self.phase, Phase::Halted(Halt::Ahead { .. }));
        if !self.owes_cursor || !(ahead || matches!(self.phase, Phase::CaughtUp | Phase::Listening)) {
            return Ok(None);
        }
        self.owes_cursor = false;
        let message = if self.lot.is_empty() && !ahead {
            Message::Commit { epoch: identity.epoch, commit: self.commit(store, &identity)? }
        } else {
            self.read(store, &identity)?
        };
        message.write(&identity, &self.seal, out).map(Some).ok_or(SinkError::FrameTooSmall)
    }
}

/// What a piece would add to the store.
#[derive(Default)]
struct News {
    events: u64,
    payload_bytes: u64,
    lost: u64,
}

fn news_of(piece: &Piece<'_>, cursor: Position) -> Option<News> {
    let mut news = News::default();
    match piece {
        Piece::Gap { first, last, .. } => news.lost = last.since(cursor.max(first.previous())),
        Piece::Events { first, count, bytes } => {
            let mut events = 0_u32;
            for event in SectionReader::new(*first, bytes) {
                let event = event.ok()?;
                events = events.checked_add(1)?;
                if event.position > Some(cursor) {
                    news.events = news.events.saturating_add(1);
                    news.payload_bytes = news.payload_bytes.saturating_add(event.payload.len() as u64);
                }
            }
            if events != *count {
                return None;
            }
        }
    }
    Some(news)
}

impl SinkCounters {
    fn add(&mut self, news: &News) {
        self.applied = self.applied.saturating_add(1);
        self.events = self.events.saturating_add(news.events);
        self.payload_bytes = self.payload_bytes.saturating_add(news.payload_bytes);
        self.lost = self.lost.saturating_add(news.lost);
    }
}

impl<E> From<FrameTooSmall> for SinkError<E> {
    fn from(_: FrameTooSmall) -> Self {
        Self::FrameTooSmall
    }
}
