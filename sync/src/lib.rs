//! Offline sync of notification logs: a device records while nobody listens, and later somebody pulls its log over
//! whatever link there is, each event exactly once, whatever is lost, repeated, reordered or cut off on the way.
//!
//! - [`Source`] is the device's side. It owns no log: it is lent the record manager when a frame comes in.
//! - [`Sink`] is the collector's side of one device. What it takes in goes to a [`SinkStore`], together with the
//!   cursor, in one transaction; only then does the device hear of it.
//! - [`Downlink`] is such a store on a device: the same machinery the other way round, for commands from a server.
//! - [`wire`] is what they say to each other, byte by byte.
//!
//! Both are state machines without any I/O: bytes in, bytes out, and the time as a number that the caller gives, so
//! firmware, simulator and server run the same code. Neither allocates. What is in them may be lost at any instant:
//! all that matters is in the log of the one and the store of the other.
//!
//! ```
//! use evenkeel_core::{Epoch, Log, LogId, Position, RamLog, Tracker};
//! use evenkeel_sync::{Piece, Sink, SinkConfig, SinkStore, Source, SourceIdentity};
//!
//! /// Counts; a real store keeps the pieces and the cursor in one transaction.
//! struct Counting(Position);
//!
//! impl SinkStore for Counting {
//!     type Error = core::convert::Infallible;
//!     fn cursor(&mut self, _: &SourceIdentity) -> Result<Position, Self::Error> {
//!         Ok(self.0)
//!     }
//!     fn apply(&mut self, _: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, Self::Error> {
//!         if self.0 == after {
//!             self.0 = piece.last();
//!         }
//!         Ok(self.0)
//!     }
//! }
//!
//! let mut scratch = [0; 256];
//! let mut log = Log::mount(RamLog::<_, 4, 2>::new([0; 256]), &mut scratch).unwrap();
//! let identity = SourceIdentity { device: 0x5EED, log: LogId(0), epoch: Epoch::new(1, 0xC0FFEE) };
//! let mut source = Source::new(identity, Tracker(0));
//! let (mut sink, mut store) = (Sink::new(SinkConfig::new(LogId(0))), Counting(Position::START));
//!
//! let mut frame = [0; 244];
//! while let Some(len) = sink.poll(0, &mut frame).unwrap() {
//!     let (records, scratch) = log.parts();
//!     source.handle(records, scratch, &frame[..len]).unwrap();
//!     while let Some(len) = source.poll(records, scratch, &mut frame).unwrap() {
//!         sink.handle(&mut store, 0, &frame[..len]).unwrap();
//!     }
//! }
//! assert!(sink.is_caught_up());
//! ```
//!
//! # What holds
//!
//! | | rule | kept by |
//! | --- | --- | --- |
//! | I1 | only what is durable leaves the device | [`Source::poll`] reads the log and nothing else |
//! | I2 | one (epoch, position) names one payload for ever | a new epoch after every loss; frames are bound to their epoch |
//! | I3 | the cursor moves only over applied events and declared gaps | [`Sink::handle`] |
//! | I4 | events, gaps and cursor move in one transaction | [`SinkStore::apply`] |
//! | I5 | a duplicate is dropped *and* answered with the cursor | [`Sink::handle`], [`Source::handle`] |
//! | I8 | a commit of another epoch is ignored | [`Source::handle`] |
//!
//! A model with all faults at once (20,000 runs) checks these; each rule is also broken on purpose, and the same checks
//! must notice.
//!
//! # What it is not
//!
//! There are no retransmissions of single frames, no schemas and no authentication yet: a checksum keeps accidents out,
//! not attackers. Use it on links that are trusted or secured below.
#![cfg_attr(not(test), no_std)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

mod downlink;
mod identity;
#[cfg(test)]
mod model;
mod rules;
mod sink;
mod source;
mod store;
pub mod wire;

pub use downlink::{Adopted, Downlink, DownlinkError, Lineage};
pub use identity::SourceIdentity;
pub use sink::{Halt, Phase, Sink, SinkConfig, SinkCounters, SinkEvent};
pub use source::{Heard, Source, SourceError};
pub use store::{Loss, Piece, SinkStore};
pub use wire::FrameTooSmall;
