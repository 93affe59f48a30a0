//! Carries frames between a source and a sink in one process: for simulations, tests and demonstrations.

use std::collections::VecDeque;
use std::fmt;

use evenkeel_core::{Log, RecordManager};
use evenkeel_sync::{FrameTooSmall, Seal, Sink, SinkError, SinkStore, Source, SourceError};

/// One direction of a link that carries datagrams. It may lose, repeat, delay and reorder them.
pub trait Link {
    /// Takes a frame to carry.
    fn send(&mut self, now_us: u64, frame: &[u8]);
    /// A frame that has arrived by now.
    fn receive(&mut self, now_us: u64) -> Option<Vec<u8>>;
    /// When the next frame arrives, if one is on its way.
    fn next_arrival_us(&self) -> Option<u64>;
}

/// A link that delivers everything at once and in order.
#[derive(Debug, Clone, Default)]
pub struct QueueLink(VecDeque<Vec<u8>>);

impl Link for QueueLink {
    fn send(&mut self, _: u64, frame: &[u8]) {
        self.0.push_back(frame.to_vec());
    }

    fn receive(&mut self, _: u64) -> Option<Vec<u8>> {
        self.0.pop_front()
    }

    fn next_arrival_us(&self) -> Option<u64> {
        (!self.0.is_empty()).then_some(0)
    }
}

/// What went over a link, as it was sent: lost frames count too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Frames that the source sent.
    pub frames_up: u64,
    /// Their bytes.
    pub bytes_up: u64,
    /// Frames that the sink sent.
    pub frames_down: u64,
    /// Their bytes.
    pub bytes_down: u64,
}

impl Traffic {
    /// The bytes that were sent in both directions.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_up + self.bytes_down
    }

    /// The bytes sent in both directions for each byte of payload; `None` without payload. Take the payload from
    /// [`Sink::counters`].
    #[must_use]
    pub fn per_payload_byte(&self, payload_bytes: u64) -> Option<f64> {
        (payload_bytes > 0).then(|| self.bytes() as f64 / payload_bytes as f64)
    }
}

/// Carries frames between one source and one sink, and counts them.
///
/// It drops what a failing log or store made of a frame with the error: carry on, and it will be asked for again.
#[derive(Debug, Clone)]
pub struct Courier<U, D> {
    up: U,
    down: D,
    frame: Vec<u8>,
    traffic: Traffic,
}

/// Why carrying stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum DriveError<E, S> {
    /// The source's log failed.
    Source(SourceError<E>),
    /// The sink's store failed.
    Store(S),
    /// The frame buffer is too small.
    FrameTooSmall,
}

impl<E, S> From<SourceError<E>> for DriveError<E, S> {
    fn from(error: SourceError<E>) -> Self {
        Self::Source(error)
    }
}

impl<E, S> From<SinkError<S>> for DriveError<E, S> {
    fn from(error: SinkError<S>) -> Self {
        match error {
            SinkError::Store(error) => Self::Store(error),
            _ => Self::FrameTooSmall,
        }
    }
}

impl<E: fmt::Debug, S: fmt::Display> fmt::Display for DriveError<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the store failed: {error}"),
            Self::FrameTooSmall => FrameTooSmall.fmt(f),
        }
    }
}

impl<E: fmt::Debug, S: fmt::Debug + fmt::Display> std::error::Error for DriveError<E, S> {}

impl<U: Link, D: Link> Courier<U, D> {
    /// Carries frames of up to `frame_bytes` bytes; `up` leads from source to sink, `down` from sink to source.
    #[must_use]
    pub fn new(frame_bytes: usize, up: U, down: D) -> Self {
        Self { up, down, frame: vec![0; frame_bytes], traffic: Traffic::default() }
    }

    /// What has been sent so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The links, source to sink first, for what only they can do.
    pub fn links(&mut self) -> (&mut U, &mut D) {
        (&mut self.up, &mut self.down)
    }

    /// Does all that is to be done at this instant. Answers when to call again: when a frame arrives or the sink's
    /// time runs out; `None`: the sink is at rest.
    pub fn step<R: RecordManager, S: SinkStore, B: AsRef<[u8]> + AsMut<[u8]>, K: Seal>(
        &mut self,
        now_us: u64,
        log: &mut Log<'_, R>,
        source: &mut Source<K>,
        sink: &mut Sink<B, K>,
        store: &mut S,
    ) -> Result<Option<u64>, DriveError<R::Error, S::Error>> {
        let (records, scratch) = log.parts();
        loop {
            let mut idle = true;
            while let Some(len) = sink.poll(store, now_us, &mut self.frame)? {
                self.traffic.frames_down += 1;
                self.traffic.bytes_down += len as u64;
                self.down.send(now_us, &self.frame[..len]);
                idle = false;
            }
            while let Some(frame) = self.down.receive(now_us) {
                idle = false;
                source.handle(records, scratch, &frame)?;
                while let Some(len) = source.poll(records, scratch, &mut self.frame)? {
                    self.traffic.frames_up += 1;
                    self.traffic.bytes_up += len as u64;
                    self.up.send(now_us, &self.frame[..len]);
                }
            }
            while let Some(mut frame) = self.up.receive(now_us) {
                idle = false;
                sink.handle(store, now_us, &mut frame).map_err(DriveError::Store)?;
            }
            if idle {
                let wakes = [sink.wake_us(), self.up.next_arrival_us(), self.down.next_arrival_us()];
                return Ok(wakes.into_iter().flatten().min());
            }
        }
    }

    /// Lets `now_us` go on, from event to event, until the sink has everything and the source knows (`true`), or until
    /// `until_us`, or until the sink halts (`false`).
    pub fn run<R: RecordManager, S: SinkStore, B: AsRef<[u8]> + AsMut<[u8]>, K: Seal>(
        &mut self,
        now_us: &mut u64,
        until_us: u64,
        log: &mut Log<'_, R>,
        source: &mut Source<K>,
        sink: &mut Sink<B, K>,
        store: &mut S,
    ) -> Result<bool, DriveError<R::Error, S::Error>> {
        loop {
            let wake = self.step(*now_us, log, source, sink, store)?;
            match wake {
                _ if sink.is_caught_up() => return Ok(true),
                Some(wake) if wake <= until_us => *now_us = wake.max(*now_us + 1),
                _ => return Ok(false),
            }
        }
    }
}
