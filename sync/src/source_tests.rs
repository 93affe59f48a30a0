//! The source, step by step.

use evenkeel_core::scratch::Scratch;
use evenkeel_core::section::SectionReader;
use evenkeel_core::{Bounds, Epoch, LogId, Notification, Position, RecordManager, Tracker};

use crate::model::Device;
use crate::seal::prove_position;
use crate::wire::{CONTROL_BYTES_AT_MOST, Commit, Hello, Message, Read, Refusal};
use crate::{
    Heard, Missing, Piece, Plain, Proof, Purpose, Source, SourceError, SourceIdentity, commit_proof, commit_prover,
    prove_event, schema_digest,
};

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
        let len = message.write(&IDENTITY, &Plain, &mut frame).unwrap();
        let mut room = [0; 64];
        self.source.handle(&mut self.device, &mut Scratch::new(&mut room), &frame[..len]).unwrap()
    }

    /// All that it says, in frames of this size, as text.
    fn say(&mut self, frame_bytes: usize) -> Vec<String> {
        let mut said = Vec::new();
        let mut frame = vec![0; frame_bytes];
        let mut room = [0; 64];
        while let Some(len) = self.source.poll(&mut self.device, &mut Scratch::new(&mut room), &mut frame).unwrap() {
            let identity = self.source.identity();
            let read = Message::open(&mut frame[..len], Some(&identity), &Plain);
            said.push(match read.unwrap() {
                Message::Done { next, .. } => format!("done {next}"),
                Message::Busy { retry_ms, .. } => format!("busy {retry_ms}"),
                Message::Notify { pending, .. } => format!("notify {pending}"),
                Message::Schema { offset, total, bytes, .. } => format!("schema {offset}+{} of {total}", bytes.len()),
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
    Message::Read(read_with(request, after, credit))
}

fn read_with(request: u32, after: u64, credit: u32) -> Read {
    let (epoch, after) = (IDENTITY.epoch, Position(after));
    Read { request, epoch, after, credit, limit: 0, commit: None, missing: Missing::ALL, proof: None }
}

fn hello(request: u32, log: u16) -> Message<'static> {
    Message::Hello(Hello { request, log: LogId(log), versions: 2, sink: 9, limit: 0, time: None })
}

impl Bench {
    /// A commit with the proof of what this device has.
    fn proven(&mut self, from: u64, to: u64) -> Commit {
        let (from, to) = (Position(from), Position(to));
        let mut prover = commit_prover(&Plain, &IDENTITY);
        let mut room = [0; 64];
        for seen in from.0..to.0 {
            let mut scratch = Scratch::new(&mut room);
            if let Ok(Some(Notification::Event(event))) = self.device.next_notification(Position(seen), &mut scratch) {
                prove_event(&mut prover, &event);
            }
        }
        Commit { from, to, proof: commit_proof::<Plain>(prover, from, to) }
    }

    fn commit(&mut self, from: u64, to: u64) -> Message<'static> {
        Message::Commit { epoch: IDENTITY.epoch, commit: self.proven(from, to) }
    }
}

#[test]
fn one_read_leads_to_as_many_sections_as_it_has_credit() {
    let mut bench = Bench::with(20);
    assert_eq!(bench.hear(hello(1, 1)), Heard::Hello);
    assert_eq!(bench.say(64), ["head 1..21 at 0"]);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Read);
    assert_eq!(bench.say(64), ["1..=5", "6..=10", "11..=15", "done 21"]);
    assert_eq!(bench.hear(read(3, 15, 3)), Heard::Read);
    assert_eq!(bench.say(64), ["16..=20", "done 21"]);
    assert_eq!(bench.hear(read(4, 20, 3)), Heard::Read);
    assert_eq!(bench.say(64), ["done 21"]);
}

#[test]
fn only_what_is_missing_is_sent() {
    let mut bench = Bench::with(20);
    let mut missing = Missing::ALL;
    assert!(missing.push(2, 3) && missing.push(1, 6));
    bench.hear(Message::Read(Read { missing, ..read_with(1, 2, 4) }));
    assert_eq!(bench.say(64), ["3..=4", "8..=8", "15..=19", "20..=20", "done 21"]);
    // A hole that is gone by now is declared, and no more than the hole.
    bench.device.first = Position(12);
    bench.hear(Message::Read(Read { missing, ..read_with(2, 2, 2) }));
    assert_eq!(bench.say(64), ["3..=4 overwritten", "8..=8 overwritten", "done 21"]);
}

#[test]
fn a_copy_of_a_request_that_was_served_is_not_served_again() {
    let mut bench = Bench::with(4);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Read);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Nothing);
    assert_eq!(bench.say(64), ["1..=4", "done 5"]);
    assert_eq!(bench.hear(read(2, 0, 3)), Heard::Nothing);
    assert_eq!(bench.say(64), [""; 0]);
}

#[test]
fn the_sink_may_ask_for_smaller_frames() {
    let mut bench = Bench::with(12);
    bench.hear(Message::Read(Read { limit: 100, ..read_with(1, 0, 1) }));
    assert_eq!(bench.say(244), ["1..=9", "done 13"]);
}

#[test]
fn what_is_gone_is_declared_from_the_position_that_was_asked_for() {
    let mut bench = Bench::with(10);
    bench.device.first = Position(5);
    bench.device.corrupt = vec![Position(7)];
    bench.hear(read(1, 2, 9));
    assert_eq!(bench.say(144), ["3..=4 overwritten", "5..=6", "7..=7 corrupt", "8..=10", "done 11"]);
    bench.device.trims = true;
    bench.hear(read(2, 0, 1));
    assert_eq!(bench.say(144), ["1..=4 trimmed", "done 11"]);
}

#[test]
fn a_commit_is_stored_once_and_answered_always() {
    let mut bench = Bench::with(10);
    let [four, two] = [bench.commit(0, 4), bench.commit(0, 2)];
    assert_eq!(bench.hear(four), Heard::Committed(Position(4)));
    assert_eq!(bench.device.tracked(UPLINK), Position(4));
    assert_eq!(bench.say(64), ["committed 4"]);
    let before = format!("{:?}", bench.device);
    assert_eq!(bench.hear(four), Heard::Committed(Position(4)));
    assert_eq!(bench.hear(two), Heard::Committed(Position(4)));
    assert_eq!(bench.say(64), ["committed 4"]);
    assert_eq!(format!("{:?}", bench.device), before, "nothing was written");
}

#[test]
fn a_commit_beyond_the_log_or_of_another_epoch_changes_nothing() {
    let mut bench = Bench::with(10);
    let beyond = bench.commit(0, 11);
    assert_eq!(bench.hear(beyond), Heard::Ahead);
    assert_eq!(bench.say(64), ["Ahead { next: Position(11) }"]);
    let other = Message::Commit { epoch: Epoch::new(2, 77), commit: bench.proven(0, 3) };
    assert_eq!(bench.hear(other), Heard::OtherEpoch);
    assert_eq!(bench.say(64), ["UnknownEpoch"]);
    assert_eq!(bench.device.tracked(UPLINK), Position::START);
    assert_eq!(bench.device.bounds(), Bounds { first: Position(1), next: Position(11) });
}

/// What the sink has is held against what the log has: nothing is let go that is not the same.
#[test]
fn a_commit_counts_only_with_the_proof_of_the_very_events() {
    let mut bench = Bench::with(10);
    let commit = bench.proven(0, 6);
    let epoch = IDENTITY.epoch;
    // Another board, whose log has other events.
    let mut other = Bench::with(0);
    (11..=20).for_each(|fact| other.device.record(fact));
    assert_eq!(other.hear(Message::Commit { epoch, commit }), Heard::Diverged);
    assert_eq!(other.say(64), ["Diverged { from: Position(0), to: Position(6) }"]);
    assert_eq!(other.device.tracked(UPLINK), Position::START);
    // A proof of less, or for more, is none.
    for commit in [Commit { to: Position(7), ..commit }, Commit { from: Position(1), ..commit }] {
        assert_eq!(bench.hear(Message::Commit { epoch, commit }), Heard::Diverged);
    }
    let none = Commit { proof: Proof::default(), ..commit };
    assert_eq!(bench.hear(Message::Commit { epoch, commit: none }), Heard::Diverged);
    bench.say(64);
    // What the log cannot read any more cannot be held against it.
    bench.device.corrupt = vec![Position(3)];
    assert_eq!(bench.hear(Message::Commit { epoch, commit }), Heard::Unproven);
    assert_eq!(bench.say(64), ["Unproven { first: Position(3), last: Position(3) }"]);
    let rest = bench.commit(3, 6);
    assert_eq!(bench.hear(rest), Heard::Committed(Position(6)));
    assert_eq!(bench.say(64), ["committed 6"]);
}

#[test]
fn a_commit_that_rides_on_a_read_is_answered_before_the_sections() {
    let mut bench = Bench::with(10);
    let commit = Some(bench.proven(0, 2));
    bench.hear(Message::Read(Read { commit, ..read_with(1, 4, 1) }));
    assert_eq!(bench.say(64), ["committed 2", "5..=9", "done 11"]);
}

#[test]
fn a_read_of_another_epoch_or_beyond_the_end_is_told_what_there_is() {
    let mut bench = Bench::with(3);
    let commit = Some(bench.proven(0, 1));
    let other = Read { epoch: Epoch::new(9, 9), commit, ..read_with(1, 1, 1) };
    assert_eq!(bench.hear(Message::Read(other)), Heard::OtherEpoch);
    assert_eq!(bench.say(64), ["head 1..4 at 0"]);
    assert_eq!(bench.device.tracked(UPLINK), Position::START);
    assert_eq!(bench.hear(read(2, 4, 1)), Heard::Ahead);
    assert_eq!(bench.say(64), ["Ahead { next: Position(4) }"]);
}

/// Positions 1 to 6 were of the old epoch; the log goes on in a new one from 7 on.
#[test]
fn each_epoch_has_its_own_positions() {
    let mut bench = Bench::with(10);
    let new = Epoch::new(2, 5);
    assert!(bench.source.open_epoch(new, Position(7)));
    assert!(!bench.source.open_epoch(new, Position(9)) && !bench.source.open_epoch(Epoch::new(3, 3), Position(7)));
    bench.hear(Message::Read(Read { epoch: new, ..read_with(1, 0, 9) }));
    assert_eq!(bench.say(144), ["1..=6 of another epoch", "7..=10", "done 11"]);
    bench.hear(read(2, 7, 1));
    assert_eq!(bench.say(144), ["Ahead { next: Position(7) }"]);
    // Nothing of the new one is let go before all of the old one.
    let commit = Commit { from: Position(6), to: Position(9), proof: Proof::default() };
    assert_eq!(bench.hear(Message::Commit { epoch: new, commit }), Heard::Unproven);
    assert_eq!(bench.say(144), ["OlderFirst { cursor: Position(0) }"]);
    let old = bench.commit(0, 6);
    assert_eq!(bench.hear(old), Heard::Committed(Position(6)));
    assert_eq!(bench.device.tracked(UPLINK), Position(6));
}

#[test]
fn a_relay_frees_nothing_but_is_noted() {
    let custody = Tracker(2);
    let mut bench = Bench::with(10);
    bench.source = Source::new(IDENTITY, UPLINK).with_custody(custody, 77, Plain);
    let epoch = IDENTITY.epoch;
    let keeps = |relay, position| {
        let proof = prove_position(&Plain, &IDENTITY, Purpose::Custody, relay, position);
        Message::Custody { epoch, relay, position, proof }
    };
    assert_eq!(bench.hear(keeps(77, Position(8))), Heard::Custody(Position(8)));
    assert_eq!(bench.hear(keeps(78, Position(9))), Heard::Nothing);
    assert_eq!(bench.hear(keeps(77, Position(11))), Heard::Nothing);
    let forged = Message::Custody { epoch, relay: 77, position: Position(9), proof: Proof::default() };
    assert_eq!(bench.hear(forged), Heard::Nothing);
    assert_eq!((bench.device.tracked(custody), bench.device.tracked(UPLINK)), (Position(8), Position::START));
}

#[test]
fn it_pushes_notifies_asks_for_patience_and_tells_its_schema() {
    const SCHEMA: [u8; 100] = [7; 100];
    let mut bench = Bench::with(7);
    bench.source = Source::new(IDENTITY, UPLINK).with_schema(&SCHEMA);
    let commit = bench.commit(0, 2);
    bench.hear(commit);
    bench.say(64);
    bench.source.notify();
    assert_eq!(bench.say(64), ["notify 5"]);
    bench.source.push(&bench.device, 1);
    assert_eq!(bench.say(64), ["3..=7", "done 8"]);
    bench.source.set_busy(Some(90));
    bench.hear(read(1, 0, 1));
    assert_eq!(bench.say(64), ["busy 90"]);
    bench.hear(hello(2, 1));
    assert_eq!(bench.say(64), ["busy 90"]);
    bench.source.set_busy(None);
    let digest = schema_digest(&SCHEMA);
    bench.hear(Message::SchemaGet { request: 3, digest, offset: 60 });
    assert_eq!(bench.say(64), ["schema 60+38 of 100"]);
    for (digest, offset) in [(digest, 100), (1, 0)] {
        bench.hear(Message::SchemaGet { request: 3, digest, offset });
        assert_eq!(bench.say(64), ["NoSchema"]);
    }
    let old = Message::Hello(Hello { request: 4, log: LogId(1), versions: 1, sink: 0, limit: 0, time: None });
    bench.hear(old);
    assert_eq!(bench.say(64), ["Version { versions: 2 }"]);
}

/// The same positions are the same bytes, whatever the room of the frame and whoever asks.
#[test]
fn a_closed_section_has_the_same_bytes_for_ever() {
    let mut frames = std::collections::BTreeMap::new();
    let mut seen = 0;
    for (request, frame_bytes) in [(1, 64), (2, 80), (3, 100), (4, 144), (5, 64)] {
        let mut bench = Bench::with(60);
        let mut room = [0; 64];
        for after in [0, 5, 10] {
            bench.hear(read(request * 10 + after, u64::from(after), 20));
            let mut frame = vec![0; frame_bytes];
            while let Some(len) =
                bench.source.poll(&mut bench.device, &mut Scratch::new(&mut room), &mut frame).unwrap()
            {
                if let Some(place) = crate::wire::peek_section(&frame[..len]) {
                    seen += 1;
                    let known = frames.entry(place).or_insert_with(|| frame[..len].to_vec());
                    assert_eq!(*known, frame[..len]);
                }
            }
        }
    }
    assert!(seen > frames.len() + 10, "{seen} of {}", frames.len());
}

#[test]
fn a_hello_for_another_log_is_ignored() {
    let mut bench = Bench::with(1);
    assert_eq!(bench.hear(hello(1, 2)), Heard::Nothing);
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
    let mut frame = [0; CONTROL_BYTES_AT_MOST - 50];
    let len = bench.source.poll(&mut bench.device, &mut Scratch::new(&mut room), &mut frame).unwrap().unwrap();
    let said = Message::parse(&frame[..len], Some(&IDENTITY)).unwrap();
    let Message::Err { refusal: Refusal::FrameTooSmall { needed }, .. } = said else { panic!("{said:?}") };
    let mut frame = vec![0; needed as usize];
    bench.hear(read(2, 0, 1));
    let mut scratch = Scratch::new(&mut room);
    let len = bench.source.poll(&mut bench.device, &mut scratch, &mut frame).unwrap().unwrap();
    let said = Message::open(&mut frame[..len], Some(&IDENTITY), &Plain);
    let Ok(Message::Piece(Piece::Events { first, bytes, .. })) = said else { panic!("{said:?}") };
    assert_eq!(SectionReader::new(first, bytes).map(|event| event.unwrap().payload.len()).collect::<Vec<_>>(), [100]);
    assert_eq!(bench.source.poll(&mut bench.device, &mut scratch, &mut [0; 9]), Err(SourceError::FrameTooSmall));
}

#[test]
fn the_state_is_small() {
    assert!(core::mem::size_of::<Source>() <= 400, "{}", core::mem::size_of::<Source>());
    assert!(core::mem::size_of::<crate::Sink>() <= 560, "{}", core::mem::size_of::<crate::Sink>());
}

/// Where seals have a key, whoever says that the log has lost its end must prove it: the application answers with a new epoch,
/// of which there are few.
#[test]
fn nobody_without_the_key_makes_a_source_believe_that_it_has_lost_its_end() {
    use crate::relay::tests::Opaque;

    let mut bench = Bench::with(6);
    let mut source = Source::sealed(IDENTITY, UPLINK, Opaque);
    let mut hear = |message: Message<'_>| {
        let (mut frame, mut room) = ([0; 144], [0; 64]);
        let len = message.write(&IDENTITY, &Opaque, &mut frame).unwrap();
        source.handle(&mut bench.device, &mut Scratch::new(&mut room), &frame[..len]).unwrap()
    };
    let forged = Message::Read(read_with(1, 900, 1));
    assert_eq!(hear(forged), Heard::Nothing);
    let wrong = prove_position(&Opaque, &IDENTITY, Purpose::Read, 0, Position(899));
    assert_eq!(hear(Message::Read(Read { proof: Some(wrong), ..read_with(2, 900, 1) })), Heard::Nothing);
    let commit = Commit { from: Position(899), to: Position(900), proof: Proof::default() };
    assert_eq!(hear(Message::Commit { epoch: IDENTITY.epoch, commit }), Heard::Nothing);
    let proof = Some(prove_position(&Opaque, &IDENTITY, Purpose::Read, 0, Position(900)));
    assert_eq!(hear(Message::Read(Read { proof, ..read_with(3, 900, 1) })), Heard::Ahead);
}

/// A sink that was caught up when a new life of the log began asks on in the old one: it was told that there was nothing, for ever.
#[test]
fn who_has_all_of_an_old_life_is_told_of_the_next() {
    let mut bench = Bench::with(6);
    assert!(bench.source.open_epoch(Epoch::new(2, 7), Position(5)));
    let mut said = |request, after| {
        bench.hear(read(request, after, 9));
        let (mut frame, mut room) = ([0; 144], [0; 64]);
        let mut types = Vec::new();
        let mut scratch = Scratch::new(&mut room);
        while bench.source.poll(&mut bench.device, &mut scratch, &mut frame).unwrap().is_some() {
            types.push(frame[0]);
        }
        types
    };
    assert_eq!(said(1, 3), [0x81, 0x2D], "a section of one event, DONE");
    assert_eq!(said(2, 4), [0x2D, 0x21], "DONE, HEAD");
}

/// Whoever asked for frames of 5 bytes made the source fail.
#[test]
fn frames_that_hold_no_section_are_refused() {
    let mut bench = Bench::with(6);
    bench.hear(Message::Read(Read { limit: 5, ..read_with(1, 0, 9) }));
    assert_eq!(bench.say(144), ["FrameTooSmall { needed: 16 }"]);
}
