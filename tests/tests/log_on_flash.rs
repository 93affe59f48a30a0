//! The log on simulated flash, without faults: what goes in comes out, over many laps of the ring.

use evenkeel_core::batch::Op;
use evenkeel_core::blocking::RecordManager;
use evenkeel_core::error::AppendError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Epoch, Kind, Log, LogId, Position, StreamId, Upkeep, Version};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_tests::oracle::{Oracle, SCRATCH, identity, unmounted, workload};

/// A sector must hold a snapshot of each stream with room to spare: there are fewer streams where sectors are small.
fn laps<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize, seed: u64) {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let flash = SimFlash::<W, R, S>::new(&profile, sectors);
    let (mut scratch, mut oracle) = (vec![0; SCRATCH], Oracle::default());
    unmounted(&flash).mount_or_format(identity(), &mut scratch).unwrap();
    for (round, steps) in workload(seed, 600, if S < 512 { 2 } else { 5 }, S / 8).chunks(25).enumerate() {
        let mut log = Log::mount(unmounted(&flash), &mut scratch).unwrap();
        oracle.check_after_mount(&mut log, false);
        for step in steps {
            oracle.step(&mut log, &flash, step).expect("power was never cut");
        }
        oracle.compare(&mut log);
        if round % 2 == 0 {
            let mut records = log.release();
            records.close(&mut [0; 64]).unwrap();
        }
    }
    flash.assert_no_violations();
    assert!(oracle.events() > 500 && oracle.compared > 300, "{} events, {} compared", oracle.events(), oracle.compared);
    let erases = flash.erase_counts();
    let (least, most) = (erases.iter().min().unwrap(), erases.iter().max().unwrap());
    assert!(*least > 3 && most - least <= 1, "the ring was not gone round evenly: {erases:?}");
}

#[test]
fn laps_with_words_of_4_bytes() {
    laps::<4, 4, 256>(3, 4, 1);
    laps::<4, 1, 512>(8, 4, 2);
    laps::<4, 4, 4096>(3, 4, 3);
}

#[test]
fn laps_with_words_of_1_byte_and_pages() {
    laps::<1, 1, 1024>(4, 256, 4);
    laps::<1, 1, 512>(3, 1, 5);
}

#[test]
fn laps_with_large_words() {
    laps::<8, 4, 512>(4, 8, 6);
    laps::<16, 1, 1024>(3, 16, 7);
    laps::<32, 32, 2048>(3, 32, 8);
    laps::<2, 1, 512>(3, 2, 9);
}

#[test]
fn laps_of_the_smallest_ring() {
    laps::<4, 4, 1024>(2, 4, 10);
}

/// A new life begins where the log stood, whatever was prepared there, and is the one that is found from then on: also if it is
/// another log, or its epoch is lower.
#[test]
fn a_format_hides_whatever_was_there() {
    type Flash = SimFlash<4, 4, 1024>;
    const RING: usize = 12;
    let lives = [
        identity(),
        Identity { epoch: Epoch::new(2, 7), ..identity() },
        Identity { epoch: Epoch::new(0, 7), ..identity() },
        Identity { log: LogId(9), ..identity() },
    ];
    for life in lives {
        for events in [0, 1, 5, 20, 60, 100, 200, 300, 500] {
            for maintained in [false, true] {
                let flash = Flash::blank(RING);
                let region = Region::checked::<Flash>(0..(RING * 1024) as u32).unwrap().word_by_word();
                let fresh = || FlashLog::<Flash, 4, 2>::new(flash.clone(), region, Retention::OverwriteOldest(&[]));
                fresh().mount_or_format(identity(), &mut [0; 256]).unwrap();
                let mut scratch = [0; 256];
                let fill = |log: &mut Log<'_, FlashLog<Flash, 4, 2>>, stream: u64, events: u32| {
                    for version in 1..=events {
                        let op =
                            Op::Event { stream: StreamId(stream), kind: Kind(1), schema: 0, version: Version(version) };
                        let appended = log.append::<AppendError<_>>(|batch| {
                            Ok(batch.push(op, |room| {
                                room[..20].fill(version as u8);
                                Ok(20)
                            })?)
                        });
                        if appended.is_err() {
                            return version - 1; // no snapshots are taken here
                        }
                        if maintained {
                            let (records, scratch) = log.parts();
                            while records.upkeep(scratch) == Ok(Upkeep::Worked) {}
                        }
                    }
                    events
                };
                let mut log = Log::mount(fresh(), &mut scratch).unwrap();
                fill(&mut log, 1, events);
                let mut other = fresh();
                other.format(life, &mut [0; 256]).unwrap();
                let place = format!("{life:?} after {events} events, maintained: {maintained}");
                let mut scratch = [0; 256];
                for stored in [0, 1, 30, 400] {
                    let mut log = Log::mount(fresh(), &mut scratch).unwrap();
                    let before = log.bounds();
                    let found = log.records().identity();
                    assert_eq!(found, life, "{place}");
                    if stored == 0 {
                        assert_eq!(before.next, Position(1), "{place}");
                    }
                    let done = u64::from(fill(&mut log, 100 + stored, stored as u32));
                    let next = log.bounds().next;
                    drop(log);
                    let log = Log::mount(fresh(), &mut scratch).unwrap();
                    assert_eq!((next, log.bounds().next), (before.next.plus(done), next), "{place}");
                }
                flash.assert_no_violations();
            }
        }
    }
}

/// A second close right behind the first, cut off so that nothing of it shows, would be gone over by the next append.
#[test]
fn a_closed_log_is_not_closed_once_more() {
    let flash = SimFlash::<4, 4, 512>::blank(4);
    let (mut scratch, mut oracle) = ([0; SCRATCH], Oracle::default());
    unmounted(&flash).mount_or_format(identity(), &mut [0; SCRATCH]).unwrap();
    let mut log = Log::mount(unmounted(&flash), &mut scratch).unwrap();
    workload(3, 4, 2, 40).iter().for_each(|step| oracle.step(&mut log, &flash, step).unwrap());
    let mut records = log.release();
    records.close(&mut [0; 64]).unwrap();
    let programmed = flash.cut_points();
    records.close(&mut [0; 64]).unwrap();
    let mut again = unmounted(&flash);
    again.mount(&mut Scratch::new(&mut [0; SCRATCH])).unwrap();
    again.close(&mut [0; 64]).unwrap();
    assert_eq!(flash.cut_points(), programmed);
}
