//! A system under the asynchronous face: it does what it does under the blocking one, and its futures may be dropped
//! anywhere, as if the power had failed there.

use core::future::Future;
use core::ops::ControlFlow;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use evenkeel_core::process::{Prompt, Prompted, ReactError, View};
use evenkeel_core::{
    Aggregate, CodecError, Kind, Position, Projection, Record, Root, Snapshot, StreamId, Tracker, asynchronous,
    blocking,
};
use evenkeel_flash_store::{Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_tests::oracle::identity;
use evenkeel_tests::report::tell;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 4096>;

const SCRATCH: usize = 700;

/// Adds up what it is told.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum<const KIND: u8> {
    total: u32,
    events: u32,
}

impl<const KIND: u8> Aggregate for Sum<KIND> {
    const KIND: Kind = Kind(KIND);
    type Event = u32;

    fn apply(&mut self, by: &u32) {
        self.total += by;
        self.events += 1;
    }
}

impl<const KIND: u8> Snapshot for Sum<KIND> {
    const SCHEMA: u8 = 1;
}

type Meter = Sum<1>;
type Bill = Sum<2>;
type Ledger = Sum<3>;

const METER: StreamId = StreamId(1);
const BILL: StreamId = StreamId(2);
const LEDGER: StreamId = StreamId(3);

/// Bills each reading, and the ledger counts with it.
struct Charge;

/// Rounds every tenth bill up with a reading of its own: so the two follow each other.
struct Round;

macro_rules! processes {
    ($face:ident, [$($asyncness:tt)?], [$($wait:tt)*]) => {
        impl $face::ProcessManager for Charge {
            const TRACKER: Tracker = Tracker(1);
            const FOLLOWS: &'static [Kind] = &[Meter::KIND];
            type Trigger = u32;

            fn trigger(&self, event: &Record<'_>) -> Result<Option<u32>, CodecError> {
                event.event::<Meter>().transpose()
            }

            $($asyncness)? fn react<R: $face::RecordManager>(
                &self,
                by: u32,
                reaction: &mut $face::Reaction<'_, R>,
            ) -> Result<(), ReactError<R::Error>> {
                let _ = reaction.execute::<Bill, _, ()>(BILL, |_| Ok([3 * by])) $($wait)* ?;
                let _ = reaction.execute::<Ledger, _, ()>(LEDGER, |_| Ok([1])) $($wait)* ?;
                Ok(())
            }
        }

        impl $face::ProcessManager for Round {
            const TRACKER: Tracker = Tracker(2);
            const FOLLOWS: &'static [Kind] = &[Bill::KIND];
            const CHECKPOINT: u32 = 5;
            type Trigger = ();

            fn trigger(&self, event: &Record<'_>) -> Result<Option<()>, CodecError> {
                Ok((event.kind == Bill::KIND && event.version.0 % 10 == 0).then_some(()))
            }

            $($asyncness)? fn react<R: $face::RecordManager>(
                &self,
                (): (),
                reaction: &mut $face::Reaction<'_, R>,
            ) -> Result<(), ReactError<R::Error>> {
                let _ = reaction.execute::<Meter, _, ()>(METER, |_| Ok([1000])) $($wait)* ?;
                Ok(())
            }
        }
    };
}
processes!(blocking, [], []);
processes!(asynchronous, [async], [.await]);

/// All that was billed.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Billed(u32);

impl Projection for Billed {
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError> {
        self.0 += event.event::<Bill>().transpose()?.unwrap_or(0);
        Ok(())
    }
}

impl View for Billed {
    const KIND: Kind = Kind(4);
    const STREAM: StreamId = StreamId(4);
    const SCHEMA: u8 = 1;
    const TRACKER: Tracker = Tracker(3);
    const CHECKPOINT: u32 = 7;
}

macro_rules! system {
    ($face:ident) => {
        $face::System::new(($face::Follower::new(Charge), $face::Follower::new(Round), $face::Tracked::<Billed>::new()))
    };
}

const READINGS: u32 = 23;

fn blank() -> Flash {
    let flash = Flash::new(&ChipProfile::NRF52840, 4);
    blocking_records(&flash).format(identity(), &mut [0; SCRATCH]).unwrap();
    flash
}

fn region() -> Region {
    Region::checked::<Flash>(0..4 * 4096).unwrap().word_by_word()
}

fn blocking_records(flash: &Flash) -> evenkeel_flash_store::blocking::FlashLog<Flash, 4, 3> {
    evenkeel_flash_store::blocking::FlashLog::new(flash.clone(), region(), Retention::Refuse)
}

fn async_records(flash: &Flash) -> evenkeel_flash_store::asynchronous::FlashLog<Flash, 4, 3> {
    evenkeel_flash_store::asynchronous::FlashLog::new(flash.clone(), region(), Retention::Refuse)
}

/// The whole life of a device: what is missing is read, one reading a prompt, and what follows from it follows.
async fn life(flash: &Flash, scratch: &mut [u8]) {
    let mut log = asynchronous::Log::mount(async_records(flash), scratch).await.unwrap();
    let mut system = system!(asynchronous);
    let timer = Prompt::new();
    let ended = system
        .drive(&mut log, 4, async |log: &mut asynchronous::Log<'_, _>, ran| {
            if ran.unwrap().more {
                return ControlFlow::Continue(Prompted::Nobody);
            }
            let mut meter = log.load_or_new::<Meter>(METER).await.unwrap();
            let read = own_readings(&meter);
            if read < READINGS {
                log.execute(&mut meter, |_| Ok::<_, ()>([read + 1])).await.unwrap();
                return ControlFlow::Continue(Prompted::Followers(Meter::KIND));
            }
            // Once more for prompts that were lost, and then the end.
            if timer.take() {
                return ControlFlow::Break(read);
            }
            timer.raise();
            ControlFlow::Continue(Prompted::All)
        })
        .await;
    assert_eq!(ended, READINGS);
    system.checkpoint(&mut log).await.unwrap();
}

/// How many of the readings are not of [`Round`].
fn own_readings(meter: &Root<Meter>) -> u32 {
    (0..=READINGS)
        .find(|own| own * (own + 1) / 2 + 1000 * (meter.events - own.min(&meter.events)) == meter.total)
        .unwrap()
}

/// What comes out of a life: aggregates, and the view that is stored, with its place.
fn outcome(flash: &Flash) -> (Meter, Bill, Ledger, u32) {
    let mut scratch = [0; SCRATCH];
    let mut log = blocking::Log::mount(blocking_records(flash), &mut scratch).unwrap();
    let mut billed = blocking::Tracked::<Billed>::new();
    log.refresh(&mut billed, 0).unwrap();
    assert_eq!(billed.seen(), Some(log.tracked(Billed::TRACKER)), "the view and its tracker differ");
    log.refresh(&mut billed, u32::MAX).unwrap();
    (
        log.load::<Meter>(METER).unwrap().into_state(),
        log.load::<Bill>(BILL).unwrap().into_state(),
        log.load::<Ledger>(LEDGER).unwrap().into_state(),
        billed.view().unwrap().0,
    )
}

fn expected() -> (Meter, Bill, Ledger, u32) {
    // Every tenth bill leads to one reading more: 23 readings and 2 of these.
    let total = READINGS * (READINGS + 1) / 2 + 2 * 1000;
    let meter = Meter { total, events: READINGS + 2 };
    (
        meter,
        Bill { total: 3 * total, events: READINGS + 2 },
        Ledger { total: READINGS + 2, events: READINGS + 2 },
        3 * total,
    )
}

/// Polls so many times and then drops the future, if it is not done by then; answers whether it was done.
fn poll_times(future: impl Future<Output = ()>, times: u32) -> Option<u32> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find(|_| future.as_mut().poll(&mut context) == Poll::Ready(()))
}

#[test]
fn a_system_does_the_same_under_both_faces() {
    let flash = blank();
    poll_times(life(&flash, &mut [0; SCRATCH]), u32::MAX).unwrap();
    assert_eq!(outcome(&flash), expected());

    let other = blank();
    let mut scratch = [0; SCRATCH];
    let mut log = blocking::Log::mount(blocking_records(&other), &mut scratch).unwrap();
    let mut system = system!(blocking);
    let run =
        |log: &mut blocking::Log<'_, _>, system: &mut blocking::System<_>| while system.run(log, 4).unwrap().more {};
    run(&mut log, &mut system);
    for reading in 1..=READINGS {
        let mut meter = log.load_or_new::<Meter>(METER).unwrap();
        log.execute(&mut meter, |_| Ok::<_, ()>([reading])).unwrap();
        system.prompt(Meter::KIND);
        run(&mut log, &mut system);
    }
    system.prompt_all();
    run(&mut log, &mut system);
    system.checkpoint(&mut log).unwrap();
    assert_eq!(outcome(&other), expected());
    assert_eq!(flash.image(), other.image(), "to the byte");
    let end = log.bounds().last();
    assert!(end > Position(3 * u64::from(READINGS)), "{end}");
}

/// Whenever the future is dropped, the device that goes on from what is in its flash comes to the same.
#[test]
fn a_system_whose_future_is_dropped_at_any_await_comes_to_the_same() {
    let polls = poll_times(life(&blank(), &mut [0; SCRATCH]), u32::MAX).unwrap();
    let mut dropped = 0;
    for times in (0..=polls).step_by(if polls > 3000 { 3 } else { 1 }) {
        let flash = blank();
        assert_eq!(poll_times(life(&flash, &mut [0; SCRATCH]), times), None);
        poll_times(life(&flash, &mut [0; SCRATCH]), u32::MAX).unwrap();
        assert_eq!(outcome(&flash), expected(), "dropped after {times} polls");
        flash.assert_no_violations();
        dropped += 1;
    }
    tell(&format!("a system dropped after {dropped} different numbers of polls: each reaction once"));
    assert!(dropped > 300, "{dropped}");
}
