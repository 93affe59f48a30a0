//! Faults other than power cuts: bit rot, driver errors, wear, and dropped futures.

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use evenkeel_host_sim::flash::{FlashOp, Leaves, SimError, SimFlash, Times};

type Flash = SimFlash<4, 1, 64>;

fn byte(flash: &Flash, at: u32) -> u8 {
    let mut bytes = [0];
    flash.clone().read(at, &mut bytes).unwrap();
    bytes[0]
}

#[test]
fn a_flipped_bit_is_an_overlay() {
    let mut flash = Flash::blank(2);
    flash.write(0, &[0x0F; 8]).unwrap();
    flash.flip_bit(5, 7);
    assert_eq!((byte(&flash, 4), byte(&flash, 5), byte(&flash, 6)), (0x0F, 0x8F, 0x0F));
    assert_eq!(flash.image()[5], 0x0F, "the memory stays pristine");
    flash.flip_bit(5, 7);
    assert_eq!(byte(&flash, 5), 0x0F, "flipped twice is not flipped");
}

#[test]
fn flipped_bits_go_with_an_erase_or_on_request() {
    let mut flash = Flash::blank(2);
    flash.flip_bit(3, 0);
    flash.flip_bit(64, 0);
    flash.erase(0, 64).unwrap();
    assert_eq!((byte(&flash, 3), byte(&flash, 64)), (0xFF, 0xFE));
    flash.clear_flips();
    assert_eq!(byte(&flash, 64), 0xFF);
}

#[test]
fn injected_errors_strike_so_many_times() {
    let mut flash = Flash::blank(1);
    flash.fail_read(2);
    flash.fail_write(1);
    flash.fail_erase(1);
    assert_eq!(flash.read(0, &mut [0]), Err(SimError::Injected));
    assert_eq!(flash.write(0, &[0; 4]), Err(SimError::Injected));
    assert_eq!(flash.read(0, &mut [0]), Err(SimError::Injected));
    assert_eq!(flash.read(0, &mut [0]), Ok(()));
    assert_eq!(flash.image(), [0xFF; 64], "the failing write did nothing");
    assert_eq!(flash.write(0, &[0; 4]), Ok(()));
    assert_eq!(flash.erase(0, 64), Err(SimError::Injected));
    assert_eq!(flash.image()[0], 0, "the failing erase did nothing");
    assert_eq!(flash.erase(0, 64), Ok(()));
    flash.assert_no_violations();
}

#[test]
fn an_error_at_a_place_strikes_whatever_touches_it_until_cleared() {
    let mut flash = Flash::blank(2);
    flash.fail_at(70..72, FlashOp::Read, Times::Forever);
    for _ in 0..5 {
        assert_eq!(flash.read(64, &mut [0; 7]), Err(SimError::Injected));
        assert_eq!(flash.read(71, &mut [0]), Err(SimError::Injected));
        assert_eq!(flash.read(64, &mut [0; 6]), Ok(()));
        assert_eq!(flash.read(72, &mut [0]), Ok(()));
    }
    assert_eq!(flash.write(68, &[0; 4]), Ok(()), "only reads fail");
    flash.clear_failures();
    assert_eq!(flash.read(71, &mut [0]), Ok(()));
}

#[test]
fn a_failing_write_may_have_done_part_or_all() {
    for (leaves, words) in [(Leaves::Nothing, 0), (Leaves::Part, 2), (Leaves::All, 3)] {
        let mut flash = Flash::blank(2);
        flash.set_leaves(leaves);
        flash.fail_write(1);
        assert_eq!(flash.write(0, &[0; 12]), Err(SimError::Injected));
        assert_eq!(flash.image().iter().filter(|&&byte| byte == 0).count(), words * 4);
        assert_eq!(flash.counters().words_programmed, words as u64);
        // Trying again in place is right only when nothing was done.
        let again = flash.write(0, &[0; 12]);
        assert_eq!(again.is_ok(), leaves == Leaves::Nothing);
    }
}

#[test]
fn a_worn_sector_refuses_to_erase_and_keeps_its_content() {
    let mut flash = Flash::blank(2);
    flash.set_endurance(Some(2));
    flash.set_erase_count(1, 1);
    flash.write(64, &[0; 4]).unwrap();
    assert_eq!(flash.erase(64, 128), Ok(()));
    flash.write(64, &[0; 4]).unwrap();
    assert_eq!(flash.erase(64, 128), Err(SimError::WornOut));
    assert_eq!(flash.image()[64], 0);
    assert_eq!(flash.erase_counts(), [0, 2]);
    assert_eq!(flash.erase(0, 64), Ok(()), "its neighbour is fine");
    flash.set_endurance(None);
    assert_eq!(flash.erase(64, 128), Ok(()));
}

#[cfg(feature = "async")]
mod dropped {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
    use evenkeel_host_sim::flash::{SimError, SimFlash, TornWord};

    type Flash = SimFlash<4, 1, 64>;

    /// Polls at most `polls` times, then drops the future.
    fn poll<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Some(done);
            }
        }
        None
    }

    #[test]
    fn a_write_can_be_dropped_before_after_and_between_its_words() {
        for polls in 0..5 {
            let flash = Flash::blank(1);
            assert_eq!(poll(polls, flash.clone().write(0, &[0; 12])), None);
            let words = polls.saturating_sub(1) as u64;
            assert_eq!(flash.counters().words_programmed, words);
            assert_eq!(flash.image().iter().filter(|&&byte| byte == 0).count() as u64, words * 4);
        }
        let flash = Flash::blank(1);
        assert_eq!(poll(5, flash.clone().write(0, &[0; 12])), Some(Ok(())));
        assert_eq!(flash.counters().words_programmed, 3);
    }

    #[test]
    fn an_erase_can_be_dropped_before_after_and_between_its_sectors() {
        for (polls, sectors) in [(0, 0), (1, 0), (2, 1), (3, 2)] {
            let flash = Flash::blank(2);
            assert_eq!(poll(polls, flash.clone().erase(0, 128)), None);
            assert_eq!(flash.counters().erases, sectors);
        }
        assert_eq!(poll(4, Flash::blank(2).erase(0, 128)), Some(Ok(())));
    }

    #[test]
    fn a_read_is_pending_once() {
        let flash = Flash::blank(1);
        assert_eq!(poll(1, flash.clone().read(0, &mut [0])), None);
        assert_eq!(flash.counters().read_calls, 0);
        assert_eq!(poll(2, flash.clone().read(0, &mut [0])), Some(Ok(())));
    }

    #[test]
    fn rules_and_cuts_hold_here_too() {
        let mut flash = Flash::blank(1);
        assert_eq!(poll(9, flash.write(1, &[0; 4])), Some(Err(SimError::NotAligned)));
        flash.cut_after(1, TornWord::BytePrefix(1));
        assert_eq!(poll(9, flash.write(0, &[0; 12])), Some(Err(SimError::PowerLost)));
        assert_eq!(flash.image()[..8], [0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF]);
        flash.power_on();
        assert_eq!(poll(9, flash.write(0, &[0; 4])), Some(Err(SimError::ProgrammedTwice)));
    }

    #[test]
    fn power_that_is_lost_between_two_words_ends_the_write() {
        let flash = Flash::blank(1);
        let mut writer = flash.clone();
        let mut write = pin!(writer.write(0, &[0; 12]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(write.as_mut().poll(&mut context).is_pending());
        assert!(write.as_mut().poll(&mut context).is_pending());
        flash.cut_now();
        assert_eq!(write.as_mut().poll(&mut context), Poll::Ready(Err(SimError::PowerLost)));
        assert_eq!(flash.counters().words_programmed, 1);
    }
}

#[test]
fn a_failure_lets_some_calls_pass() {
    let flash = SimFlash::<4, 1, 256>::blank(2);
    let mut device = flash.clone();
    flash.fail_later(FlashOp::Write, 2, 2);
    let written: Vec<_> = (0..6).map(|word| device.write(4 * word, b"word").is_ok()).collect();
    assert_eq!(written, [true, true, false, false, true, true]);
    assert!(device.read(0, &mut [0; 4]).is_ok() && device.erase(0, 256).is_ok());
    flash.assert_no_violations();
}
