//! A simulated NOR flash that is stricter than hardware, and breaks in every way hardware does when it is asked to.
//!
//! # Rules
//!
//! * Erased is 0xFF; programming only clears bits.
//! * **A word is programmed once between two erases.** A second program is refused and recorded as a
//!   [`Violation`], as are calls that are misaligned or out of bounds. There is no `MultiwriteNorFlash`.
//! * Every call is counted ([`Counters`]) and takes virtual time from the chip's [`ChipProfile`].
//! * The memory itself stays pristine: faults lie over it on reads.
//! * Everything random comes from a seed.
//!
//! [`SimFlash`] is a handle: the device under test owns one clone by value, the test keeps another. The chip outlives
//! the device, as it does when a device loses its power.
//!
//! # Faults
//!
//! | id | fault | how to ask for it |
//! | --- | --- | --- |
//! | F1 | torn word | [`Cut::word`] |
//! | F2 | torn program command | [`Cut::page`], on a chip whose program page is larger than its word |
//! | F3 | weak word | [`Cut::weak`] |
//! | F4 | ECC | [`WeakRead::Ecc`] |
//! | F5 | torn erase | [`Cut::erase`] |
//! | F6 | bit rot | [`SimFlash::flip_bit`] |
//! | F7 | driver errors | [`SimFlash::fail_read`], [`fail_write`](SimFlash::fail_write), [`fail_erase`](SimFlash::fail_erase), [`fail_at`](SimFlash::fail_at) |
//! | F8 | power lost again | [`SimFlash::arm_each_boot`] |
//! | F9 | dropped future | feature `async`: a pending await before each word and each sector |
//! | F10 | wear | [`SimFlash::set_endurance`] |
//! | F11 | hostile image | [`SimFlash::from_image`], [`SimFlash::scramble`] |
//!
//! # A cut at every point
//!
//! ```
//! use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
//! use evenkeel_host_sim::flash::{ChipProfile, Cut, SimError, SimFlash};
//!
//! type Flash = SimFlash<4, 1, 256>;
//!
//! // Record the workload once to learn how many cut points it has.
//! let blank = Flash::blank(2);
//! let work = |mut flash: Flash| flash.write(0, b"twelve bytes");
//! let recorded = blank.fork();
//! work(recorded.clone()).unwrap();
//!
//! for point in 0..recorded.cut_points() {
//!     for cut in Cut::all_variants(point, 4) {
//!         let flash = blank.fork();
//!         flash.arm(cut);
//!         assert_eq!(work(flash.clone()), Err(SimError::PowerLost), "{cut}");
//!         flash.power_on();
//!         // Here a test mounts the log again and checks its promises.
//!         let mut first = [0; 4];
//!         if point > 0 {
//!             flash.clone().read(0, &mut first).unwrap();
//!             assert_eq!(&first, b"twel");
//!         }
//!         flash.assert_no_violations();
//!     }
//! }
//! ```

#[cfg(feature = "async")]
mod asynchronous;
mod chip;
mod chips;
mod counters;
mod error;
mod failures;
mod faults;
mod handle;
mod overlay;
mod profile;
mod words;

pub use chip::Struck;
pub use chips::{
    Esp32Flash, Nrf51822Flash, Nrf52840Flash, Rp2040Flash, Stm32G4Flash, Stm32H743Flash, Stm32L4Flash, Stm32U5Flash,
    W25q128Flash,
};
pub use counters::Counters;
pub use error::{FlashOp, SimError, Violation};
pub use failures::{Leaves, Times};
pub use faults::{Cut, ParseCutError, TornErase, TornPage, TornWord, WeakRead};
pub use handle::SimFlash;
pub use profile::ChipProfile;
