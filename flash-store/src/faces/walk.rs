//! Walking through the frames and entries of one sector, around whatever does not verify.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;

use super::medium::Medium;
use super::mount::{OPEN_PLACES, open_place};
use super::streams::DOUBTS;
use super::{NorFlash, face};
use crate::format::entry::{self, Head, Parsed};
use crate::format::frame::{Claim, Frame, HEAD_BYTES};
use crate::region::align_up;
use crate::sabotage::{self, Break};

/// A place in a sector, and what has been learnt on the way there.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// Where in the region the sector starts.
    pub(crate) sector: u32,
    pub(crate) seed: u32,
    /// Where the next frame is expected.
    pub(crate) offset: u32,
    /// How many events have come before, in this sector.
    pub(crate) ordinal: u32,
    /// How many events the sector has, as the next one tells: what verifies beyond was given up.
    pub(crate) events: u32,
    /// Where the sector ends, if the next one tells that it was given up.
    pub(crate) end: u32,
    /// The frame come through last.
    pub(crate) last: Option<Frame>,
    /// Whether the frame come through last was (a try of) the second part of the sector's header.
    pub(super) behind_header: bool,
    /// How many events that frame has shown so far, those repeated from an earlier one included.
    pub(crate) in_frame: u32,
    pub(super) frame: Option<Frame>,
    pub(super) ahead: Option<Frame>,
    pub(super) at: u32,
    pub(super) repeated: u32,
    /// How many more bytes may be checked in looking for frames behind damage.
    pub(super) budget: u32,
}

/// How many events can be missing before a frame that is looked for behind damage.
const LIKELY_EVENTS: u8 = 64;
/// How many bytes one walk may check in looking for frames behind damage.
const CHECKED_BEHIND_DAMAGE: u32 = 64 * 1024;

/// An entry come by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) head: Head,
    /// It is an event without a position.
    pub(crate) local: bool,
    /// Where in the sector its payload starts, and how long it is.
    pub(crate) payload: (u32, u32),
    /// Of an event: how many events of the sector that have positions come before it.
    pub(crate) ordinal: u32,
}

impl Walk {
    /// Starts at this offset, with `ordinal` events before it.
    pub(crate) fn new(sector: u32, seed: u32, offset: u32) -> Self {
        let (budget, events) = (CHECKED_BEHIND_DAMAGE, u32::MAX);
        Self {
            events,
            end: u32::MAX,
            budget,
            sector,
            seed,
            offset,
            ordinal: 0,
            last: None,
            behind_header: false,
            in_frame: 0,
            frame: None,
            ahead: None,
            at: 0,
            repeated: 0,
        }
    }
}

#[face]
impl<F: NorFlash> Medium<F> {
    /// The next entry; `None` at the end. `end` is where the newest sector is known to end.
    pub(crate) async fn step(
        &mut self,
        walk: &mut Walk,
        end: Option<u32>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Step>, ReadError<F::Error>> {
        let end = if walk.end < self.region.sector { Some(walk.end) } else { end };
        loop {
            let Some(mut frame) = walk.frame else {
                let Some(frame) = self.next_frame(walk, end, scratch).await? else { return Ok(None) };
                self.enter(walk, frame);
                continue;
            };
            let verified = self.verified_again(walk.sector, walk.seed, &mut frame, scratch).await?;
            walk.frame = verified.then_some(frame);
            if !verified {
                continue; // the rest of it cannot be read any more
            }
            let Some(Parsed { head, local, head_len, payload_len }) =
                self.entry(walk.sector, walk.at, frame.end, scratch).await?
            else {
                walk.frame = None; // the rest of the frame is of a kind that this version does not know
                continue;
            };
            let start = walk.at.saturating_add(head_len);
            walk.at = start.saturating_add(payload_len);
            let ordinal = walk.ordinal;
            if local {
                // Read already, or given up: the next sector begins with the events of this frame.
                if walk.repeated > 0 || ordinal > walk.events {
                    continue;
                }
            } else if head.is_event() {
                walk.in_frame = walk.in_frame.saturating_add(1);
                if walk.repeated > 0 {
                    walk.repeated = walk.repeated.saturating_sub(1);
                    continue;
                }
                walk.ordinal = walk.ordinal.saturating_add(1);
                if ordinal >= walk.events {
                    continue;
                }
            }
            return Ok(Some(Step { head, local, payload: (start, payload_len), ordinal }));
        }
    }

    /// Sees to it that the buffer holds bytes of this frame that verified, in some tries.
    async fn verified_again(
        &mut self,
        sector: u32,
        seed: u32,
        frame: &mut Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        for _ in 0..DOUBTS {
            if self.still_verified(sector, seed, frame, scratch).await? {
                return Ok(true);
            }
            scratch.bytes_mut(); // read it anew
        }
        Ok(false)
    }

    /// Fills the buffer from the start of this frame, unless it holds the frame and the one behind it already: so
    /// that looking at the one does not cost reading the other again.
    async fn hold_with_next(
        &mut self,
        sector: u32,
        frame: &Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<F::Error>> {
        let limit = sector.saturating_add(self.region.sector);
        let at = sector.saturating_add(frame.at);
        let after = frame.next;
        let most = self.most_held(at, scratch);
        let head = u32::try_from(HEAD_BYTES).unwrap_or(8);
        let span = after.saturating_add(head).min(self.region.sector).saturating_sub(frame.at);
        if span > most {
            return Ok(());
        }
        self.window(at, span, limit, scratch).await?;
        let span = match self.claim(sector, after, scratch).await? {
            Some(claim) => claim.end.saturating_sub(frame.at),
            // Nothing follows, it seems: then as far as is looked for it.
            None => after.saturating_add(self.region.quiet()).min(self.region.sector).saturating_sub(frame.at),
        };
        if span <= most {
            self.window(at, span, limit, scratch).await?;
        }
        Ok(())
    }

    /// The head of the entry at `at`, in a frame that ends at `end`.
    pub(crate) async fn entry(
        &mut self,
        sector: u32,
        at: u32,
        end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Parsed>, ReadError<F::Error>> {
        let left = end.saturating_sub(at);
        if left == 0 {
            return Ok(None);
        }
        let least = left.min(u32::try_from(entry::HEAD_BYTES).unwrap_or(32));
        let limit = sector.saturating_add(self.region.sector);
        let bytes = self.window(sector.saturating_add(at), least, limit, scratch).await?;
        Ok(Head::parse(bytes, left))
    }

    /// Begins with the entries of a frame: finds out how many events are missing before it, or are repeated in it.
    fn enter(&self, walk: &mut Walk, frame: Frame) {
        let [expected, ..] = walk.ordinal.to_le_bytes();
        let ahead = frame.ordinal.wrapping_sub(expected);
        // Half of what a byte counts lies behind: a frame that is repeated, or one that was given up.
        if ahead >= 0x80 {
            walk.repeated = u32::from(ahead.wrapping_neg());
        } else {
            walk.repeated = 0;
            walk.ordinal = walk.ordinal.saturating_add(u32::from(ahead));
        }
        walk.in_frame = 0;
        walk.frame = Some(frame);
        walk.last = Some(frame);
        walk.at = frame.entries;
    }

    /// The frontier that a frame resumes from, if it begins with such an entry.
    pub(crate) async fn resumes(
        &mut self,
        sector: u32,
        frame: &Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let parsed = self.entry(sector, frame.entries, frame.end, scratch).await?;
        Ok(match parsed.map(|parsed| parsed.head) {
            Some(Head::Resume { frontier }) => Some(frontier),
            _ => None,
        })
    }

    /// The next frame that verifies and was not given up by a later one.
    async fn next_frame(
        &mut self,
        walk: &mut Walk,
        end: Option<u32>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        if end.is_some_and(|end| walk.offset >= end) {
            return Ok(None);
        }
        let mut found = match walk.ahead.take() {
            Some(frame) => Some(frame),
            None => self.frame_from(walk, walk.offset, walk.behind_header, end, scratch).await?,
        };
        while let Some(mut frame) = found {
            let after = frame.next;
            if end.is_none_or(|end| after < end) {
                self.hold_with_next(walk.sector, &frame, scratch).await?;
            }
            if !self.verified_again(walk.sector, walk.seed, &mut frame, scratch).await? {
                found = self.frame_from(walk, after, false, end, scratch).await?;
                continue;
            }
            let header = self.opens(walk.sector, &frame, scratch).await?;
            walk.behind_header = header;
            let mut follower = match end {
                Some(end) if after >= end => None,
                _ => self.frame_from(walk, after, header, end, scratch).await?,
            };
            let mut resumed = None;
            while let Some(next) = follower {
                resumed = self.resumes(walk.sector, &next, scratch).await?;
                let Some(frontier) = resumed else { break };
                match self.given_up_by(walk, &next, frontier, end, scratch).await? {
                    Some(later) => follower = Some(later),
                    None => break,
                }
            }
            if let Some(next) = follower {
                // A frame that looked torn after an unclean stop may verify later, and the last one before may read
                // well today only: whoever started anew has given up the one and repeated the other.
                let given_up = resumed.is_some_and(|at| at <= frame.at || (at == after && !header));
                if given_up || self.opens(walk.sector, &next, scratch).await? {
                    found = Some(next);
                    continue;
                }
            }
            walk.ahead = follower;
            walk.offset = after;
            walk.frame = None;
            return Ok(Some(frame));
        }
        Ok(None)
    }

    /// The start after an unclean stop that has given up this one, which names `frontier`, and could read more than it: it
    /// does not repeat what this one repeats.
    async fn given_up_by(
        &mut self,
        walk: &mut Walk,
        start: &Frame,
        frontier: u32,
        end: Option<u32>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        if end.is_some_and(|end| start.next >= end) {
            return Ok(None);
        }
        let Some(later) = self.frame_from(walk, start.next, false, end, scratch).await? else { return Ok(None) };
        let resumed = self.resumes(walk.sector, &later, scratch).await?;
        Ok(resumed.is_some_and(|from| from > frontier && from <= start.at).then_some(later))
    }

    /// The frame at `at`, or the first behind it.
    async fn frame_from(
        &mut self,
        walk: &mut Walk,
        at: u32,
        behind_header: bool,
        end: Option<u32>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        if let Some(frame) = self.frame(walk.sector, walk.seed, at, scratch).await? {
            return Ok(Some(frame));
        }
        let end = end.unwrap_or(self.region.sector);
        // After a clean stop the writer went on behind two marks.
        let marked = at.saturating_add(self.region.marks());
        if marked < end && self.marks_shown(walk.sector, marked, scratch).await? == 2 {
            if let Some(frame) = self.frame(walk.sector, walk.seed, marked, scratch).await? {
                return Ok(Some(frame));
            }
        }
        if behind_header {
            if let Some(frame) = self.opened_behind(walk, at, end, scratch).await? {
                return Ok(Some(frame));
            }
        }
        let end = self.written_end(walk.sector, at, end, scratch).await?;
        let resumed = self.resumed_behind(walk, at, end, scratch).await?;
        match resumed {
            Some((frame, frontier)) if frontier == at => Ok(Some(frame)),
            Some((frame, _)) => Ok(self.damaged_behind(walk, at, frame.at, scratch).await?.or(Some(frame))),
            None => self.damaged_behind(walk, at, end, scratch).await,
        }
    }

    /// Where what was written from `at` on ends, where no frame verifies. If nothing shows as far as a start after an
    /// unclean stop can be, it ends right there.
    pub(crate) async fn written_end(
        &mut self,
        sector: u32,
        at: u32,
        end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<u32, ReadError<F::Error>> {
        // What was begun here may end in bytes that look erased: its length, if that was written, tells how far it goes.
        let begun = self.claim(sector, at, scratch).await?;
        let reach = begun.map_or(at, |claim| self.region.words(claim.end)).min(end);
        let seen = self.programmed_end(sector, at, reach.saturating_add(self.region.quiet()).min(end), scratch).await?;
        if seen <= at {
            return Ok(at);
        }
        // Something shows that does not verify: nothing tells how far a start behind it may be.
        self.programmed_end(sector, seen.max(reach), end, scratch).await
    }

    /// The same for the writer, who knows how many events come before: a frame that was begun at `at` tells that number
    /// behind its length, so that a length of which not all bits were programmed yet is not gone by. Words are programmed
    /// one after another: behind such a one, nothing was. Answers where that frame ends, if that will be told for ever, or `at`;
    /// and where what shows ends, or what was begun.
    pub(crate) async fn begun_end(
        &mut self,
        sector: u32,
        at: u32,
        ordinal: u8,
        scratch: &mut Scratch<'_>,
    ) -> Result<(u32, u32), ReadError<F::Error>> {
        let (mut reach, mut told) = (at, at);
        // Behind a clean stop it was begun behind marks.
        for place in [at, at.saturating_add(self.region.marks())] {
            if place > at && (place >= self.region.sector || self.marks_shown(sector, place, scratch).await? < 2) {
                break;
            }
            let Some(claim) = self.claim(sector, place, scratch).await? else { continue };
            let limit = sector.saturating_add(self.region.sector);
            let bytes = self.window(sector.saturating_add(claim.body), 2, limit, scratch).await?;
            if matches!(bytes, [number, tag, ..] if *number == ordinal && entry::is_tag(*tag)) {
                (reach, told) = (self.region.words(claim.end), claim.body.saturating_add(2));
            }
        }
        let seen = self.programmed_end(sector, at, reach.saturating_add(self.region.quiet()), scratch).await?;
        if seen <= at {
            return Ok((at, at));
        }
        // Once a word behind those that tell the length was begun with, these read the same for ever.
        let told = self.region.words(told).min(reach);
        let stays = self.programmed_end(sector, told, reach, scratch).await? > told;
        let seen = self.programmed_end(sector, seen.max(reach), self.region.sector, scratch).await?;
        Ok((if stays { reach } else { at }, seen))
    }

    /// The end of what was begun at a place where a new start from `frontier`, or before it, may stand, as its length tells; it
    /// may end in bytes that look erased. The place itself if no start shows there.
    pub(crate) async fn started_end(
        &mut self,
        sector: u32,
        at: u32,
        frontier: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<u32, ReadError<F::Error>> {
        // In what was begun at the frontier anything may look like a start, but for the marks before it.
        if open_place(&self.region, 0) != Some(at) && self.marks_shown(sector, at, scratch).await? == 0 {
            return Ok(at);
        }
        let Some(claim) = self.claim(sector, at, scratch).await? else { return Ok(at) };
        let parsed = self.entry(sector, claim.body.saturating_add(1), claim.end, scratch).await?;
        Ok(match parsed.map(|parsed| parsed.head) {
            Some(Head::Resume { frontier: from }) if from <= frontier => self.region.words(claim.end),
            Some(Head::Open { .. }) => self.region.words(claim.end),
            _ => at,
        })
    }

    /// How many of the two marks that stand before a start at `at` show: one may have been cut off.
    pub(crate) async fn marks_shown(
        &mut self,
        sector: u32,
        at: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<usize, ReadError<F::Error>> {
        let (marks, limit) = (self.region.marks(), sector.saturating_add(self.region.sector));
        let bytes = self.window(sector.saturating_add(at.saturating_sub(marks)), marks, limit, scratch).await?;
        // A word has a byte at least: without that being said here, `chunks` could panic.
        let words = bytes.chunks((self.region.word as usize).max(1)).take(2);
        Ok(words.filter(|word| word.iter().all(|byte| *byte == 0)).count())
    }

    /// The second part of the sector's header, if it was written once more behind `at`.
    async fn opened_behind(
        &mut self,
        walk: &Walk,
        at: u32,
        end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        for number in 1..OPEN_PLACES {
            let Some(place) = open_place(&self.region, number).filter(|place| *place >= at && *place < end) else {
                continue;
            };
            if let Some(frame) = self.frame(walk.sector, walk.seed, place, scratch).await? {
                if self.opens(walk.sector, &frame, scratch).await? {
                    return Ok(Some(frame));
                }
            }
        }
        Ok(None)
    }

    /// Whether a frame begins with the second part of the sector's header.
    async fn opens(
        &mut self,
        sector: u32,
        frame: &Frame,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let is_place = (0..OPEN_PLACES).any(|number| open_place(&self.region, number) == Some(frame.at));
        if !is_place {
            return Ok(false);
        }
        let parsed = self.entry(sector, frame.entries, frame.end, scratch).await?;
        Ok(matches!(parsed.map(|parsed| parsed.head), Some(Head::Open { .. })))
    }

    /// The first frame behind `at` that resumes after an unclean stop, with the frontier that it names.
    pub(crate) async fn resumed_behind(
        &mut self,
        walk: &Walk,
        at: u32,
        end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<(Frame, u32)>, ReadError<F::Error>> {
        let grid = self.region.grid();
        let mut place = align_up(at.saturating_add(1), grid);
        while place < end {
            let resumed = place.saturating_add(self.region.marks());
            if let Some(claim) = self.claim(walk.sector, resumed, scratch).await? {
                let tag = self.entry(walk.sector, claim.body.saturating_add(1), claim.end, scratch).await?;
                if let Some(Parsed { head: Head::Resume { frontier }, .. }) = tag {
                    if let Some(frame) = self.frame(walk.sector, walk.seed, resumed, scratch).await? {
                        return Ok(Some((frame, frontier)));
                    }
                }
            }
            place = place.saturating_add(grid);
        }
        Ok(None)
    }

    /// The first frame behind damage at `at` that verifies, up to `end`.
    ///
    /// Bounded for hostile content: a walk checks only so many bytes for it.
    async fn damaged_behind(
        &mut self,
        walk: &mut Walk,
        at: u32,
        end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Frame>, ReadError<F::Error>> {
        let word = self.region.word;
        let mut place = at.saturating_add(word);
        if sabotage::is_on(Break::Damage) {
            return Ok(None);
        }
        while place < end && (walk.budget > 0 || sabotage::is_on(Break::Budget)) {
            if let Some(claim) = self.claim(walk.sector, place, scratch).await? {
                if self.is_likely(walk, &claim, scratch).await? {
                    walk.budget = walk.budget.saturating_sub(claim.end.saturating_sub(place));
                    if let Some(frame) = self.frame(walk.sector, walk.seed, place, scratch).await? {
                        return Ok(Some(frame));
                    }
                }
            }
            place = place.saturating_add(word);
        }
        Ok(None)
    }

    /// Whether what claims to be a frame would follow soon after what has been read.
    async fn is_likely(
        &mut self,
        walk: &Walk,
        claim: &Claim,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let limit = walk.sector.saturating_add(self.region.sector);
        let bytes = self.window(walk.sector.saturating_add(claim.body), 1, limit, scratch).await?;
        let [expected, ..] = walk.ordinal.to_le_bytes();
        let ahead = bytes.first().map_or(0, |ordinal| ordinal.wrapping_sub(expected));
        Ok(ahead < LIKELY_EVENTS || ahead.wrapping_neg() < LIKELY_EVENTS)
    }

    /// Whether all bytes of the sector from `from` up to `to` (or its end) read as erased.
    pub(crate) async fn erased_between(
        &mut self,
        sector: u32,
        from: u32,
        to: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        Ok(self.programmed_end(sector, from, to, scratch).await? <= from)
    }

    /// The end of the last byte between `from` and `to` (or the sector's end) that does not read as erased; `from`
    /// if all do.
    pub(crate) async fn programmed_end(
        &mut self,
        sector: u32,
        from: u32,
        to: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<u32, ReadError<F::Error>> {
        let to = to.min(self.region.sector);
        let limit = sector.saturating_add(self.region.sector);
        let (mut at, mut found) = (from, from);
        while at < to {
            let bytes = self.window(sector.saturating_add(at), 1, limit, scratch).await?;
            let bytes = bytes.get(..bytes.len().min(to.saturating_sub(at) as usize)).unwrap_or_default();
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0xFF) {
                found = at.saturating_add(u32::try_from(last).unwrap_or(0)).saturating_add(1);
            }
            at = at.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Ok(found)
    }
}
