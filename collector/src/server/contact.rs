//! One contact with one device: from its first frame until everything is stored and the device knows.

use core::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::integrity::{SealedAes, SealedChaCha, SignedBlake2s, SignedSha256};
use evenkeel_core::{LogId, Position};
use evenkeel_sync::wire::{Head, Hello, Message, Time, VERSION};
use evenkeel_sync::{
    Halt, Keyed, KeyedSuite, Phase, Plain, Seal, Sink, SinkConfig, SinkCounters, SinkError, SourceIdentity,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;

use super::keys::Access;
use super::stage::{Stage, StageError};
use super::{Distrust, Failure, Frames, KeyRing, Quarantine, SectionStore, Verdict, unix_ms};

/// How devices are pulled.
#[derive(Debug, Clone)]
pub struct ContactConfig {
    /// Which log of the device.
    pub log: LogId,
    /// Who this collector is, as devices are told.
    pub collector: u64,
    /// How long an answer may take before the request is repeated.
    pub timeout: Duration,
    /// How long nothing may arrive in the middle of an answer before the rest is asked for again.
    pub quiet: Duration,
    /// Frames that one request asks for, when the store is idle.
    pub credit: u32,
    /// After how many events the device is told that they are safe, beside at the end.
    pub commit_every: u64,
    /// How many of the newest events a commit proves at most.
    pub prove_at_most: u64,
    /// Bytes for what comes before its turn, for each contact.
    pub parked_bytes: usize,
    /// How long a device may take to say who it is.
    pub greet_within: Duration,
    /// How long a device that has nothing new may stay; `None`: the contact ends as soon as everything is stored.
    pub stay: Option<Duration>,
    /// How long nothing at all may come from a device that has not been heard out.
    pub silent_after: Duration,
    /// What time it is, and how far off that may be: devices are told. `None`: they are not.
    pub clock_uncertainty: Option<Duration>,
}

impl Default for ContactConfig {
    /// Log 0, 32 frames a request, a second for an answer, a commit each 256 events that proves up to 256 of them.
    fn default() -> Self {
        Self {
            log: LogId(0),
            collector: 0,
            timeout: Duration::from_secs(1),
            quiet: Duration::from_millis(250),
            credit: 32,
            commit_every: 256,
            prove_at_most: 256,
            parked_bytes: 16 * 1024,
            greet_within: Duration::from_secs(10),
            stay: None,
            silent_after: Duration::from_secs(30),
            clock_uncertainty: None,
        }
    }
}

/// What a contact has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulled {
    /// Whose log.
    pub identity: SourceIdentity,
    /// Up to where it is stored.
    pub cursor: Position,
    /// The position that its next event will get, as the device said it last.
    pub next: Position,
    /// What was seen since the contact began.
    pub counters: SinkCounters,
    /// Everything is stored, and the device knows.
    pub complete: bool,
}

/// Why a contact ended before everything was stored. What was stored until then stays.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContactError {
    /// The connection failed.
    Io(io::Error),
    /// The device has closed the connection.
    Closed,
    /// The device did not answer.
    Silent,
    /// The device is not listened to: it has no key, or does not use the one that was agreed on.
    Refused {
        /// The device, as it calls itself.
        device: u64,
    },
    /// Nothing more of this log is taken until somebody has looked.
    Quarantined {
        /// Whose log.
        identity: SourceIdentity,
        /// Why.
        why: Quarantine,
    },
    /// The next event does not fit a frame, or the device speaks another version.
    Halted(Halt),
    /// The store failed.
    Store(Failure),
    /// What the device sends makes no sense.
    Nonsense(String),
    /// The collector is about to end.
    Ending,
}

impl fmt::Display for ContactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Closed => f.write_str("the device has closed the connection"),
            Self::Silent => f.write_str("the device does not answer"),
            Self::Refused { device } => {
                write!(f, "device {device:016x} is not listened to: it does not use the key that was agreed on")
            }
            Self::Quarantined { identity, why } => write!(f, "{identity} is quarantined: {why}"),
            Self::Halted(halt) => write!(f, "it cannot go on: {halt:?}"),
            Self::Store(error) => write!(f, "the store failed: {error}"),
            Self::Nonsense(what) => write!(f, "the device sends what makes no sense: {what}"),
            Self::Ending => f.write_str("the collector is about to end"),
        }
    }
}

impl std::error::Error for ContactError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ContactError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failure> for ContactError {
    fn from(error: Failure) -> Self {
        Self::Store(error)
    }
}

/// How often a question is repeated before the device counts as silent.
pub(crate) const ATTEMPTS: u32 = 20;
/// The longest frame that a sink sends: no schema is among them.
pub(crate) const OUT_BYTES: usize = 512;

/// Hears what a contact has come to, each time that something new is durable.
pub type Watcher<'w> = &'w mut (dyn FnMut(&Pulled) + Send);

/// A contact over one stream of frames.
pub(crate) struct Contact<'c, T> {
    pub(crate) frames: Frames<T>,
    pub(crate) store: Arc<dyn SectionStore>,
    pub(crate) config: &'c ContactConfig,
    pub(crate) keys: &'c KeyRing,
    pub(crate) ending: watch::Receiver<bool>,
    pub(crate) watcher: Watcher<'c>,
    pub(crate) begun: Instant,
    pub(crate) nonce: u32,
}

/// Pulls what one device has over this stream and stores it.
///
/// Ends with what it came to once everything is stored and the device knows, or, if the configuration has devices
/// [stay](ContactConfig::stay), when they have had nothing new for so long.
pub async fn pull<T: AsyncRead + AsyncWrite + Unpin + Send>(
    io: T,
    store: Arc<dyn SectionStore>,
    config: &ContactConfig,
    keys: &KeyRing,
    ending: watch::Receiver<bool>,
    watcher: Watcher<'_>,
) -> Result<Pulled, ContactError> {
    let nonce = fresh_nonce();
    let frames = Frames::new(io);
    Contact { frames, store, config, keys, ending, watcher, begun: Instant::now(), nonce }.run().await
}

/// A number that no contact before had, most likely.
fn fresh_nonce() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() as u32
}

pub(crate) enum Step {
    Frame(Vec<u8>),
    Later,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Contact<'_, T> {
    async fn run(mut self) -> Result<Pulled, ContactError> {
        let head = self.greet().await?;
        match self.keys.access(head.device, head.suite) {
            Access::Refused => Err(ContactError::Refused { device: head.device }),
            Access::Plain => self.pull_sealed(head, Plain).await,
            Access::Keyed(key) => {
                let key = key.clone();
                match head.suite {
                    SealedAes::NUMBER => self.pull_sealed(head, Keyed::<SealedAes>::new(key)).await,
                    SealedChaCha::NUMBER => self.pull_sealed(head, Keyed::<SealedChaCha>::new(key)).await,
                    SignedSha256::NUMBER => self.pull_sealed(head, Keyed::<SignedSha256>::new(key)).await,
                    SignedBlake2s::NUMBER => self.pull_sealed(head, Keyed::<SignedBlake2s>::new(key)).await,
                    _ => Err(ContactError::Refused { device: head.device }),
                }
            }
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn time(&self) -> Option<Time> {
        let uncertainty = self.config.clock_uncertainty?;
        let uncertainty_ms = u32::try_from(uncertainty.as_millis()).unwrap_or(u32::MAX);
        Some(Time { unix_ms: unix_ms(), uncertainty_ms })
    }

    /// Waits for a frame, at most so long.
    pub(crate) async fn wait(&mut self, at_most: Duration) -> Result<Step, ContactError> {
        if *self.ending.borrow() {
            return Err(ContactError::Ending);
        }
        let frames = &mut self.frames;
        tokio::select! {
            received = timeout(at_most, frames.receive()) => match received {
                Ok(Ok(Some(frame))) => Ok(Step::Frame(frame)),
                Ok(Ok(None)) => Err(ContactError::Closed),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Ok(Step::Later),
            },
            _ = self.ending.changed() => Err(ContactError::Ending),
        }
    }

    /// Asks who is there until somebody answers.
    async fn greet(&mut self) -> Result<Head, ContactError> {
        let mut frame = [0; OUT_BYTES];
        let mut request = self.nonce.max(1);
        let until = Instant::now() + self.config.greet_within;
        while Instant::now() < until {
            request = request.wrapping_add(1).max(1);
            let hello = Message::Hello(Hello {
                request,
                log: self.config.log,
                versions: 1 << VERSION,
                sink: self.config.collector,
                limit: super::frames::FRAME_BYTES_AT_MOST as u32,
                time: self.time(),
            });
            let nobody = SourceIdentity { device: 0, log: self.config.log, epoch: evenkeel_core::Epoch(0) };
            let len = hello.write(&nobody, &Plain, &mut frame).unwrap_or_default();
            self.frames.send(frame.get(..len).unwrap_or_default()).await?;
            let patience = Instant::now() + self.config.timeout;
            loop {
                let left = patience.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                match self.wait(left).await? {
                    Step::Later => break,
                    Step::Frame(answer) => match Message::parse(&answer, None) {
                        Ok(Message::Head(head)) if head.request == request && head.log == self.config.log => {
                            self.nonce = request;
                            return Ok(head);
                        }
                        Ok(Message::Busy { request: of, retry_ms }) if of == request => {
                            tokio::time::sleep(Duration::from_millis(retry_ms.min(5_000).into())).await;
                            break;
                        }
                        _ => {}
                    },
                }
            }
        }
        Err(ContactError::Silent)
    }

    async fn pull_sealed<S: Seal + Clone + Send>(mut self, head: Head, seal: S) -> Result<Pulled, ContactError> {
        let mut head = head;
        loop {
            let mut stage = Stage::new(usize::try_from(self.config.prove_at_most).unwrap_or(usize::MAX));
            self.load(&mut stage, &head).await?;
            self.check(&stage, &head)?;
            self.verify(&stage, &head, &seal).await?;
            match self.go_on(&mut stage, &mut head, &seal).await {
                // Another contact is with the same device: what it has stored counts.
                Ok(None) => {}
                Ok(Some(pulled)) => return Ok(pulled),
                Err(error) => return Err(error),
            }
        }
    }

    /// Learns what the store knows of the lives in a HEAD.
    async fn load(&mut self, stage: &mut Stage, head: &Head) -> Result<(), ContactError> {
        let lives = head.lives.as_slice().iter();
        let identity =
            |life: &evenkeel_sync::wire::Life| SourceIdentity { device: head.device, log: head.log, epoch: life.epoch };
        let wanted: Vec<_> = lives.map(identity).filter(|identity| stage.find(identity).is_none()).collect();
        if !wanted.is_empty() {
            stage.load(self.store.known(wanted, stage.tail()).await?);
        }
        Ok(())
    }

    /// Whether what is open of the log may be taken.
    fn check(&self, stage: &Stage, head: &Head) -> Result<(), ContactError> {
        let lives = head.lives.as_slice();
        for (index, life) in lives.iter().enumerate() {
            let identity = SourceIdentity { device: head.device, log: head.log, epoch: life.epoch };
            let end = lives.get(index + 1).map(|next| next.base);
            let Some(known) = stage.find(&identity) else { continue };
            let open = end.is_none_or(|end| known.cursor.next() < end);
            if let Some(why) = known.quarantine.filter(|_| open) {
                return Err(ContactError::Quarantined { identity, why });
            }
        }
        Ok(())
    }

    /// Pulls. `None`: somebody else has moved the cursor, and all that is known must be learned again.
    async fn go_on<S: Seal + Clone + Send>(
        &mut self,
        stage: &mut Stage,
        head: &mut Head,
        seal: &S,
    ) -> Result<Option<Pulled>, ContactError> {
        let mut sink = Sink::sealed(self.sink_config(head.device), vec![0_u8; self.config.parked_bytes], seal.clone());
        let mut out = [0; OUT_BYTES];
        let mut heard = Instant::now();
        loop {
            if !self.flush(stage, &sink).await? {
                return Ok(None);
            }
            if let Phase::Halted(halt) = sink.phase() {
                return Err(self.halted(sink.identity(), halt).await?);
            }
            if sink.is_caught_up() && self.config.stay.is_none() {
                return Ok(pulled(&sink));
            }
            sink.config_mut().credit = self.credit();
            let now_us = self.now_us();
            if let Some(time) = self.time() {
                sink.set_time(now_us, time);
            }
            while let Some(len) = sink.poll(stage, now_us, &mut out).map_err(nonsense)? {
                self.frames.send(out.get(..len).unwrap_or_default()).await?;
            }
            let patience = match (sink.wake_us(), self.config.stay) {
                (Some(wake), _) => Duration::from_micros(wake.saturating_sub(self.now_us())),
                (None, stay) => stay.unwrap_or_default().saturating_sub(heard.elapsed()),
            };
            let mut next = match self.wait(patience).await? {
                Step::Frame(frame) => Some(frame),
                Step::Later if sink.is_caught_up() => return Ok(pulled(&sink)),
                Step::Later if heard.elapsed() > self.config.silent_after => return Err(ContactError::Silent),
                Step::Later => None,
            };
            while let Some(mut frame) = next {
                heard = Instant::now();
                if let Ok(Message::Head(new)) = Message::parse(&frame, None) {
                    self.load(stage, &new).await?;
                    self.check(stage, &new)?;
                    *head = new;
                }
                match sink.handle(stage, self.now_us(), &mut frame) {
                    Ok(_) => {}
                    Err(StageError::Contradiction(at)) => {
                        let why = Quarantine { reason: Distrust::Diverged, first: at, last: at };
                        return Err(self.distrust(sink.identity(), why).await?);
                    }
                    Err(error) => return Err(ContactError::Nonsense(error.to_string())),
                }
                next = self.frames.take_ready();
            }
        }
    }

    fn sink_config(&mut self, device: u64) -> SinkConfig {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // Answers to an earlier sink of this contact are no answers to this one.
        self.nonce = self.nonce.wrapping_add(0x0100_0000);
        let mut config = SinkConfig::new(self.config.log);
        config.device = Some(device);
        config.sink = self.config.collector;
        config.credit = self.config.credit;
        config.limit = super::frames::FRAME_BYTES_AT_MOST as u32;
        config.timeout_us = micros(self.config.timeout);
        config.quiet_us = micros(self.config.quiet);
        config.commit_every = self.config.commit_every;
        config.prove_at_most = self.config.prove_at_most;
        config.nonce = self.nonce;
        config
    }

    /// A busy store gives little credit, so that devices wait instead of memory being filled.
    fn credit(&self) -> u32 {
        let free = 1.0 - self.store.load();
        ((f64::from(self.config.credit) * free).floor() as u32).max(1)
    }

    /// Makes what is staged durable. `false`: the cursor was elsewhere.
    async fn flush<S: Seal>(&mut self, stage: &mut Stage, sink: &Sink<Vec<u8>, S>) -> Result<bool, ContactError> {
        let Some(batch) = stage.batch() else { return Ok(true) };
        let identity = batch.identity;
        match self.store.ingest(batch).await? {
            Verdict::Stored => {
                if let Some(pulled) = pulled(sink) {
                    (self.watcher)(&pulled);
                }
                Ok(true)
            }
            Verdict::Elsewhere(_) => Ok(false),
            Verdict::Quarantined(why) => Err(ContactError::Quarantined { identity, why }),
        }
    }

    /// What a sink that cannot go on means: a log that is not to be trusted is quarantined.
    async fn halted(&mut self, identity: Option<SourceIdentity>, halt: Halt) -> Result<ContactError, ContactError> {
        let why = match halt {
            Halt::Ahead { cursor, next } => Quarantine { reason: Distrust::Behind, first: next, last: cursor },
            Halt::Diverged { from, to } => Quarantine { reason: Distrust::Diverged, first: from.next(), last: to },
            other => return Ok(ContactError::Halted(other)),
        };
        self.distrust(identity, why).await
    }

    pub(crate) async fn distrust(
        &mut self,
        identity: Option<SourceIdentity>,
        why: Quarantine,
    ) -> Result<ContactError, ContactError> {
        let Some(identity) = identity else { return Ok(ContactError::Silent) };
        self.store.quarantine(identity, why).await?;
        tracing::warn!(%identity, %why, "quarantined");
        Ok(ContactError::Quarantined { identity, why })
    }
}

fn pulled<S>(sink: &Sink<Vec<u8>, S>) -> Option<Pulled> {
    let identity = sink.identity()?;
    let next = sink.head().map_or(Position::START, |(head, _)| head.next);
    let counters = sink.counters();
    Some(Pulled { identity, cursor: sink.cursor(), next, counters, complete: sink.is_caught_up() })
}

fn nonsense(error: SinkError<StageError>) -> ContactError {
    ContactError::Nonsense(error.to_string())
}
