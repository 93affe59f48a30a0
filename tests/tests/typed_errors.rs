//! What cannot be done is said in a typed error, and leaves the flash as it was. What the errors say: `error_messages.rs`.

use core::fmt::{Debug, Display};

use evenkeel_core::batch::{Batch, BatchError, Op};
use evenkeel_core::error::{AppendError, HeldBy, LoadError, ReadError};
use evenkeel_core::{
    Aggregate, Kind, Log, Maintained, Position, RamLog, RecordManager, Snapshot, StreamId, Tracker, Version,
};
use evenkeel_flash_store::{FlashLog, GeometryError, MountError, Region, Retention, StoredGeometry};
use evenkeel_host_sim::flash::{ChipProfile, SimError, SimFlash};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::oracle::identity;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 512>;
type Records = FlashLog<Flash, 3, 2>;

const SECTORS: usize = 4;
const TRACKER: Tracker = Tracker(1);
const OVERWRITE: Retention = Retention::OverwriteAcknowledged(&[TRACKER]);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Meter {
    total: u64,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = u32;
    fn apply(&mut self, by: &u32) {
        self.total += u64::from(*by);
    }
}

impl Snapshot for Meter {
    const SCHEMA: u8 = 1;
}

fn region<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>) -> Region {
    Region::checked::<SimFlash<W, R, S>>(0..(flash.sectors() * S) as u32).unwrap().word_by_word()
}

fn unmounted(flash: &Flash, retention: Retention) -> Records {
    Records::new(flash.clone(), region(flash), retention)
}

fn formatted(retention: Retention) -> Flash {
    let flash = Flash::blank(SECTORS);
    unmounted(&flash, retention).mount_or_format(identity(), &mut [0; 256]).unwrap();
    flash
}

/// Does something that must neither program nor erase.
#[track_caller]
fn untouched<T, const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    act: impl FnOnce() -> T,
) -> T {
    let (image, before) = (flash.image(), flash.counters());
    let outcome = act();
    let done = flash.counters().since(&before);
    assert_eq!((done.write_calls, done.words_programmed, done.erases), (0, 0, 0), "the flash was written");
    assert!(flash.image() == image, "the flash has changed");
    outcome
}

/// The error is told in one line.
#[track_caller]
fn one_line<E: Display + Debug>(error: E) -> E {
    let text = error.to_string();
    assert!(!text.trim().is_empty() && text.lines().count() == 1, "{error:?} is told as {text:?}");
    error
}

/// Mounting, and mounting or formatting, fail with the same error and touch nothing.
#[track_caller]
fn refused<const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    region: Region,
) -> MountError<SimError> {
    let records = || FlashLog::<_, 3, 2>::new(flash.clone(), region, OVERWRITE);
    let first = untouched(flash, || Log::mount(records(), &mut [0; 256]).map(|_| ()).expect_err("mounted"));
    let mut unused = records();
    let second = untouched(flash, || unused.mount_or_format(identity(), &mut [0; 256]).expect_err("formatted"));
    assert_eq!(first, second);
    let later = untouched(flash, || unused.close(&mut [0; 64]));
    assert_eq!(later, Err(AppendError::NotMounted), "what could not be mounted is used");
    one_line(first)
}

fn event(stream: u64, version: u32) -> Op {
    Op::Event { stream: StreamId(stream), kind: Kind(1), schema: 0, version: Version(version) }
}

/// An event of so many bytes, whose length is told even if there is no room for it.
fn push(batch: &mut Batch<'_>, op: Op, len: usize) -> Result<(), BatchError> {
    batch.push(op, |room| {
        room.iter_mut().take(len).for_each(|byte| *byte = 0x5A);
        Ok(len)
    })
}

#[test]
fn what_is_foreign_is_told_and_kept() {
    let profile = ChipProfile::generic(4, 4, 512);
    let foreign = |bytes: Vec<u8>| {
        let flash = Flash::from_image(&profile, bytes);
        assert_eq!(refused(&flash, region(&flash)), MountError::Foreign);
    };
    for seed in 0..50 {
        let mut random = vec![0; SECTORS * 512];
        Rng::from_seed(seed).fill(&mut random);
        foreign(random);
    }
    foreign(vec![0; SECTORS * 512]);
    // A file system: a boot sector with its signature, tables, erased stretches, text.
    let mut files = vec![0xFF; SECTORS * 512];
    files[..11].copy_from_slice(b"\xEB\x3C\x90MSDOS5.0");
    files[510..512].copy_from_slice(&[0x55, 0xAA]);
    files[512..520].copy_from_slice(&[0xF8, 0xFF, 0xFF, 0x0F, 0, 0, 0, 0]);
    files[1024..1035].copy_from_slice(b"README  TXT");
    foreign(files);
    // A program: its vector table, and code.
    let mut program = vec![0xFF; SECTORS * 512];
    program[..8].copy_from_slice(&[0, 0, 1, 0x20, 0xC1, 1, 0, 0]);
    (64..1900).for_each(|at| program[at] = (at * 37) as u8);
    foreign(program);
    // Something that starts as a log does, and then is none.
    let mut alike = vec![0xFF; SECTORS * 512];
    alike[..8].copy_from_slice(b"EK\x01ELLO!");
    foreign(alike);
}

#[test]
fn only_a_wholly_blank_region_is_formatted() {
    let flash = Flash::blank(SECTORS);
    let mut scratch = [0; 64];
    let found = untouched(&flash, || Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).map(|_| ()));
    assert_eq!(one_line(found.unwrap_err()), MountError::Blank);
    // One byte that does not read as erased, and nothing is formatted. Only what stands in the place of the very first
    // header can be what a format that was cut off has left.
    let profile = ChipProfile::generic(4, 4, 512);
    let first_header = (0..6).map(|at| (at, 0x00));
    let behind = (32..SECTORS * 512).flat_map(|at| [(at, 0x00), (at, 0xFE), (at, b'E')]);
    for (stray, byte) in first_header.chain(behind) {
        let mut image = vec![0xFF; SECTORS * 512];
        image[stray] = byte;
        let flash = Flash::from_image(&profile, image);
        assert_eq!(refused(&flash, region(&flash)), MountError::Foreign, "byte {byte} at {stray}");
    }
    unmounted(&flash, OVERWRITE).mount_or_format(identity(), &mut scratch).unwrap();
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    assert_eq!(log.bounds().last(), Position::START);
    assert_eq!(log.records().identity(), identity());
}

/// A log that has gone round, as bytes.
fn used_image() -> Vec<u8> {
    let flash = formatted(OVERWRITE);
    let mut scratch = [0; 256];
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    while flash.erase_counts().iter().any(|erases| *erases < 2) {
        work(&mut log, 5);
    }
    flash.image()
}

/// Appends so many events, and makes room for more.
fn work(log: &mut Log<'_, Records>, events: u32) {
    for by in 0..events {
        let mut meter = log.load_or_new::<Meter>(u64::from(by % 2)).unwrap();
        log.execute(&mut meter, |_| Ok::<_, ()>([by])).unwrap();
    }
    let last = log.bounds().last();
    log.acknowledge(TRACKER, last).unwrap();
    assert!(matches!(log.maintain::<(Meter,)>(), Ok(Maintained::Ready)));
}

#[test]
fn another_geometry_is_told() {
    let image = used_image();
    let found = |sectors: u32| StoredGeometry { sector_bytes: 512, sectors, word_bytes: 4, program_page_bytes: 4 };
    let stored = found(SECTORS as u32);
    let expected = |error| assert_eq!(error, MountError::Geometry { found: stored });
    let flash = Flash::from_image(&ChipProfile::generic(4, 4, 512), image.clone());
    // Fewer sectors, and more.
    expected(refused(&flash, Region::checked::<Flash>(0..3 * 512).unwrap().word_by_word()));
    let longer = Flash::from_image(&ChipProfile::generic(4, 4, 512), [image.clone(), vec![0xFF; 1024]].concat());
    expected(refused(&longer, region(&longer)));
    // Another program page.
    expected(refused(&flash, region(&flash).program_page(64).unwrap()));
    // Another sector, larger and smaller; another word.
    let larger = SimFlash::<4, 4, 1024>::from_image(&ChipProfile::generic(4, 4, 1024), image.clone());
    assert!(matches!(refused(&larger, region(&larger)), MountError::Geometry { found } if found == stored));
    let smaller = SimFlash::<4, 4, 256>::from_image(&ChipProfile::generic(4, 4, 256), image.clone());
    assert!(matches!(refused(&smaller, region(&smaller)), MountError::Geometry { found } if found == stored));
    let wider = SimFlash::<8, 4, 512>::from_image(&ChipProfile::generic(8, 4, 512), image);
    assert!(matches!(refused(&wider, region(&wider)), MountError::Geometry { found } if found == stored));
    // The right one, after all that.
    assert!(Log::mount(unmounted(&flash, OVERWRITE), &mut [0; 256]).is_ok());
}

/// CRC-32 as in Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[test]
fn another_format_version_is_told() {
    let mut image = used_image();
    for sector in image.chunks_mut(512) {
        assert_eq!(sector[24..28], crc32(&sector[..24]).to_le_bytes(), "the header is laid out otherwise");
        sector[2] = 9;
        let crc = crc32(&sector[..24]);
        sector[24..28].copy_from_slice(&crc.to_le_bytes());
    }
    let flash = Flash::from_image(&ChipProfile::generic(4, 4, 512), image);
    assert_eq!(refused(&flash, region(&flash)), MountError::Version { found: 9 });
}

#[test]
fn a_scratch_buffer_too_small_to_mount_is_told() {
    let flash = formatted(OVERWRITE);
    let mut needed = 0;
    for len in 0..64 {
        let mut scratch = vec![0; len];
        let error = untouched(&flash, || Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).map(|_| ()));
        match one_line(error.unwrap_err()) {
            MountError::ScratchTooSmall { needed: bytes } => needed = bytes,
            other => panic!("{other:?}"),
        }
        let mut blank = unmounted(&Flash::blank(SECTORS), OVERWRITE);
        assert_eq!(blank.mount_or_format(identity(), &mut scratch), Err(MountError::ScratchTooSmall { needed }));
    }
    let mut scratch = vec![0; needed as usize];
    assert!(Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).is_ok());
}

#[test]
fn a_scratch_buffer_too_small_to_append_or_read_is_told() {
    let mut rounds = 0;
    for len in [10, 100, 200, 300] {
        let (flash, mut version) = (formatted(OVERWRITE), 0);
        let mut needed = 64;
        // What is told to be needed suffices, if not at once (of the frame only so much is known) then soon.
        let appended = (0..4).find_map(|_| {
            let mut scratch = vec![0; needed as usize];
            let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
            let before = flash.image();
            let refused = match log.append(|batch| push(batch, event(5, version + 1), len)) {
                Ok(appended) => return Some(appended),
                Err(error) => one_line(error),
            };
            let AppendError::ScratchTooSmall { needed: more } = refused else { panic!("{refused:?}") };
            assert!(more > needed, "{more} bytes are not enough, {needed} are asked for");
            assert!(flash.image() == before, "a refused append has written");
            (needed, rounds) = (more, rounds + 1);
            None
        });
        version += 1;
        assert_eq!(appended.expect("what was asked for never suffices").first, Position(u64::from(version)));
        // Reading it.
        let mut scratch = vec![0; 64];
        let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
        let read = |log: &mut Log<'_, Records>| {
            let read =
                untouched(&flash, || log.next_event(5, Version(version - 1)).map(|read| read.map(|r| r.payload.len())));
            read.map_err(one_line)
        };
        match read(&mut log) {
            Ok(read) => assert!(read == Some(len) && len < 64),
            Err(ReadError::ScratchTooSmall { needed }) => {
                assert!(len >= 64);
                let mut scratch = vec![0; needed as usize];
                let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
                assert_eq!(read(&mut log), Ok(Some(len)), "{needed} bytes were to be enough");
                assert!(log.next_notification(Position(u64::from(version) - 1)).is_ok());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(rounds > 3, "no buffer was too small");
}

/// Appends until it is refused; answers how many events were accepted, with the error.
fn fill(log: &mut Log<'_, Records>, streams: u64) -> (u64, AppendError<impl Debug + PartialEq + use<>>) {
    for events in 0..1000 {
        let mut meter = log.load_or_new::<Meter>(events % streams).unwrap();
        let before = meter.total;
        match log.execute(&mut meter, |_| Ok::<_, ()>([7])) {
            Ok(_) => {}
            Err(evenkeel_core::error::ExecuteError::Log(error)) => {
                assert_eq!(meter.total, before, "a refused command has changed the aggregate");
                return (events, one_line(error));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the log is never full");
}

/// The log holds all events behind `from`, and every stream in full.
fn holds(log: &mut Log<'_, Records>, from: u64, events: u64, streams: u64) {
    assert_eq!(log.bounds().last().0, events);
    let mut at = from;
    while let Some(next) = log.next_notification(Position(at)).unwrap() {
        assert!(next.record().is_some(), "a gap at {at}");
        at = next.last().0;
    }
    assert_eq!(at, events);
    let total: u64 = (0..streams).map(|stream| log.load::<Meter>(stream).unwrap().total).sum();
    assert_eq!(total, 7 * events);
}

#[test]
fn a_full_log_that_overwrites_nothing_refuses() {
    let flash = formatted(Retention::Refuse);
    let (mut scratch, mut second) = ([0; 256], [0; 256]);
    let mut log = Log::mount(unmounted(&flash, Retention::Refuse), &mut scratch).unwrap();
    let (events, error) = fill(&mut log, 2);
    assert_eq!(error, AppendError::Full { held_by: HeldBy::Policy });
    let (more, error) = untouched(&flash, || fill(&mut log, 2));
    assert_eq!((more, error), (0, AppendError::Full { held_by: HeldBy::Policy }));
    holds(&mut log, 0, events, 2);
    assert!(matches!(log.maintain::<(Meter,)>(), Ok(Maintained::Held(HeldBy::Policy))));
    let mut log = Log::mount(unmounted(&flash, Retention::Refuse), &mut second).unwrap();
    holds(&mut log, 0, events, 2);
    assert!(events > 40, "full after {events} events");
    flash.assert_no_violations();
}

#[test]
fn a_full_log_tells_which_tracker_holds_it_and_goes_on_when_it_has_moved() {
    let flash = formatted(OVERWRITE);
    let mut scratch = [0; 256];
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    let (mut events, mut seen) = (0, 0);
    for _ in 0..5 {
        let mut refusals = 0;
        loop {
            let mut meter = log.load_or_new::<Meter>(events % 2).unwrap();
            match log.execute(&mut meter, |_| Ok::<_, ()>([7])) {
                Ok(_) => (events, refusals) = (events + 1, 0),
                Err(evenkeel_core::error::ExecuteError::Log(AppendError::Full { held_by })) => {
                    refusals += 1;
                    if held_by == HeldBy::Tracker(TRACKER) {
                        break;
                    }
                    assert!(matches!(held_by, HeldBy::Stream(_, Kind(1))) && refusals < 5, "{held_by:?}");
                    assert!(log.maintain::<(Meter,)>().is_ok());
                }
                Err(other) => panic!("{other:?}"),
            }
            assert!(events < 1000, "the log is never full");
        }
        // What was refused names its stream in full; one that has a slot may still fit.
        events += fill(&mut log, 2).0;
        let again = untouched(&flash, || fill(&mut log, 2));
        assert_eq!(again, (0, AppendError::Full { held_by: HeldBy::Tracker(TRACKER) }));
        assert!(matches!(log.maintain::<(Meter,)>(), Ok(Maintained::Held(HeldBy::Tracker(TRACKER)))));
        holds(&mut log, seen, events, 2);
        seen = events - 3;
        log.acknowledge(TRACKER, Position(seen)).unwrap();
        assert!(matches!(log.maintain::<(Meter,)>(), Ok(Maintained::Ready)));
        holds(&mut log, seen, events, 2);
    }
    assert!(events > 100 && log.bounds().first.0 > 1);
    flash.assert_no_violations();
}

#[test]
fn a_full_log_tells_which_stream_holds_it_and_goes_on_when_it_has_a_snapshot() {
    let flash = formatted(OVERWRITE);
    let mut scratch = [0; 256];
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    let mut events = 0;
    for round in 0..300 {
        let mut meter = log.load_or_new::<Meter>(0).unwrap();
        let done = log.execute(&mut meter, |_| Ok::<_, ()>([7]));
        if done.is_err() {
            let held_by = HeldBy::Stream(StreamId(0), Kind(1));
            // What was refused names its stream in full; with a slot it may still fit.
            let more = fill(&mut log, 1).0;
            events += more;
            let again = untouched(&flash, || fill(&mut log, 1));
            assert_eq!(again, (0, AppendError::Full { held_by }));
            // A roster without the type does not help, one with it does.
            assert!(matches!(log.maintain::<()>(), Ok(Maintained::Held(by)) if by == held_by));
            assert!(matches!(log.maintain::<(Meter,)>(), Ok(Maintained::Ready)), "round {round}");
            // All events have been acknowledged, so upkeep may have let all of them go: the state is there.
            let held = log.bounds().first.0 - 1;
            holds(&mut log, held.max(events.saturating_sub(1 + more)), events, 1);
            continue;
        }
        events += 1;
        log.acknowledge(TRACKER, Position(events)).unwrap();
    }
    assert!(events > 200 && log.bounds().first.0 > 1);
    flash.assert_no_violations();
}

#[test]
fn a_batch_too_large_is_told_with_the_limit() {
    let flash = formatted(OVERWRITE);
    let mut scratch = [0; 1024];
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    for version in 1..=12 {
        let try_len = |log: &mut Log<'_, Records>, len: usize| log.append(|batch| push(batch, event(3, version), len));
        if version == 1 {
            log.append(|batch| push(batch, event(4, 1), 1)).unwrap();
        }
        let refused = untouched(&flash, || try_len(&mut log, 600).map_err(one_line));
        let Err(AppendError::TooLarge { bytes, limit }) = refused else { panic!("{refused:?}") };
        let exactly = 600 - (bytes - limit) as usize;
        let refused = untouched(&flash, || try_len(&mut log, exactly + 1));
        assert!(matches!(refused, Err(AppendError::TooLarge { bytes, .. }) if bytes == limit + 1), "{refused:?}");
        try_len(&mut log, exactly).unwrap_or_else(|error| panic!("{exactly} bytes at version {version}: {error}"));
        assert_eq!(log.next_event(3, Version(version - 1)).unwrap().unwrap().payload.len(), exactly);
        assert!(limit + 128 >= 512, "the limit is {limit} B of 512");
        // Room for the next.
        let last = log.bounds().last();
        log.acknowledge(TRACKER, last).unwrap();
        for _ in 0..4 {
            for (stream, version) in [(3, Version(version)), (4, Version(1))] {
                let op = Op::Snapshot { stream: StreamId(stream), kind: Kind(1), schema: 0, version };
                let (records, scratch) = log.parts();
                if matches!(records.upkeep(scratch), Ok(evenkeel_core::Upkeep::NeedsSnapshot { stream: of, .. }) if of.0 == stream)
                {
                    log.append(|batch| push(batch, op, 4)).unwrap();
                }
            }
        }
    }
    flash.assert_no_violations();
}

#[test]
fn a_log_that_is_not_mounted_is_told() {
    let flash = formatted(OVERWRITE);
    let mut records = unmounted(&flash, OVERWRITE);
    let mut bytes = [0; 256];
    let mut scratch = evenkeel_core::scratch::Scratch::new(&mut bytes);
    untouched(&flash, || {
        assert_eq!(one_line(records.head(StreamId(1), &mut scratch).unwrap_err()), ReadError::NotMounted);
        assert_eq!(records.next_event(StreamId(1), Version(0), &mut scratch), Err(ReadError::NotMounted));
        assert_eq!(records.latest_snapshot(StreamId(1), Version::MAX, &mut scratch), Err(ReadError::NotMounted));
        assert_eq!(records.next_notification(Position(0), &mut scratch), Err(ReadError::NotMounted));
        assert_eq!(one_line(records.upkeep(&mut scratch).unwrap_err()), AppendError::NotMounted);
        assert_eq!(records.close(&mut [0; 64]), Err(AppendError::NotMounted));
        let mut batch = scratch.batch(Records::HEADROOM);
        push(&mut batch, event(1, 1), 3).unwrap();
        assert_eq!(records.append(&mut batch), Err(AppendError::NotMounted));
        let mut batch = scratch.batch(Records::HEADROOM);
        batch.track(TRACKER, Position(0)).unwrap();
        assert_eq!(records.append(&mut batch), Err(AppendError::NotMounted));
    });
    assert!(records.mount(&mut scratch).is_ok());
}

#[test]
fn a_region_that_does_not_suit_is_told() {
    let flash = Flash::blank(SECTORS);
    let beyond = Region::checked::<Flash>(0..5 * 512).unwrap().word_by_word();
    assert_eq!(refused(&flash, beyond), MountError::Region(GeometryError::BeyondCapacity));
    let mut records = Records::new(flash.clone(), beyond, OVERWRITE);
    let formatted = untouched(&flash, || records.format(identity(), &mut [0; 256]));
    assert_eq!(formatted, Err(MountError::Region(GeometryError::BeyondCapacity)));
    // A region made for another flash.
    let other = Region::checked::<SimFlash<4, 4, 1024>>(0..2048).unwrap();
    assert!(matches!(refused(&flash, other), MountError::Region(_)));

    let told = |checked: Result<Region, GeometryError>| one_line(checked.unwrap_err());
    for range in [1..512, 0..511, 512..513, 0..0, 1024..1024, 100..1124] {
        assert_eq!(told(Region::checked::<Flash>(range)), GeometryError::NotWholeSectors);
    }
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = 1024..0;
    assert_eq!(told(Region::checked::<Flash>(reversed)), GeometryError::NotWholeSectors);
    for end in [512, 4097 * 512] {
        assert_eq!(told(Region::checked::<Flash>(0..end)), GeometryError::SectorCount);
    }
    assert_eq!(Region::checked::<Flash>(0..4096 * 512).map(|region| region.sectors()), Ok(4096));
    assert_eq!(told(Region::checked::<SimFlash<4, 4, 128>>(0..1024)), GeometryError::SectorSize);
    assert_eq!(told(Region::checked::<SimFlash<4, 4, 768>>(0..3072)), GeometryError::SectorSize);
    assert_eq!(told(Region::checked::<SimFlash<4, 4, 262_144>>(0..524_288)), GeometryError::SectorSize);
    assert_eq!(told(Region::checked::<SimFlash<64, 4, 512>>(0..1024)), GeometryError::WordSize);
    assert_eq!(told(Region::checked::<SimFlash<3, 1, 512>>(0..1024)), GeometryError::WordSize);
    assert_eq!(told(Region::checked::<SimFlash<4, 64, 512>>(0..1024)), GeometryError::ReadSize);
    assert_eq!(told(Region::checked::<SimFlash<4, 3, 512>>(0..1024)), GeometryError::ReadSize);
    let region = Region::checked::<Flash>(0..1024).unwrap();
    for page in [0, 2, 3, 12, 256, 512] {
        assert_eq!(told(region.program_page(page)), GeometryError::ProgramPage, "{page}");
    }
    assert!([4, 8, 128].into_iter().all(|page| region.program_page(page).is_ok()));
    one_line(GeometryError::BeyondCapacity);
}

#[test]
fn a_tracker_goes_neither_back_nor_beyond_the_end() {
    let flash = formatted(OVERWRITE);
    let mut scratch = [0; 256];
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    assert_eq!(fill_some(&mut log, 10), 10);
    log.acknowledge(TRACKER, Position(6)).unwrap();
    untouched(&flash, || {
        for to in [Position(5), Position(0), Position(11), Position(u64::MAX)] {
            let error = one_line(log.acknowledge(TRACKER, to).unwrap_err());
            let at = Position(6);
            assert_eq!(error, AppendError::Tracking { tracker: TRACKER, after: at, at, to });
        }
        // What is stored already is no move.
        log.acknowledge(TRACKER, Position(6)).unwrap();
        let back = log.append(|batch| batch.track(TRACKER, Position(5)));
        let (after, at, to) = (Position(4), Position(6), Position(5));
        assert_eq!(back, Err(AppendError::Tracking { tracker: TRACKER, after, at, to }));
    });
    assert_eq!(log.tracked(TRACKER), Position(6));
    // Two are what this log has room for.
    log.acknowledge(Tracker(2), Position(3)).unwrap();
    let third = untouched(&flash, || log.acknowledge(Tracker(3), Position(3)));
    assert_eq!(one_line(third.unwrap_err()), AppendError::TableFull);
    let both = untouched(&flash, || {
        log.append(|batch| {
            batch.event::<Meter>(StreamId(0), Version(10), &1)?;
            batch.track_from(Tracker(4), Position(0), Position(3))
        })
    });
    assert_eq!(both, Err(AppendError::TableFull));
    assert_eq!(log.bounds().last(), Position(10));
    // A program with room for fewer.
    let small = FlashLog::<_, 3, 1>::new(flash.clone(), region(&flash), OVERWRITE);
    let error = untouched(&flash, || Log::mount(small, &mut [0; 256]).map(|_| ()).unwrap_err());
    assert_eq!(one_line(error), MountError::TooManyTrackers);
}

fn fill_some(log: &mut Log<'_, Records>, events: u64) -> u64 {
    for by in 0..events {
        let mut meter = log.load_or_new::<Meter>(0).unwrap();
        log.execute(&mut meter, |_| Ok::<_, ()>([by as u32])).unwrap();
    }
    log.bounds().last().0
}

/// What is refused of a stream, told without the storage's error type.
fn stream_errors<R: RecordManager>(log: &mut Log<'_, R>) -> Vec<String> {
    let kind = |kind: u8, stream: u64, version: u32| Op::Event {
        stream: StreamId(stream),
        kind: Kind(kind),
        schema: 0,
        version: Version(version),
    };
    let snapshot =
        |version: u32| Op::Snapshot { stream: StreamId(1), kind: Kind(1), schema: 0, version: Version(version) };
    log.append(|batch| {
        push(batch, kind(1, 1, 1), 4)?;
        push(batch, kind(1, 1, 2), 4)?;
        push(batch, kind(2, 2, 1), 4)
    })
    .unwrap();
    let batches: Vec<Vec<Op>> = vec![
        vec![kind(1, 1, 2)],
        vec![kind(1, 1, 1)],
        vec![kind(1, 1, 0)],
        vec![kind(1, 1, 4)],
        vec![kind(1, 1, u32::MAX)],
        vec![kind(2, 1, 3)],
        vec![kind(1, 2, 2)],
        vec![kind(1, 9, 2)],
        // The entries before count, and all is refused if one is.
        vec![kind(1, 1, 3), kind(1, 1, 3)],
        vec![kind(1, 1, 3), kind(1, 1, 5)],
        vec![kind(1, 7, 1), kind(2, 7, 2)],
        vec![kind(1, 1, 3), kind(2, 2, 2), kind(1, 1, 5)],
        vec![snapshot(1)],
        vec![snapshot(3)],
        vec![kind(1, 1, 3), snapshot(2)],
    ];
    let mut told = Vec::new();
    for ops in batches {
        let before = log.bounds();
        let refused = log.append(|batch| ops.iter().try_for_each(|op| push(batch, *op, 4)));
        told.push(format!("{:?}", one_line(refused.expect_err("accepted"))));
        assert_eq!(log.bounds(), before);
        assert!(matches!(log.next_notification(before.last()), Ok(None)));
        assert!(
            matches!(log.next_notification(before.next), Err(ReadError::BeyondEnd { next }) if next == before.next)
        );
    }
    assert!(matches!(one_line(log.load::<Meter>(2_u64).unwrap_err()), LoadError::WrongKind { .. }));
    assert!(matches!(one_line(log.load::<Meter>(99_u64).unwrap_err()), LoadError::NotFound));
    told
}

#[test]
fn streams_are_guarded_on_flash_as_in_memory() {
    let flash = formatted(OVERWRITE);
    let (mut scratch, mut other) = ([0; 512], [0; 512]);
    let mut on_flash = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    let mut in_memory = Log::mount(RamLog::<_, 32, 8>::new(vec![0; 2000]), &mut other).unwrap();
    let told = stream_errors(&mut on_flash);
    assert_eq!(told, stream_errors(&mut in_memory));
    for name in ["Conflict", "Gap", "WrongKind"] {
        assert!(told.iter().any(|told| told.starts_with(name)), "{name} never came");
    }
    let (mut scratch, first_batch) = ([0; 512], flash.image());
    let log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    assert_eq!(log.bounds().last(), Position(3));
    assert!(flash.image() == first_batch);
}

#[test]
fn what_has_been_let_go_and_what_is_not_there_yet_is_told() {
    let image = used_image();
    let flash = Flash::from_image(&ChipProfile::generic(4, 4, 512), image);
    let mut scratch = [0; 256];
    let mut log = Log::mount(unmounted(&flash, OVERWRITE), &mut scratch).unwrap();
    let bounds = log.bounds();
    assert!(bounds.first.0 > 2);
    untouched(&flash, || {
        for after in [0, bounds.first.0 - 2] {
            let error = one_line(log.next_notification(Position(after)).map(|_| ()).unwrap_err());
            assert_eq!(error, ReadError::Trimmed { first: bounds.first });
        }
        assert!(log.next_notification(bounds.first.previous()).unwrap().is_some());
        assert_eq!(log.next_notification(bounds.last()), Ok(None));
        for after in [bounds.next, Position(u64::MAX - 1), Position(u64::MAX)] {
            let error = one_line(log.next_notification(after).map(|_| ()).unwrap_err());
            assert_eq!(error, ReadError::BeyondEnd { next: bounds.next });
        }
    });
}
