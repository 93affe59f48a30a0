//! A device that reboots: the same life again and again on the same flash, until it ends while power is on.

use crate::flash::SimFlash;

/// A device around a simulated flash: what is in its memory dies with the power, what is in the flash stays.
///
/// ```
/// use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
/// use evenkeel_host_sim::device::Device;
/// use evenkeel_host_sim::flash::{SimError, SimFlash, TornWord};
///
/// let mut device = Device::new(SimFlash::<4, 1, 256>::blank(1));
/// device.flash().cut_after(2, TornWord::None); // the third word is torn
///
/// // A life that writes one word after the other, behind those that it finds.
/// let written = device.run(|mut flash, _boot| {
///     let mut word = [0; 4];
///     for at in (0..16).step_by(4) {
///         flash.read(at, &mut word)?;
///         if word == [0xFF; 4] {
///             flash.write(at, b"word")?;
///         }
///     }
///     Ok::<_, SimError>(4)
/// });
/// assert_eq!(written, Ok(4));
/// assert_eq!((device.boots(), device.cuts()), (2, 1));
/// ```
#[derive(Debug)]
pub struct Device<const WORD: usize, const READ: usize, const SECTOR: usize> {
    flash: SimFlash<WORD, READ, SECTOR>,
    boots: u32,
    cuts: u32,
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> Device<WORD, READ, SECTOR> {
    /// A device with this flash, which has never been switched on.
    #[must_use]
    pub fn new(flash: SimFlash<WORD, READ, SECTOR>) -> Self {
        Self { flash, boots: 0, cuts: 0 }
    }

    /// The flash, to arm cuts and to look at what was done.
    #[must_use]
    pub fn flash(&self) -> &SimFlash<WORD, READ, SECTOR> {
        &self.flash
    }

    /// How often it was switched on.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// How many of its lives a power cut has ended.
    #[must_use]
    pub fn cuts(&self) -> u32 {
        self.cuts
    }

    /// Lives until a life ends with power on, and answers what it ended with.
    ///
    /// `life` is called with the flash and the number of the boot, counted from 1. Whatever it answers once the power
    /// is gone means nothing, as nobody is left to say it: the power comes back and the next life begins. So `Err` is
    /// a failure that no power cut explains. A life that is given no way to go on under the cuts that it meets, such
    /// as one that arms a cut at the first word of each boot, lives for ever.
    ///
    /// # Errors
    ///
    /// What `life` failed with while power was on.
    pub fn run<T, E>(
        &mut self,
        mut life: impl FnMut(SimFlash<WORD, READ, SECTOR>, u32) -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            self.flash.power_on();
            self.boots = self.boots.saturating_add(1);
            let end = life(self.flash.clone(), self.boots);
            if self.flash.is_powered() {
                return end;
            }
            self.cuts = self.cuts.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

    use super::Device;
    use crate::flash::{Cut, SimError, SimFlash};

    type Flash = SimFlash<4, 1, 256>;

    /// Counts in the flash: one word a boot.
    fn count(mut flash: Flash, words: u32) -> Result<u32, SimError> {
        let mut word = [0; 4];
        for index in 0..words {
            flash.read(index * 4, &mut word)?;
            if word == [0xFF; 4] {
                flash.write(index * 4, &index.to_le_bytes())?;
            }
        }
        Ok(words)
    }

    #[test]
    fn a_life_without_cuts_is_lived_once() {
        let mut device = Device::new(Flash::blank(1));
        assert_eq!(device.run(|flash, boot| count(flash, boot * 3)), Ok(3));
        assert_eq!((device.boots(), device.cuts(), device.flash().cut_points()), (1, 0, 3));
    }

    #[test]
    fn each_cut_ends_a_life_and_the_flash_outlives_it() {
        let mut device = Device::new(Flash::blank(1));
        device.flash().arm_each_boot([Cut::after(3), Cut::after(0), Cut::after(1)]);
        let mut boots = Vec::new();
        let end = device.run(|flash, boot| {
            boots.push(boot);
            count(flash, 10)
        });
        assert_eq!((end, boots), (Ok(10), vec![1, 2, 3, 4]));
        assert_eq!((device.boots(), device.cuts()), (4, 3));
        // Ten words, and the three that were torn.
        assert_eq!(device.flash().cut_points(), 13);
        device.flash().assert_no_violations();
    }

    #[test]
    fn a_failure_with_power_on_is_an_answer() {
        let mut device = Device::new(Flash::blank(1));
        device.flash().fail_read(1);
        assert_eq!(device.run(|flash, _| count(flash, 1)), Err(SimError::Injected));
        assert_eq!((device.boots(), device.cuts()), (1, 0));
    }

    #[test]
    fn a_life_that_overlooks_its_own_end_is_lived_again() {
        let mut device = Device::new(Flash::blank(1));
        device.flash().arm(Cut::after(0));
        let end = device.run(|flash, boot| {
            let _ = count(flash, 1);
            Ok::<_, SimError>(boot)
        });
        assert_eq!((end, device.cuts()), (Ok(2), 1));
    }

    #[test]
    fn boots_go_on_from_run_to_run() {
        let mut device = Device::new(Flash::blank(1));
        assert_eq!(device.run(|flash, _| count(flash, 1)), Ok(1));
        device.flash().cut_now();
        assert_eq!(device.run(|flash, _| count(flash, 2)), Ok(2));
        assert_eq!((device.boots(), device.cuts()), (2, 0), "the power went between two lives");
    }
}
