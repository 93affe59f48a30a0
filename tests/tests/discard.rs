//! Aggregates that are discarded, on flash: the end outlives reboots and power cuts, nothing follows it, and what has ended
//! holds no sector back.

use evenkeel_core::error::{AppendError, ExecuteError, HeldBy, LoadError};
use evenkeel_core::{Aggregate, Kind, Log, Root, Snapshot, StreamId, Version};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{Cut, SimFlash, TornWord, WeakRead};
use evenkeel_tests::oracle::identity;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 512>;
type Records = FlashLog<Flash, 3, 2>;

const SECTORS: usize = 4;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    pieces: u64,
}

impl Aggregate for Order {
    const KIND: Kind = Kind(1);
    type Event = u32;
    fn apply(&mut self, by: &u32) {
        self.pieces += u64::from(*by);
    }
}

impl Snapshot for Order {
    const SCHEMA: u8 = 1;
}

fn records(flash: &Flash) -> Records {
    let region = Region::checked::<Flash>(0..(SECTORS * 512) as u32).unwrap().word_by_word();
    Records::new(flash.clone(), region, Retention::OverwriteAcknowledged(&[]))
}

fn formatted() -> Flash {
    let flash = Flash::blank(SECTORS);
    records(&flash).mount_or_format(identity(), &mut [0; 256]).unwrap();
    flash
}

fn grown<'b>(flash: &Flash, scratch: &'b mut [u8], pieces: u32) -> (Log<'b, Records>, Root<Order>) {
    let mut log = Log::mount(records(flash), scratch).unwrap();
    let mut order = log.load_or_new::<Order>(7).unwrap();
    (0..pieces).for_each(|_| _ = log.execute(&mut order, |_| Ok::<_, ()>([1])).unwrap());
    (log, order)
}

/// The end is there, and whatever is tried nothing follows it.
fn has_ended(log: &mut Log<'_, Records>, version: Version) {
    assert_eq!(log.load::<Order>(7), Err(LoadError::Discarded { version }));
    let discarded = Err(AppendError::Discarded { stream: StreamId(7) });
    let more = log.append::<AppendError<_>>(|batch| Ok(batch.event::<Order>(StreamId(7), version, &1)?));
    assert_eq!(more, discarded);
    let again = log.append::<AppendError<_>>(|batch| Ok(batch.discard::<Order>(StreamId(7), version)?));
    assert_eq!(again, discarded);
    let anew = log.execute(&mut Root::<Order>::new(7), |_| Ok::<_, ()>([1]));
    assert!(matches!(anew, Err(ExecuteError::Log(AppendError::Conflict { .. }))), "{anew:?}");
    let before = log.load_at::<Order>(7, Version(version.0 - 1)).unwrap();
    assert_eq!(before.pieces, u64::from(version.0) - 1);
}

#[test]
fn an_aggregate_stays_discarded_after_a_reboot_and_when_others_push_it_out_of_memory() {
    let (flash, mut scratch) = (formatted(), [0; 256]);
    let (mut log, mut order) = grown(&flash, &mut scratch, 5);
    log.discard(&mut order).unwrap();
    has_ended(&mut log, Version(6));
    for other in 20..28_u64 {
        log.execute(&mut Root::<Order>::new(other), |_| Ok::<_, ()>([1])).unwrap();
    }
    has_ended(&mut log, Version(6));
    drop(log);
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    has_ended(&mut log, Version(6));
    flash.assert_no_violations();
}

#[test]
fn a_discard_cut_off_has_happened_or_has_not() {
    let (mut done, mut not_done) = (0, 0);
    for after in 0.. {
        let (flash, mut scratch) = (formatted(), [0; 256]);
        let (mut log, mut order) = grown(&flash, &mut scratch, 5);
        flash.arm(Cut { word: TornWord::All, weak: WeakRead::Off, ..Cut::after(after) });
        let outcome = log.execute_last(&mut order, |_| Ok::<_, ()>([1]));
        drop(log);
        let cut = !flash.is_powered();
        flash.disarm();
        flash.power_on();
        assert_eq!(outcome.is_err(), cut);
        let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
        match log.load::<Order>(7) {
            Ok(order) => {
                assert_eq!(
                    (order.pieces, cut),
                    (5, true),
                    "the last event came without the end, or what was said is gone"
                );
                not_done += 1;
            }
            Err(_) => {
                has_ended(&mut log, Version(7));
                done += 1;
            }
        }
        if !cut {
            break;
        }
    }
    assert!(done > 1 && not_done > 0, "{done} times done, {not_done} times not");
}

#[test]
fn what_has_ended_holds_nothing_back_and_is_forgotten_in_the_end() {
    let (flash, mut scratch) = (formatted(), [0; 256]);
    // Hundreds of orders that come and go, in a ring that holds some dozens; no type is registered for snapshots.
    for boot in 0..6_u64 {
        let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
        for number in 0..100 {
            let id = 1000 + boot * 100 + number;
            let mut order = Root::<Order>::new(id);
            log.execute(&mut order, |_| Ok::<_, ()>([1, 2])).unwrap();
            log.discard(&mut order).unwrap();
            assert!(matches!(log.load::<Order>(id), Err(LoadError::Discarded { version: Version(3) })));
            log.maintain::<()>().unwrap();
        }
        assert_eq!(log.load::<Order>(1000), Err(if boot == 0 { log_of(&mut log) } else { LoadError::NotFound }));
    }
    let erased = flash.erase_counts();
    assert!(erased.iter().all(|erases| *erases > 3), "the ring was not gone round: {erased:?}");
    // One that lives on does hold its sector.
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    log.execute(&mut Root::<Order>::new(7), |_| Ok::<_, ()>([1])).unwrap();
    let full = (0..1000_u64).find_map(|id| {
        let mut order = Root::<Order>::new(5000 + id);
        log.execute(&mut order, |_| Ok::<_, ()>([1])).err().or_else(|| {
            let ended = log.discard(&mut order).err().map(ExecuteError::Log);
            let _ = log.maintain::<()>();
            ended
        })
    });
    let held_by = HeldBy::Stream(StreamId(7), Kind(1));
    assert_eq!(full, Some(ExecuteError::Log(AppendError::Full { held_by })));
    assert_eq!(log.load::<Order>(7).unwrap().pieces, 1);
    flash.assert_no_violations();
}

/// What is told of the first order as long as its end is held, and afterwards.
fn log_of(log: &mut Log<'_, Records>) -> LoadError<<Records as evenkeel_core::RecordManager>::Error> {
    match log.bounds().first.0 {
        1..=3 => LoadError::Discarded { version: Version(3) },
        _ => LoadError::NotFound,
    }
}
