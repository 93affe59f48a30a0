//! Example applications of Evenkeel, as they run in firmware.
//!
//! Each is a library without an allocator and without `std`, generic over the record manager that keeps its
//! events, so that the same code runs on a device, in a simulation and on the server as a digital twin.
//!
//! - [`cold_chain`]: the monitor in a refrigerated container, with three aggregates, a policy and a projection.
//! - [`orders`]: a vending machine, with processes that follow each other and a stored view, as one system.
//! - [`dispenser`]: a pill dispenser: entities inside an aggregate, two aggregates changed as one, ids out of names, an
//!   end.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

pub mod cold_chain;
pub mod dispenser;
pub mod orders;
