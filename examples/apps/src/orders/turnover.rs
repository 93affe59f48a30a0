//! The view that the owner of the machine looks at.

use evenkeel_core::process::View;
use evenkeel_core::{Aggregate, CodecError, GapReason, Kind, Position, Projection, Record, StreamId, Tracker};
use serde::{Deserialize, Serialize};

use super::order::{Order, OrderEvent};

/// What has been earned, and what could have been. Stored with its place, so that it need not be computed anew at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Turnover {
    cents: u32,
    paid: u32,
    rejected: u32,
    lost: u64,
}

impl Turnover {
    /// What has been earned.
    #[must_use]
    pub fn cents(&self) -> u32 {
        self.cents
    }

    /// How many orders were paid.
    #[must_use]
    pub fn paid(&self) -> u32 {
        self.paid
    }

    /// How many orders were rejected.
    #[must_use]
    pub fn rejected(&self) -> u32 {
        self.rejected
    }

    /// How many events were gone before they could be counted: above 0 the rest are lower bounds.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.lost
    }
}

impl Projection for Turnover {
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError> {
        match event.event::<Order>().transpose()? {
            Some(OrderEvent::Paid { cents }) => {
                self.cents = self.cents.saturating_add(cents);
                self.paid = self.paid.saturating_add(1);
            }
            Some(OrderEvent::Rejected { .. }) => self.rejected = self.rejected.saturating_add(1),
            _ => {}
        }
        Ok(())
    }

    fn lost(&mut self, first: Position, last: Position, _: GapReason) {
        self.lost = self.lost.saturating_add(last.next().since(first));
    }
}

impl View for Turnover {
    const KIND: Kind = Kind(15);
    const STREAM: StreamId = StreamId(2);
    const SCHEMA: u8 = 1;
    const TRACKER: Tracker = Tracker(4);
    const CHECKPOINT: u32 = 16;
    const FOLLOWS: Option<&'static [Kind]> = Some(&[Order::KIND]);
}
