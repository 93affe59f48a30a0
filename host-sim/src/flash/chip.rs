//! The chip itself: memory, the rules of NOR flash, counters, time and power.
//!
//! Geometry is a value here and a type only in the handle, so this code is compiled once.

use super::counters::Counters;
use super::error::{FlashOp, SimError, Violation};
use super::failures::{Failures, Leaves};
use super::faults::{Cut, TornErase, TornPage, TornWord, WeakRead};
use super::overlay::{Overlay, WeakPlace};
use super::profile::ChipProfile;
use super::words::WordSet;
use crate::clock::VirtualClock;
use crate::rng::Rng;

/// Where a power cut struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// The number of the cut point among all of this chip's, from 0.
    pub point: u64,
    /// [`FlashOp::Write`] for the programming of a word, [`FlashOp::Erase`] for that of a sector.
    pub op: FlashOp,
    /// Byte offset of that word or sector.
    pub offset: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Chip {
    pub(super) profile: ChipProfile,
    pub(super) memory: Vec<u8>,
    programmed: WordSet,
    pub(super) overlay: Overlay,
    pub(super) failures: Failures,
    pub(super) counters: Counters,
    pub(super) erase_counts: Vec<u32>,
    pub(super) violations: Vec<Violation>,
    pub(super) endurance: Option<u32>,
    pub(super) clock: Option<VirtualClock>,
    operations: u64,
    pub(super) points: u64,
    powered: bool,
    /// The armed cut, with the number of the point it waits for.
    armed: Option<(u64, Cut)>,
    /// Cuts to arm at the next power-ons.
    pub(super) later: std::collections::VecDeque<Cut>,
    pub(super) struck: Option<Struck>,
    pub(super) rng: Rng,
}

impl Chip {
    pub(super) fn new(profile: ChipProfile, memory: Vec<u8>) -> Self {
        let sectors = memory.len() / profile.sector;
        let mut chip = Self {
            profile,
            memory: Vec::new(),
            programmed: WordSet::new(0),
            overlay: Overlay::default(),
            failures: Failures::default(),
            counters: Counters::default(),
            erase_counts: vec![0; sectors],
            violations: Vec::new(),
            endurance: None,
            clock: None,
            operations: 0,
            points: 0,
            powered: true,
            armed: None,
            later: std::collections::VecDeque::new(),
            struck: None,
            rng: Rng::from_seed(0),
        };
        chip.load(memory);
        chip
    }

    /// Replaces the content; words that are not erased count as programmed.
    pub(super) fn load(&mut self, memory: Vec<u8>) {
        let word = self.profile.word;
        self.programmed = WordSet::new(memory.len() / word);
        for (index, cells) in memory.chunks_exact(word).enumerate() {
            if cells.iter().any(|&byte| byte != 0xFF) {
                self.programmed.insert(index, index + 1);
            }
        }
        self.memory = memory;
        self.overlay = Overlay::default();
    }

    // Power.

    pub(super) fn is_powered(&self) -> bool {
        self.powered
    }

    pub(super) fn arm(&mut self, cut: Option<Cut>) {
        self.armed = cut.map(|cut| (self.points.saturating_add(cut.after), cut));
    }

    pub(super) fn armed(&self) -> Option<Cut> {
        self.armed.map(|(_, cut)| cut)
    }

    pub(super) fn cut_now(&mut self) {
        self.powered = false;
        self.armed = None;
    }

    pub(super) fn power_on(&mut self) {
        if self.powered {
            return;
        }
        self.powered = true;
        self.overlay.power_on();
        if let Some(next) = self.later.pop_front() {
            self.arm(Some(next));
        }
    }

    /// Passes a cut point: the cut that strikes here, if one does.
    fn pass_point(&mut self, op: FlashOp, offset: usize) -> Option<Cut> {
        let point = self.points;
        self.points += 1;
        let (_, cut) = self.armed.filter(|&(at, _)| at == point)?;
        self.cut_now();
        self.struck = Some(Struck { point, op, offset: offset as u32 });
        self.rng = Rng::from_seed(cut.seed);
        Some(cut)
    }

    // Checks that all calls share.

    /// Counts a call and checks power, bounds and alignment of `offset` and `len`.
    fn begin(&mut self, op: FlashOp, offset: u32, len: usize, unit: usize) -> Result<usize, SimError> {
        if !self.powered {
            return Err(SimError::PowerLost);
        }
        self.operations += 1;
        match op {
            FlashOp::Read => self.counters.read_calls += 1,
            FlashOp::Write => self.counters.write_calls += 1,
            FlashOp::Erase => {}
        }
        let at = offset as usize;
        let error = if at > self.memory.len() || len > self.memory.len() - at {
            SimError::OutOfBounds
        } else if !at.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            SimError::NotAligned
        } else {
            return Ok(at);
        };
        Err(self.violate(error, op, at, len))
    }

    fn violate(&mut self, error: SimError, op: FlashOp, offset: usize, len: usize) -> SimError {
        let clamp = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        self.violations.push(Violation {
            error,
            op,
            offset: clamp(offset),
            len: clamp(len),
            operation: self.operations.saturating_sub(1),
        });
        error
    }

    fn spend(&mut self, op: FlashOp, ns: u64) {
        match op {
            FlashOp::Read => self.counters.read_ns += ns,
            FlashOp::Write => self.counters.program_ns += ns,
            FlashOp::Erase => self.counters.erase_ns += ns,
        }
        if let Some(clock) = &self.clock {
            clock.advance_ns(ns);
        }
    }

    // Reads.

    pub(super) fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        let at = self.begin(FlashOp::Read, offset, bytes.len(), self.profile.read)?;
        let to = at + bytes.len();
        if self.failures.strikes(FlashOp::Read, at, to) {
            return Err(SimError::Injected);
        }
        self.counters.read_bytes += bytes.len() as u64;
        self.spend(FlashOp::Read, self.profile.read_call_ns + self.profile.read_byte_ns * bytes.len() as u64);
        bytes.copy_from_slice(&self.memory[at..to]);
        if !self.overlay.is_empty() {
            if self.overlay.fails_ecc(at, to, self.profile.word) {
                // What the bus saw of a word that fails its check is nothing to rely on.
                self.rng.fill(bytes);
                return Err(SimError::Ecc);
            }
            self.overlay.read(at, bytes, self.profile.word, &mut self.rng);
        }
        Ok(())
    }

    // Programming.

    pub(super) fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let at = self.begin_write(offset, bytes)?;
        let words = bytes.len() / self.profile.word;
        let mut index = 0;
        while index < words {
            index += self.program(at, bytes, index, words - index)?;
        }
        Ok(())
    }

    /// Checks a write call as a whole, before any word of it is programmed.
    pub(super) fn begin_write(&mut self, offset: u32, bytes: &[u8]) -> Result<usize, SimError> {
        let word = self.profile.word;
        let at = self.begin(FlashOp::Write, offset, bytes.len(), word)?;
        let to = at + bytes.len();
        self.refuse_second_program(at, to)?;
        if self.failures.strikes(FlashOp::Write, at, to) {
            let words = bytes.len() / word;
            let done = match self.failures.leaves {
                Leaves::Nothing => 0,
                Leaves::Part => words.div_ceil(2),
                Leaves::All => words,
            };
            let mut index = 0;
            while index < done {
                index += self.program(at, bytes, index, done - index)?;
            }
            return Err(SimError::Injected);
        }
        Ok(at)
    }

    fn refuse_second_program(&mut self, at: usize, to: usize) -> Result<(), SimError> {
        let word = self.profile.word;
        let mut from = at / word;
        while let Some(index) = self.programmed.first_in(from, to / word) {
            // A word that reads erased but is weak cannot be known for one: programming it is the caller's bad luck.
            let weak = self.overlay.weak_at(index * word, word);
            if !weak.is_some_and(|place| place.may_read_erased()) {
                return Err(self.violate(SimError::ProgrammedTwice, FlashOp::Write, index * word, to - at));
            }
            from = index + 1;
        }
        Ok(())
    }

    /// Programs at most `limit` words of the write call `bytes` at `at`, from its word `index` on: as many as can be
    /// done at once, one at least. Returns how many.
    pub(super) fn program(&mut self, at: usize, bytes: &[u8], index: usize, limit: usize) -> Result<usize, SimError> {
        if !self.powered {
            return Err(SimError::PowerLost);
        }
        let word = self.profile.word;
        let until_cut = self.armed.map_or(u64::MAX, |(point, _)| point.saturating_sub(self.points));
        let bulk = limit.min(usize::try_from(until_cut).unwrap_or(usize::MAX));
        let count = bulk.max(1);
        let (from, to) = (at + index * word, at + (index + count) * word);
        self.counters.words_programmed += count as u64;
        self.counters.bytes_programmed += (count * word) as u64;
        self.spend(FlashOp::Write, self.program_time_ns(at, from, to));
        if bulk == 0 {
            if let Some(cut) = self.pass_point(FlashOp::Write, from) {
                self.tear_program(at, bytes, index, cut);
                return Err(SimError::PowerLost);
            }
        } else {
            self.points += count as u64;
        }
        self.keep_weak(from, &bytes[index * word..(index + count) * word]);
        self.programmed.insert(from / word, to / word);
        for (cell, byte) in self.memory[from..to].iter_mut().zip(&bytes[index * word..]) {
            *cell &= byte;
        }
        Ok(count)
    }

    fn program_time_ns(&self, call: usize, from: usize, to: usize) -> u64 {
        let (page, word) = (self.profile.program_page, self.profile.word);
        let boundaries = (to - 1) / page - from / page;
        let opening = usize::from(from == call || from.is_multiple_of(page));
        self.profile.program_call_ns * (boundaries + opening) as u64
            + self.profile.program_word_ns * ((to - from) / word) as u64
    }

    /// Programming on top of a weak word leaves it weak, even though it may seem right at first.
    fn keep_weak(&mut self, at: usize, bytes: &[u8]) {
        if self.overlay.weak_places() == 0 {
            return;
        }
        let word = self.profile.word;
        for (index, data) in bytes.chunks_exact(word).enumerate() {
            let at = at + index * word;
            let Some(place) = self.overlay.weak_at(at, word) else { continue };
            let how = if place.how == WeakRead::ReadsErased { WeakRead::ReadsComplete } else { place.how };
            let mut full = data.to_vec();
            for (offset, byte) in full.iter_mut().enumerate() {
                let was = (at + offset).checked_sub(place.at).and_then(|within| place.full.get(within));
                *byte &= was.copied().unwrap_or(0xFF);
            }
            self.counters.weak_programs += 1;
            self.overlay.add(WeakPlace::new(at, full, how, &mut self.rng));
        }
    }

    fn tear_program(&mut self, at: usize, bytes: &[u8], index: usize, cut: Cut) {
        let word = self.profile.word;
        let page = match cut.page {
            TornPage::InOrder => word,
            TornPage::Subset => self.profile.program_page.max(word),
        };
        let hit = at + index * word;
        let from = (hit / page * page).max(at);
        let to = (hit / page * page + page).min(at + bytes.len());
        let command = bytes[from - at..to - at].to_vec();
        self.keep_weak(hit, &bytes[hit - at..hit - at + word]);
        for (offset, &target) in command.iter().enumerate() {
            let byte = from + offset;
            let kept = match cut.page {
                // Nothing was programmed here before this command: its cells were erased.
                TornPage::Subset => match self.rng.below(4) {
                    0 => 0xFF,
                    1 | 2 => target,
                    _ => target | self.rng.next_u8(),
                },
                TornPage::InOrder => match cut.word {
                    TornWord::None => 0xFF,
                    TornWord::All => target,
                    TornWord::BytePrefix(prefix) if offset < usize::from(prefix) => target,
                    TornWord::BytePrefix(_) => 0xFF,
                    TornWord::RandomBits => target | self.rng.next_u8(),
                },
            };
            self.memory[byte] = if self.is_new(byte, hit, cut.page) { kept } else { self.memory[byte] & kept };
        }
        self.mark_torn(from, to, &command, cut.weak);
    }

    /// Whether the byte's cells were erased before the interrupted command.
    fn is_new(&self, byte: usize, hit: usize, page: TornPage) -> bool {
        page == TornPage::Subset && byte < hit && self.overlay.weak_at(byte, 1).is_none()
    }

    fn mark_torn(&mut self, from: usize, to: usize, target: &[u8], weak: WeakRead) {
        let word = self.profile.word;
        for at in (from..to).step_by(word) {
            let erased = self.memory[at..at + word].iter().all(|&byte| byte == 0xFF);
            let uncertain = weak != WeakRead::Off || self.overlay.weak_at(at, word).is_some();
            if erased && !uncertain {
                self.programmed.remove(at / word, at / word + 1);
            } else {
                self.programmed.insert(at / word, at / word + 1);
            }
            if weak != WeakRead::Off {
                let mut full = target[at - from..at - from + word].to_vec();
                if let Some(place) = self.overlay.weak_at(at, word) {
                    for (offset, byte) in full.iter_mut().enumerate() {
                        let was = (at + offset).checked_sub(place.at).and_then(|within| place.full.get(within));
                        *byte &= was.copied().unwrap_or(0xFF);
                    }
                }
                self.overlay.add(WeakPlace::new(at, full, weak, &mut self.rng));
            }
        }
    }

    // Erasing.

    pub(super) fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let (mut at, to) = self.begin_erase(from, to)?;
        while at < to {
            self.erase_sector(at)?;
            at += self.profile.sector;
        }
        Ok(())
    }

    /// Checks an erase call as a whole, before any sector of it is erased.
    pub(super) fn begin_erase(&mut self, from: u32, to: u32) -> Result<(usize, usize), SimError> {
        if from > to && self.powered {
            self.operations += 1;
            return Err(self.violate(SimError::OutOfBounds, FlashOp::Erase, from as usize, 0));
        }
        let len = to.saturating_sub(from) as usize;
        let at = self.begin(FlashOp::Erase, from, len, self.profile.sector)?;
        if self.failures.strikes(FlashOp::Erase, at, at + len) {
            let sectors = len / self.profile.sector;
            let done = match self.failures.leaves {
                Leaves::Nothing => 0,
                Leaves::Part => sectors / 2,
                Leaves::All => sectors,
            };
            for index in 0..done {
                self.erase_sector(at + index * self.profile.sector)?;
            }
            return Err(SimError::Injected);
        }
        Ok((at, at + len))
    }

    pub(super) fn erase_sector(&mut self, at: usize) -> Result<(), SimError> {
        if !self.powered {
            return Err(SimError::PowerLost);
        }
        let sector = at / self.profile.sector;
        if self.endurance.is_some_and(|limit| self.erase_counts[sector] >= limit) {
            return Err(SimError::WornOut);
        }
        self.counters.erases += 1;
        self.erase_counts[sector] += 1;
        self.spend(FlashOp::Erase, self.profile.erase_ns);
        if let Some(cut) = self.pass_point(FlashOp::Erase, at) {
            self.tear_erase(at, cut);
            return Err(SimError::PowerLost);
        }
        self.blank(at);
        Ok(())
    }

    fn blank(&mut self, at: usize) {
        let (to, word) = (at + self.profile.sector, self.profile.word);
        self.memory[at..to].fill(0xFF);
        self.programmed.remove(at / word, to / word);
        self.overlay.erase(at, to);
    }

    /// An interrupted erase does not make its words programmable again, even where they read erased: only a whole
    /// erase does.
    fn tear_erase(&mut self, at: usize, cut: Cut) {
        let (sector, word) = (self.profile.sector, self.profile.word);
        let to = at + sector;
        let before = self.memory[at..to].to_vec();
        let (changed, weak) = match cut.erase {
            TornErase::Complete => return self.blank(at),
            TornErase::Unchanged => (0, WeakRead::Off),
            TornErase::ErasedUpTo(part) => {
                let bytes = (sector * usize::from(part) / 256) / word * word;
                self.memory[at..at + bytes].fill(0xFF);
                (bytes, cut.weak)
            }
            TornErase::RandomBits => {
                for cell in &mut self.memory[at..to] {
                    *cell |= self.rng.next_u8();
                }
                (sector, cut.weak)
            }
            TornErase::WeakBlank => {
                self.memory[at..to].fill(0xFF);
                let how = if cut.weak == WeakRead::Off { WeakRead::ReadsErased } else { cut.weak };
                (sector, how)
            }
        };
        if weak != WeakRead::Off && changed > 0 {
            self.overlay.add(WeakPlace::new(at, before[..changed].to_vec(), weak, &mut self.rng));
        }
    }
}
