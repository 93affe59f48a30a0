//! Collecting from many devices at once, over TCP, serial lines and files, and handing on what was collected.
//!
//! [`pull`] is one contact with one device over any byte stream; [`Server`] has many of them at once over TCP and answers
//! over HTTP; [`SectionStore`] is what is behind them: [`SqliteSections`], or with the feature `postgres`
//! `PostgresSections`.
//!
//! Nothing is said to a device before what it has sent is durable: what a contact takes in is staged, becomes durable as
//! one batch, together with the cursor, and only then is the next frame sent.

mod capture;
mod contact;
mod frames;
mod http;
mod keys;
mod listener;
mod metrics;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
mod stage;
mod store;
mod verify;

pub use capture::pull_file;
pub use contact::{ContactConfig, ContactError, Pulled, Watcher, pull};
pub use frames::{FRAME_BYTES_AT_MOST, Frames};
pub use http::{SECTION, answer};
pub use keys::{KeyLine, KeyRing};
pub use listener::Server;
pub use metrics::Metrics;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresSections};
pub use sqlite::{GROUP, SqliteSections};
pub use store::{Answer, Batch, Distrust, Failure, Known, LogStatus, Quarantine, SectionStore, StoredPiece, Verdict};
pub(crate) use store::{in_order, tail_of};

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
