//! A simulated radio or serial link on virtual time, in one direction: it loses, repeats, delays and reorders frames.
//!
//! Two links make a connection. Nothing here reads a clock: the caller says what time it is.

use core::fmt;
use std::collections::BTreeMap;

use crate::rng::Rng;

/// How a link treats what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConfig {
    /// Probability that a frame never arrives, 0 to 1.
    pub loss: f64,
    /// Probability that a frame arrives twice, 0 to 1. Each copy has its own delay.
    pub duplicate: f64,
    /// Probability that a frame is held back long enough for later ones to overtake it, 0 to 1. Frames that are not
    /// held back arrive in the order in which they were sent.
    pub reorder: f64,
    /// Microseconds from the end of sending to arrival.
    pub delay_us: u64,
    /// Random microseconds on top of the delay: from 0 to this.
    pub jitter_us: u64,
    /// Bytes that the sender gets onto the link in a second: a frame waits for the end of those before it. 0 means
    /// no limit.
    pub bytes_per_second: u64,
    /// Longest frame in bytes.
    pub mtu: usize,
    /// What else goes wrong.
    pub faults: LinkFaults,
}

/// What else than single losses goes wrong on a link. Probabilities are of each frame, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkFaults {
    /// Probability that a burst of losses begins.
    pub burst: f64,
    /// How many frames a burst takes on average; at least 1.
    pub burst_frames: u64,
    /// Probability that one to three bits of the frame are flipped.
    pub flip: f64,
    /// Probability that some bytes in the middle of the frame are missing, as from a full receive buffer.
    pub drop_bytes: f64,
    /// Probability that the link stands still before the frame.
    pub stall: f64,
    /// For how long, in microseconds.
    pub stall_us: u64,
}

impl LinkFaults {
    /// Nothing else goes wrong.
    pub const NONE: Self = Self { burst: 0.0, burst_frames: 1, flip: 0.0, drop_bytes: 0.0, stall: 0.0, stall_us: 0 };
}

impl LinkConfig {
    /// A link that delivers every frame of up to 4096 bytes at once, in order, once.
    #[must_use]
    pub const fn perfect() -> Self {
        Self {
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            delay_us: 0,
            jitter_us: 0,
            bytes_per_second: 0,
            mtu: 4096,
            faults: LinkFaults::NONE,
        }
    }

    /// A link like Bluetooth Low Energy at its worst: frames of up to 244 bytes at 20,000 bytes a second, 15 to 45 ms
    /// under way, with the probability `loss` of being lost and a quarter of it each of being repeated or overtaken.
    #[must_use]
    pub const fn lossy(loss: f64) -> Self {
        Self {
            loss,
            duplicate: loss / 4.0,
            reorder: loss / 4.0,
            delay_us: 15_000,
            jitter_us: 30_000,
            bytes_per_second: 20_000,
            mtu: 244,
            faults: LinkFaults::NONE,
        }
    }

    fn check(&self) -> Result<(), LinkError> {
        let LinkFaults { burst, flip, drop_bytes, stall, .. } = self.faults;
        let probabilities = [self.loss, self.duplicate, self.reorder, burst, flip, drop_bytes, stall];
        if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err(LinkError::NotAProbability);
        }
        if self.mtu == 0 {
            return Err(LinkError::NoMtu);
        }
        Ok(())
    }
}

/// Why a link cannot be made, or cannot take a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// A probability of the configuration is below 0, above 1 or not a number.
    NotAProbability,
    /// The longest frame of the configuration is 0 bytes.
    NoMtu,
    /// The frame is longer than the link's `mtu`. Nothing was sent.
    TooLong,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAProbability => "a probability is outside 0 to 1",
            Self::NoMtu => "the longest frame is 0 bytes",
            Self::TooLong => "the frame is longer than the link takes",
        })
    }
}

impl core::error::Error for LinkError {}

/// What went over a link. Bytes are those of frames, without any framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Frames the sender sent.
    pub sent: u64,
    /// Bytes the sender sent.
    pub sent_bytes: u64,
    /// Frames that were lost on the way.
    pub lost: u64,
    /// Frames that were sent off twice.
    pub duplicated: u64,
    /// Frames that were held back.
    pub reordered: u64,
    /// Frames the receiver took, second copies included.
    pub delivered: u64,
    /// Bytes the receiver took.
    pub delivered_bytes: u64,
    /// Frames that were under way when the link was cut.
    pub dropped: u64,
    /// Frames with flipped bits or missing bytes.
    pub damaged: u64,
    /// How often the link stood still.
    pub stalls: u64,
}

/// One direction of a link. Deterministic in its seed and the calls.
///
/// ```
/// use evenkeel_host_sim::link::{LinkConfig, SimLink};
///
/// let config = LinkConfig { delay_us: 500, ..LinkConfig::perfect() };
/// let mut link = SimLink::new(config, 1).unwrap();
/// link.send(1_000, b"frame").unwrap();
/// assert_eq!(link.receive(1_499), None);
/// assert_eq!(link.next_arrival(), Some(1_500));
/// assert_eq!(link.receive(1_500).as_deref(), Some(&b"frame"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct SimLink {
    config: LinkConfig,
    rng: Rng,
    /// Frames under way, by arrival and then by number.
    under_way: BTreeMap<(u64, u64), Vec<u8>>,
    next_number: u64,
    /// When the sender has sent everything so far.
    idle_at_us: u64,
    /// The latest arrival of a frame that keeps its place.
    latest_us: u64,
    /// How many frames the burst of losses still takes.
    burst_left: u64,
    /// Frames get through; if not, the sender does not notice.
    open: bool,
    counters: LinkCounters,
}

impl SimLink {
    /// A link with nothing under way.
    ///
    /// # Errors
    ///
    /// [`LinkError::NotAProbability`] and [`LinkError::NoMtu`].
    pub fn new(config: LinkConfig, seed: u64) -> Result<Self, LinkError> {
        config.check()?;
        Ok(Self {
            config,
            rng: Rng::from_seed(seed),
            under_way: BTreeMap::new(),
            next_number: 0,
            idle_at_us: 0,
            latest_us: 0,
            burst_left: 0,
            open: true,
            counters: LinkCounters::default(),
        })
    }

    /// Sends a frame at `now_us`. Whether it arrives, and when, is decided at once; the sender never learns it.
    ///
    /// # Errors
    ///
    /// [`LinkError::TooLong`]; nothing was sent then.
    pub fn send(&mut self, now_us: u64, frame: &[u8]) -> Result<(), LinkError> {
        if frame.len() > self.config.mtu {
            return Err(LinkError::TooLong);
        }
        self.counters.sent += 1;
        self.counters.sent_bytes += frame.len() as u64;
        let faults = self.config.faults;
        self.idle_at_us = self.idle_at_us.max(now_us).saturating_add(self.sending_us(frame.len()));
        if faults.stall > 0.0 && self.rng.chance(faults.stall) {
            self.counters.stalls += 1;
            self.idle_at_us = self.idle_at_us.saturating_add(faults.stall_us);
        }
        if self.is_lost() {
            self.counters.lost += 1;
            return Ok(());
        }
        let damaged = self.damaged(frame);
        let frame = damaged.as_deref().unwrap_or(frame);
        self.dispatch(frame);
        if self.rng.chance(self.config.duplicate) {
            self.counters.duplicated += 1;
            self.dispatch(frame);
        }
        Ok(())
    }

    fn is_lost(&mut self) -> bool {
        let LinkFaults { burst, burst_frames, .. } = self.config.faults;
        if !self.open {
            return true;
        }
        if self.burst_left == 0 && burst > 0.0 && self.rng.chance(burst) {
            self.burst_left = 1 + self.rng.below(burst_frames.max(1) * 2 - 1);
        }
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return true;
        }
        self.rng.chance(self.config.loss)
    }

    /// The frame as it arrives, if that is another.
    fn damaged(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let LinkFaults { flip, drop_bytes, .. } = self.config.faults;
        let mut bytes = None;
        if flip > 0.0 && !frame.is_empty() && self.rng.chance(flip) {
            let bytes = bytes.get_or_insert_with(|| frame.to_vec());
            for _ in 0..=self.rng.below(3) {
                let bit = self.rng.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        if drop_bytes > 0.0 && !frame.is_empty() && self.rng.chance(drop_bytes) {
            let bytes = bytes.get_or_insert_with(|| frame.to_vec());
            let at = self.rng.below(bytes.len() as u64) as usize;
            let end = bytes.len().min(at + 1 + self.rng.below(8) as usize);
            bytes.drain(at..end);
        }
        self.counters.damaged += u64::from(bytes.is_some());
        bytes
    }

    /// Opens the link, or leaves it half open: the sender sends on, and nothing arrives.
    pub fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    fn sending_us(&self, len: usize) -> u64 {
        match self.config.bytes_per_second {
            0 => 0,
            rate => (len as u64 * 1_000_000).div_ceil(rate),
        }
    }

    fn dispatch(&mut self, frame: &[u8]) {
        let jitter = self.rng.below(self.config.jitter_us.saturating_add(1).max(1));
        let mut at = self.idle_at_us.saturating_add(self.config.delay_us).saturating_add(jitter);
        if self.rng.chance(self.config.reorder) {
            self.counters.reordered += 1;
            // Two to four times the longest regular delay: frames sent right after this one are there before it.
            let longest = self.config.delay_us.saturating_add(self.config.jitter_us).max(1_000);
            at = at.saturating_add(longest.saturating_mul(2).saturating_add(self.rng.below(longest.saturating_mul(2))));
        } else {
            at = at.max(self.latest_us);
            self.latest_us = at;
        }
        self.under_way.insert((at, self.next_number), frame.to_vec());
        self.next_number += 1;
    }

    /// The next frame that has arrived by `now_us`, if there is one.
    pub fn receive(&mut self, now_us: u64) -> Option<Vec<u8>> {
        let entry = self.under_way.first_entry()?;
        if entry.key().0 > now_us {
            return None;
        }
        let frame = entry.remove();
        self.counters.delivered += 1;
        self.counters.delivered_bytes += frame.len() as u64;
        Some(frame)
    }

    /// When the next frame under way arrives, in microseconds; `None` when nothing is under way. With a
    /// [`VirtualClock`](crate::clock::VirtualClock) a simulation jumps from one such moment to the next.
    #[must_use]
    pub fn next_arrival(&self) -> Option<u64> {
        self.under_way.keys().next().map(|&(at, _)| at)
    }

    /// When the sender has sent everything so far, in microseconds.
    #[must_use]
    pub fn idle_at(&self) -> u64 {
        self.idle_at_us
    }

    /// Loses everything under way, as when the connection breaks.
    pub fn cut(&mut self) {
        self.counters.dropped += self.under_way.len() as u64;
        self.under_way.clear();
    }

    /// What went over the link so far.
    #[must_use]
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// The link's configuration.
    #[must_use]
    pub fn config(&self) -> LinkConfig {
        self.config
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkConfig, LinkError, LinkFaults, SimLink};

    fn drain(link: &mut SimLink) -> Vec<u8> {
        let mut got = Vec::new();
        while let Some(frame) = link.receive(u64::MAX) {
            got.push(frame[0]);
        }
        got
    }

    #[test]
    fn a_perfect_link_keeps_order_and_loses_nothing() {
        let mut link = SimLink::new(LinkConfig::perfect(), 1).unwrap();
        (0..100).for_each(|number| link.send(5, &[number]).unwrap());
        assert_eq!(link.next_arrival(), Some(5));
        assert_eq!(drain(&mut link), (0..100).collect::<Vec<u8>>());
        assert_eq!((link.counters().sent, link.counters().delivered), (100, 100));
    }

    #[test]
    fn loss_has_its_rate_and_every_frame_is_accounted_for() {
        let mut link = SimLink::new(LinkConfig::lossy(0.2), 2).unwrap();
        (0..10_000_u64).for_each(|at| link.send(at * 1_000, &[1; 10]).unwrap());
        drain(&mut link);
        let counters = link.counters();
        assert!((1_800..2_200).contains(&counters.lost), "{counters:?}");
        assert!((300..500).contains(&counters.duplicated), "{counters:?}");
        assert_eq!(counters.sent - counters.lost + counters.duplicated, counters.delivered);
    }

    #[test]
    fn jitter_alone_never_reorders() {
        let config = LinkConfig { delay_us: 10, jitter_us: 10_000, ..LinkConfig::perfect() };
        let mut link = SimLink::new(config, 3).unwrap();
        (0..100).for_each(|number| link.send(u64::from(number), &[number]).unwrap());
        assert_eq!(drain(&mut link), (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn a_frame_that_is_held_back_is_overtaken() {
        let config = LinkConfig { reorder: 0.2, delay_us: 1_000, ..LinkConfig::perfect() };
        let mut link = SimLink::new(config, 4).unwrap();
        (0..100).for_each(|number| link.send(u64::from(number), &[number]).unwrap());
        let got = drain(&mut link);
        assert!(!got.is_sorted());
        assert_eq!(got.len(), 100);
    }

    #[test]
    fn a_slow_link_queues_frames() {
        let config = LinkConfig { bytes_per_second: 1_000, ..LinkConfig::perfect() };
        let mut link = SimLink::new(config, 5).unwrap();
        link.send(0, &[0; 10]).unwrap();
        link.send(0, &[1; 10]).unwrap();
        assert_eq!(link.next_arrival(), Some(10_000));
        assert!(link.receive(10_000).is_some());
        assert_eq!(link.receive(19_999), None);
        assert!(link.receive(20_000).is_some());
        assert_eq!(link.idle_at(), 20_000);
    }

    #[test]
    fn the_same_seed_gives_the_same_link() {
        let run = |seed| {
            let mut link = SimLink::new(LinkConfig::lossy(0.3), seed).unwrap();
            (0..200).for_each(|number| link.send(u64::from(number) * 100, &[number]).unwrap());
            (drain(&mut link), link.counters())
        };
        assert_eq!(run(6), run(6));
        assert_ne!(run(6), run(7));
    }

    #[test]
    fn cutting_the_link_drops_what_is_under_way() {
        let mut link = SimLink::new(LinkConfig { delay_us: 9, ..LinkConfig::perfect() }, 8).unwrap();
        link.send(0, b"gone").unwrap();
        link.cut();
        assert_eq!((link.next_arrival(), link.counters().dropped), (None, 1));
    }

    #[test]
    fn nonsense_is_refused() {
        let new = |config| SimLink::new(config, 0).map(drop);
        for loss in [-0.1, 1.1, f64::NAN] {
            assert_eq!(new(LinkConfig { loss, ..LinkConfig::perfect() }), Err(LinkError::NotAProbability));
        }
        assert_eq!(new(LinkConfig { mtu: 0, ..LinkConfig::perfect() }), Err(LinkError::NoMtu));
        let mut link = SimLink::new(LinkConfig { mtu: 3, ..LinkConfig::perfect() }, 0).unwrap();
        assert_eq!(link.send(0, b"four"), Err(LinkError::TooLong));
        assert_eq!(link.counters().sent, 0);
    }

    #[test]
    fn losses_come_in_bursts() {
        let faults = LinkFaults { burst: 0.02, burst_frames: 10, ..LinkFaults::NONE };
        let mut link = SimLink::new(LinkConfig { faults, ..LinkConfig::perfect() }, 9).unwrap();
        let mut runs = Vec::new();
        let mut run = 0;
        for at in 0..10_000 {
            link.send(at, b"x").unwrap();
            match link.receive(at) {
                None => run += 1,
                Some(_) if run > 0 => runs.push(std::mem::take(&mut run)),
                Some(_) => {}
            }
        }
        let lost = link.counters().lost;
        assert!((1_200..2_200).contains(&lost), "{lost}");
        assert!(lost / runs.len() as u64 > 7, "{runs:?}");
    }

    #[test]
    fn frames_are_damaged_and_the_link_stands_still() {
        let faults = LinkFaults { flip: 0.3, drop_bytes: 0.2, stall: 0.1, stall_us: 1_000, ..LinkFaults::NONE };
        let mut link = SimLink::new(LinkConfig { faults, ..LinkConfig::perfect() }, 10).unwrap();
        (0..1_000).for_each(|_| link.send(0, &[7; 40]).unwrap());
        let (mut flipped, mut shorter) = (0, 0);
        while let Some(frame) = link.receive(u64::MAX) {
            flipped += u64::from(frame.iter().any(|byte| *byte != 7));
            shorter += u64::from(frame.len() < 40);
        }
        let counters = link.counters();
        assert!((220..380).contains(&flipped) && (140..260).contains(&shorter), "{flipped} {shorter}");
        assert!(counters.damaged <= flipped + shorter && counters.damaged > 350, "{counters:?}");
        assert_eq!(link.idle_at(), counters.stalls * 1_000);
    }

    #[test]
    fn a_half_open_link_swallows_what_is_sent() {
        let mut link = SimLink::new(LinkConfig::perfect(), 11).unwrap();
        link.set_open(false);
        link.send(0, b"gone").unwrap();
        link.set_open(true);
        link.send(0, b"here").unwrap();
        assert_eq!((link.receive(0).as_deref(), link.receive(0), link.counters().lost), (Some(&b"here"[..]), None, 1));
    }
}
