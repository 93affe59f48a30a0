//! How full a log is, what holds it, and how worn its flash is.

use evenkeel_core::Position;
use evenkeel_core::error::HeldBy;

/// How full a log is, what holds it, and how worn its flash is: see [`FlashLog::status`](crate::FlashLog::status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Status {
    /// Sectors of the region.
    pub sectors: u32,
    /// Sectors that hold records which have not been let go, the newest included.
    pub sectors_used: u32,
    /// Sectors that hold none: blank, prepared, or let go and to be erased.
    pub sectors_free: u32,
    /// Of those not free, how many should hold records and have no header that can be read: set aside for a lap as
    /// their erase was cut off or failed, or damaged.
    pub sectors_unreadable: u32,
    /// Bytes of the region in use, headers and what is left unused at the end of full sectors included.
    pub bytes_used: u32,
    /// Bytes that are left: what the newest sector has left, and the free sectors.
    pub bytes_free: u32,
    /// The oldest position still held; equal to `next` if none is.
    pub first: Position,
    /// The position that the next event will get.
    pub next: Position,
    /// What holds the oldest sector: what an append would be refused for if there were no other room. `None` if the
    /// sector can be let go when its room is needed. [`HeldBy::Policy`] also if it is the only one in use.
    pub held_by: Option<HeldBy>,
    /// The fewest erases of any sector whose header tells; 0 if none does.
    pub least_erases: u32,
    /// The most erases of any sector whose header tells; 0 if none does.
    pub most_erases: u32,
    /// How many positions were overwritten though a tracker of
    /// [`Retention::OverwriteOldest`](crate::Retention::OverwriteOldest) still asks for them. What is missing because
    /// of damage is not counted here, as only reading the log through tells.
    pub overwritten: u64,
    /// The first of these positions; means nothing if there are none.
    pub first_overwritten: Position,
}
