//! The work that every system does, and what is counted in it.

mod append;
mod cold;
mod read;

pub use append::{Appended, append, appends};
pub use cold::{PLACES, cold};
pub use read::{Spread, acknowledge, iterate, load, section};

use crate::flash::CountingFlash;
use crate::systems::{Event, Setup, System, Which};

/// Upkeep is given a chance after so many events.
const UPKEEP_EVERY: u64 = 8;
/// All events so far are said to be seen after so many events.
const SEEN_EVERY: u64 = 256;
/// Bytes of scratch for single appends and for reading.
pub const SCRATCH: usize = 256;
/// Bytes of scratch for batches.
const BATCH_SCRATCH: usize = 2048;

/// What is stored, where, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// The system.
    pub which: Which,
    /// Number of sectors.
    pub sectors: usize,
    /// Bytes of each payload.
    pub payload: usize,
    /// Number of streams, which take turns.
    pub streams: u16,
    /// Events in one call of append.
    pub batch: u64,
    /// Bytes that one program command of the chip may touch.
    pub program_page: usize,
}

/// Counted figures with their names.
pub type Figures = Vec<(&'static str, f64)>;

impl Work {
    /// Single appends to one stream. Words of one byte are taken for SPI NOR with program pages of 256 bytes, larger
    /// ones for flash that is programmed word by word.
    #[must_use]
    pub const fn new(which: Which, sectors: usize, payload: usize, word: usize) -> Self {
        let program_page = if word == 1 { 256 } else { word };
        Self { which, sectors, payload, streams: 1, batch: 1, program_page }
    }

    /// The same with so many streams.
    #[must_use]
    pub const fn streams(self, streams: u16) -> Self {
        Self { streams, ..self }
    }

    /// The same with batches of so many events.
    #[must_use]
    pub const fn batch(self, batch: u64) -> Self {
        Self { batch, ..self }
    }

    fn open<const WORD: usize, const BYTES: usize>(
        &self,
        flash: &CountingFlash<WORD, BYTES>,
        blank: bool,
    ) -> Box<dyn System> {
        self.which.open(flash.clone(), self.setup(blank))
    }

    /// How a handle for this work is made.
    #[must_use]
    pub const fn setup(&self, blank: bool) -> Setup {
        let scratch = if self.batch > 1 { BATCH_SCRATCH } else { SCRATCH };
        Setup { scratch, payload: self.payload, program_page: self.program_page, blank }
    }
}

/// A source of events that takes turns between streams.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    payload: usize,
    streams: u16,
    batch: u64,
    calls: u64,
}

impl Source {
    /// The events of this work, from the first on.
    #[must_use]
    pub const fn new(work: &Work) -> Self {
        Self { payload: work.payload, streams: work.streams, batch: work.batch, calls: 0 }
    }

    /// The next call of append.
    pub fn append(&mut self, system: &mut dyn System) {
        let mut payload = [0; 512];
        if self.batch == 1 {
            system.append(&[self.event(self.calls, &mut payload)]);
        } else {
            let numbers = self.calls * self.batch..(self.calls + 1) * self.batch;
            let mut payloads = vec![payload; self.batch as usize];
            let events: Vec<_> = numbers.zip(&mut payloads).map(|(number, room)| self.event(number, room)).collect();
            system.append(&events);
        }
        self.calls += 1;
    }

    /// An event whose bytes differ from those of others.
    fn event<'p>(&self, number: u64, room: &'p mut [u8; 512]) -> Event<'p> {
        let payload = &mut room[..self.payload];
        let start = number.to_le_bytes();
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte = start[at % 8] ^ (at as u8);
        }
        let streams = u64::from(self.streams);
        Event { stream: (number % streams) as u16, version: (number / streams) as u32 + 1, payload }
    }

    /// What an application does when it has time.
    pub fn idle(&self, system: &mut dyn System) {
        let events = self.calls * self.batch;
        if events.is_multiple_of(SEEN_EVERY) {
            system.all_seen();
        }
        if events.is_multiple_of(UPKEEP_EVERY) {
            system.upkeep();
        }
    }

    /// Appends until `sectors` sectors have been used up since the store was made; of `ekv`, which erases more than
    /// it uses up, until it holds as many events as it may.
    fn fill<const WORD: usize, const BYTES: usize>(
        &mut self,
        work: &Work,
        system: &mut dyn System,
        flash: &CountingFlash<WORD, BYTES>,
        sectors: usize,
    ) {
        if work.which == Which::Ekv {
            let most = work.which.holds(work.sectors, self.payload) * sectors as u64 / work.sectors as u64;
            let single = Self { batch: self.batch, ..*self };
            self.batch = 64;
            while self.calls * 64 < most {
                self.append(system);
            }
            *self = Self { calls: self.calls * 64 / single.batch, ..single };
            return;
        }
        let start = flash.counters().erases;
        while flash.counters().erases - start < sectors as u64 {
            self.append(system);
            self.idle(system);
        }
    }
}

/// A store whose oldest events have given way.
fn full<const WORD: usize, const BYTES: usize>(work: &Work) -> (CountingFlash<WORD, BYTES>, Box<dyn System>, Source) {
    let flash = CountingFlash::blank(work.sectors);
    let mut system = work.open(&flash, true);
    let mut source = Source::new(work);
    source.fill(work, &mut *system, &flash, work.sectors + 4);
    (flash, system, source)
}
