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

/// So are those of the guides.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
struct TestingGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/getting-started.md")]
struct GettingStarted;

#[cfg(doctest)]
#[doc = include_str!("../../docs/modelling.md")]
struct ModellingGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/retention.md")]
struct RetentionGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/sync.md")]
struct SyncGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/schema-evolution.md")]
struct SchemaEvolutionGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/integrity.md")]
struct IntegrityGuide;
