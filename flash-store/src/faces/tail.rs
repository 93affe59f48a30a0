//! Going on after an unclean stop.
//!
//! Power may have failed while the last frame was written. What stands behind it cannot be trusted: a word whose
//! programming had just begun reads erased now and something else later. Nor can the last frame itself, if it
//! verifies: its last word may be the one that was cut, and read well only today. So the writer leaves that place,
//! names it in a resume record, and repeats the last frame there; a reader takes whichever of the two it can read.
//!
//! That place may have been tried before, by a start that was cut off just when it programmed its first word, so that
//! nothing of it can be seen. So the first words that a new start programs are expendable: two marks, whose content
//! means nothing. Only behind them stands what must be read again. If one of them cannot be seen later, the other
//! still tells that what follows was begun with; it takes three cuts at three certain words, one after another, to
//! hide a try altogether.
//!
//! This happens with the first append after a mount, so that a device that restarts again and again without
//! appending wears nothing out.

use evenkeel_core::Position;
use evenkeel_core::bytes::ByteWriter;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::scratch::Scratch;

use super::flash_log::{FlashLog, Newest, Prepared, State};
use super::mount::{OPEN_PLACES, open_place};
use super::pour::Pour;
use super::sectors::Hold;
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::entry::{Head, Named};
use crate::format::frame::{self, Frame, write_head};
use crate::region::align_up;
use crate::sabotage::{self, Break};

/// The most bytes before the entries that a resume frame repeats.
const RESUME_HEAD: usize = frame::HEAD_BYTES + 8;
/// How often a last frame that verified once is read again before it is given up.
const TRIES: u32 = 32;

/// The last frame of a sector, to be repeated: its entries without an older resume record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeated {
    pub(crate) sector: u32,
    pub(crate) frame: Frame,
    /// How many of its entries are events that have positions.
    pub(crate) events: u32,
    /// Whether any of its entries is an event.
    pub(crate) has_events: bool,
    /// The position of the first of them; of the event to come if there are none.
    pub(crate) first: Position,
    /// What it resumes from itself: as it may not read well any more, what stands behind that must stay given up.
    frontier: Option<u32>,
    /// It begins with the second part of the sector's header.
    opens: bool,
    /// The streams of all its events are known, so that it can be repeated in another sector.
    nameable: bool,
}

/// What is behind the frontier.
#[derive(Debug, Clone, Copy)]
struct Behind {
    /// Whether anything shows.
    shows: bool,
    /// Whether its first word does, which no mark of another start is.
    shows_first: bool,
    /// Where, behind its marks, a new start goes.
    free: u32,
    /// Where the second mark of a start is missing of which only the first shows.
    half_marked: Option<u32>,
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Makes memory agree with the flash again, if a write or an erase did not come to its end.
    pub(crate) async fn settle(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        match self.state {
            State::Mounted => self.keep_newest(scratch).await,
            State::Unknown => Err(ReadError::NotMounted),
            State::Interrupted if sabotage::is_on(Break::FindingOut) => Err(ReadError::NotMounted),
            State::Interrupted => self.mount_again(scratch).await,
        }
    }

    /// As long as nothing was appended since an unclean stop, the header of the newest sector may be what was being
    /// written: if it cannot be read any more, the sector before is the newest.
    async fn keep_newest(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        let Newest { sequence, torn, stored, tracked, .. } = self.newest;
        let Some(last) = self.newest.last.filter(|_| torn && !stored) else {
            return Ok(());
        };
        let opens = self.newest.is_only_header();
        scratch.bytes_mut(); // read it anew
        if opens {
            if self.read_again(last, scratch).await?.is_none() {
                self.lose_last(self.newest.next(), scratch).await?;
            }
        } else if tracked.is_none() && self.newest.back > 0 {
            // Or the sector was being erased, to be started anew: then all of it may have read well at the mount.
            for _ in 0..TRIES {
                if self.opened(self.identity, sequence, scratch).await?.is_some() {
                    return Ok(());
                }
                scratch.bytes_mut(); // read it anew
            }
            return self.mount_again(scratch).await;
        }
        Ok(())
    }

    pub(crate) async fn mount_again(&mut self, scratch: &mut Scratch<'_>) -> Result<(), ReadError<F::Error>> {
        match self.find_log(scratch).await {
            Ok(()) => Ok(()),
            Err(MountError::Storage(error)) => {
                self.state = State::Interrupted;
                Err(ReadError::Storage(error))
            }
            Err(_) => Err(ReadError::NotMounted),
        }
    }

    /// Sees to it, before the first append after an unclean stop, that what has been read will stay.
    ///
    /// Answers what is still to be repeated, in the next sector, if this one has no room for it.
    pub(crate) async fn resume(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Repeated>, AppendError<F::Error>> {
        if !self.newest.torn {
            return Ok(None);
        }
        if sabotage::is_on(Break::TornTailRule) {
            self.newest.torn = false;
            return Ok(None);
        }
        let region = self.medium.region;
        let room = region.leap().saturating_add(region.grid()).saturating_add(region.marks() << 1);
        let unsaid = self.newest.offset.saturating_add(room) > region.sector;
        if unsaid
            && self.is_spare_reserve()
            && self.newest.tracked.is_none()
            && matches!(self.let_go(scratch).await?, Hold::By(_))
        {
            // Starting it anew may be what was cut off, without room to say so: then its words read well today only.
            self.start_anew(scratch).await?;
            self.restarted = false; // not for want of room
            if !self.newest.torn {
                return Ok(None);
            }
        }
        let counted = self.newest.next();
        let mut last = None;
        for _ in 0..TRIES {
            let frontier = self.newest.offset;
            let Behind { shows, shows_first, free, half_marked } = self.untouched_behind(frontier, scratch).await?;
            if let Some(second) = half_marked {
                // The place that was tried must not be taken again, should its only mark not show the next time: a mark
                // of this start, cut off and hidden, would be run over from there.
                self.zero(self.newest.sector.saturating_add(second)).await?;
            }
            last = self.newest.last;
            let read = match last {
                Some(frame) => self.read_again(frame, scratch).await?,
                None => None,
            };
            if last.is_some() && read.is_none() {
                self.lose_last(counted, scratch).await?;
                continue;
            }
            // Where something shows that does not verify, another start may have been cut off, or may come to read well
            // later: the next sector is the place without any doubt.
            let movable =
                shows && self.prepared != Prepared::No && read.is_some_and(|last| last.nameable && !last.opens);
            if movable && !self.opening_takes_reserve() {
                break;
            }
            // What was begun right behind the opened frame shows that this one was finished: it need not be repeated.
            let begun = shows_first && self.newest.is_only_header();
            let read = read.filter(|_| !begun);
            // From here to the checksum of the copy nothing else is read: what was verified is what is copied.
            let written = match read {
                Some(last) if last.opens => match self.open_again(&last, free, scratch).await? {
                    None if !self.newest.stored && self.oldest.0 < self.newest.sequence => {
                        // No place is left for another header, and nothing but the header is in this sector.
                        self.start_anew(scratch).await?;
                        if self.newest.torn {
                            continue;
                        }
                        return Ok(None);
                    }
                    written => written,
                },
                last => {
                    let last = last.filter(|_| !sabotage::is_on(Break::LastFrame));
                    self.write_resume(frontier, free, last, scratch).await?
                }
            };
            let Some(frame) = written else { break };
            if self.medium.frame(self.newest.sector, self.newest.seed, frame.at, scratch).await?.is_some() {
                (self.newest.torn, self.newest.unrepeated) = (false, None);
                self.newest.offset = frame.next;
                if read.is_some_and(|last| last.opens) {
                    self.newest.opened = frame.at;
                }
                self.newest.last = Some(frame);
                return Ok(None);
            }
        }
        let last = match last {
            Some(frame) => {
                let read = self.read_again(frame, scratch).await?;
                if read.is_none() {
                    self.lose_last(counted, scratch).await?;
                }
                read
            }
            None => None,
        };
        self.newest.torn = false;
        // What is written there beyond does not count, even if it verifies later.
        let frontier = last.and_then(|last| last.frontier).unwrap_or(self.newest.offset);
        self.left_at = self.left_at.or(Some(frontier));
        self.newest.unrepeated = last.map(|last| last.frame.at);
        self.newest.offset = self.medium.region.sector;
        Ok(last.filter(|last| last.nameable))
    }

    /// As [`resume`](Self::resume), and repeats what this sector has no room for by opening the next one, if that can
    /// be had now.
    pub(crate) async fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<(), AppendError<F::Error>> {
        if self.newest.closed {
            return self.go_on_in_place().await;
        }
        let Some(carry) = self.resume(scratch).await? else { return Ok(()) };
        self.newest.torn = true; // until it is repeated
        if let Hold::Nothing = self.prepare_next(scratch).await? {
            return self.open_next_with(Some(carry), scratch).await;
        }
        Ok(())
    }

    /// Repeats the last frame after an unclean stop, if that has not been done yet: from then on it reads well every time,
    /// or its events are known to be lost. Answers whether there was such a frame.
    pub(crate) async fn secure_last(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<F::Error>> {
        self.settle(scratch).await?;
        if !self.newest.torn {
            return Ok(false);
        }
        if let Some(carry) = self.resume(scratch).await? {
            self.newest.torn = true; // until it is repeated
            if let Hold::By(held_by) = self.prepare_next(scratch).await? {
                return Err(AppendError::Full { held_by });
            }
            self.open_next_with(Some(carry), scratch).await?;
        }
        Ok(true)
    }

    /// After a clean stop: goes on right behind it. The marks tell the next mount that this was begun.
    async fn go_on_in_place(&mut self) -> Result<(), AppendError<F::Error>> {
        let region = self.medium.region;
        let place = self.newest.offset.saturating_add(region.marks());
        if place < region.sector {
            self.mark(self.newest.sector, place).await?;
            self.newest.offset = place;
        } else {
            self.newest.offset = region.sector;
        }
        self.newest.closed = false;
        Ok(())
    }

    /// What is behind the frontier.
    ///
    /// If nothing shows, at most one word (or page) can have been begun there, and at most the first mark of a start
    /// before this one: this start's marks come to lie on it, or it lies behind the frontier by less than the leap.
    async fn untouched_behind(
        &mut self,
        frontier: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Behind, ReadError<F::Error>> {
        let (region, sector) = (self.medium.region, self.newest.sector);
        if let Some(last) = self.newest.last.filter(|last| last.at < frontier) {
            // The last frame is read again right after: one reading may do for both.
            let end = frontier.saturating_add(region.quiet()).min(region.sector);
            let span = end.saturating_sub(last.at);
            scratch.bytes_mut(); // read it anew
            if span <= self.medium.most_held(sector.saturating_add(last.at), scratch) {
                let limit = sector.saturating_add(region.sector);
                self.medium.window(sector.saturating_add(last.at), span, limit, scratch).await?;
            }
        }
        let [ordinal, ..] = self.newest.events.to_le_bytes();
        let (reach, mut seen) = self.medium.begun_end(sector, frontier, ordinal, scratch).await?;
        if self.newest.is_only_header() {
            // Where the header is written once more is further off.
            seen = seen.max(self.medium.programmed_end(sector, frontier, region.sector, scratch).await?);
            for number in 1..OPEN_PLACES {
                let Some(place) = open_place(&region, number).filter(|place| *place < seen) else { break };
                seen = seen.max(self.medium.started_end(sector, place, frontier, scratch).await?);
            }
        }
        let (shown, mut half_marked, mut before) = (seen, None, reach);
        let mut start = align_up(frontier.saturating_add(region.leap()), region.grid());
        while start < seen {
            let place = start.saturating_add(region.marks());
            let second = start.saturating_add(region.word);
            half_marked =
                (seen == shown && shown <= second && before <= start && place <= region.sector).then_some(second);
            if half_marked.is_some() && self.medium.programmed_end(sector, before, start, scratch).await? > before {
                half_marked = None; // what shows may be the end of what was begun before
            }
            seen = seen.max(self.medium.started_end(sector, place, frontier, scratch).await?);
            if place <= region.sector && self.medium.marks_shown(sector, place, scratch).await? > 0 {
                before = before.max(place);
            }
            start = start.saturating_add(region.grid());
        }
        let behind = if seen > frontier { seen.saturating_add(region.word) } else { frontier };
        // What was begun may have read well at an earlier start: then that one stood behind its end, and its mark may be
        // hidden there.
        let start = align_up(behind.max(reach.saturating_add(region.leap())), region.grid());
        let first = self.medium.programmed_end(sector, frontier, frontier.saturating_add(region.word), scratch).await?;
        let places = open_place(&region, 1).map_or(region.sector, |place| place.saturating_sub(region.marks()));
        let shows_first = first > frontier && frontier < places;
        Ok(Behind { shows: seen > frontier, shows_first, free: start.saturating_add(region.marks()), half_marked })
    }

    /// Whether a frame to be repeated can still be read; if so it is in the buffer now, as far as that reaches.
    pub(crate) async fn still_reads(
        &mut self,
        last: &Repeated,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let seed = self.walk(sequence, 0).seed;
        for _ in 0..TRIES {
            scratch.bytes_mut(); // read it anew
            if self.medium.frame(last.sector, seed, last.frame.at, scratch).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Verifies the last frame again, in some tries; it is in the buffer then, as far as that reaches.
    pub(crate) async fn read_again(
        &mut self,
        last: Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Repeated>, ReadError<F::Error>> {
        let (sector, seed) = (self.newest.sector, self.newest.seed);
        for _ in 0..TRIES {
            if let Some(frame) = self.medium.frame(sector, seed, last.at, scratch).await? {
                return Ok(Some(self.repeatable(sector, frame, scratch).await?));
            }
            scratch.bytes_mut(); // read it anew
        }
        Ok(None)
    }

    /// The last frame cannot be read any more: memory is made to agree, but the positions of its events, up to
    /// `counted`, are not given to others, as somebody may have seen them.
    pub(crate) async fn lose_last(
        &mut self,
        counted: Position,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<F::Error>> {
        let (sequence, ceiling) = (self.newest.sequence, self.newest.last.map_or(0, |last| last.at));
        let opens = self.newest.is_only_header();
        let mut tries = 0;
        loop {
            // Of a frame that opened its sector, the sector is lost with it; all else stands before it.
            let outcome = match opens && !self.newest.stored {
                true => self.mount_again(scratch).await,
                false => {
                    let read = self.read_newest(sequence, Some(ceiling), scratch).await;
                    read.map(drop).map_err(|_| ReadError::NotMounted)
                }
            };
            tries = u32::saturating_add(tries, 1);
            if tries >= TRIES || outcome.is_ok() {
                outcome?;
                break;
            }
        }
        self.reader.forget();
        self.chase = None;
        let lost = counted.since(self.newest.next());
        self.newest.lost = u32::try_from(lost).unwrap_or(u32::MAX);
        self.newest.events = self.newest.events.saturating_add(self.newest.lost);
        self.newest.torn = true;
        Ok(())
    }

    pub(crate) async fn repeatable(
        &mut self,
        sector: u32,
        frame: Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<Repeated, ReadError<F::Error>> {
        let behind = self.newest.events.to_le_bytes()[0].wrapping_sub(frame.ordinal);
        let first = Position(self.newest.next().0.saturating_sub(u64::from(behind)));
        let mut repeated = Repeated {
            sector,
            frame,
            events: 0,
            has_events: false,
            first,
            frontier: None,
            opens: false,
            nameable: true,
        };
        let mut at = frame.entries;
        while let Some(parsed) = self.medium.entry(sector, at, frame.end, scratch).await? {
            at = at.saturating_add(parsed.head_len).saturating_add(parsed.payload_len);
            match parsed.head {
                Head::Resume { frontier } if !repeated.opens => {
                    (repeated.frame.entries, repeated.frontier) = (at, Some(frontier));
                }
                Head::Open { .. } => repeated.opens = true,
                head if head.is_event() => {
                    repeated.has_events = true;
                    repeated.events = repeated.events.saturating_add(u32::from(!parsed.local));
                    repeated.nameable &= self.carried(head).is_some();
                }
                _ => {}
            }
        }
        Ok(repeated)
    }

    /// Writes the resume frame; `None` if it does not fit this sector.
    async fn write_resume(
        &mut self,
        frontier: u32,
        place: u32,
        last: Option<Repeated>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, AppendError<F::Error>> {
        let [next, ..] = self.newest.events.to_le_bytes();
        let none = Frame { at: 0, entries: 0, end: 0, next: 0, ordinal: next, filling: 0 };
        let frame = last.map_or(none, |last| last.frame);
        let repeated = frame.end.saturating_sub(frame.entries);
        let more = (repeated > 0).then_some(0);
        let resume = Head::Resume { frontier: last.and_then(|last| last.frontier).unwrap_or(frontier) };
        let entries = resume.len(more).saturating_add(repeated as usize);
        let mut head = [0; RESUME_HEAD];
        let mut out = ByteWriter::new(&mut head);
        let _ = write_head(entries, frame.ordinal, &mut out).and_then(|()| resume.write(more, &mut out));
        let body = out.len().saturating_sub(resume.len(more));
        self.write_copy(place, out.written(), body, frame, scratch).await
    }

    /// Writes the second part of the sector's header once more, at the next of its places.
    async fn open_again(
        &mut self,
        last: &Repeated,
        free: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, AppendError<F::Error>> {
        let region = self.medium.region;
        for number in 1..OPEN_PLACES {
            let Some(place) = open_place(&region, number) else { break };
            if place < free {
                continue;
            }
            let entries = last.frame.end.saturating_sub(last.frame.entries) as usize;
            let mut head = [0; RESUME_HEAD];
            let mut out = ByteWriter::new(&mut head);
            let _ = write_head(entries, last.frame.ordinal, &mut out);
            let body = out.len();
            return self.write_copy(place, out.written(), body, last.frame, scratch).await;
        }
        Ok(None)
    }

    /// Writes a frame of `head`, of which the first entry starts at `body`, and the entries of another frame.
    async fn write_copy(
        &mut self,
        place: u32,
        head: &[u8],
        body: usize,
        of: Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, AppendError<F::Error>> {
        let region = self.medium.region;
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let end = place.saturating_add(count(head.len())).saturating_add(of.end.saturating_sub(of.entries));
        if region.words(end).saturating_add(region.word) > region.sector {
            return Ok(None);
        }
        let sector = self.newest.sector;
        let body_bytes = head.get(4..).unwrap_or_default();
        let len = end.saturating_sub(place).saturating_sub(4) as usize;
        let mut pour = Pour::into_checksum(self.newest.seed, place, len);
        // Out of the buffer, if it has room for all: what was verified there is what is copied.
        let from = sector.saturating_add(of.entries);
        let held = self.medium.held(from, sector.saturating_add(of.end), scratch);
        self.medium.pour(&mut pour, body_bytes).await?;
        match held.clone().and_then(|held| scratch.bytes().get(held)) {
            Some(bytes) => self.medium.pour(&mut pour, bytes).await?,
            None => self.medium.pour_range(&mut pour, sector, of.entries, of.end, scratch).await?,
        }
        let mut pour = Pour::into_flash(sector.saturating_add(place), pour.checksum(), len);
        self.mark(sector, place).await?;
        self.state = State::Interrupted;
        self.medium.pour(&mut pour, body_bytes).await?;
        match held.and_then(|held| scratch.bytes().get(held)) {
            Some(bytes) => self.medium.pour(&mut pour, bytes).await?,
            None => self.medium.pour_range(&mut pour, sector, of.entries, of.end, scratch).await?,
        }
        self.medium.drain(&mut pour).await?;
        self.state = State::Mounted;
        let entries = place.saturating_add(count(body));
        let next = pour.place.saturating_sub(sector);
        Ok(Some(Frame { at: place, entries, end, next, ordinal: of.ordinal, filling: 0 }))
    }

    /// Programs the marks of a new start right before `place`: each with a command of its own, so that a cut hits one.
    pub(crate) async fn mark(&mut self, sector: u32, place: u32) -> Result<(), AppendError<F::Error>> {
        let mut at = sector.saturating_add(place).saturating_sub(self.medium.region.marks());
        while at < sector.saturating_add(place) {
            self.zero(at).await?;
            at = at.saturating_add(self.medium.region.word);
        }
        Ok(())
    }

    /// Programs one word with zeros.
    async fn zero(&mut self, at: u32) -> Result<(), AppendError<F::Error>> {
        let zeros = [0; 32];
        let zeros = zeros.get(..self.medium.region.word as usize).unwrap_or_default();
        let before = core::mem::replace(&mut self.state, State::Interrupted);
        self.medium.write(at, zeros).await.map_err(AppendError::Storage)?;
        self.state = before;
        Ok(())
    }

    /// The entry, of a frame to be repeated in another sector, as it stands there: with its stream named in full.
    /// `None` if it need not be repeated.
    pub(crate) fn carried(&mut self, head: Head) -> Option<Head> {
        match head {
            Head::Event { slot, version_low } => {
                let known = self.streams.by_slot(slot)?;
                let low = known.version.0.to_le_bytes()[0].wrapping_sub(version_low);
                let version = evenkeel_core::Version(known.version.0.wrapping_sub(u32::from(low)));
                let named = Named { kind: known.kind, schema: known.schema, stream: known.stream, version, back: 1 };
                Some(Head::Inline { named })
            }
            Head::Introduction { named, .. } | Head::Inline { named } => {
                Some(Head::Inline { named: Named { back: 1, ..named } })
            }
            Head::Snapshot { named } => Some(Head::Snapshot { named: Named { back: 1, ..named } }),
            _ => None,
        }
    }
}
