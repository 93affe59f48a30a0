//! A power-fail safe append-only log on NOR flash.
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
mod region;
mod retention;
#[cfg(feature = "_sabotage")]
pub mod sabotage;
#[cfg(not(feature = "_sabotage"))]
mod sabotage;
mod table;

pub use error::MountError;
pub use format::header::{Identity, StoredGeometry};
pub use region::{GeometryError, Region};
pub use retention::Retention;

/// The blocking face, on `embedded_storage`; the crate root shows it too.
#[allow(clippy::duplicate_mod)] // each file is compiled once for each face
#[path = "faces"]
pub mod blocking {
    use embedded_storage::nor_flash::NorFlash;
    use evenkeel_core::blocking::RecordManager;
    use evenkeel_macros::blocking as face;

    mod append;
    mod flash_log;
    mod medium;
    mod mount;
    mod notifications;
    mod pour;
    mod record_manager;
    mod sectors;
    mod streams;
    mod tail;
    mod walk;

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
    mod flash_log;
    mod medium;
    mod mount;
    mod notifications;
    mod pour;
    mod record_manager;
    mod sectors;
    mod streams;
    mod tail;
    mod walk;

    pub use flash_log::FlashLog;
}

pub use blocking::FlashLog;
