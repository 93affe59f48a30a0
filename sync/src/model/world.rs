//! One device, one link, one collector, and what is known to be true.

use std::collections::BTreeMap;

use evenkeel_core::scratch::Scratch;
use evenkeel_core::section::SectionReader;
use evenkeel_core::{Epoch, LogId, Position, Record, RecordManager, Version};

use super::device::{UPLINK, fact, record_of};
use super::{Breach, Device, Rng};
use crate::rules::Broken;
use crate::{Piece, Sink, SinkConfig, SinkStore, Source, SourceIdentity};

/// What the store has at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    Event(u64),
    Lost,
}

/// The collector's disk: rows as they were inserted, and the cursors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    pub(crate) rows: BTreeMap<Epoch, Vec<(Position, Row)>>,
    pub(crate) cursors: BTreeMap<Epoch, Position>,
    /// The next `apply` fails: before anything is stored (`false`), or after all of it is (`true`).
    pub(crate) fails: Option<bool>,
    pub(crate) apart: bool,
    pub(crate) versions: BTreeMap<(Epoch, Position), Version>,
}

#[derive(Debug)]
pub(crate) struct DiskFull;

impl SinkStore for Shelf {
    type Error = DiskFull;

    fn cursor(&mut self, identity: &SourceIdentity) -> Result<Position, DiskFull> {
        Ok(self.cursors.get(&identity.epoch).copied().unwrap_or_default())
    }

    fn apply(&mut self, identity: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, DiskFull> {
        let fails = self.fails.take();
        if fails == Some(false) && !self.apart {
            return Err(DiskFull);
        }
        let stored = self.cursor(identity)?;
        if stored != after {
            return Ok(stored);
        }
        let rows = self.rows.entry(identity.epoch).or_default();
        match *piece {
            Piece::Events { first, bytes, .. } => {
                for event in SectionReader::new(first, bytes).map(Result::unwrap) {
                    let position = event.position.unwrap();
                    if position > after {
                        self.versions.insert((identity.epoch, position), event.version);
                        rows.push((position, Row::Event(fact(&event))));
                    }
                }
            }
            Piece::Gap { first, last, .. } => {
                let positions = first.0.max(after.next().0)..=last.0;
                rows.extend(positions.map(|position| (Position(position), Row::Lost)));
            }
        }
        if fails == Some(false) {
            return Err(DiskFull);
        }
        self.cursors.insert(identity.epoch, piece.last());
        if fails.is_some() { Err(DiskFull) } else { Ok(piece.last()) }
    }

    fn replay(
        &mut self,
        identity: &SourceIdentity,
        after: Position,
        to: Position,
        show: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Position, DiskFull> {
        let rows = self.rows.get(&identity.epoch).map(Vec::as_slice).unwrap_or_default();
        let newest: Vec<_> = rows.iter().filter(|(at, _)| *at > after && *at <= to).collect();
        let run = newest.iter().rev().take_while(|(_, row)| *row != Row::Lost).count();
        for (position, row) in &newest[newest.len() - run..] {
            if let Row::Event(fact) = row {
                let version = self.versions[&(identity.epoch, *position)];
                show(&record_of(*fact, version, *position, &fact.to_le_bytes()));
            }
        }
        Ok(Position(to.0 - run as u64))
    }
}

impl Shelf {
    /// Below each cursor every position has one row, of what was durable under that name, and no fact is there twice.
    pub(crate) fn check(&self, truth: &BTreeMap<(Epoch, Position), u64>) -> Result<(), &'static str> {
        let mut facts = Vec::new();
        for (epoch, rows) in &self.rows {
            let cursor = self.cursors.get(epoch).copied().unwrap_or_default();
            if rows.len() as u64 != cursor.0 {
                return Err("below the cursor not every position has one row");
            }
            for (index, (position, row)) in rows.iter().enumerate() {
                if position.0 != index as u64 + 1 {
                    return Err("rows are not contiguous");
                }
                if let Row::Event(fact) = row {
                    facts.push(*fact);
                    if truth.get(&(*epoch, *position)) != Some(fact) {
                        return Err("an event is stored that was not durable under this name");
                    }
                }
            }
        }
        facts.sort_unstable();
        if facts.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a fact is stored twice");
        }
        Ok(())
    }
}

/// Frames under way in one direction.
#[derive(Debug, Default)]
pub(crate) struct Air(Vec<(u64, Vec<u8>)>);

impl Air {
    pub(crate) fn send(&mut self, rng: &mut Rng, faulty: bool, now: u64, frame: &[u8]) {
        if !faulty {
            return self.0.push((now + 1, frame.to_vec()));
        }
        let copies = if rng.percent(20) { 0 } else { 1 + u64::from(rng.percent(25)) };
        for _ in 0..copies {
            let mut frame = frame.to_vec();
            if rng.percent(3) {
                let bit = rng.below(frame.len() as u64 * 8) as usize;
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            // Most frames come soon; some come when nobody remembers them.
            let delay = if rng.percent(15) { rng.below(400) } else { rng.below(12) };
            self.0.push((now + delay, frame));
        }
    }

    pub(crate) fn receive(&mut self, now: u64) -> Option<Vec<u8>> {
        let (index, _) = self.0.iter().enumerate().filter(|(_, (at, _))| *at <= now).min_by_key(|(_, (at, _))| *at)?;
        Some(self.0.remove(index).1)
    }
}

pub(crate) struct World {
    rng: Rng,
    breach: Option<Breach>,
    /// Survives power loss.
    durable: Device,
    /// What was appended since and is not durable yet.
    volatile: Device,
    source: Source,
    epochs: u32,
    facts: u64,
    /// All that ever was durable.
    truth: BTreeMap<(Epoch, Position), u64>,
    pub(crate) shelf: Shelf,
    sink: Sink<Vec<u8>>,
    nonce: u32,
    up: Air,
    down: Air,
    pub(crate) now: u64,
    faulty: bool,
}

const DEVICE: u64 = 0xD0_0DAD;
pub(crate) const FRAME_BYTES: usize = 144;

fn identity(epochs: u32) -> SourceIdentity {
    // Without a source of random numbers the counter alone makes the epoch.
    SourceIdentity { device: DEVICE, log: LogId(0), epoch: Epoch::new(epochs, 0) }
}

impl World {
    pub(crate) fn new(seed: u64, breach: Option<Breach>) -> Self {
        let mut world = Self {
            rng: Rng::new(seed),
            breach,
            durable: Device::new(),
            volatile: Device::new(),
            source: Source::new(identity(1), UPLINK),
            epochs: 1,
            facts: 0,
            truth: BTreeMap::new(),
            shelf: Shelf { apart: breach == Some(Breach::CursorApart), ..Shelf::default() },
            sink: Sink::with_room(SinkConfig::new(LogId(0)), Vec::new()),
            nonce: 0,
            up: Air::default(),
            down: Air::default(),
            now: 0,
            faulty: true,
        };
        world.reboot();
        world.restart_collector();
        world
    }

    fn broken(&self) -> Broken {
        Broken { rule: if let Some(Breach::Rule(rule)) = self.breach { Some(rule) } else { None } }
    }

    /// One step of the run: something happens, or a little time goes by.
    pub(crate) fn step(&mut self) {
        match self.rng.below(1000) {
            0..300 => self.record(),
            300..450 => self.sync_to_disk(),
            450..470 => self.power_cut(),
            470..500 => self.overwrite(),
            500..505 => self.corrupt(),
            505..515 => self.format(),
            515..525 => self.lose_end(),
            525..540 => self.restart_collector(),
            540..560 => self.shelf.fails = Some(self.rng.percent(50)),
            560..620 => self.sink.pull(),
            _ => self.now += self.rng.below(25),
        }
        self.carry();
    }

    fn record(&mut self) {
        for _ in 0..=self.rng.below(6) {
            self.facts += 1;
            self.volatile.record(self.facts);
        }
    }

    fn sync_to_disk(&mut self) {
        self.durable = self.volatile.clone();
        for (index, fact) in self.durable.facts().into_iter().enumerate() {
            let position = Position(index as u64 + 1);
            self.truth.insert((self.source.identity().epoch, position), fact);
        }
    }

    fn power_cut(&mut self) {
        self.volatile = self.durable.clone();
        self.reboot();
    }

    fn reboot(&mut self) {
        self.source = Source::new(identity(self.epochs), UPLINK);
        self.source.broken = self.broken();
    }

    fn overwrite(&mut self) {
        let bounds = self.durable.bounds();
        self.volatile.trims = self.rng.percent(50);
        self.volatile.first = bounds.first.plus(self.rng.below(bounds.next.since(bounds.first) + 1));
        self.sync_to_disk();
    }

    fn corrupt(&mut self) {
        let last = self.durable.bounds().last();
        if last > Position::START {
            self.volatile.corrupt.push(Position(1 + self.rng.below(last.0)));
            self.sync_to_disk();
        }
    }

    fn open_epoch(&mut self) {
        self.epochs += 1;
        self.reboot();
    }

    fn format(&mut self) {
        self.volatile = Device::new();
        if self.breach != Some(Breach::FormatKeepsEpoch) {
            self.open_epoch();
        }
        self.sync_to_disk();
    }

    /// The end of the log, once durable, is gone. The model's device keeps one epoch: it begins anew.
    fn lose_end(&mut self) {
        let kept = self.durable.facts();
        let kept = &kept[..self.rng.below(kept.len() as u64 + 1) as usize];
        self.volatile = Device::new();
        match self.breach {
            Some(Breach::ReusesPositions) => kept.iter().for_each(|fact| self.volatile.record(*fact)),
            Some(Breach::Renumbers) => {
                kept.iter().for_each(|fact| self.volatile.record(*fact));
                self.open_epoch();
            }
            _ => self.open_epoch(),
        }
        self.sync_to_disk();
    }

    fn restart_collector(&mut self) {
        self.nonce = self.nonce.wrapping_add(1 << 20);
        let mut config = SinkConfig::new(LogId(0));
        config.nonce = self.nonce;
        config.credit = 1 + self.rng.below(8) as u32;
        config.commit_every = 1 + self.rng.below(20);
        (config.timeout_us, config.quiet_us) = (60, 15);
        config.limit = [0, 50, 70][self.rng.below(3) as usize];
        let room = [0, 60, 200, 1000][self.rng.below(4) as usize];
        self.sink = Sink::with_room(config, vec![0; room]);
        self.sink.broken = self.broken();
    }

    fn carry(&mut self) {
        let mut room = [0; 128];
        let mut scratch = Scratch::new(&mut room);
        let mut frame = [0; FRAME_BYTES];
        while let Some(len) = self.sink.poll(&mut self.shelf, self.now, &mut frame).unwrap() {
            self.down.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
        }
        while let Some(arrived) = self.down.receive(self.now) {
            // What a commit leads to is durable at once, with all that was appended before it.
            let undurable = self.breach == Some(Breach::SendsUndurable);
            if !undurable {
                let tracked = self.durable.tracked(UPLINK);
                self.source.handle(&mut self.durable, &mut scratch, &arrived).unwrap();
                if self.durable.tracked(UPLINK) != tracked {
                    self.track(self.durable.tracked(UPLINK));
                }
            } else {
                let tracked = self.volatile.tracked(UPLINK);
                self.source.handle(&mut self.volatile, &mut scratch, &arrived).unwrap();
                if self.volatile.tracked(UPLINK) != tracked {
                    self.sync_to_disk();
                }
            }
            let records = if undurable { &mut self.volatile } else { &mut self.durable };
            while let Some(len) = self.source.poll(records, &mut scratch, &mut frame).unwrap() {
                self.up.send(&mut self.rng, self.faulty, self.now, &frame[..len]);
            }
        }
        while let Some(mut arrived) = self.up.receive(self.now) {
            let _ = self.sink.handle(&mut self.shelf, self.now, &mut arrived);
        }
    }

    /// Brings a tracker that is durable into the log that has more.
    fn track(&mut self, position: Position) {
        let mut room = [0; 64];
        let mut scratch = Scratch::new(&mut room);
        let mut batch = scratch.batch(Device::HEADROOM);
        batch.track_from(UPLINK, self.volatile.tracked(UPLINK), position).unwrap();
        self.volatile.append(&mut batch).unwrap();
    }

    /// What must hold at any instant.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.shelf.check(&self.truth)?;
        let epoch = self.source.identity().epoch;
        let stored = self.shelf.cursors.get(&epoch).copied().unwrap_or_default();
        if self.durable.tracked(UPLINK) > stored {
            return Err("the device takes for safe what is not stored");
        }
        let held = self.durable.facts();
        let rows = self.shelf.rows.get(&epoch).map(Vec::as_slice).unwrap_or_default();
        if rows.iter().zip(&held).any(|((_, row), fact)| *row != Row::Lost && *row != Row::Event(*fact)) {
            return Err("store and device name different events alike");
        }
        Ok(())
    }

    /// Faults stop: everything must arrive, in bounded time.
    pub(crate) fn finish(&mut self) -> Result<(), &'static str> {
        self.faulty = false;
        self.shelf.fails = None;
        self.sync_to_disk();
        let end = self.now + 50_000;
        let epoch = self.source.identity().epoch;
        while self.now < end {
            self.sink.pull();
            self.now += 5;
            self.carry();
            self.check()?;
            let last = self.durable.bounds().last();
            let stored = self.shelf.cursors.get(&epoch).copied().unwrap_or_default();
            if stored == last && self.durable.tracked(UPLINK) == last {
                return Ok(());
            }
        }
        Err("not everything arrived")
    }

    /// How much of the work the run did: events, gaps and epochs in the store.
    pub(crate) fn work(&self) -> (u64, u64, u64) {
        let rows = || self.shelf.rows.values().flatten();
        let lost = rows().filter(|(_, row)| *row == Row::Lost).count() as u64;
        (rows().count() as u64 - lost, lost, self.shelf.rows.len() as u64)
    }
}
