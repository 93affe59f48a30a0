//! Which events of a stream are asked for.

use crate::Version;

/// Bounds on the versions of a stream, how many events at most, and in what order they are shown.
///
/// The bounds may be combined. The limit counts from where the query begins: from the lowest version within the bounds,
/// or from the highest if it is [`descending`](Self::descending).
///
/// ```
/// use evenkeel_core::{Version, VersionRange};
///
/// let newest_two = VersionRange::ALL.lt(Version(9)).descending().limit(2);
/// assert_eq!(newest_two.of(Version(20)).map(|version| version.0).collect::<Vec<_>>(), [8, 7]);
/// let turned = newest_two.shown_ascending();
/// assert_eq!(turned.of(Version(20)).map(|version| version.0).collect::<Vec<_>>(), [7, 8]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VersionRange {
    /// The lowest version asked for; more than the highest if there is none.
    first: u64,
    last: u64,
    limit: u32,
    is_descending: bool,
    is_shown_descending: bool,
}

impl VersionRange {
    /// All events, the oldest first.
    pub const ALL: Self =
        Self { first: 1, last: u32::MAX as u64, limit: u32::MAX, is_descending: false, is_shown_descending: false };

    /// Only versions above this one.
    #[must_use]
    pub const fn gt(self, version: Version) -> Self {
        self.above((version.0 as u64).saturating_add(1))
    }

    /// Only this version and those above.
    #[must_use]
    pub const fn gte(self, version: Version) -> Self {
        self.above(version.0 as u64)
    }

    /// Only versions below this one.
    #[must_use]
    pub const fn lt(self, version: Version) -> Self {
        self.below((version.0 as u64).saturating_sub(1))
    }

    /// Only this version and those below.
    #[must_use]
    pub const fn lte(self, version: Version) -> Self {
        self.below(version.0 as u64)
    }

    /// At most so many events, counted from where the query begins. With 0 there are none.
    #[must_use]
    pub const fn limit(self, events: u32) -> Self {
        Self { limit: events, ..self }
    }

    /// Begins the query at the highest version within the bounds, and shows the newest event first.
    #[must_use]
    pub const fn descending(self) -> Self {
        Self { is_descending: true, is_shown_descending: true, ..self }
    }

    /// Shows the oldest event first, wherever the query begins.
    #[must_use]
    pub const fn shown_ascending(self) -> Self {
        Self { is_shown_descending: false, ..self }
    }

    /// The versions that are asked for of a stream that has reached this version, in the order in which they are shown.
    #[must_use]
    pub fn of(self, head: Version) -> Versions {
        let (mut first, mut last) = (self.first, self.last.min(u64::from(head.0)));
        let limit = u64::from(self.limit);
        if self.is_descending {
            first = first.max(last.saturating_add(1).saturating_sub(limit));
        } else {
            last = last.min(first.saturating_add(limit).saturating_sub(1));
        }
        Versions { first, last, is_descending: self.is_shown_descending }
    }

    const fn above(self, first: u64) -> Self {
        if first > self.first { Self { first, ..self } } else { self }
    }

    const fn below(self, last: u64) -> Self {
        if last < self.last { Self { last, ..self } } else { self }
    }
}

impl Default for VersionRange {
    fn default() -> Self {
        Self::ALL
    }
}

/// Consecutive versions, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    first: u64,
    last: u64,
    is_descending: bool,
}

impl Iterator for Versions {
    type Item = Version;

    fn next(&mut self) -> Option<Version> {
        if self.first > self.last {
            return None;
        }
        let version = if self.is_descending { self.last } else { self.first };
        if self.is_descending {
            self.last = self.last.saturating_sub(1);
        } else {
            self.first = self.first.saturating_add(1);
        }
        Some(Version(u32::try_from(version).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(range: VersionRange, head: u32) -> Vec<u32> {
        range.of(Version(head)).map(|version| version.0).collect()
    }

    #[test]
    fn ranges_at_the_ends_of_what_a_version_can_be() {
        const ALL: VersionRange = VersionRange::ALL;
        assert_eq!(versions(ALL, 0), []);
        assert_eq!(versions(ALL.gte(Version::NONE), 2), [1, 2]);
        assert_eq!(versions(ALL.lt(Version::NONE), 2), []);
        assert_eq!(versions(ALL.lte(Version::NONE), 2), []);
        assert_eq!(versions(ALL.gt(Version::MAX), u32::MAX), []);
        assert_eq!(versions(ALL.gte(Version::MAX), u32::MAX), [u32::MAX]);
        assert_eq!(versions(ALL.gte(Version::MAX).descending(), u32::MAX), [u32::MAX]);
        assert_eq!(versions(ALL.gt(Version(3)).lt(Version(3)), 9), []);
        assert_eq!(versions(ALL.limit(0), 9), []);
        assert_eq!(versions(ALL.limit(0).descending(), 9), []);
        assert_eq!(versions(ALL.limit(2).descending(), 1), [1]);
        assert_eq!(versions(ALL.gt(Version(7)).limit(3).descending(), 9), [9, 8]);
        assert_eq!(versions(ALL.gt(Version(4)).gte(Version(2)).limit(2), 9), [5, 6]);
    }
}
