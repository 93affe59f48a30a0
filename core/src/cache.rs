//! Aggregates kept at hand between commands.

use heapless::Vec;

use crate::list::remove;
use crate::{Aggregate, Root, StreamId};

/// The `N` aggregates of one type that were used last, so that a command on one of them need not load it again.
///
/// Give it to [`Log::load_cached`](crate::Log::load_cached) and [`Log::execute_cached`](crate::Log::execute_cached). What
/// is at hand is brought up to date with the log at each use, so it never answers what is out of date; and it is put out
/// when anything fails. Optional: an application that owns its few roots needs none.
///
/// It takes `N` times the size of a [`Root`]. One cache belongs to one log.
#[derive(Debug)]
pub struct Cache<A, const N: usize> {
    /// The one used last is the last.
    roots: Vec<Root<A>, N>,
}

impl<A, const N: usize> Default for Cache<A, N> {
    fn default() -> Self {
        Self { roots: Vec::new() }
    }
}

impl<A: Aggregate, const N: usize> Cache<A, N> {
    /// An empty cache. `N` is at least 1, else this does not compile.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > 0, "a cache of no aggregates") };
        Self { roots: Vec::new() }
    }

    /// How many aggregates are at hand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Whether none is at hand.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Whether this aggregate is at hand.
    #[must_use]
    pub fn has(&self, id: StreamId) -> bool {
        self.roots.iter().any(|root| root.id() == id)
    }

    /// Puts an aggregate out and hands it over, as it is.
    pub fn evict(&mut self, id: StreamId) -> Option<Root<A>> {
        let place = self.roots.iter().position(|root| root.id() == id)?;
        remove(&mut self.roots, place)
    }

    /// Puts all out.
    pub fn clear(&mut self) {
        self.roots.clear();
    }

    /// Takes an aggregate in, in place of the one longest not used if there is no room, and lends it; `None` is never
    /// answered but where `N` is 0.
    pub(crate) fn keep(&mut self, root: Root<A>) -> Option<&mut Root<A>> {
        if self.roots.is_full() && !self.roots.is_empty() {
            remove(&mut self.roots, 0);
        }
        let _ = self.roots.push(root);
        self.roots.last_mut()
    }
}
