//! The collector: where the notification logs of many devices come to rest.
//!
//! [`SqliteStore`] is the store behind a [`Sink`](evenkeel_sync::Sink): what was pulled, exploded into rows and whole as
//! it came, in one transaction with the cursor. From it the very aggregates of the firmware are replayed as digital
//! twins: [`SqliteStore::twin`].
//!
//! [`SqliteLog`] is a log of one's own in SQLite, for what a server or a desktop records itself.
//!
//! [`Courier`] carries frames between a source and a sink that live in one process, over two [`Link`]s that the caller
//! brings, such as simulated ones, and counts them.
//!
//! ```
//! use evenkeel_collector::{Courier, QueueLink, SqliteStore};
//! use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Position, RamLog, Root, StreamId, Tracker};
//! use evenkeel_sync::{Sink, SinkConfig, Source, SourceIdentity};
//!
//! #[derive(Default)]
//! struct Counter { count: u32 }
//! impl Aggregate for Counter {
//!     const KIND: Kind = Kind(1);
//!     type Event = u32;
//!     fn apply(&mut self, by: &u32) { self.count += by; }
//! }
//!
//! // The device records.
//! let mut scratch = [0; 256];
//! let mut log = Log::mount(RamLog::<_, 4, 2>::new([0; 1024]), &mut scratch)?;
//! let mut counter = Root::<Counter>::new(7);
//! for by in 1..=10 {
//!     log.execute(&mut counter, |_| Ok::<_, ()>([by])).unwrap();
//! }
//!
//! // Later it is pulled.
//! let identity = SourceIdentity { device: 0x5EED, log: LogId(0), epoch: Epoch::new(1, 0xC0FFEE) };
//! let mut source = Source::new(identity, Tracker(0));
//! let mut sink = Sink::new(SinkConfig::new(LogId(0)));
//! let mut store = SqliteStore::in_memory()?;
//! let mut courier = Courier::new(244, QueueLink::default(), QueueLink::default());
//! let mut now_us = 0;
//! assert!(courier.run(&mut now_us, 60_000_000, &mut log, &mut source, &mut sink, &mut store)?);
//!
//! let twin = store.twin::<Counter>(&identity, StreamId(7))?;
//! assert!(twin.is_complete());
//! assert_eq!(twin.root.count, counter.count);
//! assert_eq!(log.tracked(Tracker(0)), Position(10));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod courier;
mod error;
mod log;
mod schema;
#[cfg(feature = "server")]
pub mod server;
mod sql;
mod sqlite;
mod twin;

pub use courier::{Courier, DriveError, Link, QueueLink, Traffic};
pub use error::{OpenError, StoreError};
pub use log::SqliteLog;
pub use sqlite::{SqliteStore, StoredEvent, StoredGap, StoredLog, StoredStream};
pub use twin::{Twin, TwinStop};
