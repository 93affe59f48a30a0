//! Images of logs as this version of the format writes them, and what must be read from them.
//!
//! The committed ones under `tests/fixtures/v1` must be readable for ever, once the format is settled. They are made by
//! running the log, so only when the format changes do they, too: `EVENKEEL_BLESS=1 cargo test -p evenkeel-tests --test
//! fixtures` writes them anew.

use std::fmt::Write as _;

use evenkeel_core::Log;
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash, TornErase, TornWord};

use crate::contents::Contents;
use crate::life::{live, warmed};
use crate::oracle::{Oracle, SCRATCH, Step, identity, unmounted, workload};

/// A kind of flash: what the image of it is read with.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// What the files of it are called.
    pub name: &'static str,
    make: fn(Sort) -> Vec<u8>,
    list: fn(Vec<u8>) -> Result<String, String>,
}

/// What the log has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Formatted, and nothing else.
    New,
    /// Some events, streams, a snapshot and a tracker; stopped cleanly.
    Clean,
    /// Power failed in an append, within a word.
    Torn,
    /// That, then started again and worked on: twice.
    Recovered,
    /// Gone round its ring, stopped without a word.
    Wrapped,
    /// Power failed in an erase.
    HalfErased,
    /// Some bits of it are rotten: there are gaps.
    Gaps,
}

/// All of them.
pub const SORTS: [(Sort, &str); 7] = [
    (Sort::New, "new"),
    (Sort::Clean, "clean"),
    (Sort::Torn, "torn"),
    (Sort::Recovered, "recovered"),
    (Sort::Wrapped, "wrapped"),
    (Sort::HalfErased, "half-erased"),
    (Sort::Gaps, "gaps"),
];

macro_rules! shapes {
    ($($name:literal: $word:literal $read:literal $sector:literal x $sectors:literal page $page:literal;)*) => {
        &[$(Shape {
            name: $name,
            make: |sort| make::<$word, $read, $sector>($sectors, $page, sort),
            list: list::<$word, $read, $sector, $page>,
        }),*]
    };
}

/// Every size of words, with pages and without; the first four are those of the fuzz targets.
pub const SHAPES: &[Shape] = shapes! {
    "w4": 4 4 512 x 3 page 4;
    "w1-pages": 1 1 256 x 4 page 64;
    "w8": 8 1 512 x 4 page 8;
    "w32": 32 4 1024 x 3 page 32;
    "w1": 1 1 512 x 3 page 1;
    "w2": 2 1 512 x 3 page 2;
    "w16": 16 1 1024 x 3 page 16;
};

impl Shape {
    /// The image of a log that has been through this.
    ///
    /// # Panics
    /// If the log cannot be made.
    #[must_use]
    pub fn make(&self, sort: Sort) -> Vec<u8> {
        (self.make)(sort)
    }

    /// What is read from an image, as text.
    ///
    /// # Errors
    /// It cannot be mounted, or not be read.
    pub fn list(&self, image: Vec<u8>) -> Result<String, String> {
        (self.list)(image)
    }
}

fn list<const W: usize, const R: usize, const S: usize, const P: usize>(image: Vec<u8>) -> Result<String, String> {
    let profile = ChipProfile::generic(W, R, S).with_program_page(P);
    let flash = SimFlash::<W, R, S>::from_image(&profile, image);
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(unmounted(&flash), &mut scratch).map_err(|error| format!("mounting: {error}"))?;
    let contents = Contents::read(&mut log, &[0, 1, 2, u64::MAX - 3]).map_err(|error| format!("reading: {error}"))?;
    let id = log.records().identity();
    let mut text = String::new();
    let words = format!("words of {W} B, pages of {P} B, {} sectors of {S} B", flash.sectors());
    let _ = writeln!(text, "{words}; log {}, epoch {}", id.log, id.epoch);
    let _ = write!(text, "{contents}");
    Ok(text)
}

fn make<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize, sort: Sort) -> Vec<u8> {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let largest = S / 12;
    if matches!(sort, Sort::Wrapped | Sort::Gaps | Sort::HalfErased) {
        let (flash, mut oracle) = warmed::<W, R, S>(&profile, sectors, 2, (1, 7), largest);
        match sort {
            Sort::HalfErased => return cut_an_erase(&flash, &mut oracle, largest),
            Sort::Gaps => return rot(flash.image(), W, S),
            _ => {}
        }
        return flash.image();
    }
    let flash = SimFlash::<W, R, S>::new(&profile, sectors);
    unmounted(&flash).mount_or_format(identity(), &mut [0; SCRATCH]).expect("a blank chip can be formatted");
    let mut oracle = Oracle::default();
    let steps: Vec<_> = workload(2, 14, 4, largest).into_iter().filter(|step| *step != Step::Restart).collect();
    let boots = match sort {
        Sort::New => return flash.image(),
        Sort::Clean => {
            live(&flash, &mut oracle, &steps, &mut 0, false).expect("power is never cut");
            live(&flash, &mut oracle, &[Step::Restart], &mut 0, false).expect("power is never cut");
            return flash.image();
        }
        Sort::Torn => 1,
        _ => 3,
    };
    for boot in 0..boots {
        // In the third word of the last append; the last boot of a log that recovered is not cut off.
        let cut = Cut { word: TornWord::RandomBits, ..Cut::after(2) }.with_seed(boot);
        live(&flash, &mut oracle, &steps[..if boot == 0 { steps.len() } else { 2 }], &mut 0, false).expect("no cut");
        if sort == Sort::Recovered && boot + 1 == boots {
            break;
        }
        flash.arm(cut);
        let torn = live(&flash, &mut oracle, &[Step::Append(vec![(1, largest)])], &mut 0, false);
        assert!(torn.is_err(), "the append was never cut off");
        flash.power_on();
    }
    flash.image()
}

/// Works until power fails in an erase.
fn cut_an_erase<const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    oracle: &mut Oracle,
    largest: usize,
) -> Vec<u8> {
    for after in 0..4000 {
        let (fork, mut oracle) = (flash.fork(), oracle.clone());
        fork.arm(Cut { erase: TornErase::ErasedUpTo(100), ..Cut::after(after) });
        let steps = workload(5, 60, 4, largest);
        let cut = live(&fork, &mut oracle, &steps, &mut 0, false).is_err();
        let in_erase = fork.last_struck().is_some_and(|at| at.op == evenkeel_host_sim::flash::FlashOp::Erase);
        if cut && in_erase {
            return fork.image();
        }
    }
    panic!("no erase was ever cut off");
}

/// Rot in the middle of each sector: of the payload of some frame, and of the start of another.
fn rot(mut image: Vec<u8>, word: usize, sector: usize) -> Vec<u8> {
    for start in (0..image.len()).step_by(sector) {
        for at in [sector * 2 / 5, sector * 3 / 5] {
            let at = (start + at) / word * word;
            if image[at..at + word].iter().any(|byte| *byte != 0xFF) {
                image[at] ^= 0x10;
            }
        }
    }
    image
}
