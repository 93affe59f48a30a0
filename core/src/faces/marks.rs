//! The hash chain of a sealed log: its head, the heads that are stored, and the check against them.

use super::sealed::{Place, Sealed, Trust};
use super::{RecordManager, face};
use crate::batch::Op;
use crate::bytes::copy;
use crate::error::{AppendError, IntegrityError, ReadError};
use crate::integrity::{Anchor, Keyring, MARKS_BYTES, Marks, Suite, Verification, Verified};
use crate::scratch::Scratch;
use crate::{CodecError, Kind, Notification, Position, StreamId, Version};

/// The stream whose snapshot holds the stored heads.
const MARKS: StreamId = StreamId(u64::MAX);

#[face]
impl<R: RecordManager, K: Keyring, S: Suite> Sealed<R, K, S> {
    /// The heads that are stored; none, if none are or they cannot be opened.
    async fn marks(&mut self, scratch: &mut Scratch<'_>) -> Result<Marks, ReadError<R::Error>> {
        let record = self.latest_snapshot(MARKS, Version::NONE, scratch).await?;
        Ok(record.and_then(|record| Marks::decode(record.payload)).unwrap_or_default())
    }

    /// The head of the chain at the newest position: what is told to the outside as an anchor.
    ///
    /// If it is not known the events since the newest stored head are read, and checked. Before the first append after a
    /// mount this writes a small record, so that the event that is told of will stay.
    pub async fn anchor(&mut self, scratch: &mut Scratch<'_>) -> Result<Anchor, AppendError<R::Error>> {
        self.secure(scratch).await?;
        let bounds = self.records.bounds();
        let mut chain = match self.chain.take() {
            Some(chain) => chain,
            None => {
                let marks = self.marks(scratch).await?;
                marks.up_to(bounds.last(), bounds.first).ok_or(IntegrityError::NoSeal)?
            }
        };
        while chain.position < bounds.last() {
            chain = match self.chain_on(chain, scratch).await? {
                Some(next) => next,
                None => break,
            };
        }
        self.chain = Some(chain);
        Ok(chain)
    }

    /// The head behind what stands after this one, which is checked; over positions that hold nothing it stays.
    async fn chain_on(
        &mut self,
        chain: Anchor,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Anchor>, ReadError<R::Error>> {
        let place = match self.records.next_notification(chain.position, scratch).await? {
            Some(Notification::Event(record)) => Place::of_event(&record),
            Some(Notification::Gap { last, .. }) => return Ok(Some(chain.over(last))),
            None => return Ok(None),
        };
        let header = place.header();
        let stored = place.stored(scratch).unwrap_or_default();
        let next = self.sealing.chain(chain, header, stored)?;
        if self.sealing.readable(header.stream, header.kind).is_ok() {
            self.open(&place, scratch)?;
        }
        Ok(Some(next))
    }

    /// Takes a check of the log on by `at_most` notifications; answers what it has covered when it is at the end, `None`
    /// when there is more.
    ///
    /// Each event is checked for itself, then all together against the heads that are stored in the log, and against
    /// the anchor from the outside if there is one.
    pub async fn verify(
        &mut self,
        check: &mut Verification,
        at_most: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Verified>, ReadError<R::Error>> {
        let marks = self.marks(scratch).await?;
        let bounds = self.records.bounds(); // as they are after a look-up
        if !check.begun {
            let last = bounds.last();
            let newest = [check.anchor, marks.newest()].into_iter().flatten().map(|anchor| anchor.position).max();
            if let Some(reached) = newest.filter(|reached| *reached > last) {
                return Err(IntegrityError::CutOff { reached, last }.into());
            }
            check.after = check.after.max(bounds.first.previous());
            check.begun = true;
            self.meet(check, &marks)?;
        }
        for _ in 0..at_most {
            if check.after >= bounds.last() {
                return self.verified(check).map(Some).map_err(ReadError::Integrity);
            }
            self.check_next(check, scratch).await?;
            self.meet(check, &marks)?;
        }
        Ok(None)
    }

    /// Checks that the newest snapshot of a stream was taken of this very history, and not of one that was cut off since:
    /// against the head of the chain that it tells.
    ///
    /// `false` if there is nothing to compare: no snapshot, one that was taken when the head was not known, or no stored
    /// head from before it. Reads the events from the stored head before it up to its head.
    pub async fn verify_snapshot(
        &mut self,
        stream: StreamId,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, ReadError<R::Error>> {
        let place = match self.records.latest_snapshot(stream, Version::MAX, scratch).await? {
            Some(record) => Place::of_snapshot(&record),
            None => return Ok(false),
        };
        self.sealing.readable(stream, place.header().kind)?;
        let Some(reach) = self.open(&place, scratch)?.1 else { return Ok(false) };
        let (bounds, at) = (self.records.bounds(), reach.position);
        if at > bounds.last() {
            return Err(IntegrityError::CutOff { reached: at, last: bounds.last() }.into());
        }
        let marks = self.marks(scratch).await?;
        let Some(mut chain) = marks.up_to(at, bounds.first) else { return Ok(false) };
        while chain.position < at {
            chain = match self.chain_on(chain, scratch).await? {
                Some(next) => next,
                None => break,
            };
        }
        match chain.position == at {
            true if chain.reach() != reach => Err(IntegrityError::Broken { at }.into()),
            comparable => Ok(comparable),
        }
    }

    /// Checks what stands next.
    async fn check_next(
        &mut self,
        check: &mut Verification,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<R::Error>> {
        let place = match self.records.next_notification(check.after, scratch).await? {
            Some(Notification::Event(record)) => Place::of_event(&record),
            Some(Notification::Gap { first, last, .. }) => {
                (check.after, check.chain) = (last, None);
                return Err(IntegrityError::Missing { first, last }.into());
            }
            None => return Ok(()),
        };
        // What fails here is looked at: who goes on does so behind it.
        check.after = check.after.next();
        let chain = check.chain.take();
        let header = *place.header();
        if let Some(chain) = chain {
            let stored = place.stored(scratch).unwrap_or_default();
            check.chain = Some(self.sealing.chain(chain, &header, stored)?);
        }
        if self.sealing.readable(header.stream, header.kind).is_ok() {
            self.open(&place, scratch).inspect_err(|_| check.chain = None)?;
        }
        check.events = check.events.saturating_add(1);
        check.chained = check.chained.saturating_add(u64::from(check.chain.is_some()));
        Ok(())
    }

    /// Stores the marks once more, with the head of the chain as it is now if enough has been appended since.
    pub(super) async fn mark_if_due(&mut self, scratch: &mut Scratch<'_>) -> Result<bool, AppendError<R::Error>> {
        let bounds = self.records.bounds();
        let marked = match self.marked {
            Some(marked) => marked,
            None => {
                let newest = self.marks(scratch).await?.newest().map_or(Position::START, |mark| mark.position);
                *self.marked.insert(newest)
            }
        };
        // A head that retention is about to overtake is of no use any more: there is to be one in the newer half.
        let half = bounds.first.plus(bounds.last().since(bounds.first) >> 1);
        let overtaken = marked < half && marked < bounds.last();
        if bounds.last().since(marked) < self.period && !overtaken {
            return Ok(false);
        }
        // Whatever becomes of it, the next try comes after as many events again.
        self.marked = Some(bounds.last());
        let head = match self.anchor(scratch).await {
            Ok(head) => head,
            // What is wrong is for `verify` to tell, and making room comes first: upkeep goes on without a new mark.
            Err(AppendError::Integrity(_)) => return Ok(false),
            Err(AppendError::Full { .. }) => return Ok(self.mark_later()),
            Err(error) => return Err(error),
        };
        let mut marks = self.marks(scratch).await?;
        marks.add(head, bounds.first);
        match self.store_marks(&marks, scratch).await {
            Ok(()) => Ok(true),
            Err(AppendError::Full { .. }) => Ok(self.mark_later()),
            Err(error) => Err(error),
        }
    }

    /// Stores the marks as they are once more, so that the old record can be let go.
    pub(super) async fn repeat_marks(&mut self, scratch: &mut Scratch<'_>) -> Result<(), AppendError<R::Error>> {
        let marks = self.marks(scratch).await?;
        self.store_marks(&marks, scratch).await
    }

    async fn store_marks(&mut self, marks: &Marks, scratch: &mut Scratch<'_>) -> Result<(), AppendError<R::Error>> {
        let mut bytes = [0; MARKS_BYTES];
        let len = marks.encode(&mut bytes).unwrap_or_default();
        let op = Op::Snapshot { stream: MARKS, kind: Kind::RESERVED, schema: 0, version: Version::NONE };
        let mut batch = scratch.batch(<Self as RecordManager>::HEADROOM);
        batch.push(op, |out| {
            let place = out.get_mut(..len).ok_or(CodecError::DoesNotFit)?;
            copy(bytes.get(..len).unwrap_or_default(), place);
            Ok(len)
        })?;
        self.append(&mut batch).await.map(|_| ())
    }

    /// Begins the chain anew behind everything that is held, after what [`verify`](Self::verify) has found was dealt
    /// with: what stands before is not covered by the chain any more. Durable when it returns.
    pub async fn begin_chain_anew(&mut self, scratch: &mut Scratch<'_>) -> Result<Anchor, AppendError<R::Error>> {
        self.secure(scratch).await?;
        let head = Anchor { position: self.records.bounds().last(), ..Anchor::GENESIS };
        let mut marks = Marks::default();
        marks.add(head, Position::START);
        self.store_marks(&marks, scratch).await?;
        (self.chain, self.marked) = (Some(head), Some(head.position));
        Ok(head)
    }

    /// Stores an empty snapshot of a stream whose key was destroyed, so that its records can be let go.
    pub(super) async fn bury(
        &mut self,
        stream: StreamId,
        kind: Kind,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), AppendError<R::Error>> {
        let Some(head) = self.records.head(stream, scratch).await? else { return Ok(()) };
        let mut batch = scratch.batch(R::HEADROOM);
        batch.push(Op::Snapshot { stream, kind, schema: 0, version: head.version }, |_| Ok(0))?;
        self.records.append(&mut batch).await.map(|_| ())
    }
}

impl<R, K: Keyring, S: Suite> Sealed<R, K, S> {
    /// The next upkeep is to try again.
    fn mark_later(&mut self) -> bool {
        self.marked = None;
        false
    }

    /// Compares the head that a check has come to with those that are known of this position.
    fn meet(&self, check: &mut Verification, marks: &Marks) -> Result<(), IntegrityError> {
        let at = check.after;
        if let Some(mark) = marks.at(at) {
            let head = *check.chain.get_or_insert(mark);
            if head != mark {
                check.chain = Some(mark); // what follows is checked from here on
                return Err(IntegrityError::Broken { at });
            }
        }
        if let (Some(anchor), Some(head)) = (check.anchor.filter(|anchor| anchor.position == at), check.chain) {
            check.anchored = true;
            if head != anchor {
                return Err(IntegrityError::Forked { at });
            }
        }
        Ok(())
    }

    /// What a check that has come to the end has covered.
    fn verified(&mut self, check: &Verification) -> Result<Verified, IntegrityError> {
        if check.anchor.is_some() && !check.anchored {
            return Err(IntegrityError::NoSeal);
        }
        if self.trust == Trust::Secured {
            self.chain = check.chain.or(self.chain);
        }
        Ok(Verified { events: check.events, chained: check.chained, head: check.chain })
    }
}
