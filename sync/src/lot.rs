//! Where a sink keeps what has come too early.

use evenkeel_core::Position;
use evenkeel_core::bytes::{ByteReader, ByteWriter, shift};

use crate::missing::Missing;
use crate::{Loss, Piece};

/// The bytes that a piece takes beside its events.
const ENTRY_BYTES: usize = 8 + 8 + 1 + 4 + 4;
const EVENTS: u8 = 0xFF;

/// Pieces that begin beyond the cursor, ordered by where they begin, in lent bytes. No two of them begin alike.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Lot<B> {
    room: B,
    used: usize,
}

/// A piece with the bytes that it takes.
struct Entry<'b> {
    piece: Piece<'b>,
    len: usize,
}

fn read<'b>(input: &mut ByteReader<'b>) -> Option<Entry<'b>> {
    let before = input.rest().len();
    let (first, last, what) = (Position(input.u64()?), Position(input.u64()?), input.u8()?);
    let (count, len) = (input.u32()?, usize::try_from(input.u32()?).ok()?);
    let bytes = input.slice(len)?;
    let piece = match what {
        EVENTS => Piece::Events { first, count, bytes },
        reason => Piece::Gap { first, last, reason: Loss::from_code(reason) },
    };
    Some(Entry { piece, len: before.saturating_sub(input.rest().len()) })
}

fn write(out: &mut ByteWriter<'_>, piece: &Piece<'_>) -> Option<()> {
    let (what, count, bytes) = match *piece {
        Piece::Events { count, bytes, .. } => (EVENTS, count, bytes),
        Piece::Gap { reason, .. } => (reason.code().min(EVENTS.saturating_sub(1)), 0, &[][..]),
    };
    out.u64(piece.first().0)?;
    out.u64(piece.last().0)?;
    out.u8(what)?;
    out.u32(count)?;
    out.u32(u32::try_from(bytes.len()).ok()?)?;
    out.slice(bytes)
}

impl<B> Lot<B> {
    pub(crate) const fn new(room: B) -> Self {
        Self { room, used: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Lot<B> {
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut input = ByteReader::new(self.room.as_ref().get(..self.used).unwrap_or_default());
        core::iter::from_fn(move || if input.is_empty() { None } else { read(&mut input) })
    }

    /// The piece that begins first.
    pub(crate) fn first(&self) -> Option<Piece<'_>> {
        self.entries().next().map(|entry| entry.piece)
    }

    pub(crate) fn remove_first(&mut self) {
        let len = self.entries().next().map_or(self.used, |entry| entry.len);
        let used = self.used;
        let _ = shift(self.room.as_mut(), len, used.saturating_sub(len), 0);
        self.used = used.saturating_sub(len);
    }

    /// Whether all of a piece is here.
    pub(crate) fn has(&self, piece: &Piece<'_>) -> bool {
        let mut wanted = piece.first();
        for Entry { piece: held, .. } in self.entries() {
            if held.first() > wanted {
                return false;
            }
            wanted = wanted.max(held.last().next());
            if wanted > piece.last() {
                return true;
            }
        }
        false
    }

    /// Keeps a piece; `false` if there is no room, or another begins alike.
    pub(crate) fn insert(&mut self, piece: &Piece<'_>) -> bool {
        let mut at = 0_usize;
        for Entry { piece: held, len } in self.entries() {
            if held.first() == piece.first() {
                return false;
            }
            if held.first() > piece.first() {
                break;
            }
            at = at.saturating_add(len);
        }
        let events = if let Piece::Events { bytes, .. } = piece { bytes.len() } else { 0 };
        let len = ENTRY_BYTES.saturating_add(events);
        let used = self.used;
        let after = used.saturating_add(len);
        let Some(bytes) = self.room.as_mut().get_mut(..after) else { return false };
        let _ = shift(bytes, at, used.saturating_sub(at), at.saturating_add(len));
        let place = bytes.get_mut(at..at.saturating_add(len)).unwrap_or_default();
        if write(&mut ByteWriter::new(place), piece).is_none() {
            // It cannot be written, so nothing that was behind it can be read any more.
            self.used = at;
            return false;
        }
        self.used = after;
        true
    }

    /// What is missing beyond the cursor.
    pub(crate) fn missing(&self, cursor: Position) -> Missing {
        let mut map = Missing::ALL;
        let mut done = cursor;
        let mut held: Option<(Position, Position)> = None;
        for Entry { piece, .. } in self.entries() {
            held = match held {
                Some((first, last)) if piece.first() <= last.next() => Some((first, last.max(piece.last()))),
                Some((first, last)) => {
                    if !map.push(first.previous().since(done), last.next().since(first)) {
                        return map;
                    }
                    done = last;
                    Some((piece.first(), piece.last()))
                }
                None => Some((piece.first(), piece.last())),
            };
        }
        if let Some((first, last)) = held.filter(|(first, _)| first.previous() > done) {
            let _ = map.push(first.previous().since(done), last.next().since(first));
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(first: u64, count: u32, bytes: &'static [u8]) -> Piece<'static> {
        Piece::Events { first: Position(first), count, bytes }
    }

    #[test]
    fn pieces_come_out_in_order_whatever_the_order_in_which_they_came() {
        let mut lot = Lot::new([0_u8; 256]);
        let gap = Piece::Gap { first: Position(20), last: Position(29), reason: Loss::Corrupt };
        for piece in [events(10, 3, b"abc"), gap, events(5, 1, b""), events(13, 2, b"de")] {
            assert!(lot.insert(&piece), "{piece:?}");
            assert!(lot.has(&piece));
        }
        assert!(!lot.insert(&events(10, 1, b"x")));
        assert!(lot.has(&events(11, 4, b"")) && !lot.has(&events(14, 2, b"")) && !lot.has(&events(4, 2, b"")));
        assert_eq!(lot.missing(Position(2)).bytes(), [2, 1, 4, 5, 5, 10]);
        let mut out = Vec::new();
        while let Some(piece) = lot.first() {
            out.push((piece.first().0, piece.last().0));
            lot.remove_first();
        }
        assert_eq!(out, [(5, 5), (10, 12), (13, 14), (20, 29)]);
        assert!(lot.is_empty());
        assert_eq!(lot.missing(Position(2)), Missing::ALL);
    }

    #[test]
    fn what_has_no_room_is_not_kept_and_disturbs_nothing() {
        let mut lot = Lot::new([0_u8; 2 * ENTRY_BYTES + 4]);
        assert!(lot.insert(&events(9, 1, b"nine")));
        assert!(!lot.insert(&events(3, 1, b"three")));
        assert!(lot.insert(&events(4, 1, b"")));
        assert!(!lot.insert(&events(12, 1, b"")));
        assert_eq!(lot.first(), Some(events(4, 1, b"")));
        lot.remove_first();
        assert_eq!(lot.first(), Some(events(9, 1, b"nine")));
        assert!(!Lot::new([]).insert(&events(1, 1, b"")));
    }
}
