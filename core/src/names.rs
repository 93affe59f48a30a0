//! Stream numbers out of names.

use crate::{Kind, StreamId};

impl StreamId {
    /// The stream of the aggregate of this type with this name: a serial number as text, an e-mail address, the bytes
    /// of a card.
    ///
    /// The number is SipHash-2-4 of the bytes of the name, under the key whose 16 bytes are the kind and fifteen zeros;
    /// so it is the same on every device and on the server, for ever, and names of different types do not meet. It takes
    /// 9 or 10 bytes where a stream is introduced in a sector, against 1 or 2 of a small number.
    ///
    /// **Two names can meet in one number.** Among `n` names of one type the odds that any two do are about `n²/2⁶⁵`: one
    /// in 3 · 10^13 for a thousand, one in 4 · 10^7 for a million. Where that is too much, store the name in the first event
    /// and compare it in the commands. The key is no secret: who chooses names at will can make two meet (about 2³²
    /// tries), so do not take names from an attacker.
    ///
    /// ```
    /// use evenkeel_core::{Kind, StreamId};
    ///
    /// let card = StreamId::named(Kind(7), b"04:A2:2B:1C");
    /// assert_eq!(card, StreamId::named(Kind(7), b"04:A2:2B:1C"));
    /// assert_ne!(card, StreamId::named(Kind(8), b"04:A2:2B:1C"));
    /// ```
    #[must_use]
    pub const fn named(kind: Kind, name: &[u8]) -> Self {
        Self(siphash(kind.0 as u64, 0, name))
    }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012) under the key with these two halves.
const fn siphash(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk() {
        state = absorb(state, u64::from_le_bytes(*word));
        rest = behind;
    }
    // The last word: what is left, and the lowest byte of the length on top.
    let mut last = (bytes.len() as u64) << 56;
    let mut shift = 0_u32;
    while let Some((byte, behind)) = rest.split_first() {
        last |= (*byte as u64) << shift;
        shift = shift.saturating_add(8);
        rest = behind;
    }
    let [a, b, c, d] = absorb(state, last);
    let [a, b, c, d] = round(round(round(round([a, b, c ^ 0xff, d]))));
    a ^ b ^ c ^ d
}

const fn absorb(state: [u64; 4], word: u64) -> [u64; 4] {
    let [a, b, c, d] = state;
    let [a, b, c, d] = round(round([a, b, c, d ^ word]));
    [a ^ word, b, c, d]
}

const fn round(state: [u64; 4]) -> [u64; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    #[allow(deprecated)] // it is SipHash-2-4, which is what is wanted to compare with
    use std::hash::{Hasher, SipHasher};

    use super::*;

    #[test]
    #[allow(deprecated)]
    fn the_hash_is_siphash_2_4() {
        // Test vectors of the reference implementation: key 00..0F, messages of 0, 1, 8 and 15 bytes 00, 01, ...
        let (k0, k1) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let bytes: Vec<u8> = (0..64).collect();
        for (len, hash) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            assert_eq!(siphash(k0, k1, &bytes[..len]), hash, "{len}");
        }
        for len in 0..64 {
            let mut other = SipHasher::new_with_keys(k0, k1);
            other.write(&bytes[..len]);
            assert_eq!(siphash(k0, k1, &bytes[..len]), other.finish(), "{len}");
        }
    }

    #[test]
    fn names_keep_their_numbers() {
        assert_eq!(StreamId::named(Kind(1), b""), StreamId(0x54e7_61ac_4b1c_a3de));
        assert_eq!(StreamId::named(Kind(1), b"pump-3"), StreamId(0x869e_330c_ed9e_c515));
        let numbers: HashSet<_> =
            (0..10_000).map(|n| StreamId::named(Kind(1), format!("pump-{n}").as_bytes())).collect();
        assert_eq!(numbers.len(), 10_000);
    }
}
