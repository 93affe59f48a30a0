//! Finding the log in the flash: which sector is the newest, and what is in it.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Moment, Position};

use super::flash_log::{FlashLog, Newest, Prepared, State};
use super::walk::Walk;
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::checksum::sector_seed;
use crate::format::entry::Head;
use crate::format::frame::Frame;
use crate::format::header::{Found, Identity, PREPARED_BYTES, Prepared as Header};
use crate::region::{Region, align_up};
use crate::table::{Known, version_after};

/// The smallest scratch buffer that a log can be mounted with.
pub(crate) const LEAST_SCRATCH: u32 = 64;

/// How often a log is looked for whose newest header reads differently every time.
const TRIES: u32 = 100;

/// The bytes of a first header that are the same for every log of this geometry.
const GEOMETRY_BYTES: usize = 7;

/// How often the last frame is read again at a mount after an unclean stop.
const STEADY_READS: u32 = 2;

/// How many places there are for the second part of a sector's header: after an unclean stop the first may have
/// been begun with.
pub(crate) const OPEN_PLACES: u32 = 4;
/// The most bytes of the second part, and the distance of these places in sectors of 1 KiB and more.
pub(crate) const OPEN_STRIDE: u32 = 256;

/// Where in a sector the second part of its header can be, by the number of the try. Before all tries but the first
/// stand the marks of a new start: see [`tail`](super::tail).
pub(crate) fn open_place(region: &Region, number: u32) -> Option<u32> {
    let first = region.words(u32::try_from(PREPARED_BYTES).unwrap_or(32));
    if number == 0 {
        return Some(first);
    }
    let stride = align_up(OPEN_STRIDE.min(region.sector >> 2), region.page.max(region.word));
    let start = align_up(first, stride).saturating_add(stride.saturating_mul(number.saturating_sub(1)));
    let place = start.saturating_add(region.marks());
    (number < OPEN_PLACES && place <= region.sector >> 1).then_some(place)
}

/// The second part of a sector's header, as found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(crate) frame: Frame,
    pub(crate) base: Position,
    pub(crate) genesis: u32,
    pub(crate) moment: Moment,
}

/// What a look at the headers of one sector found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// Both parts.
    Opened(Identity, u32),
    /// The first part only.
    Prepared(Identity, u32),
    /// No valid header.
    None(Found),
}

impl Probe {
    fn opened_as(&self, sequence: u32) -> bool {
        matches!(self, Self::Opened(_, found) if *found == sequence)
    }
}

fn unmounted<E>(error: ReadError<E>) -> MountError<E> {
    match error {
        ReadError::Storage(error) => MountError::Storage(error),
        ReadError::ScratchTooSmall { needed } => MountError::ScratchTooSmall { needed },
        _ => MountError::Foreign,
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Mounts: finds the newest sector by binary search, and reads it through.
    pub(crate) async fn find_log(&mut self, scratch: &mut Scratch<'_>) -> Result<(), MountError<F::Error>> {
        self.state = State::Unknown;
        self.medium.unreadable = None;
        self.check_region(scratch)?;
        let mut tried = 0_u32;
        loop {
            let (identity, newest) = self.find_newest(scratch).await?;
            tried = tried.saturating_add(1);
            match self.take_up(identity, newest, scratch).await {
                // A header that was just being written may read well the one time and not the next.
                Err(MountError::Foreign) if tried < TRIES => {
                    scratch.bytes_mut(); // read it anew
                }
                done => return done,
            }
        }
    }

    /// Takes up the log whose newest sector this is.
    pub(crate) async fn take_up(
        &mut self,
        identity: Identity,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), MountError<F::Error>> {
        self.identity = identity;
        self.read_newest(sequence, None, scratch).await?;
        if !self.reads_steadily(scratch).await.map_err(unmounted)? {
            return Err(MountError::Foreign);
        }
        self.find_oldest(scratch).await.map_err(unmounted)?;
        self.find_prepared(scratch).await.map_err(unmounted)?;
        self.reader.forget();
        self.chase = None;
        self.pressed = false;
        self.restarted = false;
        self.state = State::Mounted;
        Ok(())
    }

    /// Whether the last frame reads well every time: if not, it was being written when power failed, and the next try
    /// may as well find it unfinished.
    async fn reads_steadily(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let Newest { sector, seed, last, torn, .. } = self.newest;
        let Some(last) = last.filter(|_| torn) else { return Ok(true) };
        for _ in 0..STEADY_READS {
            scratch.bytes_mut(); // read it anew
            let Some(frame) = self.medium.frame(sector, seed, last.at, scratch).await? else { return Ok(false) };
            let events = self.repeatable(sector, frame, scratch).await?.events;
            let [expected, ..] = self.newest.events.wrapping_sub(events).to_le_bytes();
            if expected != frame.ordinal {
                return Ok(false);
            }
        }
        Ok(true)
    }

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
                self.wear = header.erases;
                Some((header.identity, header.sequence))
            }
            _ => None,
        };
        let Some((identity, sequence)) = header.or(expected) else { return Ok(Probe::None(found)) };
        let opened = self.opened(identity, sequence, scratch).await?;
        Ok(match (opened, header) {
            (Some(_), _) => Probe::Opened(identity, sequence),
            (None, Some(_)) => Probe::Prepared(identity, sequence),
            (None, None) => Probe::None(found),
        })
    }

    /// The second part of the header of the sector with this sequence number.
    pub(crate) async fn opened(
        &mut self,
        identity: Identity,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Opened>, ReadError<F::Error>> {
        let region = self.medium.region;
        let sector = region.sector_at(sequence);
        let seed = sector_seed(identity.log, identity.epoch, sequence);
        let mut found = None;
        for number in 0..OPEN_PLACES {
            let Some(place) = open_place(&region, number) else { break };
            let Some(frame) = self.medium.frame(sector, seed, place, scratch).await? else { continue };
            let parsed = self.medium.entry(sector, frame.entries, frame.end, scratch).await?;
            if let Some(Head::Open { base, genesis, moment }) = parsed.map(|parsed| parsed.head) {
                found = Some(Opened { frame, base, genesis, moment });
                if self.goes_on(sector, seed, region.words(frame.end), scratch).await? {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Whether two frames follow: a header that was given up, and written once more behind, has at most one.
    async fn goes_on(
        &mut self,
        sector: u32,
        seed: u32,
        at: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let mut at = at;
        for _ in 0..2 {
            let Some(frame) = self.medium.frame(sector, seed, at, scratch).await? else { return Ok(false) };
            at = self.medium.region.words(frame.end);
        }
        Ok(true)
    }

    /// The newest sector: the last one of the run that starts at the first sector of the region.
    pub(crate) async fn find_newest(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<(Identity, u32), MountError<F::Error>> {
        let sectors = self.medium.region.sectors;
        let first = self.probe(0, None, scratch).await.map_err(unmounted)?;
        let Probe::Opened(identity, start) = first else {
            return self.find_newest_by_scan(scratch).await;
        };
        // Invariant: the sector `low` belongs to the run, `high` does not.
        let (mut low, mut high) = (0, sectors);
        while high.saturating_sub(low) > 1 {
            let middle = low.saturating_add(high) >> 1;
            if self.in_run(identity, start, middle, scratch).await.map_err(unmounted)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        // Damage to headers can make the search end too early: what follows the run must look like it.
        if high < sectors && !self.ends_run(identity, start, high, scratch).await.map_err(unmounted)? {
            return self.find_newest_by_scan(scratch).await;
        }
        Ok((identity, start.saturating_add(low)))
    }

    /// Whether the sector at `index` was opened in the same lap as the first one. If its header is damaged, the
    /// next sector tells.
    async fn in_run(
        &mut self,
        identity: Identity,
        start: u32,
        index: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        for index in [index, index.saturating_add(1)] {
            if index >= self.medium.region.sectors {
                return Ok(false);
            }
            let sequence = start.saturating_add(index);
            match self.probe(index, Some((identity, sequence)), scratch).await? {
                Probe::None(Found::Blank) | Probe::Prepared(..) => return Ok(false),
                Probe::None(_) => {}
                opened => return Ok(opened.opened_as(sequence)),
            }
        }
        Ok(false)
    }

    /// Whether the sector at `index`, the first that is not in the run, is what follows a run: prepared, blank in
    /// the first lap, or of the lap before.
    async fn ends_run(
        &mut self,
        identity: Identity,
        start: u32,
        index: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let sectors = self.medium.region.sectors;
        let sequence = start.saturating_add(index);
        Ok(match self.probe(index, Some((identity, sequence)), scratch).await? {
            Probe::Opened(_, found) => found < start && found.saturating_add(sectors) == sequence,
            Probe::Prepared(_, found) => found == sequence,
            // In the first lap everything behind is blank, the last sector too.
            Probe::None(Found::Blank) => {
                let last = sectors.saturating_sub(1);
                matches!(self.probe(last, None, scratch).await?, Probe::None(Found::Blank))
            }
            Probe::None(_) => false,
        })
    }

    /// The newest sector by looking at all of them: when the binary search found what it cannot go by.
    async fn find_newest_by_scan(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<(Identity, u32), MountError<F::Error>> {
        let sectors = self.medium.region.sectors;
        let mut newest: Option<(Identity, u32)> = None;
        let mut other = None;
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
                Probe::None(found @ (Found::OtherGeometry(_) | Found::OtherVersion(_))) => other = Some(found),
                _ => {}
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
        Ok(begun && alike && end <= region.words(least).saturating_add(OPEN_STRIDE))
    }

    /// Reads the newest sector through: its streams, its trackers, its end.
    ///
    /// With `ceiling` it is taken to end there: what stands behind has been given up.
    pub(crate) async fn read_newest(
        &mut self,
        sequence: u32,
        ceiling: Option<u32>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), MountError<F::Error>> {
        let opened = self.opened(self.identity, sequence, scratch).await.map_err(unmounted)?;
        let Some(opened) = opened else { return Err(MountError::Foreign) };
        let mut walk = self.walk(sequence, opened.frame.at);
        self.streams.clear();
        self.streams.next_use();
        self.trackers.clear();
        let (mut slots, mut closed, mut carried, mut stored) = (0_u8, false, 0_u32, false);
        while let Some(step) = self.medium.step(&mut walk, ceiling, scratch).await.map_err(unmounted)? {
            // A clean stop that was only repeated by a later start is none any more.
            closed = matches!(step.head, Head::Close)
                && walk.last.is_some_and(|last| last.entries.saturating_add(1) == last.end);
            if walk.last.is_some_and(|frame| frame.at == opened.frame.at) {
                carried = walk.ordinal;
            } else {
                stored |= step.head.is_event();
            }
            match step.head {
                Head::Track { tracker, position } => {
                    if !self.trackers.set(tracker, position) {
                        return Err(MountError::TooManyTrackers);
                    }
                }
                Head::Event { slot, version_low } => {
                    if let Some(known) = self.streams.by_slot(slot) {
                        known.version = version_after(known.version, version_low);
                    }
                }
                Head::Introduction { slot, named } => {
                    slots = slots.max(slot.saturating_add(1));
                    self.remember(sequence, Some(slot), &named);
                }
                Head::Inline { named } => self.remember(sequence, None, &named),
                Head::Snapshot { named } => self.note_snapshot(sequence, &named),
                Head::Open { .. } | Head::Resume { .. } | Head::Close => {}
            }
        }
        if closed {
            let end = walk.offset.saturating_add(self.medium.region.quiet());
            closed = self.medium.erased_between(walk.sector, walk.offset, end, scratch).await.map_err(unmounted)?;
        }
        self.take_newest(&opened, &walk, sequence, slots, closed);
        (self.newest.carried, self.newest.stored) = (carried, stored);
        Ok(())
    }

    fn take_newest(&mut self, opened: &Opened, walk: &Walk, sequence: u32, slots: u8, closed: bool) {
        self.newest = Newest {
            sequence,
            seed: walk.seed,
            sector: walk.sector,
            base: opened.base,
            genesis: opened.genesis,
            offset: walk.offset,
            events: walk.ordinal,
            carried: 0,
            lost: 0,
            stored: false,
            slots,
            torn: !closed,
            closed,
            last: walk.last,
        };
        if self.moment < opened.moment {
            self.moment = opened.moment;
        }
    }

    fn remember(&mut self, sequence: u32, slot: Option<u8>, named: &crate::format::entry::Named) {
        let known = Known {
            stream: named.stream,
            version: named.version,
            appeared: Some(sequence),
            kind: named.kind,
            schema: named.schema,
            slot: slot.or(self.streams.get(named.stream).and_then(|known| known.slot)),
            used: 0,
        };
        let _ = self.streams.insert(known);
    }

    /// A snapshot tells that its stream had at least this version.
    fn note_snapshot(&mut self, sequence: u32, named: &crate::format::entry::Named) {
        match self.streams.get_mut(named.stream) {
            Some(known) => {
                known.appeared = Some(sequence);
                known.version = known.version.max(named.version);
            }
            None => self.remember(sequence, None, named),
        }
    }

    /// The oldest sector of this life: sectors are used in the order of their sequence numbers, so it is the first
    /// behind the newest (going round) that is still there.
    async fn find_oldest(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        let Newest { sequence: newest, genesis, base, .. } = self.newest;
        let sectors = self.medium.region.sectors;
        let mut oldest = genesis.max(newest.saturating_sub(sectors.saturating_sub(1)));
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

    async fn find_prepared(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        let next = self.newest.sequence.saturating_add(1);
        let index = self.medium.region.index_of(next);
        let probe = self.probe(index, None, scratch).await?;
        let ready = matches!(probe, Probe::Prepared(identity, found) if found == next && identity == self.identity);
        self.prepared = if ready { Prepared::Found } else { Prepared::No };
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
                Probe::Prepared(_, sequence) | Probe::Opened(_, sequence) => Some(sequence),
                Probe::None(_) => None,
            });
        }
        Ok(highest.filter(|_| any_opened))
    }
}
