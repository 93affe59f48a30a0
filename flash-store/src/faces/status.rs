//! Telling how full the log is, what holds it, and how worn its flash is.

use evenkeel_core::Position;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::scratch::Scratch;

use super::flash_log::FlashLog;
use super::sectors::Hold;
use super::{NorFlash, face};
use crate::status::Status;

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// How full the log is, what holds it, and how worn its flash is.
    ///
    /// Writes nothing. Reads the headers of all sectors, about two reads for each, and the oldest sector.
    pub async fn status(&mut self, scratch: &mut [u8]) -> Result<Status, ReadError<F::Error>> {
        let mut scratch = Scratch::new(scratch);
        self.settle(&mut scratch).await?;
        let region = self.medium.region;
        let (oldest, newest) = (self.oldest.0, self.newest.sequence);
        let (mut least, mut most, mut unreadable) = (u32::MAX, 0, 0_u32);
        for ahead in 0..region.sectors {
            // Each sector of the region once: the oldest has the lowest sequence number.
            let sequence = oldest.saturating_add(ahead);
            if let Some(erases) = self.erases_of(sequence, &mut scratch).await? {
                (least, most) = (least.min(erases), most.max(erases));
            }
            if sequence < newest && self.opened(self.identity, sequence, &mut scratch).await?.is_none() {
                unreadable = unreadable.saturating_add(1);
            }
        }
        let held_by = match self.holds(&mut scratch).await? {
            Hold::Nothing => None,
            Hold::By(held_by) => Some(held_by),
        };
        let used = newest.saturating_sub(oldest).saturating_add(1).min(region.sectors);
        let free = region.sectors.saturating_sub(used);
        let left = region.sector.saturating_sub(self.newest.offset);
        let bytes_free = free.saturating_mul(region.sector).saturating_add(left);
        let bounds = self.log_bounds();
        let (first_overwritten, overwritten) = self.lost_still_asked_for().unwrap_or((Position(1), 0));
        Ok(Status {
            sectors: region.sectors,
            sectors_used: used,
            sectors_free: free,
            sectors_unreadable: unreadable,
            bytes_used: region.sectors.saturating_mul(region.sector).saturating_sub(bytes_free),
            bytes_free,
            first: bounds.first,
            next: bounds.next,
            held_by,
            least_erases: least.min(most),
            most_erases: most,
            overwritten,
            first_overwritten,
        })
    }

    /// What holds the oldest sector, which stays as it is.
    async fn holds(&mut self, scratch: &mut Scratch<'_>) -> Result<Hold, ReadError<F::Error>> {
        let (oldest, last) = (self.oldest, self.oldest_last);
        let (overwritten, pressed, restarted) = (self.overwritten, self.pressed, self.restarted);
        let hold = self.let_go(scratch).await;
        (self.oldest, self.oldest_last) = (oldest, last);
        (self.overwritten, self.pressed, self.restarted) = (overwritten, pressed, restarted);
        hold.map_err(|error| match error {
            AppendError::Storage(error) => ReadError::Storage(error),
            AppendError::ScratchTooSmall { needed } => ReadError::ScratchTooSmall { needed },
            _ => ReadError::NotMounted,
        })
    }
}
