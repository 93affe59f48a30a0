//! Bits flip at rest: only the frames that are hit are lost, as gaps with their positions, and the log goes on.
//!
//! What may be lost is known beforehand, from where each frame stands (`evenkeel_tests::image`, a second reading of the
//! format): the positions of the frames hit, and of the events that name a stream by a slot given in them; of the
//! sector, if a part of its header is hit.

use std::collections::BTreeSet;
use std::ops::Range;

use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::{Kind, Log, RecordManager, StreamId, Upkeep, Version};
use evenkeel_flash_store::sabotage::{self, Break};
use evenkeel_host_sim::flash::{ChipProfile, FlashOp, SimError, SimFlash, Times};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::contents::Contents;
use evenkeel_tests::image::{CLOSE, Geometry, OPEN, Sector};
use evenkeel_tests::oracle::{Oracle, SCRATCH, Step, TestLog, UPLINK, identity, unmounted, workload};
use evenkeel_tests::report::{Findings, Quiet, command, message, number, tell};

/// A log that went round its ring without an unclean stop, and what is in it.
struct Sample<const W: usize, const R: usize, const S: usize> {
    flash: SimFlash<W, R, S>,
    truth: Contents,
    sectors: Vec<Sector>,
    /// The last stop was clean: then even the newest frame is told from one that was torn.
    closed: bool,
}

fn sample<const W: usize, const R: usize, const S: usize>(sectors: usize, closed: bool, seed: u64) -> Sample<W, R, S> {
    let profile = ChipProfile::generic(W, R, S);
    let flash = SimFlash::<W, R, S>::new(&profile, sectors);
    let (mut scratch, mut oracle) = ([0; SCRATCH], Oracle::default());
    unmounted(&flash).mount_or_format(identity(), &mut scratch).expect("a blank chip can be formatted");
    let mut log = Log::mount(unmounted(&flash), &mut scratch).expect("the log just made");
    let mut done = 0;
    for step in workload(seed, 400, 4, S / 12) {
        oracle.step(&mut log, &flash, &step).expect("power is never cut");
        done += 1;
        // A lap, and then until the newest sector has something in it.
        let events = log.bounds().next.0 - log.bounds().first.0;
        if flash.erase_counts().iter().all(|erases| *erases >= 2) && events > 12 && done > 60 {
            break;
        }
    }
    // The newest frame is an event: it is what is most easily taken for a torn one.
    for step in [Step::Append(vec![(1, 9)]), Step::Append(vec![(2, 5), (1, 7)])] {
        oracle.step(&mut log, &flash, &step).expect("power is never cut");
    }
    oracle.compare(&mut log);
    if closed {
        log.records().close(&mut [0; 64]).expect("closing");
    }
    drop(log);
    let truth = read(&flash).expect("a log that was closed can be mounted");
    let id = identity();
    let geometry = Geometry { word: W, page: W, sector: S, sectors, version: 1, log: id.log.0, epoch: id.epoch.0 };
    let sectors = geometry.sectors(&flash.image());
    let known: BTreeSet<_> = sectors.iter().flat_map(|sector| sector.positions.clone()).collect();
    assert!(truth.events.keys().all(|position| known.contains(position)), "the second reading misses some");
    assert!(truth.gaps.is_empty());
    Sample { flash, truth, sectors, closed }
}

const STREAMS: [u64; 4] = [0, 1, 2, u64::MAX - 3];

fn read<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>) -> Result<Contents, String> {
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(unmounted(flash), &mut scratch).map_err(|error| format!("mounting: {error}"))?;
    Contents::read(&mut log, &STREAMS).map_err(|error| format!("reading: {error}"))
}

/// Adds an event to a stream: the next version of what is readable of it.
fn append<const W: usize, const R: usize, const S: usize>(log: &mut Log<'_, TestLog<W, R, S>>, stream: u64, kind: u8) {
    for _ in 0..4 {
        let version = log.head(StreamId(stream)).expect("reading").map_or(0, |head| head.version.0) + 1;
        let op = Op::Event { stream: StreamId(stream), kind: Kind(kind), schema: 0, version: Version(version) };
        match push(log, op) {
            Ok(()) => return,
            Err(AppendError::Full { .. }) => make_room(log),
            Err(error) => panic!("a damaged log refuses an event: {error}"),
        }
    }
    panic!("a damaged log stays full");
}

fn push<const W: usize, const R: usize, const S: usize>(
    log: &mut Log<'_, TestLog<W, R, S>>,
    op: Op,
) -> Result<(), AppendError<SimError>> {
    let pushed = log.append::<AppendError<_>>(|batch| {
        Ok(batch.push(op, |room| {
            room[..3].copy_from_slice(b"new");
            Ok(3)
        })?)
    });
    pushed.map(|_| ())
}

/// What upkeep asks for, until it is done.
fn make_room<const W: usize, const R: usize, const S: usize>(log: &mut Log<'_, TestLog<W, R, S>>) {
    for _ in 0..50 {
        // A full log may need a snapshot before the tracker can move.
        let last = log.bounds().last();
        match log.acknowledge(UPLINK, last) {
            Ok(()) | Err(AppendError::Full { .. }) => {}
            Err(error) => panic!("a damaged log refuses an acknowledgement: {error}"),
        }
        let (records, scratch) = log.parts();
        match records.upkeep(scratch).unwrap_or_else(|error| panic!("upkeep of a damaged log: {error}")) {
            Upkeep::Worked => {}
            Upkeep::NeedsSnapshot { stream, kind } => {
                let head = log.head(stream).expect("reading");
                let version =
                    head.unwrap_or_else(|| panic!("a snapshot is asked for of stream {stream}, unknown")).version;
                push(log, Op::Snapshot { stream, kind, schema: 1, version })
                    .unwrap_or_else(|error| panic!("a damaged log refuses a snapshot: {error}"));
            }
            _ => return,
        }
    }
}

impl<const W: usize, const R: usize, const S: usize> Sample<W, R, S> {
    /// What may be lost if this byte is hit.
    ///
    /// An event that introduces its stream to its sector takes along the events of that stream in the sector, as these
    /// name it by the slot that it was given there.
    fn at_stake(&self, at: usize) -> BTreeSet<u64> {
        let sector = self.sectors.iter().find(|sector| sector.bytes.contains(&at));
        let Some(sector) = sector else { return BTreeSet::new() };
        let Some(frame) = sector.frames.iter().find(|frame| frame.bytes.contains(&at) && !frame.tags.contains(&OPEN))
        else {
            return sector.positions.clone().collect();
        };
        let introduced: Vec<_> = frame.slots.iter().filter(|(_, is_new)| *is_new).map(|(slot, _)| *slot).collect();
        let of_slots = sector.frames.iter().flat_map(|frame| frame.positions.clone().zip(&frame.slots));
        let along = of_slots.filter(|(_, (slot, _))| introduced.contains(slot)).map(|(position, _)| position);
        frame.positions.clone().chain(along).collect()
    }

    /// Whether it is not told any more that the stop was clean if this byte is hit.
    fn hits_close(&self, at: usize) -> bool {
        let close = self.newest(0).and_then(|newest| newest.frames.last());
        close.is_some_and(|close| close.tags == [CLOSE] && close.bytes.contains(&at))
    }

    /// The newest sector in use, or the one so many before it.
    fn newest(&self, before: usize) -> Option<&Sector> {
        let mut opened: Vec<_> = self.sectors.iter().filter(|sector| !sector.frames.is_empty()).collect();
        opened.sort_by_key(|sector| std::cmp::Reverse(sector.sequence));
        opened.get(before).copied()
    }

    /// Whether nothing is left that tells which positions this sector has: neither the second part of its header, nor
    /// that there is a sector at all, or how many events stand before it.
    fn is_uncounted(&self, hit: &[usize], nth: usize) -> bool {
        let Some(sector) = self.newest(nth) else { return true };
        let hits = |bytes: &Range<usize>| hit.iter().any(|at| bytes.contains(at));
        let first = sector.bytes.start..sector.bytes.start + 28;
        let last = self
            .newest(nth + 1)
            .and_then(|before| before.frames.iter().rev().find(|frame| frame.positions.end > frame.positions.start));
        hits(&sector.frames[0].bytes)
            && (sector.frames.len() == 1
                || hits(&first)
                || last.is_none_or(|last| hits(&last.bytes))
                || self.is_uncounted(hit, nth + 1))
    }

    /// Everything but what is at stake of the bytes hit is there, and the log goes on. Answers how many positions were
    /// lost.
    fn check(&self, flash: &SimFlash<W, R, S>, hit: &[usize]) -> u64 {
        let at_stake: BTreeSet<_> = hit.iter().flat_map(|at| self.at_stake(*at)).collect();
        let counted = self.closed && !self.is_uncounted(hit, 0) && !hit.iter().any(|at| self.hits_close(*at));
        let found = match read(flash) {
            Ok(found) => found,
            // Without one header that is left there is no log any more.
            Err(_) if self.truth.events.keys().all(|position| at_stake.contains(position)) => {
                return self.truth.events.len() as u64;
            }
            Err(error) => panic!("{error}"),
        };
        let mut lost = 0;
        for (position, event) in &found.events {
            assert_eq!(Some(event), self.truth.events.get(position), "another record at position {position}");
        }
        for position in self.truth.events.keys().filter(|position| !found.events.contains_key(position)) {
            assert!(at_stake.contains(position), "position {position} is lost, {at_stake:?} were hit");
            // The frame written last may as well have been torn, if nobody says that the stop was clean. With both what
            // tells the positions of the newest sector and what they follow from damaged, they are given again.
            let torn = !counted && *position >= found.next;
            let told = found.is_gap(*position) || *position < found.first;
            assert!(told || torn, "position {position} is lost and nobody says so: {} to {}", found.first, found.next);
            lost += 1;
        }
        for (name, stream) in &found.streams {
            for event in &stream.events {
                assert!(self.truth.streams[name].events.contains(event), "stream {name} has another event: {event}");
            }
        }
        let mut scratch = [0; SCRATCH];
        let mut log = Log::mount(unmounted(flash), &mut scratch).expect("it was mounted before");
        append(&mut log, 77, 1);
        append(&mut log, 1, 2);
        drop(log);
        let after = read(flash).unwrap_or_else(|error| panic!("after two appends: {error}"));
        assert!(after.next >= found.next + 2, "two appends went from {} to {}", found.next, after.next);
        for (position, event) in found.events.range(after.first..) {
            assert_eq!(Some(event), after.events.get(position), "position {position} is lost by appending");
        }
        let new = after.events.range(found.next..).filter(|(_, event)| event.payload == b"new").count();
        assert_eq!(new, 2, "of two appends, from {} on", found.next);
        flash.assert_no_violations();
        lost
    }
}

/// Every bit of every word that is not erased, one at a time.
fn every_bit<const W: usize, const R: usize, const S: usize>(test: &str, sectors: usize, seed: u64) {
    let quiet = Quiet::please();
    let mut findings = Findings::default();
    let only = number("EVENKEEL_BIT");
    let stride = if cfg!(debug_assertions) && only.is_none() { 13 } else { 1 };
    for closed in [true, false] {
        let sample = sample::<W, R, S>(sectors, closed, seed);
        let image = sample.flash.image();
        let (mut bits, mut lost, mut most) = (0, 0, (0, 0));
        for at in (0..image.len()).filter(|at| image[at / W * W..][..W].iter().any(|byte| *byte != 0xFF)) {
            let chosen = |bit: &usize| {
                only.is_none_or(|only| only == (at * 8 + bit) as u64) && (at * 8 + bit).is_multiple_of(stride)
            };
            for bit in (0..8).filter(chosen) {
                let flash = sample.flash.fork();
                flash.flip_bit(at as u32, bit as u8);
                let replay = || {
                    let variables = format!("EVENKEEL_BIT={}", at * 8 + bit);
                    format!("byte {at:#x} bit {bit}, closed {closed}, {}", command(&variables, "bit_rot", test))
                };
                let case = findings.case(replay, || sample.check(&flash, &[at])).unwrap_or(0);
                (bits, lost) = (bits + 1, lost + case);
                most = most.max((case, at));
            }
        }
        tell(&format!(
            "{W} B words, {sectors} sectors of {S} B, closed {closed}: each of {bits} bits flipped, of {} events {lost} \
             lost in all, {} at most at once (byte {:#x}), {} findings",
            sample.truth.events.len(),
            most.0,
            most.1,
            findings.count
        ));
    }
    drop(quiet);
    findings.assert_none();
}

#[test]
fn every_bit_of_words_of_4_bytes() {
    every_bit::<4, 4, 512>("every_bit_of_words_of_4_bytes", 3, 1);
}

#[test]
fn every_bit_of_words_of_1_byte() {
    every_bit::<1, 1, 256>("every_bit_of_words_of_1_byte", 4, 2);
}

#[test]
fn every_bit_of_words_of_16_bytes() {
    every_bit::<16, 1, 1024>("every_bit_of_words_of_16_bytes", 3, 3);
}

/// The check of G5 can fail: a walk that ends at the first damage loses what stands behind it.
#[test]
fn bit_rot_is_caught_costing_what_stands_behind() {
    let sample = sample::<4, 4, 512>(3, true, 1);
    let sector = sample.sectors.iter().find(|sector| sector.frames.len() > 3).expect("a sector with some frames");
    let hit = sector.frames[1].bytes.start + 2;
    let check = || {
        let flash = sample.flash.fork();
        flash.flip_bit(hit as u32, 0);
        sample.check(&flash, &[hit])
    };
    check();
    sabotage::set(Some(Break::Damage));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).err();
    sabotage::set(None);
    let message = message(&*caught.expect("the break went unnoticed"));
    assert!(message.contains("is lost, {"), "caught for another reason: {message}");
}

/// The check of G3 can fail: if the newest sector is taken for one that was never opened, its positions go to others.
#[test]
fn bit_rot_in_the_newest_header_is_caught_if_it_is_ignored() {
    let sample = sample::<4, 4, 512>(3, true, 1);
    let header = sample.newest(0).expect("a sector").frames[0].bytes.start;
    let check = || {
        let flash = sample.flash.fork();
        flash.flip_bit(header as u32 + 5, 0);
        sample.check(&flash, &[header + 5])
    };
    assert!(check() > 0, "the header of the newest sector costs nothing");
    sabotage::set(Some(Break::DamagedHeader));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).err();
    sabotage::set(None);
    let message = message(&*caught.expect("the break went unnoticed"));
    assert!(message.contains("is lost and nobody says so"), "caught for another reason: {message}");
}

/// Up to eight bits anywhere, seeded.
#[test]
fn several_bits_anywhere() {
    let quiet = Quiet::please();
    let mut findings = Findings::default();
    let (cases, only) = (if cfg!(debug_assertions) { 3_000 } else { 60_000 }, number("EVENKEEL_SEED"));
    let sample = sample::<4, 1, 512>(4, true, 4);
    let image = sample.flash.image();
    let written: Vec<_> =
        (0..image.len()).filter(|at| image[at / 4 * 4..][..4].iter().any(|byte| *byte != 0xFF)).collect();
    let mut lost = 0;
    for seed in (0..cases).filter(|seed| only.is_none_or(|only| only == *seed)) {
        let mut rng = Rng::from_seed(seed);
        let flash = sample.flash.fork();
        let mut hit = Vec::new();
        let one_place = rng.chance(0.5).then(|| *rng.pick(&written));
        for _ in 0..2 + rng.below(7) {
            let at = match one_place {
                Some(at) => at / 4 * 4 + rng.below(4) as usize,
                None => *rng.pick(&written),
            };
            flash.flip_bit(at as u32, rng.below(8) as u8);
            hit.push(at);
        }
        let replay = || command(&format!("EVENKEEL_SEED={seed}"), "bit_rot", "several_bits_anywhere");
        lost += findings.case(replay, || sample.check(&flash, &hit)).unwrap_or(0);
    }
    drop(quiet);
    tell(&format!("{cases} times 2 to 8 bits flipped: {lost} events lost, {} findings", findings.count));
    findings.assert_none();
}

/// Reads of a few bytes fail for ever: as if all their bits were rotten.
#[test]
fn a_place_that_never_reads_again_costs_itself() {
    const TEST: &str = "a_place_that_never_reads_again_costs_itself";
    let quiet = Quiet::please();
    let (mut findings, mut cases, mut lost) = (Findings::default(), 0, 0);
    for closed in [true, false] {
        let sample = sample::<4, 4, 512>(4, closed, 5);
        let image = sample.flash.image();
        for at in (0..image.len()).step_by(4).filter(|at| image[*at..at + 4] != [0xFF; 4]) {
            if number("EVENKEEL_AT").is_some_and(|only| only != at as u64) {
                continue;
            }
            for words in [1, 3] {
                let to = (at + 4 * words).min(image.len());
                let hit: Vec<_> = (at..to).collect();
                let flash = sample.flash.fork();
                flash.fail_at(at as u32..to as u32, FlashOp::Read, Times::Forever);
                let replay = || {
                    let replay = command(&format!("EVENKEEL_AT={at}"), "bit_rot", TEST);
                    format!("{words} words at {at:#x}, closed {closed}; {replay}")
                };
                lost += findings.case(replay, || sample.check(&flash, &hit)).unwrap_or(0);
                cases += 1;
            }
        }
    }
    drop(quiet);
    tell(&format!("{cases} places that cannot be read: {lost} events lost, {} findings", findings.count));
    findings.assert_none();
}
