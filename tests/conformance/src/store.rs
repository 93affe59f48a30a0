//! Group A: streams, uniqueness, atomic append.

use evenkeel_core::error::AppendError;
use evenkeel_core::{Kind, Position, Version};

use crate::{Home, Item, SCRATCH, append, item, mounted, read, stream};

const S: u64 = 0x5EED_0000_0000_0001;

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

/// Given S@1, when the batch [S@1, S@2, S@3] is stored, then it conflicts, and S has 1 event.
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

/// Given S@1, when [S@2, S@3] is stored, then S lists versions 1, 2, 3 with their payloads.
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
