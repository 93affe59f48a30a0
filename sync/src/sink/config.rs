//! How a sink pulls.

use evenkeel_core::LogId;

/// How a [`Sink`](crate::Sink) pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SinkConfig {
    /// Which log of the device.
    pub log: LogId,
    /// The only device to pull from; `None`: whichever answers.
    pub device: Option<u64>,
    /// Who this sink is, as the device is told.
    pub sink: u64,
    /// How many SECTION and GAP frames one READ asks for: what the sink and the link can take at once.
    pub credit: u32,
    /// The largest frame that the sink takes, in bytes; 0: whatever the source's link allows.
    pub limit: u32,
    /// How long an answer may take, in microseconds, before the request is repeated.
    pub timeout_us: u64,
    /// How long nothing may arrive in the middle of an answer, in microseconds, before the rest is asked for again.
    pub quiet_us: u64,
    /// How long to wait, in microseconds, after the source has said that its answer is complete, before what is missing is
    /// asked for again: 0 on a link that keeps the order of frames, else by how much one can be late.
    pub settle_us: u64,
    /// After how many events the device is told that they are safe, beside at the end: each commit costs the device
    /// an append.
    pub commit_every: u64,
    /// How many events a commit proves at most, the newest ones: the device reads them again to check.
    pub prove_at_most: u64,
    /// Where request numbers start: give each sink that is made another one, such as a random number, so that no
    /// answer to its predecessor is taken for an answer to it.
    pub nonce: u32,
}

impl SinkConfig {
    /// 32 frames a request, any size, a second's timeout, a commit every 256 events that proves up to 1,024 of them.
    #[must_use]
    pub const fn new(log: LogId) -> Self {
        Self {
            log,
            device: None,
            sink: 0,
            credit: 32,
            limit: 0,
            timeout_us: 1_000_000,
            quiet_us: 250_000,
            settle_us: 0,
            commit_every: 256,
            prove_at_most: 1024,
            nonce: 0,
        }
    }
}
