//! Counters near their end: the sequence numbers of sectors, positions, versions, boots, ticks, erases. The log works
//! up to the end and then says that it cannot go on, in a typed error; nothing wraps round, and what is in it can be read.
//!
//! No log gets there by itself in a test's time: the images are written by a second hand (`evenkeel_tests::image`).

use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::{Kind, Log, Moment, RecordManager, StreamId, Upkeep, Version};
use evenkeel_host_sim::flash::{ChipProfile, SimError, SimFlash};
use evenkeel_tests::contents::Contents;
use evenkeel_tests::image::{Geometry, Introduced, Open};
use evenkeel_tests::oracle::{SCRATCH, TestLog, UPLINK, unmounted};
use evenkeel_tests::report::{Findings, Quiet, command, number, tell};

/// How far a log is.
#[derive(Debug, Clone, Copy)]
struct Far {
    sequence: u32,
    base: u64,
    version: u32,
    moment: (u32, u64),
    erases: u32,
}

/// Where no counter is near its end.
const NEAR: Far = Far { sequence: 7, base: 100, version: 10, moment: (3, 4), erases: 5 };

/// A log of one sector with one event in it.
fn image<const W: usize>(far: &Far, sectors: usize, sector: usize) -> Vec<u8> {
    let geometry = Geometry { word: W, page: W, sector, sectors, version: 1, log: 7, epoch: 0x1_0000_0002 };
    let mut image = geometry.blank();
    geometry.prepare(&mut image, far.sequence, far.erases);
    let open = Open { base: far.base, oldest: far.sequence, moment: far.moment };
    let at = geometry.open(&mut image, far.sequence, &open);
    let event = Introduced { stream: 1, version: far.version, back: 0 };
    geometry.frame(&mut image, far.sequence, at, 0, &event.entry(0, b"first"));
    image
}

type Failed = AppendError<SimError>;

fn push<const W: usize, const R: usize, const S: usize>(
    log: &mut Log<'_, TestLog<W, R, S>>,
    op: Op,
) -> Result<u64, Failed> {
    let pushed = log.append::<Failed>(|batch| {
        Ok(batch.push(op, |room| {
            room[..4].copy_from_slice(b"more");
            Ok(4)
        })?)
    });
    pushed.map(|appended| appended.first.0)
}

/// Makes room, as far as it can be made.
fn upkeep<const W: usize, const R: usize, const S: usize>(log: &mut Log<'_, TestLog<W, R, S>>) -> Result<(), Failed> {
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
                push(log, Op::Snapshot { stream, kind, schema: 1, version })?;
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Works on from there for some laps, or until it cannot. Answers how many events were stored, and what stopped it.
fn go_on<const W: usize, const R: usize, const S: usize>(far: &Far, sectors: usize, events: u64) -> (u64, String) {
    let flash = SimFlash::<W, R, S>::from_image(&ChipProfile::generic(W, R, S), image::<W>(far, sectors, S));
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(unmounted(&flash), &mut scratch).unwrap_or_else(|error| panic!("mounting: {error}"));
    let found = Contents::read(&mut log, &[1]).expect("reading");
    assert_eq!(found.events.keys().copied().collect::<Vec<_>>(), [far.base], "another position");
    assert_eq!(found.events[&far.base].version, far.version, "another version");
    log.records().set_moment(Moment { boot: u32::MAX, tick: u64::MAX });
    let (mut stored, mut last, mut stopped) = (Vec::new(), far.base, None);
    for nth in 0..events {
        // The stream that is near its end, and one that is not.
        let stream = StreamId(1 + nth % 2);
        let head = log.head(stream).expect("reading").map_or(Version::NONE, |head| head.version);
        let op = Op::Event { stream, kind: Kind(1), schema: 0, version: head.next() };
        let mut pushed = push(&mut log, op);
        if pushed.is_err() {
            stopped = upkeep(&mut log).err().map(|error| error.to_string());
            pushed = push(&mut log, op);
        }
        match pushed {
            Ok(position) => {
                assert!(head.next() > head, "stream {stream} has two events of version {head}");
                assert!(position > last, "position {position} after {last}");
                last = position;
                stored.push((position, stream.0, head.next().0));
            }
            Err(_) if head == Version::MAX => {}
            Err(error) => {
                stopped.get_or_insert(error.to_string());
                break;
            }
        }
    }
    drop(log);
    let mut log = Log::mount(unmounted(&flash), &mut scratch).unwrap_or_else(|error| panic!("once more: {error}"));
    let found = Contents::read(&mut log, &[1, 2]).expect("reading");
    assert!(found.gaps.is_empty(), "gaps {:?}", found.gaps);
    for (position, stream, version) in stored.iter().filter(|(position, ..)| *position >= found.first) {
        let event = found.events.get(position).map(|event| (event.stream, event.version));
        assert_eq!(event, Some((*stream, *version)), "the event stored at position {position}");
    }
    assert!(found.next > last, "the log ends at {} and not behind {last}", found.next);
    flash.assert_no_violations();
    (stored.len() as u64, stopped.unwrap_or_else(|| "nothing".to_owned()))
}

/// `make` sets a counter to so many before its end; `ends` says whether a log of 150 events comes to it.
fn sweep(test: &str, ends: bool, make: impl Fn(u64) -> Far) {
    let quiet = Quiet::please();
    let mut findings = Findings::default();
    for left in (0..12).filter(|left| number("EVENKEEL_LEFT").is_none_or(|only| only == *left)) {
        let far = make(left);
        let replay =
            || format!("{far:?}; {}", command(&format!("EVENKEEL_LEFT={left}"), "counters_near_their_end", test));
        let words_of_4 = findings.case(replay, || go_on::<4, 4, 512>(&far, 3, 400));
        let words_of_1 = findings.case(replay, || go_on::<1, 1, 256>(&far, 4, 300));
        for (stored, stopped) in words_of_4.iter().chain(&words_of_1) {
            let exhausted = stopped == &Failed::Exhausted.to_string();
            let answer = format!("{stored} events, stopped by {stopped}");
            findings.case(|| format!("{far:?}"), || assert!(exhausted == ends && (ends || *stored >= 150), "{answer}"));
        }
        if left < 3 {
            tell(&format!("{left} before the end: {words_of_4:?}, {words_of_1:?}"));
        }
    }
    drop(quiet);
    findings.assert_none();
}

#[test]
fn sequence_numbers_of_sectors() {
    sweep("sequence_numbers_of_sectors", true, |left| Far { sequence: u32::MAX - left as u32, ..NEAR });
}

#[test]
fn positions() {
    sweep("positions", true, |left| Far { base: u64::MAX - 1 - left, ..NEAR });
}

#[test]
fn versions() {
    sweep("versions", false, |left| Far { version: u32::MAX - left as u32, ..NEAR });
}

#[test]
fn boots_and_ticks() {
    sweep("boots_and_ticks", false, |left| Far { moment: (u32::MAX - left as u32, u64::MAX - left), ..NEAR });
}

#[test]
fn erases() {
    sweep("erases", false, |left| Far { erases: 0xFF_FFFF - left as u32, ..NEAR });
}

#[test]
fn all_of_them_at_once() {
    sweep("all_of_them_at_once", true, |left| Far {
        sequence: u32::MAX - left as u32,
        base: u64::MAX - 1 - 40 * left,
        version: u32::MAX - 15 * left as u32,
        moment: (u32::MAX, u64::MAX),
        erases: 0xFF_FFFF,
    });
}
