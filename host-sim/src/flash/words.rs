//! A set of word numbers: which words were programmed since their erase.

#[derive(Clone, Debug)]
pub(super) struct WordSet {
    bits: Vec<u64>,
}

/// The bits of block `block` that stand for the words `from..to`.
fn mask(block: usize, from: usize, to: usize) -> u64 {
    let low = from.saturating_sub(block * 64).min(64);
    let high = to.saturating_sub(block * 64).min(64);
    let below = |n: usize| if n == 64 { u64::MAX } else { (1 << n) - 1 };
    below(high) & !below(low)
}

impl WordSet {
    /// The empty set, for `words` words.
    pub(super) fn new(words: usize) -> Self {
        Self { bits: vec![0; words.div_ceil(64)] }
    }

    /// Adds the words `from..to`.
    pub(super) fn insert(&mut self, from: usize, to: usize) {
        for block in from / 64..to.div_ceil(64) {
            self.bits[block] |= mask(block, from, to);
        }
    }

    /// Takes out the words `from..to`.
    pub(super) fn remove(&mut self, from: usize, to: usize) {
        for block in from / 64..to.div_ceil(64) {
            self.bits[block] &= !mask(block, from, to);
        }
    }

    /// The first word of `from..to` that is in the set.
    pub(super) fn first_in(&self, from: usize, to: usize) -> Option<usize> {
        (from / 64..to.div_ceil(64)).find_map(|block| {
            let found = self.bits[block] & mask(block, from, to);
            (found != 0).then(|| block * 64 + found.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::WordSet;

    #[test]
    fn ranges_across_blocks_go_in_and_out() {
        let mut set = WordSet::new(200);
        set.insert(60, 130);
        assert_eq!(set.first_in(0, 200), Some(60));
        assert_eq!(set.first_in(0, 60), None);
        assert_eq!(set.first_in(130, 200), None);
        set.remove(60, 129);
        assert_eq!(set.first_in(0, 200), Some(129));
        assert_eq!(set.first_in(0, 129), None);
        assert_eq!(set.first_in(129, 129), None);
    }

    #[test]
    fn whole_blocks_are_no_special_case() {
        let mut set = WordSet::new(128);
        set.insert(0, 128);
        set.remove(64, 128);
        assert_eq!(set.first_in(63, 128), Some(63));
        assert_eq!(set.first_in(64, 128), None);
    }
}
