//! Group D: integrity and encryption, on a record manager whose records are sealed.

use std::cell::RefCell;
use std::rc::Rc;

use evenkeel_core::error::{IntegrityError, LoadError, ReadError};
use evenkeel_core::integrity::{
    Anchor, Key, KeyId, KeyRefused, Keys, Sealed, SealedAes, SealedChaCha, SignedBlake2s, SignedSha256, Suite,
    Verification, Verified,
};
use evenkeel_core::{
    Aggregate, GapReason, Kind, Log, Notification, Position, RecordManager, Snapshot, StreamId, Tracker, Version,
};
use serde::{Deserialize, Serialize};

use crate::tampering::{Edit, Edits, Tampered};
use crate::{Home, Item, PowerCuts, SCRATCH, append, item, mounted, read, stream};

/// The tracker that sealed homes keep their sessions in.
pub const SESSIONS: Tracker = Tracker(0xEE);

const S: u64 = 0x5EED_0000_0000_000D;

/// The keys that sealed homes have.
#[must_use]
pub fn keys() -> Keys<2, 4> {
    Keys::new(KeyId::new(3), Key::from([0x42; 32]))
}

/// A home in which all records are sealed: to run any other case on.
#[derive(Debug)]
pub struct SealedHome<H, S> {
    home: H,
    suite: core::marker::PhantomData<S>,
}

impl<H, S> SealedHome<H, S> {
    /// Seals what goes into the log that lives in `home`.
    pub fn new(home: H) -> Self {
        Self { home, suite: core::marker::PhantomData }
    }
}

impl<H: Home, S: Suite> Home for SealedHome<H, S> {
    type Manager = Sealed<H::Manager, Keys<2, 4>, S>;

    fn open(&mut self) -> Self::Manager {
        Sealed::new(self.home.open(), keys(), SESSIONS).marking_every(4)
    }
}

impl<H: crate::Durable, S: Suite> crate::Durable for SealedHome<H, S> {}

impl<H: PowerCuts, S: Suite> PowerCuts for SealedHome<H, S> {
    fn cut_after(&mut self, operations: u64) {
        self.home.cut_after(operations);
    }

    fn power_on(&mut self) -> bool {
        self.home.power_on()
    }
}

type Watched<R, S> = Sealed<Tampered<R>, Keys<2, 4>, S>;

fn watched<H: Home, S: Suite>(home: &mut H, keys: Keys<2, 4>) -> (Watched<H::Manager, S>, Edits) {
    let edits = Rc::new(RefCell::new(Vec::new()));
    (Sealed::new(Tampered::new(home.open(), edits.clone()), keys, SESSIONS), edits)
}

fn mount<R: RecordManager>(records: R, scratch: &mut [u8]) -> Log<'_, R> {
    Log::mount(records, scratch).unwrap_or_else(|error| panic!("the log cannot be mounted: {error:?}"))
}

fn five() -> [Item; 5] {
    [1, 2, 3, 4, 5].map(|version| item(S, version, format!("event number {version}")))
}

fn verify<R: RecordManager, S: Suite>(
    log: &mut Log<'_, Sealed<R, Keys<2, 4>, S>>,
    mut check: Verification,
) -> Result<Verified, ReadError<R::Error>> {
    let (records, scratch) = log.parts();
    loop {
        // In small steps, as a device would do it.
        if let Some(verified) = records.verify(&mut check, 2, scratch)? {
            return Ok(verified);
        }
    }
}

fn all() -> Verification {
    Verification::after(Position::START)
}

fn anchor<R: RecordManager, S: Suite>(log: &mut Log<'_, Sealed<R, Keys<2, 4>, S>>) -> Anchor {
    let (records, scratch) = log.parts();
    records.anchor(scratch).expect("the head can be told")
}

#[track_caller]
fn refused<T: core::fmt::Debug, E: core::fmt::Debug>(result: Result<T, ReadError<E>>, expected: IntegrityError) {
    assert!(matches!(&result, Err(ReadError::Integrity(error)) if *error == expected), "{result:?}, not {expected:?}");
}

fn tampered(version: u32) -> IntegrityError {
    IntegrityError::Tampered { stream: StreamId(S), version: Version(version) }
}

/// Runs a part of a case with each suite.
macro_rules! on_each_suite {
    ($make:ident, $case:ident) => {
        $case::<_, SignedBlake2s>(&mut $make());
        $case::<_, SignedSha256>(&mut $make());
        $case::<_, SealedAes>(&mut $make());
        $case::<_, SealedChaCha>(&mut $make());
    };
}

/// An untouched stream of 5 events replays to the head that the last append had; a different history has another head;
/// before the first event stands the genesis.
pub fn case_37_an_untouched_log_has_the_head_that_it_had<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H, other: &mut H) {
        let mut heads = Vec::new();
        for (home, fourth) in [(home, "event number 4"), (other, "event number 4, otherwise")] {
            let mut scratch = [0; SCRATCH];
            let mut log = mount(watched::<_, S>(home, keys()).0, &mut scratch);
            assert_eq!(anchor(&mut log), Anchor::GENESIS);
            append(&mut log, &five()[..3]).unwrap();
            append(&mut log, &[item(S, 4, fourth)]).unwrap();
            append(&mut log, &five()[4..]).unwrap();
            let head = anchor(&mut log);
            assert_eq!(head.position, Position(5));
            // The head that went along with the appends is the one that all records, read again, lead to.
            let verified = verify(&mut log, all().against(head)).unwrap();
            assert_eq!(verified, Verified { events: 5, chained: 5, head: Some(head) });
            heads.push(head);
        }
        assert_ne!(heads[0].head, heads[1].head);
    }
    case::<_, SignedBlake2s>(&mut make(), &mut make());
    case::<_, SealedAes>(&mut make(), &mut make());
}

/// One byte changed in event 2: an integrity error at event 2, not before.
pub fn case_38_a_changed_payload_is_found_at_its_event<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let (records, edits) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        append(&mut log, &five()).unwrap();
        let stored = stored_payload(&mut log, Position(2));
        for at in 0..stored.len() {
            let mut changed = stored.clone();
            changed[at] ^= 1;
            edits.replace(vec![Edit::Payload(Position(2), changed)]);
            assert_eq!(log.next_event(S, Version(0)).unwrap().unwrap().payload, b"event number 1");
            let found = log.next_event(S, Version(1)).map(|record| record.map(|record| record.version));
            if at == 0 {
                // The number of the key is not at hand, or says that the stream has its own.
                assert!(matches!(found, Err(ReadError::Integrity(_))), "{found:?}");
            } else {
                refused(found, tampered(2));
            }
            assert!(matches!(log.next_notification(Position(1)), Err(ReadError::Integrity(_))));
            assert!(log.next_notification(Position(2)).is_ok());
            assert!(matches!(verify(&mut log, all()), Err(ReadError::Integrity(_))));
        }
        edits.borrow_mut().clear();
        assert_eq!(stream(&mut log, S), five());
    }
    on_each_suite!(make, case);
}

/// Event 2 removed: an error at what comes behind it.
pub fn case_39_a_removed_event_is_found_at_the_next_one<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let (records, edits) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        append(&mut log, &five()).unwrap();
        edits.replace(vec![Edit::Remove(Position(2))]);
        assert_eq!(log.next_event(S, Version(0)).unwrap().unwrap().version, Version(1));
        refused(log.next_event(S, Version(1)), tampered(3));
        refused(log.next_notification(Position(1)), tampered(3));
        refused(verify(&mut log, all()), tampered(3));
    }
    on_each_suite!(make, case);
}

/// The last event removed: found out against the anchored head.
pub fn case_40_a_log_cut_off_at_its_end_is_found_out_against_an_anchor<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let (records, edits) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        append(&mut log, &five()).unwrap();
        let anchored = anchor(&mut log);
        verify(&mut log, all().against(anchored)).unwrap();
        edits.replace(vec![Edit::CutOff(Position(5))]);
        let cut_off = IntegrityError::CutOff { reached: Position(5), last: Position(4) };
        refused(verify(&mut log, all().against(anchored)), cut_off);
        // Nor does it help to let the log grow again: the head at that position is another one.
        edits.borrow_mut().clear();
        let forged = Anchor { head: [7; 16], ..anchored };
        refused(verify(&mut log, all().against(forged)), IntegrityError::Forked { at: Position(5) });
    }
    on_each_suite!(make, case);
}

/// Only the type of event 2, or only its schema, or its stream changed; two events in each other's places.
pub fn case_41_a_changed_header_is_found_at_its_event<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let (records, edits) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        append(&mut log, &five()).unwrap();
        append(&mut log, &[item(2, 1, "of another stream")]).unwrap();
        for edit in [Edit::Kind(Position(2), Kind(2)), Edit::Schema(Position(2), 1)] {
            edits.replace(vec![edit]);
            assert_eq!(log.next_event(S, Version(0)).unwrap().unwrap().version, Version(1));
            refused(log.next_event(S, Version(1)), tampered(2));
            refused(log.next_notification(Position(1)), tampered(2));
        }
        edits.replace(vec![Edit::Stream(Position(2), StreamId(9))]);
        let moved = IntegrityError::Tampered { stream: StreamId(9), version: Version(2) };
        refused(log.next_notification(Position(1)), moved);
        refused(verify(&mut log, all()), moved);
        // Two events of different streams have changed places: the versions of neither stream tell.
        edits.replace(vec![Edit::Swap(Position(5), Position(6))]);
        assert!(matches!(log.next_notification(Position(4)), Err(ReadError::Integrity(_))));
        assert!(matches!(log.next_notification(Position(5)), Err(ReadError::Integrity(_))));
        refused(log.next_event(S, Version(4)), tampered(5));
        edits.borrow_mut().clear();
        verify(&mut log, all()).unwrap();
    }
    on_each_suite!(make, case);
}

/// With another key the check of an existing log fails at record 1.
pub fn case_44_with_another_key_the_first_record_fails<H: crate::Durable>(make: impl Fn() -> H) {
    fn case<H: crate::Durable, S: Suite>(home: &mut H) {
        let mut scratch = [0; SCRATCH];
        let mut log = mount(watched::<_, S>(home, keys()).0, &mut scratch);
        append(&mut log, &five()).unwrap();
        drop(log);
        let other = Keys::new(KeyId::new(3), Key::from([0x43; 32]));
        let mut log = mount(watched::<_, S>(home, other).0, &mut scratch);
        refused(verify(&mut log, all()), tampered(1));
        refused(log.next_event(S, Version::NONE), tampered(1));
        drop(log);
        let elsewhere = Keys::new(KeyId::new(4), Key::from([0x42; 32]));
        let mut log = mount(watched::<_, S>(home, elsewhere).0, &mut scratch);
        refused(verify(&mut log, all()), IntegrityError::UnknownKey(3));
    }
    on_each_suite!(make, case);
}

/// The payload at a position, as the record manager below has it.
fn stored_payload<R: RecordManager, S: Suite>(log: &mut Log<'_, Sealed<R, Keys<2, 4>, S>>, at: Position) -> Vec<u8> {
    let (records, scratch) = log.parts();
    let found = records.stored().next_notification(at.previous(), scratch).unwrap().unwrap();
    found.record().unwrap().payload.to_vec()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// What was encrypted comes back; what is stored shows nothing of it.
pub fn case_45_what_is_encrypted_comes_back_and_does_not_show<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let mut scratch = [0; SCRATCH];
        let mut log = mount(watched::<_, S>(home, keys()).0, &mut scratch);
        let mut items = five().to_vec();
        items.extend([item(S, 6, ""), item(S, 7, [0xFF; 200]), item(S, 8, [0; 3])]);
        append(&mut log, &items[..5]).unwrap();
        for item in &items[5..] {
            append(&mut log, core::slice::from_ref(item)).unwrap();
        }
        assert_eq!(stream(&mut log, S), items);
        let back: Vec<_> = read(&mut log, Position::START).unwrap().into_iter().map(|(_, item)| item).collect();
        assert_eq!(back, items);
        for (item, at) in items.iter().zip(1..) {
            let stored = stored_payload(&mut log, Position(at));
            assert!(stored.len() > item.payload.len());
            assert!(item.payload.is_empty() || !contains(&stored, &item.payload));
            assert!(!contains(&stored, b"event"));
        }
    }
    case::<_, SealedAes>(&mut make());
    case::<_, SealedChaCha>(&mut make());
}

/// A ciphertext shortened by 1, with a foreign first byte, empty, or too short for a tag: an integrity error each time.
pub fn case_46_a_mangled_ciphertext_is_an_error_and_never_garbage<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let (records, edits) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        append(&mut log, &five()).unwrap();
        let whole = stored_payload(&mut log, Position(2));
        let mut foreign = whole.clone();
        foreign[0] ^= 0x55;
        let mut mangled = vec![foreign, vec![0x5A; 20], [&whole[..], &[0]].concat(), vec![0xFF; 40]];
        mangled.extend((0..whole.len()).map(|len| whole[..len].to_vec()));
        for stored in mangled {
            edits.replace(vec![Edit::Payload(Position(2), stored)]);
            for found in [log.next_event(S, Version(1)).map(|_| ()), log.next_notification(Position(1)).map(|_| ())] {
                assert!(matches!(found, Err(ReadError::Integrity(_))), "{found:?}");
            }
        }
    }
    on_each_suite!(make, case);
}

/// The same payload encrypted twice gives different ciphertexts, in one session and in two.
pub fn case_48_the_same_payload_twice_gives_different_ciphertexts<H: crate::Durable>(make: impl Fn() -> H) {
    fn case<H: crate::Durable, S: Suite>(home: &mut H) {
        let mut seen = Vec::new();
        let mut sessions = Vec::new();
        for boot in 0..3 {
            let mut scratch = [0; SCRATCH];
            let mut log = mount(watched::<_, S>(home, keys()).0, &mut scratch);
            for version in 1..=4 {
                append(&mut log, &[item(S, boot * 4 + version, [0; 16])]).unwrap();
                let last = log.bounds().last();
                let stored = stored_payload(&mut log, last);
                let sealed = stored[2..].to_vec();
                assert!(seen.iter().all(|other: &Vec<u8>| other[..16] != sealed[..16]));
                seen.push(sealed);
            }
            sessions.push(log.tracked(SESSIONS));
        }
        assert!(sessions.windows(2).all(|pair| pair[0] < pair[1]), "{sessions:?}");
    }
    case::<_, SealedAes>(&mut make());
    case::<_, SealedChaCha>(&mut make());
}

/// Something that can be told from its bytes.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Diary {
    entries: u32,
    last: String,
}

impl Aggregate for Diary {
    const KIND: Kind = Kind(7);
    type Event = String;
    fn apply(&mut self, event: &String) {
        self.entries += 1;
        self.last.clone_from(event);
    }
}

impl Snapshot for Diary {
    const SCHEMA: u8 = 1;
}

/// With a key set, snapshots contain no plaintext either; and a forged one is found out.
pub fn case_49_snapshots_are_sealed_like_events<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H, secret: bool) {
        let (records, edits) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        let mut diary = log.load_or_new::<Diary>(S).unwrap();
        log.execute(&mut diary, |_| Ok::<_, ()>(["met nobody".to_owned()])).unwrap();
        log.take_snapshot(&mut diary).unwrap();
        assert_eq!(*log.load::<Diary>(S).unwrap(), *diary);
        let (records, scratch) = log.parts();
        let snapshot = records.stored().latest_snapshot(StreamId(S), Version::MAX, scratch).unwrap().unwrap();
        let mut stored = snapshot.payload.to_vec();
        assert_eq!(contains(&stored, b"nobody"), !secret);
        let last = stored.len() - 1;
        stored[last] ^= 0x80;
        edits.replace(vec![Edit::State(stored)]);
        let loaded = log.load::<Diary>(S).map(|_| ());
        assert!(
            matches!(loaded, Err(LoadError::Read(ReadError::Integrity(error))) if error == tampered(1)),
            "{loaded:?}"
        );
        // Its events are there, and can be asked for.
        assert_eq!(*log.replay::<Diary>(S).unwrap(), *diary);
        // A snapshot of another moment in the place of this one is of another version.
        edits.borrow_mut().clear();
        assert_eq!(log.load::<Diary>(S).unwrap().entries, 1);
    }
    case::<_, SignedBlake2s>(&mut make(), false);
    case::<_, SealedAes>(&mut make(), true);
    case::<_, SealedChaCha>(&mut make(), true);
}

/// Keys are rotated: old records stay readable as long as the old key is there.
pub fn keys_are_rotated<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let (records, _) = watched::<_, S>(home, keys());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(records, &mut scratch);
        append(&mut log, &five()[..2]).unwrap();
        let new = KeyId::new(4);
        log.records().keys_mut().rotate(new, Key::from([9; 32])).unwrap();
        assert_eq!(log.records().keys_mut().rotate(new, Key::from([8; 32])), Err(KeyRefused));
        append(&mut log, &five()[2..]).unwrap();
        assert_eq!((stored_payload(&mut log, Position(2))[0], stored_payload(&mut log, Position(3))[0]), (3, 4));
        assert_eq!(stream(&mut log, S), five());
        let head = anchor(&mut log);
        assert_eq!(verify(&mut log, all().against(head)).unwrap().chained, 5);
        log.records().keys_mut().forget(KeyId::new(3));
        refused(log.next_event(S, Version(1)), IntegrityError::UnknownKey(3));
        assert_eq!(log.next_event(S, Version(2)).unwrap().unwrap().payload, b"event number 3");
    }
    on_each_suite!(make, case);
}

/// The key of one stream is destroyed: nobody opens its records any more, everything else goes on.
pub fn a_stream_is_erased_by_destroying_its_key<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let mut ring = keys().with_personal(Diary::KIND);
        ring.give(StreamId(1), Key::from([1; 32])).unwrap();
        ring.give(StreamId(2), Key::from([2; 32])).unwrap();
        let mut scratch = [0; SCRATCH];
        let mut log = mount(watched::<_, S>(home, ring).0, &mut scratch);
        let (mut one, mut two) = (log.load_or_new::<Diary>(1).unwrap(), log.load_or_new::<Diary>(2).unwrap());
        for entry in ["saw the sea", "saw the sun"] {
            log.execute(&mut one, |_| Ok::<_, ()>([entry.to_owned()])).unwrap();
            log.execute(&mut two, |_| Ok::<_, ()>([entry.to_owned()])).unwrap();
        }
        log.take_snapshot(&mut one).unwrap();
        append(&mut log, &five()[..1]).unwrap();
        let head = anchor(&mut log);

        log.records().keys_mut().destroy(StreamId(1));
        let erased = IntegrityError::Erased(StreamId(1));
        let loaded = log.load::<Diary>(1).map(|_| ());
        assert!(matches!(loaded, Err(LoadError::Read(ReadError::Integrity(error))) if error == erased), "{loaded:?}");
        refused(log.next_event(1, Version::NONE), erased);
        let first = Position(1);
        let gap = Notification::Gap { first, last: first, reason: GapReason::Erased };
        assert_eq!(log.next_notification(Position::START).unwrap().unwrap(), gap);
        let refused = log.execute(&mut one, |_| Ok::<_, ()>(["once more".to_owned()]));
        assert!(refused.is_err(), "{refused:?}");
        // A stream of this kind that was never given a key cannot be written by mistake.
        let mut third = log.load_or_new::<Diary>(3).unwrap();
        assert!(log.execute(&mut third, |_| Ok::<_, ()>(["nobody's".to_owned()])).is_err());
        // The others are there, and the chain still tells whether anything was tampered with.
        assert_eq!(log.load::<Diary>(2).unwrap().last, "saw the sun");
        assert_eq!(stream(&mut log, S), five()[..1]);
        let verified = verify(&mut log, all().against(head)).unwrap();
        assert_eq!((verified.events, verified.chained), (5, 5));
    }
    on_each_suite!(make, case);
}

/// Upkeep stores heads of the chain, from which a log is checked again; removals before them are found without any
/// anchor from the outside.
pub fn stored_heads_find_out_what_was_removed_before_them<H: Home>(make: impl Fn() -> H) {
    fn case<H: Home, S: Suite>(home: &mut H) {
        let edits = Edits::default();
        let records = Tampered::new(home.open(), edits.clone());
        let mut scratch = [0; SCRATCH];
        let mut log = mount(Sealed::<_, _, S>::new(records, keys(), SESSIONS).marking_every(5), &mut scratch);
        for round in 0..4 {
            for version in 1..=5 {
                append(&mut log, &[item(S, round * 5 + version, "tick")]).unwrap();
            }
            log.maintain::<()>().unwrap();
        }
        let verified = verify(&mut log, all()).unwrap();
        assert_eq!((verified.events, verified.chained), (20, 20));
        // The end is cut off: the heads that were stored know of more.
        edits.replace(vec![Edit::CutOff(Position(20))]);
        refused(verify(&mut log, all()), IntegrityError::CutOff { reached: Position(20), last: Position(19) });
        edits.replace(vec![]);
        // A check from the middle on takes the chain up at the next stored head.
        let verified = verify(&mut log, Verification::after(Position(7))).unwrap();
        assert_eq!((verified.events, verified.chained), (13, 10));
    }
    on_each_suite!(make, case);
}

/// The cases of other groups hold on sealed records too; this one shows that those are sealed.
pub fn a_sealed_home_seals<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (SealedHome::<_, SealedChaCha>::new(make()), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &five()).unwrap();
    assert!(!contains(&stored_payload(&mut log, Position(1)), b"event"));
}
