//! Trackers move by rule: to their next position, or over a stretch that is named from its beginning.

use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::{Kind, Log, Position, RamLog, StreamId, Tracker, Version};

const TRACKER: Tracker = Tracker(4);

fn ram() -> RamLog<[u8; 2048], 4, 2> {
    RamLog::new([0; 2048])
}

fn event(version: u32) -> Op {
    Op::Event { stream: StreamId(1), kind: Kind(1), schema: 0, version: Version(version) }
}

/// Recording that notification 10 was processed when only 2 was would move the place to go on from past 3 to 9.
#[test]
fn finding_07_a_tracker_accepts_its_next_position_alone_or_an_explicit_stretch() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    log.append(|batch| batch.track(TRACKER, Position(1))).unwrap();
    log.append(|batch| batch.track(TRACKER, Position(2))).unwrap();
    let (after, at) = (Position(9), Position(2));
    let jump = log.append(|batch| batch.track(TRACKER, Position(10)));
    assert_eq!(jump, Err(AppendError::Tracking { tracker: TRACKER, after, at, to: Position(10) }));
    for again in [Position(1), Position(2)] {
        let refused = log.append(|batch| batch.track(TRACKER, again));
        assert_eq!(refused, Err(AppendError::Tracking { tracker: TRACKER, after: again.previous(), at, to: again }));
    }
    // No move, or one backwards, is none even from the right place.
    for to in [Position(2), Position(1)] {
        let refused = log.append(|batch| batch.track_from(TRACKER, at, to));
        assert_eq!(refused, Err(AppendError::Tracking { tracker: TRACKER, after: at, at, to }));
    }
    assert_eq!(log.tracked(TRACKER), at);
    log.append(|batch| batch.track_from(TRACKER, at, Position(10))).unwrap();
    assert_eq!(log.tracked(TRACKER), Position(10));
}

/// A batch whose tracking is refused leaves none of its events behind, whichever stands first in it.
#[test]
fn finding_05_a_duplicate_is_found_before_any_of_its_events_is_stored() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    let react = |log: &mut Log<'_, _>, version, position, track_first: bool| {
        log.append::<AppendError<_>>(|batch| {
            if track_first {
                batch.track(TRACKER, position)?;
            }
            batch.push(event(version), |_| Ok(0))?;
            if !track_first {
                batch.track(TRACKER, position)?;
            }
            Ok(())
        })
    };
    react(&mut log, 1, Position(1), false).unwrap();
    let used = log.records().used();
    for track_first in [false, true] {
        let again = react(&mut log, 2, Position(1), track_first);
        assert!(matches!(again, Err(AppendError::Tracking { .. })), "{again:?}");
        assert_eq!((log.records().used(), log.bounds().next, log.head(1).unwrap().map(|head| head.version)), {
            (used, Position(2), Some(Version(1)))
        });
    }
}

#[test]
fn one_batch_may_move_a_tracker_step_by_step() {
    let mut scratch = [0; 256];
    let mut log = Log::mount(ram(), &mut scratch).unwrap();
    log.append(|batch| {
        batch.track(TRACKER, Position(1))?;
        batch.track_from(TRACKER, Position(1), Position(5))
    })
    .unwrap();
    assert_eq!(log.tracked(TRACKER), Position(5));
    let twice = log.append(|batch| {
        batch.track(TRACKER, Position(6))?;
        batch.track(TRACKER, Position(6))
    });
    assert!(matches!(twice, Err(AppendError::Tracking { .. })), "{twice:?}");
    assert_eq!(log.tracked(TRACKER), Position(5));
}
