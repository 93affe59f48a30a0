//! The notification log in sections of a fixed size: pages of an archive, each with an id such as `11,15`.
//!
//! A full section never changes, so whoever has it may keep it; the *current* one is where the next event will land, and
//! may be empty. The id of a section tells its first and its last position; other ids than those are errors.
//!
//! ```
//! use evenkeel_core::archive::{SectionIdError, SectionSize, Standing};
//! use evenkeel_core::{Bounds, Position};
//!
//! const FIVE: SectionSize = SectionSize::new(5).unwrap();
//! let held = Bounds { first: Position(1), next: Position(14) }; // 13 events
//! let current = FIVE.current(held).view(held).unwrap();
//! assert_eq!((current.id.to_string(), current.events), ("11,15".into(), 3));
//! assert_eq!(current.previous, FIVE.parse("6,10").ok());
//! assert_eq!((current.standing, current.next), (Standing::Current, None));
//! assert_eq!(FIVE.parse("0,4"), Err(SectionIdError::BelowOne));
//! ```
//!
//! [`Log::archived`](crate::Log::archived) encodes what is in a section.

use core::fmt;
use core::num::NonZeroU32;

use crate::{Bounds, Position};

/// How many positions a section spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SectionSize(NonZeroU32);

/// One section: its first position is one more than a multiple of the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SectionId {
    first: Position,
    size: SectionSize,
}

/// What there is to say about a section without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SectionView {
    /// Which it is.
    pub id: SectionId,
    /// How many of its positions have been given to events.
    pub events: u32,
    /// Where it stands to the end of the log.
    pub standing: Standing,
    /// The section before it; `None` of the first.
    pub previous: Option<SectionId>,
    /// The section after it; `None` if this one is not full.
    pub next: Option<SectionId>,
}

/// Where a section stands to the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Standing {
    /// It is full, and will never change.
    Archived,
    /// The next event will land in it.
    Current,
    /// It is further on: empty.
    Future,
}

/// The section begins before the oldest position that is still held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BeforeFirst(
    /// The oldest position still held.
    pub Position,
);

/// Why something is not the id of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SectionIdError {
    /// It is not two numbers with a comma between them.
    Malformed,
    /// Positions count from 1.
    BelowOne,
    /// It ends before it begins.
    Backwards,
    /// It is no section of this size: its first position lies in the section named here.
    Misaligned(SectionId),
    /// It reaches beyond the highest position that there can be.
    OutOfRange,
}

impl SectionSize {
    /// Sections of 20 positions.
    pub const DEFAULT: Self = Self(NonZeroU32::MIN.saturating_add(19));

    /// Sections of so many positions; `None` for 0.
    #[must_use]
    pub const fn new(positions: u32) -> Option<Self> {
        match NonZeroU32::new(positions) {
            Some(positions) => Some(Self(positions)),
            None => None,
        }
    }

    /// How many positions a section of this size spans.
    #[must_use]
    pub const fn positions(self) -> u32 {
        self.0.get()
    }

    /// The section that holds this position; [`Position::START`] is held by none.
    #[must_use]
    pub fn containing(self, position: Position) -> Option<SectionId> {
        let before = position.0.checked_sub(1)?;
        let full = before.checked_div(u64::from(self.positions()))?;
        let first = Position(full.saturating_mul(u64::from(self.positions()))).next();
        Some(SectionId { first, size: self })
    }

    /// The section in which the next event will land.
    #[must_use]
    pub fn current(self, bounds: Bounds) -> SectionId {
        self.containing(bounds.next).unwrap_or(SectionId { first: Position::START.next(), size: self })
    }

    /// The section from this position to that.
    ///
    /// # Errors
    /// If there is no such section of this size.
    pub fn section(self, first: Position, last: Position) -> Result<SectionId, SectionIdError> {
        let id = self.containing(first).ok_or(SectionIdError::BelowOne)?;
        if last < first {
            return Err(SectionIdError::Backwards);
        }
        let end = id.first.0.checked_add(u64::from(self.positions())).ok_or(SectionIdError::OutOfRange)?;
        if id.first != first || Position(end).previous() != last {
            return Err(SectionIdError::Misaligned(id));
        }
        Ok(id)
    }

    /// The section with this id, such as `11,15`.
    ///
    /// # Errors
    /// If it is no id of a section of this size.
    pub fn parse(self, id: &str) -> Result<SectionId, SectionIdError> {
        let (first, last) = id.split_once(',').ok_or(SectionIdError::Malformed)?;
        self.section(Position(number(first)?), Position(number(last)?))
    }
}

impl Default for SectionSize {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A number in the one way of writing it.
fn number(digits: &str) -> Result<u64, SectionIdError> {
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_shortest = digits.len() == 1 || !digits.starts_with('0');
    if digits.is_empty() || !is_plain || !is_shortest {
        return Err(SectionIdError::Malformed);
    }
    digits.parse().map_err(|_| SectionIdError::OutOfRange)
}

impl SectionId {
    /// Its first position.
    #[must_use]
    pub const fn first(self) -> Position {
        self.first
    }

    /// Its last position.
    #[must_use]
    pub const fn last(self) -> Position {
        self.first.plus(self.size.positions() as u64).previous()
    }

    /// How many positions it spans.
    #[must_use]
    pub const fn size(self) -> SectionSize {
        self.size
    }

    /// The section before it; `None` of the first.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.size.containing(self.first.previous())
    }

    /// The section after it; `None` if there can be none.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let first = Position(self.first.0.checked_add(u64::from(self.size.positions()))?);
        Some(Self { first, size: self.size })
    }

    /// What is to be said of it where the log holds this much.
    ///
    /// # Errors
    /// If it begins before the oldest position that is still held: that is no empty section.
    pub fn view(self, held: Bounds) -> Result<SectionView, BeforeFirst> {
        if self.first < held.first {
            return Err(BeforeFirst(held.first));
        }
        let events = held.next.since(self.first).min(u64::from(self.size.positions()));
        let standing = match self.last() < held.next {
            true => Standing::Archived,
            false if self.first <= held.next => Standing::Current,
            false => Standing::Future,
        };
        let next = if standing == Standing::Archived { self.next() } else { None };
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        Ok(SectionView { id: self, events, standing, previous: self.previous(), next })
    }
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.first, self.last())
    }
}

impl fmt::Display for BeforeFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "positions before {} have been let go", self.0)
    }
}

impl fmt::Display for SectionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the id of a section is two numbers with a comma between them"),
            Self::BelowOne => f.write_str("positions count from 1"),
            Self::Backwards => f.write_str("the section ends before it begins"),
            Self::Misaligned(id) => write!(f, "no section of this size; the first position lies in {id}"),
            Self::OutOfRange => f.write_str("the section reaches beyond the highest position"),
        }
    }
}

impl core::error::Error for BeforeFirst {}
impl core::error::Error for SectionIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: SectionSize = SectionSize::new(5).unwrap();

    fn bounds(first: u64, next: u64) -> Bounds {
        Bounds { first: Position(first), next: Position(next) }
    }

    #[test]
    fn ids_come_back_and_nothing_else_is_one() {
        for id in ["1,5", "6,10", "96,100", "18446744073709551606,18446744073709551610"] {
            assert_eq!(FIVE.parse(id).unwrap().to_string(), id);
        }
        assert_eq!(SectionSize::DEFAULT.parse("1,20").unwrap().last(), Position(20));
        let first = FIVE.parse("1,5").unwrap();
        for (id, error) in [
            ("", SectionIdError::Malformed),
            ("1", SectionIdError::Malformed),
            ("1,", SectionIdError::Malformed),
            ("1,5,", SectionIdError::Malformed),
            (" 1,5", SectionIdError::Malformed),
            ("+1,5", SectionIdError::Malformed),
            ("01,5", SectionIdError::Malformed),
            ("-4,0", SectionIdError::Malformed),
            ("current", SectionIdError::Malformed),
            ("0,4", SectionIdError::BelowOne),
            ("5,1", SectionIdError::Backwards),
            ("2,6", SectionIdError::Misaligned(first)),
            ("1,6", SectionIdError::Misaligned(first)),
            ("18446744073709551616,18446744073709551620", SectionIdError::OutOfRange),
            ("18446744073709551611,18446744073709551615", SectionIdError::OutOfRange),
        ] {
            assert_eq!(FIVE.parse(id), Err(error), "{id}");
        }
        assert_eq!(SectionSize::new(0), None);
    }

    #[test]
    fn sections_of_one_position_and_of_the_most() {
        let one = SectionSize::new(1).unwrap();
        let view = one.current(bounds(1, 3)).view(bounds(1, 3)).unwrap();
        assert_eq!((view.id.first(), view.id.last(), view.events), (Position(3), Position(3), 0));
        assert_eq!(view.previous.unwrap().view(bounds(1, 3)).unwrap().standing, Standing::Archived);
        let most = SectionSize::new(u32::MAX).unwrap();
        assert_eq!(most.current(bounds(1, u64::MAX)).next(), None);
        assert_eq!(FIVE.containing(Position::START), None);
    }
}
