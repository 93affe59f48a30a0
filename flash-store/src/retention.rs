//! What may be overwritten when the region is full.

use evenkeel_core::Tracker;

/// When the sector with the oldest records may be erased for new ones.
///
/// Whatever the policy says, a sector is never erased as long as it holds an event or the snapshot of a stream that
/// has no newer snapshot in another sector: the state of every aggregate can always be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Retention {
    /// Never: a full log refuses events.
    Refuse,
    /// When each of these trackers has seen all of its events. A tracker that has never moved has seen none.
    OverwriteAcknowledged(&'static [Tracker]),
    /// Always. Events that one of these trackers has not seen yet are then lost to it: a record of that is in flash
    /// before they are erased, and who reads on from before them is told the gap
    /// ([`GapReason::Overwritten`](evenkeel_core::GapReason::Overwritten)).
    OverwriteOldest(&'static [Tracker]),
}
