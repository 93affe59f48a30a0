//! Finding streams in the flash: their last events, their snapshots, and one event after another.

use core::num::NonZeroU32;

use evenkeel_core::error::{HeldBy, ReadError};
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Position, Record, StreamHead, StreamId, Version};

use super::flash_log::{FlashLog, Newest};
use super::mount::Opened;
use super::rest::Rest;
use super::walk::{Step, Walk};
use super::{NorFlash, face};
use crate::format::digest::Digest;
use crate::format::entry::{Head, Named};
use crate::sabotage::{self, Break};
use crate::table::{Known, version_after};

/// One stream being followed through the sectors.
#[derive(Debug, Clone)]
struct Chase {
    sequence: u32,
    /// The position of the first event of that sector.
    base: Position,
    walk: Walk,
    follow: Follow,
    trail: Trail,
}

/// Sectors in which a stream appears, found on the way back to where following it began: the last found first.
#[derive(Debug, Clone, Copy, Default)]
struct Trail {
    sectors: [u32; TRAIL_SECTORS],
    count: u8,
}

/// How many are remembered: when these have been passed, the next ones are looked for anew.
const TRAIL_SECTORS: usize = 8;

impl Trail {
    fn push(&mut self, sequence: u32) {
        self.sectors.rotate_right(1);
        if let Some(first) = self.sectors.first_mut() {
            *first = sequence;
        }
        self.count = self.count.saturating_add(1).min(TRAIL_SECTORS as u8);
    }

    fn pop(&mut self) -> Option<u32> {
        self.count = self.count.checked_sub(1)?;
        let first = self.sectors.first().copied();
        self.sectors.rotate_left(1);
        first
    }
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
    kind: evenkeel_core::Kind,
    schema: u8,
    trail: Trail,
}

impl Resting {
    fn of(chase: &Chase) -> Self {
        let Follow { stream, slot, kind, schema, version, .. } = chase.follow;
        let Chase { sequence, base, trail, .. } = *chase;
        Self { stream, sequence, base, version, walk: Rest::of(&chase.walk), slot, kind, schema, trail }
    }

    /// Goes on, with a walk that was just started in its sector.
    fn resume(&self, walk: Walk) -> Chase {
        let Self { stream, sequence, base, version, slot, kind, schema, trail, .. } = *self;
        // How far back it was before does not matter any more.
        let follow = Follow { stream, slot, kind, schema, version, back: None };
        Chase { sequence, base, walk: self.walk.resume(walk), follow, trail }
    }
}

/// One stream being followed through one sector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follow {
    stream: StreamId,
    slot: Option<u8>,
    kind: evenkeel_core::Kind,
    schema: u8,
    version: Version,
    /// How many sectors back it appeared before this one, once it has appeared in this one.
    back: Option<u32>,
}

/// How often what was read at a mount is looked for before it is given up.
pub(crate) const DOUBTS: u32 = 32;

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

/// A snapshot found: where its state stands.
#[derive(Debug, Clone, Copy)]
struct FoundSnapshot {
    named: Named,
    sequence: u32,
    at: u32,
    len: u32,
}

/// How many sectors back to look for what comes before the entry of a stream that is read first in a sector.
///
/// Only the very first of a stream has nothing before it. Another one that says so is not the stream's first in this
/// sector: what comes before it here is damaged, and what comes before that is looked for in each sector.
fn back_of_first(named: &Named) -> u32 {
    if named.version > Version(1) { named.back.max(1) } else { named.back }
}

/// Where a stream begins in a sector.
#[derive(Debug, Clone, Copy)]
struct First {
    /// The version of its first event there.
    version: Version,
    /// How many sectors back it appeared before.
    back: u32,
}

/// What the header of a sector tells of the one that was the newest before it.
#[derive(Debug, Clone, Copy)]
struct Told {
    before: u32,
    /// Which streams are in that one.
    streams: Digest,
    /// Of which of them snapshots are.
    snapshots: Digest,
}

/// What of a stream is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Anything,
    Snapshot,
}

impl Told {
    fn may_hold(&self, stream: StreamId, wanted: Wanted) -> bool {
        self.streams.may_hold(stream) && (wanted == Wanted::Anything || self.snapshots.may_hold(stream))
    }
}

/// What an entry is to a stream being followed.
enum Sighting {
    Event,
    Snapshot(Named),
}

impl Follow {
    const fn new(stream: StreamId) -> Self {
        Self { stream, slot: None, kind: evenkeel_core::Kind(0), schema: 0, version: Version::NONE, back: None }
    }

    /// Takes in an entry; says what it is to this stream.
    fn see(&mut self, head: &Head, local: bool) -> Option<Sighting> {
        match head {
            Head::Event { slot, version_low } if self.slot == Some(*slot) => {
                self.version = version_after(self.version, *version_low, local);
                Some(Sighting::Event)
            }
            Head::Introduction { slot, named } if named.stream == self.stream => {
                self.slot = Some(*slot);
                self.take(named);
                Some(Sighting::Event)
            }
            Head::Inline { named } if named.stream == self.stream => {
                self.take(named);
                Some(Sighting::Event)
            }
            Head::Snapshot { named } if named.stream == self.stream => {
                // It stands for events: they come before it.
                self.back.get_or_insert(named.back.max(1));
                self.kind = named.kind;
                self.version = self.version.max(named.version);
                Some(Sighting::Snapshot(*named))
            }
            _ => None,
        }
    }

    fn take(&mut self, named: &Named) {
        self.back.get_or_insert(back_of_first(named));
        (self.kind, self.schema, self.version) = (named.kind, named.schema, named.version);
    }

    fn appeared(&self) -> bool {
        self.back.is_some()
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Starts a walk through a sector from its second header. If that is damaged, from where it should be: streams and
    /// versions need no position. `None` if the first header cannot be read either.
    pub(crate) async fn walk_of(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Walk>, ReadError<F::Error>> {
        if let Some(opened) = self.opened(self.identity, sequence, scratch).await? {
            return self.walk_from(sequence, &opened, scratch).await.map(Some);
        }
        if sequence >= self.newest.sequence || !self.is_prepared_as(sequence, scratch).await? {
            return Ok(None);
        }
        let Some(begun) = self.begun_header(sequence, scratch).await? else { return Ok(None) };
        let left = self.first_opened_after(sequence, scratch).await?.left;
        Ok(Some(Walk { end: left.unwrap_or(u32::MAX), ..self.walk(sequence, begun) }))
    }

    /// Starts a walk through a sector from its second header.
    pub(crate) async fn walk_from(
        &mut self,
        sequence: u32,
        opened: &Opened,
        scratch: &mut Scratch<'_>,
    ) -> Result<Walk, ReadError<F::Error>> {
        let mut walk = self.walk(sequence, opened.frame.at);
        if sequence < self.newest.sequence {
            let next = self.first_opened_after(sequence, scratch).await?;
            walk.end = next.left.unwrap_or(u32::MAX);
            walk.events = u32::try_from(next.base.since(opened.base)).unwrap_or(u32::MAX);
        }
        Ok(walk)
    }

    /// What the header of this sector tells of the one that was the newest before it; `None` if it does not tell.
    async fn told_of_before(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Told>, ReadError<F::Error>> {
        let Some(Opened { mut frame, back, .. }) = self.opened(self.identity, sequence, scratch).await? else {
            return Ok(None);
        };
        let Walk { sector, seed, .. } = self.walk(sequence, frame.at);
        let len = frame.end.saturating_sub(frame.at);
        // Only what verifies, and is read out of the very bytes that did, is believed.
        if len > self.medium.most_held(sector.saturating_add(frame.at), scratch)
            || !self.medium.still_verified(sector, seed, &mut frame, scratch).await?
        {
            return Ok(None);
        }
        let (mut streams, mut snapshots, mut at) = (None, Digest::default(), frame.entries);
        while let Some(parsed) = self.medium.entry(sector, at, frame.end, scratch).await? {
            let start = at.saturating_add(parsed.head_len);
            at = start.saturating_add(parsed.payload_len);
            let (Head::Digest | Head::Snapshots) = parsed.head else { continue };
            let held = self.medium.held(sector.saturating_add(start), sector.saturating_add(at), scratch);
            let digest = Digest::read(held.and_then(|held| scratch.bytes().get(held)).unwrap_or_default());
            match parsed.head {
                Head::Digest => streams = digest,
                _ => snapshots = digest.unwrap_or(Digest::FULL),
            }
        }
        let before = sequence.checked_sub(back).filter(|before| *before < sequence);
        Ok(before.zip(streams).map(|(before, streams)| Told { before, streams, snapshots }))
    }

    /// The last sector from `sequence` back, down to `oldest`, that may hold a stream, or a snapshot of it.
    ///
    /// Each sector's header tells which streams the one before has, so that most of those that do not hold it cost one
    /// reading of a header.
    async fn may_hold(
        &mut self,
        stream: StreamId,
        wanted: Wanted,
        sequence: u32,
        oldest: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let Newest { sequence: newest, digest: streams, snapshots, .. } = self.newest;
        let mut sequence = sequence;
        let mut told = match sequence < newest {
            true => self.told_of_before(sequence.saturating_add(1), scratch).await?,
            false => Some(Told { before: newest, streams, snapshots }),
        };
        while sequence >= oldest {
            match told.map(|told| (told.before, told.may_hold(stream, wanted))) {
                Some((before, false)) if before <= sequence => {
                    let Some(next) = before.checked_sub(1) else { return Ok(None) };
                    told = self.told_of_before(before, scratch).await?;
                    sequence = next;
                }
                // Nothing was opened in between.
                Some((before, true)) if before <= sequence => return Ok((before >= oldest).then_some(before)),
                _ => return Ok(Some(sequence)),
            }
        }
        Ok(None)
    }

    /// What is known of a stream, looked up in the flash if it is not at hand. A stream that does not exist is known
    /// at version 0.
    pub(crate) async fn known(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Known, ReadError<F::Error>> {
        let oldest = self.oldest.0;
        if let Some(known) = self.streams.get_mut(stream) {
            // Of a stream that has ended nothing is kept: it is gone with its last event.
            if known.has_ended() && known.appeared.is_some_and(|appeared| appeared < oldest) {
                *known = Known { kind: known.kind, used: known.used, ..Known::nothing_of(stream) };
            }
            if !known.is_trail() {
                return Ok(*known);
            }
        }
        let known = self.look_up(stream, scratch).await?;
        if known.version > Version::NONE {
            let _ = self.streams.insert(known);
        }
        Ok(known)
    }

    async fn look_up(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Known, ReadError<F::Error>> {
        let (oldest, newest) = (self.oldest.0, self.newest.sequence);
        let mut follow = Follow::new(stream);
        let mut appeared = None;
        let mut trail = self.streams.get(stream).and_then(|known| known.appeared).filter(|trail| *trail >= oldest);
        let mut from = trail.or(Some(newest));
        while let Some(at_most) = from {
            let sequence = match trail.take() {
                Some(trail) => trail,
                None => match self.may_hold(stream, Wanted::Anything, at_most, oldest, scratch).await? {
                    Some(sequence) => sequence,
                    None => break,
                },
            };
            self.follow_through(sequence, &mut follow, Version::NONE, u32::MAX, scratch).await?;
            if follow.appeared() {
                appeared = Some(sequence);
                break;
            }
            from = sequence.checked_sub(1);
        }
        let Follow { kind, schema, version, slot, .. } = follow;
        let slot = if appeared == Some(newest) { slot } else { None };
        Ok(Known { stream, version, appeared, kind, schema, snapshot: None, slot, used: 0 })
    }

    /// Follows a stream through one sector to its end; answers its last snapshot there, up to version `at_most`.
    async fn follow_through(
        &mut self,
        sequence: u32,
        follow: &mut Follow,
        at_most: Version,
        newest_end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<FoundSnapshot>, ReadError<F::Error>> {
        let mut found = None;
        let Some(mut walk) = self.walk_of(sequence, scratch).await? else { return Ok(None) };
        let end = self.end_of(sequence).map(|end| end.min(newest_end));
        while let Some(Step { head, local, payload: (at, len), .. }) = self.medium.step(&mut walk, end, scratch).await?
        {
            match follow.see(&head, local) {
                Some(Sighting::Snapshot(named)) if named.version <= at_most => {
                    found = Some(FoundSnapshot { named, sequence, at, len });
                }
                _ => {}
            }
        }
        Ok(found)
    }

    pub(crate) async fn stream_head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<F::Error>> {
        self.settle(scratch).await?;
        Ok(self.known(stream, scratch).await?.head())
    }

    /// The newest snapshot of a stream in the sectors down to `oldest`, if the newest sector ends at `newest_end` at the
    /// latest.
    async fn find_snapshot(
        &mut self,
        stream: StreamId,
        at_most: Version,
        oldest: u32,
        newest_end: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<FoundSnapshot>, ReadError<F::Error>> {
        let Known { appeared, snapshot, .. } = self.known(stream, scratch).await?;
        let Some(mut sequence) = appeared else { return Ok(None) };
        // What is known of is the newest one; but it may be one that is not to be relied on.
        if let Some(newest) = snapshot.map(NonZeroU32::get).filter(|_| at_most == Version::MAX) {
            if newest < oldest {
                return Ok(None);
            }
            let found = self.follow_through(newest, &mut Follow::new(stream), at_most, newest_end, scratch).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        // Of a stream that is in sector after sector, headers tell where its snapshots are; of another, how far back it is.
        let (tells, mut back) = (self.medium.region.tells_trails(), 0);
        while sequence >= oldest {
            if tells && back == 1 {
                match self.may_hold(stream, Wanted::Snapshot, sequence, oldest, scratch).await? {
                    Some(at_most) => sequence = at_most,
                    None => return Ok(None),
                }
            }
            let mut follow = Follow::new(stream);
            let found = self.follow_through(sequence, &mut follow, at_most, newest_end, scratch).await?;
            if found.is_some() {
                let is_newest = at_most == Version::MAX && newest_end == u32::MAX;
                if let Some(known) = self.streams.get_mut(stream).filter(|_| is_newest) {
                    known.snapshot = NonZeroU32::new(sequence);
                }
                return Ok(found);
            }
            sequence = match follow.back {
                Some(0) => return Ok(None),
                Some(by) => {
                    back = by;
                    sequence.saturating_sub(by)
                }
                // The stream's entries in this sector are damaged: look in each sector before it.
                None => match sequence.checked_sub(1) {
                    Some(before) => before,
                    None => return Ok(None),
                },
            };
        }
        Ok(None)
    }

    pub(crate) async fn snapshot_of<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<F::Error>> {
        self.settle(scratch).await?;
        let mut found = self.find_snapshot(stream, at_most, self.oldest.0, u32::MAX, scratch).await?;
        while let Some(FoundSnapshot { sequence, at, .. }) = found {
            if self.is_certain(self.medium.region.sector_at(sequence), at, scratch).await? {
                break;
            }
            found = self.find_snapshot(stream, at_most, self.oldest.0, u32::MAX, scratch).await?;
        }
        let Some(FoundSnapshot { named, sequence, at, len }) = found else { return Ok(None) };
        let Named { kind, schema, version, .. } = named;
        let sector = self.medium.region.sector_at(sequence);
        let payload = self.payload(sector, at, len, scratch).await?;
        Ok(Some(Record { stream, kind, version, schema, position: None, payload }))
    }

    /// The bytes of a payload, in the caller's buffer.
    pub(crate) async fn payload<'s>(
        &mut self,
        sector: u32,
        at: u32,
        len: u32,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<&'s [u8], ReadError<F::Error>> {
        if len == 0 {
            return Ok(&[]);
        }
        let limit = sector.saturating_add(self.medium.region.sector);
        let bytes = self.medium.window(sector.saturating_add(at), len, limit, scratch).await?;
        Ok(bytes.get(..len as usize).unwrap_or_default())
    }

    /// Whether what stands at this place can be relied on to be lent now. If not, memory has been made to agree.
    ///
    /// The last frame before an unclean stop may read well at the mount and not any more, until the next append
    /// repeats it: so it is verified, into the very buffer that it is lent from.
    pub(crate) async fn is_certain(
        &mut self,
        sector: u32,
        at: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<F::Error>> {
        let Some(last) = self.newest.last.filter(|_| self.is_uncertain(sector, at)) else { return Ok(true) };
        let reads = self.read_again(last, scratch).await?.is_some();
        if !reads {
            self.lose_last(self.newest.next(), scratch).await?;
        }
        Ok(reads)
    }

    /// Whether this place is in the last frame, and power may have failed while that was written.
    fn is_uncertain(&self, sector: u32, at: u32) -> bool {
        self.newest.torn && sector == self.newest.sector && self.newest.last.is_some_and(|last| at >= last.at)
    }

    /// The first stream in this sector that has no snapshot in a newer one: it needs the sector. One that has ended
    /// needs none.
    pub(crate) async fn unreplaced(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<HeldBy>, ReadError<F::Error>> {
        let Some(mut walk) = self.walk_of(sequence, scratch).await? else { return Ok(None) };
        let end = self.end_of(sequence);
        while let Some(step) = self.medium.step(&mut walk, end, scratch).await? {
            let (Head::Introduction { named, .. } | Head::Inline { named } | Head::Snapshot { named }) = step.head
            else {
                continue;
            };
            if self.known(named.stream, scratch).await?.has_ended() || sabotage::is_on(Break::Snapshots) {
                continue;
            }
            let newer = sequence.saturating_add(1);
            // The newest sector is taken to end before what may read well today only.
            let until = self.newest.doubtful_from().unwrap_or(u32::MAX);
            if self.find_snapshot(named.stream, Version::MAX, newer, until, scratch).await?.is_none() {
                return Ok(Some(HeldBy::Stream(named.stream, named.kind)));
            }
        }
        Ok(None)
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
            if known <= after || !self.newest.torn {
                break None;
            }
            if tries > DOUBTS {
                // A frame that reads well now and then only was never finished.
                if !self.reads_steadily(scratch).await? {
                    self.lose_last(self.newest.next(), scratch).await?;
                }
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
        let Some(last) = known.appeared else { return Ok(None) };
        if after >= known.version {
            return Ok(None);
        }
        let mut chase = match self.chase.take() {
            Some(chase) if chase.stream == stream && chase.version <= after && chase.sequence >= self.oldest.0 => {
                chase.resume(self.walk(chase.sequence, 0))
            }
            _ => match self.chase_from(stream, after, last, None, scratch).await? {
                Some(chase) => chase,
                None => return Ok(None),
            },
        };
        loop {
            let end = self.end_of(chase.sequence);
            match self.medium.step(&mut chase.walk, end, scratch).await? {
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
                None if chase.sequence >= last => return Ok(None),
                None => {
                    let (passed, mut trail) = (chase.sequence, chase.trail);
                    let next = match trail.pop() {
                        Some(next) => self.chase_in(stream, next, trail, scratch).await?,
                        None => self.chase_from(stream, after, last, Some(passed), scratch).await?,
                    };
                    match next.filter(|next| next.sequence > passed) {
                        Some(next) => chase = next,
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// Goes back to the sector in which the event after `after` is to be found, no further than right behind the one that
    /// was `passed`.
    async fn chase_from(
        &mut self,
        stream: StreamId,
        after: Version,
        last: u32,
        passed: Option<u32>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Chase>, ReadError<F::Error>> {
        let least = passed.map_or(0, |passed| passed.saturating_add(1)).max(self.oldest.0);
        let (mut sequence, mut trail) = (last, Trail::default());
        loop {
            let Some(First { version, back }) = self.first_sighting(stream, sequence, scratch).await? else {
                // Its entries here cannot be read: the sector before may have some.
                if sequence <= least {
                    let next = if passed.is_some() { trail.pop() } else { None };
                    return self.chase_in(stream, next.unwrap_or(sequence), trail, scratch).await;
                }
                sequence = sequence.saturating_sub(1);
                continue;
            };
            let before = sequence.saturating_sub(back);
            if version <= after.next() || back == 0 || before < least {
                return self.chase_in(stream, sequence, trail, scratch).await;
            }
            trail.push(sequence);
            sequence = before;
        }
    }

    /// Where a stream begins in a sector; `None` if it does not appear there.
    async fn first_sighting(
        &mut self,
        stream: StreamId,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<First>, ReadError<F::Error>> {
        let Some(mut walk) = self.walk_of(sequence, scratch).await? else { return Ok(None) };
        let end = self.end_of(sequence);
        let mut follow = Follow::new(stream);
        while let Some(step) = self.medium.step(&mut walk, end, scratch).await? {
            let version = match follow.see(&step.head, step.local) {
                Some(Sighting::Event) => follow.version,
                // A snapshot stands for all up to its version: events of this sector come after it.
                Some(Sighting::Snapshot(named)) => named.version.next(),
                None => continue,
            };
            return Ok(Some(First { version, back: follow.back.unwrap_or(0) }));
        }
        Ok(None)
    }

    /// Starts to follow a stream at the beginning of a sector, or of the next one that can be read.
    async fn chase_in(
        &mut self,
        stream: StreamId,
        sequence: u32,
        trail: Trail,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Chase>, ReadError<F::Error>> {
        let mut sequence = sequence;
        while sequence <= self.newest.sequence {
            if let Some(opened) = self.opened(self.identity, sequence, scratch).await? {
                let walk = self.walk_from(sequence, &opened, scratch).await?;
                return Ok(Some(Chase { sequence, base: opened.base, walk, follow: Follow::new(stream), trail }));
            }
            sequence = sequence.saturating_add(1);
        }
        Ok(None)
    }
}
