//! The systems that take part, and what each of them cannot do.

mod ekv;
mod evenkeel;
mod queue;
mod sensor_db;

pub use queue::Level;

use crate::flash::Medium;

/// One event to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'p> {
    /// Which stream it belongs to.
    pub stream: u16,
    /// The version that the stream has with it, from 1 on.
    pub version: u32,
    /// What it says.
    pub payload: &'p [u8],
}

/// A system under test. Whatever fails panics.
pub trait System {
    /// Stores these events, as one if it can. Durable when it returns; the oldest events give way if there is no
    /// room.
    fn append(&mut self, events: &[Event<'_>]);

    /// Says that all events so far may give way when there is no room.
    fn all_seen(&mut self) {}

    /// Says that the oldest `events` of those held are not needed any more.
    fn acknowledge(&mut self, events: u64);

    /// Does what is better done between appends.
    fn upkeep(&mut self) {}

    /// Announces a stop.
    fn close(&mut self) {}

    /// Reads all events from the oldest to the newest; answers how many.
    fn iterate(&mut self) -> u64;

    /// Reads all events of one stream, which were stored with payloads of 16 bytes; answers how many.
    fn load(&mut self, stream: u16) -> u64;

    /// Encodes the notifications behind this position, counted from 1, as many as fit so many bytes; answers the bytes.
    fn section(&mut self, after: u64, room: usize) -> usize {
        panic!("no section of {room} bytes behind {after}: this system has no positions")
    }
}

/// Which system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This project.
    Evenkeel,
    /// The queue of `sequential-storage`.
    Queue {
        /// What it caches.
        level: Level,
        /// Whether 4 bytes of stream and version stand before each payload.
        tagged: bool,
    },
    /// `sensor-db`.
    SensorDb,
    /// `ekv`.
    Ekv,
}

/// What is to be done with a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Durable single appends to one stream.
    Append,
    /// The same to 16 streams in turn.
    Append16,
    /// Batches of 8 to one stream.
    Batch8,
    /// A fresh handle after a stop that nobody announced, and one append.
    Cold,
    /// The same after a stop that was announced.
    ColdClosed,
    /// A fresh handle, and everything is read.
    Iterate,
    /// A fresh handle, and the oldest 1000 events are acknowledged.
    Ack1000,
    /// The same with the handle that stored them.
    Ack1000Warm,
    /// A fresh handle, and one stream is read.
    Load,
    /// A fresh handle, and a section of the notifications is read.
    Section,
}

impl Workload {
    /// Every one, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Append,
        Self::Append16,
        Self::Batch8,
        Self::Cold,
        Self::ColdClosed,
        Self::Iterate,
        Self::Ack1000,
        Self::Ack1000Warm,
        Self::Load,
        Self::Section,
    ];

    /// What it is called in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Append16 => "append16",
            Self::Batch8 => "batch8",
            Self::Cold => "cold",
            Self::ColdClosed => "cold_closed",
            Self::Iterate => "iterate",
            Self::Ack1000 => "ack1000",
            Self::Ack1000Warm => "ack1000_warm",
            Self::Load => "load",
            Self::Section => "section",
        }
    }
}

/// How a handle is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Bytes of scratch, for a system that wants a buffer.
    pub scratch: usize,
    /// The longest payload of the workload.
    pub payload: usize,
    /// Bytes that one program command of the chip may touch.
    pub program_page: usize,
    /// Whether the flash is blank and wants a new store, or holds one.
    pub blank: bool,
}

impl Which {
    /// What it is called in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Queue { level, tagged } => level.name(tagged),
            Self::SensorDb => "sensor-db",
            Self::Ekv => "ekv",
        }
    }

    /// Why it cannot do this workload over words of `word` bytes and so many sectors of so many bytes; `None` if it can.
    #[must_use]
    pub fn cannot(self, workload: Workload, word: usize, sectors: usize, sector_bytes: usize) -> Option<&'static str> {
        match self {
            Self::Evenkeel => None,
            Self::Queue { .. } => match workload {
                Workload::Batch8 => Some("no atomic batches"),
                Workload::ColdClosed => Some("no stop to announce"),
                Workload::Section => Some("no positions"),
                _ => None,
            },
            Self::SensorDb => match workload {
                Workload::Batch8 => Some("no atomic batches"),
                Workload::ColdClosed => Some("no stop to announce"),
                Workload::Section => Some("its cursor is a place in the flash, not a number"),
                Workload::Ack1000 | Workload::Ack1000Warm => Some("no acknowledgement that is stored with the log"),
                _ => None,
            },
            Self::Ekv => match workload {
                Workload::ColdClosed => Some("no stop to announce"),
                Workload::Section => Some("no positions"),
                _ => ekv::cannot(word, sectors, sector_bytes),
            },
        }
    }

    /// How many events with payloads of `payload` bytes it surely holds without letting any go.
    #[must_use]
    pub fn holds(self, sectors: usize, payload: usize) -> u64 {
        let events = match self {
            Self::Evenkeel => (sectors - 4) * 4000 / (payload + 11),
            Self::Queue { .. } => (sectors - 2) * 4000 / (payload + 14),
            Self::SensorDb => sensor_db::holds(sectors, payload),
            Self::Ekv => ekv::holds(sectors, payload),
        };
        events as u64
    }

    /// A handle on this flash.
    pub fn open<F: Medium>(self, flash: F, setup: Setup) -> Box<dyn System> {
        match self {
            Self::Evenkeel => Box::new(evenkeel::Evenkeel::open(flash, setup)),
            Self::Queue { level, tagged } => queue::open(level, tagged, flash),
            Self::SensorDb => sensor_db::open(flash, setup),
            Self::Ekv => Box::new(ekv::Ekv::open(flash, setup)),
        }
    }

    /// Bytes of memory that a handle takes for so many sectors, without the driver of the flash and without a buffer
    /// that is lent to it; `None` if it cannot have so many.
    #[must_use]
    pub fn ram_bytes(self, sectors: usize) -> Option<usize> {
        match self {
            Self::Evenkeel => Some(evenkeel::ram_bytes::<16>()),
            Self::Queue { level, .. } => queue::ram_bytes(level, sectors),
            Self::SensorDb => sensor_db::ram_bytes(sectors),
            Self::Ekv => ekv::ram_bytes(sectors),
        }
    }
}

/// Bytes of Evenkeel's handle for each stream slot, and the rest.
#[must_use]
pub fn evenkeel_ram_split() -> (usize, usize) {
    let (many, one) = (evenkeel::ram_bytes::<16>(), evenkeel::ram_bytes::<1>());
    let slot = (many - one).div_ceil(15);
    (slot, many - 16 * slot)
}

/// What a future answers that never waits, as the flash never does.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Waker};

    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the simulated flash never waits"),
    }
}
