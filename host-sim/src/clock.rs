//! Virtual time: a clock that moves only when it is told to.

use std::cell::Cell;
use std::rc::Rc;

/// A clock in microseconds since the start of the simulation, shared by everything that was given a clone of it.
///
/// It never reads the host's time. A simulated flash that was given the clock advances it by what each call takes;
/// a test advances it by what passes in between.
///
/// ```
/// use evenkeel_host_sim::clock::VirtualClock;
///
/// let clock = VirtualClock::new();
/// let same = clock.clone();
/// clock.advance(1_500);
/// assert_eq!(same.now_us(), 1_500);
/// ```
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    now_ns: Rc<Cell<u128>>,
}

impl VirtualClock {
    /// A clock at 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whole microseconds since the start.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.now_ns.get() / 1_000).unwrap_or(u64::MAX)
    }

    /// Lets `us` microseconds pass, for every holder of this clock.
    pub fn advance(&self, us: u64) {
        self.now_ns.set(self.now_ns.get() + u128::from(us) * 1_000);
    }

    /// Lets `ns` nanoseconds pass; fractions of a microsecond add up.
    pub fn advance_ns(&self, ns: u64) {
        self.now_ns.set(self.now_ns.get() + u128::from(ns));
    }

    /// Lets the time pass that is missing until `us`; does nothing when that is in the past.
    pub fn advance_to(&self, us: u64) {
        self.now_ns.set(self.now_ns.get().max(u128::from(us) * 1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::VirtualClock;

    #[test]
    fn holders_share_the_time() {
        let clock = VirtualClock::new();
        let other = clock.clone();
        other.advance(5);
        assert_eq!(clock.now_us(), 5);
    }

    #[test]
    fn fractions_add_up_and_time_never_goes_back() {
        let clock = VirtualClock::new();
        for _ in 0..4 {
            clock.advance_ns(250);
        }
        assert_eq!(clock.now_us(), 1);
        clock.advance_to(10);
        clock.advance_to(3);
        assert_eq!(clock.now_us(), 10);
    }
}
