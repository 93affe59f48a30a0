//! The ring of sectors: which is let go, erased and prepared next, and which are set aside.

use evenkeel_core::bytes::ByteWriter;
use evenkeel_core::error::{AppendError, HeldBy, ReadError};
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Position, Tracker, Upkeep};

use super::flash_log::{FlashLog, Newest, Prepared, State};
use super::mount::Opened;
use super::{NorFlash, face};
use crate::format::entry::Head;
use crate::format::frame::{Frame, finish, frame_len, write_head};
use crate::format::header::{PREPARED_BYTES, Prepared as Header};
use crate::retention::Retention;
use crate::sabotage::{self, Break};

/// The most bytes of the record that says that a sector is going to be erased.
const ANNOUNCEMENT_BYTES: usize = 64;

/// For how many sectors beyond those that were set aside before room is kept to say that they are.
const MOST_SAID: u32 = 4;

/// What stands in the way of letting the oldest sector go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Nothing,
    By(HeldBy),
}

/// The sector opened after another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next {
    pub(crate) sequence: u32,
    /// The sequence number of the sector that was the newest before it.
    before: u32,
    /// The position of its first event.
    pub(crate) base: Position,
    /// Where the sector before it ends, if that was given up.
    pub(crate) left: Option<u32>,
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Erases the sector for this sequence number and writes the first part of its header.
    pub(crate) async fn erase_and_prepare(&mut self, sequence: u32, scratch: &mut Scratch<'_>) -> Result<(), F::Error> {
        let before = self.erases_of(sequence, scratch).await.unwrap_or(None);
        // Of a sector whose header cannot be read it is only known that it was erased as often as the others.
        let erases = before.map_or(self.wear.max(1), |before| before.saturating_add(1));
        self.erase_as(sequence, erases).await
    }

    pub(crate) async fn erase_as(&mut self, sequence: u32, erases: u32) -> Result<(), F::Error> {
        let region = self.medium.region;
        let sector = region.sector_at(sequence);
        let before = core::mem::replace(&mut self.state, State::Interrupted);
        self.medium.erase(sector).await?;
        let header = Header { identity: self.identity, sequence, erases }.encode(&region);
        let len = region.words(u32::try_from(PREPARED_BYTES).unwrap_or(32)) as usize;
        self.medium.write(sector, header.get(..len).unwrap_or_default()).await?;
        self.state = before;
        Ok(())
    }

    /// Makes a sector ready to be opened next. `Ok(Hold::By(..))` if all still hold what must be kept.
    ///
    /// A sector whose erase was tried before and is not known to have ended well, or that has been erased more often
    /// than the others, is set aside for this lap, so that all are erased as often; only if there is no other it is
    /// erased all the same. One that refuses to be erased is set aside as well.
    pub(crate) async fn prepare_next(&mut self, scratch: &mut Scratch<'_>) -> Result<Hold, AppendError<F::Error>> {
        if self.prepared != Prepared::No {
            return Ok(Hold::Nothing);
        }
        let (newest, sectors) = (self.newest.sequence, self.medium.region.sectors);
        if newest > u32::MAX.saturating_sub(sectors) {
            return Err(AppendError::Exhausted);
        }
        let (tried, mut held, mut refused) = (self.announced, None, None);
        let levels = sectors > 2 && !sabotage::is_on(Break::WearLevelling);
        // First those whose turn it is, then those that were set aside.
        for set_aside in [false, true] {
            for ahead in 1..sectors {
                let next = newest.saturating_add(ahead);
                if !self.is_looked_for(next) {
                    break;
                }
                if levels && (next <= tried || self.leads(next, scratch).await?) != set_aside {
                    continue;
                }
                let hold = self.clear_place(next, scratch).await?;
                if hold != Hold::Nothing {
                    held = Some(hold);
                    break;
                }
                self.announce(next).await?;
                let state = self.state;
                match self.erase_and_prepare(next, scratch).await {
                    Ok(()) => {
                        (self.next, self.prepared) = (next, Prepared::Fresh);
                        return Ok(Hold::Nothing);
                    }
                    Err(error) => {
                        if !self.answers(scratch).await {
                            return Err(AppendError::Storage(error)); // it is not this sector alone
                        }
                        self.state = state; // the newest sector is as it was
                        self.aside = self.aside.max(ahead);
                        refused = Some(error);
                    }
                }
            }
            if !levels {
                break; // none was set aside
            }
        }
        match (held, refused) {
            (Some(hold), _) => Ok(hold),
            (None, Some(error)) if sectors <= 2 => Err(AppendError::Storage(error)),
            _ => Ok(Hold::By(HeldBy::Wear)),
        }
    }

    /// Whether the next mount looks for the newest sector at this sequence number: no further than right behind what was
    /// said before, unless that can still be said.
    fn is_looked_for(&self, sequence: u32) -> bool {
        let said = if self.newest.torn { self.announced_before } else { self.announced };
        sequence <= said.max(self.newest.sequence).saturating_add(1) || self.announcement(sequence).is_some()
    }

    /// Whether the sector for this sequence number has been erased more often than others: as often as the newest has,
    /// and more often than the one behind it, whose turn comes later.
    ///
    /// As often as the newest alone tells nothing: at the start of a lap all have been erased as often, and so has what
    /// comes behind a sector that was set aside in the lap before.
    async fn leads(&mut self, sequence: u32, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let Some(erases) = self.erases_of(sequence, scratch).await? else { return Ok(false) };
        if erases < self.wear || self.wear == 0 {
            return Ok(false);
        }
        let behind = sequence.saturating_add(1);
        let later = self.erases_of(behind, scratch).await?;
        // Behind the last of the region stands the first, which has had its turn in this lap.
        let turn = u32::from(self.medium.region.index_of(behind) == 0);
        Ok(later.is_none_or(|later| erases.saturating_add(turn) > later))
    }

    /// Whether the flash can be read at all.
    async fn answers(&mut self, scratch: &mut Scratch<'_>) -> bool {
        self.medium.unreadable = None;
        scratch.bytes_mut(); // read it anew
        let read = self.erases_of(self.newest.sequence, scratch).await.is_ok();
        read && self.medium.unreadable.is_none()
    }

    /// Lets everything go that stands where the sector with this sequence number goes.
    async fn clear_place(&mut self, sequence: u32, scratch: &mut Scratch<'_>) -> Result<Hold, AppendError<F::Error>> {
        let Some(there) = sequence.checked_sub(self.medium.region.sectors) else { return Ok(Hold::Nothing) };
        while self.oldest.0 <= there {
            let hold = self.let_go(scratch).await?;
            if hold != Hold::Nothing {
                return Ok(hold);
            }
        }
        Ok(Hold::Nothing)
    }

    /// What says that the sector with this sequence number is going to be erased, and what is lost by it; `None` if it
    /// cannot be said in the newest sector.
    fn announcement(&self, next: u32) -> Option<(Head, Option<Head>, usize)> {
        let region = self.medium.region;
        let erase = Head::Erase { ahead: next.saturating_sub(self.newest.sequence) };
        let lost = self.lost_still_asked_for().map(|(first, count)| Head::Lost { first, count });
        let entries = erase.len(lost.map(|_| 0)).saturating_add(lost.map_or(0, |lost| lost.len(None)));
        let end = self.newest.offset.saturating_add(u32::try_from(frame_len(entries)).unwrap_or(u32::MAX));
        let fits = !self.newest.torn && !self.newest.closed && region.words(end) <= region.sector;
        fits.then_some((erase, lost, entries))
    }

    /// Says in the newest sector that another one is going to be erased, and what is lost by it, if there is room.
    ///
    /// So the next mount knows that it may not have been erased in full, and what was in it is not shown any more.
    pub(crate) async fn announce(&mut self, next: u32) -> Result<(), AppendError<F::Error>> {
        let Some((erase, lost, entries)) = self.announcement(next) else { return Ok(()) };
        let mut bytes = [0xFF; ANNOUNCEMENT_BYTES];
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let mut out = ByteWriter::new(&mut bytes);
        let _ = write_head(entries, ordinal, &mut out).and_then(|()| erase.write(lost.map(|_| 0), &mut out));
        let _ = lost.and_then(|lost| lost.write(None, &mut out));
        self.write_small(bytes, frame_len(entries)).await?;
        self.announced = self.announced.max(next);
        Ok(())
    }

    /// Writes a frame without events behind the newest; there is room for it.
    pub(crate) async fn write_small(
        &mut self,
        mut bytes: [u8; ANNOUNCEMENT_BYTES],
        len: usize,
    ) -> Result<(), AppendError<F::Error>> {
        let place = self.newest.offset;
        let Some(padded) = finish(&self.medium.region, self.newest.seed, place, len, &mut bytes) else {
            return Ok(());
        };
        self.state = State::Interrupted;
        let at = self.newest.sector.saturating_add(place);
        self.medium.write(at, bytes.get(..padded).unwrap_or_default()).await.map_err(AppendError::Storage)?;
        self.state = State::Mounted;
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let end = place.saturating_add(u32::try_from(len).unwrap_or_default());
        let next = place.saturating_add(u32::try_from(padded).unwrap_or_default());
        self.newest.offset = next;
        self.newest.last = Some(Frame { at: place, entries: place, end, next, ordinal, filling: 0 });
        Ok(())
    }

    /// How many bytes at the end of the newest sector are kept for saying that the next one is going to be erased, and
    /// others instead of those that refuse.
    pub(crate) fn kept_for_announcing(&self) -> u32 {
        if self.prepared != Prepared::No {
            return 0;
        }
        let more = self.medium.region.words(9).saturating_mul(self.aside.min(MOST_SAID));
        if self.announced > self.newest.sequence {
            return more;
        }
        more.saturating_add(match self.retention {
            Retention::OverwriteOldest(_) => self.medium.region.words(32),
            _ => self.medium.region.words(9),
        })
    }

    /// What was overwritten though it was still asked for, as long as it is.
    pub(crate) fn lost_still_asked_for(&self) -> Option<(Position, u64)> {
        let (first, count) = self.overwritten;
        let Retention::OverwriteOldest(asking) = self.retention else { return None };
        let last = first.plus(count).previous();
        (count > 0 && asking.iter().any(|tracker| self.trackers.get(*tracker) < last)).then_some((first, count))
    }

    /// Lets the oldest sector go, if nothing needs it any more. Only memory changes: the sector is erased when it is
    /// prepared.
    pub(crate) async fn let_go(&mut self, scratch: &mut Scratch<'_>) -> Result<Hold, AppendError<F::Error>> {
        let (sequence, base) = self.oldest;
        if sequence >= self.newest.sequence {
            return Ok(Hold::By(HeldBy::Policy));
        }
        let next = self.first_opened_after(sequence, scratch).await?;
        let last = next.base.previous();
        self.oldest_last = last;
        // A last move that may read well today only counts: whoever asked for it has seen what is let go.
        let behind = |trackers: &'static [Tracker]| {
            let slowest = trackers.iter().copied().min_by_key(|tracker| self.trackers.get(*tracker));
            slowest.filter(|tracker| self.trackers.get(*tracker) < last)
        };
        let mut lost = None;
        match self.retention {
            Retention::Refuse if last >= base => return Ok(Hold::By(HeldBy::Policy)),
            Retention::Refuse => {}
            Retention::OverwriteAcknowledged(required) => {
                if let Some(tracker) = behind(required).filter(|_| !sabotage::is_on(Break::Retention)) {
                    return Ok(Hold::By(HeldBy::Tracker(tracker)));
                }
            }
            Retention::OverwriteOldest(asking) => lost = behind(asking).map(|tracker| self.trackers.get(tracker)),
        }
        if let Some(held) = self.unreplaced(sequence, scratch).await? {
            return Ok(Hold::By(held));
        }
        if let Some(seen) = lost {
            let (first, count) = self.overwritten;
            let from = if count > 0 && first > seen { first } else { seen.next().max(base) };
            self.overwritten = (from, last.next().since(from));
        }
        self.oldest = (next.sequence, next.base);
        self.pressed = false;
        self.restarted = false;
        Ok(Hold::Nothing)
    }

    /// The sector that was opened after this one, as far as headers can be read.
    ///
    /// A header whose writing was cut off may read well today although its sector was set aside: the sector that was
    /// opened next tells, by which one was the newest before it.
    pub(crate) async fn first_opened_after(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Next, ReadError<F::Error>> {
        let mut next = self.next_with_header(sequence, scratch).await?;
        while next.sequence < self.newest.sequence {
            let after = self.next_with_header(next.sequence, scratch).await?;
            if after.before >= next.sequence {
                break;
            }
            next = after;
        }
        if next.before != sequence {
            next.left = None; // it is another one that was given up
        }
        Ok(next)
    }

    /// The first sector after this one whose header can be read.
    async fn next_with_header(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Next, ReadError<F::Error>> {
        let mut next = sequence.saturating_add(1);
        while next < self.newest.sequence {
            if let Some(opened) = self.opened(self.identity, next, scratch).await? {
                let left = self.left_of(next, &opened, scratch).await?;
                return Ok(Next { sequence: next, before: next.saturating_sub(opened.back), base: opened.base, left });
            }
            next = next.saturating_add(1);
        }
        let Newest { sequence, base, back, left, .. } = self.newest;
        Ok(Next { sequence, before: sequence.saturating_sub(back), base, left })
    }

    /// Where the sector before was given up, as the header of this one tells.
    async fn left_of(
        &mut self,
        sequence: u32,
        opened: &Opened,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let sector = self.medium.region.sector_at(sequence);
        let mut at = opened.frame.entries;
        while let Some(parsed) = self.medium.entry(sector, at, opened.frame.end, scratch).await? {
            match parsed.head {
                Head::Left { frontier } => return Ok(Some(frontier)),
                Head::Open { .. } | Head::Track { .. } => {}
                head if head.is_of_header() => {}
                _ => break,
            }
            at = at.saturating_add(parsed.head_len).saturating_add(parsed.payload_len);
        }
        Ok(None)
    }

    /// Whether opening the next sector takes one of those kept for the snapshots that letting go of the oldest needs.
    pub(crate) fn opening_takes_reserve(&self) -> bool {
        let used = self.next.saturating_add(1).saturating_sub(self.oldest.0).saturating_add(self.aside);
        used.saturating_add(self.reserve()) > self.medium.region.sectors
    }

    /// Whether the newest sector is one of those, for a batch with events; without, whether it is the last of them.
    pub(crate) fn is_reserve(&self, events: bool) -> bool {
        let used = self.next.saturating_sub(self.oldest.0).saturating_add(self.aside);
        let kept = if events { self.reserve() } else { 1 };
        used.saturating_add(kept) > self.medium.region.sectors
    }

    /// Whether the newest sector is the last of the reserve, and holds nothing that stands nowhere else.
    pub(crate) fn is_spare_reserve(&self) -> bool {
        let Newest { stored, tracked, unrepeated, sequence, .. } = self.newest;
        // Where there is room enough, only many power cuts in a row lead here: then the log goes on rather than stay full.
        let small = !self.medium.region.is_roomy();
        let tracked = small && tracked.is_some_and(|at| unrepeated.is_none_or(|last| at < last));
        // Once another sector is going to be erased, the snapshots in this one are relied on.
        let relied_on = self.prepared != Prepared::No || self.announced > sequence;
        !relied_on && !stored && !tracked && self.oldest.0 < sequence && self.is_reserve(false)
    }

    /// How many sectors are kept: one, and where there are enough one more, should power cuts use that up.
    fn reserve(&self) -> u32 {
        if self.medium.region.sectors < 8 { 1 } else { 2 }
    }

    /// One step of upkeep.
    ///
    /// One sector is kept prepared, and behind it one more that can be let go: events never take the last one, so
    /// that there is always room for the snapshots that letting go of the oldest needs.
    pub(crate) async fn one_step(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<F::Error>> {
        self.settle(scratch).await?;
        if self.prepared == Prepared::No {
            if self.newest.torn || self.newest.closed {
                self.secure(scratch).await?;
            }
            let hold = self.prepare_next(scratch).await?;
            return self.upkeep_of(hold, scratch).await;
        }
        let region = self.medium.region;
        let left = region.sector.saturating_sub(self.newest.offset);
        let soon_full = self.pressed || left < region.sector >> 2;
        if !soon_full || !self.opening_takes_reserve() {
            return Ok(Upkeep::Idle);
        }
        if self.oldest.0 == self.newest.sequence {
            // With two sectors the oldest is the newest: what replaces its records must stand in the other one.
            if !self.pressed {
                return Ok(Upkeep::Idle);
            }
            self.open_next(scratch).await?;
            return Ok(Upkeep::Worked);
        }
        let hold = self.let_go(scratch).await?;
        self.upkeep_of(hold, scratch).await
    }

    async fn upkeep_of(&mut self, hold: Hold, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<F::Error>> {
        let hold = match hold {
            // If the log is full, the snapshots first: in the reserve a tracker moves only when nothing is needed behind.
            Hold::By(HeldBy::Tracker(_)) if self.pressed => {
                self.unreplaced(self.oldest.0, scratch).await?.map_or(hold, Hold::By)
            }
            hold => hold,
        };
        Ok(match hold {
            Hold::Nothing => Upkeep::Worked,
            Hold::By(HeldBy::Stream(stream, kind)) => Upkeep::NeedsSnapshot { stream, kind },
            Hold::By(held_by) => Upkeep::Held(held_by),
        })
    }
}
