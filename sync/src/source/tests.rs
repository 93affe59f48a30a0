use evenkeel_core::{Bounds, Epoch, LogId};

use super::*;
use crate::model::Device;
use crate::wire::CONTROL_BYTES_AT_MOST;

const IDENTITY: SourceIdentity = SourceIdentity { device: 5, log: LogId(1), epoch: Epoch::new(1, 77) };
const UPLINK: Tracker = Tracker(1);

struct Bench {
    device: Device,
    source: Source,
}

impl Bench {
    /// A source for a log of this many events.
    fn with(events: u64) -> Self {
        let mut device = Device::new();
        (1..=events).for_each(|fact| device.record(fact));
        Self { device, source: Source::new(IDENTITY, UPLINK) }
    }

    fn hear(&mut self, message: Message<'_>) -> Heard {
        let mut frame = [0; 128];
        let len = message.write(&IDENTITY, &mut frame).unwrap();
        let mut room = [0; 64];
        self.source.handle(&mut self.device, &mut Scratch::new(&mut room), &frame[..len]).unwrap()
    }

    /// All that it says, in frames of this size, as text.
    fn say(&mut self, frame_bytes: usize) -> Vec<String> {
        let mut said = Vec::new();
        let mut frame = vec![0; frame_bytes];
        let mut room = [0; 64];
        while let Some(len) = self.source.poll(&mut self.device, &mut Scratch::new(&mut room), &mut frame).unwrap() {
            said.push(match Message::parse(&frame[..len], Some(&IDENTITY)).unwrap() {
                Message::Head(head) => format!("head {}..{} at {}", head.first, head.next, head.cursor),
                Message::Piece(piece @ Piece::Events { .. }) => format!("{}..={}", piece.first(), piece.last()),
                Message::Piece(Piece::Gap { first, last, reason }) => format!("{first}..={last} {reason}"),
                Message::Committed { cursor, .. } => format!("committed {cursor}"),
                Message::Err { refusal, .. } => format!("{refusal:?}"),
                other => panic!("{other:?}"),
            });
        }
        said
    }
}

fn read(request: u32, after: u64, credit: u32) -> Message<'static> {
    let epoch = IDENTITY.epoch;
    Message::Read(Read { request, epoch, after: Position(after), credit, limit: 0, commit: None })
}

fn commit(position: u64) -> Message<'static> {
    Message::Commit { epoch: IDENTITY.epoch, position: Position(position) }
}

#[test]
fn one_read_leads_to_as_many_sections_as_it_has_credit() {
    let mut bench = Bench::with(20);
    assert_eq!(bench.hear(Message::Hello { request: 1, log: LogId(1) }), Heard::Hello);
    assert_eq!(bench.say(64), ["head 1..21 at 0"]);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Read);
    assert_eq!(bench.say(64), ["1..=4", "5..=8", "9..=12"]);
    assert_eq!(bench.hear(read(3, 12, 3)), Heard::Read);
    assert_eq!(bench.say(64), ["13..=16", "17..=20", "head 1..21 at 0"]);
    assert_eq!(bench.hear(read(4, 20, 3)), Heard::Read);
    assert_eq!(bench.say(64), ["head 1..21 at 0"]);
}

#[test]
fn a_copy_of_a_request_that_was_served_is_not_served_again() {
    let mut bench = Bench::with(4);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Read);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Nothing);
    assert_eq!(bench.say(64), ["1..=4", "head 1..5 at 0"]);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Nothing);
    assert_eq!(bench.say(64), [""; 0]);
}

#[test]
fn the_sink_may_ask_for_smaller_frames() {
    let mut bench = Bench::with(12);
    let epoch = IDENTITY.epoch;
    let read = Read { request: 1, epoch, after: Position::START, credit: 1, limit: 100, commit: None };
    bench.hear(Message::Read(read));
    assert_eq!(bench.say(244), ["1..=7"]);
}

#[test]
fn what_is_gone_is_declared_from_the_position_that_was_asked_for() {
    let mut bench = Bench::with(10);
    bench.device.first = Position(5);
    bench.device.corrupt = vec![Position(7)];
    bench.hear(read(1, 2, 9));
    assert_eq!(bench.say(128), ["3..=4 overwritten", "5..=6", "7..=7 corrupt", "8..=10", "head 5..11 at 0"]);
    bench.device.trims = true;
    bench.hear(read(2, 0, 1));
    assert_eq!(bench.say(128), ["1..=4 trimmed"]);
}

#[test]
fn a_commit_is_stored_once_and_answered_always() {
    let mut bench = Bench::with(10);
    assert_eq!(bench.hear(commit(4)), Heard::Committed(Position(4)));
    assert_eq!(bench.device.tracked(UPLINK), Position(4));
    assert_eq!(bench.say(64), ["committed 4"]);
    let before = format!("{:?}", bench.device);
    assert_eq!(bench.hear(commit(4)), Heard::Committed(Position(4)));
    assert_eq!(bench.hear(commit(2)), Heard::Committed(Position(4)));
    assert_eq!(bench.say(64), ["committed 4"]);
    assert_eq!(format!("{:?}", bench.device), before, "nothing was written");
}

#[test]
fn a_commit_beyond_the_log_or_of_another_epoch_changes_nothing() {
    let mut bench = Bench::with(10);
    assert_eq!(bench.hear(commit(11)), Heard::Ahead);
    assert_eq!(bench.say(64), ["Ahead { next: Position(11) }"]);
    let other = Message::Commit { epoch: Epoch::new(2, 77), position: Position(3) };
    assert_eq!(bench.hear(other), Heard::OtherEpoch);
    assert_eq!(bench.say(64), ["UnknownEpoch"]);
    assert_eq!(bench.device.tracked(UPLINK), Position::START);
    assert_eq!(bench.device.bounds(), Bounds { first: Position(1), next: Position(11) });
}

#[test]
fn a_commit_that_rides_on_a_read_is_answered_before_the_sections() {
    let mut bench = Bench::with(10);
    let epoch = IDENTITY.epoch;
    let commit = Some(Position(2));
    bench.hear(Message::Read(Read { request: 1, epoch, after: Position(4), credit: 1, limit: 0, commit }));
    assert_eq!(bench.say(64), ["committed 2", "5..=8"]);
}

#[test]
fn a_read_of_another_epoch_or_beyond_the_end_is_told_what_there_is() {
    let mut bench = Bench::with(3);
    let epoch = Epoch::new(9, 9);
    let read_other = Read { request: 1, epoch, after: Position(1), credit: 1, limit: 0, commit: Some(Position(1)) };
    assert_eq!(bench.hear(Message::Read(read_other)), Heard::OtherEpoch);
    assert_eq!(bench.say(64), ["head 1..4 at 0"]);
    assert_eq!(bench.hear(read(2, 4, 1)), Heard::Ahead);
    assert_eq!(bench.say(64), ["Ahead { next: Position(4) }"]);
}

#[test]
fn a_hello_for_another_log_is_ignored() {
    let mut bench = Bench::with(1);
    assert_eq!(bench.hear(Message::Hello { request: 1, log: LogId(2) }), Heard::Nothing);
    assert_eq!(bench.say(64), [""; 0]);
}

#[test]
fn an_event_that_fits_no_frame_is_refused_and_not_skipped() {
    let mut bench = Bench::with(0);
    let mut room = [0; 256];
    let mut scratch = Scratch::new(&mut room);
    let mut batch = scratch.batch(Device::HEADROOM);
    let op = evenkeel_core::batch::Op::Event {
        stream: evenkeel_core::StreamId(1),
        kind: evenkeel_core::Kind(1),
        schema: 0,
        version: evenkeel_core::Version(1),
    };
    batch.push(op, |_| Ok(100)).unwrap();
    bench.device.append(&mut batch).unwrap();
    bench.hear(read(1, 0, 1));
    let mut room = [0; 256];
    let mut frame = [0; CONTROL_BYTES_AT_MOST];
    let len = bench.source.poll(&mut bench.device, &mut Scratch::new(&mut room), &mut frame).unwrap().unwrap();
    let said = Message::parse(&frame[..len], Some(&IDENTITY)).unwrap();
    let Message::Err { refusal: Refusal::FrameTooSmall { needed }, .. } = said else { panic!("{said:?}") };
    let mut frame = vec![0; needed as usize];
    bench.hear(read(2, 0, 1));
    let mut scratch = Scratch::new(&mut room);
    let len = bench.source.poll(&mut bench.device, &mut scratch, &mut frame).unwrap().unwrap();
    assert!(matches!(Message::parse(&frame[..len], Some(&IDENTITY)), Ok(Message::Piece(_))));
    assert_eq!(bench.source.poll(&mut bench.device, &mut scratch, &mut [0; 63]), Err(SourceError::FrameTooSmall));
}

#[test]
fn the_state_is_small() {
    assert!(core::mem::size_of::<Source>() <= 160, "{}", core::mem::size_of::<Source>());
    assert!(core::mem::size_of::<crate::Sink>() <= 320, "{}", core::mem::size_of::<crate::Sink>());
}
