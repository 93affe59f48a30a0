//! The model over the real log on simulated flash: a device that is cut off in the middle of its appends, upkeep and commits, is
//! formatted, and is set back to an old copy of its flash; the links and the collector are those of the other model.
//!
//! After every step, beside what the other model checks: what the log has let go is in the store or declared lost (I6), and the
//! same section has the same bytes whenever it is sent (I9).

use std::collections::BTreeMap;

use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Position, Snapshot, StreamId, Tracker};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{Cut, SimFlash, WeakRead};
use serde::{Deserialize, Serialize};

use super::device::fact;
use super::world::{Air, Row, Shelf};
use super::{Breach, Rng};
use crate::rules::Broken;
use crate::wire::{Message, Refusal};
use crate::{Heard, Plain, Sink, SinkConfig, Source, SourceIdentity};

type Flash = SimFlash<4, 4, 256>;
type Records = FlashLog<Flash, 4, 2>;

const SECTORS: u32 = 12;
const UPLINK: Tracker = Tracker(1);
const DEVICE: u64 = 0xD0_0DAD;
const STREAMS: u64 = 3;
const STEPS: u64 = 160;

/// Holds facts, as events of eight bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Facts {
    newest: u64,
}

impl Aggregate for Facts {
    const KIND: Kind = Kind(1);
    const SCHEMA: u8 = 0;
    type Event = [u8; 8];
    fn apply(&mut self, event: &[u8; 8]) {
        self.newest = u64::from_le_bytes(*event);
    }
}

impl Snapshot for Facts {
    const SCHEMA: u8 = 1;
}

struct World {
    rng: Rng,
    breach: Option<Breach>,
    flash: Flash,
    retention: Retention,
    log: Option<Log<'static, Records>>,
    source: Source,
    /// The epochs that the application has opened within this log, as it would have noted them in it.
    opened: Vec<(Epoch, Position)>,
    first_epoch: Epoch,
    epochs: u32,
    facts: u64,
    /// What is under way and not durable: only read by a source that may.
    truth: BTreeMap<(Epoch, Position), u64>,
    old_copy: Option<(Flash, Epoch, Vec<(Epoch, Position)>)>,
    sections: BTreeMap<(Epoch, Position, Position), Vec<u8>>,
    shelf: Shelf,
    sink: Sink<Vec<u8>>,
    nonce: u32,
    up: Air,
    down: Air,
    now: u64,
    faulty: bool,
    work: Work,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    events: u64,
    cuts: u64,
    formats: u64,
    set_back: u64,
    let_go: u64,
}

fn identity(epoch: Epoch) -> SourceIdentity {
    SourceIdentity { device: DEVICE, log: LogId(0), epoch }
}

impl World {
    fn new(seed: u64, breach: Option<Breach>) -> Self {
        let mut rng = Rng::new(seed);
        let flash = Flash::blank(SECTORS as usize);
        let retention = match rng.below(2) {
            0 => Retention::OverwriteAcknowledged(&[UPLINK]),
            _ => Retention::OverwriteOldest(&[UPLINK]),
        };
        let epoch = Epoch::new(1, 0);
        let mut world = Self {
            rng,
            breach,
            flash,
            retention,
            log: None,
            source: Source::new(identity(epoch), UPLINK),
            opened: Vec::new(),
            first_epoch: epoch,
            epochs: 1,
            facts: 0,
            truth: BTreeMap::new(),
            old_copy: None,
            sections: BTreeMap::new(),
            shelf: Shelf { apart: breach == Some(Breach::CursorApart), ..Shelf::default() },
            sink: Sink::with_room(SinkConfig::new(LogId(0)), Vec::new()),
            nonce: 0,
            up: Air::default(),
            down: Air::default(),
            now: 0,
            faulty: true,
            work: Work::default(),
        };
        world.format_flash();
        world.boot();
        world.restart_collector();
        world
    }

    fn records(&self) -> Records {
        let region = Region::checked::<Flash>(0..SECTORS * 256).unwrap().word_by_word();
        FlashLog::new(self.flash.clone(), region, self.retention)
    }

    fn format_flash(&mut self) {
        let identity = Identity { log: LogId(0), epoch: self.first_epoch };
        self.records().format(identity, &mut [0; 512]).unwrap();
        self.opened.clear();
    }

    fn boot(&mut self) {
        self.log = None;
        self.flash.power_on();
        self.flash.disarm();
        let scratch = Box::leak(Box::new([0; 512]));
        self.log = Some(Log::mount(self.records(), scratch).unwrap());
        self.source = Source::new(identity(self.first_epoch), UPLINK);
        for (epoch, base) in &self.opened {
            assert!(self.source.open_epoch(*epoch, *base));
        }
        self.source.broken = self.broken();
        self.note_truth();
    }

    fn broken(&self) -> Broken {
        Broken { rule: if let Some(Breach::Rule(rule)) = self.breach { Some(rule) } else { None } }
    }

    /// Reboots if the power is gone.
    fn survive(&mut self) {
        if !self.flash.is_powered() {
            self.work.cuts += 1;
            self.boot();
        }
    }

    fn epoch_of(&self, position: Position) -> Epoch {
        let opened = self.opened.iter().rev().find(|(_, base)| *base <= position);
        opened.map_or(self.first_epoch, |(epoch, _)| *epoch)
    }

    /// What is in the log is durable, and has its name for ever.
    fn note_truth(&mut self) {
        let log = self.log.as_mut().unwrap();
        let first = log.bounds().first;
        let mut seen = first.previous();
        let mut found = Vec::new();
        while let Some(next) = log.next_notification(seen).unwrap() {
            seen = next.last();
            if let Some(record) = next.record() {
                found.push((seen, fact(record)));
            }
        }
        for (position, fact) in found {
            self.truth.insert((self.epoch_of(position), position), fact);
        }
    }

    fn maybe_cut(&mut self, percent: u64) {
        if self.faulty && self.rng.percent(percent) {
            let mut random = evenkeel_host_sim::rng::Rng::from_seed(self.rng.next());
            let mut cut = Cut::random(self.rng.below(12), 4, &mut random);
            cut.weak = WeakRead::Off;
            self.flash.arm(cut);
        }
    }

    fn record(&mut self) {
        for _ in 0..=self.rng.below(3) {
            self.maybe_cut(8);
            self.facts += 1;
            let fact = self.facts;
            let log = self.log.as_mut().unwrap();
            let Ok(mut root) = log.load_or_new::<Facts>(StreamId(fact % STREAMS)) else { break };
            if log.execute(&mut root, |_| Ok::<_, ()>([fact.to_le_bytes()])).is_err() {
                break;
            }
            self.work.events += 1;
        }
        self.flash.disarm();
        self.survive();
        self.note_truth();
    }

    fn maintain(&mut self) {
        self.maybe_cut(10);
        let before = self.log.as_ref().unwrap().bounds().first;
        let _ = self.log.as_mut().unwrap().maintain::<(Facts,)>();
        self.flash.disarm();
        self.survive();
        self.work.let_go += self.log.as_ref().unwrap().bounds().first.since(before);
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch::new(self.epochs, 0)
    }

    fn format(&mut self) {
        self.work.formats += 1;
        if self.breach != Some(Breach::FormatKeepsEpoch) {
            self.first_epoch = self.next_epoch();
        }
        self.old_copy = None;
        self.log = None;
        self.format_flash();
        self.boot();
    }

    fn copy(&mut self) {
        self.old_copy = Some((self.flash.fork(), self.first_epoch, self.opened.clone()));
    }

    /// The log loses its end: everything since the copy was made. Whoever notices opens a new epoch.
    fn set_back(&mut self) {
        let Some((flash, first_epoch, opened)) = self.old_copy.take() else { return };
        if first_epoch != self.first_epoch {
            return;
        }
        self.work.set_back += 1;
        self.log = None;
        (self.flash, self.opened) = (flash, opened);
        self.boot();
        match self.breach {
            Some(Breach::ReusesPositions) => {}
            Some(Breach::Renumbers) => {
                let epoch = self.next_epoch();
                let kept: Vec<u64> = self.truth_held();
                self.first_epoch = epoch;
                self.log = None;
                self.format_flash();
                self.boot();
                for fact in kept {
                    let log = self.log.as_mut().unwrap();
                    let mut root = log.load_or_new::<Facts>(StreamId(fact % STREAMS)).unwrap();
                    if log.execute(&mut root, |_| Ok::<_, ()>([fact.to_le_bytes()])).is_err() {
                        break;
                    }
                }
                self.note_truth();
            }
            _ => {
                let (epoch, base) = (self.next_epoch(), self.log.as_ref().unwrap().bounds().next);
                // More epochs than a HEAD tells, or two that begin alike: the log begins anew.
                if self.opened.len() >= 2 || self.opened.last().is_some_and(|(_, last)| *last >= base) || base.0 == 1 {
                    self.first_epoch = epoch;
                    self.log = None;
                    self.format_flash();
                } else {
                    self.opened.push((epoch, base));
                }
                self.boot();
            }
        }
    }

    fn truth_held(&mut self) -> Vec<u64> {
        let bounds = self.log.as_ref().unwrap().bounds();
        (bounds.first.0..bounds.next.0)
            .filter_map(|position| self.truth.get(&(self.epoch_of(Position(position)), Position(position))).copied())
            .collect()
    }

    fn restart_collector(&mut self) {
        self.nonce = self.nonce.wrapping_add(1 << 20);
        let mut config = SinkConfig::new(LogId(0));
        config.nonce = self.nonce;
        config.credit = 1 + self.rng.below(8) as u32;
        config.commit_every = 1 + self.rng.below(20);
        config.prove_at_most = 1 + self.rng.below(60);
        (config.timeout_us, config.quiet_us) = (60, 15);
        config.limit = [0, 50, 70][self.rng.below(3) as usize];
        let room = [0, 60, 200, 1000][self.rng.below(4) as usize];
        self.sink = Sink::with_room(config, vec![0; room]);
        self.sink.broken = self.broken();
    }

    fn step(&mut self) {
        match self.rng.below(1000) {
            0..260 => self.record(),
            260..400 => self.maintain(),
            400..408 => self.format(),
            408..440 => self.copy(),
            440..452 => self.set_back(),
            452..470 => self.boot(),
            470..485 => self.restart_collector(),
            485..505 => self.shelf.fails = Some(self.rng.percent(50)),
            505..580 => self.sink.pull(),
            _ => self.now += self.rng.below(25),
        }
        self.carry();
    }

    fn carry(&mut self) {
        let mut frame = [0; 144];
        while let Some(len) = self.sink.poll(&mut self.shelf, self.now, &mut frame).unwrap_or_default() {
            self.down.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
        }
        while let Some(arrived) = self.down.receive(self.now) {
            self.maybe_cut(3);
            let (records, scratch) = self.log.as_mut().unwrap().parts();
            let heard = self.source.handle(records, scratch, &arrived);
            if matches!(heard, Ok(Heard::Committed(_))) && self.breach == Some(Breach::SendsUndurable) {
                continue;
            }
            while let Ok(Some(len)) = self.source.poll(records, scratch, &mut frame) {
                if let Some((first, last)) = crate::wire::peek_section(&frame[..len]) {
                    let opened = self.opened.iter().rev().find(|(_, base)| *base <= first);
                    let epoch = opened.map_or(self.first_epoch, |(epoch, _)| *epoch);
                    let known = self.sections.entry((epoch, first, last)).or_insert_with(|| frame[..len].to_vec());
                    let same = *known == frame[..len];
                    // A rule that is broken on purpose breaks this too.
                    assert!(same || self.breach.is_some(), "the same section has other bytes (I9)");
                }
                self.up.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
            }
            self.flash.disarm();
            self.survive();
        }
        while let Some(mut arrived) = self.up.receive(self.now) {
            let _ = self.sink.handle(&mut self.shelf, self.now, &mut arrived);
        }
    }

    fn check(&mut self) -> Result<(), &'static str> {
        self.shelf.check(&self.truth)?;
        let bounds = self.log.as_ref().unwrap().bounds();
        let stored = |epoch: Epoch| self.shelf.cursors.get(&epoch).copied().unwrap_or_default();
        // What is let go has been stored or declared, if nothing unacknowledged may be overwritten (I6).
        let tracked = self.log.as_ref().unwrap().tracked(UPLINK);
        for (epoch, position) in self.truth.keys() {
            let held = self.epoch_of(*position) == *epoch;
            let safe = matches!(self.retention, Retention::OverwriteAcknowledged(_)) && *position < bounds.first;
            if held && (safe || *position <= tracked) && stored(*epoch) < *position {
                if std::env::var_os("S_DEBUG").is_some() { println!("{epoch} {position} {:?} tracked {tracked} opened {:?} first {} shelf {:?} {:?} work {:?}", bounds, self.opened, self.first_epoch, self.shelf.cursors, self.retention, self.work); }
                return Err("the device has let go, or takes for safe, what is not stored");
            }
        }
        // What both have under one name is the same.
        let log = self.log.as_mut().unwrap();
        let mut seen = bounds.first.previous();
        while let Some(next) = log.next_notification(seen).map_err(|_| "the log cannot be read")? {
            seen = next.last();
            let Some(record) = next.record() else { continue };
            let opened = self.opened.iter().rev().find(|(_, base)| *base <= seen);
            let epoch = opened.map_or(self.first_epoch, |(epoch, _)| *epoch);
            let row = self.shelf.rows.get(&epoch).and_then(|rows| rows.get(seen.0 as usize - 1));
            if row.is_some_and(|(_, row)| *row != Row::Lost && *row != Row::Event(fact(record))) {
                return Err("store and device name different events alike");
            }
        }
        Ok(())
    }

    /// Faults stop: everything must arrive, in bounded time.
    fn finish(&mut self) -> Result<(), &'static str> {
        self.faulty = false;
        self.shelf.fails = None;
        let end = self.now + 50_000;
        while self.now < end {
            self.sink.pull();
            self.now += 5;
            self.carry();
            let last = self.log.as_ref().unwrap().bounds().last();
            let epoch = self.source.identity().epoch;
            let stored = self.shelf.cursors.get(&epoch).copied().unwrap_or_default();
            let tracked = self.log.as_ref().unwrap().tracked(UPLINK);
            if (stored >= last || last == Position::START) && tracked == last {
                return self.check();
            }
        }
        if std::env::var_os("S_DEBUG").is_some() {
            let log = self.log.as_mut().unwrap();
            println!("{:?} tracked {:?} shelf {:?} lives {:?} {:?} {:?} records {:?}", log.bounds(), log.tracked(UPLINK), self.shelf.cursors, self.source.lives().as_slice(), self.sink, self.retention, self.flash.is_powered());
            let mut frame = [0; 144];
            self.sink.pull();
            for _ in 0..60 {
                self.now += 5;
                while let Some(len) = self.sink.poll(&mut self.shelf, self.now, &mut frame).unwrap_or_default() {
                    println!("sink: {:?}", Message::parse(&frame[..len], self.sink.identity().as_ref()));
                    let (records, scratch) = self.log.as_mut().unwrap().parts();
                    println!("   {:?}", self.source.handle(records, scratch, &frame[..len]));
                    loop { match self.source.poll(records, scratch, &mut frame) {
                        Ok(Some(len)) => { println!("   source: {:?}", Message::parse(&frame[..len], self.sink.identity().as_ref())); let _ = self.sink.handle(&mut self.shelf, self.now, &mut frame[..len]); }
                        other => { println!("   poll {other:?}"); break; }
                    } }
                }
            }
        }
        Err("not everything arrived")
    }
}

fn run(seed: u64, breach: Option<Breach>) -> (Result<(), &'static str>, Work) {
    let mut world = World::new(seed, breach);
    for _ in 0..STEPS {
        world.step();
        if let Err(violation) = world.check() {
            return (Err(violation), world.work);
        }
    }
    let ended = world.finish();
    world.flash.assert_no_violations();
    (ended, world.work)
}

/// How many runs: `EVENKEEL_MODEL_RUNS` says otherwise.
fn runs(usually: u64) -> u64 {
    std::env::var("EVENKEEL_MODEL_RUNS").ok().map_or(usually, |runs| runs.parse().unwrap())
}

#[test]
fn on_real_flash_with_cuts_nothing_is_violated_and_everything_arrives() {
    let mut sum = Work::default();
    let runs = runs(200);
    for seed in 1..=runs {
        let (outcome, work) = run(seed, None);
        assert_eq!(outcome, Ok(()), "seed {seed}");
        sum.events += work.events;
        sum.cuts += work.cuts;
        sum.formats += work.formats;
        sum.set_back += work.set_back;
        sum.let_go += work.let_go;
    }
    println!("{runs} runs: {sum:?}");
    assert!(sum.events > 40 * runs && sum.cuts > 3 * runs && sum.set_back > runs / 5 && sum.let_go > runs, "{sum:?}");
}

#[test]
fn on_real_flash_every_broken_rule_is_noticed() {
    use crate::rules::Rule;

    let breaches = [
        Breach::Rule(Rule::DropDuplicates),
        Breach::Rule(Rule::Contiguous),
        Breach::Rule(Rule::CommitOfEpoch),
        Breach::FormatKeepsEpoch,
        Breach::ReusesPositions,
        Breach::Renumbers,
        Breach::CursorApart,
    ];
    for breach in breaches {
        let noticed = (1..=10_000).find_map(|seed| run(seed, Some(breach)).0.err().map(|violation| (seed, violation)));
        println!("{breach:?}: {noticed:?}");
        assert!(noticed.is_some(), "{breach:?}");
    }
}

/// A copy of the flash on another board: the same names, other events. Nothing is let go there, and the sink stops.
#[test]
fn a_copied_flash_is_found_out() {
    let mut world = World::new(1, None);
    world.faulty = false;
    (0..6).for_each(|_| world.record());
    let copy = world.flash.fork();
    (0..4).for_each(|_| world.record());
    let until_stored = |world: &mut World| {
        for _ in 0..2_000 {
            world.now += 5;
            world.carry();
            world.sink.pull();
        }
    };
    // The collector has the first board's events; the second board goes on from the copy with others.
    let last = world.log.as_ref().unwrap().bounds().last();
    until_stored(&mut world);
    assert_eq!(world.shelf.cursors[&world.first_epoch], last);
    world.flash = copy;
    world.boot();
    while world.log.as_ref().unwrap().bounds().last() <= last {
        world.record();
    }
    let tracked = world.log.as_ref().unwrap().tracked(UPLINK);
    world.restart_collector();
    let mut said = Vec::new();
    for _ in 0..200 {
        world.now += 20;
        let mut frame = [0; 144];
        while let Some(len) = world.sink.poll(&mut world.shelf, world.now, &mut frame).unwrap() {
            let (records, scratch) = world.log.as_mut().unwrap().parts();
            world.source.handle(records, scratch, &frame[..len]).unwrap();
            while let Some(len) = world.source.poll(records, scratch, &mut frame).unwrap() {
                if let Ok(Message::Err { refusal, .. }) = Message::parse(&frame[..len], world.sink.identity().as_ref()) {
                    said.push(refusal);
                }
                let _ = world.sink.handle(&mut world.shelf, world.now, &mut frame[..len]);
            }
        }
    }
    assert!(said.iter().any(|refusal| matches!(refusal, Refusal::Diverged { .. })), "{said:?}");
    assert!(matches!(world.sink.phase(), crate::Phase::Halted(crate::Halt::Diverged { .. })), "{:?}", world.sink.phase());
    assert_eq!(world.log.as_ref().unwrap().tracked(UPLINK), tracked, "nothing is let go");
    let _ = Plain;
}
