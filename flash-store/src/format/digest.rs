//! Which streams a sector holds, in a few bytes: a Bloom filter.

use evenkeel_core::StreamId;

use super::checksum::CRC;

/// The streams of a sector: may answer for one more that it is among them, never for one of them that it is not.
///
/// Two bits of 64 for each stream, by the two lowest bytes of the CRC-32 of its number. Stored in 1, 2, 4 or 8 bytes:
/// what does not fit is folded over, so that a bit `b` is stored as bit `b mod (8 x bytes)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest(u64);

impl Digest {
    /// One that may hold any stream.
    pub(crate) const FULL: Self = Self(u64::MAX);

    pub(crate) fn add(&mut self, stream: StreamId) {
        self.0 |= bits(stream);
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As stored: the bytes, and how many of them. About a byte for two bits, so that one in ten answers is wrong.
    pub(crate) fn stored(self) -> ([u8; 8], usize) {
        let len: usize = match self.0.count_ones() {
            0..=2 => 1,
            3..=4 => 2,
            5..=8 => 4,
            _ => 8,
        };
        let mut folded = [0; 8];
        for (at, byte) in self.0.to_le_bytes().into_iter().enumerate() {
            if let Some(place) = folded.get_mut(at & len.wrapping_sub(1)) {
                *place |= byte;
            }
        }
        (folded, len)
    }

    /// Reads what is stored; `None` of a length that is not.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
            return None;
        }
        let mut all = [0; 8];
        for (place, byte) in all.iter_mut().zip(bytes.iter().cycle()) {
            *place = *byte;
        }
        Some(Self(u64::from_le_bytes(all)))
    }

    pub(crate) fn may_hold(self, stream: StreamId) -> bool {
        let bits = bits(stream);
        self.0 & bits == bits
    }
}

fn bits(stream: StreamId) -> u64 {
    let [low, high, ..] = CRC.checksum(&stream.0.to_le_bytes()).to_le_bytes();
    1 << (low & 63) | 1 << (high & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_added_is_always_found_and_most_others_are_not() {
        for streams in [1_u64, 2, 4, 16, 40] {
            let mut digest = Digest::default();
            (0..streams).for_each(|stream| digest.add(StreamId(stream * 77)));
            let (bytes, len) = digest.stored();
            let read = Digest::read(&bytes[..len]).unwrap();
            assert!((0..streams).all(|stream| read.may_hold(StreamId(stream * 77))), "{streams}");
            let wrong = (0..1000).filter(|other| read.may_hold(StreamId(1 << 40 | other))).count();
            assert!(streams > 16 || wrong < 300, "{streams} streams: {wrong} of 1000 wrong in {len} bytes");
        }
        assert_eq!(Digest::read(&[1, 2, 3]), None);
    }
}
