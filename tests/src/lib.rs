//! What the cross-crate suites share.

pub mod attacker;
pub mod contents;
pub mod fixtures;
pub mod fuzzing;
pub mod hostile_frames;
pub mod image;
pub mod life;
pub mod oracle;
pub mod report;
pub mod steps;

/// The example in the README is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So are those of the guide to testing.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
struct TestingGuide;
