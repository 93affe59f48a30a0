//! What there is to do between appends.

use crate::error::HeldBy;
use crate::{Kind, StreamId};

/// What one step of upkeep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Upkeep {
    /// There is nothing to do.
    Idle,
    /// Something was done and there may be more.
    Worked,
    /// Going on needs a snapshot of this stream, to replace its oldest records.
    NeedsSnapshot {
        /// The stream.
        stream: StreamId,
        /// Its aggregate type.
        kind: Kind,
    },
    /// Going on is forbidden by retention.
    Held(HeldBy),
}

/// What [`Log::maintain`](crate::Log::maintain) came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Maintained {
    /// All is ready: the appends to come need not erase.
    Ready,
    /// There is more to do: the bound of one call was reached.
    More,
    /// The oldest records cannot be reused as long as somebody holds them.
    Held(HeldBy),
}
