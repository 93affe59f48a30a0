//! Seeded runs of random calls, cuts and flips on many geometries, against a model that knows only what is certain.

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use evenkeel_host_sim::flash::{ChipProfile, Cut, FlashOp, SimError, SimFlash, TornPage};
use evenkeel_host_sim::rng::Rng;

const SECTORS: usize = 3;

/// What a reader may rely on.
struct Model {
    word: usize,
    sector: usize,
    page: usize,
    /// Each byte's value, `None` where an interruption left it in doubt.
    bytes: Vec<Option<u8>>,
    /// Words that must not be programmed: some part of them was, for certain.
    used: Vec<bool>,
}

impl Model {
    fn new(word: usize, sector: usize, page: usize) -> Self {
        let len = sector * SECTORS;
        Self { word, sector, page, bytes: vec![Some(0xFF); len], used: vec![false; len / word] }
    }

    fn program(&mut self, at: usize, data: &[u8]) {
        for (offset, &byte) in data.iter().enumerate() {
            self.used[(at + offset) / self.word] = true;
            self.bytes[at + offset] = self.bytes[at + offset].map(|was| was & byte);
        }
    }

    fn doubt(&mut self, from: usize, to: usize) {
        self.bytes[from..to].fill(None);
    }

    fn erase(&mut self, sector: usize) {
        let (from, to) = (sector * self.sector, (sector + 1) * self.sector);
        self.bytes[from..to].fill(Some(0xFF));
        self.used[from / self.word..to / self.word].fill(false);
    }

    /// Words of an interrupted erase are in doubt, except those that were erased for certain.
    fn tear_erase(&mut self, sector: usize) {
        let (from, to) = (sector * self.sector, (sector + 1) * self.sector);
        for word in (from..to).step_by(self.word) {
            if self.bytes[word..word + self.word].iter().any(|byte| *byte != Some(0xFF)) {
                self.doubt(word, word + self.word);
            }
        }
    }

    fn is_in_doubt(&self, from: usize, to: usize) -> bool {
        let (from, to) = (from / self.word * self.word, to.div_ceil(self.word) * self.word);
        self.bytes[from..to].iter().any(Option::is_none)
    }
}

struct Run<const W: usize, const R: usize, const S: usize> {
    flash: SimFlash<W, R, S>,
    model: Model,
    rng: Rng,
    cut: Cut,
    log: Vec<u8>,
}

impl<const W: usize, const R: usize, const S: usize> Run<W, R, S> {
    fn new(seed: u64, page: usize) -> Self {
        let profile = ChipProfile::generic(W, R, S).with_program_page(page);
        Self {
            flash: SimFlash::new(&profile, SECTORS),
            model: Model::new(W, S, page),
            rng: Rng::from_seed(seed),
            cut: Cut::after(0),
            log: Vec::new(),
        }
    }

    fn range(&mut self, unit: usize, longest: usize) -> (usize, usize) {
        let units = S * SECTORS / unit;
        let from = self.rng.below(units as u64) as usize;
        let len = 1 + self.rng.below(longest.min(units - from) as u64) as usize;
        (from * unit, len * unit)
    }

    fn step(&mut self) {
        if !self.flash.is_powered() {
            self.flash.power_on();
        }
        if self.flash.armed().is_none() && self.rng.chance(0.2) {
            let after = self.rng.below(20);
            self.cut = Cut::random(after, W, &mut self.rng);
            self.flash.arm(self.cut);
        }
        match self.rng.below(8) {
            0 => self.erase(),
            1..=3 => self.write(),
            _ => self.read(),
        }
    }

    fn read(&mut self) {
        let (at, len) = self.range(R, 40);
        let mut bytes = vec![0; len];
        let result = self.flash.read(at as u32, &mut bytes);
        self.log.extend(&bytes);
        match result {
            Ok(()) => {
                for (offset, &byte) in bytes.iter().enumerate() {
                    assert!(self.model.bytes[at + offset].is_none_or(|known| known == byte), "byte {}", at + offset);
                }
            }
            Err(error) => {
                assert_eq!(error, SimError::Ecc);
                assert!(self.model.is_in_doubt(at, at + len));
            }
        }
    }

    fn write(&mut self) {
        let (at, len) = self.range(W, 6);
        let mut data = vec![0; len];
        self.rng.fill(&mut data);
        let words: Vec<usize> = (at..at + len).step_by(W).filter(|at| self.model.used[at / W]).collect();
        let certain = words.iter().any(|&at| !self.model.is_in_doubt(at, at + W));
        match self.flash.write(at as u32, &data) {
            Err(SimError::ProgrammedTwice) => assert!(!words.is_empty()),
            _ if certain => panic!("a word at {words:?} was programmed twice"),
            Ok(()) => self.model.program(at, &data),
            Err(SimError::PowerLost) => self.tear_write(at, &data),
            Err(error) => panic!("{error}"),
        }
    }

    fn tear_write(&mut self, at: usize, data: &[u8]) {
        let struck = self.flash.last_struck().unwrap();
        assert_eq!(struck.op, FlashOp::Write);
        let hit = struck.offset as usize;
        let (from, to) = match self.cut.page {
            TornPage::InOrder => (hit, hit + W),
            TornPage::Subset => {
                let page = hit / self.model.page * self.model.page;
                (page.max(at), (page + self.model.page).min(at + data.len()))
            }
        };
        self.model.program(at, &data[..to - at]);
        self.model.doubt(from, to);
    }

    fn erase(&mut self) {
        let (at, len) = self.range(S, 2);
        let result = self.flash.erase(at as u32, (at + len) as u32);
        for sector in at / S..(at + len) / S {
            if result == Err(SimError::PowerLost) && self.flash.last_struck().unwrap().offset as usize == sector * S {
                return self.model.tear_erase(sector);
            }
            self.model.erase(sector);
        }
        assert_eq!(result, Ok(()));
    }

    fn run(mut self) -> (Vec<u8>, Vec<u8>) {
        (0..300).for_each(|_| self.step());
        // The faults stop: after an erase nothing is left of them.
        self.flash.disarm();
        self.flash.power_on();
        self.flash.erase(0, (S * SECTORS) as u32).unwrap();
        assert_eq!(self.flash.weak_places(), 0);
        let mut all = vec![0; S * SECTORS];
        self.flash.read(0, &mut all).unwrap();
        assert!(all.iter().all(|&byte| byte == 0xFF));
        (self.log, self.flash.image())
    }
}

fn swarm<const W: usize, const R: usize, const S: usize>(page: usize) {
    for seed in 0..60 {
        let once = Run::<W, R, S>::new(seed, page).run();
        assert_eq!(once, Run::<W, R, S>::new(seed, page).run(), "seed {seed} does not replay");
    }
}

#[test]
fn words_of_one_byte() {
    swarm::<1, 1, 64>(1);
    swarm::<1, 1, 64>(16);
}

#[test]
fn words_of_two_and_four_bytes() {
    swarm::<2, 1, 64>(2);
    swarm::<4, 4, 64>(4);
    swarm::<4, 1, 256>(64);
}

#[test]
fn words_of_eight_and_more_bytes() {
    swarm::<8, 1, 256>(8);
    swarm::<16, 4, 256>(16);
    swarm::<32, 1, 1024>(32);
    swarm::<32, 32, 1024>(256);
}
