//! Power is cut within the first words of a frame, payload after payload: where a log's header is torn.
//!
//! A torn header is the rarest way to lose data: now and then its bytes make sense by accident. A log that then
//! believes its length, or its checksum, writes on at a wrong place or gives up what stands behind, and only one case
//! in hundreds shows it. So this test makes a million of them: the power fails in an append, the log is mounted,
//! appends once more, and is mounted again. What was acknowledged must be there, what was torn whole or not at all.
//!
//! The same test must catch a queue of which this is known, on the same flash: see the last test.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use evenkeel_core::Log;
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash, TornWord, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::oracle::{Oracle, SCRATCH, Step, identity, unmounted};
use evenkeel_tests::report::{Quiet, Replay, message, number, tell};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

/// The power is cut after each of so many words.
const WORDS: u64 = 32;
/// So many payloads are torn on one chip before the next one is taken.
const ON_ONE_CHIP: u64 = 96;

/// How the word is left in which power fails.
const LEFT: [(TornWord, WeakRead); 7] = [
    (TornWord::None, WeakRead::Off),
    (TornWord::All, WeakRead::Off),
    (TornWord::RandomBits, WeakRead::Off),
    (TornWord::None, WeakRead::ReadsErased),
    (TornWord::All, WeakRead::ReadsComplete),
    (TornWord::RandomBits, WeakRead::Flicker),
    (TornWord::RandomBits, WeakRead::Ecc),
];

/// A cut at the `nth` payload of a chip: the points take turns, and behind them the ways to tear.
fn cut(seed: u64, nth: u64, words: u64, kinds: &[(TornWord, WeakRead)]) -> Cut {
    let (word, weak) = kinds[((nth / words + seed) % kinds.len() as u64) as usize];
    Cut { word, weak, ..Cut::after(nth % words).with_seed(seed << 16 | nth) }
}

/// One chip: payload after payload is torn and recovered from. Answers how many were.
fn chip<const W: usize, const R: usize, const S: usize>(page: usize, seed: u64) -> u64 {
    let profile = ChipProfile::generic(W, R, S).with_program_page(page);
    let flash = SimFlash::<W, R, S>::new(&profile, 3);
    let (mut scratch, mut oracle, mut rng) = ([0; SCRATCH], Oracle::default(), Rng::from_seed(seed));
    oracle.salt = seed + 1;
    oracle.brief = true;
    unmounted(&flash).mount_or_format(identity(), &mut scratch).expect("a blank chip can be formatted");
    let (mut torn, mut weak) = (0, false);
    // Long enough for the last of the words, where it can be.
    let longest = (WORDS as usize * W).min(S / 8) as u64;
    for nth in 0..ON_ONE_CHIP {
        let mut log = Log::mount(unmounted(&flash), &mut scratch).expect("a log cut off can be mounted");
        oracle.check_after_mount(&mut log, weak);
        let whole = |oracle: &mut Oracle, log: &mut _, step: Step| {
            oracle.step(log, &flash, &step).expect("no cut is armed");
        };
        // Once more after the mount: this settles what was torn before.
        whole(&mut oracle, &mut log, Step::Append(vec![(nth % 2, rng.below(8) as usize)]));
        if nth % 4 == 3 {
            whole(&mut oracle, &mut log, Step::Acknowledge(0));
            whole(&mut oracle, &mut log, Step::Maintain);
        }
        let cut = cut(seed, nth, WORDS, &LEFT);
        weak = cut.weak != WeakRead::Off;
        flash.arm(cut);
        if oracle.step(&mut log, &flash, &Step::Append(vec![(nth % 2, rng.below(longest) as usize)])).is_err() {
            torn += 1;
        }
        flash.disarm();
        flash.cut_now();
        flash.power_on();
    }
    oracle.brief = false;
    let mut log = Log::mount(unmounted(&flash), &mut scratch).expect("a log cut off can be mounted");
    oracle.check_after_mount(&mut log, weak);
    flash.assert_no_violations();
    torn
}

/// Chips until so many payloads were torn.
fn tear<const W: usize, const R: usize, const S: usize>(name: &str, page: usize, payloads: u64) {
    let payloads = if cfg!(debug_assertions) { payloads / 100 } else { payloads };
    let mut torn = 0;
    let (mut seed, only) = (0, number("EVENKEEL_SEED"));
    while torn < payloads {
        let seed_now = only.unwrap_or(seed);
        let replay = Replay::of("header_tear", format!("EVENKEEL_SEED={seed_now}"));
        torn += chip::<W, R, S>(page, seed_now);
        replay.passed();
        seed += 1;
        if only.is_some() {
            break;
        }
    }
    tell(&format!("{name}: {torn} payloads torn within their first {WORDS} words on {seed} chips, 0 lost"));
}

#[test]
fn power_cut_in_a_header_of_bytes() {
    tear::<1, 1, 1024>("words of 1 B", 1, 400_000);
}

#[test]
fn power_cut_in_a_header_of_bytes_in_pages() {
    tear::<1, 1, 1024>("words of 1 B, pages of 64 B", 64, 200_000);
}

#[test]
fn power_cut_in_a_header_of_words_of_2_bytes() {
    tear::<2, 1, 1024>("words of 2 B", 2, 150_000);
}

#[test]
fn power_cut_in_a_header_of_words_of_4_bytes() {
    tear::<4, 4, 1024>("words of 4 B", 4, 200_000);
}

#[test]
fn power_cut_in_a_header_of_large_words() {
    tear::<8, 1, 1024>("words of 8 B", 8, 50_000);
    tear::<16, 1, 2048>("words of 16 B", 16, 20_000);
}

// The control.

/// What a future answers that never waits: the simulated flash is woken at once.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// What became of the queue's items in one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Kept,
    /// An item that had been pushed is not there, or another is.
    Lost,
    /// The queue says that it is damaged, or programs a word twice.
    Failed,
}

type QueueFlash = SimFlash<1, 1, 1024>;

/// Pushes an item of the peer's queue, torn, and another one, and reads them all.
fn queue_case(seed: u64, nth: u64) -> Outcome {
    let flash = QueueFlash::blank(3);
    let mut rng = Rng::from_seed_and_stream(seed, nth);
    let mut item = |len: u64| -> Vec<u8> { (0..len).map(|_| rng.next_u8()).collect() };
    let open = || {
        let config = QueueConfig::new(0..3 * 1024);
        QueueStorage::new(flash.clone(), config, Cache::<Uncached, Uncached, Uncached>::new_uncached())
    };
    let (first, torn, last) = (item(8), item(3 + nth / 24 % 500), item(8));
    ready(open().push(&first, false)).expect("no cut is armed");
    // The header of its items has 8 bytes. Cells that are never in doubt are enough.
    flash.arm(cut(seed, nth, 8, &LEFT[..3]));
    let pushed = ready(open().push(&torn, false)).is_ok();
    flash.disarm();
    flash.cut_now();
    flash.power_on();
    if ready(open().push(&last, false)).is_err() {
        return Outcome::Failed;
    }
    flash.cut_now();
    flash.power_on();
    let read = ready(async {
        let (mut queue, mut items, mut room) = (open(), Vec::new(), [0; 512]);
        let mut all = queue.iter().await.ok()?;
        while let Some(entry) = all.next(&mut room).await.ok()? {
            items.push(entry.to_vec());
        }
        Some(items)
    });
    let Some(items) = read else { return Outcome::Failed };
    let with = items == [first.clone(), torn, last.clone()];
    let without = !pushed && items == [first, last];
    if with || without { Outcome::Kept } else { Outcome::Lost }
}

/// This very test catches a queue whose header is believed when it is torn: on flash that is written byte by byte the
/// queue of `sequential-storage` loses items.
#[test]
fn power_cut_in_a_header_loses_items_of_the_peer() {
    let cases = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let quiet = Quiet::please();
    let (mut lost, mut failed, mut told) = (0, 0, None);
    for nth in 0..cases {
        match catch_unwind(AssertUnwindSafe(|| queue_case(nth / 1000, nth))) {
            Ok(Outcome::Kept) => {}
            Ok(Outcome::Lost) => lost += 1,
            Ok(Outcome::Failed) => failed += 1,
            Err(panic) => {
                failed += 1;
                told.get_or_insert(message(&*panic));
            }
        }
    }
    drop(quiet);
    tell(&format!(
        "the control, sequential-storage on words of 1 B: of {cases} torn pushes {lost} lost items and {failed} made \
         it fail {}",
        told.unwrap_or_default()
    ));
    assert!(lost > 0, "the test cannot fail: it sees no loss where there is one");
}
