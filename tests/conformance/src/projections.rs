//! Group H, as far as it is about projections: what is computed from the log, and up to where.

use evenkeel_core::process::{ProcessError, ReactError, ViewState};
use evenkeel_core::{CodecError, Position, Projection, Record, RecordManager, Root, Tracked};

use crate::meters::{DIGESTS, INDIGESTIBLE, METER, Meter, Total, record};
use crate::{Home, SCRATCH, mounted};

const ALL: u32 = u32::MAX;
const TOTAL: evenkeel_core::Tracker = <Total as evenkeel_core::process::View>::TRACKER;

/// Given a handler that fails at notification 3, the position stays 2 and nothing of 3 is projected; run again it deals
/// with 3 exactly once.
pub fn case_81_a_projection_that_fails_stays_where_it_is<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut meter = Root::<Meter>::new(METER);
    for by in [1, 2, INDIGESTIBLE, 4] {
        log.execute(&mut meter, |_| Ok::<_, ()>([by])).unwrap();
    }
    let mut total = Tracked::<Total>::new();
    for _ in 0..2 {
        let failed = log.refresh(&mut total, ALL);
        assert!(
            matches!(
                failed,
                Err(ProcessError::React { at: Position(3), error: ReactError::Codec(CodecError::Unsupported) })
            ),
            "{failed:?}"
        );
        assert_eq!((total.view(), log.tracked(TOTAL)), (None, Position(2)));
        let stored = log.load::<ViewState<Total>>(<Total as evenkeel_core::process::View>::STREAM).unwrap();
        assert_eq!((stored.seen(), stored.view()), (Position(2), &Total { total: 3, events: 2 }));
    }
    DIGESTS.set(true);
    log.refresh(&mut total, ALL).unwrap();
    DIGESTS.set(false);
    assert_eq!(total.view(), Some(&Total { total: 7 + INDIGESTIBLE, events: 4 }));
    assert_eq!((log.tracked(TOTAL), total.seen()), (log.bounds().last(), Some(log.bounds().last())));
}

/// Counts events; fails at the third.
#[derive(Default)]
struct Count(u32);

impl Projection for Count {
    fn take_in(&mut self, _: &Record<'_>) -> Result<(), CodecError> {
        if self.0 == 2 && !DIGESTS.get() {
            return Err(CodecError::Unsupported);
        }
        self.0 += 1;
        Ok(())
    }
}

/// A projection in memory is computed from the log again, and goes on from where it failed.
pub fn a_projection_in_memory_is_rebuilt_and_goes_on_from_where_it_failed<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    record(&mut log, &[1, 2, 3, 4]);
    let (mut count, mut seen) = (Count::default(), Position::START);
    assert!(log.project(&mut count, &mut seen).is_err());
    assert_eq!((count.0, seen), (2, Position(2)));
    DIGESTS.set(true);
    let projection: &mut dyn Projection = &mut count;
    log.project(projection, &mut seen).unwrap();
    assert_eq!(seen, Position(4));
    assert_eq!(log.catch_up(&mut Count::default(), Position::START).unwrap(), Position(4));
    DIGESTS.set(false);
    assert_eq!(count.0, 4);
}

/// That the stored state of the view and its tracker tell of the same events.
pub(crate) fn agree<R: RecordManager>(log: &mut evenkeel_core::Log<'_, R>) {
    let tracked = log.tracked(TOTAL);
    let state = match log.load::<ViewState<Total>>(<Total as evenkeel_core::process::View>::STREAM) {
        Ok(root) => root.into_state(),
        Err(_) if tracked == Position::START => return,
        Err(error) => panic!("a tracker at {tracked} and no view: {error:?}"),
    };
    assert_eq!(state.seen(), tracked, "the view and its tracker differ");
    let mut fresh = Total::default();
    let mut at = Position::START;
    while at < tracked {
        let next = log.next_notification(at).unwrap().unwrap();
        fresh.take_in(next.record().unwrap()).unwrap();
        at = at.next();
    }
    assert_eq!(state.view(), &fresh, "the view up to {tracked}");
}
