//! A power-fail safe append-only log on NOR flash: the record manager of Evenkeel on `embedded-storage`.
//!
//! One append is one frame with one CRC, so a batch is in the log whole or not at all. No word is programmed twice
//! between two erases, so it works on flash with ECC and needs no `MultiwriteNorFlash`. Mounting finds the newest
//! sector by binary search and writes nothing; `maintain` erases ahead, so that appends need not.
//!
//! ```
//! use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Snapshot, Tracker};
//! use evenkeel_flash_store::{FlashLog, Identity, MountError, Region, Retention};
//! use evenkeel_host_sim::flash::Nrf52840Flash; // on a device: the driver of its flash
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
//! const UPLINK: Tracker = Tracker(0);
//! const REGION: Region = Region::new::<Nrf52840Flash>(0x1000..0x11000).word_by_word();
//! const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
//! type Records = FlashLog<Nrf52840Flash>;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let flash = Nrf52840Flash::blank(17);
//! let mut scratch = [0; 512];
//!
//! // Nothing is ever formatted by itself.
//! let mut records = Records::new(flash.clone(), REGION, RETENTION);
//! assert!(matches!(Log::mount(records, &mut scratch), Err(MountError::Blank)));
//! records = Records::new(flash.clone(), REGION, RETENTION);
//! records.format(Identity { log: LogId(0), epoch: Epoch::new(1, 0xC0FF_EE00) }, &mut scratch)?;
//!
//! let mut log = Log::mount(records, &mut scratch)?;
//! let mut counter = log.load_or_new::<Counter>(7)?;
//! for by in 1..=10 {
//!     log.execute(&mut counter, |_| Ok::<_, ()>([by])).unwrap(); // durable when it returns
//! }
//! log.maintain::<(Counter,)>()?; // when there is time: erases ahead, makes room
//! drop(log);
//!
//! // After a reboot, clean or not.
//! let mut log = Log::mount(Records::new(flash, REGION, RETENTION), &mut scratch)?;
//! assert_eq!(log.load::<Counter>(7)?.count, 55);
//! assert_eq!(log.bounds().last().0, 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! [`FlashLog`] is the log; [`Region`] is where it lives, best checked when the program is built; [`Retention`] says
//! what may be overwritten; [`Identity`] tells logs and their lives apart; [`MountError`] says why a region holds no
//! log. The byte layout is in `docs/format.md` of the repository, with what makes a commit atomic. **Format
//! version 1 is not frozen before the first release.**
//!
//! `FlashLog::close` before switching off on purpose lets the next boot go on in place. Without it nothing is lost,
//! but the first append of the next boot leaves some bytes unused.
//!
//! # Features
//!
//! | feature | buys | costs |
//! | --- | --- | --- |
//! | `async` | the module `asynchronous`, on `embedded-storage-async` | code for the face that is called |
//! | `defmt` | `defmt::Format` for public types | the dependency |
//! | `image` | the module `image`: what a memory image of a region holds, frame by frame | code for what is called |
//! | `_sabotage` | rules broken on purpose, for tests of this repository; exempt from semver | `std` |
//!
//! # Limits
//!
//! - 2 to 4096 sectors of 256 B to 128 KiB, words and reads of 1 to 32 bytes, at most 12 trackers.
//! - A batch fits one sector less 128 bytes. `SLOTS` streams are kept at hand; others cost a look-up in the flash.
//! - A sector is let go only when each stream in it has a newer snapshot elsewhere: see [`Retention`].
//! - After an unclean stop the last record, if its append never returned, may still vanish until the next append.
//! - Bad sectors are not mapped out. A hash chain and encryption come with `evenkeel_core::integrity`, around this log.
#![cfg_attr(not(any(test, feature = "_sabotage")), no_std)]
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

mod error;
mod format;
#[cfg(feature = "image")]
pub mod image;
mod region;
mod retention;
#[cfg(feature = "_sabotage")]
pub mod sabotage;
#[cfg(not(feature = "_sabotage"))]
mod sabotage;
mod status;
mod table;

pub use error::MountError;
pub use format::header::{Identity, StoredGeometry};
pub use region::{GeometryError, Region};
pub use retention::Retention;
pub use status::Status;

/// The blocking face, on `embedded_storage`; the crate root shows it too.
#[allow(clippy::duplicate_mod)] // each file is compiled once for each face
#[path = "faces"]
pub mod blocking {
    use embedded_storage::nor_flash::NorFlash;
    use evenkeel_core::blocking::RecordManager;
    use evenkeel_macros::blocking as face;

    mod append;
    mod chase;
    pub(crate) mod flash_log;
    mod listing;
    mod medium;
    mod mount;
    mod notifications;
    mod opening;
    mod pour;
    mod record_manager;
    mod rest;
    mod search;
    mod sectors;
    mod status;
    mod streams;
    mod tail;
    pub(crate) mod walk;

    pub use flash_log::FlashLog;
}

/// The asynchronous face, on `embedded_storage_async`: the same names, to be awaited. A future dropped half way
/// equals a power cut: the next call finds out how far it got.
#[cfg(feature = "async")]
#[allow(clippy::duplicate_mod)]
#[path = "faces"]
pub mod asynchronous {
    use embedded_storage_async::nor_flash::NorFlash;
    use evenkeel_core::asynchronous::RecordManager;
    use evenkeel_macros::asynchronous as face;

    mod append;
    mod chase;
    mod flash_log;
    mod listing;
    mod medium;
    mod mount;
    mod notifications;
    mod opening;
    mod pour;
    mod record_manager;
    mod rest;
    mod search;
    mod sectors;
    mod status;
    mod streams;
    mod tail;
    mod walk;

    pub use flash_log::FlashLog;
}

pub use blocking::FlashLog;
