//! The simulated flash without faults: the rules of NOR flash, what it counts, how long it takes.

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use evenkeel_host_sim::clock::VirtualClock;
use evenkeel_host_sim::flash::{
    ChipProfile, Counters, FlashOp, Nrf51822Flash, Nrf52840Flash, SimError, SimFlash, Stm32H743Flash, W25q128Flash,
};

type Flash = SimFlash<4, 2, 64>;

fn read<const LEN: usize>(flash: &Flash, offset: u32) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    flash.clone().read(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_erased_chip_reads_all_ones() {
    let flash = Flash::blank(3);
    assert_eq!(flash.capacity(), 192);
    assert!(flash.image().iter().all(|&byte| byte == 0xFF));
}

#[test]
fn what_was_written_is_read_back_until_it_is_erased() {
    let mut flash = Flash::blank(2);
    flash.write(60, b"abcdefgh").unwrap();
    assert_eq!(&read::<12>(&flash, 58), b"\xff\xffabcdefgh\xff\xff");
    flash.erase(0, 64).unwrap();
    assert_eq!(&read::<8>(&flash, 60), b"\xff\xff\xff\xffefgh");
}

#[test]
fn a_second_program_of_a_word_is_refused_whatever_the_bytes() {
    let mut flash = Flash::blank(1);
    flash.write(8, b"word").unwrap();
    for again in [b"word", b"\0\0\0\0", b"\xff\xff\xff\xff"] {
        assert_eq!(flash.write(8, again), Err(SimError::ProgrammedTwice));
    }
    let violations = flash.violations();
    assert_eq!(violations.len(), 3);
    assert_eq!((violations[0].offset, violations[0].operation, violations[0].op), (8, 1, FlashOp::Write));
    assert_eq!(&read::<4>(&flash, 8), b"word");
}

#[test]
fn programming_all_ones_uses_the_word_up() {
    let mut flash = Flash::blank(1);
    flash.write(0, &[0xFF; 4]).unwrap();
    assert_eq!(flash.write(0, b"word"), Err(SimError::ProgrammedTwice));
}

#[test]
fn a_write_that_meets_a_programmed_word_does_nothing_at_all() {
    let mut flash = Flash::blank(1);
    flash.write(8, b"word").unwrap();
    let before = flash.counters().words_programmed;
    assert_eq!(flash.write(0, &[0; 16]), Err(SimError::ProgrammedTwice));
    assert_eq!(flash.violations()[0].offset, 8);
    assert_eq!(&read::<8>(&flash, 0), &[0xFF; 8]);
    assert_eq!(flash.counters().words_programmed, before);
}

#[test]
fn an_erased_word_may_be_programmed_again() {
    let mut flash = Flash::blank(2);
    for _ in 0..3 {
        flash.write(64, b"word").unwrap();
        flash.erase(64, 128).unwrap();
    }
    flash.assert_no_violations();
    assert_eq!(flash.erase_counts(), [0, 3]);
}

#[test]
fn misaligned_calls_are_errors_and_violations() {
    let mut flash = Flash::blank(2);
    assert_eq!(flash.read(1, &mut [0; 2]), Err(SimError::NotAligned));
    assert_eq!(flash.read(0, &mut [0; 3]), Err(SimError::NotAligned));
    assert_eq!(flash.write(2, &[0; 4]), Err(SimError::NotAligned));
    assert_eq!(flash.write(0, &[0; 6]), Err(SimError::NotAligned));
    assert_eq!(flash.erase(0, 32), Err(SimError::NotAligned));
    assert_eq!(flash.erase(32, 64), Err(SimError::NotAligned));
    assert_eq!(flash.violations().len(), 6);
    assert_eq!(SimError::NotAligned.kind(), NorFlashErrorKind::NotAligned);
}

#[test]
fn calls_beyond_the_end_are_errors_and_violations() {
    let mut flash = Flash::blank(2);
    assert_eq!(flash.read(128, &mut [0; 2]), Err(SimError::OutOfBounds));
    assert_eq!(flash.write(u32::MAX - 3, &[0; 8]), Err(SimError::OutOfBounds));
    assert_eq!(flash.erase(64, 192), Err(SimError::OutOfBounds));
    assert_eq!(flash.erase(64, 0), Err(SimError::OutOfBounds));
    assert_eq!(flash.violations().len(), 4);
    assert_eq!(SimError::OutOfBounds.kind(), NorFlashErrorKind::OutOfBounds);
    // The very end is within bounds.
    assert_eq!(flash.read(128, &mut []), Ok(()));
    assert_eq!(flash.write(128, &[]), Ok(()));
    assert_eq!(flash.erase(128, 128), Ok(()));
}

#[test]
#[should_panic(expected = "1 violations: a word was programmed twice since its erase at 0x0, write of 4 bytes, call 1")]
fn the_check_for_violations_tells_what_happened() {
    let mut flash = Flash::blank(1);
    flash.write(0, b"word").unwrap();
    let _ = flash.write(0, b"word");
    flash.assert_no_violations();
}

#[test]
fn every_call_is_counted_and_takes_its_time() {
    let mut flash = Flash::blank(2);
    let clock = VirtualClock::new();
    flash.attach_clock(&clock);
    flash.write(0, &[1; 12]).unwrap();
    flash.read(0, &mut [0; 10]).unwrap();
    flash.read(0, &mut [0; 2]).unwrap();
    flash.erase(0, 128).unwrap();
    let expected = Counters {
        read_calls: 2,
        read_bytes: 12,
        write_calls: 1,
        words_programmed: 3,
        bytes_programmed: 12,
        erases: 2,
        weak_programs: 0,
        read_ns: 2_000,
        program_ns: 30_000,
        erase_ns: 2_000_000,
    };
    assert_eq!(flash.counters(), expected);
    assert_eq!(clock.now_us(), flash.counters().busy_us());
    assert_eq!(flash.cut_points(), 5);

    let before = flash.counters();
    flash.read(0, &mut [0; 2]).unwrap();
    assert_eq!(flash.counters().since(&before).read_calls, 1);
    assert_eq!(flash.counters().since(&before).erases, 0);
    flash.reset_counters();
    assert_eq!(flash.counters(), Counters::default());
    assert_eq!(flash.erase_counts(), [1, 1], "wear is not reset");
}

#[test]
fn a_program_command_of_spi_flash_is_charged_per_page() {
    let mut flash = W25q128Flash::new(&ChipProfile::W25Q128, 1);
    flash.write(0, &[0; 256]).unwrap();
    let page = flash.counters().program_ns;
    assert!((690_000..710_000).contains(&page), "{page} ns is not about 0.7 ms");
    flash.reset_counters();
    // The same number of bytes over a page boundary takes two commands.
    flash.write(256 + 128, &[0; 256]).unwrap();
    assert_eq!(flash.counters().program_ns, page + 30_000);
}

#[test]
fn every_profile_fits_a_flash_of_its_type() {
    let mut flash = Nrf52840Flash::new(&ChipProfile::NRF52840, 2);
    flash.write(0, &[0; 4]).unwrap();
    flash.erase(0, 4096).unwrap();
    assert_eq!((flash.counters().program_ns, flash.counters().erase_ns), (41_000, 85_000_000));
    assert_eq!(Nrf51822Flash::new(&ChipProfile::NRF51822, 1).capacity(), 1024);
    assert_eq!(Stm32H743Flash::new(&ChipProfile::STM32H743, 2).capacity(), 256 * 1024);
    for profile in ChipProfile::ALL {
        assert!(profile.sector.is_multiple_of(profile.program_page), "{}", profile.name);
        assert!(profile.program_page.is_multiple_of(profile.word), "{}", profile.name);
        assert!(!profile.source.is_empty());
    }
}

#[test]
#[should_panic(expected = "of another geometry")]
fn a_profile_of_another_geometry_is_refused() {
    let _ = SimFlash::<4, 1, 2048>::new(&ChipProfile::STM32L4, 2);
}

#[test]
fn handles_share_the_chip_and_a_fork_does_not() {
    let test = Flash::blank(1);
    let mut device = test.clone();
    device.write(0, b"word").unwrap();
    let mut fork = test.fork();
    fork.write(4, b"fork").unwrap();
    drop(device);
    assert_eq!(&test.image()[..8], b"word\xff\xff\xff\xff");
    assert_eq!(&fork.image()[..8], b"wordfork");
    assert_eq!((test.counters().write_calls, fork.counters().write_calls), (1, 2));
}

#[test]
fn an_image_brings_its_programmed_words() {
    let profile = ChipProfile::generic(4, 2, 64);
    let mut bytes = vec![0xFF; 64];
    bytes[5] = 0;
    let mut flash = Flash::from_image(&profile, bytes);
    assert_eq!(flash.write(4, b"word"), Err(SimError::ProgrammedTwice));
    assert_eq!(flash.write(0, b"word"), Ok(()));
    assert_eq!(flash.write(8, b"word"), Ok(()));
}

#[test]
fn a_scrambled_chip_is_random_and_repeatable() {
    let (one, two) = (Flash::blank(4), Flash::blank(4));
    one.scramble(1);
    two.scramble(1);
    assert_eq!(one.image(), two.image());
    two.scramble(2);
    assert_ne!(one.image(), two.image());
}
