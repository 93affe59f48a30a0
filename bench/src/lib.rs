//! Evenkeel beside its peers: the same work on the same simulated flash in one run.
//!
//! On flash everything is counted, nothing is timed, so figures are exact: `docs/benchmarks.md` of the repository shows
//! them. Event sourcing on the host is timed, too: `docs/benchmarks-es.md`.

pub mod chips;
pub mod es;
pub mod flash;
pub mod instructions;
pub mod page;
pub mod report;
pub mod run;
pub mod systems;
pub mod workload;
