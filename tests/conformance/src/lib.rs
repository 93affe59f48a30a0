//! What every record manager owes event sourcing, as tests: each behaviour case once, to be run on any of them.
//!
//! A case is a function `case_NN_…` that is generic over a [`Home`]: the place where logs of the record manager under
//! test live. It takes a function that makes a new home, and panics if the record manager does not behave. The number is
//! that of the behaviour case; in the titles stream positions are versions, counted from 1.
//!
//! To run all of them on a record manager of your own, give it a home and call the macros in a test:
//!
//! ```
//! use evenkeel_conformance::Home;
//! use evenkeel_core::RamLog;
//!
//! struct InMemory;
//!
//! impl Home for InMemory {
//!     type Manager = RamLog<Vec<u8>>;
//!
//!     fn open(&mut self) -> Self::Manager {
//!         RamLog::new(vec![0; 1 << 20])
//!     }
//! }
//!
//! evenkeel_conformance::cases!(|| InMemory); // expands to a `#[test]` for each case
//! ```
//!
//! | macro | for homes that are | cases |
//! | --- | --- | --- |
//! | [`cases!`] | [`Home`] | what holds as long as the power is on: all of the lists below this line |
//! | [`power_cases!`], [`local_power_cases!`], [`process_power_cases!`] | [`PowerCuts`] | what holds when power is cut |
//! | [`retention_cases!`] | [`LetsGo`] | what holds when old records are let go |
//! | [`integrity_reboot_cases!`] | [`Durable`] | what sealed records owe over reboots |
//!
//! A list is a macro of its own too, such as [`store_cases!`], should only a part be wanted.

mod between;
mod home;
mod items;
mod lists;
mod meters;

pub mod aggregates;
pub mod integrity;
pub mod local;
pub mod notifications;
pub mod power;
pub mod process_power;
pub mod processes;
pub mod projections;
pub mod ranges;
pub mod readers;
pub mod replication;
pub mod retention;
pub mod snapshots;
pub mod store;
pub mod systems;
pub mod tampering;
pub mod timeline;
pub mod world;

pub use home::{Durable, Home, LetsGo, PowerCuts, mounted};
pub use items::{Item, SCRATCH, append, append_some_locally, item, read, stream};
