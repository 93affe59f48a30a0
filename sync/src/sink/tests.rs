use core::convert::Infallible;

use evenkeel_core::section::SectionWriter;
use evenkeel_core::{Epoch, Kind, Moment, Record, StreamId, Version};

use super::*;
use crate::Loss;
use crate::wire::{CONTROL_BYTES_AT_MOST, Lives};

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
    sink: Sink<Vec<u8>>,
    shelf: Shelf,
    now: u64,
}

impl Bench {
    fn new(config: SinkConfig) -> Self {
        Self { sink: Sink::with_room(config, vec![0; 512]), shelf: Shelf::default(), now: 0 }
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
        let len = message.write(&IDENTITY, &Plain, &mut frame).unwrap();
        self.sink.handle(&mut self.shelf, self.now, &mut frame[..len]).unwrap()
    }

    fn said(&mut self) -> String {
        let mut frame = [0; CONTROL_BYTES_AT_MOST];
        let Some(len) = self.sink.poll(&mut self.shelf, self.now, &mut frame).unwrap() else { return String::new() };
        match Message::parse(&frame[..len], Some(&IDENTITY)).unwrap() {
            Message::Hello(hello) => format!("hello {} to {}", hello.request, hello.log),
            Message::Read(read) => {
                let commit = read.commit.map_or(String::new(), |commit| format!(" commit {}", commit.to));
                let missing = match read.missing.bytes() {
                    [] => String::new(),
                    runs => format!(" runs {runs:?}"),
                };
                format!("read {} after {}{commit}{missing}", read.request, read.after)
            }
            Message::Commit { commit, .. } => format!("commit {}", commit.to),
            other => panic!("{other:?}"),
        }
    }
}

fn head_of(request: u32, next: u64, cursor: u64, lives: Lives) -> Message<'static> {
    Message::Head(Head {
        request,
        versions: 1 << wire::VERSION,
        suite: 0,
        device: IDENTITY.device,
        log: IDENTITY.log,
        first: Position(1),
        next: Position(next),
        cursor: Position(cursor),
        lives,
        moment: Moment::default(),
        schema: 0,
        policy: 0,
        free: 0,
        relayed: false,
    })
}

fn head(request: u32, next: u64, cursor: u64) -> Message<'static> {
    head_of(request, next, cursor, Lives::one(IDENTITY.epoch))
}

fn done(request: u32, next: u64) -> Message<'static> {
    Message::Done { request, next: Position(next) }
}

fn committed(cursor: u64) -> Message<'static> {
    let cursor = Position(cursor);
    let proof = prove_position(&Plain, &IDENTITY, Purpose::Committed, 0, cursor);
    Message::Committed { epoch: IDENTITY.epoch, cursor, proof }
}

/// A section of `count` events without payload of one stream.
fn section(first: u64, count: u32) -> Message<'static> {
    let mut room = [0; 64];
    let mut writer = SectionWriter::new(&mut room);
    for version in 1..=count {
        let (stream, kind, version) = (StreamId(7), Kind(1), Version(version));
        assert!(writer.push(&Record { stream, kind, version, schema: 0, position: None, payload: &[] }));
    }
    let bytes: &'static [u8] = Box::leak(writer.bytes().to_vec().into_boxed_slice());
    Message::Piece(Piece::Events { first: Position(first), count, bytes })
}

#[test]
fn a_round_goes_from_hello_to_caught_up() {
    let mut bench = Bench::greeted(7);
    assert_eq!(bench.said(), "read 2 after 0");
    assert_eq!(bench.hear(section(1, 4)), SinkEvent::Applied(Position(4)));
    assert_eq!(bench.hear(section(5, 2)), SinkEvent::Applied(Position(6)));
    assert_eq!(bench.said(), "", "the end of the answer may be under way");
    assert_eq!(bench.hear(done(2, 7)), SinkEvent::Done);
    assert_eq!(bench.said(), "commit 6");
    assert_eq!(bench.sink.phase(), Phase::Committing);
    assert_eq!(bench.hear(committed(6)), SinkEvent::Committed(Position(6)));
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
    bench.hear(done(2, 5));
    bench.hear(committed(4));
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
fn what_overlaps_is_applied_from_the_cursor_on_and_without_room_what_comes_too_early_is_not() {
    let mut bench = Bench::greeted(20);
    bench.said();
    bench.sink.lot = Lot::new(Vec::new());
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
    for _ in 0..UNANSWERED + 2 {
        assert_eq!(bench.sink.wake_us(), Some(bench.now));
        said.push(bench.said());
        assert_eq!(bench.said(), "");
        bench.now += 100;
    }
    let reads: Vec<_> = (2..18).map(|request| format!("read {request} after 0")).collect();
    assert_eq!(said[..16], reads);
    assert_eq!(said[16..], ["hello 18 to 1", "hello 19 to 1"]);
    assert_eq!(bench.sink.counters().timeouts, 17);
    assert_eq!(bench.hear(head(19, 20, 0)), SinkEvent::Head);
    assert_eq!(bench.said(), "read 20 after 0");
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
    // The device is told, once.
    assert_eq!((bench.said().as_str(), bench.sink.wake_us()), ("read 5 after 4", None));
    assert_eq!(bench.said(), "");
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
    for (count, bytes) in [(3, bytes), (1, bytes), (2, &bytes[..3]), (1, &[0, 0])] {
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

/// Positions 1 to 4 are there, 5 and 6 are lost, 7 and 8 come, 9 is lost, 10 to 12 come: only what is missing is asked for.
#[test]
fn what_comes_too_early_waits_and_only_what_is_missing_is_asked_for() {
    let mut bench = Bench::greeted(20);
    bench.said();
    bench.hear(section(1, 4));
    assert_eq!(bench.hear(section(7, 2)), SinkEvent::Parked);
    assert_eq!(bench.hear(section(10, 3)), SinkEvent::Parked);
    assert_eq!(bench.hear(section(7, 2)), SinkEvent::Duplicate);
    assert_eq!(bench.hear(done(2, 20)), SinkEvent::Done);
    assert_eq!(bench.said(), "read 3 after 4 runs [2, 2, 1, 3]", "at once: the answer was complete");
    assert_eq!(bench.hear(section(9, 1)), SinkEvent::Parked);
    assert_eq!(bench.hear(section(5, 2)), SinkEvent::Applied(Position(12)));
    let positions = |after, first, last| (Position(after), Position(first), Position(last));
    let last_four = [positions(4, 5, 6), positions(6, 7, 8), positions(8, 9, 9), positions(9, 10, 12)];
    assert_eq!(bench.shelf.applied[1..], last_four);
    let counters = bench.sink.counters();
    assert_eq!((counters.events, counters.parked, counters.early, counters.duplicates), (12, 3, 0, 1));
}

/// A log that lost its end, and said so with a new epoch: what is left of the old one first, then the new one.
#[test]
fn older_lives_are_pulled_before_newer_ones() {
    let older = SourceIdentity { epoch: Epoch::new(0, 1), ..IDENTITY };
    let mut lives = Lives::one(older.epoch);
    assert!(lives.open(IDENTITY.epoch, Position(4)));
    let mut bench = Bench::new(SinkConfig::new(LogId(1)));
    bench.said();
    bench.hear(head_of(1, 9, 1, lives));
    assert_eq!((bench.said().as_str(), bench.sink.identity()), ("read 2 after 0", Some(older)));
    // Another sink has had more of it than the log has now: it is told what there is.
    bench.sink.cursor = Position(6);
    bench.hear(Message::Err { request: 2, epoch: IDENTITY.epoch, refusal: Refusal::Ahead { next: Position(4) } });
    assert_eq!(bench.said(), "hello 3 to 1");
    bench.hear(head_of(3, 9, 1, lives));
    assert_eq!((bench.said().as_str(), bench.sink.phase()), ("commit 3", Phase::Committing));
    let proof = prove_position(&Plain, &older, Purpose::Committed, 0, Position(3));
    let cursor = Position(3);
    let forged = prove_position(&Plain, &IDENTITY, Purpose::Committed, 0, cursor);
    assert_eq!(bench.hear(Message::Committed { epoch: older.epoch, cursor, proof: forged }), SinkEvent::Ignored);
    bench.hear(Message::Committed { epoch: older.epoch, cursor, proof });
    assert_eq!(bench.said(), "hello 4 to 1");
    bench.hear(head_of(4, 9, 3, lives));
    assert_eq!((bench.said().as_str(), bench.sink.identity()), ("read 5 after 0", Some(IDENTITY)));
}

#[test]
fn a_device_that_is_busy_is_given_time_and_one_that_differs_is_left_alone() {
    let mut bench = Bench::greeted(5);
    bench.said();
    assert_eq!(bench.hear(Message::Busy { request: 2, retry_ms: 300 }), SinkEvent::Busy);
    assert_eq!(bench.sink.wake_us(), Some(300_000));
    bench.now = 300_000;
    assert_eq!(bench.said(), "read 3 after 0");
    bench.hear(section(1, 4));
    bench.hear(done(3, 5));
    assert_eq!(bench.said(), "commit 4");
    let refusal = Refusal::Unproven { first: Position(2), last: Position(3) };
    bench.hear(Message::Err { request: 3, epoch: IDENTITY.epoch, refusal });
    assert_eq!((bench.sink.floor, bench.said().as_str()), (Position(3), "commit 4"), "proves less");
    let refusal = Refusal::Diverged { from: Position(3), to: Position(4) };
    bench.hear(Message::Err { request: 3, epoch: IDENTITY.epoch, refusal });
    assert_eq!(bench.sink.phase(), Phase::Halted(Halt::Diverged { from: Position(3), to: Position(4) }));
}

#[test]
fn what_is_pushed_is_taken_and_answered() {
    let mut config = SinkConfig::new(LogId(1));
    config.commit_every = 1;
    let mut shelf = Shelf::default();
    let sink = Sink::listen(config, vec![0; 256], Plain, IDENTITY, &mut shelf).unwrap();
    let mut bench = Bench { sink, shelf, now: 0 };
    assert_eq!((bench.said().as_str(), bench.sink.wake_us()), ("", None));
    bench.hear(section(1, 2));
    bench.hear(section(5, 2));
    bench.hear(done(0, 7));
    assert_eq!(bench.said(), "read 1 after 2 commit 2 runs [2, 2]");
    assert_eq!(bench.said(), "");
    bench.hear(section(3, 2));
    assert_eq!(bench.said(), "commit 6");
    bench.hear(committed(6));
    assert_eq!((bench.sink.committed(), bench.sink.phase()), (Position(6), Phase::Listening));
}
