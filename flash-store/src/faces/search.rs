//! Finding out which sectors of the region hold the log: the newest, the oldest, the one to come.

use evenkeel_core::Position;
use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;

use super::flash_log::{FlashLog, Prepared};
use super::mount::{OPEN_PLACES, OPEN_STRIDE, open_place, unmounted};
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::entry::Head;
use crate::format::header::{Found, Identity, PREPARED_BYTES, Prepared as Header};
use crate::sabotage::{self, Break};

/// The bytes of a first header that are the same for every log of this geometry.
const GEOMETRY_BYTES: usize = 7;

/// How many sectors behind the newest are looked at for one that tells that the log ends there.
const LOOKED_AHEAD: u32 = 3;

/// How many bytes of a place for a header are looked at to see whether it was begun with.
const LOOKED_AT: u32 = 8;

/// What there is behind a sector that was taken for the newest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Newer {
    None,
    /// A newer one after all.
    Opened(u32),
    /// Sectors that were in use and cannot be read.
    Headless(Headless),
}

/// Sectors behind the newest whose second header is damaged: the last of them, and how many events are in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Headless {
    last: u32,
    events: u32,
}

/// What a look at the headers of one sector found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// Both parts.
    Opened(Identity, u32),
    /// The first part only.
    Prepared(Identity, u32),
    /// The first part, as expected, and at no place of a second one anything that shows.
    Untouched(Identity, u32),
    /// No valid header.
    None(Found),
}

impl Probe {
    fn opened_as(&self, identity: Identity, sequence: u32) -> bool {
        matches!(self, Self::Opened(of, found) if (*of, *found) == (identity, sequence))
    }

    /// Whether it was written later than the sector of this sequence number: a new life goes on from the highest number.
    fn is_beyond(&self, identity: Identity, sequence: u32) -> bool {
        let (Self::Opened(found, number) | Self::Prepared(found, number) | Self::Untouched(found, number)) = self
        else {
            return false;
        };
        if *found == identity {
            return *number > sequence;
        }
        *number >= sequence || found.log == identity.log && found.epoch > identity.epoch
    }
}

/// The end of a run of sectors that were opened one after another, in the order of the region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The sequence number of its last sector.
    pub(crate) last: u32,
    /// The next one has been prepared, and nothing shows in it behind that.
    pub(crate) is_prepared: bool,
}

impl Run {
    /// One of which it is not known what follows.
    pub(crate) fn ending(last: u32) -> Self {
        Self { last, is_prepared: false }
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
        if header.is_some() && header == expected && !self.is_touched(sequence, scratch).await? {
            return Ok(Probe::Untouched(identity, sequence));
        }
        let opened = self.restarting != Some(sequence) && self.is_opened(identity, sequence, scratch).await?;
        Ok(match (opened, header) {
            (true, _) => Probe::Opened(identity, sequence),
            (false, Some(_)) => Probe::Prepared(identity, sequence),
            (false, None) => Probe::None(found),
        })
    }

    /// A sector to begin with: the newest, as far as a binary search over the sequence numbers tells.
    pub(crate) async fn find_newest(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<(Identity, Run), MountError<F::Error>> {
        match self.probe(0, None, scratch).await.map_err(unmounted)? {
            Probe::Opened(identity, first) => {
                match self.end_of_run(identity, first, scratch).await.map_err(unmounted)? {
                    Some(newest) => Ok((identity, newest)),
                    None => self.scanned_run(scratch).await,
                }
            }
            _ => self.scanned_run(scratch).await,
        }
    }

    async fn scanned_run(&mut self, scratch: &mut Scratch<'_>) -> Result<(Identity, Run), MountError<F::Error>> {
        let (identity, newest) = self.find_newest_by_scan(scratch).await?;
        Ok((identity, Run::ending(newest)))
    }

    /// The last sector of the run that the sector with this sequence number belongs to: those behind it in the region
    /// that were opened in the same lap. A sector that was set aside ends a run. `None` if one behind it was written in a
    /// later lap: then the run itself is of sectors that refuse to be erased.
    pub(crate) async fn end_of_run(
        &mut self,
        identity: Identity,
        first: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Run>, ReadError<F::Error>> {
        let region = self.medium.region;
        let start = region.index_of(first);
        // Invariant: the sector `low` belongs to the run, `high` does not.
        let (mut low, mut high, mut is_prepared) = (start, region.sectors, false);
        while high.saturating_sub(low) > 1 {
            let middle = low.saturating_add(high) >> 1;
            let sequence = first.saturating_add(middle.saturating_sub(start));
            // What its header says to be of an earlier lap need not be looked at further, nor what looks erased: right behind
            // the run it will be, should its header only look so.
            let is_earlier = |header: &Header| {
                header.identity == identity && header.sequence < sequence && region.index_of(header.sequence) == middle
            };
            let behind = match self.first_header(sequence, scratch).await? {
                Found::Prepared(header) => is_earlier(&header),
                found => found == Found::Blank,
            };
            if behind {
                (high, is_prepared) = (middle, false);
                continue;
            }
            let probe = self.probe(middle, Some((identity, sequence)), scratch).await?;
            if probe.is_beyond(identity, sequence) {
                return Ok(None);
            }
            if probe.opened_as(identity, sequence) {
                low = middle;
            } else {
                (high, is_prepared) = (middle, matches!(probe, Probe::Untouched(..)));
            }
        }
        Ok(Some(Run { last: first.saturating_add(low.saturating_sub(start)), is_prepared }))
    }

    /// Looks at what follows the newest sector, which has been read: the sequence number of a newer one, if there is
    /// one after all, behind sectors that were set aside or whose header is damaged.
    ///
    /// Before a sector is erased, the newest one says so: so it is known how far ahead the next can be. `is_prepared` says
    /// that the next sector was found to be so, and nothing behind that.
    pub(crate) async fn find_newer(
        &mut self,
        is_prepared: bool,
        scratch: &mut Scratch<'_>,
    ) -> Result<Newer, ReadError<F::Error>> {
        let region = self.medium.region;
        let newest = self.newest.sequence;
        (self.next, self.prepared) = (newest.saturating_add(1), Prepared::No);
        let most = newest.saturating_add(region.sectors.saturating_sub(1));
        let mut said =
            if self.announced > newest { self.announced.saturating_add(1) } else { newest.saturating_add(1) };
        let (mut newer, mut headless, mut sequence) = (None, Headless::default(), newest);
        while sequence < said.min(most) {
            sequence = sequence.saturating_add(1);
            if is_prepared && sequence == newest.saturating_add(1) {
                (self.next, self.prepared) = (sequence, Prepared::Found);
                continue;
            }
            match self.probe(region.index_of(sequence), Some((self.identity, sequence)), scratch).await? {
                // The one that is to be started anew is there no more.
                Probe::Opened(..) if self.restarting == Some(sequence) => {}
                Probe::Opened(identity, found) if identity == self.identity && found == sequence => {
                    newer = Some(sequence);
                }
                Probe::Untouched(identity, _) if identity == self.identity => {
                    (self.next, self.prepared) = (sequence, Prepared::Found);
                }
                Probe::Prepared(identity, found) if identity == self.identity && found == sequence => {
                    match self.read_headless(sequence, scratch).await? {
                        Some(events) => {
                            headless = Headless { last: sequence, events: headless.events.saturating_add(events) };
                            said = said.max(sequence.saturating_add(1));
                        }
                        None => (self.next, self.prepared) = (sequence, Prepared::Found),
                    }
                }
                _ => {}
            }
        }
        Ok(match newer {
            Some(newer) => Newer::Opened(newer),
            None if headless.last > newest => Newer::Headless(headless),
            None => Newer::None,
        })
    }

    /// Reads a sector that has been prepared and whose second header does not verify: how many events are in it.
    /// `None` if there is no frame in it: then it was never opened, or the header is all that was ever written.
    ///
    /// A frame behind the header is only written once the header has been read back, so no power cut leaves this: the
    /// header was damaged at rest.
    async fn read_headless(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let region = self.medium.region;
        let Some(begun) = self.begun_header(sequence, scratch).await? else { return Ok(None) };
        if sabotage::is_on(Break::DamagedHeader) {
            return Ok(None);
        }
        let (mut walk, mut is_found) = (self.walk(sequence, begun), false);
        while let Some(step) = self.medium.step(&mut walk, None, scratch).await? {
            is_found = true;
            match step.head {
                // It reads well now and then: it was being written when power failed.
                Head::Open { .. } => return Ok(None),
                Head::Track { tracker, position } => {
                    let _ = self.trackers.set(tracker, position);
                }
                Head::Erase { ahead } => {
                    let ahead = ahead.min(region.sectors.saturating_sub(1));
                    self.announced = self.announced.max(sequence.saturating_add(ahead));
                }
                Head::Lost { first, count } => self.overwritten = (first, count),
                _ => {}
            }
        }
        Ok(is_found.then_some(walk.ordinal))
    }

    /// Whether anything shows at any of the places of a sector's second header, or of the marks before it.
    async fn is_touched(&mut self, sequence: u32, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let region = self.medium.region;
        let sector = region.sector_at(sequence);
        for number in 0..OPEN_PLACES {
            let Some(place) = open_place(&region, number) else { break };
            let from = if number == 0 { place } else { place.saturating_sub(region.marks()) };
            if !self.medium.erased_between(sector, from, place.saturating_add(LOOKED_AT), scratch).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where in a sector the second header was begun with, whether or not it can be read.
    pub(crate) async fn begun_header(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let region = self.medium.region;
        let sector = region.sector_at(sequence);
        for number in 0..OPEN_PLACES {
            let Some(place) = open_place(&region, number) else { break };
            if !self.medium.erased_between(sector, place, place.saturating_add(LOOKED_AT), scratch).await? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Goes on behind sectors whose second header is damaged: the positions of their events are never given to others,
    /// and are told as missing. The newest sector that can be read is not written to any more.
    pub(crate) fn pass_headless(&mut self, headless: Headless) {
        let newest = &mut self.newest;
        newest.events = newest.events.saturating_add(headless.events);
        // What was acknowledged was there, whatever can be counted now.
        let seen = self.trackers.iter().map(|(_, position)| position).max().unwrap_or(Position::START);
        let short = seen.next().since(newest.next());
        newest.events = newest.events.saturating_add(u32::try_from(short).unwrap_or(u32::MAX));
        (newest.offset, newest.stored) = (self.medium.region.sector, true);
        (newest.torn, newest.closed, newest.lost) = (false, false, 0);
        self.announced = self.announced.max(headless.last);
        if self.prepared == Prepared::No {
            self.next = headless.last.saturating_add(1);
        }
    }

    /// Whether what follows the newest sector looks like the end of the log: prepared for the next lap, of the lap
    /// before, or blank in the first lap. If not, headers are damaged, and the search may have ended too early.
    pub(crate) async fn ends_here(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let region = self.medium.region;
        let newest = self.newest.sequence;
        if self.prepared != Prepared::No {
            return Ok(true);
        }
        for ahead in 1..=LOOKED_AHEAD.min(region.sectors.saturating_sub(1)) {
            let sequence = newest.saturating_add(ahead);
            let index = region.index_of(sequence);
            match self.probe(index, Some((self.identity, sequence)), scratch).await? {
                Probe::Opened(identity, found)
                | Probe::Prepared(identity, found)
                | Probe::Untouched(identity, found)
                    if identity == self.identity =>
                {
                    return Ok(found < newest);
                }
                Probe::Opened(..) | Probe::Prepared(..) | Probe::Untouched(..) => return Ok(true),
                Probe::None(_) => {}
            }
        }
        // In the first lap everything behind is as it was before the log.
        let last = region.sectors.saturating_sub(1);
        if region.index_of(newest).saturating_add(LOOKED_AHEAD) > last {
            return Ok(false);
        }
        let probe = self.probe(last, None, scratch).await?;
        Ok(!matches!(probe, Probe::Opened(identity, _) if identity == self.identity))
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
                Probe::Prepared(identity, sequence) | Probe::Untouched(identity, sequence)
                    if prepared.is_none_or(|(_, highest)| sequence > highest) =>
                {
                    prepared = Some((identity, sequence));
                }
                Probe::None(found @ (Found::OtherGeometry(_) | Found::OtherVersion(_))) => other = Some(found),
                _ => {}
            }
        }
        if let Some((identity, sequence)) = prepared {
            // Headers of sectors in use are damaged, or cannot be read every time: what has been prepared tells what to
            // expect of those before it.
            let known = newest.filter(|(of, _)| *of == identity).map_or(0, |(_, newest)| newest);
            let is_of_another = newest.is_some_and(|(of, _)| of != identity);
            for back in 1..if is_of_another { 1 } else { sectors } {
                let Some(before) = sequence.checked_sub(back).filter(|before| *before > known) else { break };
                let index = self.medium.region.index_of(before);
                let probe = self.probe(index, Some((identity, before)), scratch).await.map_err(unmounted)?;
                if probe.opened_as(identity, before) {
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
                if !probe.opened_as(identity, next) {
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
        Ok(begun && alike && end <= region.words(least).saturating_add(OPEN_STRIDE))
    }

    /// The oldest sector of this life that has not been let go: the one that the header of the newest tells, unless that one
    /// has been let go since. Then it is the first behind the next sector (going round) that is still there, as sectors are
    /// used in the order of their sequence numbers.
    pub(crate) async fn find_oldest(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        let (newest, told, base) = (self.newest.sequence, self.newest.oldest, self.newest.base);
        // A sector that is to be erased was let go before.
        let next = self.announced.max(newest);
        let least = next.saturating_sub(self.medium.region.sectors.saturating_sub(1));
        if told >= least && told < newest {
            // Whoever told it knew it for one that had been opened.
            if let Some(opened) = self.opened(self.identity, told, scratch).await? {
                self.oldest = (told, opened.base);
                return Ok(());
            }
        }
        let oldest = told.max(least);
        self.oldest = match oldest.checked_sub(1).filter(|_| oldest < newest) {
            Some(before) => {
                let first = self.first_opened_after(before, scratch).await?;
                (first.sequence, first.base)
            }
            None => (newest, base),
        };
        Ok(())
    }

    /// The highest sequence number of any opened sector with this geometry, for a new life to go on from; `None` if there is
    /// none. What has been prepared behind it is where the new life begins: else the old one would seem to end there.
    pub(crate) async fn highest_sequence(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let mut highest = None;
        for index in 0..self.medium.region.sectors {
            if let Probe::Opened(_, sequence) = self.probe(index, None, scratch).await? {
                highest = highest.max(Some(sequence));
            }
        }
        Ok(highest)
    }
}
