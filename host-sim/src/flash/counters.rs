//! What the chip was asked to do, and how long it took on virtual time.

/// Work done since the chip was made, or since the counters were last reset.
///
/// A call that is refused (power lost, misaligned, out of bounds, programmed twice, an injected error) counts as a
/// call but adds no bytes, words, erases or time beyond what was really done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Read calls that reached the chip.
    pub read_calls: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write calls that reached the chip.
    pub write_calls: u64,
    /// Words programmed, those included that a power cut interrupted.
    pub words_programmed: u64,
    /// Bytes of those words.
    pub bytes_programmed: u64,
    /// Sectors erased, those included whose erase a power cut interrupted: they wear the sector as well.
    pub erases: u64,
    /// Words that were programmed on top of a weak word (F3), which leaves them weak. Such a word cannot be told from
    /// an erased one by reading, so this is no violation; a writer that keeps clear of torn places has 0 here.
    pub weak_programs: u64,
    /// Time spent on reads, in nanoseconds.
    pub read_ns: u64,
    /// Time spent on programming, in nanoseconds.
    pub program_ns: u64,
    /// Time spent on erasing, in nanoseconds.
    pub erase_ns: u64,
}

impl Counters {
    /// All time spent, in nanoseconds.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.read_ns + self.program_ns + self.erase_ns
    }

    /// All time spent, in whole microseconds.
    #[must_use]
    pub fn busy_us(&self) -> u64 {
        self.busy_ns() / 1_000
    }

    /// What was done since `earlier`, a copy of the same chip's counters without a reset in between.
    ///
    /// Differences that would be negative are 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            read_calls: self.read_calls.saturating_sub(earlier.read_calls),
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            write_calls: self.write_calls.saturating_sub(earlier.write_calls),
            words_programmed: self.words_programmed.saturating_sub(earlier.words_programmed),
            bytes_programmed: self.bytes_programmed.saturating_sub(earlier.bytes_programmed),
            erases: self.erases.saturating_sub(earlier.erases),
            weak_programs: self.weak_programs.saturating_sub(earlier.weak_programs),
            read_ns: self.read_ns.saturating_sub(earlier.read_ns),
            program_ns: self.program_ns.saturating_sub(earlier.program_ns),
            erase_ns: self.erase_ns.saturating_sub(earlier.erase_ns),
        }
    }
}
