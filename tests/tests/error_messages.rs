//! Every error is told in one line, which names what it is about and is like no other.

use std::collections::BTreeMap;
use std::fmt::Display;

use evenkeel_core::batch::BatchError;
use evenkeel_core::error::{
    AppendError, ExecuteError, HeldBy, IntegrityError, LoadError, LogError, ReadError, ReplicateError,
};
use evenkeel_core::process::{LogName, ProcessError, ReactError};
use evenkeel_core::{CodecError, Kind, Position, StreamId, Tracker, Version};
use evenkeel_flash_store::{GeometryError, MountError, StoredGeometry};

const STREAM: StreamId = StreamId(5_010_203);
const EXPECTED: Version = Version(3_020_101);
const ACTUAL: Version = Version(4_020_101);
const POSITION: Position = Position(6_010_203);
const OTHER: Position = Position(7_010_203);

/// What errors say, so that no two say the same.
#[derive(Default)]
struct Said(BTreeMap<String, String>);

impl Said {
    /// One line that names all of these.
    #[track_caller]
    fn of(&mut self, error: &(impl Display + std::fmt::Debug), names: &[&dyn Display]) {
        let (text, what) = (error.to_string(), format!("{error:?}"));
        assert!(!text.trim().is_empty() && text.lines().count() == 1, "{what} is told as {text:?}");
        for name in names.iter().map(ToString::to_string) {
            assert!(text.contains(&name), "{what} does not name {name}: {text}");
        }
        let other = self.0.insert(text.clone(), what.clone());
        assert!(other.is_none_or(|other| other == what), "two errors are told as {text:?}");
    }
}

fn codec() -> [CodecError; 5] {
    use CodecError::{DoesNotFit, Leftover, Malformed, UnknownSchema, Unsupported};
    [DoesNotFit, Unsupported, Malformed, Leftover, UnknownSchema]
}

fn integrity(said: &mut Said) -> Vec<IntegrityError> {
    use IntegrityError as Is;
    let (first, last) = (POSITION, OTHER);
    let all: Vec<(Is, Vec<&dyn Display>)> = vec![
        (Is::Tampered { stream: STREAM, version: ACTUAL }, vec![&STREAM, &ACTUAL]),
        (Is::UnknownKey(117), vec![&117]),
        (Is::Erased(STREAM), vec![&STREAM]),
        (Is::Missing { first, last }, vec![&first, &last]),
        (Is::Broken { at: POSITION }, vec![&POSITION]),
        (Is::CutOff { reached: last, last: first }, vec![&first, &last]),
        (Is::Forked { at: POSITION }, vec![&POSITION]),
        (Is::NoSeal, vec![]),
        (Is::KeyWornOut, vec![]),
        (Is::Misplaced, vec![]),
    ];
    all.iter().for_each(|(error, names)| said.of(error, names));
    all.into_iter().map(|(error, _)| error).collect()
}

#[test]
fn every_error_of_appending_is_told_in_one_line() {
    type Error = AppendError<&'static str>;
    let mut said = Said::default();
    let (stream, expected, actual, tracker) = (STREAM, EXPECTED, ACTUAL, Tracker(213));
    let (other, kind) = (Kind(199), Kind(177));
    said.of(&Error::Storage("the chip is broken"), &[&"the chip is broken"]);
    said.of(&Error::Conflict { stream, expected, actual }, &[&stream, &expected, &actual]);
    said.of(&Error::Gap { stream, expected, actual }, &[&stream, &expected, &actual]);
    said.of(&Error::WrongKind { stream, expected: kind, actual: other }, &[&stream, &kind, &other]);
    said.of(&Error::Discarded { stream }, &[&stream]);
    let tracking = Error::Tracking { tracker, after: POSITION, at: OTHER, to: Position(9) };
    said.of(&tracking, &[&tracker, &POSITION, &OTHER]);
    said.of(&Error::Full { held_by: HeldBy::Tracker(tracker) }, &[&tracker]);
    said.of(&Error::Full { held_by: HeldBy::Stream(stream, kind) }, &[&stream, &kind]);
    said.of(&Error::Full { held_by: HeldBy::Policy }, &[]);
    said.of(&Error::Full { held_by: HeldBy::Wear }, &[]);
    said.of(&Error::TooLarge { bytes: 5151, limit: 4242 }, &[&5151, &4242]);
    said.of(&Error::ScratchTooSmall { needed: 5252 }, &[&5252]);
    for error in [Error::TableFull, Error::Exhausted, Error::NotMounted] {
        said.of(&error, &[]);
    }
    codec().into_iter().for_each(|error| said.of(&Error::Codec(error), &[]));
    integrity(&mut Said::default()).into_iter().for_each(|error| said.of(&Error::Integrity(error), &[]));
    said.of(&BatchError::VersionsExhausted(stream), &[&stream]);
}

#[test]
fn every_error_of_reading_and_loading_is_told_in_one_line() {
    type Read = ReadError<&'static str>;
    type Load = LoadError<&'static str>;
    let mut said = Said::default();
    let (expected, actual, first) = (Kind(177), Kind(199), POSITION);
    let mut reads = vec![
        (Read::Storage("the chip is broken"), "the chip is broken".to_owned()),
        (Read::Trimmed { first }, first.to_string()),
        (Read::BeyondEnd { next: OTHER }, OTHER.to_string()),
        (Read::Missing { version: EXPECTED, next: Some(ACTUAL) }, EXPECTED.to_string()),
        (Read::ScratchTooSmall { needed: 5252 }, "5252".to_owned()),
        (Read::NotMounted, String::new()),
    ];
    reads.extend(codec().map(|error| (Read::Codec(error), error.to_string())));
    let sealed = integrity(&mut Said::default());
    reads.extend(sealed.into_iter().map(|error| (Read::Integrity(error), error.to_string())));
    for (error, name) in reads {
        said.of(&error, &[&name]);
        // What passes another error on says what that one says.
        Said::default().of(&Load::Read(error), &[&name]);
    }
    let mut said = Said::default();
    said.of(&Load::NotFound, &[]);
    said.of(&Load::WrongKind { expected, actual }, &[&expected, &actual]);
    said.of(&Load::Discarded { version: ACTUAL }, &[&ACTUAL]);
    said.of(&Load::BeyondEnd { actual: ACTUAL }, &[&ACTUAL]);
    said.of(&Load::Trimmed { first: ACTUAL }, &[&ACTUAL]);
    said.of(&Load::Incomplete { after: ACTUAL }, &[&ACTUAL]);
    let error = CodecError::UnknownSchema;
    said.of(&Load::Snapshot { version: ACTUAL, schema: 117, error }, &[&ACTUAL, &117]);
    let [no, gone] = [Load::NotFound, Load::Trimmed { first: ACTUAL }];
    said.of(&ExecuteError::<&str, &str>::Refused("no, never"), &[&"no, never"]);
    said.of(&ExecuteError::<&str, &str>::Log(AppendError::Discarded { stream: STREAM }), &[&STREAM]);
    Said::default().of(&ExecuteError::<&str, &str>::Load(no), &[&no]);
    Said::default().of(&LogError::Load(gone), &[&gone]);
}

#[test]
fn every_error_of_copies_and_processes_is_told_in_one_line() {
    type Copy = ReplicateError<&'static str>;
    type Process = ProcessError<&'static str>;
    let mut said = Said::default();
    said.of(&Copy::Contradiction { position: POSITION }, &[&POSITION]);
    said.of(&Copy::Ahead { next: POSITION, position: OTHER }, &[&POSITION, &OTHER]);
    said.of(&Copy::Lost { first: POSITION, last: OTHER }, &[&POSITION, &OTHER]);
    [Copy::Local, Copy::Malformed].iter().for_each(|error| said.of(error, &[]));
    said.of(&Copy::Append(AppendError::TableFull), &[]);
    said.of(&Copy::Read(ReadError::Trimmed { first: POSITION }), &[&POSITION]);

    let failed = ReactError::Failed { code: 5151 };
    said.of(&failed, &[&5151]);
    said.of(&ReactError::<&str>::Endless { most: 4242 }, &[&4242]);
    said.of(&Process::React { at: POSITION, error: failed }, &[&POSITION, &5151]);
    let log = LogName(0xFEED_5EED);
    said.of(&Process::Dependency { at: POSITION, log, needed: OTHER, seen: Position(8_010_203) }, &[&POSITION, &OTHER]);
    said.of(&Process::OwnLog, &[]);
}

#[test]
fn every_error_of_mounting_is_told_in_one_line() {
    type Mount = MountError<&'static str>;
    let mut said = Said::default();
    said.of(&Mount::Storage("the chip is broken"), &[&"the chip is broken"]);
    [Mount::Blank, Mount::Unfinished, Mount::Foreign, Mount::TooManyTrackers].iter().for_each(|is| said.of(is, &[]));
    said.of(&Mount::Version { found: 213 }, &[&213]);
    let found = StoredGeometry { sector_bytes: 4096, sectors: 77, word_bytes: 8, program_page_bytes: 256 };
    said.of(&Mount::Geometry { found }, &[&4096, &77, &8, &256]);
    said.of(&Mount::ScratchTooSmall { needed: 5252 }, &[&5252]);
    use GeometryError as Is;
    for error in [
        Is::NotWholeSectors,
        Is::SectorCount,
        Is::SectorSize,
        Is::WordSize,
        Is::ReadSize,
        Is::ProgramPage,
        Is::BeyondCapacity,
    ] {
        said.of(&Mount::Region(error), &[]);
    }
}
