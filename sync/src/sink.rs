//! The collector's side of one device.

use evenkeel_core::section::SectionReader;
use evenkeel_core::{LogId, Position};

use crate::rules::{Broken, Rule};
use crate::wire::{FrameTooSmall, Head, Message, Read, Refusal, WireError};
use crate::{Piece, SinkStore, SourceIdentity};

#[cfg(test)]
mod tests;

/// How many requests in a row may stay unanswered before the sink asks who is there at all.
const UNANSWERED: u32 = 4;

/// How a [`Sink`] pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SinkConfig {
    /// Which log of the device.
    pub log: LogId,
    /// The only device to pull from; `None`: whichever answers.
    pub device: Option<u64>,
    /// How many SECTION and GAP frames one READ asks for: what the sink and the link can take at once.
    pub credit: u32,
    /// The largest frame that the sink takes, in bytes; 0: whatever the source's link allows.
    pub limit: u32,
    /// How long an answer may take, in microseconds, before the request is repeated.
    pub timeout_us: u64,
    /// How long nothing may arrive in the middle of an answer, in microseconds, before the rest is asked for again.
    pub quiet_us: u64,
    /// After how many events the device is told that they are safe, beside at the end: each commit costs the device
    /// an append.
    pub commit_every: u64,
    /// Where request numbers start: give each sink that is made another one, such as a random number, so that no
    /// answer to its predecessor is taken for an answer to it.
    pub nonce: u32,
}

impl SinkConfig {
    /// 8 frames a request, any size, a second's timeout, a commit every 256 events.
    #[must_use]
    pub const fn new(log: LogId) -> Self {
        Self {
            log,
            device: None,
            credit: 8,
            limit: 0,
            timeout_us: 1_000_000,
            quiet_us: 250_000,
            commit_every: 256,
            nonce: 0,
        }
    }
}

/// The collector's side of sync with one device.
///
/// It pulls: [`poll`](Sink::poll) gives the frames to send and repeats them as time passes; [`handle`](Sink::handle)
/// takes in what arrives and puts it into the store. Once it [is caught up](Sink::is_caught_up) it is silent until
/// [`pull`](Sink::pull) starts the next round. It may be thrown away and made anew at any instant: the cursor is in
/// the store.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sink {
    config: SinkConfig,
    phase: Phase,
    identity: Option<SourceIdentity>,
    cursor: Position,
    committed: Position,
    request: u32,
    /// The cursor when the newest request was sent: the source's log cannot end before it.
    asked_after: Position,
    /// Frames of the answer to the newest READ that have arrived.
    heard: u32,
    unanswered: u32,
    due_us: u64,
    owes_cursor: bool,
    counters: SinkCounters,
    pub(crate) broken: Broken,
}

/// What a sink is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Phase {
    /// It asks who is there.
    Greeting,
    /// It pulls.
    Reading,
    /// It has everything and tells the device so.
    Committing,
    /// It has everything and the device knows.
    CaughtUp,
    /// It cannot go on by itself; [`Sink::pull`] tries again.
    Halted(Halt),
}

/// Why a sink cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Halt {
    /// The store holds positions that the device's log does not have: the log has lost its end without opening a new
    /// epoch. Its next events would take positions that are already names of others.
    Ahead {
        /// Up to where the store has the log.
        cursor: Position,
        /// The position that the log would give to its next event.
        next: Position,
    },
    /// The next event does not fit a frame.
    FrameTooSmall {
        /// The bytes needed, at most.
        needed: u64,
    },
}

/// What a frame that came in led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SinkEvent {
    /// Nothing: damaged, not for this sink, out of date, or out of order.
    Ignored,
    /// The source said how far its log reaches.
    Head,
    /// New positions are in the store, the last of them is this.
    Applied(Position),
    /// Nothing new: the store has it all. The source will be told the cursor.
    Duplicate,
    /// The source has stored the commit.
    Committed(Position),
    /// The source refused.
    Refused(Refusal),
    /// Another device than the one to pull from answered.
    OtherDevice(u64),
}

/// What a sink has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SinkCounters {
    /// Events that went into the store.
    pub events: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Positions declared lost that went into the store.
    pub lost: u64,
    /// Sections and gaps of which something went into the store.
    pub applied: u64,
    /// Sections and gaps of which the store had all.
    pub duplicates: u64,
    /// Sections and gaps that came too early.
    pub early: u64,
    /// Frames that were damaged, malformed, or meant for somebody else.
    pub dropped: u64,
    /// Requests repeated because time ran out.
    pub timeouts: u64,
}

impl Sink {
    /// A sink that begins with asking who is there.
    #[must_use]
    pub const fn new(config: SinkConfig) -> Self {
        Self {
            phase: Phase::Greeting,
            identity: None,
            cursor: Position::START,
            committed: Position::START,
            request: config.nonce,
            asked_after: Position::START,
            heard: 0,
            unanswered: 0,
            due_us: 0,
            owes_cursor: false,
            broken: Broken::NONE,
            counters: SinkCounters {
                events: 0,
                payload_bytes: 0,
                lost: 0,
                applied: 0,
                duplicates: 0,
                early: 0,
                dropped: 0,
                timeouts: 0,
            },
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

    /// What it has seen.
    #[must_use]
    pub const fn counters(&self) -> SinkCounters {
        self.counters
    }

    /// When [`poll`](Sink::poll) has something to do next, in microseconds; `None`: not before a frame comes in or
    /// [`pull`](Sink::pull) is called.
    #[must_use]
    pub fn wake_us(&self) -> Option<u64> {
        match self.phase {
            Phase::Greeting | Phase::Reading | Phase::Committing => Some(self.due_us),
            Phase::CaughtUp | Phase::Halted(_) => self.owes_cursor.then_some(0),
        }
    }

    /// Starts another round, after being caught up or halted. Does nothing in the middle of one.
    pub fn pull(&mut self) {
        match self.phase {
            Phase::CaughtUp => self.enter(Phase::Reading, 0),
            Phase::Halted(_) => self.enter(Phase::Greeting, 0),
            _ => {}
        }
    }

    /// Takes in one frame, and puts what is new in it into the store.
    ///
    /// When this fails the store has failed; the same frames will be asked for again.
    pub fn handle<S: SinkStore>(&mut self, store: &mut S, now_us: u64, frame: &[u8]) -> Result<SinkEvent, S::Error> {
        let message = match Message::parse(frame, self.identity.as_ref()) {
            Ok(message) => message,
            Err(WireError::Unaddressed) => return Ok(SinkEvent::Ignored),
            Err(_) => return Ok(self.drop_frame()),
        };
        if matches!(self.phase, Phase::Halted(_)) {
            return Ok(SinkEvent::Ignored);
        }
        match message {
            Message::Head(head) => self.head(store, now_us, &head),
            Message::Piece(piece) => self.piece(store, now_us, &piece),
            Message::Committed { epoch, cursor } => Ok(self.note_committed(epoch, cursor, now_us)),
            Message::Err { request, refusal, .. } => Ok(self.refused(request, refusal, now_us)),
            _ => Ok(SinkEvent::Ignored),
        }
    }

    fn head<S: SinkStore>(&mut self, store: &mut S, now_us: u64, head: &Head) -> Result<SinkEvent, S::Error> {
        if head.request != self.request || head.identity.log != self.config.log {
            return Ok(SinkEvent::Ignored);
        }
        if self.config.device.is_some_and(|device| device != head.identity.device) {
            return Ok(SinkEvent::OtherDevice(head.identity.device));
        }
        if self.identity != Some(head.identity) {
            let cursor = store.cursor(&head.identity)?;
            self.identity = Some(head.identity);
            self.cursor = cursor;
            self.asked_after = cursor;
        }
        self.unanswered = 0;
        self.committed = head.cursor;
        if head.next <= self.asked_after {
            self.enter(Phase::Halted(Halt::Ahead { cursor: self.asked_after, next: head.next }), now_us);
        } else if head.next <= self.cursor.next() {
            self.settle(now_us);
        } else if self.phase == Phase::Reading {
            // The end of an answer: what is missing of it was lost or overtaken.
            self.wait(now_us, self.config.quiet_us);
        } else {
            self.enter(Phase::Reading, now_us);
        }
        Ok(SinkEvent::Head)
    }

    fn piece<S: SinkStore>(&mut self, store: &mut S, now_us: u64, piece: &Piece<'_>) -> Result<SinkEvent, S::Error> {
        let Some(identity) = self.identity else { return Ok(SinkEvent::Ignored) };
        let Some(news) = self.weigh(piece) else { return Ok(self.drop_frame()) };
        self.unanswered = 0;
        if piece.last() <= self.cursor && self.broken.keeps(Rule::DropDuplicates) {
            self.counters.duplicates = self.counters.duplicates.saturating_add(1);
            self.owes_cursor = true;
            return Ok(SinkEvent::Duplicate);
        }
        self.heard = self.heard.saturating_add(1);
        if piece.first() > self.cursor.next() && self.broken.keeps(Rule::Contiguous) {
            self.counters.early = self.counters.early.saturating_add(1);
            self.wait(now_us, self.config.quiet_us);
            return Ok(SinkEvent::Ignored);
        }
        let after = self.cursor;
        self.cursor = store.apply(&identity, after, piece)?;
        if self.cursor == piece.last() {
            self.counters.applied = self.counters.applied.saturating_add(1);
            self.counters.events = self.counters.events.saturating_add(news.events);
            self.counters.payload_bytes = self.counters.payload_bytes.saturating_add(news.payload_bytes);
            self.counters.lost = self.counters.lost.saturating_add(news.lost);
        }
        match self.phase {
            Phase::Reading if self.heard < self.config.credit => self.wait(now_us, self.config.quiet_us),
            _ => self.enter(Phase::Reading, now_us),
        }
        Ok(SinkEvent::Applied(self.cursor))
    }

    /// What a piece would add to the store; `None` if its events do not decode.
    fn weigh(&self, piece: &Piece<'_>) -> Option<News> {
        let mut news = News::default();
        match piece {
            Piece::Gap { first, last, .. } => news.lost = last.since(self.cursor.max(first.previous())),
            Piece::Events { first, count, bytes } => {
                let mut events = 0_u32;
                for event in SectionReader::new(*first, bytes) {
                    let event = event.ok()?;
                    events = events.checked_add(1)?;
                    if event.position > Some(self.cursor) {
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

    fn note_committed(&mut self, epoch: evenkeel_core::Epoch, cursor: Position, now_us: u64) -> SinkEvent {
        if self.identity.is_none_or(|identity| identity.epoch != epoch) {
            return SinkEvent::Ignored;
        }
        self.committed = self.committed.max(cursor);
        self.unanswered = 0;
        if self.phase == Phase::Committing {
            self.settle(now_us);
        }
        SinkEvent::Committed(cursor)
    }

    fn refused(&mut self, request: u32, refusal: Refusal, now_us: u64) -> SinkEvent {
        if request != self.request {
            return SinkEvent::Ignored;
        }
        match refusal {
            // Who is there, and how far does it reach? The answer decides.
            Refusal::UnknownEpoch | Refusal::Ahead { .. } => self.enter(Phase::Greeting, now_us),
            Refusal::FrameTooSmall { needed } if self.phase == Phase::Reading => {
                self.enter(Phase::Halted(Halt::FrameTooSmall { needed }), now_us);
            }
            _ => {}
        }
        SinkEvent::Refused(refusal)
    }

    fn drop_frame(&mut self) -> SinkEvent {
        self.counters.dropped = self.counters.dropped.saturating_add(1);
        SinkEvent::Ignored
    }

    /// Everything is in the store: what is left is that the source knows.
    fn settle(&mut self, now_us: u64) {
        let phase = if self.committed < self.cursor { Phase::Committing } else { Phase::CaughtUp };
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

    /// Writes the next frame to send to the front of `out` and answers its length; `None`: nothing to send now, see
    /// [`wake_us`](Sink::wake_us).
    ///
    /// `out` has at least [`CONTROL_BYTES_AT_MOST`](crate::wire::CONTROL_BYTES_AT_MOST) bytes.
    pub fn poll(&mut self, now_us: u64, out: &mut [u8]) -> Result<Option<usize>, FrameTooSmall> {
        if out.len() < crate::wire::CONTROL_BYTES_AT_MOST {
            return Err(FrameTooSmall);
        }
        let waiting = matches!(self.phase, Phase::Greeting | Phase::Reading | Phase::Committing);
        if !waiting || now_us < self.due_us {
            return self.answer(out);
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
            (Phase::Reading, Some(identity)) => (self.read(&identity), identity),
            (Phase::Committing, Some(identity)) => {
                self.owes_cursor = false;
                (Message::Commit { epoch: identity.epoch, position: self.cursor }, identity)
            }
            (_, identity) => {
                let nobody = SourceIdentity { device: 0, log: self.config.log, epoch: Default::default() };
                self.next_request();
                (Message::Hello { request: self.request, log: self.config.log }, identity.unwrap_or(nobody))
            }
        };
        message.write(&identity, out).map(Some).ok_or(FrameTooSmall)
    }

    fn read(&mut self, identity: &SourceIdentity) -> Message<'static> {
        self.next_request();
        self.heard = 0;
        let due = self.cursor.since(self.committed) >= self.config.commit_every.max(1);
        let commit = due.then_some(self.cursor);
        // A READ tells the cursor too.
        self.owes_cursor = false;
        let SinkConfig { credit, limit, .. } = self.config;
        Message::Read(Read {
            request: self.request,
            epoch: identity.epoch,
            after: self.cursor,
            credit: credit.max(1),
            limit,
            commit,
        })
    }

    /// The cursor in answer to a duplicate, where no request is on its way that would tell it.
    fn answer(&mut self, out: &mut [u8]) -> Result<Option<usize>, FrameTooSmall> {
        let Some(identity) = self.identity else { return Ok(None) };
        if !self.owes_cursor || !matches!(self.phase, Phase::CaughtUp) {
            return Ok(None);
        }
        self.owes_cursor = false;
        let commit = Message::Commit { epoch: identity.epoch, position: self.cursor };
        commit.write(&identity, out).map(Some).ok_or(FrameTooSmall)
    }

    fn next_request(&mut self) {
        self.request = self.request.wrapping_add(1);
        self.asked_after = self.cursor;
    }
}

/// What a piece would add to the store.
#[derive(Default)]
struct News {
    events: u64,
    payload_bytes: u64,
    lost: u64,
}
