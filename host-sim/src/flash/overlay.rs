//! What lies over the pristine memory on reads: weak places and flipped bits.
//!
//! Nothing here changes the memory, so a fault can be taken away again. Both lists are short, and a chip without
//! faults only asks whether they are empty.

use std::collections::BTreeMap;

use super::faults::WeakRead;
use crate::rng::Rng;

/// A place whose programming or erasing was interrupted.
#[derive(Clone, Debug)]
pub(super) struct WeakPlace {
    pub(super) at: usize,
    /// What its cells would hold had programming been completed, or hold as long as the erase had not begun. The
    /// other end of what it may read as is all 0xFF.
    pub(super) full: Vec<u8>,
    pub(super) how: WeakRead,
    /// Reads that still give the first answer.
    calm_reads: u32,
    /// Power-ons since the cut: the first answer lasts for one boot at most.
    boots: u32,
}

impl WeakPlace {
    pub(super) fn new(at: usize, full: Vec<u8>, how: WeakRead, rng: &mut Rng) -> Self {
        // Mostly the first answer lasts for the whole next boot, as it is then that recovery believes it; sometimes
        // it changes between two reads of one recovery.
        let calm_reads = match rng.below(4) {
            0 => 1 + rng.below(8) as u32,
            _ => u32::MAX,
        };
        Self { at, full, how, calm_reads, boots: 0 }
    }

    fn end(&self) -> usize {
        self.at + self.full.len()
    }

    fn overlaps(&self, from: usize, to: usize) -> bool {
        self.at < to && from < self.end()
    }

    fn is_calm(&self) -> bool {
        self.calm_reads > 0 && self.boots < 2
    }

    /// Whether a read may have answered that it is erased, so that programming it is no fault of the caller's.
    pub(super) fn may_read_erased(&self) -> bool {
        match self.how {
            WeakRead::ReadsErased | WeakRead::Flicker => true,
            WeakRead::ReadsComplete => !self.is_calm(),
            WeakRead::Off | WeakRead::Ecc => false,
        }
    }

    /// Whether reading `from..to` touches a word that the interruption made uncertain.
    fn is_uncertain(&self, from: usize, to: usize, word: usize) -> bool {
        let start = from.max(self.at) / word * word;
        let end = to.min(self.end()).div_ceil(word) * word;
        self.full[start.max(self.at) - self.at..end.min(self.end()) - self.at].iter().any(|&byte| byte != 0xFF)
    }

    fn read(&mut self, from: usize, to: usize, bytes: &mut [u8], word: usize, rng: &mut Rng) {
        let (start, end) = (from.max(self.at), to.min(self.end()));
        let calm = self.is_calm();
        self.calm_reads = self.calm_reads.saturating_sub(u32::from(self.calm_reads != u32::MAX));
        let mut at = start;
        while at < end {
            let next = ((at / word + 1) * word).min(end);
            // A sector whose erase was torn has words that were erased before: they are as firm as ever.
            if self.is_uncertain(at, next, word) {
                let full = &self.full[at - self.at..next - self.at];
                let seen = &mut bytes[at - from..next - from];
                match (self.how, calm) {
                    (WeakRead::ReadsErased, true) => seen.fill(0xFF),
                    (WeakRead::ReadsComplete, true) => seen.copy_from_slice(full),
                    _ => flicker(full, seen, rng),
                }
            }
            at = next;
        }
    }
}

fn flicker(full: &[u8], seen: &mut [u8], rng: &mut Rng) {
    match rng.below(3) {
        0 => seen.fill(0xFF),
        1 => seen.copy_from_slice(full),
        _ => {
            for (seen, full) in seen.iter_mut().zip(full) {
                *seen = full | rng.next_u8();
            }
        }
    }
}

/// Everything that makes reads differ from the memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    /// In order of age: where two overlap, the younger decides.
    weak: Vec<WeakPlace>,
    /// All of them lie between these offsets: most reads need not look at each.
    span: (usize, usize),
    /// Some of them may be read errors.
    ecc: bool,
    /// Offset of a byte, and its flipped bits.
    flips: BTreeMap<usize, u8>,
}

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.weak.is_empty() && self.flips.is_empty()
    }

    pub(super) fn add(&mut self, place: WeakPlace) {
        let (from, to) = if self.weak.is_empty() { (place.at, place.end()) } else { self.span };
        self.span = (from.min(place.at), to.max(place.end()));
        self.ecc |= place.how == WeakRead::Ecc;
        self.weak.push(place);
    }

    /// Whether `from..to` comes near any weak place.
    fn is_near(&self, from: usize, to: usize) -> bool {
        !self.weak.is_empty() && self.span.0 < to && from < self.span.1
    }

    pub(super) fn flip(&mut self, at: usize, mask: u8) {
        let bits = self.flips.entry(at).or_insert(0);
        *bits ^= mask;
        if *bits == 0 {
            self.flips.remove(&at);
        }
    }

    pub(super) fn clear_flips(&mut self) {
        self.flips.clear();
    }

    pub(super) fn clear_weak(&mut self) {
        self.weak.clear();
        self.ecc = false;
    }

    /// The number of weak places.
    pub(super) fn weak_places(&self) -> usize {
        self.weak.len()
    }

    /// Forgets what lies over `from..to`, which was erased or is about to become weak as a whole.
    pub(super) fn erase(&mut self, from: usize, to: usize) {
        if self.is_near(from, to) {
            self.weak.retain(|place| !place.overlaps(from, to));
            let ends = |span: (usize, usize), place: &WeakPlace| (span.0.min(place.at), span.1.max(place.end()));
            self.span = self.weak.iter().fold((usize::MAX, 0), ends);
            self.ecc = self.weak.iter().any(|place| place.how == WeakRead::Ecc);
        }
        if !self.flips.is_empty() {
            self.flips.retain(|&at, _| at < from || at >= to);
        }
    }

    pub(super) fn power_on(&mut self) {
        for place in &mut self.weak {
            place.boots = place.boots.saturating_add(1);
        }
    }

    /// The youngest weak place that covers the word `at..at + word` with something uncertain.
    pub(super) fn weak_at(&self, at: usize, word: usize) -> Option<&WeakPlace> {
        if !self.is_near(at, at + word) {
            return None;
        }
        let covering = self.weak.iter().rev().find(|place| place.overlaps(at, at + word));
        covering.filter(|place| place.is_uncertain(at, at + word, word))
    }

    /// Whether a read of `from..to` fails its error-correcting code.
    pub(super) fn fails_ecc(&self, from: usize, to: usize, word: usize) -> bool {
        let fails = |place: &WeakPlace| {
            place.how == WeakRead::Ecc && place.overlaps(from, to) && place.is_uncertain(from, to, word)
        };
        self.ecc && self.is_near(from, to) && self.weak.iter().any(fails)
    }

    /// Turns the memory's `bytes` of `from..` into what a read sees.
    pub(super) fn read(&mut self, from: usize, bytes: &mut [u8], word: usize, rng: &mut Rng) {
        let to = from + bytes.len();
        if self.is_near(from, to) {
            for place in self.weak.iter_mut().filter(|place| place.overlaps(from, to)) {
                place.read(from, to, bytes, word, rng);
            }
        }
        for (&at, &mask) in self.flips.range(from..to) {
            bytes[at - from] ^= mask;
        }
    }
}
