//! What processes and views write is taken into snapshots by upkeep like anything else: a small ring goes round many
//! times, with a reboot now and then, and each event is still dealt with once.

use evenkeel_core::error::LoadError;
use evenkeel_core::process::{ReactError, View, ViewState};
use evenkeel_core::{
    Aggregate, CodecError, Follower, Kind, Log, Maintained, ProcessManager, Projection, Reaction, Record,
    RecordManager, Snapshot, StreamId, Tracked, Tracker, Version,
};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::SimFlash;
use evenkeel_tests::oracle::identity;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 1024>;
type Records = FlashLog<Flash, 4, 4>;

const SECTORS: usize = 4;
const UPLINK: Tracker = Tracker(0);
const EVENTS: u64 = 3000;

/// Adds up what it is told; of two kinds.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum<const KIND: u8> {
    total: u64,
    events: u64,
}

impl<const KIND: u8> Aggregate for Sum<KIND> {
    const KIND: Kind = Kind(KIND);
    type Event = u64;

    fn apply(&mut self, by: &u64) {
        self.total += by;
        self.events += 1;
    }
}

impl<const KIND: u8> Snapshot for Sum<KIND> {
    const SCHEMA: u8 = 1;
}

type Measured = Sum<1>;
type Doubled = Sum<2>;

/// Writes twice what was measured, for every third event.
struct Double;

impl ProcessManager for Double {
    const TRACKER: Tracker = Tracker(1);
    const FOLLOWS: &'static [Kind] = &[Measured::KIND];
    type Trigger = u64;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<u64>, CodecError> {
        Ok(event.event::<Measured>().transpose()?.filter(|by| by.is_multiple_of(3)))
    }

    fn react<R: RecordManager>(&self, by: u64, reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
        let _ = reaction.execute::<Doubled, _, ()>(StreamId(2), |_| Ok([2 * by]))?;
        Ok(())
    }
}

/// How many events of each there were.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Census {
    measured: u32,
    doubled: u32,
}

impl Projection for Census {
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError> {
        self.measured += u32::from(event.kind == Measured::KIND);
        self.doubled += u32::from(event.kind == Doubled::KIND);
        Ok(())
    }
}

impl View for Census {
    const KIND: Kind = Kind(3);
    const STREAM: StreamId = StreamId(3);
    const SCHEMA: u8 = 1;
    const TRACKER: Tracker = Tracker(2);
    const CHECKPOINT: u32 = 16;
}

fn records(flash: &Flash) -> Records {
    let region = Region::checked::<Flash>(0..(SECTORS * 1024) as u32).unwrap().word_by_word();
    // Who follows the log has to have seen what is let go, like the uplink.
    Records::new(flash.clone(), region, Retention::OverwriteAcknowledged(&[UPLINK, Tracker(1), Tracker(2)]))
}

#[test]
fn upkeep_takes_the_snapshots_of_what_processes_and_views_write() {
    let flash = Flash::blank(SECTORS);
    records(&flash).mount_or_format(identity(), &mut [0; 512]).unwrap();
    let mut done = 0;
    while done < EVENTS {
        // A boot: the process and the view go on from where their trackers stand.
        let mut scratch = [0; 512];
        let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
        let (mut double, mut census) = (Follower::new(Double), Tracked::<Census>::new());
        let mut measured = log.load_or_new::<Measured>(1).unwrap();
        assert_eq!(measured.events, done);
        for _ in 0..500 {
            done += 1;
            log.execute(&mut measured, |_| Ok::<_, ()>([done])).unwrap();
            log.run(&mut double, u32::MAX).unwrap();
            log.refresh(&mut census, u32::MAX).unwrap();
            if done % 16 == 0 {
                log.checkpoint(&mut double).unwrap();
                let last = log.bounds().last();
                log.acknowledge(UPLINK, last).unwrap();
            }
            while log.maintain::<(Measured, Doubled, ViewState<Census>)>().unwrap() == Maintained::More {}
        }
    }
    let erased = flash.erase_counts();
    assert!(erased.iter().all(|erases| *erases > 10), "the ring was not gone round: {erased:?}");

    let mut scratch = [0; 512];
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    let doubled = log.load::<Doubled>(2).unwrap();
    let thirds = EVENTS / 3;
    let expected = Doubled { total: 2 * 3 * thirds * (thirds + 1) / 2, events: thirds };
    assert_eq!(*doubled, expected);
    assert_eq!(doubled.version(), Version(thirds as u32));
    let gone = log.load_at::<Doubled>(2, Version(1));
    assert!(matches!(gone, Err(LoadError::Trimmed { .. })), "{gone:?}");
    let mut census = Tracked::<Census>::new();
    log.refresh(&mut census, u32::MAX).unwrap();
    assert_eq!(census.view(), Some(&Census { measured: EVENTS as u32, doubled: thirds as u32 }));
    flash.assert_no_violations();
}

/// A process whose type is not named to upkeep holds the log, which is said by name, and nothing is dropped.
#[test]
fn what_a_process_writes_holds_the_log_unless_upkeep_knows_its_type() {
    use evenkeel_core::error::HeldBy;

    let flash = Flash::blank(SECTORS);
    records(&flash).mount_or_format(identity(), &mut [0; 512]).unwrap();
    let mut scratch = [0; 512];
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    let (mut double, mut measured) = (Follower::new(Double), log.load_or_new::<Measured>(1).unwrap());
    let mut held = None;
    for number in 1..=EVENTS {
        let stored = log.execute(&mut measured, |_| Ok::<_, ()>([number])).is_ok();
        if !stored || log.run(&mut double, u32::MAX).is_err() {
            break;
        }
        log.checkpoint(&mut double).unwrap();
        let last = log.bounds().last();
        log.acknowledge(UPLINK, last).unwrap();
        log.skip(Tracker(2), last).unwrap();
        if let Maintained::Held(by) = log.maintain::<(Measured,)>().unwrap() {
            held = Some(by);
            break;
        }
    }
    assert_eq!(held, Some(HeldBy::Stream(StreamId(2), Doubled::KIND)));
    assert!(log.load::<Doubled>(2).unwrap().events > 10);
}
