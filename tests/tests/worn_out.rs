//! Sectors wear out one after another: each that refuses to erase is set aside, the log goes on with the others and
//! loses nothing, until fewer than two are left; then it says so, and everything in it can still be read.

use evenkeel_core::Log;
use evenkeel_core::batch::Op;
use evenkeel_core::error::{AppendError, HeldBy};
use evenkeel_core::{Kind, RecordManager, StreamId, Upkeep, Version};
use evenkeel_host_sim::flash::{ChipProfile, SimError, SimFlash};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::contents::Contents;
use evenkeel_tests::oracle::{SCRATCH, TestLog, UPLINK, identity, unmounted};
use evenkeel_tests::report::{Findings, Quiet, command, hunting, number, tell};

type Failed = AppendError<SimError>;

fn push<const W: usize, const R: usize, const S: usize>(
    log: &mut Log<'_, TestLog<W, R, S>>,
    op: Op,
    bytes: [u8; 4],
) -> Result<(), Failed> {
    let pushed = log.append::<Failed>(|batch| {
        Ok(batch.push(op, |room| {
            room[..4].copy_from_slice(&bytes);
            Ok(4)
        })?)
    });
    pushed.map(|_| ())
}

/// One event of one stream, as its number says; makes room when there is none.
fn next<const W: usize, const R: usize, const S: usize>(
    log: &mut Log<'_, TestLog<W, R, S>>,
    number: u32,
) -> Result<(), Failed> {
    let (stream, kind) = (StreamId(1), Kind(1));
    let mut refusal = None;
    for _ in 0..12 {
        let version = Version(number);
        match push(log, Op::Event { stream, kind, schema: 0, version }, number.to_le_bytes()) {
            Ok(()) => return Ok(()),
            // What failed may be there all the same.
            Err(AppendError::Conflict { actual, .. }) if actual == version => return Ok(()),
            Err(error) => refusal = Some(error),
        }
        if let Err(error) = room(log) {
            refusal = Some(error);
        }
    }
    Err(refusal.expect("it was refused"))
}

fn room<const W: usize, const R: usize, const S: usize>(log: &mut Log<'_, TestLog<W, R, S>>) -> Result<(), Failed> {
    let last = log.bounds().last();
    for _ in 0..50 {
        match log.acknowledge(UPLINK, last) {
            Ok(()) | Err(AppendError::Full { .. }) => {}
            Err(error) => return Err(error),
        }
        let (records, scratch) = log.parts();
        match records.upkeep(scratch)? {
            Upkeep::Worked => {}
            Upkeep::NeedsSnapshot { stream, kind } => {
                let version = log.head(stream).expect("reading").expect("a stream").version;
                push(log, Op::Snapshot { stream, kind, schema: 1, version }, *b"snap")?;
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// What must be there: the last events, each with its number.
fn check<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>, events: u32) {
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(unmounted(flash), &mut scratch).unwrap_or_else(|error| panic!("mounting: {error}"));
    let contents = Contents::read(&mut log, &[1]).unwrap_or_else(|error| panic!("reading: {error}"));
    assert!(contents.gaps.is_empty(), "gaps where nothing was damaged: {:?}", contents.gaps);
    let next = u64::from(events) + 1;
    // The last one may be there although it failed.
    assert!(contents.next == next || contents.next == next + 1, "{} after {events} events", contents.next);
    for (position, event) in &contents.events {
        assert_eq!(event.payload, (*position as u32).to_le_bytes(), "another event at position {position}");
    }
}

/// Works until the log refuses for good. Answers how many sectors were worn out by then, and how many events it took.
fn until_the_end<const W: usize, const R: usize, const S: usize>(sectors: usize, seed: u64) -> (usize, u32) {
    let mut rng = Rng::from_seed(seed);
    let flash = SimFlash::<W, R, S>::new(&ChipProfile::generic(W, R, S), sectors);
    let mut scratch = [0; SCRATCH];
    unmounted(&flash).mount_or_format(identity(), &mut scratch).expect("a blank chip can be formatted");
    // Each sector has some erases left, from few to many.
    let (most, starts_again) = (40, rng.chance(0.5));
    flash.set_endurance(Some(most));
    for sector in 0..sectors {
        flash.set_erase_count(sector, rng.below(u64::from(most) - 3) as u32);
    }
    let mut log = Log::mount(unmounted(&flash), &mut scratch).expect("the log just made");
    let mut events = 0;
    let refusal = loop {
        match next(&mut log, events + 1) {
            Ok(()) => events += 1,
            Err(error) => break error,
        }
        assert!(events < 100_000, "the log never ends");
        if events % 97 == 0 {
            check(&flash, events);
            if starts_again {
                let (records, scratch) = log.parts();
                *records = unmounted(&flash);
                records.mount(scratch).unwrap_or_else(|error| panic!("mounting: {error}"));
            }
        }
    };
    drop(log);
    check(&flash, events);
    flash.assert_no_violations();
    let worn = flash.erase_counts().iter().filter(|erases| **erases >= most).count();
    assert!(worn + 2 > sectors, "{worn} of {sectors} sectors are worn out, and after {events} events: {refusal}");
    assert!(matches!(refusal, AppendError::Full { held_by: HeldBy::Wear }), "refused with {refusal:?}");
    (worn, events)
}

fn sweep<const W: usize, const R: usize, const S: usize>(test: &str, sectors: usize) {
    let quiet = Quiet::please();
    let (mut findings, mut sum) = (Findings::default(), 0);
    let runs = if cfg!(debug_assertions) { 20 } else { 200 };
    for seed in (0..runs).filter(|seed| number("EVENKEEL_SEED").is_none_or(|only| only == *seed)) {
        let replay = || command(&format!("EVENKEEL_SEED={seed}"), "worn_out", test);
        sum += findings.case(replay, || until_the_end::<W, R, S>(sectors, seed)).map_or(0, |(_, events)| events);
    }
    drop(quiet);
    tell(&format!("{runs} chips of {sectors} sectors worn out: {sum} events stored, {} findings", findings.count));
    findings.assert_none();
}

#[test]
fn worn_sectors_are_set_aside_one_after_another() {
    if !hunting("worn sectors are set aside one after another") {
        return;
    }
    sweep::<4, 4, 512>("worn_sectors_are_set_aside_one_after_another", 5);
}

#[test]
fn worn_sectors_of_three() {
    if !hunting("worn sectors are set aside in a ring of three") {
        return;
    }
    sweep::<8, 1, 512>("worn_sectors_of_three", 3);
}
