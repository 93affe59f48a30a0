//! A reading place in a notification log.

use crate::archive::{SectionId, SectionSize};
use crate::section::{MalformedSection, SectionReader};
use crate::{Kinds, Position, Record};

/// Reads a notification log from one event to the next: a plain value that remembers up to where it has read, of a log
/// that is here ([`Log::read`](crate::Log::read)) or of one that comes in sections from elsewhere
/// ([`take_in`](Self::take_in)).
///
/// To go on after a restart, keep [`position`](Self::position) and begin there, such as with the place of a tracker.
///
/// ```
/// use evenkeel_core::{Kind, Log, Position, RamLog, Reader};
///
/// let mut scratch = [0; 64];
/// let mut log = Log::mount(RamLog::<_>::new([0; 256]), &mut scratch).unwrap();
/// let mut reader = Reader::new(Position::START).of_kinds(Kind(7));
/// assert_eq!(log.read(&mut reader), Ok(None));
/// assert_eq!(reader.position(), Position::START);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reader {
    pub(crate) seen: Position,
    pub(crate) kinds: Kinds,
    pub(crate) last: Position,
}

impl Reader {
    /// Begins behind this position.
    #[must_use]
    pub const fn new(after: Position) -> Self {
        Self { seen: after, kinds: Kinds::ALL, last: Position(u64::MAX) }
    }

    /// Ends behind this position.
    #[must_use]
    pub const fn up_to(self, last: Position) -> Self {
        Self { last, ..self }
    }

    /// Shows events of these aggregate types alone; it moves on over all others.
    #[must_use]
    pub fn of_kinds(self, kinds: impl Into<Kinds>) -> Self {
        Self { kinds: kinds.into(), ..self }
    }

    /// Up to where it has read: everything up to there has been shown or passed over.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.seen
    }

    /// Goes on behind this position from now on.
    pub fn seek(&mut self, after: Position) {
        self.seen = after;
    }

    /// The section that it needs next of a log that comes in sections of this size.
    #[must_use]
    pub fn wanted(&self, size: SectionSize) -> SectionId {
        size.current(crate::Bounds { first: Position::START.next(), next: self.seen.next() })
    }

    /// Reads on in an encoded section that has arrived: shows what it has not shown yet, one event after another, and
    /// moves on with each.
    ///
    /// # Errors
    /// If not exactly `events` events can be decoded, or the section begins further on than where it would go on. Then
    /// it has not moved.
    pub fn take_in<'r, 'b>(
        &'r mut self,
        first: Position,
        events: u32,
        bytes: &'b [u8],
    ) -> Result<ReadOn<'r, 'b>, MalformedSection> {
        let mut count = 0_u32;
        for event in SectionReader::new(first, bytes) {
            event?;
            count = count.saturating_add(1);
        }
        if count != events || first > self.seen.next() {
            return Err(MalformedSection);
        }
        Ok(ReadOn { reader: self, events: SectionReader::new(first, bytes) })
    }
}

/// The events of a section that a [`Reader`] has not shown yet.
#[derive(Debug)]
pub struct ReadOn<'r, 'b> {
    reader: &'r mut Reader,
    events: SectionReader<'b>,
}

impl<'b> Iterator for ReadOn<'_, 'b> {
    type Item = Record<'b>;

    fn next(&mut self) -> Option<Record<'b>> {
        loop {
            let record = self.events.next()?.ok()?;
            let position = record.position?;
            if position <= self.reader.seen {
                continue;
            }
            if position > self.reader.last {
                return None;
            }
            self.reader.seen = position;
            if self.reader.kinds.has(record.kind) {
                return Some(record);
            }
        }
    }
}
