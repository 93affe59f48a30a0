//! Power is cut while a log is made, at every word and in every way, and again while it is made once more: in the end
//! there is an empty log, and nothing was formatted that was not blank.

use evenkeel_core::Log;
use evenkeel_flash_store::MountError;
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::oracle::{Oracle, SCRATCH, identity, unmounted, workload};
use evenkeel_tests::report::tell;

fn format_under_cuts<const W: usize, const R: usize, const S: usize>(page: usize) -> u64 {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let blank = SimFlash::<W, R, S>::new(&profile, 3);
    let (mut tried, mut by_hand) = (0, 0);
    for after in 0.. {
        let mut struck = false;
        for (index, cut) in Cut::all_page_variants(after, W).into_iter().enumerate() {
            let seed = after << 8 | index as u64;
            let second = Cut::random(seed % 12, W, &mut Rng::from_seed(seed));
            let flash = blank.fork();
            flash.arm_each_boot([cut.with_seed(seed), second]);
            let mut scratch = [0; SCRATCH];
            for boot in 0.. {
                assert!(boot < 4, "no log comes to be under {cut};{second}");
                match unmounted(&flash).mount_or_format(identity(), &mut scratch) {
                    Ok(()) => break,
                    // What shows of a header that was being written need not look like one: then somebody must say
                    // that it is to be formatted.
                    Err(MountError::Foreign) if flash.is_powered() => {
                        by_hand += 1;
                        if unmounted(&flash).format(identity(), &mut scratch).is_ok() {
                            break;
                        }
                    }
                    Err(error) => assert!(!flash.is_powered(), "{error} under {cut} then {second}"),
                }
                struck = true;
                flash.power_on();
            }
            flash.disarm();
            // Its first header may be what was cut off, and read well only now and then: then it is made once more.
            let mut scratches = [[0; SCRATCH]; 40];
            let mut log = scratches.iter_mut().find_map(|scratch| {
                unmounted(&flash).mount_or_format(identity(), scratch).expect("a log, or a new one");
                Log::mount(unmounted(&flash), scratch).ok()
            });
            let mut log = log.take().expect("the log that was made");
            assert_eq!(log.bounds().next.0, 1);
            let mut oracle = Oracle::default();
            for step in workload(seed, 12, 2, S / 10) {
                oracle.step(&mut log, &flash, &step).expect("no cut is left");
            }
            oracle.compare(&mut log);
            flash.assert_no_violations();
            tried += 1;
        }
        if !struck {
            break;
        }
    }
    assert!(by_hand * 10 < tried, "{by_hand} of {tried} formats had to be asked for");
    tried
}

#[test]
fn power_cut_in_a_format_is_made_up_for() {
    let tried = format_under_cuts::<4, 4, 512>(4)
        + format_under_cuts::<1, 1, 1024>(256)
        + format_under_cuts::<8, 8, 1024>(8)
        + format_under_cuts::<32, 1, 1024>(32);
    tell(&format!("{tried} cuts of a format tried"));
    assert!(tried > 500);
}

/// The first appends of a new log, cut off again and again in its only sector.
#[test]
fn power_cut_in_start_after_start_of_a_new_log() {
    for seed in 0..400 {
        let flash = SimFlash::<4, 4, 512>::new(&ChipProfile::generic(4, 4, 512).with_program_page(4), 3);
        let mut scratch = [0; SCRATCH];
        unmounted(&flash).mount_or_format(identity(), &mut scratch).unwrap();
        let mut rng = Rng::from_seed(seed);
        flash.arm_each_boot((0..8).map(|_| Cut::random(rng.below(14), 4, &mut rng.clone())).collect::<Vec<_>>());
        let (mut oracle, steps, mut done) = (Oracle::default(), workload(seed, 10, 2, 40), 0);
        for boot in 0.. {
            assert!(boot < 12, "power fails without being cut");
            let mut log = Log::mount(unmounted(&flash), &mut scratch)
                .unwrap_or_else(|error| panic!("{error}, after {boot} cuts under seed {seed}"));
            oracle.check_after_mount(&mut log, true);
            let cut = loop {
                let Some(step) = steps.get(done) else { break false };
                done += 1;
                if oracle.step(&mut log, &flash, step).is_err() {
                    break true;
                }
            };
            if !cut {
                break;
            }
            flash.power_on();
        }
        flash.assert_no_violations();
    }
}
