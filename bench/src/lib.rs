//! Evenkeel beside its peers: the same work on the same simulated flash in one run.
//!
//! Everything is counted, nothing is timed, so figures are exact. `docs/benchmarks.md` of the repository shows them.

pub mod chips;
pub mod flash;
pub mod instructions;
pub mod page;
pub mod report;
pub mod run;
pub mod systems;
pub mod workload;
