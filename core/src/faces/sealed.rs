//! The record manager contract with sealed records, on any record manager.

use super::{RecordManager, face};
use crate::batch::{Batch, Entry, Headroom, Op};
use crate::bytes::shift;
use crate::error::{AppendError, IntegrityError, ReadError};
use crate::integrity::{Aead, Anchor, FRONT_BYTES, Header, Keyring, Sealing, Suite};
use crate::listing::StreamList;
use crate::scratch::{Held, Scratch};
use crate::{
    Appended, Bounds, Epoch, GapReason, Kind, LogId, Notification, Position, Record, StreamHead, StreamId, Tracker,
    Upkeep, Version,
};

/// A record manager whose records are sealed: authenticated, and encrypted if the suite encrypts.
///
/// It wraps another record manager, which sees sealed payloads only, and is used in its place. The log must have been
/// sealed from its first event on. See [`integrity`](crate::integrity) for what this protects and what not.
pub struct Sealed<R, K, S: Suite> {
    pub(super) records: R,
    pub(super) sealing: Sealing<K, S>,
    sessions: Tracker,
    pub(super) trust: Trust,
    /// The head of the chain, if it is known.
    pub(super) chain: Option<Anchor>,
    /// The position of the newest head stored, once it has been looked for.
    pub(super) marked: Option<Position>,
    pub(super) period: u64,
}

/// How far the record manager below agrees with its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    /// It may not have come to the end of what it began.
    Unsettled,
    /// The positions of the events to come are known; the newest may still vanish.
    Settled,
    /// Something has been appended since: what can be read will stay.
    Secured,
}

/// After how many events upkeep stores a head of the chain, unless told otherwise.
const PERIOD: u64 = 256;
/// The smallest buffer for the record that begins a session, and for looking up while a batch stands.
const SMALL: usize = 160;

/// Where a record stands in the caller's buffer.
pub(super) struct Place {
    header: Header,
    addr: usize,
    len: usize,
}

impl Place {
    pub(super) fn of_event(record: &Record<'_>) -> Self {
        Self::of(Header::of_event(record), record)
    }

    pub(super) fn of_snapshot(record: &Record<'_>) -> Self {
        Self::of(Header::of_snapshot(record), record)
    }

    fn of(header: Header, record: &Record<'_>) -> Self {
        Self { header, addr: record.payload.as_ptr().addr(), len: record.payload.len() }
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes as stored.
    pub(super) fn stored<'s>(&self, scratch: &'s Scratch<'_>) -> Option<&'s [u8]> {
        let start = self.addr.checked_sub(scratch.bytes().as_ptr().addr())?;
        scratch.bytes().get(start..start.checked_add(self.len)?)
    }
}

impl<R, K: Keyring, S: Suite> Sealed<R, K, S> {
    /// Seals what goes into `records` with these keys.
    ///
    /// `sessions` is the tracker in which the number of the current session is stored, if the suite encrypts: nobody
    /// else may use it.
    pub fn new(records: R, keys: K, sessions: Tracker) -> Self {
        let sealing = Sealing::new(keys);
        Self { records, sealing, sessions, trust: Trust::Unsettled, chain: None, marked: None, period: PERIOD }
    }

    /// Stores a head of the chain with the first upkeep after this many events: fewer make checks finer and take more
    /// flash, some 200 bytes each.
    #[must_use]
    pub fn marking_every(mut self, events: u32) -> Self {
        self.period = u64::from(events.max(1));
        self
    }

    /// The record manager below, as stored: to send sealed records to somebody who has the keys, or keeps them for
    /// somebody who has. Appending events there breaks the log.
    pub fn stored(&mut self) -> &mut R {
        &mut self.records
    }

    /// The keys, to rotate them or to destroy one.
    pub fn keys_mut(&mut self) -> &mut K {
        self.sealing.keys_mut()
    }

    /// Gives the record manager back.
    pub fn release(self) -> R {
        self.records
    }

    /// Opens a record in the caller's buffer, and lends it from there.
    ///
    /// What was encrypted is opened at the end of the buffer, and what the record manager below holds there is given up.
    pub(super) fn open<'s>(
        &mut self,
        place: &Place,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<(Record<'s>, Option<crate::integrity::Reach>), IntegrityError> {
        let header = place.header;
        let tampered = IntegrityError::Tampered { stream: header.stream, version: header.version };
        let mut start = place.addr.checked_sub(scratch.bytes().as_ptr().addr()).ok_or(tampered)?;
        let end = start.checked_add(place.len).filter(|end| *end <= scratch.len()).ok_or(tampered)?;
        let mut held = scratch.held();
        let bytes = scratch.bytes_mut();
        if S::Aead::ENCRYPTS {
            let tail = bytes.len().saturating_sub(place.len);
            shift(bytes, start, end.saturating_sub(start), tail).ok_or(tampered)?;
            held = Held { len: held.len.min(u32::try_from(tail).unwrap_or(u32::MAX)), ..held };
            start = tail;
        }
        let stored = bytes.get_mut(start..start.saturating_add(place.len)).ok_or(tampered)?;
        let opened = self.sealing.open(&header, stored);
        scratch.set_held(held);
        let body = opened?;
        let start = start.saturating_add(body.start);
        let payload = scratch.bytes().get(start..start.saturating_add(body.len)).ok_or(tampered)?;
        let Header { kind, schema, version, stream, position, .. } = header;
        Ok((Record { stream, kind, version, schema, position, payload }, body.front.reach))
    }

    /// Seals the payloads of a batch, whose first event gets the position `first`.
    fn seal(&mut self, batch: &mut Batch<'_>, first: Position) -> Result<(), IntegrityError> {
        let mut next = first;
        for index in 0..batch.len() {
            let Some(entry) = batch.entry(index) else { continue };
            let Some(header) = header_of(&entry, next) else { continue };
            let reach = self.chain.filter(|_| header.snapshot).map(|chain| chain.reach());
            let place = (entry.start, entry.len);
            let start = self.sealing.seal(&header, reach, batch.bytes_mut(), place)?;
            let end = entry.start.saturating_add(entry.len);
            batch.replaced(index, start, end.saturating_sub(start));
            next = next.plus(u64::from(header.position.is_some()));
        }
        Ok(())
    }

    /// Takes the head of the chain on over the events of a batch that was appended sealed.
    fn chain_over(&mut self, batch: &Batch<'_>, first: Position) {
        let Some(mut chain) = self.chain.take().filter(|chain| chain.position.next() == first) else { return };
        for (entry, stored) in batch.iter() {
            match header_of(&entry, chain.position.next()) {
                Some(header) if header.position.is_some() => match self.sealing.chain(chain, &header, stored) {
                    Ok(next) => chain = next,
                    Err(_) => return,
                },
                _ => {}
            }
        }
        self.chain = Some(chain);
    }

    /// Gives the payloads of a sealed batch back as they were.
    fn unseal(&mut self, batch: &mut Batch<'_>, first: Position) -> Result<(), IntegrityError> {
        let mut next = first;
        for index in 0..batch.len() {
            let Some(entry) = batch.entry(index) else { continue };
            let Some(header) = header_of(&entry, next) else { continue };
            let tampered = IntegrityError::Tampered { stream: header.stream, version: header.version };
            let end = entry.start.saturating_add(entry.len);
            let stored = batch.bytes_mut().get_mut(entry.start..end).ok_or(tampered)?;
            let (start, len) = if S::Aead::ENCRYPTS {
                let body = self.sealing.open(&header, stored)?;
                (body.start, body.len)
            } else {
                Sealing::<K, S>::body(&header, stored).ok_or(tampered)?
            };
            batch.replaced(index, entry.start.saturating_add(start), len);
            next = next.plus(u64::from(header.position.is_some()));
        }
        Ok(())
    }

    /// Whether all streams of a batch can be sealed.
    fn check(&self, batch: &Batch<'_>) -> Result<(), IntegrityError> {
        batch.iter().try_for_each(|(entry, _)| match header_of(&entry, Position::START) {
            Some(header) => self.sealing.can_seal(header.stream, header.kind),
            None => Ok(()),
        })
    }
}

/// What an entry of a batch is sealed together with, if it is to be sealed; an event that is not local gets the position
/// `next`.
fn header_of(entry: &Entry, next: Position) -> Option<Header> {
    match entry.op {
        Op::Event { stream, kind, schema, version } => {
            let position = (!entry.local).then_some(next);
            Some(Header { snapshot: false, kind, schema, version, stream, position })
        }
        Op::Snapshot { stream, kind, schema, version } => {
            Some(Header { snapshot: true, kind, schema, version, stream, position: None })
        }
        Op::Track { .. } => None,
    }
}

/// A buffer to work in while a batch stands: what is free of its own, or a small one.
fn room<'s>(batch: &'s mut Batch<'_>, small: &'s mut [u8]) -> &'s mut [u8] {
    let free = batch.free_mut();
    if free.len() >= small.len() { free } else { small }
}

#[face]
impl<R: RecordManager, K: Keyring, S: Suite> Sealed<R, K, S> {
    /// Sees to it that the positions of the events to come are known, and begins a session if one is needed.
    async fn prepare(&mut self, batch: &mut Batch<'_>) -> Result<(), AppendError<R::Error>> {
        let mut small = [0; SMALL];
        if self.trust == Trust::Unsettled {
            // A look-up makes a record manager find out how far it got.
            self.records.head(StreamId(0), &mut Scratch::new(room(batch, &mut small))).await?;
            self.trust = Trust::Settled;
        }
        if S::Aead::ENCRYPTS && self.sealing.session.is_none() {
            self.begin_session(room(batch, &mut small)).await?;
        }
        Ok(())
    }

    /// Sees to it that what can be read now will stay: if nothing has been appended since the mount, the newest event
    /// may be one whose append never came to its end.
    pub(super) async fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<(), AppendError<R::Error>> {
        if self.trust == Trust::Secured {
            return Ok(());
        }
        self.records.head(StreamId(0), scratch).await?;
        self.begin_session(scratch.bytes_mut()).await
    }

    /// Begins a session: its number is stored before anything is sealed in it.
    async fn begin_session(&mut self, bytes: &mut [u8]) -> Result<(), AppendError<R::Error>> {
        let told = if S::Aead::ENCRYPTS { self.last_session(&mut Scratch::new(bytes)).await } else { 0 };
        let at = self.records.tracked(self.sessions);
        let session = Sealing::<K, S>::session_after(at, told)?;
        let mut begins = Batch::new(bytes, R::HEADROOM);
        begins.track_from(self.sessions, at, Position(session.into()))?;
        self.trust = Trust::Unsettled;
        self.records.append(&mut begins).await?;
        self.trust = Trust::Secured;
        self.sealing.begin(session);
        Ok(())
    }

    /// The session that the newest event was sealed in, if it can be opened; 0 if not. More than is stored only if what
    /// was stored has been damaged since.
    async fn last_session(&mut self, scratch: &mut Scratch<'_>) -> u32 {
        let after = self.records.bounds().last().previous();
        let place = match self.records.next_notification(after, scratch).await {
            Ok(Some(Notification::Event(record))) => Place::of_event(&record),
            _ => return 0,
        };
        let Some(front) = place.stored(scratch).and_then(|stored| Sealing::<K, S>::front(place.header(), stored))
        else {
            return 0;
        };
        self.open(&place, scratch).map_or(0, |_| front.session)
    }

    /// Appends a batch as the record manager below does, with its payloads sealed.
    async fn append_sealed(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<R::Error>> {
        self.check(batch)?;
        self.prepare(batch).await?;
        let first = self.records.bounds().next;
        self.seal(batch, first)?;
        // If this ends any other way than with an answer, the session has ended: what was begun to be written must not
        // be followed by something else under the same nonces.
        let session = self.sealing.session.take();
        let trust = core::mem::replace(&mut self.trust, Trust::Unsettled);
        let outcome = self.records.append(batch).await;
        match &outcome {
            Ok(appended) => {
                (self.sealing.session, self.trust) = (session, Trust::Secured);
                if appended.first != first {
                    self.chain = None;
                    return Err(IntegrityError::Misplaced.into());
                }
                self.chain_over(batch, first);
            }
            Err(AppendError::Storage(_)) => self.chain = None,
            // Refused: nothing of it was written.
            Err(_) => (self.sealing.session, self.trust) = (session, trust.min(Trust::Settled)),
        }
        self.unseal(batch, first)?;
        outcome
    }
}

#[face]
impl<R: RecordManager, K: Keyring, S: Suite> RecordManager for Sealed<R, K, S> {
    type Error = R::Error;
    type MountError = R::MountError;

    const HEADROOM: Headroom = Headroom {
        batch: R::HEADROOM.batch,
        entry: R::HEADROOM.entry.saturating_add(FRONT_BYTES).saturating_add(S::Aead::TAG_BYTES),
    };

    async fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), R::MountError> {
        (self.trust, self.chain, self.marked) = (Trust::Unsettled, None, None);
        self.records.mount(scratch).await?;
        self.sealing.mounted(self.records.life());
        Ok(())
    }

    async fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<R::Error>> {
        if batch.iter().any(|(entry, _)| !matches!(entry.op, Op::Track { .. })) {
            return self.append_sealed(batch).await;
        }
        self.trust = Trust::Unsettled;
        let appended = self.records.append(batch).await?;
        self.trust = Trust::Secured;
        Ok(appended)
    }

    fn life(&self) -> (LogId, Epoch) {
        self.records.life()
    }

    fn bounds(&self) -> Bounds {
        self.records.bounds()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.records.tracked(tracker)
    }

    async fn head(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<StreamHead>, ReadError<R::Error>> {
        self.records.head(stream, scratch).await
    }

    async fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        let place = match self.records.next_event(stream, after, scratch).await? {
            Some(record) => Place::of_event(&record),
            None => return Ok(None),
        };
        self.sealing.readable(stream, place.header.kind)?;
        Ok(Some(self.open(&place, scratch)?.0))
    }

    async fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<R::Error>> {
        let place = match self.records.latest_snapshot(stream, at_most, scratch).await? {
            Some(record) => Place::of_snapshot(&record),
            None => return Ok(None),
        };
        self.sealing.readable(stream, place.header.kind)?;
        let last = self.records.bounds().last();
        let (record, reach) = self.open(&place, scratch)?;
        match reach {
            // It was taken of a log that had come further than this one has.
            Some(reach) if reach.position > last => {
                Err(IntegrityError::CutOff { reached: reach.position, last }.into())
            }
            _ => Ok(Some(record)),
        }
    }

    async fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<R::Error>> {
        let place = match self.records.next_notification(after, scratch).await? {
            Some(Notification::Event(record)) => Place::of_event(&record),
            Some(Notification::Gap { first, last, reason }) => {
                return Ok(Some(Notification::Gap { first, last, reason }));
            }
            None => return Ok(None),
        };
        let Header { stream, kind, .. } = place.header;
        if self.sealing.readable(stream, kind).is_err() {
            let gone = after.next();
            return Ok(Some(Notification::Gap { first: gone, last: gone, reason: GapReason::Erased }));
        }
        Ok(Some(Notification::Event(self.open(&place, scratch)?.0)))
    }

    async fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<R::Error>> {
        self.records.list_streams(list, scratch).await
    }

    async fn secure(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<R::Error>> {
        let trust = core::mem::replace(&mut self.trust, Trust::Unsettled);
        let secured = self.records.secure(scratch).await?;
        if !secured {
            self.trust = trust;
        }
        Ok(secured)
    }

    async fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<R::Error>> {
        if self.mark_if_due(scratch).await? {
            return Ok(Upkeep::Worked);
        }
        let trust = core::mem::replace(&mut self.trust, Trust::Unsettled);
        let upkeep = self.records.upkeep(scratch).await?;
        self.trust = trust;
        match upkeep {
            Upkeep::NeedsSnapshot { kind: Kind::RESERVED, .. } => {
                self.repeat_marks(scratch).await?;
                Ok(Upkeep::Worked)
            }
            Upkeep::NeedsSnapshot { stream, kind } if self.sealing.readable(stream, kind).is_err() => {
                self.bury(stream, kind, scratch).await?;
                Ok(Upkeep::Worked)
            }
            other => Ok(other),
        }
    }
}
