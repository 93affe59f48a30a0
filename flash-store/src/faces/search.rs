//! Finding out which sectors of the region hold the log: the newest, the oldest, the one to come.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;

use super::flash_log::{FlashLog, Prepared};
use super::mount::{OPEN_BYTES, open_place, unmounted};
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::header::{Found, Identity, PREPARED_BYTES, Prepared as Header};

/// The bytes of a first header that are the same for every log of this geometry.
const GEOMETRY_BYTES: usize = 7;

/// How many sectors behind the newest are looked at for one that tells that the log ends there.
const LOOKED_AHEAD: u32 = 3;

/// From how many sectors at most the search is tried to begin with, one of eight, before all are looked at.
const BEGINNINGS: u32 = 3;

/// More bytes than a second announcement, of an erase and what is lost by it, takes behind the newest frame.
const ANNOUNCED_BYTES: u32 = 64;

/// What was seen of the sector behind a run: under which sequence number it was looked for, and what is there.
pub(crate) type Behind = (u32, Probe);

/// What a look at the headers of one sector found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// Both parts.
    Opened(Identity, u32),
    /// The first part only; whether nothing at all shows where the second part would be.
    Prepared(Identity, u32, bool),
    /// No valid header.
    None(Found),
}

impl Probe {
    fn opened_as(&self, sequence: u32) -> bool {
        matches!(self, Self::Opened(_, found) if *found == sequence)
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Looks at the headers of the sector with this index. A first part that does not verify is made up for by a
    /// second one that is as `expected`.
    async fn probe(
        &mut self,
        index: u32,
        expected: Option<(Identity, u32)>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Probe, ReadError<F::Error>> {
        let region = self.medium.region;
        let sector = index.saturating_mul(region.sector);
        let limit = sector.saturating_add(region.sector);
        let least = u32::try_from(PREPARED_BYTES).unwrap_or(32);
        let bytes = self.medium.window(sector, least, limit, scratch).await?;
        let found = Header::decode(&region, bytes.get(..PREPARED_BYTES).unwrap_or_default());
        let header = match found {
            Found::Prepared(header) if region.index_of(header.sequence) == index => {
                Some((header.identity, header.sequence))
            }
            _ => None,
        };
        let Some((identity, sequence)) = header.or(expected) else { return Ok(Probe::None(found)) };
        // Which of several tries counts does not matter here.
        if self.opened_first_or_last(identity, sequence, true, scratch).await?.is_some() {
            return Ok(Probe::Opened(identity, sequence));
        }
        if header.is_none() {
            return Ok(Probe::None(found));
        }
        let first = open_place(&region, 0).unwrap_or_default();
        let end = open_place(&region, 2).or(open_place(&region, 1)).unwrap_or(region.sector);
        let untouched = self.medium.erased_between(sector, first, end, scratch).await?;
        Ok(Probe::Prepared(identity, sequence, untouched))
    }

    /// As [`probe`](Self::probe), if that is not known from before.
    async fn probe_behind(
        &mut self,
        sequence: u32,
        behind: Option<Behind>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Probe, ReadError<F::Error>> {
        match behind {
            Some((of, probe)) if of == sequence => Ok(probe),
            _ => self.probe(self.medium.region.index_of(sequence), Some((self.identity, sequence)), scratch).await,
        }
    }

    /// A sector to begin with: the newest, as far as a binary search over the sequence numbers tells, with what was
    /// seen of the one behind it.
    pub(crate) async fn find_newest(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<(Identity, u32, Option<Behind>), MountError<F::Error>> {
        for index in 0..BEGINNINGS.min(self.medium.region.sectors >> 3).max(1) {
            match self.probe(index, None, scratch).await.map_err(unmounted)? {
                Probe::Opened(identity, first) => {
                    let run = self.end_of_run((identity, first), scratch).await.map_err(unmounted)?;
                    let ((identity, newest), behind) = run;
                    return Ok((identity, newest, behind));
                }
                // The newest may be the last of the region, and this the one to come.
                prepared @ Probe::Prepared(identity, sequence, _) if index == 0 => {
                    let Some(before) = sequence.checked_sub(1) else { continue };
                    let last = self.medium.region.index_of(before);
                    let probe = self.probe(last, Some((identity, before)), scratch).await.map_err(unmounted)?;
                    if matches!(probe, Probe::Opened(found, at) if (found, at) == (identity, before)) {
                        return Ok((identity, before, Some((sequence, prepared))));
                    }
                }
                _ => {}
            }
        }
        let (identity, newest) = self.find_newest_by_scan(scratch).await?;
        Ok((identity, newest, None))
    }

    /// The last sector of the run that the sector with this sequence number belongs to: those behind it in the region
    /// that were opened in the same lap. A sector that was set aside ends a run. And what was seen behind the last.
    pub(crate) async fn end_of_run(
        &mut self,
        (identity, first): (Identity, u32),
        scratch: &mut Scratch<'_>,
    ) -> Result<((Identity, u32), Option<Behind>), ReadError<F::Error>> {
        let region = self.medium.region;
        let (mut identity, mut behind) = (identity, None);
        let start = region.index_of(first);
        // Invariant: the sector `low` belongs to the run, `high` does not.
        let (mut low, mut high) = (start, region.sectors);
        while high.saturating_sub(low) > 1 {
            let middle = low.saturating_add(high) >> 1;
            let sequence = first.saturating_add(middle.saturating_sub(start));
            match self.probe(middle, Some((identity, sequence)), scratch).await? {
                // A later life goes on where an earlier one ended.
                Probe::Opened(of, found) if found == sequence => (identity, low) = (of, middle),
                probe => (behind, high) = (Some((sequence, probe)), middle),
            }
        }
        Ok(((identity, first.saturating_add(low.saturating_sub(start))), behind))
    }

    /// Looks at what follows the newest sector, which has been read: the sequence number of a newer one, if there is
    /// one after all, behind sectors that were set aside or whose header is damaged.
    ///
    /// Before a sector is erased, the newest one says so: so it is known how far ahead the next can be.
    pub(crate) async fn find_newer(
        &mut self,
        behind: Option<Behind>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let region = self.medium.region;
        let newest = self.newest.sequence;
        (self.next, self.prepared) = (newest.saturating_add(1), Prepared::No);
        let most = newest.saturating_add(region.sectors.saturating_sub(1));
        let said = if self.announced > newest { self.announced.saturating_add(1) } else { newest.saturating_add(1) };
        // A sector that refuses its header may have it all the same: then the next one was announced, if there was room.
        let room = region.words(self.newest.offset.saturating_add(ANNOUNCED_BYTES)) <= region.sector;
        let (mut newer, mut sequence) = (None, newest);
        while sequence < said.min(most) {
            sequence = sequence.saturating_add(1);
            match self.probe_behind(sequence, behind, scratch).await? {
                Probe::Opened(identity, found) if identity == self.identity && found == sequence => {
                    newer = Some(sequence);
                }
                Probe::Prepared(identity, found, untouched) if identity == self.identity && found == sequence => {
                    (self.next, self.prepared) = (sequence, Prepared::Found);
                    if untouched && room && newer.is_none() && self.announced <= sequence {
                        break; // a prepared sector is passed over only when it cannot be opened any more
                    }
                }
                _ => {}
            }
        }
        Ok(newer)
    }

    /// Whether what follows the newest sector looks like the end of the log: prepared for the next lap, of the lap
    /// before, or blank in the first lap. If not, headers are damaged, and the search may have ended too early.
    pub(crate) async fn ends_here(
        &mut self,
        behind: Option<Behind>,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let region = self.medium.region;
        let newest = self.newest.sequence;
        if self.prepared != Prepared::No {
            return Ok(true);
        }
        for ahead in 1..=LOOKED_AHEAD.min(region.sectors.saturating_sub(1)) {
            let sequence = newest.saturating_add(ahead);
            match self.probe_behind(sequence, behind, scratch).await? {
                Probe::Opened(identity, found) | Probe::Prepared(identity, found, _) if identity == self.identity => {
                    return Ok(found < newest);
                }
                Probe::Opened(..) | Probe::Prepared(..) => return Ok(true),
                // In the first lap everything behind is as it was before the log.
                Probe::None(_) if sequence < self.newest.genesis.saturating_add(region.sectors) => {
                    let last = region.sectors.saturating_sub(1);
                    let probe = self.probe(last, None, scratch).await?;
                    return Ok(!matches!(probe, Probe::Opened(identity, _) if identity == self.identity));
                }
                Probe::None(_) => {}
            }
        }
        Ok(false)
    }

    /// The newest sector by looking at all of them: when the binary search found what it cannot go by.
    pub(crate) async fn find_newest_by_scan(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<(Identity, u32), MountError<F::Error>> {
        let sectors = self.medium.region.sectors;
        let mut newest: Option<(Identity, u32)> = None;
        let (mut other, mut prepared) = (None, None);
        for index in 0..sectors {
            let expected = newest.map(|(identity, sequence)| {
                let newest = self.medium.region.index_of(sequence);
                let ahead = index.saturating_sub(newest);
                (identity, sequence.saturating_add(ahead))
            });
            let probe = self.probe(index, expected, scratch).await.map_err(unmounted)?;
            match probe {
                Probe::Opened(identity, sequence) if newest.is_none_or(|(_, newest)| sequence > newest) => {
                    newest = Some((identity, sequence));
                }
                Probe::Prepared(identity, sequence, _) if prepared.is_none_or(|(_, highest)| sequence > highest) => {
                    prepared = Some((identity, sequence));
                }
                Probe::None(found @ (Found::OtherGeometry(_) | Found::OtherVersion(_))) => other = Some(found),
                _ => {}
            }
        }
        if let (None, Some((identity, sequence))) = (newest, prepared) {
            // The headers of all sectors in use are damaged: what has been prepared tells what to expect of them.
            for back in 1..sectors {
                let Some(before) = sequence.checked_sub(back) else { break };
                let index = self.medium.region.index_of(before);
                let probe = self.probe(index, Some((identity, before)), scratch).await.map_err(unmounted)?;
                if probe.opened_as(before) {
                    newest = Some((identity, before));
                    break;
                }
            }
        }
        if let Some((identity, mut sequence)) = newest {
            // Sectors behind it whose first header is damaged, and that were looked at before it was known what to
            // expect of them.
            for _ in 0..sectors {
                let next = sequence.saturating_add(1);
                let index = self.medium.region.index_of(next);
                let probe = self.probe(index, Some((identity, next)), scratch).await.map_err(unmounted)?;
                if !probe.opened_as(next) {
                    break;
                }
                sequence = next;
            }
            return Ok((identity, sequence));
        }
        match self.written_in_first(scratch).await.map_err(unmounted)? {
            Some(0) => return Err(MountError::Blank),
            Some(end) if self.is_begun(end, scratch).await.map_err(unmounted)? => return Err(MountError::Unfinished),
            _ => {}
        }
        Err(match other {
            Some(Found::OtherGeometry(found)) => MountError::Geometry { found },
            Some(Found::OtherVersion(found)) => MountError::Version { found },
            _ => self.medium.unreadable.take().map_or(MountError::Foreign, MountError::Storage),
        })
    }

    /// How far the first sector of the region is written; `None` if anything is written in another one.
    async fn written_in_first(&mut self, scratch: &mut Scratch<'_>) -> Result<Option<u32>, ReadError<F::Error>> {
        let region = self.medium.region;
        for index in 1..region.sectors {
            let sector = index.saturating_mul(region.sector);
            if !self.medium.erased_between(sector, 0, region.sector, scratch).await? {
                return Ok(None);
            }
        }
        self.medium.programmed_end(0, 0, region.sector, scratch).await.map(Some)
    }

    /// Whether what is written up to `end` in the first sector, and nothing else in the region, can be what a format
    /// left that was cut off: a header, whole or with some of its bits still to be cleared, or set again.
    async fn is_begun(&mut self, end: u32, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let region = self.medium.region;
        let least = u32::try_from(PREPARED_BYTES).unwrap_or(32);
        let bytes = self.medium.window(0, least, region.sector, scratch).await?;
        let header = bytes.get(..PREPARED_BYTES).unwrap_or_default();
        let whole = Header { identity: Identity::default(), sequence: 0, erases: 0 }.encode(&region);
        // A word that cannot be read, as on flash with ECC after its programming was cut, stands as zeros here.
        let damaged = self.medium.unreadable.is_some();
        let mut bytes = header.iter().zip(&whole).take(GEOMETRY_BYTES);
        let alike = bytes.all(|(found, whole)| found & whole == *whole || damaged && *found == 0);
        let begun = header.iter().take(GEOMETRY_BYTES).any(|byte| *byte != 0xFF);
        Ok(begun && alike && end <= region.words(least).saturating_add(OPEN_BYTES))
    }

    /// The oldest sector of this life that has not been let go: the one that the newest tells of, or if that has been
    /// erased since, the first behind it that is still there.
    pub(crate) async fn find_oldest(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        let (newest, genesis, base) = (self.newest.sequence, self.newest.genesis, self.newest.base);
        let sectors = self.medium.region.sectors;
        // A sector that is to be erased was let go before.
        let next = self.announced.max(newest);
        let least = next.saturating_sub(sectors.saturating_sub(1));
        let told = self.oldest.0;
        if told > least {
            return Ok(());
        }
        // The erase of the lowest may have been begun without a word, for lack of room.
        let mut oldest = least.max(told).max(genesis);
        while oldest < newest {
            if let Some(opened) = self.opened(self.identity, oldest, scratch).await? {
                self.oldest = (oldest, opened.base);
                return Ok(());
            }
            oldest = oldest.saturating_add(1);
        }
        self.oldest = (newest, base);
        Ok(())
    }

    /// The highest sequence number of any sector with this geometry, for a new life to go on from; `None` if none of
    /// them holds records.
    pub(crate) async fn highest_sequence(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let (mut highest, mut any_opened) = (None, false);
        for index in 0..self.medium.region.sectors {
            let probe = self.probe(index, None, scratch).await?;
            any_opened |= matches!(probe, Probe::Opened(..));
            highest = highest.max(match probe {
                Probe::Prepared(_, sequence, _) | Probe::Opened(_, sequence) => Some(sequence),
                Probe::None(_) => None,
            });
        }
        Ok(highest.filter(|_| any_opened))
    }
}
