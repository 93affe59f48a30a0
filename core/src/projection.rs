//! Projections: views that are computed from the notification log.

use crate::codec::CodecError;
use crate::{GapReason, Position, Record};

/// A view of the log, such as a total or a table, brought up to date by
/// [`Log::catch_up`](crate::Log::catch_up).
pub trait Projection {
    /// Takes in the next event. An error stops the catching up before this event.
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError>;

    /// Learns that the events at `first..=last` are gone.
    fn lost(&mut self, first: Position, last: Position, reason: GapReason) {
        let _ = (first, last, reason);
    }
}
