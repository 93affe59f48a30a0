//! The device's side.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::section::Section;
use evenkeel_core::{Epoch, LogId, Moment, Notification, Position, Tracker};

use super::{RecordManager, face, section_up_to};
use crate::heard::Window;
use crate::rules::{Broken, Rule};
use crate::seal::{Proof, Purpose, Seal, commit_proof, commit_prover, prove_event, prove_position};
use crate::wire::{
    self, CHECK_BYTES, Commit, Head, Hello, Life, Lives, MAX_EVENTS, Message, Read, Refusal, SectionDraft, Time,
    WireError,
};
use crate::{Heard, Loss, Missing, Piece, Plain, SourceError, SourceIdentity, schema_digest};

/// The device's side of sync: answers what a [`Sink`](crate::Sink) asks, out of a log that it is lent.
///
/// It is passive and knows no time: [`handle`](Source::handle) takes in a frame, then [`poll`](Source::poll) gives the
/// frames to send, until it has none left. It may be thrown away and made anew at any instant, by a reboot for example;
/// the sink asks again.
///
/// Several logs on one link: offer each frame to the source of each; those whom it does not concern ignore it.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Source<S = Plain> {
    device: u64,
    log: LogId,
    lives: Lives,
    uplink: Tracker,
    seal: S,
    custody: Option<Custody<S>>,
    schema: &'static [u8],
    moment: Moment,
    space: (u8, u64),
    busy_ms: Option<u32>,
    told_time: Option<Time>,
    /// The request last served: a copy of it that arrives later is not served again.
    request: Option<u32>,
    window: Option<Window>,
    refusal: Option<(u32, Refusal)>,
    owes: Owes,
    pub(crate) broken: Broken,
}

const _: () = assert!(core::mem::size_of::<Source>() <= 512);

/// Whose word for what it keeps is taken, and where that is noted.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Custody<S> {
    tracker: Tracker,
    relay: u64,
    seal: S,
}

/// Answers that are due.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Owes {
    head: Option<u32>,
    busy: Option<u32>,
    committed: Option<Epoch>,
    custody: Option<Epoch>,
    schema: Option<u32>,
    done: Option<(u32, Epoch)>,
    notify: bool,
}

impl Source {
    /// A source for the log with this identity, whose commits are kept under the tracker `uplink`. Its frames are
    /// [`Plain`].
    #[must_use]
    pub const fn new(identity: SourceIdentity, uplink: Tracker) -> Self {
        Self::sealed(identity, uplink, Plain)
    }
}

impl<S> Source<S> {
    /// A source whose frames are sealed.
    #[must_use]
    pub const fn sealed(identity: SourceIdentity, uplink: Tracker, seal: S) -> Self {
        let SourceIdentity { device, log, epoch } = identity;
        Self {
            device,
            log,
            lives: Lives::one(epoch),
            uplink,
            seal,
            custody: None,
            schema: &[],
            moment: Moment { boot: 0, tick: 0 },
            space: (0, 0),
            busy_ms: None,
            told_time: None,
            request: None,
            window: None,
            refusal: None,
            owes: Owes {
                head: None,
                busy: None,
                committed: None,
                custody: None,
                schema: None,
                done: None,
                notify: false,
            },
            broken: Broken::NONE,
        }
    }

    /// Takes the word of this relay, sealed with its own key, for what it keeps: noted under this tracker, which frees
    /// nothing unless the retention of the log names it.
    #[must_use]
    pub fn with_custody(mut self, tracker: Tracker, relay: u64, seal: S) -> Self {
        self.custody = Some(Custody { tracker, relay, seal });
        self
    }

    /// Hands out this schema of the events, such as an encoded `postcard-schema` tree, to a sink that does not know it.
    #[must_use]
    pub const fn with_schema(mut self, schema: &'static [u8]) -> Self {
        self.schema = schema;
        self
    }

    /// Says what a HEAD tells of the log's room: the [policy](Head::policy), and how many bytes are free.
    #[must_use]
    pub const fn with_space(mut self, policy: u8, free: u64) -> Self {
        self.space = (policy, free);
        self
    }

    /// Positions from `base` on belong to a new epoch; those before keep theirs. `false` if that epoch is known, or does
    /// not begin beyond the newest.
    ///
    /// For a log that has lost events which had left it ([`Heard::Ahead`]): the application notes the epoch durably
    /// before the first event of it, and opens it again after each boot.
    pub fn open_epoch(&mut self, epoch: Epoch, base: Position) -> bool {
        self.lives.open(epoch, base)
    }

    /// The lives of the log, the oldest first.
    #[must_use]
    pub const fn lives(&self) -> &Lives {
        &self.lives
    }

    /// Whose log it is, in its newest life.
    #[must_use]
    pub fn identity(&self) -> SourceIdentity {
        self.identity_in(self.lives.newest().unwrap_or_default().epoch)
    }

    fn identity_in(&self, epoch: Epoch) -> SourceIdentity {
        SourceIdentity { device: self.device, log: self.log, epoch }
    }

    /// Says what time it is on the device: a HEAD tells it.
    pub fn set_moment(&mut self, moment: Moment) {
        self.moment = moment;
    }

    /// While some milliseconds are named requests are answered with "not now, ask again in so many": during a long
    /// erase, say.
    pub fn set_busy(&mut self, retry_ms: Option<u32>) {
        self.busy_ms = retry_ms;
    }

    /// What time it is, as a sink has said it in the HELLO heard last.
    #[must_use]
    pub const fn told_time(&self) -> Option<Time> {
        self.told_time
    }

    /// Lets the next [`poll`](Self::poll) say unasked that there is something to pull.
    pub fn notify(&mut self) {
        self.owes.notify = true;
    }
}

#[face]
impl<S: Seal> Source<S> {
    /// Takes in one frame.
    ///
    /// A commit of an epoch of this log, within it, with a proof that fits, and beyond what is stored, is durable in the
    /// log when this returns; if that fails nothing is answered to it, so the sink sends it again.
    pub async fn handle<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        frame: &[u8],
    ) -> Result<Heard, SourceError<R::Error>> {
        let message = match Message::parse(frame, Some(&self.identity())) {
            Ok(message) => message,
            Err(WireError::Unknown | WireError::Malformed) => {
                self.refuse(Refusal::Malformed);
                return Ok(Heard::Nothing);
            }
            Err(_) => return Ok(Heard::Nothing),
        };
        match message {
            Message::Hello(hello) if hello.log == self.log => Ok(self.hello(&hello)),
            Message::Read(read) => self.read(records, scratch, &read).await,
            Message::Commit { epoch, commit } => self.commit(records, scratch, epoch, &commit).await,
            Message::Custody { epoch, relay, position, proof } => {
                self.take_custody(records, scratch, (epoch, relay), position, &proof).await
            }
            Message::SchemaGet { request, digest, offset } => {
                let known = !self.schema.is_empty() && digest == schema_digest(self.schema);
                if known && usize::try_from(offset).is_ok_and(|offset| offset < self.schema.len()) {
                    self.owes.schema = Some(offset);
                } else {
                    self.refusal = Some((request, Refusal::NoSchema));
                }
                Ok(Heard::Schema)
            }
            _ => Ok(Heard::Nothing),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some((self.request.unwrap_or_default(), refusal));
    }

    fn hello(&mut self, hello: &Hello) -> Heard {
        if let Some(time) = hello.time {
            self.told_time = Some(time);
        }
        if self.busy_ms.is_some() {
            self.owes.busy = Some(hello.request);
        } else if hello.versions & (1 << wire::VERSION) == 0 {
            self.refusal = Some((hello.request, Refusal::Version { versions: 1 << wire::VERSION }));
        } else {
            self.owes.head = Some(hello.request);
        }
        Heard::Hello
    }

    /// A life of the log, and the position after its last one.
    fn reach<R: RecordManager>(&self, records: &R, epoch: Epoch) -> Option<(Life, Position)> {
        let (life, end) = self.lives.find(epoch)?;
        let next = records.bounds().next;
        Some((life, end.map_or(next, |end| end.min(next))))
    }

    async fn read<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        read: &Read,
    ) -> Result<Heard, SourceError<R::Error>> {
        if self.request == Some(read.request) {
            return Ok(Heard::Nothing);
        }
        self.request = Some(read.request);
        self.window = None;
        self.owes.done = None;
        let Read { request, epoch, after, credit, limit, commit, missing, proof } = *read;
        let Some((_, end)) = self.reach(records, epoch) else {
            self.owes.head = Some(request);
            return Ok(Heard::OtherEpoch);
        };
        if after >= end {
            self.refuse(Refusal::Ahead { next: end });
            // Anybody can say so: it counts from one who has the key.
            let ours = prove_position(&self.seal, &self.identity_in(epoch), Purpose::Read, 0, after);
            let proven = S::SUITE == Plain::SUITE || proof.is_some_and(|proof| proof.fits(&ours));
            return Ok(if proven { Heard::Ahead } else { Heard::Nothing });
        }
        if after.next() >= end && epoch != self.identity().epoch {
            // The sink has all of this life, and has not heard of the next one.
            self.owes.head = Some(request);
        }
        if self.busy_ms.is_some() {
            self.owes.busy = Some(request);
        } else {
            self.window = Some(Window { request, epoch, after, missing, sent: after, credit, limit });
        }
        match commit {
            Some(commit) => self.commit(records, scratch, epoch, &commit).await,
            None => Ok(Heard::Read),
        }
    }

    async fn commit<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        epoch: Epoch,
        commit: &Commit,
    ) -> Result<Heard, SourceError<R::Error>> {
        let proven = self.broken.keeps(Rule::CommitOfEpoch);
        let epoch = if proven { epoch } else { self.identity().epoch };
        let Some((life, end)) = self.reach(records, epoch) else {
            self.refuse(Refusal::UnknownEpoch);
            return Ok(Heard::OtherEpoch);
        };
        if commit.to >= end {
            // With a key a READ must prove it: what is not here cannot be checked.
            self.refuse(Refusal::Ahead { next: end });
            return Ok(if S::SUITE == Plain::SUITE { Heard::Ahead } else { Heard::Nothing });
        }
        let at = records.tracked(self.uplink);
        if at.next() < life.base {
            self.refuse(Refusal::OlderFirst { cursor: at });
            return Ok(Heard::Unproven);
        }
        if commit.to > at {
            if proven {
                match self.prove(records, scratch, epoch, commit).await? {
                    Proven::Yes => {}
                    Proven::No => {
                        self.refuse(Refusal::Diverged { from: commit.from, to: commit.to });
                        return Ok(Heard::Diverged);
                    }
                    Proven::Unreadable { first, last } => {
                        self.refuse(Refusal::Unproven { first, last });
                        return Ok(Heard::Unproven);
                    }
                }
            }
            Self::track(records, scratch, self.uplink, commit.to).await?;
        }
        self.owes.committed = Some(epoch);
        Ok(Heard::Committed(records.tracked(self.uplink)))
    }

    /// Whether a commit's proof is about the events that the log has.
    async fn prove<R: RecordManager>(
        &self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        epoch: Epoch,
        commit: &Commit,
    ) -> Result<Proven, SourceError<R::Error>> {
        let mut prover = commit_prover(&self.seal, &self.identity_in(epoch));
        let mut seen = commit.from;
        while seen < commit.to {
            let first = seen.next();
            let last = match records.next_notification(seen, scratch).await {
                Ok(Some(Notification::Event(event))) => {
                    prove_event(&mut prover, &event);
                    seen = first;
                    continue;
                }
                Ok(Some(gap)) => gap.last(),
                Ok(None) => commit.to,
                Err(ReadError::Trimmed { first }) => first.previous(),
                Err(error) => return Err(SourceError::Read(error)),
            };
            return Ok(Proven::Unreadable { first, last: last.min(commit.to).max(first) });
        }
        let proof = commit_proof::<S>(prover, commit.from, commit.to);
        Ok(if proof.fits(&commit.proof) { Proven::Yes } else { Proven::No })
    }

    async fn take_custody<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        (epoch, relay): (Epoch, u64),
        position: Position,
        proof: &Proof,
    ) -> Result<Heard, SourceError<R::Error>> {
        let Some(custody) = self.custody.as_ref().filter(|custody| custody.relay == relay) else {
            return Ok(Heard::Nothing);
        };
        let Some((_, end)) = self.reach(records, epoch) else { return Ok(Heard::OtherEpoch) };
        let ours = prove_position(&custody.seal, &self.identity_in(epoch), Purpose::Custody, relay, position);
        if position >= end || !ours.fits(proof) {
            return Ok(Heard::Nothing);
        }
        let tracker = custody.tracker;
        Self::track(records, scratch, tracker, position).await?;
        self.owes.custody = Some(epoch);
        Ok(Heard::Custody(records.tracked(tracker)))
    }

    /// Moves a tracker on, durably.
    async fn track<R: RecordManager>(
        records: &mut R,
        scratch: &mut Scratch<'_>,
        tracker: Tracker,
        position: Position,
    ) -> Result<(), SourceError<R::Error>> {
        let at = records.tracked(tracker);
        if position > at {
            let mut batch = scratch.batch(R::HEADROOM);
            batch.track_from(tracker, at, position).map_err(|error| SourceError::Append(error.into()))?;
            records.append(&mut batch).await.map_err(SourceError::Append)?;
        }
        Ok(())
    }

    /// Lets the next polls send up to so many frames unasked, from what no sink has committed on: for links on which the
    /// device speaks first, such as LoRa class A and UDP. The sink answers with a commit, or with what it misses.
    pub fn push<R: RecordManager>(&mut self, records: &R, credit: u32) {
        let after = records.tracked(self.uplink);
        let ends_beyond = |life: &&Life| {
            let (_, end) = self.reach(records, life.epoch).unwrap_or_default();
            after.next() < end
        };
        let life = self.lives.as_slice().iter().find(ends_beyond).copied().or(self.lives.newest()).unwrap_or_default();
        let (epoch, missing) = (life.epoch, Missing::ALL);
        self.window = Some(Window { request: 0, epoch, after, missing, sent: after, credit, limit: 0 });
    }

    /// Writes the next frame to send to the front of `out` and answers its length; `None`: nothing to send.
    ///
    /// `out` has the size of the link's largest frame. After an unclean stop the log is [secured](RecordManager::secure) first, so
    /// that only what stays leaves the device. If reading fails, what the sink had asked for is dropped.
    pub async fn poll<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, SourceError<R::Error>> {
        // What may yet be gone does not leave.
        let tells = self.window.is_some() || self.owes.head.is_some() || self.owes.committed.is_some();
        if tells && self.broken.keeps(Rule::SettleFirst) {
            records.secure(scratch).await.map_err(SourceError::Append)?;
        }
        if let Some(message) = self.due(records) {
            return self.say(&message, self.identity(), out);
        }
        if let Some(offset) = self.owes.schema.take() {
            return self.say_schema(offset, out);
        }
        if let Some(window) = self.window.take() {
            if window.credit > 0 {
                if let Some(len) = self.send(records, scratch, window, out).await? {
                    return Ok(Some(len));
                }
            }
            self.owes.done = Some((window.request, window.epoch));
        }
        if let Some((request, epoch)) = self.owes.done.take() {
            let next = self.reach(records, epoch).map_or(records.bounds().next, |(_, end)| end);
            return self.say(&Message::Done { request, next }, self.identity_in(epoch), out);
        }
        if let Some(request) = self.owes.head.take() {
            return self.say(&Message::Head(self.head(records, request)), self.identity(), out);
        }
        if core::mem::take(&mut self.owes.notify) {
            let pending = records.bounds().last().since(records.tracked(self.uplink));
            let notify = Message::Notify { device: self.device, log: self.log, pending };
            return self.say(&notify, self.identity(), out);
        }
        Ok(None)
    }

    /// The answer that is due first, of those that need no reading.
    fn due<R: RecordManager>(&mut self, records: &R) -> Option<Message<'static>> {
        if let Some((request, refusal)) = self.refusal.take() {
            return Some(Message::Err { request, epoch: self.identity().epoch, refusal });
        }
        if let Some(epoch) = self.owes.committed.take() {
            let cursor = records.tracked(self.uplink);
            let proof = prove_position(&self.seal, &self.identity_in(epoch), Purpose::Committed, 0, cursor);
            return Some(Message::Committed { epoch, cursor, proof });
        }
        if let (Some(epoch), Some(Custody { tracker, relay, seal })) = (self.owes.custody.take(), &self.custody) {
            let position = records.tracked(*tracker);
            let proof = prove_position(seal, &self.identity_in(epoch), Purpose::Custody, *relay, position);
            return Some(Message::Custody { epoch, relay: *relay, position, proof });
        }
        let request = self.owes.busy.take()?;
        Some(Message::Busy { request, retry_ms: self.busy_ms.unwrap_or_default() })
    }

    fn head<R: RecordManager>(&self, records: &R, request: u32) -> Head {
        let bounds = records.bounds();
        let (policy, free) = self.space;
        Head {
            request,
            versions: 1 << wire::VERSION,
            suite: S::SUITE,
            device: self.device,
            log: self.log,
            first: bounds.first,
            next: bounds.next,
            cursor: records.tracked(self.uplink),
            lives: self.lives,
            moment: self.moment,
            schema: if self.schema.is_empty() { 0 } else { schema_digest(self.schema) },
            policy,
            free,
            relayed: false,
        }
    }

    fn say_schema<E>(&self, offset: u32, out: &mut [u8]) -> Result<Option<usize>, SourceError<E>> {
        // The fields beside the bytes, and the check.
        const BESIDE: usize = 1 + 8 + 5 + 5 + 3 + CHECK_BYTES;
        let total = u32::try_from(self.schema.len()).unwrap_or(u32::MAX);
        let rest = usize::try_from(offset).ok().and_then(|offset| self.schema.get(offset..)).unwrap_or_default();
        let room = out.len().checked_sub(BESIDE).ok_or(SourceError::FrameTooSmall)?;
        let bytes = rest.get(..room.min(rest.len())).unwrap_or_default();
        let schema = Message::Schema { digest: schema_digest(self.schema), offset, total, bytes };
        self.say(&schema, self.identity(), out)
    }

    /// Writes what is missing first of a window; `None` at the end of the epoch.
    async fn send<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        window: Window,
        out: &mut [u8],
    ) -> Result<Option<usize>, SourceError<R::Error>> {
        let Some((life, end)) = self.reach(records, window.epoch) else { return Ok(None) };
        let (before, hole) = window.missing.next_after(window.after, window.sent);
        let last = hole.unwrap_or(Position(u64::MAX)).min(end.previous());
        if before >= last {
            return Ok(None);
        }
        let identity = self.identity_in(window.epoch);
        let lent = out.len();
        let allowed = match usize::try_from(window.limit) {
            Ok(limit) if limit > 0 => lent.min(limit),
            _ => lent,
        };
        let first = before.next();
        let (upto, reason) = if first < life.base {
            (life.base.previous(), Loss::OtherEpoch)
        } else {
            let frame = out.get_mut(..allowed).unwrap_or_default();
            let Some(mut draft) = SectionDraft::<S>::new(first, frame) else {
                if allowed == lent {
                    return Err(SourceError::FrameTooSmall);
                }
                // It is the sink that allows too little, which is no failure of this side.
                self.owes.done = None;
                let refusal = Refusal::FrameTooSmall { needed: (S::SECTION_BYTES as u64).saturating_add(12) };
                let error = Message::Err { request: window.request, epoch: identity.epoch, refusal };
                return self.say(&error, identity, out);
            };
            let most = last.min(before.plus(u64::from(MAX_EVENTS)));
            match section_up_to(records, scratch, before, most, draft.room()).await {
                Ok(Section::Events { count, bytes, .. }) => {
                    let len = bytes.len();
                    let written = draft.finish(&identity, &self.seal, count, len);
                    let written = written.ok_or(SourceError::FrameTooSmall)?;
                    self.go_on(window, before.plus(u64::from(count)));
                    return Ok(Some(written));
                }
                Ok(Section::Gap { last, reason, .. }) => (last, reason.into()),
                Ok(_) => return Ok(None),
                Err(ReadError::Trimmed { first: held }) if held > first => (held.previous(), Loss::Trimmed),
                Err(ReadError::ScratchTooSmall { needed }) => {
                    let needed = u64::from(needed).saturating_add(S::SECTION_BYTES as u64).saturating_add(12);
                    self.owes.done = None;
                    let refusal = Refusal::FrameTooSmall { needed };
                    let error = Message::Err { request: window.request, epoch: identity.epoch, refusal };
                    return self.say(&error, identity, out);
                }
                Err(error) => return Err(SourceError::Read(error)),
            }
        };
        // Only what is missing: what the sink holds beyond it may have been lost here since.
        let upto = upto.min(last);
        self.go_on(window, upto);
        self.say(&Message::Piece(Piece::Gap { first, last: upto, reason }), identity, out)
    }

    fn go_on(&mut self, window: Window, sent: Position) {
        self.window = Some(Window { sent, credit: window.credit.saturating_sub(1), ..window });
    }

    fn say<E>(
        &self,
        message: &Message<'_>,
        identity: SourceIdentity,
        out: &mut [u8],
    ) -> Result<Option<usize>, SourceError<E>> {
        message.write(&identity, &self.seal, out).map(Some).ok_or(SourceError::FrameTooSmall)
    }
}

/// What became of checking a proof.
enum Proven {
    Yes,
    No,
    Unreadable { first: Position, last: Position },
}
