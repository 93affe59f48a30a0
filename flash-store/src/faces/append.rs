//! Appending: one batch, one frame, one write call.

use evenkeel_core::batch::{Batch, Entry, Op};
use evenkeel_core::bytes::ByteWriter;
use evenkeel_core::error::{AppendError, HeldBy};
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Appended, Tracker};

use super::flash_log::{FlashLog, State};
use super::mount::LEAST_SCRATCH;
use super::sectors::Hold;
use super::{NorFlash, face};
use crate::format::entry::{self, Head, Named};
use crate::format::frame::{Frame, finish, frame_len, write_head};
use crate::format::header::PREPARED_BYTES;
use crate::table::Known;

/// What the header of a sector may take, both parts, for the limit of a batch.
const SECTOR_OVERHEAD: u32 = 2 * 32 + 64;

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    pub(crate) async fn append_batch(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<F::Error>> {
        self.check(batch).await?;
        let len = self.make_room(batch).await?;
        let appended = Appended { first: self.newest.next(), events: batch.events() };
        let place = self.newest.offset;
        let padded = self.encode(batch, len).ok_or(AppendError::ScratchTooSmall { needed: self.needed(batch, len) })?;
        let bytes = batch.bytes().get(..padded).unwrap_or_default();
        self.state = State::Interrupted;
        let at = self.newest.sector.saturating_add(place);
        self.medium.write(at, bytes).await.map_err(AppendError::Storage)?;
        self.state = State::Mounted;
        self.take_in(batch, place, len, padded);
        Ok(appended)
    }

    /// Everything that can be refused about the entries is refused here. Streams are brought to hand; what is free of
    /// the batch's buffer serves to look them up.
    async fn check(&mut self, batch: &mut Batch<'_>) -> Result<(), AppendError<F::Error>> {
        self.streams.next_use();
        let mut small = [0; LEAST_SCRATCH as usize];
        if self.state != State::Mounted || self.newest.torn || self.newest.closed {
            let mut scratch = room_to_read(batch, &mut small);
            self.settle(&mut scratch).await?;
            self.secure(&mut scratch).await?;
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
                Some(Op::Track { tracker, position }) => {
                    let at = self.trackers.get(tracker);
                    if position < at {
                        return Err(AppendError::Tracking { tracker, at, to: position });
                    }
                    if !self.trackers.has(tracker) && !named_before(batch, index, tracker) {
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
    /// frame.
    async fn make_room(&mut self, batch: &mut Batch<'_>) -> Result<usize, AppendError<F::Error>> {
        let region = self.medium.region;
        let limit = region.sector.saturating_sub(SECTOR_OVERHEAD.max(u32::try_from(PREPARED_BYTES).unwrap_or(32)));
        let most = u32::try_from(self.len_of(batch, true)).unwrap_or(u32::MAX);
        if region.words(most) > limit {
            return Err(AppendError::TooLarge { bytes: most, limit });
        }
        let mut small = [0; LEAST_SCRATCH as usize];
        let padding = if ends_erased(batch) { region.word } else { 0 };
        let fits = |log: &Self, len: usize| {
            let end = log.newest.offset.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
            let end = region.words(end).saturating_add(padding);
            end.saturating_add(log.kept_for_announcing()) <= region.sector
        };
        self.leave_the_reserve(batch, &mut small).await?;
        let mut len = self.len_of(batch, false);
        if fits(self, len) {
            return Ok(len);
        }
        let events = batch.events() > 0;
        self.next_sector(events, &mut room_to_read(batch, &mut small)).await?;
        len = self.len_of(batch, false);
        if !fits(self, len) {
            return Err(AppendError::TooLarge { bytes: u32::try_from(len).unwrap_or(u32::MAX), limit });
        }
        Ok(len)
    }

    /// When the newest sector is of the reserve, what is left of it belongs to the snapshots that letting
    /// go of the oldest needs: events wait, and trackers pass only if that helps or takes little.
    async fn leave_the_reserve(
        &mut self,
        batch: &mut Batch<'_>,
        small: &mut [u8],
    ) -> Result<(), AppendError<F::Error>> {
        let region = self.medium.region;
        let snapshots =
            (0..batch.len()).all(|index| matches!(batch.entry(index).map(|entry| entry.op), Some(Op::Snapshot { .. })));
        if !self.is_reserve() || snapshots {
            return Ok(());
        }
        match self.let_go(&mut room_to_read(batch, small)).await? {
            Hold::By(HeldBy::Tracker(_)) if batch.events() == 0 && self.newest.offset < region.sector >> 3 => Ok(()),
            Hold::By(HeldBy::Tracker(held)) if batch.events() == 0 && self.releases(batch, held) => Ok(()),
            Hold::By(held_by) => {
                self.pressed = true;
                Err(AppendError::Full { held_by })
            }
            Hold::Nothing => Ok(()),
        }
    }

    /// Whether this batch moves the tracker behind all events of the oldest sector.
    fn releases(&self, batch: &Batch<'_>, held: Tracker) -> bool {
        (0..batch.len()).any(|index| {
            matches!(batch.entry(index).map(|entry| entry.op), Some(Op::Track { tracker, position })
                if tracker == held && position >= self.oldest_last)
        })
    }

    /// Opens the next sector. Events leave one sector free for the snapshots that upkeep may need.
    async fn next_sector(&mut self, events: bool, scratch: &mut Scratch<'_>) -> Result<(), AppendError<F::Error>> {
        if let Hold::By(held_by) = self.prepare_next(scratch).await? {
            let reserve = !self.newest.stored && self.oldest.0 < self.newest.sequence;
            if !events && reserve && !self.restarted {
                return self.start_anew(scratch).await;
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
                return Err(AppendError::Full { held_by });
            }
        }
        self.open_next(scratch).await
    }

    /// How many bytes the frame of a batch takes in the newest sector, or in one in which no stream has a slot.
    fn len_of(&self, batch: &Batch<'_>, fresh: bool) -> usize {
        let entries = (0..batch.len()).fold(0_usize, |sum, index| {
            let Some((head, entry)) = self.head_of(batch, index, fresh) else { return sum };
            sum.saturating_add(head.len(told(batch, index, &entry))).saturating_add(entry.len)
        });
        frame_len(entries)
    }

    /// The head that an entry gets.
    fn head_of(&self, batch: &Batch<'_>, index: usize, fresh: bool) -> Option<(Head, Entry)> {
        let entry = batch.entry(index)?;
        let head = match entry.op {
            Op::Event { stream, kind, schema, version } => {
                let known = self.streams.get(stream);
                let named = Named { kind, schema, stream, version, back: self.back_of(known) };
                let [version_low, ..] = version.0.to_le_bytes();
                if self.introduces(batch, index, fresh) {
                    match self.new_slot(batch, index, fresh) {
                        Some(slot) => Head::Introduction { slot, named },
                        None => Head::Inline { named },
                    }
                } else {
                    match self.slot_of(batch, index, fresh) {
                        Some(slot) => Head::Event { slot, version_low },
                        None => Head::Inline { named },
                    }
                }
            }
            Op::Snapshot { stream, kind, schema, version } => {
                let back = self.back_of(self.streams.get(stream));
                Head::Snapshot { named: Named { kind, schema, stream, version, back } }
            }
            Op::Track { tracker, position } => Head::Track { tracker, position },
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
    fn encode(&self, batch: &mut Batch<'_>, len: usize) -> Option<usize> {
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let mut head = [0; entry::HEAD_BYTES + 8];
        let entries = (0..batch.len()).try_fold(0_usize, |sum, index| {
            let (head, entry) = self.head_of(batch, index, false)?;
            sum.checked_add(head.len(told(batch, index, &entry)))?.checked_add(entry.len)
        })?;
        let mut out = ByteWriter::new(&mut head);
        write_head(entries, ordinal, &mut out)?;
        let mut at = put(batch, 0, out.written())?;
        for index in 0..batch.len() {
            let (entry_head, entry) = self.head_of(batch, index, false)?;
            let mut out = ByteWriter::new(&mut head);
            entry_head.write(told(batch, index, &entry), &mut out)?;
            let start = at.checked_add(out.len())?;
            if start > entry.start {
                return None;
            }
            at = put(batch, at, out.written())?;
            batch.bytes_mut().copy_within(entry.start..entry.start.checked_add(entry.len)?, start);
            batch.moved(index, start);
            at = at.checked_add(entry.len)?;
        }
        debug_assert_eq!(at, len);
        finish(&self.medium.region, self.newest.seed, self.newest.offset, len, batch.bytes_mut())
    }

    fn needed(&self, batch: &Batch<'_>, len: usize) -> u32 {
        let padded = self.medium.region.words(u32::try_from(len).unwrap_or(u32::MAX));
        let padded = padded.saturating_add(self.medium.region.word);
        let table = batch.len().saturating_mul(evenkeel_core::batch::ENTRY_BYTES);
        padded.saturating_add(u32::try_from(table).unwrap_or(u32::MAX))
    }

    /// What is durable now, in memory too.
    fn take_in(&mut self, batch: &Batch<'_>, place: u32, len: usize, padded: usize) {
        let sequence = self.newest.sequence;
        for index in 0..batch.len() {
            let introduced = self.introduces(batch, index, false) && self.newest.slots < entry::SLOTS;
            match batch.entry(index).map(|entry| entry.op) {
                Some(Op::Event { stream, kind, schema, version }) => {
                    let slot = self.newest.slots;
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
                    if let Some(known) = self.streams.get_mut(stream) {
                        known.appeared = Some(sequence);
                    }
                }
                Some(Op::Track { tracker, position }) => {
                    let _ = self.trackers.set(tracker, position);
                }
                _ => {}
            }
        }
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or_default();
        self.newest.offset = place.saturating_add(count(padded));
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        self.newest.events = self.newest.events.saturating_add(batch.events());
        if batch.events() > 0 {
            self.newest.stored = true;
            self.newest.lost = 0;
        }
        let end = place.saturating_add(count(len));
        let next = self.newest.offset;
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
        if self.newest.torn || region.words(end) > region.sector {
            return Ok(()); // nothing was appended since the mount, or there is no room: as without a close
        }
        let Some(padded) = finish(&region, self.newest.seed, place, len, &mut bytes) else { return Ok(()) };
        self.state = State::Interrupted;
        let at = self.newest.sector.saturating_add(place);
        self.medium.write(at, bytes.get(..padded).unwrap_or_default()).await.map_err(AppendError::Storage)?;
        self.state = State::Mounted;
        let next = region.words(end);
        self.newest.offset = next;
        self.newest.last = Some(Frame { at: place, entries: place, end, next, ordinal, filling: 0 });
        Ok(())
    }
}

/// Whether the last word of the frame may look erased, so that one more is needed.
fn ends_erased(batch: &mut Batch<'_>) -> bool {
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

fn put(batch: &mut Batch<'_>, at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at.checked_add(bytes.len())?;
    batch.bytes_mut().get_mut(at..end)?.copy_from_slice(bytes);
    Some(end)
}

fn named_before(batch: &Batch<'_>, index: usize, tracker: Tracker) -> bool {
    (0..index).any(|earlier| {
        matches!(batch.entry(earlier).map(|entry| entry.op), Some(Op::Track { tracker: of, .. }) if of == tracker)
    })
}

/// A buffer to read into while a batch stands: what is free of its own, or a small one.
fn room_to_read<'s>(batch: &'s mut Batch<'_>, small: &'s mut [u8]) -> Scratch<'s> {
    let free = batch.free_mut();
    Scratch::new(if free.len() >= small.len() { free } else { small })
}
