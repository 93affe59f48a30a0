//! Why a log cannot be mounted or formatted.

use core::fmt;

use crate::format::header::StoredGeometry;
use crate::region::GeometryError;

/// Why the region holds no log that can be mounted. Nothing has been written or erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MountError<E> {
    /// The flash failed.
    Storage(E),
    /// Every byte of the region reads as erased: there is no log yet. `format` makes one.
    Blank,
    /// A format of a blank region was cut off before there was a log. `format` makes one, and so does
    /// `mount_or_format`.
    Unfinished,
    /// The region holds something else, or a log of which no sector's header is left.
    Foreign,
    /// A log of another format version.
    Version {
        /// The version found.
        found: u8,
    },
    /// A log that was written with another geometry.
    Geometry {
        /// The geometry found.
        found: StoredGeometry,
    },
    /// The region does not suit the flash.
    Region(GeometryError),
    /// The lent scratch buffer is too small to mount.
    ScratchTooSmall {
        /// The bytes needed, at least.
        needed: u32,
    },
    /// The log remembers more trackers than this program has room for.
    TooManyTrackers,
}

impl<E: fmt::Debug> fmt::Display for MountError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the flash failed: {error:?}"),
            Self::Blank => f.write_str("the region is blank: there is no log yet"),
            Self::Unfinished => f.write_str("formatting the region was cut off: there is no log yet"),
            Self::Foreign => f.write_str("the region holds no log, but something else"),
            Self::Version { found } => write!(f, "the log is of format version {found}, this program reads version 1"),
            Self::Geometry { found } => write!(
                f,
                "the log was written with another geometry: {} sectors of {} B, words of {} B, program pages of {} B",
                found.sectors, found.sector_bytes, found.word_bytes, found.program_page_bytes
            ),
            Self::Region(error) => error.fmt(f),
            Self::ScratchTooSmall { needed } => write!(f, "the scratch buffer is too small: {needed} bytes are needed"),
            Self::TooManyTrackers => f.write_str("the log has more trackers than this program has room for"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for MountError<E> {}
