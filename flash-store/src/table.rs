//! What the log remembers of streams and trackers.

use core::num::NonZeroU32;

use evenkeel_core::trace::ends_stream;
use evenkeel_core::{Kind, Position, StreamHead, StreamId, Tracker, Version};
use heapless::Vec;

/// A stream whose version is known without looking at the flash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    /// The sector in which it appeared last; `None` if it has not appeared yet.
    pub(crate) appeared: Option<u32>,
    pub(crate) kind: Kind,
    /// The schema number of its last event.
    pub(crate) schema: u8,
    /// A sector in which a snapshot of it stands that was read back; `None` if none is known of.
    pub(crate) snapshot: Option<NonZeroU32>,
    /// Its slot in the newest sector, if it has been introduced there.
    pub(crate) slot: Option<u8>,
    /// When it was needed last: the one longest not needed makes room for another.
    pub(crate) used: u32,
}

impl Known {
    /// What is known of a stream before it has been looked for.
    pub(crate) const fn nothing_of(stream: StreamId) -> Self {
        let (version, kind) = (Version::NONE, Kind(0));
        Self { stream, version, appeared: None, kind, schema: 0, snapshot: None, slot: None, used: 0 }
    }

    /// Whether it is only known where it appeared last.
    pub(crate) fn is_trail(&self) -> bool {
        self.version == Version::NONE && self.appeared.is_some()
    }

    pub(crate) fn head(&self) -> Option<StreamHead> {
        let Self { kind, version, .. } = *self;
        (version > Version::NONE).then_some(StreamHead { kind, version, discarded: self.has_ended() })
    }

    /// Whether its last event ended it: nothing of it needs to be kept.
    pub(crate) fn has_ended(&self) -> bool {
        ends_stream(self.schema)
    }
}

/// The streams known in memory.
#[derive(Debug)]
pub(crate) struct Streams<const N: usize> {
    known: Vec<Known, N>,
    clock: u32,
}

impl<const N: usize> Streams<N> {
    pub(crate) const fn new() -> Self {
        Self { known: Vec::new(), clock: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// The streams at hand.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Known> + '_ {
        self.known.iter()
    }

    /// Starts a new use: what is asked for from now on is not put out before the next.
    pub(crate) fn next_use(&mut self) {
        self.clock = self.clock.wrapping_add(1);
    }

    /// Forgets which slots the streams have: a new sector begins.
    pub(crate) fn clear_slots(&mut self) {
        for known in &mut self.known {
            known.slot = None;
        }
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<&Known> {
        self.known.iter().find(|known| known.stream == stream)
    }

    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Known> {
        let clock = self.clock;
        let known = self.known.iter_mut().find(|known| known.stream == stream)?;
        known.used = clock;
        Some(known)
    }

    /// A stream that is needed now, and its place.
    #[inline]
    pub(crate) fn find(&mut self, stream: StreamId) -> Option<(usize, &Known)> {
        let clock = self.clock;
        let (place, known) = self.known.iter_mut().enumerate().find(|(_, known)| known.stream == stream)?;
        known.used = clock;
        Some((place, known))
    }

    /// The stream at this place.
    #[inline]
    pub(crate) fn at(&mut self, place: usize) -> Option<&mut Known> {
        self.known.get_mut(place)
    }

    pub(crate) fn by_slot(&mut self, slot: u8) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.slot == Some(slot))
    }

    /// Adds a stream, in place of the one longest not needed that has no slot; `false` if there is none.
    ///
    /// What is in use gives way only to a stream with a slot, as those must be at hand.
    pub(crate) fn insert(&mut self, known: Known) -> bool {
        let known = Known { used: self.clock, ..known };
        if let Some(place) = self.known.iter_mut().find(|old| old.stream == known.stream) {
            *place = known;
            return true;
        }
        if self.known.push(known).is_ok() {
            return true;
        }
        let clock = self.clock;
        let oldest = self
            .known
            .iter_mut()
            .filter(|old| old.slot.is_none() && (old.used != clock || known.slot.is_some()))
            .max_by_key(|old| clock.wrapping_sub(old.used));
        match oldest {
            Some(place) => {
                *place = known;
                true
            }
            None => false,
        }
    }
}

/// Where the trackers stand.
#[derive(Debug)]
pub(crate) struct Trackers<const N: usize> {
    /// Where the first `count` of them stand, and which they are.
    at: [Position; N],
    of: [Tracker; N],
    count: u8,
}

impl<const N: usize> Trackers<N> {
    pub(crate) const fn new() -> Self {
        Self { at: [Position::START; N], of: [Tracker(0); N], count: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    pub(crate) fn get(&self, tracker: Tracker) -> Position {
        self.iter().find(|(known, _)| *known == tracker).map_or(Position::START, |(_, at)| at)
    }

    pub(crate) fn has(&self, tracker: Tracker) -> bool {
        self.iter().any(|(known, _)| known == tracker)
    }

    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        N.min(usize::from(u8::MAX)).saturating_sub(usize::from(self.count))
    }

    /// Moves a tracker; `false` if there is no room for it.
    pub(crate) fn set(&mut self, tracker: Tracker, position: Position) -> bool {
        let known = self.iter().position(|(known, _)| known == tracker);
        let place = known.unwrap_or(usize::from(self.count));
        let (Some(at), Some(of)) = (self.at.get_mut(place), self.of.get_mut(place)) else { return false };
        if known.is_none() {
            let Some(count) = self.count.checked_add(1) else { return false };
            self.count = count;
        }
        (*at, *of) = (position, tracker);
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Tracker, Position)> + '_ {
        self.of.iter().copied().zip(self.at.iter().copied()).take(usize::from(self.count))
    }
}

/// The streams of one sector that is being read, by slot.
#[derive(Debug, Clone)]
pub(crate) struct Directory<const N: usize> {
    slots: Vec<Slot, N>,
}

/// A slot of a sector being read. Beside what is listed, not around it: an `Option` of it takes half as much again.
#[derive(Debug, Clone)]
struct Slot {
    stream: StreamId,
    version: Version,
    kind: Kind,
    schema: u8,
    is_listed: bool,
}

/// One stream of a sector being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    pub(crate) kind: Kind,
    pub(crate) schema: u8,
}

impl<const N: usize> Directory<N> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }

    /// Lists a stream under a slot; a slot beyond the table's size is not listed.
    pub(crate) fn introduce(&mut self, slot: u8, listed: Listed) {
        let slot = usize::from(slot);
        let Listed { stream, version, kind, schema } = listed;
        let listed = Slot { stream, version, kind, schema, is_listed: true };
        while self.slots.len() <= slot {
            if self.slots.push(Slot { is_listed: false, ..listed.clone() }).is_err() {
                return;
            }
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = listed;
        }
    }

    /// The stream of a slot, with its last version.
    #[cfg(feature = "image")]
    pub(crate) fn get(&self, slot: u8) -> Option<Listed> {
        let slot = self.slots.get(usize::from(slot)).filter(|slot| slot.is_listed)?;
        let Slot { stream, version, kind, schema, .. } = *slot;
        Some(Listed { stream, version, kind, schema })
    }

    /// The stream of a slot, after one event more with this version.
    pub(crate) fn advance(&mut self, slot: u8, version_low: u8, local: bool) -> Option<Listed> {
        let slot = self.slots.get_mut(usize::from(slot)).filter(|slot| slot.is_listed)?;
        slot.version = version_after(slot.version, version_low, local);
        let Slot { stream, version, kind, schema, .. } = *slot;
        Some(Listed { stream, version, kind, schema })
    }
}

/// The version whose lowest byte is `low` that comes next after `before`.
///
/// A local event that is read twice has the same version again: nothing else tells that it is repeated.
pub(crate) fn version_after(before: Version, low: u8, local: bool) -> Version {
    if local && before.0.to_le_bytes()[0] == low {
        return before;
    }
    let next = before.0.wrapping_add(1);
    let [lowest, ..] = next.to_le_bytes();
    Version(next.wrapping_add(u32::from(low.wrapping_sub(lowest))))
}
