//! Which streams there are.

use evenkeel_core::Version;
use evenkeel_core::error::ReadError;
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;

use super::flash_log::FlashLog;
use super::{NorFlash, face};
use crate::format::entry::Head;

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Goes through all sectors: each names in full the streams that it has.
    pub(crate) async fn offer_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<F::Error>> {
        self.settle(scratch).await?;
        for sequence in self.oldest.0..=self.newest.sequence {
            let Some(mut walk) = self.walk_of(sequence, scratch).await? else { continue };
            let end = self.end_of(sequence);
            while let Some(step) = self.medium.step(&mut walk, end, scratch).await? {
                match step.head {
                    Head::Introduction { named, .. } | Head::Inline { named } | Head::Snapshot { named }
                        if named.version > Version::NONE =>
                    {
                        list.offer(named.stream, named.kind);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
