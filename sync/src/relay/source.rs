//! The relay's side that the collector sees.

use evenkeel_core::{Epoch, Position};

use super::{FrameKey, Note, RelayStore, commit_of, head_of, note_message, reach, refusal_of};
use crate::sink::SinkError;
use crate::wire::{self, Commit, Hello, Life, Message, Read, Refusal, WireError};
use crate::{Missing, Plain, Proof, SourceIdentity};

/// After how many requests for the same positions, all of them answered, the frame for them is in doubt.
const PATIENCE: u32 = 8;

/// Answers a collector's [`Sink`](crate::Sink) for a device that is not there, out of what a relay holds.
///
/// It is passive and knows no time, as a [`Source`](crate::Source) is: [`handle`](Self::handle) takes in a frame, then
/// [`poll`](Self::poll) gives the frames to send. It may be thrown away and made anew at any instant.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RelaySource {
    relay: u64,
    /// The identity under which the head is noted.
    log: SourceIdentity,
    request: Option<u32>,
    window: Option<Window>,
    /// From where was asked last, and how often in a row something was sent in answer.
    asked: (Epoch, Position, u32),
    head: Option<u32>,
    refusal: Option<(u32, Refusal)>,
    tells_refusal: bool,
    custody: Option<(Epoch, Position)>,
    done: Option<(u32, Epoch, Position)>,
    notify: bool,
}

/// What a READ allows to be sent.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Window {
    request: u32,
    epoch: Epoch,
    after: Position,
    missing: Missing,
    /// Up to where what is missing is here without a hole.
    reach: Position,
    sent: FrameKey,
    credit: u32,
    limit: usize,
}

impl RelaySource {
    /// Speaks as the relay with this number for the log of which the store has a [`Note::Head`] under this identity.
    #[must_use]
    pub const fn new(relay: u64, log: SourceIdentity) -> Self {
        Self {
            relay,
            log,
            request: None,
            window: None,
            asked: (Epoch(0), Position::START, 0),
            head: None,
            refusal: None,
            tells_refusal: false,
            custody: None,
            done: None,
            notify: false,
        }
    }

    /// Whose log it speaks of.
    #[must_use]
    pub const fn identity(&self) -> SourceIdentity {
        self.log
    }

    /// Lets the next [`poll`](Self::poll) say unasked that there is something to pull.
    pub fn notify(&mut self) {
        self.notify = true;
    }

    fn in_life(&self, epoch: Epoch) -> SourceIdentity {
        SourceIdentity { epoch, ..self.log }
    }

    /// Takes in one frame. A commit is durable in the store when this returns. If it fails the store has failed, and the
    /// collector asks again.
    pub fn handle<T: RelayStore>(&mut self, store: &mut T, frame: &[u8]) -> Result<(), T::Error> {
        let message = match Message::parse(frame, Some(&self.log)) {
            Ok(message) => message,
            Err(WireError::Unknown | WireError::Malformed) => {
                self.refusal = Some((self.request.unwrap_or_default(), Refusal::Malformed));
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        match message {
            Message::Hello(hello) if hello.log == self.log.log => self.hello(&hello),
            Message::Read(read) if self.request != Some(read.request) => self.read(store, &read)?,
            Message::Commit { epoch, commit } => self.commit(store, epoch, commit)?,
            Message::SchemaGet { request, .. } => self.refusal = Some((request, Refusal::NoSchema)),
            _ => {}
        }
        Ok(())
    }

    fn hello(&mut self, hello: &Hello) {
        let Hello { request, versions, .. } = *hello;
        if versions & (1 << wire::VERSION) == 0 {
            self.refusal = Some((request, Refusal::Version { versions: 1 << wire::VERSION }));
        } else {
            (self.head, self.tells_refusal) = (Some(request), true);
        }
    }

    fn life<T: RelayStore>(&self, store: &mut T, epoch: Epoch) -> Result<Option<Life>, T::Error> {
        let head = head_of(store, &self.log)?;
        Ok(head.and_then(|head| head.lives.find(epoch)).map(|(life, _)| life))
    }

    fn read<T: RelayStore>(&mut self, store: &mut T, read: &Read) -> Result<(), T::Error> {
        let Read { request, epoch, after, credit, limit, commit, missing, .. } = *read;
        self.request = Some(request);
        (self.window, self.done) = (None, None);
        if self.life(store, epoch)?.is_none() {
            self.head = Some(request);
            return Ok(());
        }
        let log = self.in_life(epoch);
        let reach = reach(store, &log, after, |seen| missing.next_after(after, seen).0)?;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let sent = FrameKey::ending_after(after);
        self.window = Some(Window { request, epoch, after, missing, reach, sent, credit, limit });
        self.doubt(store, &log, after, reach)?;
        match commit {
            Some(commit) => self.commit(store, epoch, commit),
            None => Ok(()),
        }
    }

    /// What is asked for again and again, although it is sent, may be a frame that is none: it is fetched once more.
    fn doubt<T: RelayStore>(
        &mut self,
        store: &mut T,
        log: &SourceIdentity,
        after: Position,
        reach: Position,
    ) -> Result<(), T::Error> {
        let (epoch, asked, times) = self.asked;
        let again = (epoch, asked) == (log.epoch, after) && reach > after;
        self.asked = (log.epoch, after, if again { times.saturating_add(1) } else { 0 });
        if self.asked.2 < PATIENCE {
            return Ok(());
        }
        self.asked.2 = 0;
        let Some(key) = store.next_key(log, FrameKey::ending_after(after))? else { return Ok(()) };
        let mut bytes = [0; 16];
        let mut out = evenkeel_core::bytes::ByteWriter::new(&mut bytes);
        let _ = out.u64(key.first.max(after.next()).0).and_then(|()| out.u64(key.last.0));
        store.set_note(log, Note::Doubt, Some(&bytes))
    }

    fn commit<T: RelayStore>(&mut self, store: &mut T, epoch: Epoch, commit: Commit) -> Result<(), T::Error> {
        let log = self.in_life(epoch);
        if self.life(store, epoch)?.is_none() {
            self.refusal = Some((self.request.unwrap_or_default(), Refusal::UnknownEpoch));
            return Ok(());
        }
        let known = commit_of(store, &log)?;
        if known.is_none_or(|known| known.to <= commit.to && known != commit) {
            note_message(store, &log, Note::Commit, &Message::Commit { epoch, commit })?;
        }
        // The device that could confirm it has begun anew.
        let mut byte = [0; 1];
        if store.note(&log, Note::Gone, &mut byte)?.is_some() {
            store.forget(&log, commit.to)?;
        }
        self.custody = Some((epoch, commit.to.max(known.map_or(Position::START, |known| known.to))));
        Ok(())
    }

    /// Writes the next frame to send to the front of `out` and answers its length; `None`: nothing to send.
    ///
    /// `out` has the size of the link's largest frame.
    pub fn poll<T: RelayStore>(&mut self, store: &mut T, out: &mut [u8]) -> Result<Option<usize>, SinkError<T::Error>> {
        if let Some(message) = self.due() {
            return self.say(&message, out);
        }
        if let Some(window) = self.window.take() {
            if let Some(len) = self.send(store, window, out)? {
                return Ok(Some(len));
            }
        }
        if let Some((request, epoch, reach)) = self.done.take() {
            let done = Message::Done { request, next: reach.next() };
            return done.write(&self.in_life(epoch), &Plain, out).map(Some).ok_or(SinkError::FrameTooSmall);
        }
        if let Some(request) = self.head.take() {
            return self.say_head(store, request, out);
        }
        if core::mem::take(&mut self.tells_refusal) {
            if let Some(refusal) = refusal_of(store, &self.log).map_err(SinkError::Store)? {
                store.set_note(&self.log, Note::Refusal, None).map_err(SinkError::Store)?;
                return self.say(&Message::Err { request: 0, epoch: self.log.epoch, refusal }, out);
            }
        }
        if core::mem::take(&mut self.notify) {
            let Some(head) = head_of(store, &self.log).map_err(SinkError::Store)? else { return Ok(None) };
            let pending = self.held_to(store, &head)?.since(head.cursor);
            return self.say(&Message::Notify { device: self.log.device, log: self.log.log, pending }, out);
        }
        Ok(None)
    }

    fn say<E>(&self, message: &Message<'_>, out: &mut [u8]) -> Result<Option<usize>, SinkError<E>> {
        message.write(&self.log, &Plain, out).map(Some).ok_or(SinkError::FrameTooSmall)
    }

    fn due(&mut self) -> Option<Message<'static>> {
        if let Some((request, refusal)) = self.refusal.take() {
            return Some(Message::Err { request, epoch: self.log.epoch, refusal });
        }
        let (epoch, position) = self.custody.take()?;
        Some(Message::Custody { epoch, relay: self.relay, position, proof: Proof::default() })
    }

    /// Up to where the newest life is held, as far as the device has had it committed or the relay has it without a hole.
    fn held_to<T: RelayStore>(&self, store: &mut T, head: &wire::Head) -> Result<Position, SinkError<T::Error>> {
        let base = head.lives.newest().unwrap_or_default().base;
        let from = if head.cursor >= base { head.cursor } else { Position::START };
        reach(store, &self.log, from, |seen| seen).map_err(SinkError::Store)
    }

    fn say_head<T: RelayStore>(
        &self,
        store: &mut T,
        request: u32,
        out: &mut [u8],
    ) -> Result<Option<usize>, SinkError<T::Error>> {
        let Some(mut head) = head_of(store, &self.log).map_err(SinkError::Store)? else { return Ok(None) };
        let held = self.held_to(store, &head)?;
        // Who has more of it than this relay need not ask; who has less asks for what there is.
        let next = held.next().max(head.lives.newest().unwrap_or_default().base);
        (head.request, head.relayed, head.next, head.schema) = (request, true, next, 0);
        self.say(&Message::Head(head), out)
    }

    /// The next frame that has something of what is missing.
    fn send<T: RelayStore>(
        &mut self,
        store: &mut T,
        mut window: Window,
        out: &mut [u8],
    ) -> Result<Option<usize>, SinkError<T::Error>> {
        let log = self.in_life(window.epoch);
        self.done = Some((window.request, window.epoch, window.reach));
        while window.credit > 0 {
            let Some(key) = store.next_key(&log, window.sent).map_err(SinkError::Store)? else { break };
            window.sent = key;
            let (before, _) = window.missing.next_after(window.after, key.first.previous());
            // Nothing of it is missing, or something before it is missing here as well.
            if before >= key.last || key.first > window.reach {
                continue;
            }
            let Some(len) = store.frame(&log, key, out).map_err(SinkError::Store)? else { continue };
            if len > out.len().min(window.limit) {
                self.done = None;
                let refusal = Refusal::FrameTooSmall { needed: len as u64 };
                return self.say(&Message::Err { request: window.request, epoch: self.log.epoch, refusal }, out);
            }
            window.credit = window.credit.saturating_sub(1);
            self.window = Some(window);
            return Ok(Some(len));
        }
        Ok(None)
    }
}
