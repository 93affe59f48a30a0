//! The profiles of real chips, and the flash types of their geometries.
//!
//! Each doc comment names its source and says which of its figures are *assumed*: taken from the data sheet as
//! remembered or derived from another figure, and not checked against a copy of it. Read times are assumed throughout.

use super::handle::SimFlash;
use super::profile::ChipProfile;

impl ChipProfile {
    /// nRF51822: 1 KiB pages, 32-bit words.
    ///
    /// Source: Nordic nRF51822 Product Specification, flash: 46.3 us to write a word (maximum), 22.3 ms to erase a page
    /// (maximum), 20,000 erase cycles. Both times are assumed.
    pub const NRF51822: Self = Self {
        name: "nRF51822",
        word: 4,
        read: 4,
        sector: 1024,
        program_page: 4,
        read_call_ns: 250,
        read_byte_ns: 16,
        program_call_ns: 0,
        program_word_ns: 46_300,
        erase_ns: 22_300_000,
        endurance_cycles: 20_000,
        source: "nRF51822 Product Specification, NVMC: maxima",
    };

    /// nRF52840: 4 KiB pages, 32-bit words.
    ///
    /// Source: Nordic nRF52840 Product Specification 1.11, NVMC electrical specification: 41 us to write a word, 85 ms
    /// to erase a page, 10,000 erase cycles.
    pub const NRF52840: Self = Self {
        name: "nRF52840",
        word: 4,
        read: 4,
        sector: 4096,
        program_page: 4,
        read_call_ns: 60,
        read_byte_ns: 16,
        program_call_ns: 0,
        program_word_ns: 41_000,
        erase_ns: 85_000_000,
        endurance_cycles: 10_000,
        source: "nRF52840 Product Specification 1.11, NVMC: maxima",
    };

    /// STM32L4 (L476, L496): 2 KiB pages, 64-bit words with ECC.
    ///
    /// Source: ST STM32L496xx data sheet, section 6.3.10, flash memory characteristics: 81.69 us typical to program a
    /// double word (90.76 us maximum), 22.02 ms typical to erase a page (24.47 ms maximum), 10,000 cycles. Only the
    /// maximum of the erase was checked; the rest is assumed.
    pub const STM32L4: Self = Self {
        name: "STM32L4",
        word: 8,
        read: 1,
        sector: 2048,
        program_page: 8,
        read_call_ns: 50,
        read_byte_ns: 13,
        program_call_ns: 0,
        program_word_ns: 81_690,
        erase_ns: 22_020_000,
        endurance_cycles: 10_000,
        source: "STM32L496xx data sheet, 6.3.10: typical",
    };

    /// STM32G4, category 2 or dual bank: 2 KiB pages, 64-bit words with ECC.
    ///
    /// Source: ST STM32G431x6/x8/xB data sheet, flash memory characteristics: 81.7 us typical to program a double word,
    /// 22.02 ms typical to erase a page, 10,000 cycles. All assumed: the flash is that of the STM32L4.
    pub const STM32G4: Self = Self {
        name: "STM32G4",
        word: 8,
        read: 1,
        sector: 2048,
        program_page: 8,
        read_call_ns: 30,
        read_byte_ns: 6,
        program_call_ns: 0,
        program_word_ns: 81_700,
        erase_ns: 22_020_000,
        endurance_cycles: 10_000,
        source: "STM32G431 data sheet, flash memory characteristics: typical",
    };

    /// STM32U5: 8 KiB pages, 128-bit words with ECC.
    ///
    /// Source: ST STM32U575xx data sheet, flash memory characteristics: 118 us typical to program a quad word, 1.5 ms
    /// typical to erase a page; both assumed. RM0456, section 7.3.8: 10,000 cycles on every page, 100,000 on up to 32
    /// pages of each bank; the profile has the former.
    pub const STM32U5: Self = Self {
        name: "STM32U5",
        word: 16,
        read: 1,
        sector: 8192,
        program_page: 16,
        read_call_ns: 30,
        read_byte_ns: 6,
        program_call_ns: 0,
        program_word_ns: 118_000,
        erase_ns: 1_500_000,
        endurance_cycles: 10_000,
        source: "STM32U575xx data sheet, flash memory characteristics: typical; RM0456 7.3.8",
    };

    /// STM32H743: 128 KiB sectors, 256-bit words with ECC.
    ///
    /// Source: ST STM32H743xI data sheet, flash memory programming at 32-bit parallelism: 1.1 s typical to erase a
    /// sector (2.2 s maximum), 130 us typical to program a word, 10,000 cycles. The time to program is assumed.
    pub const STM32H743: Self = Self {
        name: "STM32H743",
        word: 32,
        read: 1,
        sector: 128 * 1024,
        program_page: 32,
        read_call_ns: 20,
        read_byte_ns: 2,
        program_call_ns: 0,
        program_word_ns: 130_000,
        erase_ns: 1_100_000_000,
        endurance_cycles: 10_000,
        source: "STM32H743xI data sheet, flash memory programming, x32: typical",
    };

    /// RP2040 with a W25Q16JV: 4 KiB sectors, bytes, program pages of 256 bytes.
    ///
    /// Source: Winbond W25Q16JV data sheet, AC characteristics: 0.4 ms typical to program a page, 45 ms typical to
    /// erase a sector (400 ms maximum), 100,000 cycles; assumed. The time of a shorter program command is split into
    /// 30 us (the first byte of the W25Q family) and an equal share for each byte, so that a page takes 0.4 ms.
    pub const RP2040_W25Q16: Self = Self {
        name: "RP2040 with W25Q16",
        word: 1,
        read: 1,
        sector: 4096,
        program_page: 256,
        read_call_ns: 1_250,
        read_byte_ns: 250,
        program_call_ns: 30_000,
        program_word_ns: 1_445,
        erase_ns: 45_000_000,
        endurance_cycles: 100_000,
        source: "W25Q16JV data sheet, AC characteristics: typical",
    };

    /// W25Q128JV on SPI: 4 KiB sectors, bytes, program pages of 256 bytes.
    ///
    /// Source: Winbond W25Q128JV data sheet, AC characteristics: 0.7 ms typical to program a page (3 ms maximum), 45 ms
    /// typical to erase a sector (400 ms maximum), 100,000 cycles; the typical time of the erase and the cycles are
    /// assumed. Shorter commands as for [`RP2040_W25Q16`](Self::RP2040_W25Q16).
    pub const W25Q128: Self = Self {
        name: "W25Q128",
        word: 1,
        read: 1,
        sector: 4096,
        program_page: 256,
        read_call_ns: 1_250,
        read_byte_ns: 250,
        program_call_ns: 30_000,
        program_word_ns: 2_617,
        erase_ns: 45_000_000,
        endurance_cycles: 100_000,
        source: "W25Q128JV data sheet, AC characteristics: typical",
    };

    /// ESP32 with the SPI flash of its modules: 4 KiB sectors, reads and writes of four bytes.
    ///
    /// Source: none for all modules, as makers differ; all times and cycles are assumed to be those of
    /// [`W25Q128`](Self::W25Q128). The four-byte unit is that of the `esp-storage` driver.
    pub const ESP32: Self = Self {
        name: "ESP32",
        word: 4,
        read: 4,
        sector: 4096,
        program_page: 256,
        read_call_ns: 1_250,
        read_byte_ns: 250,
        program_call_ns: 30_000,
        program_word_ns: 4 * 2_617,
        erase_ns: 45_000_000,
        endurance_cycles: 100_000,
        source: "assumed to be as W25Q128JV",
    };

    /// Every real chip.
    pub const ALL: [Self; 9] = [
        Self::NRF51822,
        Self::NRF52840,
        Self::STM32L4,
        Self::STM32G4,
        Self::STM32U5,
        Self::STM32H743,
        Self::RP2040_W25Q16,
        Self::W25Q128,
        Self::ESP32,
    ];
}

/// A flash of [`ChipProfile::NRF51822`]'s geometry.
pub type Nrf51822Flash = SimFlash<4, 4, 1024>;
/// A flash of [`ChipProfile::NRF52840`]'s geometry.
pub type Nrf52840Flash = SimFlash<4, 4, 4096>;
/// A flash of [`ChipProfile::STM32L4`]'s geometry.
pub type Stm32L4Flash = SimFlash<8, 1, 2048>;
/// A flash of [`ChipProfile::STM32G4`]'s geometry.
pub type Stm32G4Flash = SimFlash<8, 1, 2048>;
/// A flash of [`ChipProfile::STM32U5`]'s geometry.
pub type Stm32U5Flash = SimFlash<16, 1, 8192>;
/// A flash of [`ChipProfile::STM32H743`]'s geometry.
pub type Stm32H743Flash = SimFlash<32, 1, 131_072>;
/// A flash of [`ChipProfile::RP2040_W25Q16`]'s geometry.
pub type Rp2040Flash = SimFlash<1, 1, 4096>;
/// A flash of [`ChipProfile::W25Q128`]'s geometry.
pub type W25q128Flash = SimFlash<1, 1, 4096>;
/// A flash of [`ChipProfile::ESP32`]'s geometry.
pub type Esp32Flash = SimFlash<4, 4, 4096>;
