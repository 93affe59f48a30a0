//! Sets of aggregate types.

use crate::Kind;

/// A set of aggregate types, to read their events alone.
///
/// ```
/// use evenkeel_core::{Kind, Kinds};
///
/// const DOORS: Kinds = Kinds::NONE.with(Kind(3)).with(Kind(200));
/// assert!(DOORS.has(Kind(200)) && !DOORS.has(Kind(4)));
/// assert!(Kinds::ALL.has(Kind(4)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Kinds([u64; 4]);

impl Kinds {
    /// No type.
    pub const NONE: Self = Self([0; 4]);
    /// Every type.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// This type too.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        let Self([a, b, c, d]) = self;
        let bit = 1_u64 << (kind.0 & 63);
        match kind.0 >> 6 {
            0 => Self([a | bit, b, c, d]),
            1 => Self([a, b | bit, c, d]),
            2 => Self([a, b, c | bit, d]),
            _ => Self([a, b, c, d | bit]),
        }
    }

    /// Whether this type is one of them.
    #[must_use]
    pub const fn has(&self, kind: Kind) -> bool {
        let Self([a, b, c, d]) = *self;
        let word = match kind.0 >> 6 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        word & (1_u64 << (kind.0 & 63)) != 0
    }

    /// Whether every type is one of them.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        let Self([a, b, c, d]) = *self;
        a & b & c & d == u64::MAX
    }
}

impl From<Kind> for Kinds {
    fn from(kind: Kind) -> Self {
        Self::NONE.with(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_in_its_own_set_alone() {
        for kind in 0..=u8::MAX {
            let only = Kinds::from(Kind(kind));
            assert!((0..=u8::MAX).all(|other| only.has(Kind(other)) == (other == kind)), "{kind}");
            assert!(!only.is_all());
        }
        let all = (0..=u8::MAX).fold(Kinds::NONE, |kinds, kind| kinds.with(Kind(kind)));
        assert!(all.is_all() && all == Kinds::ALL);
    }
}
