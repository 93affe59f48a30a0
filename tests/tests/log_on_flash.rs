//! The log on simulated flash, without faults: what goes in comes out, over many laps of the ring.

use evenkeel_core::Log;
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
