//! The asynchronous face: it does the same as the blocking one, to the byte, and its futures may be dropped anywhere.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use evenkeel_core::batch::BatchError;
use evenkeel_core::error::{LoadError, ReadError};
use evenkeel_core::{Aggregate, Kind, Notification, Position, Snapshot, StreamId, Tracker, Version, codec};
use evenkeel_flash_store::{Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::oracle::{UPLINK, identity};
use serde::{Deserialize, Serialize};

/// Polls until it is done.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    poll_times(future, u32::MAX).expect("done after so many polls")
}

/// Polls so many times and then drops the future, if it is not done by then.
fn poll_times<T>(future: impl Future<Output = T>, times: u32) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}

/// Sums what was counted.
#[derive(Debug, Default, PartialEq, Clone, Serialize, Deserialize)]
struct Meter {
    total: u64,
    events: u32,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = Counted;
    fn apply(&mut self, event: &Counted) {
        self.total += u64::from(event.by);
        self.events += 1;
    }
}

impl Snapshot for Meter {
    const SCHEMA: u8 = 1;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    by: u32,
    note: [u8; 20],
}

fn counted(number: u64) -> Counted {
    Counted { by: number as u32 % 1000, note: [number as u8; 20] }
}

fn region<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>) -> Region {
    let range = 0..(flash.sectors() * S) as u32;
    let region = Region::checked::<SimFlash<W, R, S>>(range.clone()).unwrap();
    assert_eq!(Region::checked_async::<SimFlash<W, R, S>>(range), Ok(region));
    region.program_page(flash.profile().program_page as u32).unwrap()
}

const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
const SCRATCH: usize = 700;

/// The same work for both faces: what was answered and read, as text.
macro_rules! work {
    ($name:ident, $face:ident, [$($asyncness:tt)?], [$($wait:tt)*]) => {
        $($asyncness)? fn $name<const W: usize, const R: usize, const S: usize>(
            flash: &SimFlash<W, R, S>,
            seed: u64,
            rounds: u64,
        ) -> Vec<String> {
            use evenkeel_core::$face::Log;
            use evenkeel_flash_store::$face::FlashLog;
            let mut told = Vec::new();
            let mut rng = Rng::from_seed(seed);
            let mut lives = vec![[0; SCRATCH]; rounds as usize + 1];
            let mut lives = lives.iter_mut();
            let (mut scratch, first) = ([0; SCRATCH], lives.next().unwrap());
            let mut records: FlashLog<_, 3, 2> = FlashLog::new(flash.clone(), region(flash), RETENTION);
            records.mount_or_format(identity(), &mut scratch) $($wait)* .unwrap();
            let mut log = Log::mount(records, first) $($wait)* .unwrap();
            for round in 0..rounds {
                match rng.below(9) {
                    0 => {
                        let last = log.bounds().last();
                        told.push(format!("{:?}", log.acknowledge(UPLINK, last) $($wait)*));
                    }
                    1 => told.push(format!("{:?}", log.maintain::<(Meter,)>() $($wait)*)),
                    2 => {
                        let heads = [log.head(1) $($wait)* .unwrap(), log.head(2) $($wait)* .unwrap()];
                        let after = heads.map(|head| head.map_or(Version::NONE, |head| head.version));
                        let at = log.tracked(Tracker(9));
                        let appended = log.append::<BatchError>(|batch| {
                            batch.event::<Meter>(StreamId(1), after[0], &counted(round))?;
                            batch.event::<Meter>(StreamId(2), after[1], &counted(round + 1))?;
                            batch.track(Tracker(9), at.next())
                        }) $($wait)*;
                        told.push(format!("{appended:?}"));
                    }
                    3 => {
                        let stream = rng.below(5);
                        match log.load::<Meter>(stream) $($wait)* {
                            Ok(mut root) => {
                                let taken = log.take_snapshot(&mut root) $($wait)*;
                                told.push(format!("{root:?} {taken:?}"));
                            }
                            Err(error) => told.push(format!("{error:?}")),
                        }
                    }
                    4 if rng.below(3) == 0 => {
                        let mut records = log.release();
                        if rng.below(2) == 0 {
                            told.push(format!("{:?}", records.close(&mut scratch) $($wait)*));
                        }
                        let records: FlashLog<_, 3, 2> = FlashLog::new(records.release(), region(flash), RETENTION);
                        log = Log::mount(records, lives.next().unwrap()) $($wait)* .unwrap();
                    }
                    5 => {
                        let mut at = Position(log.bounds().first.0 - 1);
                        while let Some(next) = log.next_notification(at) $($wait)* .unwrap() {
                            at = next.last();
                            told.push(format!("{next:?}"));
                        }
                    }
                    _ => {
                        let mut meter = log.load_or_new::<Meter>(rng.below(5)) $($wait)* .unwrap();
                        let events: Vec<_> = (0..rng.below(4)).map(|n| counted(round * 7 + n)).collect();
                        told.push(format!("{:?}", log.execute(&mut meter, |_| Ok::<_, ()>(events)) $($wait)*));
                        told.push(format!("{meter:?}"));
                    }
                }
            }
            told
        }
    };
}
work!(work_blocking, blocking, [], []);
work!(work_async, asynchronous, [async], [.await]);

fn both_faces_agree<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize) {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let mut told = 0;
    for seed in 0..6 {
        let (one, two) = (SimFlash::<W, R, S>::new(&profile, sectors), SimFlash::<W, R, S>::new(&profile, sectors));
        let blocking = work_blocking(&one, seed, 150);
        let asynchronous = block_on(work_async(&two, seed, 150));
        assert_eq!(blocking, asynchronous, "the faces do not answer the same");
        assert!(one.image() == two.image(), "the faces do not write the same");
        assert_eq!(one.counters().words_programmed, two.counters().words_programmed);
        assert_eq!(one.erase_counts(), two.erase_counts());
        // Each goes on with what the other has written.
        let blocking = work_blocking(&two, seed + 100, 100);
        let asynchronous = block_on(work_async(&one, seed + 100, 100));
        assert_eq!(blocking, asynchronous, "the faces do not answer the same of each other's log");
        assert!(one.image() == two.image(), "the faces do not go on the same");
        one.assert_no_violations();
        two.assert_no_violations();
        assert!(one.erase_counts().iter().all(|erases| *erases > 0), "the ring was not gone round");
        told += blocking.len();
    }
    println!("{W} B words, {sectors} sectors of {S} B: {told} answers compared, images the same");
}

#[test]
fn both_faces_do_the_same() {
    both_faces_agree::<4, 4, 512>(3, 4);
    both_faces_agree::<1, 1, 1024>(4, 64);
    both_faces_agree::<32, 4, 1024>(3, 32);
}

/// What a log must hold: of each event its stream and what was counted.
type Events = Vec<(u64, Counted)>;

type AsyncRecords<const W: usize, const R: usize, const S: usize> =
    evenkeel_flash_store::asynchronous::FlashLog<SimFlash<W, R, S>, 3, 2>;
type AsyncLog<'b, const W: usize, const R: usize, const S: usize> =
    evenkeel_core::asynchronous::Log<'b, AsyncRecords<W, R, S>>;

fn records<const W: usize, const R: usize, const S: usize>(flash: &SimFlash<W, R, S>) -> AsyncRecords<W, R, S> {
    AsyncRecords::new(flash.clone(), region(flash), RETENTION)
}

async fn mounted<'b, const W: usize, const R: usize, const S: usize>(
    flash: &SimFlash<W, R, S>,
    scratch: &'b mut [u8],
) -> AsyncLog<'b, W, R, S> {
    AsyncLog::mount(records(flash), scratch).await.expect("a log whose future was dropped can be mounted")
}

/// What a future is dropped of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Execute,
    AppendBatch,
    Acknowledge,
    Maintain,
    Snapshot,
    Close,
    Mount,
}

const CALLS: [Call; 7] =
    [Call::Execute, Call::AppendBatch, Call::Acknowledge, Call::Maintain, Call::Snapshot, Call::Close, Call::Mount];

/// The events that the call appends, if it comes to its end.
fn events_of(call: Call) -> Events {
    match call {
        Call::Execute => vec![(1, counted(5001)), (1, counted(5002))],
        Call::AppendBatch => vec![(2, counted(6001)), (4, counted(6002)), (2, counted(6003))],
        _ => Vec::new(),
    }
}

async fn append<const W: usize, const R: usize, const S: usize>(
    log: &mut AsyncLog<'_, W, R, S>,
    events: &Events,
) -> Position {
    for _ in 0..8 {
        let mut heads = std::collections::BTreeMap::new();
        for (stream, _) in events {
            let head = log.head(*stream).await.unwrap();
            heads.insert(*stream, head.map_or(Version::NONE, |head| head.version));
        }
        let appended = log
            .append::<BatchError>(|batch| {
                for (stream, event) in events {
                    let version = heads.get_mut(stream).unwrap();
                    batch.event::<Meter>(StreamId(*stream), *version, event)?;
                    *version = version.next();
                }
                Ok(())
            })
            .await;
        match appended {
            Ok(appended) => return appended.first,
            Err(evenkeel_core::error::AppendError::Full { .. }) => {
                let last = log.bounds().last();
                let _ = log.acknowledge(UPLINK, last).await;
                log.maintain::<(Meter,)>().await.unwrap();
            }
            Err(error) => panic!("appending failed: {error}"),
        }
    }
    panic!("the log stays full");
}

async fn call_on<const W: usize, const R: usize, const S: usize>(log: &mut AsyncLog<'_, W, R, S>, call: Call) {
    match call {
        Call::Execute => {
            let mut meter = log.load_or_new::<Meter>(1).await.unwrap();
            let events: Vec<_> = events_of(call).into_iter().map(|(_, event)| event).collect();
            let _ = log.execute(&mut meter, |_| Ok::<_, ()>(events)).await;
        }
        Call::AppendBatch => {
            append(log, &events_of(call)).await;
        }
        Call::Acknowledge => {
            let last = log.bounds().last();
            let _ = log.acknowledge(UPLINK, last).await;
        }
        Call::Maintain => {
            let _ = log.maintain::<(Meter,)>().await;
        }
        Call::Snapshot => {
            let mut root = log.load::<Meter>(1).await.unwrap();
            let _ = log.take_snapshot(&mut root).await;
        }
        Call::Close => log.records().close(&mut [0; 128]).await.unwrap(),
        Call::Mount => {
            use evenkeel_core::asynchronous::RecordManager;
            let (records, scratch) = log.parts();
            records.mount(scratch).await.unwrap();
        }
    }
}

/// Compares all that the log holds; answers how many records.
async fn compare<const W: usize, const R: usize, const S: usize>(
    log: &mut AsyncLog<'_, W, R, S>,
    events: &Events,
) -> u64 {
    // The head of a stream is looked up first: that finds out how far what was dropped got.
    let _ = log.head(1).await.unwrap();
    let bounds = log.bounds();
    assert_eq!(bounds.last().0, events.len() as u64, "the log does not end where it must");
    let tracked = log.tracked(UPLINK);
    assert!(bounds.first.0 <= tracked.0 + 1, "let go before it was seen");
    let (mut at, mut compared) = (Position(bounds.first.0 - 1), 0);
    while let Some(next) = log.next_notification(at).await.unwrap() {
        let Notification::Event(record) = next else { panic!("a gap after {at}") };
        at = at.next();
        assert_eq!(record.position, Some(at), "positions are not contiguous");
        let event: Counted = codec::decode(record.payload).unwrap();
        assert_eq!((record.stream.0, event), events[at.0 as usize - 1], "another event at {at}");
        compared += 1;
    }
    assert_eq!(at, bounds.last(), "the log ends too early");
    for stream in 0..5 {
        let mut expected = Meter::default();
        events.iter().filter(|(of, _)| *of == stream).for_each(|(_, event)| expected.apply(event));
        match log.load::<Meter>(stream).await {
            Ok(root) => assert_eq!(*root, expected, "stream {stream}"),
            Err(LoadError::NotFound) => assert_eq!(expected, Meter::default(), "stream {stream} is gone"),
            Err(error) => panic!("stream {stream}: {error}"),
        }
    }
    compared
}

/// Takes the batch for done or not, as the log has it.
async fn take_in<const W: usize, const R: usize, const S: usize>(
    log: &mut AsyncLog<'_, W, R, S>,
    events: &mut Events,
    under_way: Events,
) {
    let after = Position(events.len() as u64);
    let there = match log.next_notification(after).await {
        Ok(next) => next.is_some(),
        Err(ReadError::BeyondEnd { .. }) => panic!("what was appended is gone"),
        Err(error) => panic!("reading failed: {error}"),
    };
    if there {
        events.extend(under_way);
    }
}

#[derive(Debug, Default)]
struct Tally {
    dropped: u64,
    whole: u64,
    nested: u64,
    compared: u64,
}

/// Drops the call after `polls` polls; `None` if it was done by then. Goes on with the same log or mounts it again,
/// and if `nested` drops the append that follows as well.
fn drop_at<const W: usize, const R: usize, const S: usize>(
    base: &(SimFlash<W, R, S>, Events),
    call: Call,
    polls: u32,
    (again, nested): (bool, Option<u32>),
    tally: &mut Tally,
) -> Option<()> {
    let (flash, mut events) = (base.0.fork(), base.1.clone());
    let (mut scratch, mut other, mut third) = ([0; SCRATCH], [0; SCRATCH], [0; SCRATCH]);
    let mut log = block_on(mounted(&flash, &mut scratch));
    if poll_times(call_on(&mut log, call), polls).is_some() {
        return None;
    }
    let mut log = match again {
        true => log,
        false => block_on(mounted(&flash, &mut other)),
    };
    block_on(async {
        let before = events.len();
        if call == Call::Mount {
            // A mount given up is to be begun anew: nothing else is promised of this object before.
            call_on(&mut log, call).await;
        }
        take_in(&mut log, &mut events, events_of(call)).await;
        tally.whole += u64::from(events.len() > before);
        if let Some(polls) = nested {
            let more = vec![(3, counted(7001)), (1, counted(7002))];
            if poll_times(append(&mut log, &more), polls).is_some() {
                events.extend(more);
            } else {
                take_in(&mut log, &mut events, more).await;
                tally.nested += 1;
            }
        }
        tally.compared += compare(&mut log, &events).await;
        for number in 0..3 {
            let more = vec![(number, counted(8000 + number))];
            let first = append(&mut log, &more).await;
            assert_eq!(first.0, events.len() as u64 + 1, "an append skipped or repeated positions");
            events.extend(more);
        }
        tally.compared += compare(&mut log, &events).await;
        let mut log = mounted(&flash, &mut third).await;
        tally.compared += compare(&mut log, &events).await;
    });
    flash.assert_no_violations();
    tally.dropped += 1;
    Some(())
}

/// Logs that have gone round, each with one more event than the one before.
fn bases<const W: usize, const R: usize, const S: usize>(
    sectors: usize,
    page: usize,
    count: usize,
) -> Vec<(SimFlash<W, R, S>, Events)> {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let flash = SimFlash::<W, R, S>::new(&profile, sectors);
    let mut scratch = [0; SCRATCH];
    let mut events = Events::new();
    let mut bases = Vec::new();
    block_on(async {
        records(&flash).mount_or_format(identity(), &mut scratch).await.unwrap();
        let mut log = mounted(&flash, &mut scratch).await;
        let mut number = 0;
        while bases.len() < count {
            let event = (number % 5, counted(number));
            append(&mut log, &vec![event.clone()]).await;
            events.push(event);
            number += 1;
            if flash.erase_counts().iter().all(|erases| *erases > 1) {
                bases.push((flash.fork(), events.clone()));
            }
        }
    });
    bases
}

fn drop_everywhere<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize, count: usize) {
    let mut tally = Tally::default();
    let mut rng = Rng::from_seed(sectors as u64);
    for (number, base) in bases::<W, R, S>(sectors, page, count).iter().enumerate() {
        for call in CALLS {
            for polls in 0.. {
                let tell = Tell(format!("base {number}, {call:?} dropped after {polls} polls"));
                let mut done = true;
                for again in [true, false] {
                    done &= drop_at(base, call, polls, (again, None), &mut tally).is_none();
                }
                let nested = (rng.below(2) == 0, Some(rng.below(60) as u32));
                drop_at(base, call, polls, nested, &mut tally);
                std::mem::forget(tell);
                if done {
                    break;
                }
            }
        }
    }
    let Tally { dropped, whole, nested, compared } = tally;
    println!(
        "{W} B words, {sectors} sectors of {S} B: {dropped} futures dropped, {nested} of them twice, {whole} batches \
         there all the same, {compared} records compared, 0 lost"
    );
    assert!(dropped > 500 && whole > 10 && nested > 100);
}

/// Says what was dropped, if what follows fails.
struct Tell(String);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed: {}", self.0);
        }
    }
}

#[test]
fn a_future_dropped_anywhere_with_words_of_4_bytes() {
    drop_everywhere::<4, 4, 512>(3, 4, 8);
}

#[test]
fn a_future_dropped_anywhere_with_words_of_1_byte_in_pages() {
    drop_everywhere::<1, 1, 512>(4, 64, 4);
}

#[test]
fn a_future_dropped_anywhere_with_words_of_32_bytes() {
    drop_everywhere::<32, 4, 1024>(3, 32, 12);
}
