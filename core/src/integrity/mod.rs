//! Sealed logs: tampering is found out, payloads are secret, a stream can be erased by destroying its key.
//!
//! [`Sealed`] wraps a record manager and is used in its place: the same [`Log`](crate::Log), the same aggregates.
//!
//! ```
//! # #[cfg(feature = "chacha20poly1305")] {
//! use evenkeel_core::integrity::{Key, KeyId, Keys, Sealed, SealedChaCha, Verification};
//! use evenkeel_core::{Aggregate, Kind, Log, RamLog, Snapshot, Tracker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Counter { count: u32 }
//! impl Aggregate for Counter {
//!     const KIND: Kind = Kind(1);
//!     type Event = u16;
//!     fn apply(&mut self, by: &u16) { self.count += u32::from(*by); }
//! }
//! impl Snapshot for Counter { const SCHEMA: u8 = 1; }
//!
//! const SESSIONS: Tracker = Tracker(15);                    // nobody else's
//! let keys = Keys::<1>::new(KeyId::new(0), Key::from([7; 32])); // from where your device keeps its secrets
//! let records = Sealed::<_, _, SealedChaCha>::new(RamLog::<_, 4, 4>::new([0; 1024]), keys, SESSIONS);
//!
//! let mut scratch = [0; 512];
//! let mut log = Log::mount(records, &mut scratch).unwrap();
//! let mut counter = log.load_or_new::<Counter>(7).unwrap();
//! log.execute(&mut counter, |_| Ok::<_, ()>([40, 2])).unwrap();
//! assert_eq!(log.load::<Counter>(7).unwrap().count, 42);
//!
//! let (records, scratch) = log.parts();
//! let anchor = records.anchor(scratch).unwrap();            // tell it to the server with each sync
//! let mut check = Verification::after(Default::default()).against(anchor);
//! let verified = records.verify(&mut check, 1000, scratch).unwrap().expect("it has come to the end");
//! assert_eq!((verified.events, verified.head), (2, Some(anchor)));
//! # }
//! ```
//!
//! # What a record becomes
//!
//! ```text
//! stored = key u8, session varint, serial varint, position varint, head 8 bytes, payload, tag
//! ```
//!
//! Session and serial only if the suite encrypts (the serial only without a position), position and head only in
//! snapshots. The tag covers all of it with the record's place: kind, schema, version, stream and position; the keys are
//! derived for log and epoch. So a record opens nowhere but where it was sealed. `docs/integrity.md` of the repository
//! tells the rest: nonces, the chain, what is protected and what is not, how to handle keys, and what it costs.
//!
//! | suite | feature | bytes in addition, an event | |
//! | --- | --- | --- | --- |
//! | `SignedBlake2s` | `blake2s` | 9 | authenticated, not secret |
//! | `SignedSha256` | `hmac-sha256` | 9 | the same, for chips with SHA-256 |
//! | `SealedAes` | `aes-ccm` | 10 and more with the number of sessions | authenticated and secret, tag of 8 bytes |
//! | `SealedChaCha` | `chacha20poly1305` | 18 and more with the number of sessions | the same, tag of 16 bytes |
//!
//! Others can be brought along with [`Suite`], [`Aead`] and [`Mac`], such as the hardware of a chip.

mod chain;
mod envelope;
mod key;
mod sealing;
mod suite;
mod verification;

pub use chain::Anchor;
pub(crate) use chain::{MARKS_BYTES, Marks, Reach};
pub(crate) use envelope::{FRONT_BYTES, Header};
pub use key::{Key, KeyId, KeyRefused, Keyring, Keys, StreamKey};
pub(crate) use sealing::Sealing;
pub use suite::*;
pub use verification::{Verification, Verified};

pub use crate::blocking::Sealed;
