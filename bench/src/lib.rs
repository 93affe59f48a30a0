//! Evenkeel beside its peers: the same work on the same simulated flash in one run.
//!
//! Everything is counted, nothing is timed, so figures are exact and the same on every machine. `docs/benchmarks.md`
//! of the repository shows them.

pub mod evenkeel;
pub mod flash;
pub mod run;
pub mod sequential;
pub mod system;
pub mod table;
pub mod workload;
