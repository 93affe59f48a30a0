//! Opening a sector: the second part of its header, with what the log must know from there on.

use evenkeel_core::Position;
use evenkeel_core::bytes::ByteWriter;
use evenkeel_core::error::{AppendError, HeldBy, ReadError};
use evenkeel_core::scratch::Scratch;

use super::flash_log::{FlashLog, Newest, Prepared, State};
use super::mount::{OPEN_PLACES, OPEN_STRIDE, open_place};
use super::pour::Pour;
use super::sectors::Hold;
use super::streams::DOUBTS;
use super::tail::Repeated;
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::checksum::sector_seed;
use crate::format::digest::Digest;
use crate::format::entry::{self, Head};
use crate::format::frame::{Frame, HEAD_BYTES, frame_len, write_head};
use crate::format::header::Identity;

/// How often a sector is tried to be opened before the flash is taken to be worn out.
const OPEN_ATTEMPTS: u32 = 8;
/// The most bytes of an entry that tells where a stream appeared last.
const MOST_TRAIL_BYTES: usize = 13;

/// What is carried over from a frame into the next sector: how many entries, how many bytes there.
#[derive(Debug, Clone, Copy, Default)]
struct Carried {
    entries: u32,
    bytes: usize,
}

/// What a sector's header tells of the sector that was the newest before.
#[derive(Debug, Clone, Copy)]
struct Before {
    sequence: u32,
    digest: Digest,
    snapshots: Digest,
    /// Where it ends, if it was given up.
    left_at: Option<u32>,
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Begins a new life of the log, in the sector of this sequence number.
    pub(crate) async fn start_life(
        &mut self,
        identity: Identity,
        first: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), MountError<F::Error>> {
        const { assert!(TRACKERS <= 12, "the header of a sector has room for 12 trackers") };
        self.check_region(scratch)?;
        self.state = State::Unknown;
        self.identity = identity;
        self.trackers.clear();
        (self.newest.oldest, self.newest.base, self.newest.events) = (first, Position(1), 0);
        (self.newest.sequence, self.newest.digest) = (first, Digest::default());
        self.newest.snapshots = Digest::default();
        self.streams.clear();
        self.oldest = (first, Position(1));
        (self.overwritten, self.aside, self.left_at) = ((Position(1), 0), 0, None);
        self.erase_and_prepare(first, scratch).await.map_err(MountError::Storage)?;
        match self.write_opened(first, 0, None, scratch).await {
            Ok(_) => self.find_log(scratch).await,
            Err(AppendError::Storage(error)) => Err(MountError::Storage(error)),
            Err(_) => Err(MountError::ScratchTooSmall { needed: super::mount::LEAST_SCRATCH }),
        }
    }

    /// Writes the second part of a sector's header at the given try's place: with the trackers as they stand, and
    /// with what could not be repeated in the sector before. `None` if it does not read back.
    async fn write_opened(
        &mut self,
        sequence: u32,
        number: u32,
        carry: Option<Repeated>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, AppendError<F::Error>> {
        let region = self.medium.region;
        let Identity { log, epoch } = self.identity;
        let seed = sector_seed(log, epoch, sequence);
        let place = open_place(&region, number).unwrap_or_default();
        let carried = match carry {
            Some(carry) => self.count_carried(carry, scratch).await?,
            None => Carried::default(),
        };
        let (carried, carried_len) = (carried.entries, carried.bytes);
        let mut bytes = [0; OPEN_STRIDE as usize];
        let base = self.base_with(carry);
        let back = sequence.saturating_sub(self.newest.sequence);
        let open = Head::Open { base, oldest: self.first_in_use(), back, moment: self.moment };
        let Newest { sequence: newest, digest, snapshots, .. } = self.newest;
        let before = Before { sequence: newest, digest, snapshots, left_at: self.left_at };
        let len = self.encode_opened((sequence, open), before, carried > 0, carried_len, &mut bytes);
        let head = bytes.get(4..len).unwrap_or_default();
        let total = head.len().saturating_add(carried_len);
        let mut pour = Pour::into_checksum(seed, place, total);
        self.medium.pour(&mut pour, head).await?;
        if let Some(carry) = carry {
            self.pour_carried(&mut pour, carry, carried, scratch).await?;
        }
        if !pour.is_exact() || carry.is_some_and(|carry| carry.has_events && carried == 0) {
            return Ok(None);
        }
        let sector = region.sector_at(sequence);
        let mut pour = Pour::into_flash(sector.saturating_add(place), pour.checksum(), total);
        let before = core::mem::replace(&mut self.state, State::Interrupted);
        self.medium.pour(&mut pour, head).await?;
        if let Some(carry) = carry {
            self.pour_carried(&mut pour, carry, carried, scratch).await?;
        }
        self.medium.drain(&mut pour).await?;
        let end = place.saturating_add(u32::try_from(len.saturating_add(carried_len)).unwrap_or_default());
        let frame = self.medium.frame(sector, seed, place, scratch).await?;
        self.state = before;
        Ok(frame.filter(|frame| frame.end == end))
    }

    /// Encodes the frame as far as it is not carried over; there is room for it, as there is for the trackers.
    fn encode_opened(
        &self,
        (sequence, open): (u32, Head),
        before: Before,
        goes_on: bool,
        carried_len: usize,
        bytes: &mut [u8],
    ) -> usize {
        let tells_trails = self.medium.region.tells_trails();
        let digest_of = |head: &Head| match head {
            Head::Digest => before.digest.stored(),
            Head::Snapshots => before.snapshots.stored(),
            _ => ([0; 8], 0),
        };
        let tracks = || self.trackers.iter().map(|(tracker, position)| Head::Track { tracker, position });
        let lost = || self.lost_still_asked_for().map(|(first, count)| Head::Lost { first, count });
        let known = (!before.digest.is_empty()).then_some(Head::Digest);
        let snapshots = (tells_trails && !before.snapshots.is_empty()).then_some(Head::Snapshots);
        let left = before.left_at.map(|frontier| Head::Left { frontier });
        let fixed = || core::iter::once(open).chain(tracks()).chain(lost()).chain(known).chain(snapshots).chain(left);
        let size = |head: &Head| {
            let payload = digest_of(head).1;
            head.len(Some(payload)).saturating_add(payload)
        };
        // As many as are sure to have room.
        let room = bytes.len().saturating_sub(fixed().fold(HEAD_BYTES, |sum, head| sum.saturating_add(size(&head))));
        let most = if tells_trails { room.checked_div(MOST_TRAIL_BYTES).unwrap_or(0) } else { 0 };
        let trails = || self.trails(sequence, before.sequence).take(most);
        let heads = || fixed().chain(trails()).enumerate();
        let last = heads().count().saturating_sub(1);
        let told = |index: usize, payload: usize| (index < last || goes_on).then_some(payload);
        let entries = heads().fold(carried_len, |sum, (index, head)| {
            let payload = digest_of(&head).1;
            sum.saturating_add(head.len(told(index, payload))).saturating_add(payload)
        });
        let mut out = ByteWriter::new(bytes);
        let _ = write_head(entries, 0, &mut out);
        for (index, head) in heads() {
            let (digest, payload) = digest_of(&head);
            let _ = head
                .write(told(index, payload), &mut out)
                .and_then(|()| out.slice(digest.get(..payload).unwrap_or_default()));
        }
        debug_assert_eq!(out.len().saturating_add(carried_len), frame_len(entries));
        out.len()
    }

    /// Where the streams at hand appeared last that are not in the sector before the one with this sequence number.
    fn trails(&self, sequence: u32, before: u32) -> impl Iterator<Item = Head> + '_ {
        let oldest = self.oldest.0;
        self.streams.iter().filter(|known| !known.has_ended()).filter_map(move |known| {
            let appeared = known.appeared.filter(|appeared| (oldest..before).contains(appeared))?;
            Some(Head::Trail { stream: known.stream, back: sequence.saturating_sub(appeared) })
        })
    }

    /// Which streams are carried over into the header of this sector, and snapshots of which: as written, whatever their source
    /// reads now.
    async fn digests_of(
        &mut self,
        sequence: u32,
        frame: Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<(Digest, Digest), ReadError<F::Error>> {
        let (sector, mut at) = (self.medium.region.sector_at(sequence), frame.entries);
        let (mut digest, mut snapshots) = (Digest::default(), Digest::default());
        while let Some(parsed) = self.medium.entry(sector, at, frame.end, scratch).await? {
            if let Head::Inline { named } | Head::Snapshot { named } = parsed.head {
                digest.add(named.stream);
            }
            if let Head::Snapshot { named } = parsed.head {
                snapshots.add(named.stream);
            }
            at = at.saturating_add(parsed.head_len).saturating_add(parsed.payload_len);
        }
        Ok((digest, snapshots))
    }

    /// How many entries of a frame are carried over into the next sector, and how many bytes they take there.
    async fn count_carried(
        &mut self,
        carry: Repeated,
        scratch: &mut Scratch<'_>,
    ) -> Result<Carried, ReadError<F::Error>> {
        let (mut count, mut bytes) = (0_u32, 0_usize);
        // The last entry tells no length: what the others tell can only be said when it is known which is the last.
        for counted in [false, true] {
            let (total, mut at, mut index) = (count, carry.frame.entries, 0_u32);
            while let Some(parsed) = self.medium.entry(carry.sector, at, carry.frame.end, scratch).await? {
                at = at.saturating_add(parsed.head_len).saturating_add(parsed.payload_len);
                let Some(head) = self.carried(parsed.head) else { continue };
                index = index.saturating_add(1);
                let told = (index < total).then_some(parsed.payload_len as usize);
                if counted {
                    bytes = bytes
                        .saturating_add(head.len_as(parsed.local, told))
                        .saturating_add(parsed.payload_len as usize);
                }
            }
            count = index;
        }
        Ok(Carried { entries: count, bytes })
    }

    async fn pour_carried(
        &mut self,
        pour: &mut Pour,
        carry: Repeated,
        count: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), AppendError<F::Error>> {
        let (mut at, mut index) = (carry.frame.entries, 0_u32);
        while let Some(parsed) = self.medium.entry(carry.sector, at, carry.frame.end, scratch).await? {
            let start = at.saturating_add(parsed.head_len);
            at = start.saturating_add(parsed.payload_len);
            let Some(head) = self.carried(parsed.head) else { continue };
            index = index.saturating_add(1);
            let told = (index < count).then_some(parsed.payload_len as usize);
            let mut bytes = [0; entry::HEAD_BYTES + 8];
            let mut out = ByteWriter::new(&mut bytes);
            let _ = head.write_as(parsed.local, told, &mut out);
            self.medium.pour(pour, out.written()).await?;
            self.medium.pour_range(pour, carry.sector, start, at, scratch).await?;
        }
        Ok(())
    }

    /// Opens the sector after the newest, which becomes the newest. It must have been prepared.
    pub(crate) async fn open_next(&mut self, scratch: &mut Scratch<'_>) -> Result<(), AppendError<F::Error>> {
        let carry = self.resume(scratch).await?;
        self.open_next_with(carry, scratch).await
    }

    pub(crate) async fn open_next_with(
        &mut self,
        carry: Option<Repeated>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), AppendError<F::Error>> {
        let mut carry = carry;
        for attempt in 0..OPEN_ATTEMPTS {
            let number = match self.prepared {
                Prepared::Fresh => Some(0),
                Prepared::Found => self.untouched_place(self.next, scratch).await?,
                Prepared::No => None,
            };
            let Some(number) = number else {
                // It cannot be opened any more as it is.
                self.prepared = Prepared::No;
                if let Hold::By(held_by) = self.prepare_next(scratch).await? {
                    return Err(AppendError::Full { held_by });
                }
                continue;
            };
            let sequence = self.next;
            self.prepared = Prepared::Found;
            if number > 0 {
                let place = open_place(&self.medium.region, number).unwrap_or_default();
                self.mark(self.medium.region.sector_at(sequence), place).await?;
            }
            // What is carried over may read differently from one time to the next, or not at all any more. Then its
            // positions stay without events.
            if let Some(last) = carry {
                if attempt > OPEN_PLACES || !self.still_reads(&last, self.newest.sequence, scratch).await? {
                    self.lose_last(self.newest.next(), scratch).await?;
                    carry = None;
                }
            }
            if let Some(frame) = self.write_opened(sequence, number, carry, scratch).await? {
                // The flash is ahead of memory until the sector is taken up.
                let before = core::mem::replace(&mut self.state, State::Interrupted);
                let digests = self.digests_of(sequence, frame, scratch).await?;
                let wear = self.erases_of(sequence, scratch).await?.unwrap_or(self.wear);
                self.enter(sequence, carry, frame, digests, wear);
                self.state = before;
                return Ok(());
            }
        }
        self.state = State::Interrupted;
        Err(AppendError::Full { held_by: HeldBy::Wear })
    }

    /// Starts the newest sector anew, when it holds nothing but snapshots and what a header holds: its room was used
    /// up by power cuts, and there is no other sector.
    ///
    /// Nothing is lost, as no history has been let go for these snapshots yet, and the trackers stand where the sector
    /// before leaves them.
    pub(crate) async fn start_anew(&mut self, scratch: &mut Scratch<'_>) -> Result<(), AppendError<F::Error>> {
        let (sequence, sector, seed) = (self.newest.sequence, self.newest.sector, self.newest.seed);
        let mut opened = None;
        for _ in 0..DOUBTS {
            scratch.bytes_mut(); // read it anew
            opened = self.opened(self.identity, sequence, scratch).await?;
            if opened.is_some() {
                break;
            }
        }
        // Starting it anew was cut off: the sector before is the newest.
        let Some(opened) = opened else { return Ok(self.mount_again(scratch).await?) };
        // What the header carries over from the sector before is kept in the buffer meanwhile.
        let mut entries = opened.frame.entries;
        while let Some(parsed) = self.medium.entry(sector, entries, opened.frame.end, scratch).await? {
            let repeated = matches!(parsed.head, Head::Open { .. } | Head::Track { .. }) || parsed.head.is_of_header();
            if !repeated {
                break;
            }
            entries = entries.saturating_add(parsed.head_len).saturating_add(parsed.payload_len);
        }
        let len = opened.frame.end.saturating_sub(entries);
        let from = sector.saturating_add(entries);
        if len > 0 {
            let limit = sector.saturating_add(self.medium.region.sector);
            self.medium.window(from, len, limit, scratch).await?;
        }
        let held = self.medium.held(from, from.saturating_add(len), scratch).unwrap_or_default();
        let carried = scratch.bytes().get(held).unwrap_or_default();
        // Said in the sector itself: if its erase is cut off, all of it may read well once more, and not the next time.
        self.announce(sequence).await?;
        let erases = self.wear.saturating_add(1);
        self.erase_as(sequence, erases).await.map_err(AppendError::Storage)?;
        let mut bytes = [0; OPEN_STRIDE as usize];
        let Newest { base, oldest, back, left: left_at, .. } = self.newest;
        let open = Head::Open { base, oldest, back, moment: self.moment };
        // Which streams the sector before holds is not told again: it is looked through where it matters.
        let before = Before { sequence: 0, digest: Digest::default(), snapshots: Digest::default(), left_at };
        let head_len = self.encode_opened((sequence, open), before, !carried.is_empty(), carried.len(), &mut bytes);
        let head = bytes.get(4..head_len).unwrap_or_default();
        let place = open_place(&self.medium.region, 0).unwrap_or_default();
        let total = head.len().saturating_add(carried.len());
        let mut pour = Pour::into_checksum(seed, place, total);
        self.medium.pour(&mut pour, head).await?;
        self.medium.pour(&mut pour, carried).await?;
        let mut pour = Pour::into_flash(sector.saturating_add(place), pour.checksum(), total);
        self.state = State::Interrupted;
        self.medium.pour(&mut pour, head).await?;
        self.medium.pour(&mut pour, carried).await?;
        self.medium.drain(&mut pour).await?;
        self.state = State::Mounted;
        let end = place.saturating_add(u32::try_from(head_len.saturating_add(carried.len())).unwrap_or_default());
        let next = pour.place.saturating_sub(sector);
        (self.newest.opened, self.newest.offset) = (place, next);
        self.newest.last = Some(Frame { at: place, entries: place, end, next, ordinal: 0, filling: 0 });
        self.newest.slots = 0;
        (self.newest.torn, self.newest.unrepeated, self.newest.tracked) = (false, None, None);
        (self.announced, self.wear, self.left_at, self.restarting) = (sequence, erases, None, None);
        self.streams.clear();
        self.reader.forget();
        self.chase = None;
        self.restarted = true;
        // What was let go in memory for the sake of snapshots that stood here is not.
        self.find_oldest(scratch).await?;
        Ok(())
    }

    /// The oldest sector in use, as the header of the next one tells it.
    fn first_in_use(&self) -> u32 {
        self.oldest.0.max(self.newest.oldest)
    }

    /// The position of the first event of the sector to be opened.
    fn base_with(&self, carry: Option<Repeated>) -> Position {
        // What was lost at the end belongs to the new sector, so that the old one ends before it.
        let next = Position(self.newest.next().0.saturating_sub(u64::from(self.newest.lost)));
        carry.map_or(next, |carry| carry.first)
    }

    /// Takes up the sector that this frame has opened.
    fn enter(
        &mut self,
        sequence: u32,
        carry: Option<Repeated>,
        frame: Frame,
        (digest, snapshots): (Digest, Digest),
        wear: u32,
    ) {
        let base = self.base_with(carry);
        let carried = carry.map_or(0, |carry| carry.events);
        // Positions that were seen, and whose events then were lost, come in between.
        let events = u32::try_from(self.newest.next().since(base)).unwrap_or(u32::MAX);
        let region = self.medium.region;
        self.wear = wear;
        self.newest = Newest {
            sequence,
            seed: sector_seed(self.identity.log, self.identity.epoch, sequence),
            sector: region.sector_at(sequence),
            base,
            oldest: self.first_in_use(),
            opened: frame.at,
            offset: frame.next,
            events,
            carried,
            lost: events.saturating_sub(carried),
            stored: false,
            tracked: None,
            unrepeated: None,
            back: sequence.saturating_sub(self.newest.sequence),
            left: self.left_at,
            slots: 0,
            digest,
            snapshots,
            in_last: 0,
            torn: false,
            closed: false,
            last: Some(frame),
        };
        (self.next, self.prepared, self.announced) = (sequence.saturating_add(1), Prepared::No, sequence);
        self.restarting = None;
        if self.left_at.take().is_some() {
            // Whoever was reading the sector before does not know yet that it ends there.
            self.reader.forget();
            self.chase = None;
        }
        self.streams.clear_slots();
        if carry.is_some() {
            // Where its streams appeared last has changed: it is looked up when it is needed.
            self.streams.clear();
        }
    }

    /// The first place for the second part of the header, of a sector found prepared, at which no try can have been
    /// made: the word behind the last one tried may read as erased and not be.
    async fn untouched_place(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let sector = self.medium.region.sector_at(sequence);
        let (first, end) = (open_place(&self.medium.region, 0).unwrap_or_default(), self.medium.region.sector);
        let seen = self.medium.programmed_end(sector, first, end, scratch).await?;
        let mut tried = seen.saturating_add(self.medium.region.word);
        for number in 0..OPEN_PLACES {
            // What was begun there may end in bytes that look erased.
            let Some(place) = open_place(&self.medium.region, number).filter(|place| *place < seen) else { break };
            tried = tried.max(self.medium.started_end(sector, place, 0, scratch).await?);
        }
        for number in 1..OPEN_PLACES {
            let start =
                open_place(&self.medium.region, number).and_then(|place| place.checked_sub(self.medium.region.marks()));
            if start.is_some_and(|start| start >= tried) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}
