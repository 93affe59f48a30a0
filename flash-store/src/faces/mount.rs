//! Finding the log in the flash: which sector is the newest, and what is in it.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Moment, Position, StreamId};

use super::flash_log::{FlashLog, Newest, State};
use super::search::{Newer, Run};
use super::walk::Walk;
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::checksum::sector_seed;
use crate::format::digest::Digest;
use crate::format::entry::Head;
use crate::format::frame::Frame;
use crate::format::header::{Found, Identity, PREPARED_BYTES, Prepared as Header};
use crate::region::{Region, align_up};
use crate::table::{Known, version_after};

/// The smallest scratch buffer that a log can be mounted with.
pub(crate) const LEAST_SCRATCH: u32 = 64;

/// How often a log is looked for whose newest header reads differently every time.
const TRIES: u32 = 100;

/// How often the newest sector may turn out not to be before all headers are looked at.
const ROUNDS: u32 = 4;

/// How often the last frame is read again at a mount after an unclean stop.
const STEADY_READS: u32 = 1;

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
    /// The sequence number of the oldest sector in use when it was opened.
    pub(crate) oldest: u32,
    /// How many sequence numbers before this one the sector stands that was the newest before.
    pub(crate) back: u32,
    pub(crate) moment: Moment,
}

pub(crate) fn unmounted<E>(error: ReadError<E>) -> MountError<E> {
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
        (self.medium.unreadable, self.restarting) = (None, None);
        self.check_region(scratch)?;
        let mut tried = 0_u32;
        loop {
            let (identity, run) = self.find_newest(scratch).await?;
            tried = tried.saturating_add(1);
            match self.take_up(identity, run, scratch).await {
                // A header that was just being written may read well the one time and not the next.
                Err(MountError::Foreign) if tried < TRIES => {
                    scratch.bytes_mut(); // read it anew
                }
                done => return done,
            }
        }
    }

    /// Takes up the log whose newest sector is the last of this run.
    pub(crate) async fn take_up(
        &mut self,
        identity: Identity,
        run: Run,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), MountError<F::Error>> {
        self.identity = identity;
        let (mut run, mut rounds, mut fallen) = (run, 0_u32, false);
        loop {
            rounds = rounds.saturating_add(1);
            let sequence = run.last;
            self.read_newest(sequence, None, scratch).await?;
            if self.restarting == Some(sequence) && self.newest.back > 0 && !fallen {
                fallen = true;
                // Its erase has been begun: nothing in it stands nowhere else.
                run = Run::ending(sequence.saturating_sub(self.newest.back));
                continue;
            }
            if !self.reads_steadily(scratch).await.map_err(unmounted)? {
                return Err(MountError::Foreign);
            }
            if !fallen && self.was_passed_over(scratch).await.map_err(unmounted)? {
                (fallen, self.restarting) = (true, Some(sequence));
                run = Run::ending(sequence.saturating_sub(self.newest.back));
                continue;
            }
            let newer = self.find_newer(run.is_prepared, scratch).await.map_err(unmounted)?;
            let found = match newer {
                Newer::Opened(newer) if rounds < ROUNDS => {
                    match self.end_of_run(identity, newer, scratch).await.map_err(unmounted)? {
                        Some(run) => run,
                        None => Run::ending(self.find_newest_by_scan(scratch).await?.1),
                    }
                }
                Newer::None if rounds > ROUNDS || fallen || self.ends_here(scratch).await.map_err(unmounted)? => {
                    break;
                }
                _ => {
                    rounds = ROUNDS;
                    Run::ending(self.find_newest_by_scan(scratch).await?.1)
                }
            };
            if found.last <= sequence {
                if let Newer::Headless(headless) = newer {
                    self.pass_headless(headless);
                }
                break;
            }
            run = found;
        }
        self.find_oldest(scratch).await.map_err(unmounted)?;
        self.reader.forget();
        self.chase = None;
        self.pressed = false;
        self.restarted = false;
        self.state = State::Mounted;
        Ok(())
    }

    /// Whether the newest sector, of which only the header reads, was never opened: that header was cut off while it was
    /// written, and reads well today, and the log went on in the sector before.
    async fn was_passed_over(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let Newest { sequence, back, base, events, torn, .. } = self.newest;
        if !torn || !self.newest.is_only_header() || back == 0 {
            return Ok(false);
        }
        let before = sequence.saturating_sub(back);
        let Some(opened) = self.opened(self.identity, before, scratch).await? else { return Ok(false) };
        let mut walk = self.walk(before, opened.frame.at);
        while self.medium.step(&mut walk, None, scratch).await?.is_some() {}
        if opened.base.plus(u64::from(walk.ordinal)) > base.plus(u64::from(events)) {
            return Ok(true);
        }
        // Or in one that stands between.
        let lap = sequence.saturating_sub(self.medium.region.sectors);
        for other in before.max(lap).saturating_add(1)..sequence {
            let Some(opened) = self.opened(self.identity, other, scratch).await? else { continue };
            if other.saturating_sub(opened.back) == before {
                let at = opened.frame.next;
                if self
                    .medium
                    .frame(self.medium.region.sector_at(other), self.walk(other, 0).seed, at, scratch)
                    .await?
                    .is_some()
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the last frame reads well every time: if not, it was being written when power failed, and the next try
    /// may as well find it unfinished.
    pub(crate) async fn reads_steadily(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, ReadError<F::Error>> {
        let Newest { sector, seed, last, torn, .. } = self.newest;
        let Some(last) = last.filter(|_| torn) else { return Ok(true) };
        for _ in 0..STEADY_READS {
            scratch.bytes_mut(); // read it anew
            let Some(frame) = self.medium.frame(sector, seed, last.at, scratch).await? else { return Ok(false) };
            let events = self.repeatable(sector, frame, scratch).await?.events;
            if (frame.end, frame.ordinal, events) != (last.end, last.ordinal, self.newest.in_last) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How often the sector for this sequence number has been erased, if its header tells.
    pub(crate) async fn erases_of(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let header = self.first_header(sequence, scratch).await?;
        Ok(header.prepared().map(|header| header.erases))
    }

    /// Whether the first part of its header says that this sector was made ready under this sequence number.
    pub(crate) async fn is_prepared_as(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let header = self.first_header(sequence, scratch).await?;
        let header = header.prepared();
        Ok(header.is_some_and(|header| (header.identity, header.sequence) == (self.identity, sequence)))
    }

    /// The first part of the header of the sector for this sequence number, whatever it says.
    pub(crate) async fn first_header(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Found, ReadError<F::Error>> {
        let region = self.medium.region;
        let sector = region.sector_at(sequence);
        let least = u32::try_from(PREPARED_BYTES).unwrap_or(32);
        let bytes = self.medium.window(sector, least, sector.saturating_add(region.sector), scratch).await?;
        Ok(Header::decode(&region, bytes.get(..PREPARED_BYTES).unwrap_or_default()))
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
            let Some(opened) = self.opened_at(sector, seed, place, scratch).await? else { continue };
            found = Some(opened);
            if self.goes_on(sector, seed, opened.frame.next, scratch).await? {
                break;
            }
        }
        Ok(found)
    }

    /// The second part of a sector's header, if it stands at this place.
    async fn opened_at(
        &mut self,
        sector: u32,
        seed: u32,
        place: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Opened>, ReadError<F::Error>> {
        let Some(frame) = self.medium.frame(sector, seed, place, scratch).await? else { return Ok(None) };
        let parsed = self.medium.entry(sector, frame.entries, frame.end, scratch).await?;
        Ok(match parsed.map(|parsed| parsed.head) {
            Some(Head::Open { base, oldest, back, moment }) => Some(Opened { frame, base, oldest, back, moment }),
            _ => None,
        })
    }

    /// Whether the second part of the header of the sector with this sequence number is there, at any of its places.
    pub(crate) async fn is_opened(
        &mut self,
        identity: Identity,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let region = self.medium.region;
        let sector = region.sector_at(sequence);
        let seed = sector_seed(identity.log, identity.epoch, sequence);
        for number in 0..OPEN_PLACES {
            let Some(place) = open_place(&region, number) else { break };
            if self.opened_at(sector, seed, place, scratch).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
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
            at = frame.next;
        }
        Ok(true)
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
        self.wear = self.erases_of(sequence, scratch).await.map_err(unmounted)?.unwrap_or(self.wear);
        let opened = self.opened(self.identity, sequence, scratch).await.map_err(unmounted)?;
        let Some(opened) = opened else {
            // It was there just now: it was being written or erased, and nothing in it stands nowhere else.
            self.restarting = Some(sequence);
            return Err(MountError::Foreign);
        };
        let mut walk = self.walk(sequence, opened.frame.at);
        self.streams.clear();
        self.streams.next_use();
        self.trackers.clear();
        self.restarting = self.restarting.filter(|restarting| *restarting > sequence);
        (self.announced, self.overwritten) = (sequence, (Position(1), 0));
        let (mut left, ring) = (None, self.medium.region.sectors.saturating_sub(1));
        let (mut digest, mut snapshots) = (Digest::default(), Digest::default());
        let mut frame = None;
        let (mut slots, mut closed, mut carried, mut stored, mut tracked) = (0_u8, false, 0_u32, false, None);
        while let Some(step) = self.medium.step(&mut walk, ceiling, scratch).await.map_err(unmounted)? {
            if walk.last.map(|last| last.at) != frame {
                frame = walk.last.map(|last| last.at);
                self.announced_before = self.announced;
            }
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
                    tracked = tracked.or(frame.filter(|at| *at != opened.frame.at));
                    if !self.trackers.set(tracker, position) {
                        return Err(MountError::TooManyTrackers);
                    }
                }
                Head::Event { slot, version_low } => {
                    if let Some(known) = self.streams.by_slot(slot) {
                        known.version = version_after(known.version, version_low, step.local);
                    }
                }
                Head::Introduction { slot, named } => {
                    slots = slots.max(slot.saturating_add(1));
                    digest.add(named.stream);
                    self.remember(sequence, Some(slot), &named);
                }
                Head::Inline { named } => {
                    digest.add(named.stream);
                    self.remember(sequence, None, &named);
                }
                Head::Snapshot { named } => {
                    digest.add(named.stream);
                    snapshots.add(named.stream);
                    self.note_snapshot(sequence, &named);
                }
                Head::Erase { ahead: 0 } => self.restarting = Some(sequence),
                Head::Erase { ahead } => {
                    self.announced = self.announced.max(sequence.saturating_add(ahead.min(ring)));
                }
                Head::Left { frontier } => left = Some(frontier),
                Head::Lost { first, count } => self.overwritten = (first, count),
                Head::Open { back, .. } => self.aside = self.aside.max(back.saturating_sub(1).min(ring)),
                Head::Trail { stream, back } => self.note_trail(sequence, stream, back),
                Head::Digest | Head::Snapshots | Head::Resume { .. } | Head::Close => {}
            }
        }
        if closed {
            let end = walk.offset.saturating_add(self.medium.region.quiet());
            closed = self.medium.erased_between(walk.sector, walk.offset, end, scratch).await.map_err(unmounted)?;
        }
        self.take_newest(&opened, &walk, sequence, slots, closed);
        self.left_at = None;
        self.newest.left = left;
        (self.newest.carried, self.newest.stored, self.newest.tracked) = (carried, stored, tracked);
        (self.newest.digest, self.newest.snapshots) = (digest, snapshots);
        Ok(())
    }

    fn take_newest(&mut self, opened: &Opened, walk: &Walk, sequence: u32, slots: u8, closed: bool) {
        self.newest = Newest {
            sequence,
            seed: walk.seed,
            sector: walk.sector,
            base: opened.base,
            oldest: opened.oldest,
            opened: opened.frame.at,
            offset: walk.offset,
            events: walk.ordinal,
            carried: 0,
            lost: 0,
            stored: false,
            tracked: None,
            unrepeated: None,
            back: opened.back,
            left: None,
            slots,
            digest: Digest::default(),
            snapshots: Digest::default(),
            in_last: walk.in_frame,
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
            snapshot: self.streams.get(named.stream).and_then(|known| known.snapshot),
            slot: slot.or(self.streams.get(named.stream).and_then(|known| known.slot)),
            used: 0,
        };
        let _ = self.streams.insert(known);
    }

    /// Where a stream appeared last, as the header tells; its version is to be looked up there.
    fn note_trail(&mut self, sequence: u32, stream: StreamId, back: u32) {
        let appeared = sequence.checked_sub(back).filter(|appeared| *appeared < sequence);
        if appeared.is_some() && self.streams.get(stream).is_none() {
            let _ = self.streams.insert(Known { appeared, ..Known::nothing_of(stream) });
        }
    }

    /// A snapshot tells that its stream had at least this version.
    fn note_snapshot(&mut self, sequence: u32, named: &crate::format::entry::Named) {
        match self.streams.get_mut(named.stream).filter(|known| !known.is_trail()) {
            Some(known) => {
                known.appeared = Some(sequence);
                known.version = known.version.max(named.version);
            }
            None => self.remember(sequence, None, named),
        }
        if let Some(known) = self.streams.get_mut(named.stream) {
            known.snapshot = core::num::NonZeroU32::new(sequence);
        }
    }
}
