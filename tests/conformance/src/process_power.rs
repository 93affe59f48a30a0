//! Processes and projections whose power is cut between any two writes.

use evenkeel_core::{Follower, Log, Position, RecordManager, Tracked};

use crate::meters::{BELL, Ring, TALLY, Total, record, rung};
use crate::projections::agree;
use crate::{PowerCuts, SCRATCH, mounted, read};

const READINGS: [u32; 9] = [9, 1, 8, 1, 1, 1, 7, 1, 6];

/// A boot: what follows from what is there, as far as the power lasts.
fn boot<R: RecordManager>(log: &mut Log<'_, R>, steps: u32) -> bool {
    let mut ring = Follower::new(Ring { above: 5, ..Ring::default() });
    let mut total = Tracked::<Total>::new();
    loop {
        let (Ok(rung), Ok(counted)) = (log.run(&mut ring, steps), log.refresh(&mut total, steps)) else { return false };
        if rung.seen + counted.seen == 0 {
            return log.checkpoint(&mut ring).is_ok();
        }
    }
}

/// Given power is lost after k operations of processes at work, for every k, when mounted again, then view and position
/// agree, each reaction is there once, and going on leads to where no cut would have led.
pub fn case_82_view_and_position_agree_after_a_cut_between_any_two_writes<H: PowerCuts>(make: impl Fn() -> H) {
    let mut struck = 0;
    for after in 0_u64.. {
        assert!(after < 50_000, "the work is never done");
        let (mut home, mut scratch) = (make(), [0; SCRATCH]);
        let mut log = mounted(&mut home, &mut scratch);
        record(&mut log, &READINGS);
        home.cut_after(after);
        let done = boot(&mut log, 2);
        drop(log);
        let cut = home.power_on();
        assert!(done || cut, "what no cut explains failed after {after}");

        let mut log = mounted(&mut home, &mut scratch);
        agree(&mut log);
        let (bell, tally) = (rung(&mut log, BELL), rung(&mut log, TALLY));
        assert!([9, 8, 7, 6].starts_with(&bell), "after {after}: {bell:?}");
        assert_eq!(tally, (1..=bell.len() as u32).collect::<Vec<_>>(), "after {after}");
        assert!(boot(&mut log, u32::MAX));
        agree(&mut log);
        assert_eq!((rung(&mut log, BELL), rung(&mut log, TALLY)), (vec![9, 8, 7, 6], vec![1, 2, 3, 4]), "{after}");
        assert!(boot(&mut log, u32::MAX));
        assert_eq!(read(&mut log, Position::START).unwrap().len(), READINGS.len() + 8 + 1, "{after}");
        if !cut {
            break;
        }
        struck += 1;
    }
    assert!(struck > 20, "{struck}");
}

/// What a view has seen is what it says it has seen, after every reboot.
pub fn a_view_outlives_a_reboot<H: PowerCuts>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut expected = Total::default();
    for boot in 1..=5 {
        let mut log = mounted(&mut home, &mut scratch);
        let mut total = Tracked::<Total>::new();
        log.refresh(&mut total, 0).unwrap();
        assert_eq!(total.view(), Some(&expected), "boot {boot}");
        record(&mut log, &[boot, 10 * boot]);
        log.refresh(&mut total, u32::MAX).unwrap();
        expected = Total { total: expected.total + 11 * boot, events: expected.events + 2 };
        assert_eq!(total.view(), Some(&expected));
        agree(&mut log);
    }
}
