//! Group A: streams, uniqueness, atomic append.

use evenkeel_core::error::AppendError;
use evenkeel_core::{Kind, Log, Position, RecordManager, StreamId, Version};

use crate::{Home, Item, SCRATCH, append, item, mounted, read, stream};

const S: u64 = 0x5EED_0000_0000_0001;

/// All streams of this kind (or of every kind), asked for in pages of this many.
fn streams<R: RecordManager>(log: &mut Log<'_, R>, kind: Option<Kind>, page: usize) -> Vec<(u64, u8)> {
    let (mut room, mut after, mut all) = (vec![(StreamId(0), Kind(0)); page], None, Vec::new());
    loop {
        let found = log.streams(after, kind, &mut room).unwrap();
        let Some((last, _)) = found.last() else { return all };
        after = Some(*last);
        all.extend(found.iter().map(|(id, kind)| (id.0, kind.0)));
    }
}

/// Given an empty store, when S is listed, then it has no events, and there are no streams.
pub fn case_01_an_empty_store_has_no_streams<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(stream(&mut log, S), []);
    assert_eq!(log.head(S).unwrap(), None);
    assert_eq!(streams(&mut log, None, 4), []);
}

/// Given S@1 and T@1, then the streams are exactly S and T, and each has 1 event. So it is with many, in any page.
pub fn case_02_streams_are_listed_each_once<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(S, 1, "a")]).unwrap();
    append(&mut log, &[Item { kind: Kind(2), ..item(3, 1, "b") }]).unwrap();
    assert_eq!(streams(&mut log, None, 4), [(3, 2), (S, 1)]);
    assert_eq!(streams(&mut log, Some(Kind(2)), 4), [(3, 2)]);
    assert_eq!(streams(&mut log, Some(Kind(9)), 4), []);
    assert_eq!((stream(&mut log, S).len(), stream(&mut log, 3).len()), (1, 1));

    // More streams than a page, than the slots of a small table, and with ids of every size; all of them twice.
    let ids: Vec<u64> = (0..30_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (2 * n)).collect();
    for version in 1..=2 {
        for id in &ids {
            append(&mut log, &[item(*id, version, [version as u8; 30])]).unwrap();
        }
    }
    let mut expected: Vec<_> = ids.iter().map(|id| (*id, 1)).chain([(3, 2), (S, 1)]).collect();
    expected.sort_unstable();
    for page in [1, 7, 100] {
        assert_eq!(streams(&mut log, None, page), expected, "in pages of {page}");
    }
    expected.retain(|(_, kind)| *kind == 1);
    assert_eq!(streams(&mut log, Some(Kind(1)), 7), expected);
}

/// Given S@1, when S@1 is stored again with another schema and payload, then it conflicts, and the first one stays.
pub fn case_03_an_event_stored_twice_conflicts_and_the_first_one_stays<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(S, 1, "first")]).unwrap();
    let again = append(&mut log, &[Item { schema: 7, ..item(S, 1, "second") }]);
    let (expected, actual) = (Version(0), Version(1));
    assert!(
        matches!(again, Err(AppendError::Conflict { stream, expected: e, actual: a })
            if (stream.0, e, a) == (S, expected, actual)),
        "{again:?}"
    );
    let other_kind = append(&mut log, &[Item { kind: Kind(2), ..item(S, 1, "third") }]);
    assert!(matches!(other_kind, Err(AppendError::WrongKind { actual: Kind(1), .. })), "{other_kind:?}");
    assert_eq!(stream(&mut log, S), [item(S, 1, "first")]);
    assert_eq!(read(&mut log, Position::START).unwrap(), [(Position(1), item(S, 1, "first"))]);
}

/// Given S@1, when the batch `[S@1, S@2, S@3]` is stored, then it conflicts, and S has 1 event.
pub fn case_04_a_batch_with_a_conflict_stores_nothing<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(S, 1, "a")]).unwrap();
    let next = log.bounds().next;
    let whole = append(&mut log, &[item(S, 1, "a"), item(S, 2, "b"), item(S, 3, "c")]);
    assert!(matches!(whole, Err(AppendError::Conflict { .. })), "{whole:?}");
    // A conflict further back must not let through what stands before it, of this stream or of another.
    for last in [item(S, 1, "late"), item(S, 2, "twice")] {
        let late = append(&mut log, &[item(2, 1, "other"), item(S, 2, "b"), last]);
        assert!(matches!(late, Err(AppendError::Conflict { .. })), "{late:?}");
    }
    assert_eq!(stream(&mut log, S), [item(S, 1, "a")]);
    assert_eq!(stream(&mut log, 2), []);
    assert_eq!((log.bounds().next, log.head(2).unwrap()), (next, None));
}

/// Given S@1, when an empty batch is stored, then nothing changes and no position is taken.
pub fn case_06_an_empty_batch_changes_nothing<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(S, 1, "a")]).unwrap();
    let bounds = log.bounds();
    let appended = append(&mut log, &[]).unwrap();
    assert_eq!((appended.first, appended.events), (Position(2), 0));
    assert_eq!(log.bounds(), bounds);
    assert_eq!(stream(&mut log, S), [item(S, 1, "a")]);
}

/// Given S@1, when `[S@2, S@3]` is stored, then S lists versions 1, 2, 3 with their payloads.
pub fn case_07_a_batch_that_follows_on_is_stored<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(S, 1, "a")]).unwrap();
    let appended = append(&mut log, &[item(S, 2, ""), item(S, 3, [0xFF; 40])]).unwrap();
    assert_eq!((appended.first, appended.last(), appended.events), (Position(2), Position(3), 2));
    assert_eq!(stream(&mut log, S), [item(S, 1, "a"), item(S, 2, ""), item(S, 3, [0xFF; 40])]);
    assert_eq!(log.head(S).unwrap().unwrap().version, Version(3));
}

/// Given S@1, when S@6 is stored, then it is a gap and nothing is stored; so it is with S@8 if there is no stream.
pub fn case_08_an_event_that_leaves_a_gap_is_refused<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let none = append(&mut log, &[item(S, 8, "h")]);
    assert!(matches!(none, Err(AppendError::Gap { actual: Version::NONE, .. })), "{none:?}");
    append(&mut log, &[item(S, 1, "a")]).unwrap();
    let gap = append(&mut log, &[item(S, 6, "f")]);
    assert!(matches!(gap, Err(AppendError::Gap { expected: Version(5), actual: Version(1), .. })), "{gap:?}");
    let inside = append(&mut log, &[item(S, 2, "b"), item(S, 4, "d")]);
    assert!(matches!(inside, Err(AppendError::Gap { expected: Version(3), actual: Version(2), .. })), "{inside:?}");
    assert_eq!(stream(&mut log, S), [item(S, 1, "a")]);
    assert_eq!(log.bounds().next, Position(2));
}

/// When S@2 is fetched and absent, then there is none; when S@1 is fetched, all of it is as written.
pub fn case_09_one_event_is_fetched_or_is_not_there<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(log.event(S, Version(1)).unwrap(), None);
    assert_eq!(log.last_event(S).unwrap(), None);
    let first = Item { kind: Kind(200), schema: 3, ..item(S, 1, [0, 0xFF, 7]) };
    append(&mut log, std::slice::from_ref(&first)).unwrap();
    for absent in [0, 2, u32::MAX] {
        assert_eq!(log.event(S, Version(absent)).unwrap(), None);
    }
    assert_eq!(log.event(S, Version(1)).unwrap().as_ref().map(Item::from), Some(first.clone()));
    let second = Item { version: Version(2), payload: vec![], ..first.clone() };
    append(&mut log, std::slice::from_ref(&second)).unwrap();
    assert_eq!(log.event(S, Version(1)).unwrap().as_ref().map(Item::from), Some(first));
    assert_eq!(log.last_event(S).unwrap().as_ref().map(Item::from), Some(second));
}

/// A store that takes gaps in streams, or says the same of both, leaves writers guessing whether to reload.
pub fn finding_06_a_gap_and_a_conflict_are_different_errors<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    append(&mut log, &[item(S, 1, "a"), item(S, 2, "b")]).unwrap();
    for version in [0, 1, 2] {
        let outcome = append(&mut log, &[item(S, version, "x")]);
        assert!(matches!(outcome, Err(AppendError::Conflict { .. })), "{version}: {outcome:?}");
    }
    for version in [4, 5, u32::MAX] {
        let outcome = append(&mut log, &[item(S, version, "x")]);
        assert!(matches!(outcome, Err(AppendError::Gap { .. })), "{version}: {outcome:?}");
    }
    append(&mut log, &[item(S, 3, "c")]).unwrap();
    assert_eq!(stream(&mut log, S), [item(S, 1, "a"), item(S, 2, "b"), item(S, 3, "c")]);
}
