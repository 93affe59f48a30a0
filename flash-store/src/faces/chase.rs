//! Following a stream through the sectors: one event after another.
//!
//! A stream's first entry in a sector tells in which sector it appeared before. So going back to the event asked for
//! visits the sectors that hold the stream, and where it was found in them is kept for going forward again.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Kind, Position, Record, StreamId, Version};
use heapless::Vec;

use super::flash_log::FlashLog;
use super::rest::Rest;
use super::streams::{DOUBTS, Follow, Sighting, Survey};
use super::walk::{Step, Walk};
use super::{NorFlash, face};

/// In how many sectors the place of a stream is kept. Behind them the headers of the sectors in between are looked at.
const TRAIL: usize = 8;

/// One stream being followed through the sectors.
#[derive(Debug, Clone)]
struct Chase {
    sequence: u32,
    /// The position of the first event of that sector.
    base: Position,
    walk: Walk,
    follow: Follow,
}

/// A chase between two reads.
#[derive(Debug, Clone)]
pub(crate) struct Resting {
    stream: StreamId,
    sequence: u32,
    base: Position,
    version: Version,
    walk: Rest,
    slot: Option<u8>,
    kind: Kind,
    schema: u8,
}

impl Resting {
    fn of(chase: &Chase) -> Self {
        let Follow { stream, slot, kind, schema, version, .. } = chase.follow;
        let (sequence, base) = (chase.sequence, chase.base);
        Self { stream, sequence, base, version, walk: Rest::of(&chase.walk), slot, kind, schema }
    }

    /// Goes on, with a walk that was just started in its sector.
    fn resume(&self, walk: Walk) -> Chase {
        let Self { stream, sequence, base, version, slot, kind, schema, .. } = *self;
        // How far back it was before does not matter any more.
        let follow = Follow { stream, slot, kind, schema, version, back: None };
        Chase { sequence, base, walk: self.walk.resume(walk), follow }
    }
}

/// An event found: whose it is, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Chased {
    follow: Follow,
    /// Of an event that is not local.
    position: Option<Position>,
    sector: u32,
    at: u32,
    len: u32,
}

impl Chased {
    const NOTHING: Self = Self { follow: Follow::new(StreamId(0)), position: None, sector: 0, at: 0, len: 0 };
}

/// Where a stream first appears in a sector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    sequence: u32,
    /// Where the frame of that entry starts; 0 if the sector is to be read from its header on.
    at: u32,
    /// How many events of the sector come before that frame, and how many it has at most.
    ordinal: u16,
    events: u16,
    /// The version of the first event in the sector.
    first: Version,
    /// The position of the first event of the sector, of whatever stream.
    base: Position,
}

impl Sight {
    /// In a frame of which it is told where it starts, and how many events of the sector come before it.
    pub(crate) fn new(sequence: u32, base: Position, walk: &Walk, frame: (u32, u32), first: Version) -> Self {
        let events = if walk.events == u32::MAX { Ok(u16::MAX) } else { u16::try_from(walk.events) };
        let (at, ordinal, events) = match (u16::try_from(frame.1), events) {
            (Ok(ordinal), Ok(events)) if walk.end == u32::MAX => (frame.0, ordinal, events),
            _ => (0, 0, 0),
        };
        Self { sequence, at, ordinal, events, first, base }
    }
}

/// Where a stream was found on the way back.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    stream: StreamId,
    /// From which sector on all were looked through from end to end, without a snapshot; else no sector's number.
    top: u32,
    /// The sector before all that were looked at to look in next; `None` if the stream is in none of them.
    before: Option<u32>,
    /// The oldest last.
    sights: Vec<Sight, TRAIL>,
}

impl Trail {
    pub(crate) const fn new() -> Self {
        Self { stream: StreamId(0), top: u32::MAX, before: None, sights: Vec::new() }
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::new();
    }

    /// Begins in the last sector that is looked in.
    pub(crate) fn begin(stream: StreamId, sequence: u32, survey: &Survey) -> Self {
        let mut trail = Self { stream, top: sequence, ..Self::new() };
        trail.note(sequence, survey);
        trail
    }

    /// Takes in what the next sector in which the stream may be, before those looked at, holds.
    pub(crate) fn note(&mut self, sequence: u32, survey: &Survey) {
        if survey.has_snapshot() {
            self.top = u32::MAX;
        }
        self.before = match survey.follow.back {
            Some(0) => None,
            Some(back) => sequence.checked_sub(back),
            // It is not here, or its entries are damaged.
            None => sequence.checked_sub(1),
        };
        if let Some(mut sight) = survey.first {
            if self.sights.push(sight).is_err() {
                for place in self.sights.iter_mut().rev() {
                    core::mem::swap(place, &mut sight);
                }
            }
        }
    }

    /// Whether all was looked through from the last sector on in which this stream appeared, and no snapshot was found.
    pub(crate) fn is_searched(&self, stream: StreamId, appeared: Option<u32>) -> bool {
        self.stream == stream && appeared == Some(self.top)
    }

    pub(crate) fn before(&self) -> Option<u32> {
        self.before
    }

    /// The last place from which an event of this version can be reached, in the sectors from `oldest` on.
    fn sight_before(&self, version: Version, oldest: u32) -> Option<Sight> {
        self.sights.iter().find(|sight| sight.sequence >= oldest && sight.first <= version).copied()
    }

    /// The first place from this sector on, of those that are kept.
    fn sight_from(&self, stream: StreamId, sequence: u32) -> Option<Sight> {
        self.sights.iter().rev().find(|sight| self.stream == stream && sight.sequence >= sequence).copied()
    }

    /// The next place behind this sector; `None` if all sectors behind it have not been looked at.
    fn sight_behind(&self, stream: StreamId, sequence: u32) -> Option<Sight> {
        let reaches = self.before.is_none_or(|before| before <= sequence);
        self.sight_from(stream, sequence.saturating_add(1)).filter(|_| reaches)
    }

    /// The last version that a stream has in this sector, if that is known.
    fn last_in(&self, stream: StreamId, sequence: u32) -> Version {
        let newer = self.sight_behind(stream, sequence);
        newer.map_or(Version::MAX, |newer| Version(newer.first.0.saturating_sub(1)))
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// What was found on the way through the sectors does not hold any more.
    pub(crate) fn forget_places(&mut self) {
        self.reader.forget();
        self.trail.forget();
        self.chase = None;
    }

    /// The first event of a stream above a version that is still there.
    pub(crate) async fn event_after<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<F::Error>> {
        let mut tries = 0;
        let Chased { follow, position, sector, at, len } = loop {
            self.settle(scratch).await?;
            let chased = self.chase(stream, after, scratch).await?;
            if let Some(Chased { sector, at, .. }) = chased {
                if self.is_certain(sector, at, scratch).await? {
                    break chased;
                }
            }
            // What was read at the mount may not be read every time now, until the next append repeats it.
            let known = self.known(stream, scratch).await?.version;
            tries = u32::saturating_add(tries, 1);
            if known <= after || !self.newest.torn || tries > DOUBTS {
                break None;
            }
            scratch.bytes_mut(); // read it anew
        }
        .unwrap_or(Chased::NOTHING);
        if follow.version <= after {
            return Ok(None);
        }
        let Follow { kind, schema, version, .. } = follow;
        let payload = self.payload(sector, at, len, scratch).await?;
        Ok(Some(Record { stream, kind, version, schema, position, payload }))
    }

    /// The place of the first event of a stream above a version.
    async fn chase(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Chased>, ReadError<F::Error>> {
        let known = self.known(stream, scratch).await?;
        let Some(appeared) = known.appeared else { return Ok(None) };
        if after >= known.version {
            return Ok(None);
        }
        let resting = self.chase.take();
        let usable =
            |chase: &Resting| chase.stream == stream && chase.version <= after && chase.sequence >= self.oldest.0;
        let mut chase = match resting.filter(usable) {
            Some(chase) => chase.resume(self.walk(chase.sequence, 0)),
            None => match self.go_back(stream, after, appeared, scratch).await? {
                Some(chase) => chase,
                None => return Ok(None),
            },
        };
        loop {
            let end = self.end_of(chase.sequence);
            let step = match chase.follow.version < self.trail.last_in(stream, chase.sequence) {
                true => self.medium.step(&mut chase.walk, end, scratch).await?,
                false => None,
            };
            match step {
                Some(Step { head, local, payload: (at, len), ordinal }) => {
                    if !matches!(chase.follow.see(&head, local), Some(Sighting::Event)) || chase.follow.version <= after
                    {
                        continue;
                    }
                    let (follow, sector) = (chase.follow, chase.walk.sector);
                    let position = (!local).then_some(chase.base.plus(u64::from(ordinal)));
                    self.chase = Some(Resting::of(&chase));
                    return Ok(Some(Chased { follow, position, sector, at, len }));
                }
                None => match self.go_forward(stream, chase.sequence, appeared, scratch).await? {
                    Some(next) => chase = next,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Goes back to the sector in which the event after `after` is to be found.
    async fn go_back(
        &mut self,
        stream: StreamId,
        after: Version,
        appeared: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Chase>, ReadError<F::Error>> {
        let oldest = self.oldest.0;
        if self.trail.sight_from(stream, oldest).is_none() {
            let survey = self.survey(appeared, stream, Version::MAX, false, scratch).await?;
            self.trail = Trail::begin(stream, appeared, &survey);
            self.trail.top = u32::MAX;
        }
        loop {
            if let Some(sight) = self.trail.sight_before(after.next(), oldest) {
                return self.start_at(stream, sight, scratch).await;
            }
            let before = match self.trail.before().filter(|before| *before >= oldest) {
                Some(before) => self.may_hold(stream, before, oldest, scratch).await?,
                None => None,
            };
            let Some(sequence) = before else {
                return match self.trail.sight_from(stream, oldest) {
                    Some(sight) => self.start_at(stream, sight, scratch).await,
                    None => Ok(None),
                };
            };
            let survey = self.survey(sequence, stream, Version::MAX, false, scratch).await?;
            self.trail.note(sequence, &survey);
            self.trail.top = u32::MAX; // snapshots are not looked for here
        }
    }

    /// Goes forward to the next sector behind this one, up to the last one, in which the stream may be.
    async fn go_forward(
        &mut self,
        stream: StreamId,
        sequence: u32,
        appeared: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Chase>, ReadError<F::Error>> {
        let mut next = sequence.saturating_add(1);
        if let Some(sight) = self.trail.sight_behind(stream, sequence) {
            return self.start_at(stream, sight, scratch).await;
        }
        while next <= appeared {
            let told = match next < self.newest.sequence {
                true => self.told_of_before(next.saturating_add(1), stream, scratch).await?,
                false => None,
            };
            if told != Some((next, false)) {
                if let Some((base, walk)) = self.walk_with_base(next, scratch).await? {
                    return Ok(Some(Chase { sequence: next, base, walk, follow: Follow::new(stream) }));
                }
            }
            next = next.saturating_add(1);
        }
        Ok(None)
    }

    /// Starts to follow a stream where it first appears in a sector.
    async fn start_at(
        &mut self,
        stream: StreamId,
        sight: Sight,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Chase>, ReadError<F::Error>> {
        let Sight { sequence, at, ordinal, events, base, .. } = sight;
        let mut walk = self.walk(sequence, at);
        walk.ordinal = u32::from(ordinal);
        walk.events = if events == u16::MAX { u32::MAX } else { u32::from(events) };
        if at == 0 {
            let Some((_, whole)) = self.walk_with_base(sequence, scratch).await? else { return Ok(None) };
            walk = whole;
        }
        Ok(Some(Chase { sequence, base, walk, follow: Follow::new(stream) }))
    }
}
