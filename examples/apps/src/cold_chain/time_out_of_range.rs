//! The projection that a claims department would ask for.

use evenkeel_core::{CodecError, GapReason, Position, Projection, Record, StreamId};
use heapless::LinearMap;

use super::Holder;
use super::shipment::{Shipment, ShipmentEvent};

/// How many holders are told apart; the minutes of any further ones count in the totals alone.
pub const HOLDERS: usize = 16;

/// Time out of range over all shipments: how much, how often, and in whose hands.
///
/// It follows the shipment that is under way; shipments of one device come one after another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeOutOfRange {
    minutes: u32,
    excursions: u32,
    longest_minutes: u32,
    by_holder: LinearMap<Holder, u32, HOLDERS>,
    lost: u64,
    // The shipment under way, who holds it, and the minutes of its running excursion counted so far.
    under_way: Option<StreamId>,
    holder: Holder,
    running: u32,
}

impl TimeOutOfRange {
    /// Minutes out of range in all.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        self.minutes
    }

    /// How many excursions there were.
    #[must_use]
    pub fn excursions(&self) -> u32 {
        self.excursions
    }

    /// How many minutes the longest excursion lasted.
    #[must_use]
    pub fn longest_minutes(&self) -> u32 {
        self.longest_minutes
    }

    /// Minutes out of range in the hands of each holder, in the order in which they were first to blame.
    pub fn by_holder(&self) -> impl Iterator<Item = (Holder, u32)> {
        self.by_holder.iter().map(|(holder, minutes)| (*holder, *minutes))
    }

    /// How many events were gone before they could be seen: above 0 the totals are lower bounds.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.lost
    }

    /// The running excursion has now lasted this long: what is new is put down to who holds the shipment.
    fn lasted(&mut self, minutes: u32) {
        let new = minutes.saturating_sub(self.running);
        self.running = minutes;
        self.minutes = self.minutes.saturating_add(new);
        self.longest_minutes = self.longest_minutes.max(minutes);
        if new > 0 {
            let before = self.by_holder.get(&self.holder).copied().unwrap_or(0);
            // A holder beyond the last place of the table counts in the total alone.
            let _ = self.by_holder.insert(self.holder, before.saturating_add(new));
        }
    }
}

impl Projection for TimeOutOfRange {
    fn take_in(&mut self, record: &Record<'_>) -> Result<(), CodecError> {
        let Some(event) = record.event::<Shipment>().transpose()? else { return Ok(()) };
        if self.under_way != Some(record.stream) {
            self.under_way = Some(record.stream);
            self.running = 0;
        }
        match event {
            ShipmentEvent::Dispatched { holder, .. } => self.holder = holder,
            ShipmentEvent::HandedOver { to, .. } => self.holder = to,
            ShipmentEvent::ExcursionStarted { .. } => {
                self.excursions = self.excursions.saturating_add(1);
                self.running = 0;
            }
            ShipmentEvent::LoggedOutside { minutes, .. } => self.lasted(minutes),
            ShipmentEvent::ExcursionEnded { minutes, .. } => {
                self.lasted(minutes);
                self.running = 0;
            }
            ShipmentEvent::Logged { .. } | ShipmentEvent::Missed { .. } | ShipmentEvent::Delivered { .. } => {}
        }
        Ok(())
    }

    fn lost(&mut self, first: Position, last: Position, _: GapReason) {
        self.lost = self.lost.saturating_add(last.next().since(first));
    }
}
