//! What is done to a log under test, and the events that it is done with.

use evenkeel_core::{Kind, StreamId};
use evenkeel_host_sim::rng::Rng;

/// One thing done to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Appends one batch: a payload length for each event, with its stream.
    Append(Vec<(u64, usize)>),
    /// Says that the events up to so many before the last have been seen.
    Acknowledge(u64),
    /// Does all upkeep there is.
    Maintain,
    /// Stops cleanly and mounts again.
    Restart,
}

/// A list of steps for a region of about this many bytes.
#[must_use]
pub fn workload(seed: u64, steps: usize, streams: u64, largest: usize) -> Vec<Step> {
    let mut rng = Rng::from_seed(seed);
    (0..steps)
        .map(|_| match rng.below(12) {
            0 => Step::Acknowledge(rng.below(4)),
            1 => Step::Maintain,
            3 if rng.below(2) == 0 => Step::Restart,
            2 => {
                let events = 2 + rng.below(2);
                Step::Append(
                    (0..events).map(|_| (rng.below(streams), rng.below(largest as u64 / 2) as usize)).collect(),
                )
            }
            _ => Step::Append(vec![(rng.below(streams), rng.below(largest as u64 + 1) as usize)]),
        })
        .collect()
}

/// The kind of a stream, so that not all are of one.
pub(crate) fn kind(stream: u64) -> Kind {
    Kind(1 + (stream % 3) as u8)
}

/// Stream numbers that take one byte, and ten.
pub(crate) fn id(stream: u64) -> StreamId {
    StreamId(if stream % 4 == 3 { u64::MAX - stream } else { stream })
}

/// A payload that tells what it belongs to, with runs of what erased flash reads.
pub(crate) fn payload(salt: u64, stream: u64, version: u32, len: usize) -> Vec<u8> {
    let mut rng = Rng::from_seed_and_stream(stream << 32 | u64::from(version), salt);
    let style = rng.below(4);
    (0..len)
        .map(|at| match style {
            0 => 0xFF,
            1 if at % 8 < 4 => 0xFF,
            _ => rng.below(256) as u8,
        })
        .collect()
}

pub(crate) fn state(salt: u64, stream: u64, version: u32) -> Vec<u8> {
    payload(salt, stream ^ 0xFFFF, version, 12)
}
