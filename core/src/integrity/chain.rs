//! The hash chain through all events of a log, and where its heads are kept.

use heapless::Vec;

use super::{Header, Mac};
use crate::Position;
use crate::bytes::{ByteReader, ByteWriter};
use crate::list::remove;

/// The head of the chain at a position: it stands for that event and all before it, with their order.
///
/// Told to the outside, such as with every sync, it is what a log that was cut off at its end, or wound back as a whole,
/// is found out with: keep the newest, and give it to [`Verification::against`](super::Verification::against).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Anchor {
    /// The position of the last event that it stands for.
    pub position: Position,
    /// The head there.
    pub head: [u8; 16],
}

impl Anchor {
    /// Before the first event of a log.
    pub const GENESIS: Self = Self { position: Position::START, head: [0; 16] };
    /// The bytes that an anchor takes.
    pub const BYTES: usize = 24;

    /// As it travels: the position in little-endian order, and the head.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let mut out = ByteWriter::new(&mut bytes);
        let _ = out.u64(self.position.0).and_then(|()| out.slice(&self.head));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut input = ByteReader::new(bytes);
        let position = Position(input.u64().unwrap_or_default());
        Self { position, head: *input.rest().first_chunk().unwrap_or(&[0; 16]) }
    }

    /// The head behind one event more: this one, as stored, with what it was sealed together with.
    pub(crate) fn then<M: Mac>(self, mut mac: M, header: &Header, stored: &[u8]) -> Self {
        mac.update(&self.head);
        mac.update(&header.bytes());
        mac.update(stored);
        let hash = mac.finish();
        Self { position: header.position.unwrap_or(self.position), head: *hash.first_chunk().unwrap_or(&[0; 16]) }
    }

    /// The same head behind positions that hold nothing.
    pub(crate) fn over(self, last: Position) -> Self {
        Self { position: self.position.max(last), head: self.head }
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach { position: self.position, head: *self.head.first_chunk().unwrap_or(&[0; 8]) }
    }
}

/// What a snapshot tells of the log at the time when it was taken: half of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) position: Position,
    pub(crate) head: [u8; 8],
}

/// How many heads are kept in the log.
const MARKS: usize = 8;

/// Heads of the chain spread over what the log holds, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks(Vec<Anchor, MARKS>);

/// The most bytes that they take.
pub(crate) const MARKS_BYTES: usize = MARKS * (10 + 16);

impl Marks {
    pub(crate) fn newest(&self) -> Option<Anchor> {
        self.0.last().copied()
    }

    /// The mark at this position; the genesis at the start.
    pub(crate) fn at(&self, position: Position) -> Option<Anchor> {
        let genesis = (position == Position::START).then_some(Anchor::GENESIS);
        self.0.iter().find(|mark| mark.position == position).copied().or(genesis)
    }

    /// The newest mark up to this position, if its events from there on are held, of which `first` is the oldest.
    pub(crate) fn up_to(&self, position: Position, first: Position) -> Option<Anchor> {
        let held = |mark: &Anchor| mark.position.next() >= first && mark.position <= position;
        let genesis = Some(Anchor::GENESIS).filter(held);
        self.0.iter().rev().copied().find(held).or(genesis)
    }

    /// Adds the newest head. Those that nothing held follows are dropped, and if there are too many still, the one whose
    /// neighbours are closest to each other.
    pub(crate) fn add(&mut self, head: Anchor, first: Position) {
        self.0.retain(|mark| mark.position.next() >= first && mark.position < head.position);
        if self.0.is_full() {
            let position = |index: usize| self.0.get(index).map_or(head.position, |mark| mark.position);
            let span = |index: &usize| position(index.saturating_add(1)).since(position(index.saturating_sub(1)));
            if let Some(close) = (1..MARKS).min_by_key(span) {
                remove(&mut self.0, close);
            }
        }
        let _ = self.0.push(head);
    }

    pub(crate) fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = ByteWriter::new(out);
        for mark in &self.0 {
            out.varint(mark.position.0)?;
            out.slice(&mark.head)?;
        }
        Some(out.len())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut input, mut marks) = (ByteReader::new(bytes), Vec::new());
        while !input.is_empty() {
            let position = Position(input.varint()?);
            marks.push(Anchor { position, head: *input.slice(16)?.first_chunk()? }).ok()?;
        }
        Some(Self(marks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(position: u64) -> Anchor {
        Anchor { position: Position(position), head: [position as u8; 16] }
    }

    #[test]
    fn marks_stay_spread_over_what_is_held() {
        let mut marks = Marks::default();
        for position in 1..=100 {
            marks.add(mark(position * 10), Position(1));
        }
        let positions: std::vec::Vec<_> = marks.0.iter().map(|mark| mark.position.0).collect();
        assert_eq!((positions.len(), positions.last()), (MARKS, Some(&1000)));
        assert!(positions.windows(2).all(|pair| pair[1] - pair[0] <= 300), "{positions:?}");
        // What was let go takes its marks along.
        marks.add(mark(1010), Position(995));
        assert_eq!(marks.0, [mark(1000), mark(1010)]);
    }

    #[test]
    fn they_come_back_from_their_bytes() {
        let mut marks = Marks::default();
        for position in [5, u64::MAX - 9, u64::MAX - 1] {
            marks.add(mark(position), Position(1));
        }
        let mut bytes = [0; MARKS_BYTES];
        let len = marks.encode(&mut bytes).unwrap();
        assert_eq!(Marks::decode(&bytes[..len]), Some(marks));
        assert_eq!(Marks::decode(&bytes[..len - 1]), None);
        let anchor = mark(77);
        assert_eq!(Anchor::from_bytes(&anchor.to_bytes()), anchor);
    }

    #[test]
    fn the_right_mark_is_found() {
        let mut marks = Marks::default();
        marks.add(mark(10), Position(1));
        marks.add(mark(20), Position(1));
        assert_eq!(marks.up_to(Position(25), Position(1)), Some(mark(20)));
        assert_eq!(marks.up_to(Position(19), Position(11)), Some(mark(10)));
        assert_eq!(marks.up_to(Position(19), Position(12)), None);
        assert_eq!(marks.up_to(Position(9), Position(1)), Some(Anchor::GENESIS));
        assert_eq!(marks.at(Position(10)), Some(mark(10)));
        assert_eq!(marks.at(Position(0)), Some(Anchor::GENESIS));
        assert_eq!(marks.at(Position(11)), None);
    }
}
