//! Deliberate breaks, for the tests that must catch them.
//!
//! Without the feature `_sabotage`, which nothing but test crates switches on, every question here is answered
//! `false` when the program is built, and nothing of it is left.

/// A rule that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "_sabotage"), allow(unreachable_pub))]
pub enum Break {
    /// Write on right behind the last frame that verifies after an unclean stop.
    TornTailRule,
    /// Let the oldest sector go before those who ask for it have seen it.
    Retention,
    /// Let a sector go whose streams have no newer snapshot.
    Snapshots,
    /// Erase a sector again whose erase was cut off, rather than set it aside for a lap.
    WearLevelling,
    /// Take the newest sector for one that was never opened if its second header does not verify.
    DamagedHeader,
    /// Do not repeat the last frame at a new start, though a reader takes it for void then.
    LastFrame,
    /// Take a frame for whole without its checksum.
    Checksum,
    /// End a walk through a sector at the first frame that does not verify.
    Damage,
    /// Look for frames behind damage without a bound.
    Budget,
    /// Refuse everything after a write that failed, in place of finding out what became of it.
    FindingOut,
}

#[cfg(not(feature = "_sabotage"))]
pub(crate) const fn is_on(_: Break) -> bool {
    false
}

#[cfg(feature = "_sabotage")]
std::thread_local! {
    static BROKEN: core::cell::Cell<Option<Break>> = const { core::cell::Cell::new(None) };
}

/// Breaks this rule in the current thread, or none.
#[cfg(feature = "_sabotage")]
pub fn set(rule: Option<Break>) {
    BROKEN.set(rule);
}

#[cfg(feature = "_sabotage")]
pub(crate) fn is_on(rule: Break) -> bool {
    BROKEN.get() == Some(rule)
}
