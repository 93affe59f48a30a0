use core::convert::Infallible;

use evenkeel_core::Epoch;

use super::*;
use crate::Loss;
use crate::wire::CONTROL_BYTES_AT_MOST;

const IDENTITY: SourceIdentity = SourceIdentity { device: 5, log: LogId(1), epoch: Epoch::new(1, 77) };

/// Keeps a cursor, and what it was asked to apply.
#[derive(Default)]
struct Shelf {
    cursor: Position,
    applied: Vec<(Position, Position, Position)>,
}

impl SinkStore for Shelf {
    type Error = Infallible;

    fn cursor(&mut self, _: &SourceIdentity) -> Result<Position, Infallible> {
        Ok(self.cursor)
    }

    fn apply(&mut self, _: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, Infallible> {
        if self.cursor == after {
            self.applied.push((after, piece.first(), piece.last()));
            self.cursor = piece.last();
        }
        Ok(self.cursor)
    }
}

struct Bench {
    sink: Sink,
    shelf: Shelf,
    now: u64,
}

impl Bench {
    fn new(config: SinkConfig) -> Self {
        Self { sink: Sink::new(config), shelf: Shelf::default(), now: 0 }
    }

    /// A sink that has been told that the log reaches up to `next`.
    fn greeted(next: u64) -> Self {
        let mut config = SinkConfig::new(LogId(1));
        (config.timeout_us, config.quiet_us) = (100, 10);
        let mut bench = Self::new(config);
        assert!(bench.said().starts_with("hello 1 "), "the first request");
        assert_eq!(bench.hear(head(1, next, 0)), SinkEvent::Head);
        bench
    }

    fn hear(&mut self, message: Message<'_>) -> SinkEvent {
        let mut frame = [0; 256];
        let len = message.write(&IDENTITY, &mut frame).unwrap();
        self.sink.handle(&mut self.shelf, self.now, &frame[..len]).unwrap()
    }

    fn said(&mut self) -> String {
        let mut frame = [0; CONTROL_BYTES_AT_MOST];
        let Some(len) = self.sink.poll(self.now, &mut frame).unwrap() else { return String::new() };
        match Message::parse(&frame[..len], Some(&IDENTITY)).unwrap() {
            Message::Hello { request, log } => format!("hello {request} to {log}"),
            Message::Read(read) => match read.commit {
                None => format!("read {} after {}", read.request, read.after),
                Some(commit) => format!("read {} after {} commit {commit}", read.request, read.after),
            },
            Message::Commit { position, .. } => format!("commit {position}"),
            other => panic!("{other:?}"),
        }
    }
}

fn head(request: u32, next: u64, cursor: u64) -> Message<'static> {
    let (next, cursor) = (Position(next), Position(cursor));
    Message::Head(Head { request, identity: IDENTITY, first: Position(1), next, cursor })
}

/// A section of `count` events without payload of one stream.
fn section(first: u64, count: u32) -> Message<'static> {
    const KNOWN: [u8; 64] = {
        let mut bytes = [0; 64];
        (bytes[0], bytes[1], bytes[3], bytes[4]) = (0xFF, 1, 7, 1);
        bytes
    };
    let bytes = &KNOWN[..6 + 2 * (count as usize - 1)];
    Message::Piece(Piece::Events { first: Position(first), count, bytes })
}

#[test]
fn a_round_goes_from_hello_to_caught_up() {
    let mut bench = Bench::greeted(7);
    assert_eq!(bench.said(), "read 2 after 0");
    assert_eq!(bench.hear(section(1, 4)), SinkEvent::Applied(Position(4)));
    assert_eq!(bench.hear(section(5, 2)), SinkEvent::Applied(Position(6)));
    assert_eq!(bench.said(), "", "the end of the answer may be under way");
    assert_eq!(bench.hear(head(2, 7, 0)), SinkEvent::Head);
    assert_eq!(bench.said(), "commit 6");
    assert_eq!(bench.sink.phase(), Phase::Committing);
    let committed = Message::Committed { epoch: IDENTITY.epoch, cursor: Position(6) };
    assert_eq!(bench.hear(committed), SinkEvent::Committed(Position(6)));
    assert!(bench.sink.is_caught_up());
    assert_eq!((bench.said().as_str(), bench.sink.wake_us()), ("", None));
    bench.sink.pull();
    assert_eq!(bench.said(), "read 3 after 6");
    let counters = bench.sink.counters();
    assert_eq!((counters.events, counters.applied, counters.dropped), (6, 2, 0));
}

#[test]
fn a_duplicate_is_dropped_and_answered_with_the_cursor() {
    let mut bench = Bench::greeted(5);
    bench.said();
    bench.hear(section(1, 4));
    bench.hear(head(2, 5, 4));
    assert!(bench.sink.is_caught_up());
    assert_eq!(bench.hear(section(1, 4)), SinkEvent::Duplicate);
    assert_eq!(bench.hear(section(2, 1)), SinkEvent::Duplicate);
    assert_eq!(bench.sink.wake_us(), Some(0));
    assert_eq!(bench.said(), "commit 4");
    assert_eq!(bench.said(), "");
    assert_eq!(bench.shelf.applied.len(), 1);
    // In the middle of a round the next request tells the cursor.
    bench.sink.pull();
    assert_eq!(bench.said(), "read 3 after 4");
    assert_eq!(bench.hear(section(1, 4)), SinkEvent::Duplicate);
    assert_eq!(bench.said(), "");
    bench.now += 100;
    assert_eq!(bench.said(), "read 4 after 4");
}

#[test]
fn what_overlaps_is_applied_from_the_cursor_on_and_what_comes_too_early_is_not() {
    let mut bench = Bench::greeted(20);
    bench.said();
    bench.hear(section(1, 4));
    assert_eq!(bench.hear(section(7, 2)), SinkEvent::Ignored);
    assert_eq!(bench.hear(section(3, 4)), SinkEvent::Applied(Position(6)));
    let gap = Piece::Gap { first: Position(2), last: Position(9), reason: Loss::Overwritten };
    assert_eq!(bench.hear(Message::Piece(gap)), SinkEvent::Applied(Position(9)));
    let positions = |after, first, last| (Position(after), Position(first), Position(last));
    assert_eq!(bench.shelf.applied, [positions(0, 1, 4), positions(4, 3, 6), positions(6, 2, 9)]);
    let counters = bench.sink.counters();
    assert_eq!((counters.events, counters.lost, counters.early), (6, 3, 1));
}

#[test]
fn requests_are_repeated_when_time_runs_out_and_in_the_end_it_asks_who_is_there() {
    let mut bench = Bench::greeted(20);
    let mut said = Vec::new();
    for _ in 0..6 {
        assert_eq!(bench.sink.wake_us(), Some(bench.now));
        said.push(bench.said());
        assert_eq!(bench.said(), "");
        bench.now += 100;
    }
    let reads = [2, 3, 4, 5].map(|request| format!("read {request} after 0"));
    assert_eq!(said[..4], reads);
    assert_eq!(said[4..], ["hello 6 to 1", "hello 7 to 1"]);
    assert_eq!(bench.sink.counters().timeouts, 5);
    assert_eq!(bench.hear(head(7, 20, 0)), SinkEvent::Head);
    assert_eq!(bench.said(), "read 8 after 0");
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again_soon() {
    let mut bench = Bench::greeted(20);
    bench.said();
    bench.now += 50;
    bench.hear(section(1, 2));
    assert_eq!(bench.sink.wake_us(), Some(60));
    bench.now = 60;
    assert_eq!(bench.said(), "read 3 after 2");
}

#[test]
fn a_full_window_is_followed_by_the_next_request_at_once_with_a_commit_when_it_is_time() {
    let mut config = SinkConfig::new(LogId(1));
    (config.credit, config.commit_every) = (2, 5);
    let mut bench = Bench::new(config);
    bench.said();
    bench.hear(head(1, 20, 0));
    assert_eq!(bench.said(), "read 2 after 0");
    bench.hear(section(1, 2));
    bench.hear(section(3, 2));
    assert_eq!(bench.said(), "read 3 after 4");
    bench.hear(section(5, 2));
    bench.hear(section(7, 1));
    assert_eq!(bench.said(), "read 4 after 7 commit 7");
}

#[test]
fn only_the_answer_to_the_newest_request_is_believed() {
    let mut bench = Bench::greeted(20);
    bench.said();
    assert_eq!(bench.hear(head(1, 1, 0)), SinkEvent::Ignored);
    assert_eq!(bench.hear(head(3, 1, 0)), SinkEvent::Ignored);
    let refusal = Refusal::Ahead { next: Position(1) };
    assert_eq!(bench.hear(Message::Err { request: 1, epoch: IDENTITY.epoch, refusal }), SinkEvent::Ignored);
    assert_eq!(bench.sink.phase(), Phase::Reading);
}

/// The log lost its end and kept its epoch: nothing more of it is taken in, or one position would name two events.
#[test]
fn a_log_that_ends_before_the_cursor_halts_the_sink() {
    let mut bench = Bench::greeted(20);
    bench.said();
    bench.hear(section(1, 4));
    bench.now += 100;
    assert_eq!(bench.said(), "read 3 after 4");
    let refusal = Refusal::Ahead { next: Position(3) };
    bench.hear(Message::Err { request: 3, epoch: IDENTITY.epoch, refusal });
    assert_eq!(bench.said(), "hello 4 to 1");
    bench.hear(head(4, 3, 0));
    let halt = Halt::Ahead { cursor: Position(4), next: Position(3) };
    assert_eq!(bench.sink.phase(), Phase::Halted(halt));
    assert_eq!(bench.hear(section(5, 1)), SinkEvent::Ignored);
    assert_eq!((bench.said().as_str(), bench.sink.wake_us()), ("", None));
}

#[test]
fn only_the_device_that_was_meant_is_pulled() {
    let mut config = SinkConfig::new(LogId(1));
    config.device = Some(6);
    let mut bench = Bench::new(config);
    bench.said();
    assert_eq!(bench.hear(head(1, 20, 0)), SinkEvent::OtherDevice(5));
    assert_eq!(bench.sink.identity(), None);
}

#[test]
fn a_section_that_does_not_decode_is_dropped() {
    let mut bench = Bench::greeted(20);
    bench.said();
    let good = section(1, 2);
    let Message::Piece(Piece::Events { first, bytes, .. }) = good else { panic!() };
    for (count, bytes) in [(3, bytes), (1, bytes), (2, &bytes[..7]), (1, &[0, 0])] {
        let piece = Piece::Events { first, count, bytes };
        assert_eq!(bench.hear(Message::Piece(piece)), SinkEvent::Ignored, "{piece:?}");
    }
    assert_eq!((bench.sink.counters().dropped, bench.shelf.cursor), (4, Position::START));
    assert_eq!(bench.hear(good), SinkEvent::Applied(Position(2)));
}

/// Another sink pulls the same device into the same store.
#[test]
fn a_store_that_is_ahead_moves_the_sink_on() {
    let mut bench = Bench::greeted(20);
    bench.said();
    bench.shelf.cursor = Position(9);
    assert_eq!(bench.hear(section(1, 4)), SinkEvent::Applied(Position(9)));
    assert_eq!(bench.sink.counters().events, 0);
    bench.now += 100;
    assert_eq!(bench.said(), "read 3 after 9");
}
