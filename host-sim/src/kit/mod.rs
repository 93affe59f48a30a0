//! Tests of an application: given this has happened, when that is asked for, then this follows; and the power fails at
//! every instant of it.
//!
//! `docs/testing.md` of the repository is the guide.
//!
//! | | tests | needs |
//! | --- | --- | --- |
//! | [`given`] | the decisions of one aggregate | the aggregate |
//! | [`with_record`] | policies and projections on one event | the event |
//! | [`PowerCuts`] | a whole application on simulated flash | a function that runs it to its end |

mod given;
mod power_cuts;

pub use given::{Given, Then, given, with_record};
pub use power_cuts::{Explored, Life, PowerCuts};
