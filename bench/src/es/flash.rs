//! How the work on flash grows: counted, so the same on every machine.

use evenkeel_core::error::AppendError;
use evenkeel_core::section::Section;
use evenkeel_core::{Epoch, Log, LogId, Position, StreamId, Tracker, Version};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};

use super::tally::{Counted, Tally};
use super::{Grown, place};
use crate::flash::{CountingFlash, SECTOR};
use crate::report::{Place, Report};
use crate::workload::SCRATCH;

/// What it is called in the results.
pub(super) const NAME: &str = "evenkeel";
const WORD: usize = 4;
/// More than the most streams of any workload, so that all are at hand.
const SLOTS: usize = 2048;
const SEEN: Tracker = Tracker(1);
/// Appends that are counted, after all others.
const COUNTED: u64 = 2048;
/// Mounts and look-ups that are counted.
const MOUNTS: u64 = 32;
/// Bytes that an event takes, and a bit more.
const EVENT_BYTES: usize = 14;

type Flash = CountingFlash<WORD>;
type Records = FlashLog<Flash, SLOTS, 1>;

/// Sectors that hold so many events: a power of two.
#[must_use]
pub(super) fn sectors_for(events: u64) -> usize {
    ((events + COUNTED + MOUNTS) as usize * EVENT_BYTES / SECTOR + 6).next_power_of_two()
}

fn records(flash: &Flash, sectors: usize) -> Records {
    let region =
        Region::checked::<Flash>(0..(sectors * SECTOR) as u32).and_then(|region| region.program_page(WORD as u32));
    Records::new(
        flash.clone(),
        region.expect("a geometry that can hold a log"),
        Retention::OverwriteAcknowledged(&[SEEN]),
    )
}

/// Appends the event with this number, the streams in turn.
fn append(log: &mut Log<'_, Records>, number: u64, streams: u64) {
    let (stream, after) = (StreamId(number % streams + 1), Version((number / streams) as u32));
    let appended = log.append::<AppendError<_>>(|batch| Ok(batch.event::<Tally>(stream, after, &Counted::Up)?));
    appended.expect("room");
}

/// Fills a log; then counts appends, an acknowledgement, mounts, and look-ups at positions all over it.
pub(super) fn run(grown: Grown) -> Report {
    let Grown { events, streams } = grown;
    let sectors = sectors_for(events);
    let flash = Flash::blank(sectors);
    let (mut scratch, mut other) = ([0; SCRATCH], [0; SCRATCH]);
    let mut new = records(&flash, sectors);
    new.format(Identity { log: LogId(1), epoch: Epoch::new(1, 0xC0FF_EE00) }, &mut scratch).expect("formatting");
    let mut log = Log::mount(new, &mut scratch).expect("mounting");
    for number in 0..events {
        append(&mut log, number, streams);
        if number % 64 == 0 {
            let (records, scratch) = log.parts();
            while evenkeel_core::RecordManager::upkeep(records, scratch).expect("upkeep")
                == evenkeel_core::Upkeep::Worked
            {}
        }
    }
    let start = flash.counters();
    for number in events..events + COUNTED {
        append(&mut log, number, streams);
    }
    let appended = flash.counters().since(&start);
    let start = flash.counters();
    log.acknowledge(SEEN, Position(events / 2)).expect("acknowledging");
    let acknowledged = flash.counters().since(&start);

    let (mut mounting, mut looking) = (0, 0);
    for part in 0..MOUNTS {
        append(&mut log, events + COUNTED + part, streams);
        let flash = flash.fork();
        let start = flash.counters();
        let mut fresh = Log::mount(records(&flash, sectors), &mut other).expect("mounting");
        let mounted = flash.counters();
        let mut bytes = [0; SCRATCH];
        let after = Position((part * 2 + 1) * events / (2 * MOUNTS));
        let section = fresh.section(after, &mut bytes).expect("reading");
        assert!(matches!(section, Section::Events { .. }), "no events behind {after:?}");
        mounting += mounted.since(&start).reads;
        looking += flash.counters().since(&mounted).reads;
    }
    let place = Place { word: WORD, sectors, ..place(NAME, "flash", grown) };
    let counted = COUNTED as f64;
    Report::of(
        place,
        vec![
            ("stored_bytes_per_event", appended.written_bytes as f64 / counted),
            ("write_calls_per_event", appended.writes as f64 / counted),
            ("reads_per_event", appended.reads as f64 / counted),
            ("acknowledge_bytes", acknowledged.written_bytes as f64),
            ("acknowledge_reads", acknowledged.reads as f64),
            ("mount_reads", mounting as f64 / MOUNTS as f64),
            ("look_up_reads", looking as f64 / MOUNTS as f64),
        ],
    )
}
