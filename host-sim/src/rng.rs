//! A seeded source of random numbers that gives the same numbers on every platform and in every release.
//!
//! A failing run is replayed from its seed alone, on another machine and perhaps months later. Therefore the numbers
//! come from ChaCha8, whose output is fixed by its definition, the seed is laid out here byte by byte, and the
//! reductions to a range or to a chance are our own.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A deterministic random number generator. Two generators of one seed give the same numbers.
///
/// ```
/// use evenkeel_host_sim::rng::Rng;
///
/// let mut one = Rng::from_seed(7);
/// let mut two = Rng::from_seed(7);
/// assert_eq!(one.below(1000), two.below(1000));
/// assert!(one.below(10) < 10);
/// ```
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The generator of `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::from_seed_and_stream(seed, 0)
    }

    /// One of many independent generators of the same `seed`, told apart by `stream`: so that, for example, the
    /// workload's choices stay the same when the faults draw more or fewer numbers.
    #[must_use]
    pub fn from_seed_and_stream(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&stream.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next byte.
    pub fn next_u8(&mut self) -> u8 {
        self.0.next_u32().to_le_bytes()[0]
    }

    /// Overwrites `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number from `0` up to, not including, `n`.
    ///
    /// The bias towards some numbers is below `n / 2^64`.
    ///
    /// # Panics
    ///
    /// When `n` is 0: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below 0");
        let product = u128::from(self.next_u64()) * u128::from(n);
        (product >> 64) as u64
    }

    /// True with the probability `p`: never for 0 or less (and not-a-number), always for 1 or more.
    pub fn chance(&mut self, p: f64) -> bool {
        // The upper 53 bits are exact in an f64.
        let unit = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < p
    }

    /// An element of `choices`.
    ///
    /// # Panics
    ///
    /// When `choices` is empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// A seed for another generator.
    pub fn fork_seed(&mut self) -> u64 {
        self.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn numbers_are_the_same_in_every_release() {
        let mut rng = Rng::from_seed(1);
        let got = [rng.next_u64(), rng.below(1000), rng.below(1000)];
        assert_eq!(got, PINNED);
    }
    const PINNED: [u64; 3] = [7_037_237_572_835_827_407, 294, 798];

    #[test]
    fn streams_of_a_seed_differ() {
        let one = Rng::from_seed_and_stream(5, 0).next_u64();
        let two = Rng::from_seed_and_stream(5, 1).next_u64();
        assert_ne!(one, two);
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut rng = Rng::from_seed(3);
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
    }

    #[test]
    fn chance_keeps_its_bounds_and_its_rate() {
        let mut rng = Rng::from_seed(4);
        assert!((0..1000).all(|_| !rng.chance(0.0)));
        assert!((0..1000).all(|_| rng.chance(1.0)));
        assert!((0..1000).all(|_| !rng.chance(f64::NAN)));
        let hits = (0..10_000).filter(|_| rng.chance(0.2)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
    }
}
