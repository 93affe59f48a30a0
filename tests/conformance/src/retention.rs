//! Records that were let go, where the record manager does so.

use evenkeel_core::error::ReadError;
use evenkeel_core::section::Section;
use evenkeel_core::{Aggregate, Bounds, Kind, Log, Position, Reader, Snapshot, Version, VersionRange};
use serde::{Deserialize, Serialize};

use crate::notifications::{FIVE, five};
use crate::{LetsGo, SCRATCH, mounted};

/// Adds up.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum(u64);

impl Aggregate for Sum {
    const KIND: Kind = Kind(12);
    type Event = u64;

    fn apply(&mut self, by: &u64) {
        self.0 += by;
    }
}

impl Snapshot for Sum {
    const SCHEMA: u8 = 1;
}

/// Adds each position up until all up to `last` are let go; answers what was held before the last of that.
fn let_go_up_to<H: LetsGo>(log: &mut Log<'_, H::Manager>, last: Position) -> Bounds {
    let mut sum = log.load_or_new::<Sum>(1).unwrap();
    let mut before = log.bounds();
    while log.bounds().first <= last {
        assert!(before.next < Position(100_000), "nothing is ever let go");
        log.execute(&mut sum, |_| Ok::<_, ()>([before.next.0])).unwrap();
        before = log.bounds();
        log.acknowledge(H::UPLINK, before.last()).unwrap();
        log.maintain::<(Sum,)>().unwrap();
    }
    before
}

/// When the first events were let go, then their section is before the first, and not empty; the end of the log is where
/// it was.
pub fn case_68_a_section_that_was_let_go_is_no_empty_one<H: LetsGo>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let before = let_go_up_to::<H>(&mut log, Position(10));
    let bounds = log.bounds();
    assert_eq!(bounds.next, before.next, "the end moved");
    let (first, events) = (bounds.first, bounds.last().0);

    let mut out = [0; 512];
    for id in [five("1,5"), five("6,10")] {
        assert_eq!(id.view(bounds).unwrap_err().0, first);
        let section = log.archived(id, &mut out);
        assert!(matches!(section, Err(ReadError::Trimmed { first: at }) if at == first), "{section:?}");
    }
    let mut reader = Reader::new(Position::START);
    let read = log.read(&mut reader);
    assert!(matches!(read, Err(ReadError::Trimmed { first: at }) if at == first), "{read:?}");
    assert_eq!(reader.position(), Position::START);
    let whole = FIVE.containing(first.plus(4)).unwrap();
    let section = log.archived(whole, &mut out).unwrap();
    assert!(matches!(section, Section::Events { first, .. } if first == whole.first()), "{section:?}");

    // So it is with the versions of a stream: what was let go is said to be missing.
    let held = log.next_event(1, Version::NONE).unwrap().unwrap().version;
    assert!(held > Version(1));
    let event = log.event(1, Version(1));
    assert!(matches!(event, Err(ReadError::Missing { version: Version(1), next }) if next == Some(held)), "{event:?}");
    let mut all = log.events(1, VersionRange::ALL).unwrap();
    assert!(matches!(all.next_event(), Err(ReadError::Missing { version: Version(1), .. })));
    let mut rest = log.events(1, VersionRange::ALL.gte(held)).unwrap();
    let mut shown = 0;
    while rest.next_event().unwrap().is_some() {
        shown += 1;
    }
    assert_eq!(shown, events + 1 - u64::from(held.0));

    // And the state is whole. So it is after a restart; what was let go just before that may be there once more.
    assert_eq!(log.load::<Sum>(1).unwrap().0, (1..=events).sum::<u64>());
    let_go_up_to::<H>(&mut log, first.plus(3 * first.0));
    let next = log.bounds().next;
    drop(log);
    let mut log = mounted(&mut home, &mut scratch);
    assert_eq!(log.bounds().next, next);
    assert!(log.bounds().first >= first, "{:?}", log.bounds());
    assert_eq!(log.load::<Sum>(1).unwrap().0, (1..next.0).sum::<u64>());
    let section = log.archived(five("1,5"), &mut out);
    assert!(matches!(section, Err(ReadError::Trimmed { .. })), "{section:?}");
}
