//! Driver errors on request (F7).

use core::ops::Range;

use super::error::FlashOp;

/// How often an injected failure strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many times, then never again.
    Count(u32),
    /// Until [`clear_failures`](super::SimFlash::clear_failures).
    Forever,
}

/// What a failing write or erase has done when it reports its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leaves {
    /// Nothing.
    #[default]
    Nothing,
    /// The first half of the words (rounded up), or of the sectors (rounded down).
    Part,
    /// Everything: it worked, only the driver says otherwise.
    All,
}

#[derive(Clone, Debug)]
struct Failure {
    op: FlashOp,
    range: Range<usize>,
    /// So many calls it lets pass first.
    after: u32,
    times: Times,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    planned: Vec<Failure>,
    pub(super) leaves: Leaves,
}

impl Failures {
    pub(super) fn add(&mut self, op: FlashOp, range: Range<usize>, after: u32, times: Times) {
        if times != Times::Count(0) {
            self.planned.push(Failure { op, range, after, times });
        }
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// Whether this call fails; uses up one of the times.
    pub(super) fn strikes(&mut self, op: FlashOp, from: usize, to: usize) -> bool {
        if self.planned.is_empty() {
            return false;
        }
        let meets = |failure: &Failure| failure.op == op && failure.range.start < to && from < failure.range.end;
        let Some(index) = self.planned.iter().position(|failure| meets(failure) && failure.after == 0) else {
            for failure in self.planned.iter_mut().filter(|failure| meets(failure)) {
                failure.after -= 1;
            }
            return false;
        };
        match &mut self.planned[index].times {
            Times::Forever => {}
            Times::Count(1) => drop(self.planned.remove(index)),
            Times::Count(left) => *left -= 1,
        }
        true
    }
}
