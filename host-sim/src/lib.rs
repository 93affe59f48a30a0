//! Simulated flash with faults, links and virtual time: test Evenkeel applications on a desktop.

pub mod clock;
pub mod device;
pub mod flash;
pub mod kit;
pub mod link;
pub mod rng;
pub mod stepping;
