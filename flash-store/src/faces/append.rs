//! Appending: one batch, one frame, one write call.

use core::num::NonZeroU32;

use evenkeel_core::batch::{Batch, Entry, Op};
use evenkeel_core::bytes::{ByteWriter, shift};
use evenkeel_core::error::{AppendError, HeldBy};
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Appended, Position, Tracker, Version};

use super::flash_log::{FlashLog, State};
use super::mount::LEAST_SCRATCH;
use super::sectors::Hold;
use super::{NorFlash, face};
use crate::format::entry::{self, Head, Named};
use crate::format::frame::{Frame, HEAD_BYTES, finish, frame_len, write_head};
use crate::format::header::PREPARED_BYTES;
use crate::region::Region;
use crate::table::Known;

/// What the header of a sector may take, both parts, for the limit of a batch.
const SECTOR_OVERHEAD: u32 = 2 * 32 + 64;

/// With a higher first position, the positions of a sector may come to the end of all: each event is checked then.
const LAST_BASE: Position = Position(u64::MAX - u32::MAX as u64);

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    pub(crate) async fn append_batch(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<F::Error>> {
        self.streams.next_use();
        if let Some(one) = self.one_at_hand(batch) {
            if let Some((start, len, padded)) = self.encode_one(batch, &one) {
                let appended = Appended { first: self.newest.next(), events: 1 };
                self.program(batch, start, padded).await?;
                if let Some(known) = self.streams.at(one.known) {
                    (known.version, known.appeared) = (one.version, Some(self.newest.sequence));
                }
                self.advance(1, true, len, padded);
                return Ok(appended);
            }
        }
        self.append_any(batch).await
    }

    #[inline(never)]
    async fn append_any(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<F::Error>> {
        self.check(batch).await?;
        let entries = self.make_room(batch).await?;
        let len = frame_len(entries);
        let appended = Appended { first: self.newest.next(), events: batch.positions() };
        let padded =
            self.encode(batch, entries).ok_or(AppendError::ScratchTooSmall { needed: self.needed(batch, len) })?;
        self.program(batch, 0, padded).await?;
        self.take_in(batch);
        self.advance(batch.positions(), batch.events() > 0, len, padded);
        Ok(appended)
    }

    /// What most batches are: one event that follows on in a stream that has its slot, in a frame that fits the newest
    /// sector. Nothing is to be looked up, introduced, opened or refused then. `None` of any other batch, which may as
    /// well be in order.
    #[inline]
    fn one_at_hand(&mut self, batch: &Batch<'_>) -> Option<One> {
        let region = &self.medium.region;
        if self.state != State::Mounted || self.newest.torn || self.newest.closed || self.newest.base > LAST_BASE {
            return None;
        }
        let Entry { op: Op::Event { stream, kind, schema, version }, local: false, start, len } = batch.only()? else {
            return None;
        };
        let (place, known) = self.streams.find(stream)?;
        let follows = known.version > Version::NONE && version.0.checked_sub(1) == Some(known.version.0);
        if !follows || (known.kind, known.schema) != (kind, schema) || known.has_ended() {
            return None;
        }
        let slot = known.slot?;
        // Whatever head it got in another sector would be within the limit; whether it just fits is found out elsewhere.
        let (most, len_here) = (count(len).saturating_add(HEADS), count(len).saturating_add(HEADS_HERE));
        let at_hand = region.words(most) <= limit(region) && !self.is_reserve(true) && self.fits(len_here, true);
        at_hand.then_some(One { known: place, slot, version, start, len })
    }

    /// As [`encode`](Self::encode) does it, but that a payload of a usual length stays where it is, with its head right
    /// before it; answers where in the buffer the frame starts, its length, and how many bytes to program. `None` if
    /// that does not fit the buffer, which is then as it was but for what stood before the payload.
    #[inline]
    fn encode_one(&self, batch: &mut Batch<'_>, one: &One) -> Option<(usize, usize, usize)> {
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let bytes = batch.bytes_mut();
        let (entries, low) = (one.len.checked_add(2)?, lowest(one.version));
        let (front, payload) = bytes.split_at_mut_checked(one.start)?;
        payload.get(..one.len)?;
        let (start, len) = match (u8::try_from(entries), front.last_chunk_mut::<SHORT_HEAD>()) {
            // One byte tells the length.
            (Ok(entries @ ..0x7F), Some(head)) => {
                *head = [0, 0, 0, 0, entries.saturating_add(1), ordinal, one.slot, low];
                (one.start.saturating_sub(SHORT_HEAD), one.len.saturating_add(SHORT_HEAD))
            }
            _ => {
                let mut out = ByteWriter::new(front);
                write_head(entries, ordinal, &mut out)?;
                out.slice(&[one.slot, low])?;
                (0, out.len().saturating_add(one.len))
            }
        };
        let region = &self.medium.region;
        let room = region.words(count(len)).saturating_add(region.word) as usize;
        let frame = bytes.get_mut(start..)?;
        frame.get(..room)?; // else the payload must not be moved now
        if start == 0 {
            let at = len.checked_sub(one.len)?;
            shift(frame, one.start, one.len, at)?;
            let padded = finish(region, self.newest.seed, self.newest.offset, len, frame)?;
            batch.moved(0, at);
            return Some((start, len, padded));
        }
        let padded = finish(region, self.newest.seed, self.newest.offset, len, frame)?;
        Some((start, len, padded))
    }

    /// Writes the frame at this place of the buffer behind the newest.
    #[inline]
    async fn program(&mut self, batch: &Batch<'_>, start: usize, padded: usize) -> Result<(), AppendError<F::Error>> {
        let bytes = batch.bytes().get(start..start.saturating_add(padded)).unwrap_or_default();
        let at = self.newest.sector.saturating_add(self.newest.offset);
        self.state = State::Interrupted;
        self.medium.write(at, bytes).await.map_err(AppendError::Storage)?;
        self.state = State::Mounted;
        Ok(())
    }

    /// Everything that can be refused about the entries is refused here. Streams are brought to hand; what is free of
    /// the batch's buffer serves to look them up.
    async fn check(&mut self, batch: &mut Batch<'_>) -> Result<(), AppendError<F::Error>> {
        let mut small = [0; LEAST_SCRATCH as usize];
        if self.state != State::Mounted || self.newest.torn || self.newest.closed {
            let mut scratch = room_to_read(batch, &mut small);
            self.settle(&mut scratch).await?;
            self.secure(&mut scratch).await?;
        }
        // The position after the last event must be one, too.
        if self.newest.next().0.checked_add(u64::from(batch.events())).is_none() {
            return Err(AppendError::Exhausted);
        }
        let mut new_trackers = 0_usize;
        for index in 0..batch.len() {
            match batch.entry(index).map(|entry| entry.op) {
                Some(Op::Event { stream, kind, schema, .. } | Op::Snapshot { stream, kind, schema, .. }) => {
                    let known = self.known(stream, &mut room_to_read(batch, &mut small)).await?;
                    batch.check(index, known.head())?;
                    if known.head().is_none() {
                        let _ = self.streams.insert(Known { stream, kind, schema, ..known });
                    }
                }
                Some(Op::Track { tracker, .. }) => {
                    batch.check_track(index, self.trackers.get(tracker))?;
                    if !self.trackers.has(tracker) && batch.tracked_before(index, tracker).is_none() {
                        new_trackers = new_trackers.saturating_add(1);
                    }
                }
                _ => return Err(AppendError::TableFull),
            }
        }
        if new_trackers > self.trackers.room() {
            return Err(AppendError::TableFull);
        }
        Ok(())
    }

    /// Sees to it that the batch fits the newest sector, by opening another one if it must; answers the bytes of its
    /// entries.
    async fn make_room(&mut self, batch: &mut Batch<'_>) -> Result<usize, AppendError<F::Error>> {
        let limit = limit(&self.medium.region);
        let most = count(frame_len(self.entries_len(batch, true)));
        if self.medium.region.words(most) > limit {
            return Err(AppendError::TooLarge { bytes: most, limit });
        }
        let mut small = [0; LEAST_SCRATCH as usize];
        let padded = ends_erased(batch);
        self.leave_the_reserve(batch, &mut small).await?;
        let mut entries = self.entries_len(batch, false);
        if !self.fits(count(frame_len(entries)), padded) {
            let events = batch.events() > 0;
            self.next_sector(events, &mut room_to_read(batch, &mut small)).await?;
            if !self.medium.region.is_roomy() {
                self.leave_the_reserve(batch, &mut small).await?;
            }
            entries = self.entries_len(batch, false);
            if !self.fits(count(frame_len(entries)), padded) {
                return Err(AppendError::TooLarge { bytes: count(frame_len(entries)), limit });
            }
        }
        Ok(entries)
    }

    /// Whether a frame of so many bytes fits the newest sector; `padded` if it may need a word more.
    #[inline]
    fn fits(&self, len: u32, padded: bool) -> bool {
        let region = &self.medium.region;
        let end = region.words(self.newest.offset.saturating_add(len));
        let end = end.saturating_add(if padded { region.word } else { 0 });
        end.saturating_add(self.kept_for_announcing()) <= region.sector
    }

    /// When the newest sector is of the reserve, what is left of it belongs to the snapshots that letting
    /// go of the oldest needs: events wait, and trackers pass only if that helps or takes little.
    async fn leave_the_reserve(
        &mut self,
        batch: &mut Batch<'_>,
        small: &mut [u8],
    ) -> Result<(), AppendError<F::Error>> {
        let events = batch.events();
        let snapshots =
            (0..batch.len()).all(|index| matches!(batch.entry(index).map(|entry| entry.op), Some(Op::Snapshot { .. })));
        if !self.is_reserve(events > 0) || snapshots {
            return Ok(());
        }
        let (offset, sector, roomy) = (self.newest.offset, self.medium.region.sector, self.medium.region.is_roomy());
        let hold = self.let_go(&mut room_to_read(batch, small)).await?;
        let held_by = match hold {
            Hold::Nothing => return Ok(()),
            // Nothing is ever let go: what is left is for trackers.
            Hold::By(HeldBy::Policy) if events == 0 => return Ok(()),
            // Enough is left for the snapshots, should power cuts use some of it up.
            Hold::By(HeldBy::Tracker(_)) if events == 0 && roomy && offset < sector >> 3 => return Ok(()),
            Hold::By(HeldBy::Tracker(held)) if events == 0 && roomy && self.releases(batch, held) => {
                return Ok(());
            }
            Hold::By(HeldBy::Tracker(held)) if events == 0 => {
                match self.unreplaced(self.oldest.0, &mut room_to_read(batch, small)).await? {
                    // Should power cuts use up what is left of the reserve, it is started anew: with nothing in it that stands
                    // nowhere else. So a move of a tracker goes there only if nothing is needed after it.
                    None if self.releases(batch, held) => return Ok(()),
                    None => HeldBy::Tracker(held),
                    Some(stream) => stream,
                }
            }
            Hold::By(held_by) => self.or_wear(held_by),
        };
        self.pressed = true;
        Err(AppendError::Full { held_by })
    }

    /// What holds the log: that its sectors are worn out, if fewer than two are left.
    fn or_wear(&self, held_by: HeldBy) -> HeldBy {
        let worn = self.aside > 0 && self.aside.saturating_add(2) > self.medium.region.sectors;
        if worn && held_by == HeldBy::Policy { HeldBy::Wear } else { held_by }
    }

    /// Whether this batch moves the tracker behind all events of the oldest sector.
    fn releases(&self, batch: &Batch<'_>, held: Tracker) -> bool {
        (0..batch.len()).any(|index| {
            matches!(batch.entry(index).map(|entry| entry.op), Some(Op::Track { tracker, position, .. })
                if tracker == held && position >= self.oldest_last)
        })
    }

    /// Opens the next sector. Events leave one sector free for the snapshots that upkeep may need.
    async fn next_sector(&mut self, events: bool, scratch: &mut Scratch<'_>) -> Result<(), AppendError<F::Error>> {
        if let Hold::By(held_by) = self.prepare_next(scratch).await? {
            if !events && self.is_spare_reserve() && !self.restarted {
                self.start_anew(scratch).await?;
                return if self.newest.torn { Err(AppendError::Full { held_by }) } else { Ok(()) };
            }
            self.pressed = true;
            return Err(AppendError::Full { held_by });
        }
        if events && self.opening_takes_reserve() {
            let hold = match self.oldest.0 == self.newest.sequence {
                true => match self.unreplaced(self.oldest.0, scratch).await? {
                    Some(held_by) => Hold::By(held_by),
                    None => Hold::By(HeldBy::Policy),
                },
                false => self.let_go(scratch).await?,
            };
            if let Hold::By(held_by) = hold {
                self.pressed = true;
                return Err(AppendError::Full { held_by: self.or_wear(held_by) });
            }
        }
        self.open_next(scratch).await
    }

    /// How many bytes the entries of a batch take in the newest sector, or in one in which no stream has a slot.
    fn entries_len(&self, batch: &Batch<'_>, fresh: bool) -> usize {
        (0..batch.len()).fold(0_usize, |sum, index| {
            let Some((head, entry)) = self.head_of(batch, index, fresh) else { return sum };
            sum.saturating_add(head.len_as(entry.local, told(batch, index, &entry))).saturating_add(entry.len)
        })
    }

    /// The head that an entry gets.
    fn head_of(&self, batch: &Batch<'_>, index: usize, fresh: bool) -> Option<(Head, Entry)> {
        let entry = batch.entry(index)?;
        let head = match entry.op {
            Op::Event { stream, kind, schema, version } => {
                let known = self.streams.get(stream);
                let named = Named { kind, schema, stream, version, back: self.back_of(known) };
                if self.introduces(batch, index, fresh) {
                    match self.new_slot(batch, index, fresh) {
                        Some(slot) => Head::Introduction { slot, named },
                        None => Head::Inline { named },
                    }
                } else {
                    match self.slot_of(batch, index, fresh) {
                        Some(slot) => Head::Event { slot, version_low: lowest(version) },
                        None => Head::Inline { named },
                    }
                }
            }
            Op::Snapshot { stream, kind, schema, version } => {
                let back = self.back_of(self.streams.get(stream));
                Head::Snapshot { named: Named { kind, schema, stream, version, back } }
            }
            Op::Track { tracker, position, .. } => Head::Track { tracker, position },
            _ => return None,
        };
        Some((head, entry))
    }

    /// How many sectors back to look for what comes before the first entry of a stream in the newest sector. Of a
    /// stream that is not at hand it is only known that there may be something: then from the sector before on.
    fn back_of(&self, known: Option<&Known>) -> u32 {
        match known {
            Some(known) => known.appeared.map_or(0, |appeared| self.newest.sequence.saturating_sub(appeared)),
            None => 1,
        }
    }

    /// Whether this entry gives its stream a slot: its first event in the sector, if the stream is at hand.
    fn introduces(&self, batch: &Batch<'_>, index: usize, fresh: bool) -> bool {
        let Some(Op::Event { stream, schema, .. }) = batch.entry(index).map(|entry| entry.op) else { return false };
        let first = batch.head_before(index, stream).is_none();
        first && self.streams.get(stream).is_some_and(|known| fresh || known.slot.is_none() || known.schema != schema)
    }

    /// The slot that the next stream introduced gets: behind those of the sector and of the earlier entries.
    fn new_slot(&self, batch: &Batch<'_>, index: usize, fresh: bool) -> Option<u8> {
        let before = (0..index).filter(|earlier| self.introduces(batch, *earlier, fresh)).count();
        let slots = if fresh { 0 } else { self.newest.slots };
        let slot = slots.checked_add(u8::try_from(before).ok()?)?;
        (slot < entry::SLOTS).then_some(slot)
    }

    /// The slot of a stream that has one already, or gets one from an earlier event of the batch.
    fn slot_of(&self, batch: &Batch<'_>, index: usize, fresh: bool) -> Option<u8> {
        let Op::Event { stream, schema, .. } = batch.entry(index)?.op else { return None };
        let first = (0..index).find_map(|earlier| match batch.entry(earlier)?.op {
            Op::Event { stream: of, schema, .. } if of == stream => Some((earlier, schema)),
            _ => None,
        });
        match first {
            Some((earlier, of)) if self.introduces(batch, earlier, fresh) => {
                if of == schema {
                    self.new_slot(batch, earlier, fresh)
                } else {
                    None
                }
            }
            _ => self.streams.get(stream).filter(|known| known.schema == schema && !fresh)?.slot,
        }
    }

    /// Turns the batch into a frame at the front of its buffer, moving each payload behind its head; answers how
    /// many bytes to program.
    fn encode(&self, batch: &mut Batch<'_>, entries: usize) -> Option<usize> {
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let mut out = ByteWriter::new(batch.bytes_mut());
        write_head(entries, ordinal, &mut out)?;
        let mut at = out.len();
        for index in 0..batch.len() {
            let (head, entry) = self.head_of(batch, index, false)?;
            let told = told(batch, index, &entry);
            let start = at.checked_add(head.len_as(entry.local, told))?;
            if start > entry.start {
                return None;
            }
            let bytes = batch.bytes_mut();
            head.write_as(entry.local, told, &mut ByteWriter::new(bytes.get_mut(at..start)?))?;
            at = start.checked_add(entry.len)?;
            shift(bytes, entry.start, entry.len, start)?;
            batch.moved(index, start);
        }
        finish(&self.medium.region, self.newest.seed, self.newest.offset, at, batch.bytes_mut())
    }

    fn needed(&self, batch: &Batch<'_>, len: usize) -> u32 {
        let padded = self.medium.region.words(u32::try_from(len).unwrap_or(u32::MAX));
        let padded = padded.saturating_add(self.medium.region.word);
        let table = batch.len().saturating_mul(evenkeel_core::batch::ENTRY_BYTES);
        padded.saturating_add(u32::try_from(table).unwrap_or(u32::MAX))
    }

    /// What is durable now, in memory too.
    fn take_in(&mut self, batch: &Batch<'_>) {
        let sequence = self.newest.sequence;
        for index in 0..batch.len() {
            let introduced = self.introduces(batch, index, false) && self.newest.slots < entry::SLOTS;
            match batch.entry(index).map(|entry| entry.op) {
                Some(Op::Event { stream, kind, schema, version }) => {
                    let slot = self.newest.slots;
                    self.newest.digest.add(stream);
                    if let Some(known) = self.streams.get_mut(stream) {
                        if introduced {
                            known.slot = Some(slot);
                            self.newest.slots = slot.saturating_add(1);
                        }
                        (known.kind, known.schema) = (kind, schema);
                        (known.version, known.appeared) = (version, Some(sequence));
                    }
                }
                Some(Op::Snapshot { stream, .. }) => {
                    self.newest.digest.add(stream);
                    self.newest.snapshots.add(stream);
                    if let Some(known) = self.streams.get_mut(stream) {
                        (known.appeared, known.snapshot) = (Some(sequence), NonZeroU32::new(sequence));
                    }
                }
                Some(Op::Track { tracker, position, .. }) => {
                    let _ = self.trackers.set(tracker, position);
                    self.newest.tracked = self.newest.tracked.or(Some(self.newest.offset));
                }
                _ => {}
            }
        }
    }

    /// The frame that was written behind the newest is the newest now.
    #[inline]
    fn advance(&mut self, positions: u32, has_events: bool, len: usize, padded: usize) {
        let place = self.newest.offset;
        self.newest.offset = place.saturating_add(count(padded));
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        self.newest.events = self.newest.events.saturating_add(positions);
        if has_events {
            self.newest.stored = true;
            self.newest.lost = 0;
        }
        let (end, next) = (place.saturating_add(count(len)), self.newest.offset);
        self.newest.last = Some(Frame { at: place, entries: place, end, next, ordinal, filling: 0 });
    }

    /// Stops cleanly: the next mount can go on right behind this record. Durable when it returns.
    ///
    /// Without it nothing is lost; the next append after a mount then leaves some bytes unused.
    pub async fn close(&mut self, scratch: &mut [u8]) -> Result<(), AppendError<F::Error>> {
        self.settle(&mut Scratch::new(scratch)).await?;
        let region = self.medium.region;
        let mut bytes = [0xFF; 64];
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let mut out = ByteWriter::new(&mut bytes);
        let _ = write_head(1, ordinal, &mut out).and_then(|()| Head::Close.write(None, &mut out));
        let len = out.len();
        let place = self.newest.offset;
        let end = place.saturating_add(u32::try_from(len).unwrap_or_default());
        // Nothing was appended since the mount, or there is no room: as without a close. Once more behind a close, it could be cut
        // off so that nothing of it shows, and the next append would go over it.
        if self.newest.torn || self.newest.closed || region.words(end) > region.sector {
            return Ok(());
        }
        let Some(padded) = finish(&region, self.newest.seed, place, len, &mut bytes) else { return Ok(()) };
        self.state = State::Interrupted;
        let at = self.newest.sector.saturating_add(place);
        self.medium.write(at, bytes.get(..padded).unwrap_or_default()).await.map_err(AppendError::Storage)?;
        self.state = State::Mounted;
        let next = region.words(end);
        (self.newest.offset, self.newest.closed) = (next, true);
        self.newest.last = Some(Frame { at: place, entries: place, end, next, ordinal, filling: 0 });
        Ok(())
    }
}

/// The most bytes before the payload in a frame of one entry.
const HEADS: u32 = (HEAD_BYTES + entry::HEAD_BYTES) as u32;
/// The most if the stream has its slot: then the entry has two.
const HEADS_HERE: u32 = HEAD_BYTES as u32 + 2;

/// The bytes before the payload in a frame of one entry, if its stream has its slot and one byte tells its length.
const SHORT_HEAD: usize = 8;

/// One event that follows on in a stream that has its slot.
struct One {
    /// Which of the streams at hand.
    known: usize,
    slot: u8,
    version: Version,
    /// Where its payload stands in the batch.
    start: usize,
    len: usize,
}

/// The most bytes of a frame.
#[inline]
fn limit(region: &Region) -> u32 {
    region.sector.saturating_sub(SECTOR_OVERHEAD.max(count(PREPARED_BYTES)))
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn lowest(version: Version) -> u8 {
    let [lowest, ..] = version.0.to_le_bytes();
    lowest
}

/// Whether the last word of the frame may look erased, so that one more is needed.
#[inline]
fn ends_erased(batch: &Batch<'_>) -> bool {
    let Some(last) = batch.len().checked_sub(1).and_then(|index| batch.entry(index)) else { return false };
    let end = last.start.saturating_add(last.len);
    match last.op {
        Op::Track { .. } => false,
        _ => last.len == 0 || batch.bytes().get(end.saturating_sub(1)) == Some(&0xFF),
    }
}

/// The length of a payload, if it is to be told: when other entries follow.
fn told(batch: &Batch<'_>, index: usize, entry: &Entry) -> Option<usize> {
    (index.saturating_add(1) < batch.len()).then_some(entry.len)
}

/// A buffer to read into while a batch stands: what is free of its own, or a small one.
fn room_to_read<'s>(batch: &'s mut Batch<'_>, small: &'s mut [u8]) -> Scratch<'s> {
    let free = batch.free_mut();
    Scratch::new(if free.len() >= small.len() { free } else { small })
}
