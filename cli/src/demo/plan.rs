//! When the power is cut.

use std::collections::VecDeque;

use evenkeel_host_sim::flash::{Cut, Nrf52840Flash};
use evenkeel_host_sim::rng::Rng;

/// What the device does in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Activity {
    /// It has just got its power back.
    Recovery,
    /// It writes down an hour.
    Recording,
    /// It erases ahead and stores snapshots.
    Upkeep,
    /// It is being pulled.
    Sync,
}

/// Cuts one right after another, the first of them as soon as the device does `when` in or after an hour.
#[derive(Debug, Clone, Copy)]
struct Group {
    sample: usize,
    when: Activity,
    /// How many cuts follow, each within a few words of the boot after the one before.
    followers: u32,
}

/// Cuts the power a fixed number of times, spread over the whole run.
///
/// Each cut is armed at some cut point ahead and strikes when the device gets there. At the last sample all that have
/// not struck yet strike one after another: then the first word of each attempt to write it down is cut, so it stays
/// the last.
#[derive(Debug)]
pub(crate) struct CutPlan {
    /// By rising sample.
    groups: VecDeque<Group>,
    due: Vec<Group>,
    armed: Option<Group>,
    /// How many cuts are to follow on the one that has just struck.
    following: u32,
    left: u32,
    last_sample: usize,
    rng: Rng,
}

/// One in so many cuts follows right on another.
const FOLLOWS: u64 = 6;
/// One in so many groups waits for upkeep, and one in as many for a sync, as long as these come often enough.
const SELDOM: u64 = 6;
/// How many hours there are to each cut that waits for upkeep or a sync, at least.
const SELDOM_HOURS: usize = 300;
/// A cut is armed so many cut points ahead, at most: what a few hours take.
const AHEAD: u64 = 30;

impl CutPlan {
    /// A plan for `cuts` cuts in a run of so many samples.
    pub(crate) fn new(cuts: u32, samples: usize, mut rng: Rng) -> Self {
        let mut seldom = [samples / SELDOM_HOURS; 2];
        let mut groups: Vec<Group> = Vec::new();
        for _ in 0..cuts {
            match groups.last_mut() {
                Some(group) if rng.below(FOLLOWS) == 0 => group.followers += 1,
                _ => {
                    let sample = rng.below(samples.max(1) as u64) as usize;
                    let when = match rng.below(SELDOM) {
                        0 if seldom[0] > 0 => {
                            seldom[0] -= 1;
                            Activity::Upkeep
                        }
                        1 if seldom[1] > 0 => {
                            seldom[1] -= 1;
                            Activity::Sync
                        }
                        _ => Activity::Recording,
                    };
                    groups.push(Group { sample, when, followers: 0 });
                }
            }
        }
        groups.sort_by_key(|group| group.sample);
        let (groups, last_sample) = (groups.into(), samples.saturating_sub(1));
        Self { groups, due: Vec::new(), armed: None, following: 0, left: cuts, last_sample, rng }
    }

    /// A cut has struck; answers whether it followed right on another.
    pub(crate) fn struck(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        let group = self.armed.take();
        self.following = group.map_or(0, |group| group.followers);
        group.is_some_and(|group| group.when == Activity::Recovery)
    }

    /// The device boots.
    pub(crate) fn boot(&mut self, flash: &Nrf52840Flash) {
        if let Some(followers) = self.following.checked_sub(1) {
            let after = self.rng.below(12);
            self.arm(flash, after, Group { sample: 0, when: Activity::Recovery, followers });
        }
    }

    /// The device is about to write this sample down.
    pub(crate) fn sample(&mut self, flash: &Nrf52840Flash, sample: usize) {
        while let Some(group) = self.groups.front().filter(|group| group.sample <= sample) {
            self.due.push(*group);
            self.groups.pop_front();
        }
        if sample >= self.last_sample {
            self.arm(flash, 0, Group { sample, when: Activity::Recording, followers: 0 });
        } else if let Some(group) = self.next_due(Activity::Recording) {
            let after = self.rng.below(AHEAD);
            self.arm(flash, after, group);
        }
    }

    /// The device begins something that a cut may have been waiting for.
    pub(crate) fn begin(&mut self, flash: &Nrf52840Flash, activity: Activity) {
        if let Some(group) = self.next_due(activity) {
            let after = match activity {
                // Upkeep often begins with the one cut point that takes longest: an erase.
                Activity::Upkeep if self.rng.below(2) == 0 => 0,
                Activity::Upkeep => self.rng.below(16),
                _ => self.rng.below(3),
            };
            self.arm(flash, after, group);
        }
    }

    /// The device has done it: a cut meant for it that has not struck waits for the next time.
    pub(crate) fn end(&mut self, flash: &Nrf52840Flash, activity: Activity) {
        if let Some(group) = self.armed.filter(|group| group.when == activity) {
            flash.disarm();
            self.armed = None;
            self.due.insert(0, group);
        }
    }

    fn next_due(&mut self, when: Activity) -> Option<Group> {
        if self.armed.is_some() {
            return None;
        }
        let index = self.due.iter().position(|group| group.when == when)?;
        Some(self.due.remove(index))
    }

    /// At the last sample all that are left strike, whichever they were meant to be: some may then be due for nothing.
    fn arm(&mut self, flash: &Nrf52840Flash, after: u64, group: Group) {
        if self.left == 0 {
            return;
        }
        flash.arm(Cut::random(after, flash.profile().word, &mut self.rng));
        self.armed = Some(group);
    }
}

#[cfg(test)]
mod tests {
    use embedded_storage::nor_flash::NorFlash;
    use evenkeel_host_sim::flash::ChipProfile;

    use super::*;

    /// A device that writes three words for each sample, and one more on upkeep and sync.
    fn strikes(cuts: u32, samples: usize) -> Vec<usize> {
        let flash = Nrf52840Flash::new(&ChipProfile::NRF52840, 64);
        let mut plan = CutPlan::new(cuts, samples, Rng::from_seed(u64::from(cuts)));
        let (mut struck, mut sample, mut offset) = (Vec::new(), 0, 0);
        let mut write = |bytes: &[u8]| {
            offset += 16;
            flash.clone().write(offset, bytes)
        };
        while sample < samples {
            plan.sample(&flash, sample);
            let mut hour = || {
                write(&[0; 12])?;
                for activity in [Activity::Upkeep, Activity::Sync] {
                    plan.begin(&flash, activity);
                    write(&[0; 4])?;
                    plan.end(&flash, activity);
                }
                Ok::<_, evenkeel_host_sim::flash::SimError>(())
            };
            match hour() {
                Ok(()) => sample += 1,
                Err(error) => {
                    assert_eq!(error, evenkeel_host_sim::flash::SimError::PowerLost);
                    struck.push(sample);
                    plan.struck();
                    flash.power_on();
                    plan.boot(&flash);
                }
            }
        }
        assert_eq!((plan.left, flash.armed()), (0, None));
        struck
    }

    #[test]
    fn every_number_of_cuts_strikes_exactly() {
        for (cuts, samples) in [(0, 1), (1, 1), (5, 1), (0, 600), (1, 600), (100, 600), (600, 600), (40, 3_000)] {
            assert_eq!(strikes(cuts, samples).len(), cuts as usize, "{cuts} in {samples}");
        }
    }

    #[test]
    fn the_cuts_are_spread_over_the_run() {
        let struck = strikes(100, 3_000);
        for third in 0..3 {
            let within = struck.iter().filter(|sample| **sample / 1_000 == third).count();
            assert!((15..=60).contains(&within), "{within} in third {third}");
        }
    }
}
