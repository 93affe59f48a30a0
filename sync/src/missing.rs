//! Which positions a sink is still missing: a bitmap, told as the lengths of its runs.

use evenkeel_core::Position;
use evenkeel_core::bytes::{ByteReader, ByteWriter, copy, varint_len};

/// The most bytes that a map takes in a READ.
pub const MAP_BYTES: usize = 32;

/// Which positions beyond a sink's cursor are missing: as many as the first number tells are, then as many as the second
/// one are held, and so on. What comes after the last run is missing. The numbers are varints.
///
/// Of 32 frames of which a fifth was lost a map takes some 12 bytes; runs for which there is no room are left out, and
/// sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Missing {
    bytes: [u8; MAP_BYTES],
    len: u8,
}

impl Missing {
    /// Everything beyond the cursor is missing.
    pub const ALL: Self = Self { bytes: [0; MAP_BYTES], len: 0 };

    /// The map with these bytes; `None` if they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut map = Self::ALL;
        copy(bytes, map.bytes.get_mut(..bytes.len())?);
        map.len = u8::try_from(bytes.len()).ok()?;
        let mut input = ByteReader::new(bytes);
        while !input.is_empty() {
            if input.varint()? == 0 || input.varint()? == 0 {
                return None;
            }
        }
        Some(map)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds so many missing positions, and so many held ones behind them, neither of them 0; `false` if there is no room.
    pub fn push(&mut self, missing: u64, held: u64) -> bool {
        let len = usize::from(self.len);
        let needed = varint_len(missing).saturating_add(varint_len(held));
        let Some(room) = self.bytes.get_mut(len..).filter(|room| room.len() >= needed) else { return false };
        let mut out = ByteWriter::new(room);
        let _ = out.varint(missing).and_then(|()| out.varint(held));
        self.len = u8::try_from(len.saturating_add(out.len())).unwrap_or(self.len);
        true
    }

    /// The first run of missing positions beyond `seen`, in a map of what is beyond `cursor`: the position before it,
    /// and its last one; `None` for a run without an end.
    #[must_use]
    pub fn next_after(&self, cursor: Position, seen: Position) -> (Position, Option<Position>) {
        let mut input = ByteReader::new(self.bytes());
        let mut before = cursor;
        while let (Some(missing), Some(held)) = (input.varint(), input.varint()) {
            let last = before.plus(missing);
            if seen < last {
                return (seen.max(before), Some(last));
            }
            before = last.plus(held);
        }
        (seen.max(before), None)
    }
}

impl Default for Missing {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_one_after_another() {
        let mut map = Missing::ALL;
        assert!(map.push(3, 2) && map.push(200, 1));
        assert_eq!(map.bytes(), [3, 2, 0xC8, 1, 1]);
        assert_eq!(Missing::from_bytes(map.bytes()), Some(map));
        let runs = [0, 10, 11, 13, 14, 15, 214, 215, 216, 999].map(|seen| {
            let (before, last) = map.next_after(Position(10), Position(seen));
            (before.0, last.map(|last| last.0))
        });
        assert_eq!(
            runs,
            [
                (10, Some(13)),
                (10, Some(13)),
                (11, Some(13)),
                (15, Some(215)),
                (15, Some(215)),
                (15, Some(215)),
                (214, Some(215)),
                (216, None),
                (216, None),
                (999, None)
            ]
        );
        assert_eq!(Missing::ALL.next_after(Position(4), Position(4)), (Position(4), None));
    }

    #[test]
    fn what_has_no_room_is_left_out_and_nonsense_refused() {
        let mut map = Missing::ALL;
        assert!((0..16).all(|_| map.push(1, 1)));
        assert!(!map.push(1, 1));
        assert_eq!(map.next_after(Position(0), Position(31)), (Position(32), None));
        for bad in [&[0, 1][..], &[1, 0], &[1], &[1, 0x80], &[1; 34]] {
            assert_eq!(Missing::from_bytes(bad), None, "{bad:?}");
        }
        // Numbers as large as there are.
        let mut map = Missing::ALL;
        assert!(map.push(u64::MAX, u64::MAX));
        assert_eq!(map.next_after(Position(9), Position(9)), (Position(9), Some(Position(u64::MAX))));
    }
}
