//! Sealed logs on flash: nonces are used once whatever happens, and what seals cost.

use std::cell::RefCell;
use std::collections::HashMap;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::integrity::{
    Aead, Blake2s, ChaCha20Poly1305, Key, KeyId, Keys, Sealed, SealedAes, SealedChaCha, SignedBlake2s, SignedSha256,
    Suite, Verification,
};
use evenkeel_core::{Aggregate, Kind, Log, Position, RamLog, Snapshot, Tracker};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimError, SimFlash};
use evenkeel_tests::oracle::identity;
use evenkeel_tests::report::tell;
use serde::{Deserialize, Serialize};

const SESSIONS: Tracker = Tracker(0xEE);
const UPLINK: Tracker = Tracker(1);
const SECTORS: usize = 8;
type Chip = SimFlash<4, 1, 512>;

/// Something that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sealing {
    /// The key and the nonce.
    under: ([u8; 32], [u8; 12]),
    /// The header and the payload.
    what: (Vec<u8>, Vec<u8>),
    /// What became of it: ciphertext and tag.
    ciphertext: Vec<u8>,
}

thread_local! {
    static SEALED: RefCell<Vec<Sealing>> = const { RefCell::new(Vec::new()) };
    static WRITTEN: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// ChaCha20-Poly1305 that notes all it seals; a naive one leaves the session out of its nonces.
struct Watched<const NAIVE: bool>(ChaCha20Poly1305, [u8; 32]);

impl<const NAIVE: bool> Watched<NAIVE> {
    fn nonce(nonce: &[u8; 12]) -> [u8; 12] {
        let mut used = *nonce;
        if NAIVE {
            used[..4].fill(0);
        }
        used
    }
}

impl<const NAIVE: bool> Aead for Watched<NAIVE> {
    const TAG_BYTES: usize = 16;
    const ENCRYPTS: bool = true;

    fn new(key: &Key) -> Self {
        Self(ChaCha20Poly1305::new(key), *key.bytes())
    }

    fn seal(&self, nonce: &[u8; 12], header: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
        let (nonce, payload) = (Self::nonce(nonce), data.to_vec());
        let tag = self.0.seal(&nonce, header, data)?;
        let ciphertext = [&*data, &tag].concat();
        let sealing = Sealing { under: (self.1, nonce), what: (header.to_vec(), payload), ciphertext };
        SEALED.with_borrow_mut(|sealed| sealed.push(sealing));
        Some(tag)
    }

    fn open(&self, nonce: &[u8; 12], header: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
        self.0.open(&Self::nonce(nonce), header, data, tag)
    }
}

struct Watching<const NAIVE: bool>;

impl<const NAIVE: bool> Suite for Watching<NAIVE> {
    type Aead = Watched<NAIVE>;
    type Mac = Blake2s;
}

/// A chip that notes all it is asked to write, whatever comes of it.
#[derive(Clone)]
struct Tapped(Chip);

impl ErrorType for Tapped {
    type Error = SimError;
}

impl ReadNorFlash for Tapped {
    const READ_SIZE: usize = Chip::READ_SIZE;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        self.0.read(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Tapped {
    const WRITE_SIZE: usize = Chip::WRITE_SIZE;
    const ERASE_SIZE: usize = Chip::ERASE_SIZE;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        self.0.erase(from, to)
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        WRITTEN.with_borrow_mut(|written| written.push(bytes.to_vec()));
        self.0.write(offset, bytes)
    }
}

/// Notes of 16 bytes; the state is the last one.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Note([u8; 16]);

impl Aggregate for Note {
    const KIND: Kind = Kind(1);
    type Event = [u8; 16];
    fn apply(&mut self, note: &[u8; 16]) {
        self.0 = *note;
    }
}

impl Snapshot for Note {
    const SCHEMA: u8 = 1;
}

fn keys() -> Keys<1> {
    Keys::new(KeyId::new(0), Key::from([0x77; 32]))
}

fn records<F: NorFlash>(flash: F) -> FlashLog<F> {
    let region = Region::checked::<F>(0..(SECTORS * 512) as u32).unwrap().word_by_word();
    FlashLog::new(flash, region, Retention::OverwriteAcknowledged(&[UPLINK]))
}

fn formatted() -> Chip {
    let chip = Chip::new(&ChipProfile::generic(4, 1, 512), SECTORS);
    FlashLog::<_>::format(&mut records(chip.clone()), identity(), &mut [0; 512]).unwrap();
    chip
}

/// Lives through one boot: appends, snapshots, upkeep and acknowledgements. What is written tells which try it is, so
/// that no two tries write the same.
fn boot<const NAIVE: bool>(chip: &Chip, boot: u32, steps: u32) {
    let mut scratch = [0; 512];
    let sealed = Sealed::<_, _, Watching<NAIVE>>::new(records(Tapped(chip.clone())), keys(), SESSIONS);
    let Ok(mut log) = Log::mount(sealed.marking_every(8), &mut scratch) else { return };
    for step in 0..steps {
        let mut note = [0xA5; 16];
        note[..4].copy_from_slice(&boot.to_le_bytes());
        note[4..8].copy_from_slice(&step.to_le_bytes());
        let stream = u64::from(step % 3);
        let Ok(mut root) = log.load_or_new::<Note>(stream) else { return };
        let done = log.execute(&mut root, |_| Ok::<_, ()>([note])).is_ok();
        if step % 4 == 1 {
            let _ = log.take_snapshot(&mut root);
        }
        if step % 3 == 2 {
            let last = log.bounds().last();
            let _ = log.acknowledge(UPLINK, last);
            let _ = log.maintain::<(Note,)>();
        }
        if !done && !chip.is_powered() {
            return;
        }
    }
}

/// How many seals reached the chip, and the first pair of different records under one nonce among them.
fn exposed() -> (usize, Option<(Sealing, Sealing)>) {
    let written = WRITTEN.with_borrow(|written| written.concat());
    let mut under: HashMap<_, Sealing> = HashMap::new();
    let mut count = 0;
    for sealing in SEALED.with_borrow(Clone::clone) {
        let pattern = &sealing.ciphertext;
        if !written.windows(pattern.len()).any(|window| window == pattern) {
            continue;
        }
        count += 1;
        if let Some(other) = under.insert(sealing.under, sealing.clone()) {
            if other.what != sealing.what {
                return (count, Some((other, sealing)));
            }
        }
    }
    (count, None)
}

fn forget() {
    SEALED.with_borrow_mut(Vec::clear);
    WRITTEN.with_borrow_mut(Vec::clear);
}

const STEPS: u32 = 24;

/// Cuts the power at every point of a workload, and once more a little later; then lives on twice. Answers how many
/// seals reached the chip in all, and in how many of these lives two different ones did so under one nonce.
fn cut_anywhere<const NAIVE: bool>() -> (usize, usize) {
    let recorded = formatted();
    let before = recorded.cut_points();
    boot::<NAIVE>(&recorded, 0, STEPS);
    let points = recorded.cut_points() - before;
    assert!(points > 400, "{points}");
    let (mut seals, mut reused) = (0, 0);
    for point in 0..points {
        let variants = Cut::all_variants(point, 4);
        // Each point with some ways to cut; the neighbours have the others.
        for cut in variants.iter().cycle().skip(point as usize * 3 % variants.len()).take(3) {
            forget();
            let chip = formatted();
            chip.arm_each_boot([cut.with_seed(point), Cut::after(1 + point * 7 % 40)]);
            for number in 0..4 {
                boot::<NAIVE>(&chip, number, if number == 0 { STEPS } else { 6 });
                chip.power_on();
            }
            let (count, twice) = exposed();
            seals += count;
            if let Some((one, other)) = twice {
                assert!(NAIVE, "cut {cut}: two records under one nonce: {one:?} and {other:?}");
                reused += 1;
            }
        }
    }
    (seals, reused)
}

#[test]
fn no_nonce_is_used_twice_whenever_the_power_is_cut() {
    let (seals, _) = cut_anywhere::<false>();
    tell(&format!("sealed_flash: {seals} seals reached the chip, none under the nonce of another"));
    assert!(seals > 10_000);
}

/// The same watch over a suite whose nonces come from positions alone: a batch that was cut off leaves its ciphertext
/// behind, and the next one at that position is sealed under the same nonce.
#[test]
fn nonces_without_sessions_are_caught() {
    let (_, reused) = cut_anywhere::<true>();
    assert!(reused > 20, "{reused}");
}

/// A driver that fails once in the middle of a write: the batch may be on the chip in part, and the next one is another.
#[test]
fn no_nonce_is_used_twice_after_a_failed_write() {
    for failing in 0..60 {
        forget();
        let chip = formatted();
        chip.fail_later(evenkeel_host_sim::flash::FlashOp::Write, failing, 1);
        boot::<false>(&chip, 0, STEPS);
        boot::<false>(&chip, 1, STEPS);
        let (seals, twice) = exposed();
        assert!(seals > 20 && twice.is_none(), "{failing}: {seals} seals, {twice:?}");
    }
}

impl embedded_storage_async::nor_flash::ReadNorFlash for Tapped {
    const READ_SIZE: usize = <Chip as ReadNorFlash>::READ_SIZE;
    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        embedded_storage_async::nor_flash::ReadNorFlash::read(&mut self.0, offset, bytes).await
    }
    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(&self.0)
    }
}

impl embedded_storage_async::nor_flash::NorFlash for Tapped {
    const WRITE_SIZE: usize = <Chip as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <Chip as NorFlash>::ERASE_SIZE;
    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        embedded_storage_async::nor_flash::NorFlash::erase(&mut self.0, from, to).await
    }
    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        WRITTEN.with_borrow_mut(|written| written.push(bytes.to_vec()));
        embedded_storage_async::nor_flash::NorFlash::write(&mut self.0, offset, bytes).await
    }
}

/// Polls a future so often; `None` if it is dropped before it has come to its end.
fn poll<F: Future>(future: F, at_most: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    (0..at_most).find_map(|_| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    })
}

/// An append dropped at any await: its batch may be on the chip in part, and the next one, of the same boot, is another.
#[test]
fn no_nonce_is_used_twice_after_a_dropped_future() {
    use evenkeel_core::asynchronous;
    type Records = evenkeel_flash_store::asynchronous::FlashLog<Tapped>;

    let mut dropped = 0;
    for polls in 1..60 {
        forget();
        let chip = formatted();
        let mut scratch = [0; 512];
        let region = Region::checked::<Chip>(0..(SECTORS * 512) as u32).unwrap().word_by_word();
        let records = Records::new(Tapped(chip.clone()), region, Retention::OverwriteAcknowledged(&[UPLINK]));
        let sealed = asynchronous::Sealed::<_, _, Watching<false>>::new(records, keys(), SESSIONS);
        let mut log = poll(asynchronous::Log::mount(sealed, &mut scratch), 10_000).unwrap().unwrap();
        for step in 0..6_u8 {
            let mut root = poll(log.load_or_new::<Note>(1), 10_000).unwrap().unwrap();
            // The second and the fourth are dropped, each time a little later.
            let at_most = if step == 1 || step == 3 { polls } else { 10_000 };
            match poll(log.execute(&mut root, |_| Ok::<_, ()>([[step; 16]])), at_most) {
                Some(done) => drop(done.unwrap()),
                None => dropped += 1,
            }
        }
        let root = poll(log.load_or_new::<Note>(1), 10_000).unwrap().unwrap();
        assert_eq!((root.0, root.version().0 >= 4), ([5; 16], true));
        let (seals, twice) = exposed();
        assert!(seals >= 4 && twice.is_none(), "{polls}: {twice:?}");
    }
    assert!(dropped > 20, "{dropped}");
}

/// A refused command is not a new session: trying again and again on a full log writes nothing.
#[test]
fn refusals_begin_no_sessions() {
    let chip = formatted();
    let mut scratch = [0; 512];
    let sealed = Sealed::<_, _, SealedChaCha>::new(records(chip.clone()), keys(), SESSIONS);
    let mut log = Log::mount(sealed, &mut scratch).unwrap();
    let mut root = log.load_or_new::<Note>(1).unwrap();
    let full = loop {
        match log.execute(&mut root, |_| Ok::<_, ()>([[1; 16]])) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, evenkeel_core::error::ExecuteError::Log(AppendError::Full { .. })), "{full:?}");
    let (session, written) = (log.tracked(SESSIONS), chip.counters());
    for _ in 0..50 {
        assert!(log.execute(&mut root, |_| Ok::<_, ()>([[2; 16]])).is_err());
    }
    assert_eq!((log.tracked(SESSIONS), chip.counters().words_programmed), (session, written.words_programmed));
}

/// What only its own key opens.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Personal(u32);

impl Aggregate for Personal {
    const KIND: Kind = Kind(9);
    type Event = u32;
    fn apply(&mut self, number: &u32) {
        self.0 = *number;
    }
}

impl Snapshot for Personal {
    const SCHEMA: u8 = 1;
}

/// Nobody can take a snapshot of a stream whose key was destroyed: its records are let go all the same, lap after lap.
#[test]
fn an_erased_stream_does_not_hold_the_log() {
    let chip = formatted();
    let mut scratch = [0; 512];
    let mut ring = Keys::<1, 1>::new(KeyId::new(0), Key::from([0x77; 32])).with_personal(Personal::KIND);
    ring.give(evenkeel_core::StreamId(40), Key::from([0x40; 32])).unwrap();
    let sealed = Sealed::<_, _, SealedChaCha>::new(records(chip.clone()), ring, SESSIONS);
    let mut log = Log::mount(sealed, &mut scratch).unwrap();
    let mut personal = log.load_or_new::<Personal>(40).unwrap();
    log.execute(&mut personal, |_| Ok::<_, ()>([0x0B57])).unwrap();
    log.records().keys_mut().destroy(evenkeel_core::StreamId(40));
    let mut root = log.load_or_new::<Note>(1).unwrap();
    for step in 0..1000_u32 {
        let mut note = [0; 16];
        note[..4].copy_from_slice(&step.to_le_bytes());
        // In sectors this small a head of the chain can take what was left for upkeep to see that it is due.
        if log.execute(&mut root, |_| Ok::<_, ()>([note])).is_err() {
            log.maintain::<(Note,)>().unwrap();
            log.execute(&mut root, |_| Ok::<_, ()>([note])).unwrap();
        }
        let last = log.bounds().last();
        log.acknowledge(UPLINK, last).unwrap();
        log.maintain::<(Note,)>().unwrap();
    }
    assert!(log.bounds().first > Position(900), "{:?}", log.bounds());
    let loaded = log.load::<Personal>(40).map(|_| ());
    let erased = evenkeel_core::error::IntegrityError::Erased(evenkeel_core::StreamId(40));
    assert_eq!(loaded, Err(ReadError::Integrity(erased).into()));
    // The heads of the chain have gone along with what is held.
    let (records, scratch) = log.parts();
    let mut check = Verification::after(Position::START);
    assert!(records.verify(&mut check, 10_000, scratch).unwrap().unwrap().chained > 0);
}

/// Bytes that a record takes with each suite beside its payload: event, snapshot before there is a head of the chain.
fn bytes_beside<S: Suite>() -> (usize, usize) {
    let mut scratch = [0; 512];
    let used = |log: &mut Log<'_, Sealed<RamLog<[u8; 4096]>, Keys<1>, S>>| log.records().stored().used();
    let sealed = Sealed::<_, _, S>::new(RamLog::<_>::new([0; 4096]), keys(), SESSIONS);
    let mut log = Log::mount(sealed, &mut scratch).unwrap();
    let mut root = log.load_or_new::<Note>(1).unwrap();
    log.execute(&mut root, |_| Ok::<_, ()>([[1; 16]])).unwrap();
    let first = used(&mut log);
    log.execute(&mut root, |_| Ok::<_, ()>([[2; 16]])).unwrap();
    let second = used(&mut log);
    log.take_snapshot(&mut root).unwrap();
    // The record manager below keeps 9 bytes with such an event, and 10 with a snapshot of a schema other than 0.
    (second - first - 16 - 9, used(&mut log) - second - 16 - 10)
}

#[test]
fn what_seals_cost_in_bytes() {
    assert_eq!(bytes_beside::<SignedBlake2s>(), (9, 10));
    assert_eq!(bytes_beside::<SignedSha256>(), (9, 10));
    assert_eq!(bytes_beside::<SealedAes>(), (10, 12));
    assert_eq!(bytes_beside::<SealedChaCha>(), (18, 20));

    let (appends, upkeep) = bytes_on_flash();
    tell(&format!("sealed_flash: bytes written by five appends and upkeep: {appends:?} {upkeep}"));
    // Of an event: 8 of its frame, 16 of payload, 10 of its seal, padded to words of 4. The first one introduces its
    // stream, behind the record that begins a session.
    assert_eq!(appends[..2], [52, 36]);
    assert!(appends[2..].iter().all(|bytes| *bytes == 36), "{appends:?}");
    assert_eq!(upkeep, 60, "a head of the chain");
}

/// The bytes that five appends write on flash, and the upkeep after them.
fn bytes_on_flash() -> (Vec<u64>, u64) {
    let chip = formatted();
    let mut scratch = [0; 512];
    let sealed = Sealed::<_, _, SealedAes>::new(records(chip.clone()), keys(), SESSIONS);
    let mut log = Log::mount(sealed, &mut scratch).unwrap();
    log.maintain::<()>().unwrap(); // erases ahead, so that only what is looked at is counted
    let mut root = log.load_or_new::<Note>(1).unwrap();
    let written = || {
        let now = chip.counters().words_programmed * 4;
        chip.reset_counters();
        now
    };
    written();
    let mut taken = Vec::new();
    for _ in 0..5 {
        log.execute(&mut root, |_| Ok::<_, ()>([[1; 16]])).unwrap();
        taken.push(written());
    }
    log.maintain::<()>().unwrap();
    (taken, written())
}

/// A check of a log that went through many sectors, resumes and carried frames finds nothing wrong.
#[test]
fn what_survives_power_cuts_verifies() {
    let mut anchored = 0;
    for seed in 0..60_u64 {
        let chip = formatted();
        chip.arm_each_boot((0..6).map(|cut| Cut::after((seed * 37 + cut * 53) % 300)));
        for number in 0..8 {
            boot::<false>(&chip, number, STEPS);
            chip.power_on();
        }
        chip.disarm();
        let mut scratch = [0; 512];
        let sealed = Sealed::<_, _, Watching<false>>::new(records(chip.clone()), keys(), SESSIONS);
        let mut log = Log::mount(sealed, &mut scratch).unwrap();
        for stream in 0..3 {
            log.load_or_new::<Note>(stream).unwrap();
        }
        let (records, scratch) = log.parts();
        let mut check = Verification::after(Position::START);
        let verified = records.verify(&mut check, 10_000, scratch).unwrap_or_else(|error| panic!("{seed}: {error:?}"));
        assert!(verified.unwrap().chained > 0, "{seed}: {verified:?}");
        // A log that is full before its upkeep has no room for what settles its newest event.
        let Ok(anchor) = records.anchor(scratch) else { continue };
        anchored += 1;
        let mut check = Verification::after(Position::START).against(anchor);
        assert_eq!(records.verify(&mut check, 10_000, scratch).unwrap().unwrap().head, Some(anchor));
    }
    assert!(anchored > 50, "{anchored}");
}
