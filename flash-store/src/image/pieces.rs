//! Going through a sector from its first byte to its last, beside the walk of a mount.

use evenkeel_core::{Position, StreamId, Version};

use super::piece::{Cause, EntryKind, EntryReport, FrameReport, Leftover, NamedStream, Piece, Stretch};
use super::survey::{SLOTS, SectorReport, SectorState, Survey};
use crate::blocking::walk::{Step, Walk};
use crate::format::checksum::sector_seed;
use crate::format::entry::{Head, Named, Parsed};
use crate::format::frame::Frame;
use crate::format::header::PREPARED_BYTES;
use crate::table::{Directory, Listed, version_after};

/// As many sectors' worth of bytes are checked at most in looking for frames that do not count.
const CHECKED_SECTORS: u32 = 64;
/// Less than so many erased bytes within something written do not part it.
const ERASED_RUN: u32 = 16;

/// The pieces of a sector: see [`Survey::pieces`].
#[derive(Debug)]
pub struct Pieces<'s, 'a> {
    survey: &'s mut Survey<'a>,
    /// Where in the region the sector starts.
    sector: u32,
    seed: Option<u32>,
    base: Position,
    state: SectorState,
    /// What a mount reads, if it reads this sector.
    walk: Option<Walk>,
    end: Option<u32>,
    /// How many events have come before, missing ones counted.
    events: u32,
    /// The next entry that counts, with its frame.
    next: Option<(Frame, Step)>,
    /// The frame whose entries are being told.
    frame: Option<(Frame, bool)>,
    entry: u32,
    directory: Directory<SLOTS>,
    /// All before has been told.
    at: u32,
    stop: u32,
    header: u32,
    /// The frame told last.
    told: Option<Frame>,
    /// Behind that frame, if it was a clean stop.
    closed: Option<u32>,
    gap: Option<Piece<'a>>,
    budget: u32,
}

impl<'s, 'a> Pieces<'s, 'a> {
    pub(super) fn new(survey: &'s mut Survey<'a>, report: &SectorReport) -> Self {
        let region = survey.log.medium.region;
        let sector = report.index.saturating_mul(region.sector);
        let named = report.identity.zip(report.sequence);
        let seed = named.map(|(identity, sequence)| sector_seed(identity.log, identity.epoch, sequence));
        let (mut walk, mut end) = (None, None);
        if let (Some((identity, sequence)), Some(seed), true) = (named, seed, report.opened.is_some()) {
            let opened = survey.log.opened(identity, sequence, &mut survey.scratch).ok().flatten();
            walk = match opened {
                Some(opened) if report.is_read() => {
                    end = survey.log.end_of(sequence);
                    survey.log.walk_from(sequence, &opened, &mut survey.scratch).ok()
                }
                opened => opened.map(|opened| Walk::new(sector, seed, opened.frame.at)),
            };
        }
        let mut pieces = Self {
            survey,
            sector,
            seed,
            base: report.opened.map_or(Position::START, |opened| opened.base),
            state: report.state,
            walk,
            end,
            events: 0,
            next: None,
            frame: None,
            entry: 0,
            directory: Directory::new(),
            at: 0,
            stop: region.sector,
            header: region.words(u32::try_from(PREPARED_BYTES).unwrap_or(u32::MAX)),
            told: None,
            closed: None,
            gap: None,
            budget: region.sector.saturating_mul(CHECKED_SECTORS),
        };
        if report.prepared.is_none() {
            pieces.header = 0;
        }
        pieces.pull();
        pieces
    }

    /// Takes the next entry from the walk.
    fn pull(&mut self) {
        let Some(walk) = &mut self.walk else { return };
        let survey = &mut *self.survey;
        let step = survey.log.medium.step(walk, self.end, &mut survey.scratch).ok().flatten();
        // What stood in sectors behind, whose headers are damaged, is counted with the newest.
        let counted = if self.state == SectorState::Newest { survey.log.newest.events } else { 0 };
        self.next = walk.last.zip(step);
        let reached = match &self.next {
            Some((_, step)) if step.head.is_event() && !step.local => step.ordinal,
            Some(_) => walk.ordinal.min(walk.events),
            None if walk.events != u32::MAX => walk.events,
            None => walk.ordinal.max(counted),
        };
        if let Some(missing) = reached.checked_sub(self.events).filter(|missing| *missing > 0) {
            self.gap = Some(Piece::Gap { first: self.base.plus(u64::from(self.events)), events: missing });
        }
        self.events = match &self.next {
            Some((_, step)) if step.head.is_event() && !step.local => step.ordinal.saturating_add(1),
            _ => reached.max(self.events),
        };
    }

    /// The next entry of the frame that is being told.
    fn next_entry(&mut self) -> Option<Piece<'a>> {
        let (frame, counts) = self.frame?;
        let survey = &mut *self.survey;
        let parsed = survey.log.medium.entry(self.sector, self.entry, frame.end, &mut survey.scratch).ok().flatten();
        let Some(Parsed { head, local, head_len, payload_len }) = parsed else {
            self.frame = None;
            let (at, len) = (self.entry, frame.end.saturating_sub(self.entry));
            let payload = self.bytes(at, len);
            let kind = EntryKind::Unknown;
            return (len > 0).then_some(Piece::Entry(EntryReport { at, kind, position: None, counts: false, payload }));
        };
        let (at, start) = (self.entry, self.entry.saturating_add(head_len));
        self.entry = start.saturating_add(payload_len);
        let step = self.next.filter(|(of, step)| counts && of.at == frame.at && step.payload.0 == start);
        let kind = self.kind_of(&head, local, step.is_some());
        let position =
            step.filter(|_| head.is_event() && !local).map(|(_, step)| self.base.plus(u64::from(step.ordinal)));
        let payload = self.bytes(start, payload_len);
        if step.is_some() {
            self.pull();
        }
        Some(Piece::Entry(EntryReport { at, kind, position, counts: step.is_some(), payload }))
    }

    fn kind_of(&mut self, head: &Head, local: bool, counts: bool) -> EntryKind {
        match head {
            Head::Event { slot, version_low } => {
                let listed = match counts {
                    true => self.directory.advance(*slot, *version_low, local),
                    false => self
                        .directory
                        .get(*slot)
                        .map(|listed| Listed { version: version_near(listed.version, *version_low), ..listed }),
                };
                let stream = listed.map(|Listed { stream, kind, schema, version }| NamedStream {
                    stream,
                    kind,
                    schema,
                    version,
                });
                EntryKind::Event { stream, slot: Some(*slot), introduces: false, local }
            }
            Head::Introduction { slot, named } => {
                if counts {
                    let Named { stream, version, kind, schema, .. } = *named;
                    self.directory.introduce(*slot, Listed { stream, version, kind, schema });
                }
                EntryKind::Event { stream: Some(named_stream(named)), slot: Some(*slot), introduces: true, local }
            }
            Head::Inline { named } => {
                EntryKind::Event { stream: Some(named_stream(named)), slot: None, introduces: false, local }
            }
            Head::Snapshot { named } => EntryKind::Snapshot { stream: named_stream(named) },
            Head::Track { tracker, position } => EntryKind::Track { tracker: *tracker, position: *position },
            Head::Open { base, oldest, back, moment } => {
                EntryKind::Open { base: *base, oldest: *oldest, back: *back, moment: *moment }
            }
            Head::Resume { frontier } => EntryKind::Resume { frontier: *frontier },
            Head::Close => EntryKind::Close,
            Head::Erase { ahead } => EntryKind::Erase { ahead: *ahead },
            Head::Lost { first, count } => EntryKind::Lost { first: *first, count: *count },
            Head::Digest => EntryKind::Digest,
            Head::Snapshots => EntryKind::Snapshots,
            Head::Trail { stream, back } => EntryKind::Trail { stream: *stream, back: *back },
            Head::Left { frontier } => EntryKind::Left { frontier: *frontier },
        }
    }

    /// Begins to tell a frame.
    fn enter(&mut self, frame: Frame, counts: bool) -> Piece<'a> {
        self.frame = Some((frame, counts));
        self.told = Some(frame);
        self.entry = frame.entries;
        self.at = frame.next;
        self.closed = matches!(self.first_head(&frame), Some(Head::Close)).then_some(self.at);
        let crc = self.bytes(frame.at, 4).iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let len = frame.end.saturating_sub(frame.at);
        Piece::Frame(FrameReport { at: frame.at, len, crc, ordinal: frame.ordinal, counts })
    }

    /// What stands between the frames that count, up to `limit`.
    fn between(&mut self, limit: u32) -> Piece<'a> {
        if self.at < self.header && self.at == 0 {
            self.at = self.header.min(limit);
            return Piece::Header(Stretch { at: 0, len: self.at });
        }
        if let Some(frame) = self.given_up(self.at, limit) {
            return self.enter(frame, false);
        }
        let from = self.at;
        let erased = self.erased(from, limit);
        if erased > 0 {
            self.at = from.saturating_add(erased);
            let mut found = None;
            // The first bytes of a frame may read as erased.
            for back in (1..4).filter(|back| *back < erased) {
                let at = self.at.saturating_sub(back);
                if at.checked_rem(self.word()) == Some(0) && self.given_up(at, limit).is_some() {
                    found = Some(at);
                }
            }
            self.at = found.unwrap_or(self.at);
            return Piece::Erased(Stretch { at: from, len: self.at.saturating_sub(from) });
        }
        self.written(from, limit)
    }

    /// What stands from `from` on, where something is written that is no frame.
    fn written(&mut self, from: u32, limit: u32) -> Piece<'a> {
        let word = self.word();
        let (mut at, mut follower) = (from.saturating_add(word), None);
        while at < limit {
            follower = self.given_up(at, limit);
            let run = self.erased(at, limit);
            if follower.is_some() || run >= ERASED_RUN.max(word) || run > 0 && at.saturating_add(run) >= limit {
                break;
            }
            // Behind the header's place another story begins.
            if at == self.header_end() && self.header == 0 {
                break;
            }
            at = at.saturating_add(word);
        }
        let mut end = at.min(limit);
        let marks = self.survey.log.medium.region.marks();
        let next = follower.or_else(|| self.next.map(|(frame, _)| frame).filter(|next| next.at == end));
        let starts_anew = next.is_some_and(|frame| {
            let again = frame.at > self.header_end();
            matches!(self.first_head(&frame), Some(Head::Resume { .. } | Head::Open { .. })) && again
        });
        if starts_anew {
            let first = end.saturating_sub(marks);
            if from >= first {
                self.at = end;
                return Piece::Marks(Stretch { at: from, len: end.saturating_sub(from) });
            }
            end = first;
        }
        if self.closed == Some(from) {
            self.at = end.min(from.saturating_add(marks));
            return Piece::Marks(Stretch { at: from, len: self.at.saturating_sub(from) });
        }
        self.at = end;
        let in_header = from < self.header_end();
        let survey = &mut *self.survey;
        let claim = match in_header {
            true => None, // a header does not say how long it is
            false => survey.log.medium.claim(self.sector, from, &mut survey.scratch).ok().flatten(),
        };
        let claimed_end = claim.map(|claim| claim.end);
        let claims = claimed_end.map(|end| end.saturating_sub(from));
        let (len, cause) = (end.saturating_sub(from), self.cause_of(from, claimed_end));
        Piece::Leftover(Leftover { at: from, len, claims, cause, bytes: self.bytes(from, len) })
    }

    /// How what verifies as nothing at this place, and claims to end there, came about.
    fn cause_of(&mut self, at: u32, claimed_end: Option<u32>) -> Cause {
        let in_header = at < self.header_end();
        match (self.state, self.next) {
            // A header found at a mount may rest on a word that was cut; then the second part does not stand at its first
            // place.
            (SectorState::Newest | SectorState::InUse, Some((next, _))) if in_header => {
                if next.at > self.header_end() {
                    Cause::Interrupted
                } else {
                    Cause::Damaged
                }
            }
            (SectorState::Newest | SectorState::InUse, Some((next, step))) => match step.head {
                Head::Open { .. } => Cause::Interrupted,
                _ if self.is_resumed_from(at, claimed_end, next.at) => Cause::Interrupted,
                _ => Cause::Damaged,
            },
            (SectorState::Newest | SectorState::InUse, None) if self.gap.is_some() => Cause::Damaged,
            (SectorState::Newest | SectorState::InUse | SectorState::Prepared, None) if !in_header => {
                Cause::Interrupted
            }
            _ => Cause::NotRead,
        }
    }

    /// Whether whoever started anew next, up to the frame at `last`, says that a write was interrupted here, or has
    /// repeated what stood here as the last frame.
    fn is_resumed_from(&mut self, at: u32, claimed_end: Option<u32>, last: u32) -> bool {
        let Some(walk) = &self.walk else { return false };
        let survey = &mut *self.survey;
        let end = last.saturating_add(1);
        let resumed = survey.log.medium.resumed_behind(walk, at, end, &mut survey.scratch).ok().flatten();
        let region = survey.log.medium.region;
        let Some((frame, frontier)) = resumed else { return false };
        if frontier <= at || claimed_end.is_some_and(|end| region.words(end) == frontier) {
            return true;
        }
        // It may resume from a start in between of which nothing is left; what it repeats was the last frame then.
        self.told.is_some_and(|told| self.own_entries(&told) == self.own_entries(&frame))
    }

    /// The entries of a frame as bytes, but for that by which it resumes.
    fn own_entries(&mut self, frame: &Frame) -> &'a [u8] {
        let survey = &mut *self.survey;
        let first = survey.log.medium.entry(self.sector, frame.entries, frame.end, &mut survey.scratch).ok().flatten();
        let skipped = match first {
            Some(Parsed { head: Head::Resume { .. }, head_len, .. }) => head_len,
            _ => 0,
        };
        let from = frame.entries.saturating_add(skipped);
        self.bytes(from, frame.end.saturating_sub(from))
    }

    /// The frame at `at`, which a mount does not read, if it verifies and ends before `limit`.
    fn given_up(&mut self, at: u32, limit: u32) -> Option<Frame> {
        let seed = self.seed?;
        if at < self.header_end() {
            return None;
        }
        let survey = &mut *self.survey;
        let claim = survey.log.medium.claim(self.sector, at, &mut survey.scratch).ok()??;
        let len = claim.end.saturating_sub(at);
        if claim.end > limit || len > self.budget {
            return None;
        }
        self.budget = self.budget.saturating_sub(len);
        survey.log.medium.frame(self.sector, seed, at, &mut survey.scratch).ok()?
    }

    fn first_head(&mut self, frame: &Frame) -> Option<Head> {
        let survey = &mut *self.survey;
        let parsed = survey.log.medium.entry(self.sector, frame.entries, frame.end, &mut survey.scratch).ok()??;
        Some(parsed.head)
    }

    /// How many bytes from `from` up to `to` read as erased.
    fn erased(&self, from: u32, to: u32) -> u32 {
        let bytes = self.bytes(from, to.saturating_sub(from));
        let run = bytes.iter().position(|byte| *byte != 0xFF).unwrap_or(bytes.len());
        // In whole words: what is written may begin with bytes that read so.
        let run = u32::try_from(run).unwrap_or(0);
        if from.saturating_add(run) >= to { run } else { run & !self.word().wrapping_sub(1) }
    }

    /// Bytes of the sector, up to the first that is not in the image.
    fn bytes(&self, at: u32, len: u32) -> &'a [u8] {
        let at = self.sector.saturating_add(at);
        let present = self.survey.flash.present(at, len);
        let len = if present.start == 0 { present.end } else { 0 };
        self.survey.flash.part(at, len).unwrap_or_default()
    }

    fn word(&self) -> u32 {
        self.survey.log.medium.region.word.max(1)
    }

    fn header_end(&self) -> u32 {
        self.survey.log.medium.region.words(u32::try_from(PREPARED_BYTES).unwrap_or(u32::MAX))
    }
}

impl<'a> Iterator for Pieces<'_, 'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some((told, counts)) = self.frame {
            let within = |pieces: &Self| counts && pieces.next.is_some_and(|(frame, _)| frame.at == told.at);
            if within(self) {
                if let Some(gap) = self.gap.take() {
                    return Some(gap);
                }
            }
            if let Some(piece) = self.next_entry() {
                return Some(piece);
            }
            self.frame = None;
            while within(self) {
                self.pull(); // every step has its entry: there is none left
            }
        }
        let frame = self.next.map(|(frame, _)| frame);
        let limit = frame.map_or(self.stop, |frame| frame.at);
        if self.at < limit {
            let present = self.survey.flash.present(self.sector.saturating_add(self.at), limit.saturating_sub(self.at));
            let (at, len) = (self.at, limit.saturating_sub(self.at));
            if present.start > 0 || present.is_empty() {
                let len = if present.is_empty() { len } else { present.start };
                self.at = at.saturating_add(len);
                return Some(Piece::Missing(Stretch { at, len }));
            }
            return Some(self.between(at.saturating_add(present.end)));
        }
        if let Some(gap) = self.gap.take() {
            return Some(gap);
        }
        frame.map(|frame| self.enter(frame, true))
    }
}

fn named_stream(named: &Named) -> NamedStream {
    let Named { stream, kind, schema, version, .. } = *named;
    NamedStream { stream: StreamId(stream.0), kind, schema, version }
}

/// The version nearest to `last` whose lowest byte is `low`: of an event that was repeated, or is repeated later.
fn version_near(last: Version, low: u8) -> Version {
    let [lowest, ..] = last.0.to_le_bytes();
    match lowest.wrapping_sub(low) {
        behind @ 0..=0x7F => Version(last.0.saturating_sub(u32::from(behind))),
        _ => version_after(last, low, false),
    }
}
