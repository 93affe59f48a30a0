//! Checking a log from one end to the other, in steps.

use super::Anchor;
use crate::Position;

/// How far the check of a log has come: [`Sealed::verify`](crate::integrity::Sealed::verify) takes it on.
///
/// It can be dropped at any time and kept as long as nothing else is known of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// Everything up to here has been looked at.
    pub(crate) after: Position,
    pub(crate) begun: bool,
    pub(crate) chain: Option<Anchor>,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) anchored: bool,
    pub(crate) events: u64,
    pub(crate) chained: u64,
}

impl Verification {
    /// Of everything that is held after this position; of all that is held from [`Position::START`] on.
    #[must_use]
    pub fn after(position: Position) -> Self {
        Self { after: position, begun: false, chain: None, anchor: None, anchored: false, events: 0, chained: 0 }
    }

    /// Against an anchor from the outside: the log must have reached its position, with the same records.
    #[must_use]
    pub fn against(self, anchor: Anchor) -> Self {
        Self { anchor: Some(anchor), ..self }
    }

    /// Up to where everything has been looked at: after an error about one record or some positions, go on with a new
    /// check behind them.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }
}

/// What a check that found nothing wrong has covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Verified {
    /// How many events were checked, each for itself.
    pub events: u64,
    /// How many of them were checked for their place in the chain too: fewer, if the oldest stored head stands behind
    /// the first of them.
    pub chained: u64,
    /// The head of the chain at the end, to be the next anchor; `None` if no stored head was come by.
    pub head: Option<Anchor>,
}
