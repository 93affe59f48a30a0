//! The gateway that comes by now and then and pulls the device's log over a bad radio.

use evenkeel_collector::{Courier, DriveError, Link, SqliteStore, StoreError};
use evenkeel_core::{Log, LogId, RecordManager};
use evenkeel_host_sim::link::{LinkConfig, LinkCounters, SimLink};
use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::{Halt, Phase, Sink, SinkConfig, Source};

/// The probability that a frame is lost, in each direction.
pub(crate) const LOSS: f64 = 0.2;
/// Where frames wait that come before those that they follow.
const PARKED_BYTES: usize = 16 * 1024;
/// How long a gateway stays in reach, in microseconds.
const VISIT_US: u64 = 60_000_000;
const HOUR_US: u64 = 3_600_000_000;
/// A gateway comes by again after two to fourteen days.
const AWAY_HOURS: (u64, u64) = (2 * 24, 14 * 24);

/// A simulated radio, as the courier wants it.
#[derive(Debug, Clone)]
struct Radio(SimLink);

impl Link for Radio {
    fn send(&mut self, now_us: u64, frame: &[u8]) {
        // Too long a frame is as good as lost; the courier makes none.
        let _ = self.0.send(now_us, frame);
    }

    fn receive(&mut self, now_us: u64) -> Option<Vec<u8>> {
        self.0.receive(now_us)
    }

    fn next_arrival_us(&self) -> Option<u64> {
        self.0.next_arrival()
    }
}

/// One visit.
#[derive(Debug)]
struct Visit {
    sink: Sink<Vec<u8>>,
    until_us: u64,
    frames_before: u64,
}

/// What all visits came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Visits {
    /// Visits, those included that were broken off.
    pub(crate) count: u32,
    /// Visits after which the gateway was gone before it had everything.
    pub(crate) broken_off: u32,
    /// Bytes sent in both directions, lost ones included.
    pub(crate) bytes: u64,
    /// Frames sent in both directions.
    pub(crate) frames: u64,
    /// Frames that the radio lost, or that were under way when it broke off.
    pub(crate) frames_lost: u64,
    /// Bytes of the payloads that were collected.
    pub(crate) payload_bytes: u64,
}

/// A visit that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visited {
    /// Events collected in it.
    pub(crate) events: u64,
    /// Frames sent in both directions in it.
    pub(crate) frames: u64,
    /// Everything there was has been collected, and the device knows.
    pub(crate) complete: bool,
}

/// The gateway, its radio, and the collector's store behind it. A device's power cut is none of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) store: SqliteStore,
    courier: Courier<Radio, Radio>,
    visit: Option<Visit>,
    next_visit: u32,
    now_us: u64,
    visits: Visits,
    rng: Rng,
}

/// Why a visit failed.
#[derive(Debug)]
pub(crate) enum VisitError<E> {
    /// Device or store failed.
    Drive(DriveError<E, StoreError>),
    /// What the collector has contradicts what the device says.
    Halted(Halt),
}

impl Gateway {
    /// A gateway that fills this store.
    pub(crate) fn new(store: SqliteStore, mut rng: Rng) -> Self {
        let config = LinkConfig::lossy(LOSS);
        let [up, down] = [rng.fork_seed(), rng.fork_seed()]
            .map(|seed| Radio(SimLink::new(config, seed).expect("the link's probabilities are probabilities")));
        let courier = Courier::new(config.mtu, up, down);
        let mut gateway =
            Self { store, courier, visit: None, next_visit: 0, now_us: 0, visits: Visits::default(), rng };
        gateway.next_visit = gateway.away();
        gateway
    }

    /// Whether a gateway is in reach in this hour, or still is.
    pub(crate) fn is_here(&self, hour: u32) -> bool {
        self.visit.is_some() || hour >= self.next_visit
    }

    /// Pulls until everything is there, the gateway is out of reach, or the device fails: then the visit goes on with
    /// the next call.
    pub(crate) fn pull<R: RecordManager>(
        &mut self,
        hour: u32,
        log: &mut Log<'_, R>,
        source: &mut Source,
    ) -> Result<Visited, VisitError<R::Error>> {
        let mut visit = self.visit.take().unwrap_or_else(|| self.begin(hour));
        let Self { courier, now_us, store, .. } = self;
        let pulled = courier.run(now_us, visit.until_us, log, source, &mut visit.sink, store);
        match pulled {
            Ok(complete) => {
                if let Phase::Halted(halt) = visit.sink.phase() {
                    return Err(VisitError::Halted(halt));
                }
                Ok(self.end(hour, &visit, complete))
            }
            Err(error) => {
                self.visit = Some(visit);
                Err(VisitError::Drive(error))
            }
        }
    }

    /// The device has lost its power: what was under way to it or from it is lost.
    pub(crate) fn connection_lost(&mut self) {
        let (up, down) = self.courier.links();
        up.0.cut();
        down.0.cut();
    }

    /// What all visits came to so far.
    pub(crate) fn visits(&mut self) -> Visits {
        let traffic = self.courier.traffic();
        let (up, down) = self.courier.links();
        let gone = |counters: LinkCounters| counters.lost + counters.dropped;
        let frames_lost = gone(up.0.counters()) + gone(down.0.counters());
        let frames = traffic.frames_up + traffic.frames_down;
        Visits { bytes: traffic.bytes(), frames, frames_lost, ..self.visits }
    }

    fn begin(&mut self, hour: u32) -> Visit {
        self.now_us = self.now_us.max(u64::from(hour) * HOUR_US);
        let mut config = SinkConfig::new(LogId(0));
        // An answer takes 30 to 90 ms, and up to 180 ms more if it is overtaken.
        (config.timeout_us, config.quiet_us) = (500_000, 200_000);
        config.nonce = self.rng.next_u64() as u32;
        let frames_before = self.frames();
        Visit { sink: Sink::with_room(config, vec![0; PARKED_BYTES]), until_us: self.now_us + VISIT_US, frames_before }
    }

    fn end(&mut self, hour: u32, visit: &Visit, complete: bool) -> Visited {
        self.connection_lost();
        let counters = visit.sink.counters();
        self.visits.count += 1;
        self.visits.broken_off += u32::from(!complete);
        self.visits.payload_bytes += counters.payload_bytes;
        self.next_visit = hour.saturating_add(self.away());
        Visited { events: counters.events, frames: self.frames() - visit.frames_before, complete }
    }

    fn frames(&self) -> u64 {
        let traffic = self.courier.traffic();
        traffic.frames_up + traffic.frames_down
    }

    fn away(&mut self) -> u32 {
        let (least, most) = AWAY_HOURS;
        (least + self.rng.below(most - least)) as u32
    }
}
