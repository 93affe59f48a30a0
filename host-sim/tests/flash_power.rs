//! Power cuts: torn words, torn program commands, torn erases, weak words, and cuts of the recovery.

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use evenkeel_host_sim::flash::{
    ChipProfile, Cut, FlashOp, ParseCutError, SimError, SimFlash, TornErase, TornPage, TornWord, WeakRead,
};
use evenkeel_host_sim::rng::Rng;

type Flash = SimFlash<4, 1, 64>;
const DATA: [u8; 12] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC];

fn see<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>, at: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    flash.clone().read(at, &mut bytes).unwrap();
    bytes
}

/// Writes `DATA` at 0 and is cut on the way as `cut` says; then power returns.
fn torn_write(cut: Cut) -> Flash {
    let flash = Flash::blank(2);
    flash.arm(cut);
    assert_eq!(flash.clone().write(0, &DATA), Err(SimError::PowerLost), "{cut}");
    flash.power_on();
    flash
}

/// Fills a sector, then erases it and is cut on the way as `cut` says; then power returns.
fn torn_erase(cut: Cut) -> Flash {
    let flash = Flash::blank(2);
    flash.clone().write(0, &[0x5A; 60]).unwrap();
    flash.arm(cut);
    assert_eq!(flash.clone().erase(0, 128), Err(SimError::PowerLost), "{cut}");
    flash.power_on();
    flash
}

#[test]
fn without_power_every_call_fails_and_none_is_counted() {
    let mut flash = Flash::blank(1);
    flash.cut_now();
    assert!(!flash.is_powered());
    assert_eq!(flash.read(0, &mut [0]), Err(SimError::PowerLost));
    assert_eq!(flash.write(0, &[0; 4]), Err(SimError::PowerLost));
    assert_eq!(flash.erase(0, 64), Err(SimError::PowerLost));
    assert_eq!(flash.write(1, &[0; 4]), Err(SimError::PowerLost), "not even a violation");
    assert_eq!(flash.counters(), Default::default());
    flash.power_on();
    assert_eq!(flash.write(0, &[0; 4]), Ok(()));
    flash.assert_no_violations();
}

#[test]
fn a_cut_at_each_word_leaves_the_words_before_it_whole() {
    for point in 0..3 {
        for (torn, stored) in [
            (TornWord::None, 0),
            (TornWord::All, 4),
            (TornWord::BytePrefix(0), 0),
            (TornWord::BytePrefix(3), 3),
            (TornWord::BytePrefix(9), 4),
        ] {
            let flash = Flash::blank(1);
            flash.cut_after(point, torn);
            assert_eq!(flash.clone().write(0, &DATA), Err(SimError::PowerLost));
            let len = point as usize * 4 + stored;
            let mut expected = [0xFF; 12];
            expected[..len].copy_from_slice(&DATA[..len]);
            assert_eq!(flash.image()[..12], expected, "point {point}, {torn}");
            let struck = flash.last_struck().unwrap();
            assert_eq!((struck.point, struck.op, struck.offset), (point, FlashOp::Write, point as u32 * 4));
            assert_eq!(flash.counters().words_programmed, point + 1);
        }
    }
}

#[test]
fn a_cut_counts_from_when_it_is_armed_and_strikes_once() {
    let mut flash = Flash::blank(2);
    flash.write(0, &DATA).unwrap();
    flash.cut_after(1, TornWord::None);
    flash.erase(64, 128).unwrap();
    assert_eq!(flash.write(64, &DATA), Err(SimError::PowerLost));
    assert_eq!(flash.cut_points(), 5);
    flash.power_on();
    flash.write(64, &DATA).unwrap();
    flash.assert_no_violations();
}

#[test]
fn a_disarmed_cut_never_strikes() {
    let mut flash = Flash::blank(1);
    flash.cut_after(0, TornWord::All);
    assert_eq!(flash.armed().map(|cut| cut.word), Some(TornWord::All));
    flash.disarm();
    assert_eq!(flash.write(0, &DATA), Ok(()));
}

#[test]
fn random_bits_only_clear_bits_of_the_data_and_depend_on_the_seed_alone() {
    let image = |seed| torn_write(Cut { word: TornWord::RandomBits, ..Cut::after(1) }.with_seed(seed)).image();
    for seed in 0..50 {
        let image = image(seed);
        assert!(image[4..8].iter().zip(&DATA[4..8]).all(|(stored, data)| stored & data == *data));
        assert_eq!(image[8..12], [0xFF; 4]);
    }
    assert_eq!(image(1), image(1));
    assert_ne!(image(1), image(2));
}

#[test]
fn a_word_that_was_torn_may_not_be_programmed_again() {
    for word in [TornWord::All, TornWord::BytePrefix(1), TornWord::RandomBits] {
        let mut flash = torn_write(Cut { word, ..Cut::after(0) });
        assert_eq!(flash.write(0, &DATA[..4]), Err(SimError::ProgrammedTwice), "{word}");
        flash.erase(0, 64).unwrap();
        assert_eq!(flash.write(0, &DATA[..4]), Ok(()));
    }
}

#[test]
fn a_word_that_never_saw_the_pulse_may_be_programmed() {
    let mut flash = torn_write(Cut::after(0));
    assert_eq!(flash.write(0, &DATA), Ok(()));
    flash.assert_no_violations();
}

#[test]
fn a_weak_word_keeps_its_first_answer_for_one_boot_at_most() {
    for (weak, first) in [(WeakRead::ReadsErased, [0xFF; 4]), (WeakRead::ReadsComplete, [0x11, 0x22, 0x33, 0x44])] {
        let (mut changed_at_once, mut held_for_a_boot) = (0, 0);
        for seed in 0..40 {
            let flash = torn_write(Cut { weak, ..Cut::after(0) }.with_seed(seed));
            assert_eq!(see(&flash, 0, 4), first, "{weak} right after the cut");
            if (0..30).all(|_| see(&flash, 0, 4) == first) {
                held_for_a_boot += 1;
            } else {
                changed_at_once += 1;
            }
            flash.cut_now();
            flash.power_on();
            assert!((0..30).any(|_| see(&flash, 0, 4) != first), "{weak} never changes");
        }
        assert!(changed_at_once > 0 && held_for_a_boot > 0, "{changed_at_once} {held_for_a_boot}");
    }
}

#[test]
fn a_weak_word_reads_between_erased_and_complete_and_its_neighbours_are_firm() {
    let flash = torn_write(Cut { weak: WeakRead::Flicker, ..Cut::after(1) });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let bytes = see(&flash, 0, 12);
        assert_eq!(bytes[..4], DATA[..4]);
        assert_eq!(bytes[8..], [0xFF; 4]);
        assert!(bytes[4..8].iter().zip(&DATA[4..8]).all(|(seen, data)| seen & data == *data));
        seen.insert(bytes[4..8].to_vec());
    }
    assert!(seen.contains(&[0xFF; 4][..]) && seen.contains(&DATA[4..8]) && seen.len() > 5, "{seen:?}");
}

#[test]
fn a_weak_word_stops_flickering_when_its_sector_is_erased() {
    let mut flash = torn_write(Cut { weak: WeakRead::Flicker, ..Cut::after(1) });
    flash.erase(64, 128).unwrap();
    assert_eq!(flash.weak_places(), 1, "another sector's erase does not help");
    flash.erase(0, 64).unwrap();
    assert_eq!(flash.weak_places(), 0);
    flash.write(4, &DATA[..4]).unwrap();
    assert!((0..50).all(|_| see(&flash, 4, 4) == DATA[..4]));
}

#[test]
fn a_weak_word_that_reads_erased_stays_weak_when_it_is_programmed() {
    let mut flash = torn_write(Cut { word: TornWord::All, weak: WeakRead::ReadsErased, ..Cut::after(0) });
    flash.write(0, &[0xA0, 0xA1, 0xA2, 0xA3]).unwrap();
    flash.assert_no_violations();
    assert_eq!(flash.counters().weak_programs, 1);
    // Reading back right away finds what both programs cleared, a later boot finds something else.
    let first: Vec<u8> = DATA[..4].iter().zip([0xA0, 0xA1, 0xA2, 0xA3]).map(|(one, two)| one & two).collect();
    assert_eq!(see(&flash, 0, 4), first);
    assert_eq!(flash.image()[..4], first);
    for _ in 0..2 {
        flash.cut_now();
        flash.power_on();
    }
    assert!((0..30).any(|_| see(&flash, 0, 4) != first));
    flash.erase(0, 64).unwrap();
    assert_eq!(see(&flash, 0, 4), [0xFF; 4]);
}

#[test]
fn a_weak_word_that_reads_complete_may_not_be_programmed() {
    let mut flash = torn_write(Cut { weak: WeakRead::ReadsComplete, ..Cut::after(0) });
    assert_eq!(flash.write(0, &DATA[..4]), Err(SimError::ProgrammedTwice));
}

#[test]
fn a_word_torn_twice_is_still_one_weak_word() {
    let mut flash = torn_write(Cut { weak: WeakRead::ReadsErased, ..Cut::after(0) });
    flash.arm(Cut { weak: WeakRead::Flicker, ..Cut::after(0) });
    assert_eq!(flash.write(0, &DATA), Err(SimError::PowerLost));
    flash.power_on();
    for _ in 0..50 {
        let bytes = see(&flash, 0, 4);
        assert!(bytes.iter().zip(&DATA[..4]).all(|(seen, data)| seen & data == *data));
    }
}

#[test]
fn weakness_is_an_overlay_that_can_be_taken_away() {
    let flash = torn_write(Cut { word: TornWord::BytePrefix(2), weak: WeakRead::Flicker, ..Cut::after(0) });
    flash.clear_weak();
    assert_eq!(see(&flash, 0, 4), [0x11, 0x22, 0xFF, 0xFF]);
    assert_eq!(see(&flash, 0, 4), flash.image()[..4]);
}

#[test]
fn the_same_seed_and_calls_see_the_same_flickers() {
    let run = |seed| {
        let flash = torn_write(Cut { weak: WeakRead::Flicker, ..Cut::after(2) }.with_seed(seed));
        (0..50).map(|_| see(&flash, 0, 12)).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_torn_word_with_ecc_is_an_error_until_its_sector_is_erased() {
    let mut flash = torn_write(Cut { weak: WeakRead::Ecc, ..Cut::after(1) });
    for _ in 0..3 {
        assert_eq!(flash.read(7, &mut [0]), Err(SimError::Ecc));
        assert_eq!(flash.read(0, &mut [0; 12]), Err(SimError::Ecc));
    }
    assert_eq!(see(&flash, 0, 4), DATA[..4]);
    assert_eq!(see(&flash, 8, 4), [0xFF; 4]);
    assert_eq!(flash.write(4, &DATA[..4]), Err(SimError::ProgrammedTwice));
    flash.erase(0, 64).unwrap();
    assert_eq!(see(&flash, 0, 12), [0xFF; 12]);
}

#[test]
fn a_torn_erase_leaves_what_its_variant_says() {
    let filled = [0x5A; 60];
    let sector = |erase| torn_erase(Cut { erase, ..Cut::after(0) }).image()[..60].to_vec();
    assert_eq!(sector(TornErase::Unchanged), filled);
    assert_eq!(sector(TornErase::Complete), [0xFF; 60]);
    assert_eq!(sector(TornErase::WeakBlank), [0xFF; 60]);
    let half = sector(TornErase::ErasedUpTo(128));
    assert_eq!((&half[..32], &half[32..]), (&[0xFF; 32][..], &filled[32..]));
    let random = sector(TornErase::RandomBits);
    assert!(random.iter().all(|byte| byte & 0x5A == 0x5A) && random != filled && random != [0xFF; 60]);
}

#[test]
fn a_torn_erase_wears_its_sector_and_stops_before_the_next() {
    let flash = torn_erase(Cut::after(0));
    assert_eq!(flash.erase_counts(), [1, 0]);
    assert_eq!(flash.counters().erases, 1);
    let flash = torn_erase(Cut::after(1));
    assert_eq!(flash.erase_counts(), [1, 1]);
    assert_eq!(see(&flash, 0, 64), [0xFF; 64], "the first sector was erased before the cut");
}

#[test]
fn words_of_a_torn_erase_may_not_be_programmed_even_where_they_read_erased() {
    let mut flash = torn_erase(Cut { erase: TornErase::ErasedUpTo(128), ..Cut::after(0) });
    assert_eq!(see(&flash, 0, 4), [0xFF; 4]);
    assert_eq!(flash.write(0, &DATA[..4]), Err(SimError::ProgrammedTwice));
    assert_eq!(flash.write(60, &DATA[..4]), Ok(()), "this one never was programmed");
    flash.erase(0, 64).unwrap();
    assert_eq!(flash.write(0, &DATA[..4]), Ok(()));
}

#[test]
fn an_erase_that_completed_unheard_leaves_a_usable_sector() {
    let mut flash = torn_erase(Cut { erase: TornErase::Complete, ..Cut::after(0) });
    assert_eq!(flash.write(0, &DATA), Ok(()));
}

#[test]
fn a_weakly_blank_sector_reads_erased_and_later_shows_what_it_held() {
    let mut flash = torn_erase(Cut { erase: TornErase::WeakBlank, ..Cut::after(0) });
    assert_eq!(see(&flash, 0, 64), [0xFF; 64]);
    flash.cut_now();
    flash.power_on();
    assert!((0..30).any(|_| see(&flash, 0, 60) != [0xFF; 60]));
    assert!((0..30).all(|_| see(&flash, 60, 4) == [0xFF; 4]), "a word that was erased before is firm");
    assert_eq!(flash.write(60, &DATA[..4]), Ok(()));
    assert!((0..30).all(|_| see(&flash, 60, 4) == DATA[..4]), "and stays so when it is programmed");
    flash.erase(0, 64).unwrap();
    assert!((0..30).all(|_| see(&flash, 0, 64) == [0xFF; 64]));
}

#[test]
fn programming_a_weakly_blank_sector_is_counted_and_stays_weak() {
    let mut flash = torn_erase(Cut { erase: TornErase::WeakBlank, ..Cut::after(0) });
    flash.write(0, &DATA).unwrap();
    assert_eq!(flash.counters().weak_programs, 3);
    for _ in 0..2 {
        flash.cut_now();
        flash.power_on();
    }
    let first = see(&flash, 0, 12);
    assert!((0..30).any(|_| see(&flash, 0, 12) != first));
}

#[test]
fn an_erase_torn_on_ecc_flash_fails_reads() {
    let mut flash = torn_erase(Cut { erase: TornErase::RandomBits, weak: WeakRead::Ecc, ..Cut::after(0) });
    assert_eq!(flash.read(0, &mut [0; 4]), Err(SimError::Ecc));
    assert_eq!(see(&flash, 60, 4), [0xFF; 4]);
    flash.erase(0, 64).unwrap();
    assert_eq!(see(&flash, 0, 4), [0xFF; 4]);
}

#[test]
fn a_torn_program_command_may_take_its_bytes_in_any_order() {
    type Nor = SimFlash<1, 1, 64>;
    let profile = ChipProfile::generic(1, 1, 64).with_program_page(16);
    let data: Vec<u8> = (0..30).collect();
    let (mut lost_early, mut kept_late) = (false, false);
    for seed in 0..20 {
        let flash = Nor::new(&profile, 1);
        // The write covers the pages 4..16, 16..32 and 32..34; byte 24 of the second one is hit.
        flash.arm(Cut { page: TornPage::Subset, ..Cut::after(20) }.with_seed(seed));
        assert_eq!(flash.clone().write(4, &data), Err(SimError::PowerLost));
        let image = flash.image();
        assert_eq!(image[4..16], data[..12], "an earlier command is whole");
        assert_eq!(image[32..34], [0xFF; 2], "a later command never began");
        assert!((16..32).all(|at| image[at] & data[at - 4] == data[at - 4]), "bits are only cleared");
        lost_early |= image[16..24] != data[12..20];
        kept_late |= image[25..32] != [0xFF; 7];
    }
    assert!(lost_early && kept_late);
}

#[test]
fn bytes_that_a_torn_command_left_alone_may_be_programmed() {
    type Nor = SimFlash<1, 1, 64>;
    let profile = ChipProfile::generic(1, 1, 64).with_program_page(16);
    let flash = Nor::new(&profile, 1);
    flash.arm(Cut { page: TornPage::Subset, ..Cut::after(8) });
    assert_eq!(flash.clone().write(0, &[0; 16]), Err(SimError::PowerLost));
    flash.power_on();
    for (at, byte) in flash.image()[..16].iter().enumerate() {
        let expected = if *byte == 0xFF { Ok(()) } else { Err(SimError::ProgrammedTwice) };
        assert_eq!(flash.clone().write(at as u32, &[0]), expected);
    }
}

#[test]
fn all_words_of_a_torn_command_may_be_weak() {
    type Nor = SimFlash<4, 1, 64>;
    let profile = ChipProfile::generic(4, 1, 64).with_program_page(16);
    let flash = Nor::new(&profile, 1);
    flash.arm(Cut { page: TornPage::Subset, weak: WeakRead::Flicker, ..Cut::after(1) });
    assert_eq!(flash.clone().write(0, &[0; 20]), Err(SimError::PowerLost));
    flash.power_on();
    assert_eq!(flash.weak_places(), 4);
    assert!((0..20).any(|_| see(&flash, 0, 4) != see(&flash, 0, 4)));
}

#[test]
fn recovery_can_be_cut_as_well() {
    let mut flash = Flash::blank(2);
    flash.arm_each_boot([Cut::after(1), Cut::after(0), Cut { erase: TornErase::Complete, ..Cut::after(1) }]);
    assert_eq!(flash.write(0, &DATA), Err(SimError::PowerLost));
    assert_eq!(flash.armed(), None, "the second cut waits for the power");
    flash.power_on();
    assert_eq!(flash.write(64, &DATA), Err(SimError::PowerLost));
    flash.power_on();
    assert_eq!(flash.erase(0, 64), Ok(()));
    assert_eq!(flash.erase(64, 128), Err(SimError::PowerLost));
    flash.power_on();
    assert_eq!(flash.write(0, &DATA), Ok(()));
    assert_eq!(flash.write(64, &DATA), Ok(()));
    flash.assert_no_violations();
}

#[test]
fn switching_on_what_is_on_arms_nothing() {
    let flash = Flash::blank(1);
    flash.arm_each_boot([Cut::after(100), Cut::after(0)]);
    flash.power_on();
    assert_eq!(flash.armed(), Some(Cut::after(100)));
}

#[test]
fn every_kind_of_cut_is_enumerated_once_and_replays_from_its_text() {
    for word in [1, 2, 4, 8, 16, 32] {
        let all = Cut::all_page_variants(7, word);
        for (index, cut) in all.iter().enumerate() {
            assert!(!all[..index].contains(cut), "{cut} is listed twice");
            assert_eq!(cut.to_string().parse(), Ok(*cut));
            assert_eq!(cut.after, 7);
        }
        let has = |test: &dyn Fn(&Cut) -> bool| all.iter().any(test);
        for weak in [WeakRead::ReadsErased, WeakRead::ReadsComplete, WeakRead::Flicker, WeakRead::Ecc] {
            assert!(has(&|cut| cut.weak == weak));
        }
        for torn in [TornWord::None, TornWord::All, TornWord::RandomBits] {
            assert!(has(&|cut| cut.word == torn));
        }
        for erase in [TornErase::Unchanged, TornErase::Complete, TornErase::RandomBits, TornErase::WeakBlank] {
            assert!(has(&|cut| cut.erase == erase));
        }
        assert_eq!(has(&|cut| matches!(cut.word, TornWord::BytePrefix(_))), word > 1);
    }
    assert_eq!("after=x".parse::<Cut>(), Err(ParseCutError));
    assert_eq!("word=prefix".parse::<Cut>(), Err(ParseCutError));
    assert_eq!("after=3".parse(), Ok(Cut::after(3)));
}

/// A model that knows only the rules: whatever the cut, each byte is the data, erased or between, words before the
/// cut are whole and words after it erased.
#[test]
fn no_kind_of_cut_leaves_anything_but_the_words_it_hit_in_doubt() {
    for point in 0..3_usize {
        for cut in Cut::all_variants(point as u64, 4) {
            for seed in 0..5 {
                let flash = torn_write(cut.with_seed(seed));
                for _ in 0..10 {
                    let (at, hit) = (point * 4, &DATA[point * 4..point * 4 + 4]);
                    assert_eq!(see(&flash, 0, at), DATA[..at], "{cut}");
                    assert_eq!(see(&flash, at as u32 + 4, 12 - at), vec![0xFF; 12 - at], "{cut}");
                    let mut bytes = [0; 4];
                    match flash.clone().read(at as u32, &mut bytes) {
                        Ok(()) => assert!(bytes.iter().zip(hit).all(|(seen, data)| seen & data == *data), "{cut}"),
                        Err(error) => assert_eq!((error, cut.weak), (SimError::Ecc, WeakRead::Ecc), "{cut}"),
                    }
                }
            }
        }
    }
}

#[test]
fn random_cuts_are_the_same_for_the_same_seed() {
    let cuts = |seed| {
        let mut rng = Rng::from_seed(seed);
        (0..20).map(|after| Cut::random(after, 8, &mut rng)).collect::<Vec<_>>()
    };
    assert_eq!(cuts(1), cuts(1));
    assert_ne!(cuts(1), cuts(2));
}
