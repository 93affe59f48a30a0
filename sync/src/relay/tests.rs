//! Devices that are never online, collectors that never come by, and relays between them.

use std::collections::BTreeMap;

use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Epoch, LogId, Position, RecordManager, Tracker};

use super::*;
use crate::model::world::{Air, Row, Shelf};
use crate::model::{Device, Rng};
use crate::{
    Halt, Phase, Piece, Plain, Proof, Prover, Purpose, Seal, SectionPlace, Sink, SinkConfig, Source, SourceIdentity,
};

const UPLINK: Tracker = Tracker(1);
const CUSTODY: Tracker = Tracker(0);
const RELAY: u64 = 77;

fn identity(epoch: u32) -> SourceIdentity {
    SourceIdentity { device: 0xD0_0DAD, log: LogId(0), epoch: Epoch::new(epoch, 0) }
}

/// A relay's disk.
#[derive(Debug, Default)]
pub(super) struct Cupboard {
    frames: BTreeMap<(SourceIdentity, FrameKey), Vec<u8>>,
    notes: BTreeMap<(SourceIdentity, Note), Vec<u8>>,
    room: Option<usize>,
}

fn copy_out(bytes: &[u8], out: &mut [u8]) -> usize {
    let len = bytes.len().min(out.len());
    out[..len].copy_from_slice(&bytes[..len]);
    bytes.len()
}

impl RelayStore for Cupboard {
    type Error = core::convert::Infallible;

    fn keep(&mut self, log: &SourceIdentity, key: FrameKey, frame: &[u8]) -> Result<bool, Self::Error> {
        if self.room.is_some_and(|room| self.frames.len() >= room) && !self.frames.contains_key(&(*log, key)) {
            return Ok(false);
        }
        self.frames.insert((*log, key), frame.to_vec());
        Ok(true)
    }

    fn next_key(&mut self, log: &SourceIdentity, after: FrameKey) -> Result<Option<FrameKey>, Self::Error> {
        let mut keys = self.frames.keys().filter(|(of, key)| of == log && *key > after);
        Ok(keys.next().map(|(_, key)| *key))
    }

    fn frame(&mut self, log: &SourceIdentity, key: FrameKey, out: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        Ok(self.frames.get(&(*log, key)).map(|frame| copy_out(frame, out)))
    }

    fn forget(&mut self, log: &SourceIdentity, last: Position) -> Result<(), Self::Error> {
        self.frames.retain(|(of, key), _| of != log || key.last > last);
        Ok(())
    }

    fn note(&mut self, log: &SourceIdentity, note: Note, out: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        Ok(self.notes.get(&(*log, note)).map(|bytes| copy_out(bytes, out)))
    }

    fn set_note(&mut self, log: &SourceIdentity, note: Note, bytes: Option<&[u8]>) -> Result<(), Self::Error> {
        match bytes {
            Some(bytes) => self.notes.insert((*log, note), bytes.to_vec()),
            None => self.notes.remove(&(*log, note)),
        };
        Ok(())
    }
}

impl Cupboard {
    /// The logs that the relay can speak of, the oldest life first.
    fn logs(&self) -> Vec<SourceIdentity> {
        self.notes.keys().filter(|(_, note)| *note == Note::Head).map(|(log, _)| *log).collect()
    }

    fn positions(&self) -> Vec<(u64, u64)> {
        self.frames.keys().map(|(_, key)| (key.first.0, key.last.0)).collect()
    }
}

/// As [`Plain`], but of a suite that the relay does not know, so that it cannot tell right frames from wrong ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opaque;

impl Seal for Opaque {
    const SUITE: u8 = 200;
    const SECTION_BYTES: usize = Plain::SECTION_BYTES;
    const PROOF_BYTES: usize = Plain::PROOF_BYTES;
    type Prover = <Plain as Seal>::Prover;

    fn close(
        &self,
        identity: &SourceIdentity,
        place: SectionPlace,
        header: &[u8],
        events: &mut [u8],
    ) -> Option<[u8; crate::SEAL_BYTES_AT_MOST]> {
        Plain.close(identity, place, header, events)
    }

    fn open(
        &self,
        identity: &SourceIdentity,
        place: SectionPlace,
        header: &[u8],
        events: &mut [u8],
        seal: &[u8],
    ) -> bool {
        Plain.open(identity, place, header, events, seal)
    }

    fn prover(&self, identity: &SourceIdentity, purpose: Purpose) -> Self::Prover {
        let mut prover = Plain.prover(identity, purpose);
        prover.update(b"opaque");
        prover
    }
}

/// A device, a collector, and what both have ever known.
struct World<S> {
    rng: Rng,
    faulty: bool,
    now: u64,
    nonce: u32,
    device: Device,
    source: Source<S>,
    shelf: Shelf,
    sink: Sink<Vec<u8>, S>,
    seal: S,
    frame_bytes: usize,
}

impl<S: Seal + Copy> World<S> {
    fn new(seed: u64, seal: S) -> Self {
        let source = Source::sealed(identity(1), UPLINK, seal).with_custody(CUSTODY, RELAY, seal);
        let (device, shelf) = (Device::new(), Shelf::default());
        let sink = Sink::sealed(SinkConfig::new(LogId(0)), Vec::new(), seal);
        let rng = Rng::new(seed);
        let mut world =
            Self { rng, faulty: false, now: 0, nonce: 0, device, source, shelf, sink, seal, frame_bytes: 70 };
        world.restart_sink();
        world
    }

    fn config(&mut self) -> SinkConfig {
        let mut config = SinkConfig::new(LogId(0));
        self.nonce = self.nonce.wrapping_add(1 << 20);
        config.nonce = self.nonce;
        config.sink = RELAY;
        config.credit = 1 + self.rng.below(8) as u32;
        config.commit_every = 1 + self.rng.below(20);
        (config.timeout_us, config.quiet_us) = (60, 15);
        config
    }

    fn restart_sink(&mut self) {
        let config = self.config();
        self.sink = Sink::sealed(config, vec![0; 300], self.seal);
    }

    fn record(&mut self, facts: core::ops::RangeInclusive<u64>) {
        facts.for_each(|fact| self.device.record(fact));
    }

    /// The device is re-formatted and has another life.
    fn format(&mut self, epoch: u32) {
        self.device = Device::new();
        self.source = Source::sealed(identity(epoch), UPLINK, self.seal).with_custody(CUSTODY, RELAY, self.seal);
    }

    /// The relay is at the device for so long.
    fn at_device(&mut self, cupboard: &mut Cupboard, relay: &mut RelaySink<S>, duration: u64) {
        let (mut up, mut down) = (Air::default(), Air::default());
        let (mut frame, mut room) = (vec![0; self.frame_bytes.max(144)], [0; 128]);
        let mut scratch = Scratch::new(&mut room);
        for _ in 0..duration / 5 {
            self.now += 5;
            while let Some(len) = relay.poll(cupboard, self.now, &mut frame).unwrap() {
                down.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
            }
            while let Some(arrived) = down.receive(self.now) {
                self.source.handle(&mut self.device, &mut scratch, &arrived).unwrap();
                while let Some(len) = self.source.poll(&mut self.device, &mut scratch, &mut frame).unwrap() {
                    up.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
                }
            }
            while let Some(mut arrived) = up.receive(self.now) {
                relay.handle(cupboard, self.now, &mut arrived).unwrap();
            }
        }
    }

    /// The relay is at the collector for so long, and speaks of each of its logs.
    fn at_collector(&mut self, cupboard: &mut Cupboard, duration: u64) {
        for log in cupboard.logs() {
            let (mut up, mut down) = (Air::default(), Air::default());
            let mut frame = vec![0; self.frame_bytes.max(144)];
            let mut relay = RelaySource::new(RELAY, log);
            self.restart_sink();
            for _ in 0..duration / 5 {
                self.now += 5;
                while let Some(len) = self.sink.poll(&mut self.shelf, self.now, &mut frame).unwrap() {
                    down.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
                }
                while let Some(arrived) = down.receive(self.now) {
                    relay.handle(cupboard, &arrived).unwrap();
                    while let Some(len) = relay.poll(cupboard, &mut frame).unwrap() {
                        up.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
                    }
                }
                while let Some(mut arrived) = up.receive(self.now) {
                    let _ = self.sink.handle(&mut self.shelf, self.now, &mut arrived);
                }
            }
        }
    }

    fn relay(&mut self) -> RelaySink<S> {
        RelaySink::with_custody(self.config(), self.seal)
    }

    fn stored(&self, epoch: u32) -> u64 {
        self.shelf.cursors.get(&identity(epoch).epoch).copied().unwrap_or_default().0
    }

    /// Every position is stored once, with the fact that it had.
    fn check(&self, epoch: u32, fact_of: impl Fn(u64) -> u64) {
        let rows = self.shelf.rows.get(&identity(epoch).epoch).cloned().unwrap_or_default();
        for (index, (position, row)) in rows.iter().enumerate() {
            assert_eq!((position.0, *row), (index as u64 + 1, Row::Event(fact_of(index as u64 + 1))));
        }
        assert_eq!(rows.len() as u64, self.stored(epoch));
    }
}

#[test]
fn it_carries_events_there_and_commits_back() {
    let mut world = World::new(1, Plain);
    let mut cupboard = Cupboard::default();
    world.record(1..=40);
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    assert!(relay.is_caught_up(), "{relay:?}");
    // It keeps all of it, and the device knows, and lets nothing go for that.
    assert_eq!(cupboard.positions().last().unwrap().1, 40);
    assert_eq!((world.device.tracked(CUSTODY), world.device.tracked(UPLINK)), (Position(40), Position::START));
    world.at_collector(&mut cupboard, 2_000);
    assert_eq!(world.stored(1), 40);
    assert!(world.sink.is_caught_up());
    world.check(1, |position| position);
    // It forgets nothing before the device has the commit.
    assert_eq!(cupboard.positions().last().unwrap().1, 40);
    world.record(41..=45);
    relay.pull();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    assert_eq!(world.device.tracked(UPLINK), Position(40));
    assert_eq!((cupboard.positions()[0].0, cupboard.positions().last().unwrap().1), (41, 45));
    world.at_collector(&mut cupboard, 2_000);
    world.check(1, |position| position);
    assert_eq!(world.stored(1), 45);
}

/// Two relays, links that lose, repeat, damage and hold back, relays and collectors that start anew all the time.
#[test]
fn whatever_goes_wrong_everything_arrives_once() {
    for seed in 1..=150 {
        let mut world = World::new(seed, Plain);
        let mut cupboards = [Cupboard::default(), Cupboard::default()];
        world.faulty = true;
        let mut facts = 0;
        for _ in 0..30 {
            let more = world.rng.below(12);
            world.record(facts + 1..=facts + more);
            facts += more;
            let which = world.rng.below(2) as usize;
            let duration = 20 + world.rng.below(400);
            if world.rng.percent(60) {
                let mut relay = world.relay();
                world.at_device(&mut cupboards[which], &mut relay, duration);
            } else {
                world.at_collector(&mut cupboards[which], duration);
            }
            world.check(1, |position| position);
            assert!(world.device.tracked(UPLINK).0 <= world.stored(1), "seed {seed}");
        }
        world.faulty = false;
        for cupboard in &mut cupboards {
            let mut relay = world.relay();
            world.at_device(cupboard, &mut relay, 5_000);
            assert!(relay.is_caught_up(), "seed {seed}: {relay:?}");
            world.at_collector(cupboard, 5_000);
            assert!(world.sink.is_caught_up(), "seed {seed}: {:?}", world.sink);
            let mut relay = world.relay();
            world.at_device(cupboard, &mut relay, 5_000);
        }
        assert_eq!(world.stored(1), facts, "seed {seed}");
        world.check(1, |position| position);
        assert_eq!(world.device.tracked(UPLINK).0, facts, "seed {seed}");
        assert!(cupboards[1].frames.is_empty(), "seed {seed}: what is committed is forgotten");
    }
}

#[test]
fn what_a_formatted_device_had_still_arrives() {
    let mut world = World::new(3, Plain);
    let mut cupboard = Cupboard::default();
    world.record(1..=20);
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    world.format(2);
    world.record(101..=110);
    world.source.open_epoch(identity(3).epoch, Position(11));
    world.record(111..=115);
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    assert!(relay.is_caught_up());
    assert_eq!(cupboard.logs(), [identity(1), identity(3)]);
    world.at_collector(&mut cupboard, 2_000);
    world.check(1, |position| position);
    world.check(2, |position| 100 + position);
    assert_eq!((world.stored(1), world.stored(2), world.stored(3)), (20, 10, 15));
    // Nobody but the collector can say that the first life is safe, and it has.
    assert!(cupboard.frames.keys().all(|(log, _)| *log != identity(1)));
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    assert_eq!(world.device.tracked(UPLINK), Position(15));
    assert!(cupboard.frames.is_empty(), "{:?}", cupboard.frames.keys());
}

#[test]
fn a_relay_that_knows_less_than_the_collector_is_no_reason_to_stop() {
    let mut world = World::new(4, Plain);
    let (mut early, mut late) = (Cupboard::default(), Cupboard::default());
    world.record(1..=10);
    let mut relay = world.relay();
    world.at_device(&mut early, &mut relay, 2_000);
    world.record(11..=30);
    let mut relay = world.relay();
    world.at_device(&mut late, &mut relay, 2_000);
    world.at_collector(&mut late, 2_000);
    assert_eq!(world.stored(1), 30);
    world.at_collector(&mut early, 2_000);
    assert!(world.sink.is_caught_up(), "{:?}", world.sink);
    // It carries the newer commit all the same.
    let mut relay = world.relay();
    world.at_device(&mut early, &mut relay, 2_000);
    assert_eq!(world.device.tracked(UPLINK), Position(30));
    assert!(early.frames.is_empty());
}

#[test]
fn that_a_device_has_other_events_is_told() {
    let mut world = World::new(5, Plain);
    let mut cupboard = Cupboard::default();
    world.record(1..=20);
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    world.at_collector(&mut cupboard, 2_000);
    // Another board with the same names.
    world.device = Device::new();
    world.record(201..=225);
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 2_000);
    assert_eq!(world.device.tracked(UPLINK), Position::START, "nothing is let go");
    world.at_collector(&mut cupboard, 2_000);
    assert!(matches!(world.sink.phase(), Phase::Halted(Halt::Diverged { .. })), "{:?}", world.sink.phase());
}

#[test]
fn without_room_it_stops_and_goes_on_when_there_is_some() {
    let mut world = World::new(6, Plain);
    let mut cupboard = Cupboard { room: Some(3), ..Cupboard::default() };
    world.record(1..=40);
    let mut arrived = 0;
    for _ in 0..10 {
        let mut relay = world.relay();
        world.at_device(&mut cupboard, &mut relay, 1_000);
        assert!(relay.phase() == RelayPhase::Full || relay.is_caught_up());
        world.at_collector(&mut cupboard, 1_000);
        assert!(world.stored(1) > arrived || arrived == 40);
        arrived = world.stored(1);
    }
    assert_eq!(arrived, 40);
    world.check(1, |position| position);
}

/// A frame from another life, late, with a seal that the relay cannot check: it is fetched once more.
#[test]
fn a_wrong_frame_does_not_stay_in_the_way() {
    let mut world = World::new(7, Opaque);
    let mut cupboard = Cupboard::default();
    world.record(1..=20);
    let mut relay = world.relay();
    // The relay asks for events; a wrong section comes before the right one.
    let mut frame = [0; 144];
    let mut room = [0; 128];
    let mut scratch = Scratch::new(&mut room);
    for _ in 0..2 {
        let len = relay.poll(&mut cupboard, 0, &mut frame).unwrap().unwrap();
        world.source.handle(&mut world.device, &mut scratch, &frame[..len]).unwrap();
        if relay.phase() == RelayPhase::Greeting {
            let len = world.source.poll(&mut world.device, &mut scratch, &mut frame).unwrap().unwrap();
            relay.handle(&mut cupboard, 0, &mut frame[..len]).unwrap();
        }
    }
    let wrong = Message::Piece(Piece::Events { first: Position(1), count: 19, bytes: &[0xC1, 7, 4, 1, 0xA1] });
    let len = wrong.write(&identity(9), &Opaque, &mut frame).unwrap();
    assert_eq!(relay.handle(&mut cupboard, 0, &mut frame[..len]).unwrap(), RelayEvent::Kept(Position(19)));
    world.at_device(&mut cupboard, &mut relay, 3_000);
    world.at_collector(&mut cupboard, 3_000);
    assert_eq!(world.stored(1), 0);
    assert!(cupboard.notes.contains_key(&(identity(1), Note::Doubt)));
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 3_000);
    world.at_collector(&mut cupboard, 3_000);
    assert_eq!(world.stored(1), 20);
    world.check(1, |position| position);
    // The same with Plain is seen at once.
    let mut plain = World::new(7, Plain);
    plain.record(1..=20);
    let (mut cupboard, mut relay) = (Cupboard::default(), plain.relay());
    plain.at_device(&mut cupboard, &mut relay, 10);
    let wrong = wrong.write(&identity(9), &Plain, &mut frame).unwrap();
    assert_eq!(relay.handle(&mut cupboard, 0, &mut frame[..wrong]).unwrap(), RelayEvent::Ignored);
}

#[test]
fn custody_needs_the_key_that_relay_and_device_share() {
    let mut world = World::new(8, Plain);
    let mut cupboard = Cupboard::default();
    world.record(1..=10);
    // One that has no custody, and one that uses another key.
    let mut relay = RelaySink::<Plain>::new(world.config());
    world.at_device(&mut cupboard, &mut relay, 1_000);
    assert!(relay.is_caught_up());
    world.source = Source::new(identity(1), UPLINK).with_custody(CUSTODY, RELAY + 1, Plain);
    let mut relay = world.relay();
    world.at_device(&mut cupboard, &mut relay, 1_000);
    assert!(relay.is_caught_up(), "a device that takes nobody's word does not hold it up");
    assert_eq!(world.device.tracked(CUSTODY), Position::START);
    let forged =
        Message::Custody { epoch: identity(1).epoch, relay: RELAY, position: Position(10), proof: Proof::default() };
    let mut frame = [0; 144];
    let len = forged.write(&identity(1), &Plain, &mut frame).unwrap();
    assert_eq!(relay.handle(&mut cupboard, world.now, &mut frame[..len]).unwrap(), RelayEvent::Ignored);
}
