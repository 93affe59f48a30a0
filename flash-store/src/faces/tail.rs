//! Going on after an unclean stop.

use evenkeel_core::bytes::ByteWriter;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::scratch::Scratch;

use super::flash_log::{FlashLog, State};
use super::{NorFlash, face};
use crate::format::checksum::Checksum;
use crate::format::entry::Head;
use crate::format::frame::{self, Frame, write_head};
use crate::region::align_up;

/// The most bytes before the entries that a resume frame repeats.
const RESUME_HEAD: usize = frame::HEAD_BYTES + 8;
/// Bytes copied at once; whole words of every size.
const CHUNK: usize = 64;

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Makes memory agree with the flash again, if a write or an erase did not come to its end.
    pub(crate) async fn settle(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        match self.state {
            State::Mounted => Ok(()),
            State::Unknown => Err(ReadError::NotMounted),
            State::Interrupted => match self.find_log(scratch).await {
                Ok(()) => Ok(()),
                Err(crate::error::MountError::Storage(error)) => {
                    self.state = State::Interrupted;
                    Err(ReadError::Storage(error))
                }
                Err(_) => Err(ReadError::NotMounted),
            },
        }
    }

    /// Before the first append after an unclean stop: leaves the place where a write may have been cut, and repeats
    /// the last frame, which may rest on a word that was just being programmed.
    ///
    /// Does nothing if there is no room for it in this sector: then the next sector's base tells how many events
    /// this one has.
    pub(crate) async fn resume(&mut self, scratch: &mut Scratch<'_>) -> Result<(), AppendError<F::Error>> {
        if !self.newest.torn || torn_tail_rule_is_off() {
            self.newest.torn = false;
            return Ok(());
        }
        let region = self.medium.region;
        let (sector, frontier) = (self.newest.sector, self.newest.offset);
        let seen = self.medium.programmed_end(sector, frontier, region.sector, scratch).await?;
        let reach = self.medium.reach(sector, frontier, scratch).await?;
        let free = region.words(seen).max(reach).saturating_add(region.word);
        let place = align_up(free, region.page.max(region.word));
        let last = match self.newest.last {
            Some(last) => self.repeatable(last, scratch).await?,
            None => None,
        };
        self.newest.offset = place.min(region.sector);
        match self.repeat(frontier, place, last, scratch).await? {
            Some(frame) => {
                self.newest.offset = region.words(frame.end);
                self.newest.last = Some(frame);
            }
            None => self.newest.offset = region.sector,
        }
        self.newest.torn = false;
        Ok(())
    }

    /// The entries of the last frame that are worth repeating: all but an older resume entry before them.
    async fn repeatable(
        &mut self,
        last: Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        let (sector, seed) = (self.newest.sector, self.newest.seed);
        let Some(frame) = self.medium.frame(sector, seed, last.at, scratch).await? else { return Ok(None) };
        let parsed = self.medium.entry(sector, frame.entries, frame.end, scratch).await?;
        Ok(match parsed {
            Some(parsed) if matches!(parsed.head, Head::Resume { .. }) => {
                Some(Frame { entries: frame.entries.saturating_add(parsed.head_len), ..frame })
            }
            _ => Some(frame),
        })
    }

    /// Writes the resume frame; `None` if it does not fit this sector.
    async fn repeat(
        &mut self,
        frontier: u32,
        place: u32,
        last: Option<Frame>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, AppendError<F::Error>> {
        let region = self.medium.region;
        let (from, to, ordinal) = match last {
            Some(last) => (last.entries, last.end, last.ordinal),
            None => (0, 0, self.newest.events.to_le_bytes()[0]),
        };
        let repeated = to.saturating_sub(from);
        let resume = Head::Resume { frontier };
        let more = (repeated > 0).then_some(0);
        let entries = resume.len(more).saturating_add(repeated as usize);
        let mut head = [0; RESUME_HEAD];
        let mut out = ByteWriter::new(&mut head);
        let _ = write_head(entries, ordinal, &mut out).and_then(|()| resume.write(more, &mut out));
        let head_len = out.len();
        let end = place.saturating_add(u32::try_from(head_len).unwrap_or(u32::MAX)).saturating_add(repeated);
        if region.words(end) > region.sector {
            return Ok(None);
        }
        let mut crc = Checksum::of_frame(self.newest.seed, place);
        crc.update(head.get(4..head_len).unwrap_or_default());
        self.each_piece(from, to, scratch, |piece| crc.update(piece)).await?;
        if let Some(bytes) = head.get_mut(..4) {
            bytes.copy_from_slice(&crc.stored().to_le_bytes());
        }
        self.state = State::Interrupted;
        self.copy(place, head.get(..head_len).unwrap_or_default(), from, to, scratch).await?;
        self.state = State::Mounted;
        let body = u32::try_from(head_len.saturating_sub(resume.len(more))).unwrap_or_default();
        Ok(Some(Frame { at: place, entries: place.saturating_add(body), end, ordinal }))
    }

    /// Writes `head` and then the bytes `from..to` of the newest sector to `place`, in as few writes as the small
    /// buffer allows: nothing of it counts before the last one, as the CRC is over all.
    async fn copy(
        &mut self,
        place: u32,
        head: &[u8],
        from: u32,
        to: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), AppendError<F::Error>> {
        let region = self.medium.region;
        let (sector, limit) = (self.newest.sector, self.newest.sector.saturating_add(region.sector));
        let mut chunk = [0xFF; CHUNK];
        let mut out = ByteWriter::new(&mut chunk);
        let _ = out.slice(head);
        let (mut at, mut place) = (from, sector.saturating_add(place));
        while at < to || !out.is_empty() {
            let room = u32::try_from(out.room()).unwrap_or_default().min(to.saturating_sub(at));
            if room > 0 {
                let bytes = self.medium.window(sector.saturating_add(at), 1, limit, scratch).await?;
                let bytes = bytes.get(..bytes.len().min(room as usize)).unwrap_or_default();
                let _ = out.slice(bytes);
                at = at.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                if out.room() > 0 && at < to {
                    continue;
                }
            }
            let len = region.words(u32::try_from(out.len()).unwrap_or_default());
            self.medium
                .write(place, chunk.get(..len as usize).unwrap_or_default())
                .await
                .map_err(AppendError::Storage)?;
            place = place.saturating_add(len);
            chunk = [0xFF; CHUNK];
            out = ByteWriter::new(&mut chunk);
        }
        Ok(())
    }

    async fn each_piece(
        &mut self,
        from: u32,
        to: u32,
        scratch: &mut Scratch<'_>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), ReadError<F::Error>> {
        let (sector, limit) = (self.newest.sector, self.newest.sector.saturating_add(self.medium.region.sector));
        let mut at = from;
        while at < to {
            let bytes = self.medium.window(sector.saturating_add(at), 1, limit, scratch).await?;
            let bytes = bytes.get(..bytes.len().min(to.saturating_sub(at) as usize)).unwrap_or_default();
            take(bytes);
            at = at.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

/// A deliberate break for tests, to see that they catch it: see the feature `sabotage`.
fn torn_tail_rule_is_off() -> bool {
    crate::sabotage::is_on(crate::sabotage::Break::TornTailRule)
}
