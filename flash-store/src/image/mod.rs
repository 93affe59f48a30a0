//! What a memory image of a region holds: for tools that look at a device which came back from the field.
//!
//! Nothing is parsed a second time here: a [`Survey`] mounts the image with the log's own code, and walks through its
//! sectors with the code that reads a log. So it shows exactly what a mount would read, and beside it what a mount
//! passes over: frames that were given up, interrupted writes, damage, and what reads as erased.
//!
//! ```
//! use evenkeel_core::{Epoch, LogId};
//! use evenkeel_flash_store::image::{self, Piece, SectorState, Survey};
//! # use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
//! # use evenkeel_host_sim::flash::Nrf52840Flash;
//! # let flash = Nrf52840Flash::blank(16);
//! # let region = Region::new::<Nrf52840Flash>(0x4000..0x8000);
//! # let identity = Identity { log: LogId(0), epoch: Epoch::new(1, 2) };
//! # FlashLog::<_>::new(flash.clone(), region, Retention::Refuse).format(identity, &mut [0; 256]).unwrap();
//! # let dump: Vec<u8> = flash.image();
//!
//! // `dump` is the whole flash, or a part of it, as it was read out of a device.
//! let found = image::headers(&dump).next().unwrap();
//! let mut scratch = [0; 4096];
//! let mut survey = Survey::new(&dump, found.region_start(), found.geometry, &mut scratch)?;
//!
//! let log = survey.mounted()?;
//! assert_eq!((log.identity.epoch, log.bounds.next.0), (Epoch::new(1, 2), 1));
//! let first = survey.sector(0);
//! assert_eq!(first.state, SectorState::Newest);
//! let frames = survey.pieces(&first).filter(|piece| matches!(piece, Piece::Frame(frame) if frame.counts));
//! assert_eq!(frames.count(), 1); // the second part of the sector's header
//! # Ok::<_, Box<dyn core::error::Error>>(())
//! ```
//!
//! Nothing here allocates or panics, whatever the image holds. The work that hostile bytes can make is bounded for each
//! sector: see [`Leftover`].

mod flash;
mod headers;
mod piece;
mod pieces;
mod survey;
#[cfg(test)]
mod tests;

pub use flash::ImageError;
pub use headers::{FoundHeader, Headers, headers};
pub use piece::{Cause, EntryKind, EntryReport, FrameReport, Leftover, NamedStream, Piece, Stretch};
pub use pieces::Pieces;
pub use survey::{Mounted, OpenedHeader, PreparedHeader, SectorReport, SectorState, Survey};
