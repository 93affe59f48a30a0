//! Rules that tests break on purpose, to see that their checks would notice.

/// A rule of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Rule {
    /// A piece that the store has is dropped.
    DropDuplicates,
    /// A piece is applied only where the last one ended.
    Contiguous,
    /// A commit counts only in its own epoch, and with its proof.
    CommitOfEpoch,
    /// What can be read and may yet be gone is settled before it leaves.
    SettleFirst,
}

/// The rule that is broken, if any: outside tests there is none, and it takes no room.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Broken {
    #[cfg(test)]
    pub(crate) rule: Option<Rule>,
}

impl Broken {
    pub(crate) const NONE: Self = Self {
        #[cfg(test)]
        rule: None,
    };

    /// Whether this rule is kept.
    #[cfg(test)]
    pub(crate) fn keeps(self, rule: Rule) -> bool {
        self.rule != Some(rule)
    }

    /// Whether this rule is kept.
    #[cfg(not(test))]
    #[allow(clippy::unused_self)]
    pub(crate) const fn keeps(self, _: Rule) -> bool {
        true
    }
}
