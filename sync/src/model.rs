//! A model of everything that can go wrong at once: one device whose log is overwritten, loses power with appends
//! underway, is re-formatted and loses its end; a link that loses, repeats, delays, reorders and damages; a collector
//! that is killed and whose store fails.
//!
//! What is checked, after every few steps: below the cursor every position is one event or one gap (I3, I4, I7); every
//! event stored is what the device made durable under that epoch and position (I1, I2); no fact is stored twice; the
//! device's log never says that more is safe than the store has (I8). At the end faults stop, and everything must
//! arrive.
//!
//! Each of the rules is then broken on purpose, and the checks must notice.

mod device;
mod runs;
pub(crate) mod world;

pub(crate) use device::Device;

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed tells a run.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What is broken in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Of the code itself.
    Rule(crate::rules::Rule),
    /// The source reads what is not durable yet.
    SendsUndurable,
    /// Formatting keeps the epoch.
    FormatKeepsEpoch,
    /// After a lost end the log goes on in the same epoch.
    ReusesPositions,
    /// After a lost end the events that are left get new positions in a new epoch.
    Renumbers,
    /// The store keeps events and cursor in two transactions.
    CursorApart,
}
