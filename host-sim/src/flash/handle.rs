//! The handle that tests and devices hold.

use core::fmt;
use core::ops::Range;
use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::chip::{Chip, Struck};
use super::counters::Counters;
use super::error::{FlashOp, SimError, Violation};
use super::failures::{Leaves, Times};
use super::faults::{Cut, TornWord};
use super::profile::ChipProfile;
use crate::clock::VirtualClock;
use crate::rng::Rng;

/// A handle to a simulated flash chip with words of `WORD` bytes, reads aligned to `READ` bytes and sectors of
/// `SECTOR` bytes.
///
/// A clone is another handle to the same chip: give one to the device by value, as its `NorFlash`, and keep one to
/// cut the power, inject faults and look at what was done. [`fork`](Self::fork) copies the chip.
///
/// Not `Send`: one simulation runs on one thread.
///
/// ```
/// use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
/// use evenkeel_host_sim::flash::{SimError, SimFlash};
///
/// let test = SimFlash::<4, 1, 4096>::blank(2);
/// let mut device = test.clone();
/// device.write(8, b"word").unwrap();
///
/// let mut bytes = [0; 6];
/// device.read(7, &mut bytes).unwrap();
/// assert_eq!(&bytes, b"\xffword\xff");
///
/// // Even writing the same bytes again is refused and recorded.
/// assert_eq!(device.write(8, b"word"), Err(SimError::ProgrammedTwice));
/// assert_eq!(test.violations().len(), 1);
/// assert_eq!(test.counters().words_programmed, 1);
/// ```
pub struct SimFlash<const WORD: usize, const READ: usize, const SECTOR: usize> {
    pub(super) chip: Rc<RefCell<Chip>>,
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> Clone for SimFlash<WORD, READ, SECTOR> {
    fn clone(&self) -> Self {
        Self { chip: Rc::clone(&self.chip) }
    }
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> fmt::Debug for SimFlash<WORD, READ, SECTOR> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chip = self.chip.borrow();
        f.debug_struct("SimFlash")
            .field("chip", &chip.profile.name)
            .field("word", &WORD)
            .field("read", &READ)
            .field("sector", &SECTOR)
            .field("sectors", &chip.erase_counts.len())
            .field("powered", &chip.is_powered())
            .field("armed", &chip.armed())
            .field("violations", &chip.violations.len())
            .finish()
    }
}

/// Making chips.
impl<const WORD: usize, const READ: usize, const SECTOR: usize> SimFlash<WORD, READ, SECTOR> {
    /// An erased chip of `sectors` sectors with the times of `profile`.
    ///
    /// # Panics
    ///
    /// When the profile is of another geometry than the type, or the chip would exceed 4 GiB.
    #[must_use]
    pub fn new(profile: &ChipProfile, sectors: usize) -> Self {
        Self::from_image(profile, vec![0xFF; sectors * SECTOR])
    }

    /// An erased chip of `sectors` sectors with the round times of [`ChipProfile::generic`].
    #[must_use]
    pub fn blank(sectors: usize) -> Self {
        Self::new(&ChipProfile::generic(WORD, READ, SECTOR), sectors)
    }

    /// A chip that holds `bytes` (F11: any bytes at all). Words that are all 0xFF count as erased, all others as
    /// programmed; wear starts at 0.
    ///
    /// # Panics
    ///
    /// When the profile is of another geometry than the type, or `bytes` is no whole number of sectors or exceeds
    /// 4 GiB.
    #[must_use]
    pub fn from_image(profile: &ChipProfile, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        profile.check();
        assert_eq!(
            (profile.word, profile.read, profile.sector),
            (WORD, READ, SECTOR),
            "the profile {} is of another geometry (word, read, sector) than the type",
            profile.name
        );
        assert!(bytes.len().is_multiple_of(SECTOR), "the image is no whole number of sectors");
        assert!(u32::try_from(bytes.len()).is_ok(), "the image is beyond 32-bit offsets");
        Self { chip: Rc::new(RefCell::new(Chip::new(*profile, bytes))) }
    }

    /// A copy of the chip as it is: content, faults, wear, counters, armed cuts and random state. Only the clock is
    /// not taken along. What happens to the one from now on does not touch the other.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut chip = self.chip.borrow().clone();
        chip.clock = None;
        Self { chip: Rc::new(RefCell::new(chip)) }
    }

    /// The pristine content of the memory, without the faults that lie over it on reads.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        self.chip.borrow().memory.clone()
    }

    /// Number of sectors.
    #[must_use]
    pub fn sectors(&self) -> usize {
        self.chip.borrow().erase_counts.len()
    }

    /// The chip's profile.
    #[must_use]
    pub fn profile(&self) -> ChipProfile {
        self.chip.borrow().profile
    }

    /// Replaces the content by random bytes, as on a chip with another past (F11). Counters and wear stay; weak words
    /// and flipped bits go.
    pub fn scramble(&self, seed: u64) {
        let mut bytes = self.image();
        Rng::from_seed(seed).fill(&mut bytes);
        self.chip.borrow_mut().load(bytes);
    }

    /// From now on every call advances `clock` by the time it takes.
    pub fn attach_clock(&self, clock: &VirtualClock) {
        self.chip.borrow_mut().clock = Some(clock.clone());
    }
}

/// What was done.
impl<const WORD: usize, const READ: usize, const SECTOR: usize> SimFlash<WORD, READ, SECTOR> {
    /// Work done since the chip was made or [`reset_counters`](Self::reset_counters).
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.chip.borrow().counters
    }

    /// Sets all [`counters`](Self::counters) to 0. Erase counts and cut points go on.
    pub fn reset_counters(&self) {
        self.chip.borrow_mut().counters = Counters::default();
    }

    /// Erases of each sector since the chip was made. An interrupted erase counts: it wears the sector as well.
    #[must_use]
    pub fn erase_counts(&self) -> Vec<u32> {
        self.chip.borrow().erase_counts.clone()
    }

    /// Every broken rule so far, in order.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.chip.borrow().violations.clone()
    }

    /// Fails the test when a rule was broken.
    ///
    /// # Panics
    ///
    /// When there is a violation; the message lists the first ten.
    #[track_caller]
    pub fn assert_no_violations(&self) {
        let chip = self.chip.borrow();
        let list: Vec<_> = chip.violations.iter().take(10).map(ToString::to_string).collect();
        assert!(list.is_empty(), "{} violations: {}", chip.violations.len(), list.join("; "));
    }
}

/// Power.
impl<const WORD: usize, const READ: usize, const SECTOR: usize> SimFlash<WORD, READ, SECTOR> {
    /// Arms a cut, counted from now; a cut that was armed before is replaced.
    ///
    /// When its point comes, that operation is torn, its call returns [`SimError::PowerLost`], and so does every
    /// later call until [`power_on`](Self::power_on).
    pub fn arm(&self, cut: Cut) {
        self.chip.borrow_mut().arm(Some(cut));
    }

    /// Arms a plain cut: `n` cut points pass, the next is interrupted, a word being torn as `torn` says (F1).
    pub fn cut_after(&self, n: u64, torn: TornWord) {
        self.arm(Cut { word: torn, ..Cut::after(n) });
    }

    /// Arms the first of `cuts` now, and each of the others at the power-on that follows the one before (F8: power
    /// lost again during recovery). Every cut counts its points from the moment it is armed.
    pub fn arm_each_boot(&self, cuts: impl IntoIterator<Item = Cut>) {
        let mut chip = self.chip.borrow_mut();
        chip.later = cuts.into_iter().collect();
        let first = chip.later.pop_front();
        chip.arm(first);
    }

    /// Takes back every armed cut.
    pub fn disarm(&self) {
        let mut chip = self.chip.borrow_mut();
        chip.later.clear();
        chip.arm(None);
    }

    /// The armed cut that has not struck yet, as it was armed.
    #[must_use]
    pub fn armed(&self) -> Option<Cut> {
        self.chip.borrow().armed()
    }

    /// Cuts the power between two operations: nothing is torn. A cut that was armed is taken back.
    pub fn cut_now(&self) {
        self.chip.borrow_mut().cut_now();
    }

    /// Switches the power on. Does nothing when it is on.
    pub fn power_on(&self) {
        self.chip.borrow_mut().power_on();
    }

    /// Whether the chip has power.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.chip.borrow().is_powered()
    }

    /// Cut points (words programmed and sectors erased) since the chip was made, interrupted ones included.
    #[must_use]
    pub fn cut_points(&self) -> u64 {
        self.chip.borrow().points
    }

    /// Where the latest cut struck. [`cut_now`](Self::cut_now) strikes nowhere.
    #[must_use]
    pub fn last_struck(&self) -> Option<Struck> {
        self.chip.borrow().struck
    }

    /// The number of weak places (F3, F4): words or sectors whose reads may differ from the memory.
    #[must_use]
    pub fn weak_places(&self) -> usize {
        self.chip.borrow().overlay.weak_places()
    }

    /// Takes all weakness away: every read is of the memory as stored.
    pub fn clear_weak(&self) {
        self.chip.borrow_mut().overlay.clear_weak();
    }
}

/// Faults other than power cuts.
impl<const WORD: usize, const READ: usize, const SECTOR: usize> SimFlash<WORD, READ, SECTOR> {
    /// Flips bit `bit` of the byte at `offset` on every read (F6), until its sector is erased; flipping it again
    /// takes it back. The memory stays pristine.
    ///
    /// # Panics
    ///
    /// When `offset` is beyond the chip or `bit` above 7.
    pub fn flip_bit(&self, offset: u32, bit: u8) {
        let mut chip = self.chip.borrow_mut();
        assert!((offset as usize) < chip.memory.len() && bit < 8, "no such bit");
        chip.overlay.flip(offset as usize, 1 << bit);
    }

    /// Takes all bit rot back.
    pub fn clear_flips(&self) {
        self.chip.borrow_mut().overlay.clear_flips();
    }

    /// The next `times` reads fail with [`SimError::Injected`] (F7).
    pub fn fail_read(&self, times: u32) {
        self.fail_at(0..u32::MAX, FlashOp::Read, Times::Count(times));
    }

    /// The next `times` writes fail with [`SimError::Injected`] (F7); see also [`set_leaves`](Self::set_leaves).
    pub fn fail_write(&self, times: u32) {
        self.fail_at(0..u32::MAX, FlashOp::Write, Times::Count(times));
    }

    /// The next `times` erases fail with [`SimError::Injected`] (F7); see also [`set_leaves`](Self::set_leaves).
    pub fn fail_erase(&self, times: u32) {
        self.fail_at(0..u32::MAX, FlashOp::Erase, Times::Count(times));
    }

    /// Calls of kind `op` that touch a byte of `range` fail with [`SimError::Injected`] (F7), so many `times`.
    /// Empty calls never fail.
    pub fn fail_at(&self, range: Range<u32>, op: FlashOp, times: Times) {
        let range = range.start as usize..range.end as usize;
        self.chip.borrow_mut().failures.add(op, range, 0, times);
    }

    /// Lets `after` calls of kind `op` pass and makes the `times` next ones fail with [`SimError::Injected`] (F7).
    pub fn fail_later(&self, op: FlashOp, after: u32, times: u32) {
        self.chip.borrow_mut().failures.add(op, 0..usize::MAX, after, Times::Count(times));
    }

    /// What failing writes and erases have done by the time they report it; [`Leaves::Nothing`] at first.
    pub fn set_leaves(&self, leaves: Leaves) {
        self.chip.borrow_mut().failures.leaves = leaves;
    }

    /// Takes back every planned driver error.
    pub fn clear_failures(&self) {
        self.chip.borrow_mut().failures.clear();
    }

    /// A sector that was erased `cycles` times refuses the next erase with [`SimError::WornOut`] and keeps its
    /// content (F10); `None`, as at first, lifts the limit.
    pub fn set_endurance(&self, cycles: Option<u32>) {
        self.chip.borrow_mut().endurance = cycles;
    }

    /// Sets the erase count of one sector, to start with a worn chip or to wear out one sector alone.
    ///
    /// # Panics
    ///
    /// When there is no such sector.
    pub fn set_erase_count(&self, sector: usize, count: u32) {
        self.chip.borrow_mut().erase_counts[sector] = count;
    }
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> ErrorType for SimFlash<WORD, READ, SECTOR> {
    type Error = SimError;
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> ReadNorFlash for SimFlash<WORD, READ, SECTOR> {
    const READ_SIZE: usize = READ;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        self.chip.borrow_mut().read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.chip.borrow().memory.len()
    }
}

impl<const WORD: usize, const READ: usize, const SECTOR: usize> NorFlash for SimFlash<WORD, READ, SECTOR> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        self.chip.borrow_mut().erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        self.chip.borrow_mut().write(offset, bytes)
    }
}
