//! The behaviour cases of `evenkeel-conformance` on each record manager there is.

mod file;
mod memory;

use evenkeel_conformance::{Durable, Home, LetsGo, PowerCuts};
use evenkeel_core::Tracker;
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash, TornWord};
use evenkeel_tests::oracle::identity;

use file::File;
use memory::Ram;

/// A chip with words of `W` bytes.
struct Chip<const W: usize, const R: usize, const S: usize> {
    flash: SimFlash<W, R, S>,
    retention: Retention,
    formatted: bool,
    torn: TornWord,
}

impl<const W: usize, const R: usize, const S: usize> Chip<W, R, S> {
    fn new(page: usize, sectors: usize) -> Self {
        let profile = ChipProfile::generic(W, R, S).with_program_page(page);
        Self {
            flash: SimFlash::new(&profile, sectors),
            retention: Retention::Refuse,
            formatted: false,
            torn: TornWord::None,
        }
    }

    /// As little room as there can be, and a log that lets go what has been acknowledged.
    fn small(page: usize) -> Self {
        let mut chip = Self::new(page, 4);
        chip.retention = Retention::OverwriteAcknowledged(&[Self::UPLINK]);
        chip
    }

    /// The word that is being programmed when the power fails is left like this.
    fn torn(mut self, torn: TornWord) -> Self {
        self.torn = torn;
        self
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
        self.flash.cut_after(operations, self.torn);
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

    evenkeel_conformance::cases!(Ram::new);
    evenkeel_conformance::integrity_reboot_cases!(Ram::new);
}

mod sqlite {
    use super::File;

    evenkeel_conformance::cases!(File::new);
    evenkeel_conformance::power_cases!(File::new);
    evenkeel_conformance::local_power_cases!(File::new);
    evenkeel_conformance::process_power_cases!(File::cut_coarsely);
    evenkeel_conformance::integrity_reboot_cases!(File::new);
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
    signed_in_ram: SignedBlake2s in Ram::new();
    sealed_in_ram: SealedChaCha in Ram::new();
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

/// Batches that are cut off in other ways: the last word whole, in part, or garbled.
macro_rules! torn {
    ($($name:ident: $torn:expr;)+) => {$(
        mod $name {
            mod small_words {
                use evenkeel_host_sim::flash::TornWord::{self, *};

                use super::super::Chip;

                const TORN: TornWord = $torn;

                evenkeel_conformance::power_cases!(|| Chip::<4, 4, 512>::new(4, 128).torn(TORN));
                evenkeel_conformance::local_power_cases!(|| Chip::<4, 4, 512>::new(4, 128).torn(TORN));
            }

            mod large_words {
                use evenkeel_host_sim::flash::TornWord::{self, *};

                use super::super::Chip;

                const TORN: TornWord = $torn;

                evenkeel_conformance::power_cases!(|| Chip::<32, 32, 8192>::new(32, 8).torn(TORN));
                evenkeel_conformance::local_power_cases!(|| Chip::<32, 32, 8192>::new(32, 8).torn(TORN));
            }
        }
    )+};
}

torn! {
    torn_whole: All;
    torn_in_part: BytePrefix(2);
    torn_at_random: RandomBits;
}
