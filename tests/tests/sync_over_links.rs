//! Offline sync end to end: a log in memory, simulated links of any quality, a store in SQLite.

use evenkeel_collector::{Courier, Link, SqliteStore, StoredEvent};
use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Position, RamLog, Root, StreamId, Tracker};
use evenkeel_host_sim::link::{LinkConfig, SimLink};
use evenkeel_sync::{Sink, SinkConfig, Source, SourceIdentity};

const UPLINK: Tracker = Tracker(0);
const IDENTITY: SourceIdentity =
    SourceIdentity { device: 0x5EED_0001, log: LogId(0), epoch: Epoch::new(1, 0x1234_5678) };

/// A simulated link as the courier wants it.
struct Simulated(SimLink);

impl Link for Simulated {
    fn send(&mut self, now_us: u64, frame: &[u8]) {
        self.0.send(now_us, frame).unwrap();
    }

    fn receive(&mut self, now_us: u64) -> Option<Vec<u8>> {
        self.0.receive(now_us)
    }

    fn next_arrival_us(&self) -> Option<u64> {
        self.0.next_arrival()
    }
}

/// Sums readings of 16 bytes.
#[derive(Debug, Default, PartialEq)]
struct Meter {
    total: u64,
    readings: u32,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = [u8; 16];
    fn apply(&mut self, event: &[u8; 16]) {
        self.total += event.iter().copied().map(u64::from).sum::<u64>();
        self.readings += 1;
    }
}

/// A link of 20 kB/s with 30 ms of delay.
fn link(loss: f64, duplicate: f64, reorder: f64, seed: u64) -> Simulated {
    let mut config = LinkConfig::perfect();
    config.loss = loss;
    config.duplicate = duplicate;
    config.reorder = reorder;
    config.delay_us = 30_000;
    config.jitter_us = 5_000;
    config.bytes_per_second = 20_000;
    config.mtu = 244;
    Simulated(SimLink::new(config, seed).unwrap())
}

struct Outcome {
    overhead_percent: u64,
    seconds: u64,
    frames: u64,
}

/// Records 1,000 readings, pulls them, and checks that twin and device agree.
fn pull(loss: f64, duplicate: f64, reorder: f64, seed: u64) -> Outcome {
    let mut scratch = [0; 512];
    let ram = RamLog::<_, 4, 4>::new(vec![0; 64 * 1024]);
    let mut log = Log::mount(ram, &mut scratch).unwrap();
    let mut meter = Root::<Meter>::new(7);
    for reading in 0..1_000_u32 {
        log.execute(&mut meter, |_| Ok::<_, ()>([[reading as u8; 16]])).unwrap();
    }
    let mut source = Source::new(IDENTITY, UPLINK);
    let mut config = SinkConfig::new(LogId(0));
    (config.timeout_us, config.quiet_us, config.nonce) = (500_000, 150_000, seed as u32);
    let mut sink = Sink::with_room(config, vec![0; 16 * 1024]);
    let mut store = SqliteStore::in_memory().unwrap();
    let (up, down) = (link(loss, duplicate, reorder, seed), link(loss, duplicate, reorder, !seed));
    let mut courier = Courier::new(244, up, down);
    let mut now_us = 0;
    let done = courier.run(&mut now_us, 3_600_000_000, &mut log, &mut source, &mut sink, &mut store).unwrap();
    assert!(done, "{sink:?}");

    let mut position = Position::START;
    let mut stored: Vec<StoredEvent> = Vec::new();
    store.events(&IDENTITY, Position::START, |record| stored.push(record.into())).unwrap();
    assert_eq!(stored.len(), 1_000);
    for event in &stored {
        let next = log.next_notification(position).unwrap().unwrap();
        assert_eq!(next.record(), Some(&event.record()));
        position = event.position;
    }
    assert_eq!(log.tracked(UPLINK), Position(1_000));
    let twin = store.twin::<Meter>(&IDENTITY, StreamId(7)).unwrap();
    assert!(twin.is_complete());
    assert_eq!(*twin.root, *meter);

    let (counters, traffic) = (sink.counters(), courier.traffic());
    assert_eq!((counters.events, counters.payload_bytes), (1_000, 16_000));
    Outcome {
        overhead_percent: (traffic.bytes() - counters.payload_bytes) * 100 / counters.payload_bytes,
        seconds: now_us / 1_000_000,
        frames: traffic.frames_up + traffic.frames_down,
    }
}

/// What a pull of 1,000 events of 16 bytes in frames of 244 bytes costs on links of falling quality: a regression is a
/// diff that people can read. Overhead is all bytes sent both ways, beyond the payload; after a loss only what is missing
/// is sent again.
#[test]
fn the_cost_of_a_pull_by_quality_of_the_link() {
    let mut table = String::from("loss duplicates reordered: overhead, frames, seconds\n");
    for (loss, duplicate, reorder) in
        [(0.0, 0.0, 0.0), (0.05, 0.0, 0.0), (0.2, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.2, 0.2), (0.2, 0.2, 0.2)]
    {
        let Outcome { overhead_percent, seconds, frames } = pull(loss, duplicate, reorder, 1);
        table += &format!("{loss:.2} {duplicate:.2} {reorder:.2}: {overhead_percent} %, {frames}, {seconds} s\n");
    }
    assert_eq!(
        table,
        "loss duplicates reordered: overhead, frames, seconds\n\
         0.00 0.00 0.00: 6 %, 84, 1 s\n\
         0.05 0.00 0.00: 15 %, 92, 1 s\n\
         0.20 0.00 0.00: 41 %, 111, 2 s\n\
         0.50 0.00 0.00: 130 %, 199, 13 s\n\
         0.00 0.20 0.20: 32 %, 106, 1 s\n\
         0.20 0.20 0.20: 36 %, 117, 3 s\n"
    );
}

#[test]
fn whatever_the_link_does_each_event_arrives_once() {
    for seed in 1..=60 {
        let (loss, other) = ([0.0, 0.1, 0.3, 0.6][seed as usize % 4], [0.0, 0.1, 0.4][seed as usize % 3]);
        pull(loss, other, other, seed);
    }
}
