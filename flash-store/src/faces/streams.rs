//! Finding streams in the flash: where they appear last, and their snapshots.

use core::num::NonZeroU32;

use evenkeel_core::error::{HeldBy, ReadError};
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Position, Record, StreamHead, StreamId, Version};

use super::chase::{Sight, Trail};
use super::flash_log::{FlashLog, Replaced};
use super::mount::Opened;
use super::walk::{Step, Walk};
use super::{NorFlash, face};
use crate::format::digest::Digest;
use crate::format::entry::{Head, Named};
use crate::format::frame::Frame;
use crate::table::{Known, version_after};

/// One stream being followed through one sector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follow {
    pub(super) stream: StreamId,
    pub(super) slot: Option<u8>,
    pub(super) kind: evenkeel_core::Kind,
    pub(super) schema: u8,
    pub(super) version: Version,
    /// How many sectors back it appeared before this one, once it has appeared in this one.
    pub(super) back: Option<u32>,
}

/// How often what was read at a mount is looked for before it is given up.
pub(crate) const DOUBTS: u32 = 32;

/// A snapshot found: where its state stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundSnapshot {
    named: Named,
    sequence: u32,
    at: u32,
    len: u32,
}

/// What a sector holds of one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Survey {
    pub(super) follow: Follow,
    /// Where it first appears.
    pub(super) first: Option<Sight>,
    /// Its last snapshot up to the version asked for.
    pub(super) snapshot: Option<FoundSnapshot>,
    /// There is one beyond that version.
    beyond: bool,
}

/// What an entry is to a stream being followed.
pub(crate) enum Sighting {
    Event,
    Snapshot(Named),
}

impl Follow {
    pub(super) const fn new(stream: StreamId) -> Self {
        Self { stream, slot: None, kind: evenkeel_core::Kind(0), schema: 0, version: Version::NONE, back: None }
    }

    /// Takes in an entry; says what it is to this stream.
    pub(super) fn see(&mut self, head: &Head, local: bool) -> Option<Sighting> {
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
                self.back.get_or_insert(named.back);
                self.kind = named.kind;
                self.version = self.version.max(named.version);
                Some(Sighting::Snapshot(*named))
            }
            _ => None,
        }
    }

    fn take(&mut self, named: &Named) {
        self.back.get_or_insert(named.back);
        (self.kind, self.schema, self.version) = (named.kind, named.schema, named.version);
    }

    fn appeared(&self) -> bool {
        self.back.is_some()
    }
}

impl Survey {
    pub(super) fn has_snapshot(&self) -> bool {
        self.snapshot.is_some() || self.beyond
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// Starts a walk through a sector from its second header; `None` if that cannot be read.
    pub(crate) async fn walk_of(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Walk>, ReadError<F::Error>> {
        Ok(self.walk_with_base(sequence, scratch).await?.map(|(_, walk)| walk))
    }

    /// As [`walk_of`](Self::walk_of), with the position of the first event of the sector.
    pub(crate) async fn walk_with_base(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<(Position, Walk)>, ReadError<F::Error>> {
        // The other sector first: then what is read of this one serves the walk.
        let next = match sequence < self.newest.sequence {
            true => Some(self.first_opened_after(sequence, scratch).await?),
            false => None,
        };
        let Some(opened) = self.opened(self.identity, sequence, scratch).await? else { return Ok(None) };
        let mut walk = self.walk(sequence, opened.frame.at);
        if let Some((_, next, end)) = next {
            walk.end = end.unwrap_or(u32::MAX);
            walk.events = u32::try_from(next.since(opened.base)).unwrap_or(u32::MAX);
        }
        Ok(Some((opened.base, walk)))
    }

    /// Whether the sector that was the newest before this one may hold a stream, as the header of this one tells, and
    /// which that is; `None` if it does not tell.
    pub(super) async fn told_of_before(
        &mut self,
        sequence: u32,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<(u32, bool)>, ReadError<F::Error>> {
        let Some(Opened { mut frame, .. }) = self.opened(self.identity, sequence, scratch).await? else {
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
        let mut at = frame.entries;
        while let Some(parsed) = self.medium.entry(sector, at, frame.end, scratch).await? {
            let start = at.saturating_add(parsed.head_len);
            at = start.saturating_add(parsed.payload_len);
            let Head::Digest { back } = parsed.head else { continue };
            let held = self.medium.held(sector.saturating_add(start), sector.saturating_add(at), scratch);
            let digest = Digest::read(held.and_then(|held| scratch.bytes().get(held)).unwrap_or_default());
            let before = sequence.checked_sub(back).filter(|before| *before < sequence);
            return Ok(before.zip(digest).map(|(before, digest)| (before, digest.may_hold(stream, before))));
        }
        Ok(None)
    }

    /// The last sector from `sequence` back, down to `oldest`, that may hold a stream.
    ///
    /// Each sector's header tells which streams the one before has, so that most of those that do not hold it cost one
    /// reading of a header.
    pub(super) async fn may_hold(
        &mut self,
        stream: StreamId,
        sequence: u32,
        oldest: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<u32>, ReadError<F::Error>> {
        let newest = self.newest.sequence;
        let mut sequence = sequence;
        let mut told = match sequence < newest {
            true => self.told_of_before(sequence.saturating_add(1), stream, scratch).await?,
            false => Some((newest, self.newest.digest.may_hold(stream, newest))),
        };
        while sequence >= oldest {
            match told {
                Some((before, false)) if before <= sequence => {
                    let Some(next) = before.checked_sub(1) else { return Ok(None) };
                    told = self.told_of_before(before, stream, scratch).await?;
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
                *known =
                    Known { version: Version::NONE, appeared: None, schema: 0, snapshot: None, slot: None, ..*known };
            }
            return Ok(*known);
        }
        let known = self.look_up(stream, scratch).await?;
        if known.version > Version::NONE {
            let _ = self.streams.insert(known);
        }
        Ok(known)
    }

    async fn look_up(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Known, ReadError<F::Error>> {
        let (oldest, newest) = (self.oldest.0, self.newest.sequence);
        let mut from = Some(newest);
        while let Some(at_most) = from {
            let Some(sequence) = self.may_hold(stream, at_most, oldest, scratch).await? else { break };
            let survey = self.survey(sequence, stream, Version::MAX, true, scratch).await?;
            if survey.follow.appeared() {
                let Follow { kind, schema, version, slot, .. } = survey.follow;
                let slot = if sequence == newest { slot } else { None };
                let snapshot = survey.snapshot.and(NonZeroU32::new(sequence));
                self.trail = Trail::begin(stream, sequence, &survey);
                return Ok(Known { stream, version, appeared: Some(sequence), kind, schema, snapshot, slot, used: 0 });
            }
            from = sequence.checked_sub(1);
        }
        let Follow { kind, schema, version, .. } = Follow::new(stream);
        Ok(Known { stream, version, appeared: None, kind, schema, snapshot: None, slot: None, used: 0 })
    }

    /// Looks through a sector, the `whole` or to its first entry of a stream: what it holds of that stream, with its
    /// last snapshot up to version `at_most`.
    pub(super) async fn survey(
        &mut self,
        sequence: u32,
        stream: StreamId,
        at_most: Version,
        whole: bool,
        scratch: &mut Scratch<'_>,
    ) -> Result<Survey, ReadError<F::Error>> {
        let mut survey = Survey { follow: Follow::new(stream), first: None, snapshot: None, beyond: false };
        let Some((base, mut walk)) = self.walk_with_base(sequence, scratch).await? else { return Ok(survey) };
        let end = self.end_of(sequence);
        let (mut frame, mut before) = (0, 0);
        loop {
            let ordinal = walk.ordinal;
            let step = self.medium.step(&mut walk, end, scratch).await?;
            let Some(Step { head, local, payload: (at, len), .. }) = step else { break };
            let start = walk.last.map_or(0, |last| last.at);
            if start != frame {
                (frame, before) = (start, ordinal);
            }
            let first = match survey.follow.see(&head, local) {
                Some(Sighting::Event) => survey.follow.version,
                // A snapshot stands for all up to its version: events of this sector come after it.
                Some(Sighting::Snapshot(named)) => {
                    if named.version <= at_most {
                        survey.snapshot = Some(FoundSnapshot { named, sequence, at, len });
                    } else {
                        survey.beyond = true;
                    }
                    named.version.next()
                }
                None => continue,
            };
            survey.first.get_or_insert(Sight::new(sequence, base, &walk, (frame, before), first));
            if !whole {
                break;
            }
        }
        Ok(survey)
    }

    pub(crate) async fn stream_head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<F::Error>> {
        self.settle(scratch).await?;
        Ok(self.known(stream, scratch).await?.head())
    }

    /// The newest snapshot of a stream in the sectors down to `oldest`.
    ///
    /// On the way, where the stream stands in each sector is remembered for a chase of its events.
    async fn find_snapshot(
        &mut self,
        stream: StreamId,
        at_most: Version,
        oldest: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<FoundSnapshot>, ReadError<F::Error>> {
        let Known { appeared, snapshot, .. } = self.known(stream, scratch).await?;
        let snapshot = snapshot.map(NonZeroU32::get).filter(|snapshot| *snapshot >= oldest);
        let mut from = snapshot.or(appeared);
        // What was looked through to find the stream need not be looked through again.
        let mut goes_on = snapshot.is_none() && self.trail.is_searched(stream, appeared);
        if goes_on {
            from = self.trail.before();
        }
        while let Some(at) = from.filter(|at| *at >= oldest) {
            let Some(sequence) = self.may_hold(stream, at, oldest, scratch).await? else { break };
            let survey = self.survey(sequence, stream, at_most, true, scratch).await?;
            match goes_on {
                true => self.trail.note(sequence, &survey),
                false => self.trail = Trail::begin(stream, sequence, &survey),
            }
            goes_on = true;
            if survey.snapshot.is_some() {
                return Ok(survey.snapshot);
            }
            from = self.trail.before();
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
        let mut found = self.find_snapshot(stream, at_most, self.oldest.0, scratch).await?;
        while let Some(FoundSnapshot { sequence, at, .. }) = found {
            if self.is_certain(self.medium.region.sector_at(sequence), at, scratch).await? {
                break;
            }
            found = self.find_snapshot(stream, at_most, self.oldest.0, scratch).await?;
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
        let Some(last) = self.uncertain(sector, at) else { return Ok(true) };
        let certain = self.read_again(last, scratch).await?.is_some();
        if !certain {
            self.lose_last(self.newest.next(), scratch).await?;
        }
        Ok(certain)
    }

    /// The last frame, if power may have failed while it was written and this place is in it.
    fn uncertain(&self, sector: u32, at: u32) -> Option<Frame> {
        let last = self.newest.last.filter(|last| self.newest.torn && sector == self.newest.sector && at >= last.at)?;
        Some(last)
    }

    /// The first stream in this sector that has no snapshot in a newer one: it needs the sector. One that has ended
    /// needs none.
    pub(crate) async fn unreplaced(
        &mut self,
        sequence: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<HeldBy>, ReadError<F::Error>> {
        let Some(mut walk) = self.walk_of(sequence, scratch).await? else { return Ok(None) };
        let (end, header, newer) = (self.end_of(sequence), walk.offset, sequence.saturating_add(1));
        if self.replaced.sequence == sequence {
            (walk.offset, walk.ordinal) = (self.replaced.offset, self.replaced.ordinal);
        }
        let mut frame = None;
        loop {
            let ordinal = walk.ordinal;
            let Some(step) = self.medium.step(&mut walk, end, scratch).await? else { break };
            let entered = walk.last.filter(|last| frame.is_none_or(|frame: Frame| frame.at != last.at));
            if entered.is_some() {
                // Whatever comes before this frame has been looked at; but for its header, behind which another may be.
                if let Some(before) = frame.filter(|before| before.at > header) {
                    self.replaced = Replaced { sequence, offset: before.next, ordinal };
                }
                frame = entered;
            }
            let (Head::Introduction { named, .. } | Head::Inline { named } | Head::Snapshot { named }) = step.head
            else {
                continue;
            };
            let known = self.streams.get(named.stream).and_then(|known| known.snapshot);
            if known.is_some_and(|known| known.get() >= newer) {
                continue;
            }
            let Some(found) = self.find_snapshot(named.stream, Version::MAX, newer, scratch).await? else {
                return Ok(Some(HeldBy::Stream(named.stream, named.kind)));
            };
            if let Some(known) = self.streams.get_mut(named.stream) {
                known.snapshot = NonZeroU32::new(found.sequence);
            }
        }
        Ok(None)
    }
}
