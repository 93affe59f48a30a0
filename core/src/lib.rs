//! Event sourcing for microcontrollers: aggregates, sequenced records and what is built on them.
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
pub mod batch;
pub mod bytes;
pub mod codec;
pub mod error;
mod ids;
mod policy;
mod projection;
mod ram_log;
mod record;
pub mod scratch;
pub mod section;
mod upkeep;

pub use aggregate::{Aggregate, ReplayError, Root, Snapshot};
pub use codec::CodecError;
pub use ids::{Epoch, Kind, LogId, Moment, Position, StreamId, Tracker, Version};
pub use policy::{Policy, Process, Processed};
pub use projection::Projection;
pub use ram_log::RamLog;
pub use record::{Appended, Bounds, GapReason, Notification, Record, StreamHead};
pub use upkeep::{Maintained, Upkeep};

/// The blocking face, which the crate root shows too.
#[allow(clippy::duplicate_mod)] // each file is compiled once for each face
#[path = "faces"]
pub mod blocking {
    use evenkeel_macros::blocking as face;

    mod log;
    mod ram_log;
    mod record_manager;
    mod roster;

    pub use log::{Log, section};
    pub use record_manager::RecordManager;
    pub use roster::Roster;
}

/// The asynchronous face: the same names, to be awaited. A future dropped half way equals a power cut.
#[cfg(feature = "async")]
#[allow(clippy::duplicate_mod)]
#[path = "faces"]
pub mod asynchronous {
    use evenkeel_macros::asynchronous as face;

    mod log;
    mod ram_log;
    mod record_manager;
    mod roster;

    pub use log::{Log, section};
    pub use record_manager::RecordManager;
    pub use roster::Roster;
}

pub use blocking::{Log, RecordManager, Roster};
