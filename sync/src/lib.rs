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
//! while let Some(len) = sink.poll(&mut store, 0, &mut frame).unwrap() {
//!     let (records, scratch) = log.parts();
//!     source.handle(records, scratch, &frame[..len]).unwrap();
//!     while let Some(len) = source.poll(records, scratch, &mut frame).unwrap() {
//!         sink.handle(&mut store, 0, &mut frame[..len]).unwrap();
//!     }
//! }
//! assert!(sink.is_caught_up());
//! ```
//!
//! # What holds
//!
//! | | rule | kept by |
//! | --- | --- | --- |
//! | I1 | only what is durable leaves the device | [`Source::poll`] reads the log alone, and secures it first |
//! | I2 | one (epoch, position) names one payload for ever | a new epoch after every loss; frames are bound to their epoch |
//! | I3 | the cursor moves only over applied events and declared gaps | [`Sink::handle`] |
//! | I4 | events, gaps and cursor move in one transaction | [`SinkStore::apply`] |
//! | I5 | a duplicate is dropped *and* answered with the cursor | [`Sink::handle`], [`Source::handle`] |
//! | I6 | nothing is let go but what a commit proves that the sink has | [`Source::handle`], [`SinkStore::replay`] |
//! | I7 | below the sink's cursor every position is an event or a gap | [`Sink::handle`] |
//! | I8 | a commit of another epoch is ignored | [`Source::handle`] |
//! | I9 | the bytes of a section depend on the log only | core's section encoding, [`Seal`] |
//!
//! A model with all faults at once (20,000 runs) checks them; each rule is also broken on purpose, and the same checks
//! must notice.
//!
//! # Seals
//!
//! [`Plain`] frames are kept from accidents by a checksum, not from attackers: use them on links that are trusted or secured
//! below. `Keyed` ones are authenticated, and encrypted, from device to collector, whatever relays are between.
//!
//! # Features
//!
//! | feature | buys | costs |
//! | --- | --- | --- |
//! | `async` | `asynchronous::Source`, on logs of the asynchronous face | code for the face that is called |
//! | `integrity` | `Keyed`, with cryptography of your own | code for what is used |
//! | `hmac-sha256`, `blake2s` | sections and commits that are authenticated | `hmac` and `sha2`; `blake2` |
//! | `aes-ccm`, `chacha20poly1305` | the same, with sections that are encrypted | `aes` and `ccm`; `chacha20poly1305` |
//! | `stream` | the module `stream`: frames on a UART, over TCP, in a file | `cobs`, and a second CRC |
//! | `defmt` | `defmt::Format` for public types | the dependency |
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
mod heard;
mod identity;
#[cfg(feature = "integrity")]
mod keyed;
mod lot;
mod missing;
#[cfg(test)]
mod model;
pub mod relay;
mod rules;
mod seal;
mod sink;
#[cfg(test)]
mod source_tests;
mod store;
#[cfg(feature = "stream")]
pub mod stream;
pub mod wire;

/// The blocking face, which the crate root shows too.
#[allow(clippy::duplicate_mod)] // each file is compiled once for each face
#[path = "faces"]
pub mod blocking {
    use evenkeel_core::blocking::{RecordManager, section_up_to};
    use evenkeel_macros::blocking as face;

    mod source;

    pub use source::Source;
}

/// The asynchronous face: the same names, to be awaited.
#[cfg(feature = "async")]
#[allow(clippy::duplicate_mod)]
#[path = "faces"]
pub mod asynchronous {
    use evenkeel_core::asynchronous::{RecordManager, section_up_to};
    use evenkeel_macros::asynchronous as face;

    mod source;

    pub use source::Source;
}

pub use blocking::Source;
pub use downlink::{Adopted, Downlink, DownlinkError, Lineage};
pub use heard::{Heard, SourceError, schema_digest};
pub use identity::SourceIdentity;
#[cfg(feature = "integrity")]
pub use keyed::{Keyed, KeyedProver, KeyedSuite};
pub use missing::{MAP_BYTES, Missing};
pub use seal::{
    Plain, PlainProver, Proof, Prover, Purpose, SEAL_BYTES_AT_MOST, Seal, SectionPlace, commit_proof, commit_prover,
    prove_event,
};
pub use sink::{Halt, Phase, Sink, SinkConfig, SinkCounters, SinkError, SinkEvent};
pub use store::{Loss, Piece, SinkStore};
pub use wire::FrameTooSmall;
