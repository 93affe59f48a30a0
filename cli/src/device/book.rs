//! What a device must have delivered, written down outside of it.

use std::collections::BTreeMap;

use evenkeel_core::{Epoch, Position};

/// What was acknowledged as durable on one board.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    /// The lives of its log, the newest last.
    pub(crate) lives: Vec<LifeBook>,
    /// An event whose append the power has cut off: it may be there or not.
    pub(crate) under_way: Option<u64>,
    /// The next fact.
    pub(crate) next_fact: u64,
    /// Events that were acknowledged and then not there, after a power cut: the device has failed.
    pub(crate) lost_on_device: u64,
}

/// One life of a log.
#[derive(Debug, Clone)]
pub(crate) struct LifeBook {
    /// Which life.
    pub(crate) epoch: Epoch,
    /// The facts by position.
    pub(crate) facts: BTreeMap<u64, u64>,
    /// The region was formatted for another life when the device knew that what comes up to here was stored.
    pub(crate) formatted: Option<Position>,
}

impl Book {
    /// The life that is lived.
    pub(crate) fn life(&mut self) -> &mut LifeBook {
        if self.lives.is_empty() {
            self.begin(Epoch(0));
        }
        let newest = self.lives.len() - 1;
        &mut self.lives[newest]
    }

    /// Begins another life.
    pub(crate) fn begin(&mut self, epoch: Epoch) {
        self.lives.push(LifeBook { epoch, facts: BTreeMap::new(), formatted: None });
    }

    /// A fact that has not been used.
    pub(crate) fn fact(&mut self) -> u64 {
        self.next_fact += 1;
        self.next_fact
    }
}

impl LifeBook {
    /// The last position that is known to be durable.
    pub(crate) fn last(&self) -> Position {
        Position(self.facts.last_key_value().map_or(0, |(position, _)| *position))
    }
}
