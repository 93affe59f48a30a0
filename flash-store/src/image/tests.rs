use std::ops::Range;

use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Notification, Snapshot, Tracker};
use evenkeel_host_sim::flash::{Cut, SimFlash};
use evenkeel_host_sim::rng::Rng;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{FlashLog, Identity, Region, Retention};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Diary {
    notes: u32,
}

impl Aggregate for Diary {
    const KIND: Kind = Kind(7);
    type Event = (u32, [u8; 5]);
    fn apply(&mut self, _: &Self::Event) {
        self.notes += 1;
    }
}

impl Snapshot for Diary {
    const SCHEMA: u8 = 2;
}

const UPLINK: Tracker = Tracker(3);
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
const SECTORS: u32 = 6;

/// The flash of a device after this many boots; all but the last end with a power cut.
fn device<const W: usize, const R: usize, const S: usize>(seed: u64, boots: u32) -> SimFlash<W, R, S> {
    let flash = SimFlash::<W, R, S>::blank(SECTORS as usize);
    let region = Region::new::<SimFlash<W, R, S>>(0..SECTORS * S as u32).word_by_word();
    let unmounted = || FlashLog::<_, 3, 2>::new(flash.clone(), region, RETENTION);
    let identity = Identity { log: LogId(5), epoch: Epoch::new(1, seed as u32) };
    let mut scratch = [0; 1024];
    unmounted().format(identity, &mut scratch).unwrap();
    let mut rng = Rng::from_seed(seed);
    for boot in 1..=boots {
        if boot < boots {
            // Every third within a few words of the boot, so that one start is cut off behind another.
            let words = if rng.next_u64().is_multiple_of(3) { 16 } else { 6 * S as u64 / W as u64 };
            let after = rng.next_u64() % words;
            flash.arm(Cut::random(after, W, &mut rng));
        }
        let _ = live(&mut Log::mount(unmounted(), &mut scratch).unwrap(), &mut rng, S);
        flash.disarm();
        flash.power_on();
        if boot == boots && seed.is_multiple_of(2) {
            let mut log = unmounted();
            log.mount_or_format(identity, &mut scratch).unwrap();
            log.close(&mut scratch).unwrap();
        }
    }
    flash
}

/// Appends until the power fails, or long enough.
fn live<const W: usize, const R: usize, const S: usize>(
    log: &mut Log<'_, FlashLog<SimFlash<W, R, S>, 3, 2>>,
    rng: &mut Rng,
    sector: usize,
) -> Option<()> {
    for number in 0..sector as u32 / 16 {
        let mut diary = log.load_or_new::<Diary>(rng.next_u64() % 5 * 1000).ok()?;
        let events = (0..1 + rng.next_u64() % 3).map(|more| (number + more as u32, [more as u8; 5]));
        log.execute(&mut diary, |_| Ok::<_, ()>(events)).ok()?;
        if number % 16 == 15 {
            let last = log.bounds().last();
            log.acknowledge(UPLINK, last).ok()?;
            log.maintain::<(Diary,)>().ok()?;
        }
    }
    Some(())
}

/// An event as it is read: position, stream, version, payload.
type Read = (u64, u64, u32, Vec<u8>);

/// What a device reads of an image, with the positions that are gaps.
fn read_by_device<const W: usize, const R: usize, const S: usize>(image: &[u8]) -> Option<(Vec<Read>, Vec<u64>)> {
    let profile = evenkeel_host_sim::flash::ChipProfile::generic(W, R, S);
    let flash = SimFlash::<W, R, S>::from_image(&profile, image);
    let region = Region::new::<SimFlash<W, R, S>>(0..SECTORS * S as u32).word_by_word();
    let mut scratch = [0; 1024];
    let mut log = Log::mount(FlashLog::<_, 3, 2>::new(flash, region, RETENTION), &mut scratch).ok()?;
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    let mut after = log.bounds().first.previous();
    while let Some(next) = log.next_notification(after).unwrap() {
        after = match next {
            Notification::Event(record) => {
                let position = record.position.unwrap();
                events.push((position.0, record.stream.0, record.version.0, record.payload.to_vec()));
                position
            }
            Notification::Gap { first, last, .. } => {
                gaps.extend(first.0..=last.0);
                last
            }
            _ => unreachable!(),
        };
    }
    Some((events, gaps))
}

/// What is told of an image, in the same form; and that nothing of it is left out.
fn read_by_survey(dump: &[u8], start: i64, geometry: crate::StoredGeometry) -> Option<(Vec<Read>, Vec<u64>)> {
    let mut scratch = [0; 512];
    let mut survey = Survey::new(dump, start, geometry, &mut scratch).unwrap();
    for index in 0..geometry.sectors {
        covers(&mut survey, index);
    }
    let log = survey.mounted().ok()?;
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    for sequence in log.oldest..=log.newest {
        let sector = survey.sector(survey.index_of(sequence));
        if !sector.is_read() {
            continue;
        }
        for piece in survey.pieces(&sector) {
            match piece {
                Piece::Entry(EntryReport {
                    kind: EntryKind::Event { stream, .. },
                    position: Some(position),
                    counts: true,
                    payload,
                    ..
                }) => match stream {
                    Some(stream) => {
                        events.push((position.0, stream.stream.0, stream.version.0, payload.to_vec()));
                    }
                    None => gaps.push(position.0),
                },
                Piece::Gap { first, events } => gaps.extend(first.0..first.0 + u64::from(events)),
                _ => {}
            }
        }
    }
    gaps.sort_unstable();
    Some((events, gaps))
}

/// The pieces of a sector come one behind the other, from its first byte to its last.
fn covers(survey: &mut Survey<'_>, index: u32) {
    let geometry = survey.geometry();
    let sector = survey.sector(index);
    let mut at = 0;
    for piece in survey.pieces(&sector) {
        let Range { start, end } = match piece {
            Piece::Header(stretch) | Piece::Marks(stretch) | Piece::Erased(stretch) | Piece::Missing(stretch) => {
                stretch.at..stretch.end()
            }
            Piece::Leftover(leftover) => leftover.at..leftover.at + leftover.len,
            Piece::Frame(frame) => frame.at..(frame.at + frame.len).next_multiple_of(geometry.word_bytes),
            Piece::Entry(_) | Piece::Gap { .. } => continue,
        };
        assert!(start == at && end > start, "{piece:x?} does not follow {at:x} in sector {index}");
        at = end;
    }
    assert_eq!(at, geometry.sector_bytes, "sector {index}");
}

fn agree<const W: usize, const R: usize, const S: usize>() {
    for seed in 0..12 {
        let flash = device::<W, R, S>(seed, 1 + seed as u32 % 5);
        let clean = flash.image();
        let found = headers(&clean).next().unwrap();
        assert_eq!((found.region_start(), found.geometry.word_bytes), (0, W as u32));
        let device = read_by_device::<W, R, S>(&clean).unwrap();
        assert!(device.0.len() > 10, "{} events", device.0.len());
        assert_eq!(read_by_survey(&clean, 0, found.geometry).as_ref(), Some(&device), "seed {seed}");

        // Bits rot, a few at a time.
        let mut rng = Rng::from_seed(seed);
        let mut image = clean.clone();
        for _ in 0..12 {
            let at = rng.next_u64() as usize % image.len();
            image[at] ^= 1 << (rng.next_u64() % 8);
            let device = read_by_device::<W, R, S>(&image);
            let survey = read_by_survey(&image, 0, found.geometry);
            assert_eq!(survey.is_some(), device.is_some());
            let (Some((events, mut gaps)), Some(device)) = (survey, device) else { continue };
            gaps.sort_unstable();
            let told: Vec<_> = events.iter().filter(|event| !device.0.contains(event)).collect();
            let read: Vec<_> = device.0.iter().filter(|event| !events.contains(event)).collect();
            let tell = format!("seed {seed}, last flip at {at:#x}, told alone {told:?}, read alone {read:?}");
            assert_eq!(gaps, device.1, "{tell}");
            assert!(events == device.0, "{tell}");
        }
    }
}

#[test]
fn what_is_told_is_what_a_device_reads_with_words_of_1_byte() {
    agree::<1, 1, 1024>();
}

#[test]
fn what_is_told_is_what_a_device_reads_with_words_of_4_bytes() {
    agree::<4, 4, 1024>();
}

#[test]
fn what_is_told_is_what_a_device_reads_with_words_of_32_bytes() {
    agree::<32, 1, 4096>();
}

#[test]
fn a_part_of_a_region_is_told_as_far_as_it_goes() {
    let flash = device::<4, 4, 1024>(3, 3);
    let whole = flash.image();
    let geometry = headers(&whole).next().unwrap().geometry;
    let (all, _) = read_by_survey(&whole, 0, geometry).unwrap();
    for cut in (0..whole.len()).step_by(251) {
        for (dump, start) in [(&whole[cut..], -(cut as i64)), (&whole[..cut], 0)] {
            for found in headers(dump) {
                assert_eq!((found.region_start(), found.geometry), (start, geometry));
            }
            let Some((events, _)) = read_by_survey(dump, start, geometry) else { continue };
            let known = |event: &Read| {
                let (position, stream, version, payload) = event;
                // Without the newest sector, what that tells to have been let go is still there.
                if all.first().is_some_and(|first| *position < first.0) {
                    return true;
                }
                let whole = all.iter().find(|whole| whole.0 == *position);
                whole.is_some_and(|whole| (whole.1, whole.2) == (*stream, *version) && whole.3.starts_with(payload))
            };
            assert!(events.iter().all(known), "cut at {cut:#x}");
        }
    }
    // Somewhere inside of a larger dump, and not at a sector's place there.
    let mut dump = vec![0x5A; 777];
    dump.extend(&whole);
    dump.extend([0; 99]);
    assert_eq!(headers(&dump).next().unwrap().region_start(), 777);
    assert_eq!(read_by_survey(&dump, 777, geometry).unwrap().0, all);
}

#[test]
fn any_bytes_at_all_are_told_without_end_or_panic() {
    let flash = device::<1, 1, 1024>(9, 4);
    let mut dump = flash.image();
    let geometry = headers(&dump).next().unwrap().geometry;
    let mut rng = Rng::from_seed(1);
    for round in 0..200 {
        let at = rng.next_u64() as usize % dump.len();
        let len = (rng.next_u64() as usize % 64).min(dump.len() - at);
        rng.fill(&mut dump[at..at + len]);
        let start = (round % 7) * 100 - 300;
        let _ = read_by_survey(&dump, start, geometry);
    }
    assert!(Survey::new(&dump, 0, crate::StoredGeometry { sectors: 1, ..geometry }, &mut []).is_err());
    let mut survey = Survey::new(&dump, 0, geometry, &mut []).unwrap();
    assert!(survey.mounted().is_err(), "without a scratch buffer nothing can be read");
    let sector = survey.sector(0);
    assert!(survey.pieces(&sector).count() < 2000);
    assert_eq!(survey.sector(99).state, SectorState::Missing);
}

#[test]
fn what_a_power_cut_leaves_is_no_damage() {
    for seed in 0..60 {
        let flash = device::<4, 4, 1024>(seed, 14);
        let image = flash.image();
        let geometry = headers(&image).next().unwrap().geometry;
        let mut scratch = [0; 1024];
        let mut survey = Survey::new(&image, 0, geometry, &mut scratch).unwrap();
        for index in 0..SECTORS {
            let sector = survey.sector(index);
            let damaged: Vec<_> = survey
                .pieces(&sector)
                .filter(|piece| matches!(piece, Piece::Leftover(Leftover { cause: Cause::Damaged, .. })))
                .collect();
            assert!(damaged.is_empty(), "seed {seed}, sector {index}: {damaged:x?}");
        }
    }
}
