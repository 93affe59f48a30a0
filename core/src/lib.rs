//! Event sourcing for microcontrollers: the state of a device is the sum of its events, and each event is stored
//! before anything acts on it.
//!
//! This crate has the event sourcing and the contract with whatever keeps the records; `evenkeel-flash-store` keeps
//! them on NOR flash, [`RamLog`] in memory. It has no allocator and no clock, and no code that may panic is wanted
//! here: buffers are lent by the caller.
//!
//! ```
//! use evenkeel_core::{Aggregate, Kind, Log, Position, RamLog, Snapshot, Tracker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! enum ValveEvent { Opened { by: u16 }, Closed }         // wire order: only ever append
//!
//! #[derive(Debug, PartialEq)]
//! enum Refused { AlreadyOpen }
//!
//! #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
//! struct Valve { open: bool, openings: u32 }
//!
//! impl Aggregate for Valve {
//!     const KIND: Kind = Kind(1);                        // stored, never reused for another type
//!     type Event = ValveEvent;
//!     fn apply(&mut self, event: &ValveEvent) {          // total: what has happened cannot be refused
//!         self.open = matches!(event, ValveEvent::Opened { .. });
//!         self.openings += u32::from(self.open);
//!     }
//! }
//! impl Snapshot for Valve { const SCHEMA: u8 = 1; }
//!
//! impl Valve {                                           // a command: `&self` in, facts out
//!     fn open(&self, by: u16) -> Result<[ValveEvent; 1], Refused> {
//!         if self.open { Err(Refused::AlreadyOpen) } else { Ok([ValveEvent::Opened { by }]) }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut scratch = [0; 256];
//! let mut log = Log::mount(RamLog::<_, 4, 2>::new([0; 1024]), &mut scratch)?;
//! let mut valve = log.load_or_new::<Valve>(3)?;
//! log.execute(&mut valve, |valve| valve.open(7)).unwrap();      // decide, append, apply
//! assert!(log.execute(&mut valve, |valve| valve.open(7)).is_err());
//! assert_eq!(valve.openings, 1);
//!
//! log.take_snapshot(&mut valve)?;                            // a load starts here from now on
//! assert_eq!(*log.load::<Valve>(3)?, *valve);
//! log.acknowledge(Tracker(0), Position(1))?;             // somebody has seen everything up to here
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! | | |
//! | --- | --- |
//! | [`Aggregate`], [`Snapshot`], [`Root`] | a state with its events and commands; with its identity and version |
//! | [`Cache`], [`Together`], [`Trace`] | aggregates kept at hand; several changed as one; what an event is a consequence of |
//! | [`Log`] | loads, executes, discards, appends, processes, catches up, acknowledges, maintains |
//! | [`Policy`], [`Process`] | reacts to events with events of one aggregate, its reading place in the same append |
//! | [`ProcessManager`], [`System`], [`process`] | the same with any aggregates; several, wired to each other; over other logs |
//! | [`Projection`] | a view computed from the log |
//! | [`VersionRange`], [`Events`] | parts of a stream |
//! | [`Notification`], [`Record`], [`Reader`], [`Kinds`] | the log as it is read by position |
//! | [`section`], [`archive`] | the log as it travels, and as it is kept |
//! | [`RecordManager`], [`batch`], [`scratch`], [`listing`], [`Upkeep`] | for authors of a store: the contract and its parts |
//! | [`Position`], [`Version`], [`StreamId`], [`Kind`], [`Tracker`], [`Epoch`] | coordinates, each a type of its own |
//! | [`error`], [`CodecError`], [`MountError`](RecordManager::MountError) | one small enum for each operation |
//! | [`assert_encodes!`], [`distinct_kinds!`], [`evolution`] | checks that stored events keep their meaning |
//! | [`bytes`], [`codec`] | little-endian and LEB128; postcard |
//!
//! # Features
//!
//! | feature | buys | costs |
//! | --- | --- | --- |
//! | `async` | the module `asynchronous`: the same names, to be awaited | code for the face that is called |
//! | `defmt` | `defmt::Format` for public types | the dependency |
//! | `integrity` | the module `integrity`: sealed logs, with cryptography of your own | the dependency `zeroize`, code for what is used |
//! | `blake2s`, `hmac-sha256` | the same, with records that are authenticated | `blake2`; `hmac` and `sha2` |
//! | `aes-ccm`, `chacha20poly1305` | the same, with records that are encrypted | `aes` and `ccm`; `chacha20poly1305` |
//!
//! # Limits
//!
//! 2^32 - 1 events a stream. A batch and a record fit the lent buffer. One writer. The order of an event's variants
//! and fields is its encoding: only append variants, else raise [`Aggregate::SCHEMA`] and translate in
//! [`Aggregate::upcast`]. Other changes of a type can decode to wrong values without an error.
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

mod aggregate;
pub mod archive;
pub mod batch;
pub mod bytes;
mod cache;
pub mod codec;
pub mod error;
pub mod evolution;
mod ids;
#[cfg(feature = "integrity")]
pub mod integrity;
mod kinds;
mod list;
pub mod listing;
mod names;
mod policy;
pub mod process;
mod projection;
mod ram_log;
mod range;
mod reader;
mod record;
pub mod scratch;
pub mod section;
mod together;
pub mod trace;
mod upkeep;

pub use aggregate::{Aggregate, ReplayError, Root, Snapshot};
pub use cache::Cache;
pub use codec::CodecError;
pub use ids::{Epoch, Kind, LogId, Moment, Position, StreamId, Tracker, Version};
pub use kinds::Kinds;
pub use policy::{Policy, Process, Processed};
pub use projection::Projection;
pub use ram_log::RamLog;
pub use range::{VersionRange, Versions};
pub use reader::{ReadOn, Reader};
pub use record::{Appended, Bounds, GapReason, Notification, Record, StreamHead};
pub use together::Together;
pub use trace::Trace;
pub use upkeep::{Maintained, Upkeep};

/// The blocking face, which the crate root shows too.
#[allow(clippy::duplicate_mod)] // each file is compiled once for each face
#[path = "faces"]
pub mod blocking {
    use evenkeel_macros::blocking as face;

    mod execute;
    mod load;
    mod log;
    #[cfg(feature = "integrity")]
    mod marks;
    mod notifications;
    mod process;
    mod ram_log;
    mod record_manager;
    mod replica;
    mod roster;
    #[cfg(feature = "integrity")]
    mod sealed;
    mod snapshots;
    mod streams;

    pub use log::{Log, section, section_up_to};
    pub use process::{Follower, Member, Members, ProcessManager, Reaction, System, Tracked, Upstream};
    pub use record_manager::RecordManager;
    pub use roster::Roster;
    #[cfg(feature = "integrity")]
    pub use sealed::Sealed;
    pub use streams::Events;
}

/// The asynchronous face: the same names, to be awaited. A future dropped half way equals a power cut.
#[cfg(feature = "async")]
#[allow(clippy::duplicate_mod)]
#[path = "faces"]
pub mod asynchronous {
    use evenkeel_macros::asynchronous as face;

    mod drive;
    mod execute;
    mod load;
    mod log;
    #[cfg(feature = "integrity")]
    mod marks;
    mod notifications;
    mod process;
    mod ram_log;
    mod record_manager;
    mod replica;
    mod roster;
    #[cfg(feature = "integrity")]
    mod sealed;
    mod snapshots;
    mod streams;

    pub use log::{Log, section, section_up_to};
    pub use process::{Follower, Member, Members, ProcessManager, Reaction, System, Tracked, Upstream};
    pub use record_manager::RecordManager;
    pub use roster::Roster;
    #[cfg(feature = "integrity")]
    pub use sealed::Sealed;
    pub use streams::Events;
}

pub use blocking::{
    Events, Follower, Log, Member, Members, ProcessManager, Reaction, RecordManager, Roster, System, Tracked, Upstream,
};
