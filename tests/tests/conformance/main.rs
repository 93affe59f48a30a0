//! The behaviour cases of `evenkeel-conformance` on each record manager there is.

mod file;

use evenkeel_conformance::{Durable, Home, LetsGo, PowerCuts};
use evenkeel_core::{RamLog, Tracker};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash, TornWord};
use evenkeel_tests::oracle::identity;

use file::File;

/// A log in memory.
struct Ram;

impl Home for Ram {
    type Manager = RamLog<Vec<u8>, 64>;

    fn open(&mut self) -> Self::Manager {
        RamLog::new(vec![0; 1 << 18])
    }
}

/// A chip with words of `W` bytes.
struct Chip<const W: usize, const R: usize, const S: usize> {
    flash: SimFlash<W, R, S>,
    retention: Retention,
    formatted: bool,
}

impl<const W: usize, const R: usize, const S: usize> Chip<W, R, S> {
    fn new(page: usize, sectors: usize) -> Self {
        let profile = ChipProfile::generic(W, R, S).with_program_page(page);
        Self { flash: SimFlash::new(&profile, sectors), retention: Retention::Refuse, formatted: false }
    }

    /// As little room as there can be, and a log that lets go what has been acknowledged.
    fn small(page: usize) -> Self {
        let mut chip = Self::new(page, 4);
        chip.retention = Retention::OverwriteAcknowledged(&[Self::UPLINK]);
        chip
    }
}

impl<const W: usize, const R: usize, const S: usize> Drop for Chip<W, R, S> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.flash.assert_no_violations();
        }
    }
}

impl<const W: usize, const R: usize, const S: usize> Home for Chip<W, R, S> {
    type Manager = FlashLog<SimFlash<W, R, S>, 3>;

    fn open(&mut self) -> Self::Manager {
        let mut region = Region::checked::<SimFlash<W, R, S>>(0..(self.flash.sectors() * S) as u32).unwrap();
        if self.flash.profile().program_page <= W {
            region = region.word_by_word();
        }
        let log = || FlashLog::new(self.flash.clone(), region, self.retention);
        if !self.formatted {
            self.formatted = true;
            Self::Manager::format(&mut log(), identity(), &mut [0; 512]).unwrap();
        }
        log()
    }
}

impl<const W: usize, const R: usize, const S: usize> Durable for Chip<W, R, S> {}

impl<const W: usize, const R: usize, const S: usize> PowerCuts for Chip<W, R, S> {
    fn cut_after(&mut self, operations: u64) {
        self.flash.cut_after(operations, TornWord::None);
    }

    fn power_on(&mut self) -> bool {
        let cut = !self.flash.is_powered();
        self.flash.disarm();
        self.flash.power_on();
        cut
    }
}

impl<const W: usize, const R: usize, const S: usize> LetsGo for Chip<W, R, S> {
    const UPLINK: Tracker = Tracker(1);
}

mod ram {
    use super::Ram;

    evenkeel_conformance::cases!(|| Ram);
}

mod sqlite {
    use super::File;

    evenkeel_conformance::cases!(File::new);
    evenkeel_conformance::power_cases!(File::new);
    evenkeel_conformance::local_power_cases!(File::new);
}

/// The same cases on sealed records: nothing else is different for whoever uses the log.
macro_rules! sealed {
    ($($name:ident: $suite:ident in $home:expr;)+) => {$(
        mod $name {
            use evenkeel_conformance::integrity::SealedHome;
            use evenkeel_core::integrity::$suite;

            #[allow(unused_imports)]
            use super::{Chip, File, Ram};

            evenkeel_conformance::plain_cases!(|| SealedHome::<_, $suite>::new($home));
        }
    )+};
}

sealed! {
    signed_in_ram: SignedBlake2s in Ram;
    sealed_in_ram: SealedChaCha in Ram;
    sealed_in_sqlite: SealedChaCha in File::new();
    signed_on_flash: SignedSha256 in Chip::<4, 4, 2048>::new(4, 64);
    sealed_on_flash: SealedAes in Chip::<4, 4, 2048>::new(4, 64);
}

mod sealed_on_paged_flash {
    use evenkeel_conformance::integrity::SealedHome;
    use evenkeel_core::integrity::SealedChaCha;

    use super::Chip;

    fn chip() -> SealedHome<Chip<1, 1, 4096>, SealedChaCha> {
        SealedHome::new(Chip::new(256, 16))
    }

    evenkeel_conformance::plain_cases!(chip);
    evenkeel_conformance::power_cases!(chip);
    evenkeel_conformance::process_power_cases!(chip);
}

/// Words of several sizes, sectors of several sizes: some cases stay in one sector, others go through many.
macro_rules! on_chips {
    ($($name:ident: $word:literal, $read:literal, $sector:literal, $page:literal, $sectors:literal;)+) => {$(
        mod $name {
            use super::Chip;

            fn chip() -> Chip<$word, $read, $sector> {
                Chip::new($page, $sectors)
            }

            fn small() -> Chip<$word, $read, $sector> {
                Chip::small($page)
            }

            evenkeel_conformance::cases!(chip);
            evenkeel_conformance::power_cases!(chip);
            evenkeel_conformance::local_power_cases!(chip);
            evenkeel_conformance::process_power_cases!(chip);
            evenkeel_conformance::retention_cases!(small);
            evenkeel_conformance::integrity_reboot_cases!(chip);
        }
    )+};
}

on_chips! {
    flash_words_of_1: 1, 1, 4096, 256, 16;
    flash_words_of_4: 4, 4, 512, 4, 128;
    flash_words_of_8: 8, 1, 2048, 8, 16;
    flash_words_of_32: 32, 32, 8192, 32, 8;
}
