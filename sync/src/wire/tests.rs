use evenkeel_core::section::{SectionReader, SectionWriter};
use evenkeel_core::{Epoch, Kind, LogId, Moment, Record, StreamId, Version};

use super::*;
use crate::{Loss, Plain};

const IDENTITY: SourceIdentity =
    SourceIdentity { device: 0x0123_4567_89AB_CDEF, log: LogId(2), epoch: Epoch::new(3, 0xAABB_CCDD) };

fn messages() -> Vec<Message<'static>> {
    let epoch = IDENTITY.epoch;
    let proof = Proof::new(&[1, 2, 3, 4]).unwrap();
    let commit = Commit { from: Position(280), to: Position(299), proof };
    let mut missing = Missing::ALL;
    assert!(missing.push(12, 24) && missing.push(36, 12));
    let read = Read {
        request: 7,
        epoch,
        after: Position(300),
        credit: 8,
        limit: 244,
        commit: Some(commit),
        missing,
        proof: None,
    };
    let mut lives = Lives::one(Epoch::new(2, 7));
    assert!(lives.open(epoch, Position(250)));
    let head = Head {
        request: 9,
        versions: 2,
        suite: 1,
        device: IDENTITY.device,
        log: IDENTITY.log,
        first: Position(5),
        next: Position(u64::MAX),
        cursor: Position(4),
        lives,
        moment: Moment { boot: 17, tick: 123_456 },
        schema: 0x1122_3344_5566_7788,
        policy: 2,
        free: 40_000,
        relayed: true,
    };
    let hello = Hello { request: u32::MAX, log: LogId(2), versions: 2, sink: 0xF00D, limit: 244, time: None };
    let time = Some(Time { unix_ms: 1_764_000_000_000, uncertainty_ms: 50 });
    let mut all = vec![
        Message::Hello(hello),
        Message::Hello(Hello { time, ..hello }),
        Message::Head(head),
        Message::Head(Head { lives: Lives::one(epoch), ..head }),
        Message::Read(read),
        Message::Read(Read { commit: None, missing: Missing::ALL, ..read }),
        Message::Read(Read { proof: Some(proof), ..read }),
        Message::Piece(Piece::Events { first: Position(301), count: 2, bytes: &[0xC1, 7, 4, 1, 0xA1, 0xA2] }),
        Message::Commit { epoch, commit },
        Message::Committed { epoch, cursor: Position(302), proof },
        Message::Custody { epoch, relay: 5, position: Position(302), proof: Proof::default() },
        Message::SchemaGet { request: 3, digest: 8, offset: 300 },
        Message::Schema { digest: 8, offset: 300, total: 303, bytes: &[4, 5, 6] },
        Message::Busy { request: 3, retry_ms: 85 },
        Message::Notify { device: IDENTITY.device, log: IDENTITY.log, pending: 900 },
        Message::Done { request: 7, next: Position(400) },
    ];
    let losses = [Loss::Corrupt, Loss::Overwritten, Loss::Trimmed, Loss::Erased, Loss::OtherEpoch, Loss::Other(77)];
    for reason in losses {
        all.push(Message::Piece(Piece::Gap { first: Position(1), last: Position(4), reason }));
    }
    let refusals = [
        Refusal::UnknownEpoch,
        Refusal::Ahead { next: Position(12) },
        Refusal::Malformed,
        Refusal::FrameTooSmall { needed: 400 },
        Refusal::Diverged { from: Position(1), to: Position(900) },
        Refusal::Unproven { first: Position(3), last: Position(3) },
        Refusal::OlderFirst { cursor: Position(3) },
        Refusal::NoSchema,
        Refusal::Version { versions: 4 },
        Refusal::Other(200),
    ];
    all.extend(refusals.map(|refusal| Message::Err { request: 1, epoch, refusal }));
    all
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut room = [0; 160];
    let len = message.write(&IDENTITY, &Plain, &mut room).unwrap();
    room[..len].to_vec()
}

/// What bytes are to a reader, as text, so that it outlives them.
fn read(bytes: &[u8], identity: Option<&SourceIdentity>) -> Result<String, WireError> {
    Message::open(&mut bytes.to_vec(), identity, &Plain).map(|message| format!("{message:?}"))
}

#[test]
fn every_message_comes_back_and_fits_the_promised_room() {
    for message in messages() {
        let bytes = frame(&message);
        assert_eq!(read(&bytes, Some(&IDENTITY)), Ok(format!("{message:?}")));
        assert!(bytes.len() <= CONTROL_BYTES_AT_MOST, "{message:?}");
        let mut tight = vec![0; bytes.len() - 1];
        assert_eq!(message.write(&IDENTITY, &Plain, &mut tight), None, "{message:?}");
    }
    let last = Position(u64::MAX - 1);
    let mut lives = Lives::one(Epoch(1));
    assert!(lives.open(Epoch(2), last.previous()) && lives.open(Epoch(3), last));
    let largest = Head {
        request: 0,
        versions: 2,
        suite: 0,
        device: 1,
        log: LogId(u16::MAX),
        first: last,
        next: last.next(),
        cursor: last,
        lives,
        moment: Moment { boot: u32::MAX, tick: u64::MAX },
        schema: 1,
        policy: 1,
        free: u64::MAX,
        relayed: true,
    };
    assert_eq!(frame(&Message::Head(largest)).len(), 133);
    let proof = Proof::new(&[7; 8]).unwrap();
    let commit = Some(Commit { from: last, to: last, proof });
    let missing = Missing::from_bytes(&[1; 32]).unwrap();
    let (credit, limit, epoch) = (u32::MAX, u32::MAX, Epoch(1));
    let largest = Read { request: 0, epoch, after: last, credit, limit, commit, missing, proof: Some(proof) };
    assert_eq!(frame(&Message::Read(largest)).len(), 109);
}

/// One flipped bit anywhere, also in the check, and the frame is dropped.
#[test]
fn a_flipped_bit_is_not_believed() {
    for message in messages() {
        let whole = frame(&message);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes, Some(&IDENTITY)).is_err(), "{message:?}, bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(read(&whole[..len], Some(&IDENTITY)).is_err(), "{message:?}, cut to {len}");
        }
    }
}

#[test]
fn a_frame_of_another_device_log_or_epoch_is_dropped() {
    let others = [
        SourceIdentity { device: 1, ..IDENTITY },
        SourceIdentity { log: LogId(3), ..IDENTITY },
        SourceIdentity { epoch: Epoch::new(4, 0xAABB_CCDD), ..IDENTITY },
    ];
    for message in messages() {
        let bytes = frame(&message);
        let told = others.map(|other| read(&bytes, Some(&other)));
        match message {
            Message::Hello(_) | Message::Head(_) | Message::Notify { .. } => {
                assert!(told.iter().all(Result::is_ok));
                assert!(read(&bytes, None).is_ok());
                continue;
            }
            Message::Piece(_) | Message::Done { .. } => {
                assert!(told.iter().all(|told| *told == Err(WireError::Check)), "{message:?}");
            }
            // These carry their epoch, or need none, and are judged by who reads them.
            _ => assert_eq!(told, [Err(WireError::Check), Err(WireError::Check), Ok(format!("{message:?}"))]),
        }
        assert_eq!(read(&bytes, None), Err(WireError::Unaddressed));
    }
}

fn with_check(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = check(&IDENTITY, address_of(bytes[0] & 0x1F), &bytes);
    bytes.extend(check.to_le_bytes());
    bytes
}

/// Whatever the bytes, also with a check that holds: an answer, never a panic; and what is answered makes sense.
#[test]
fn hostile_bytes_never_panic_and_make_sense_if_believed() {
    let mut rng = crate::model::Rng::new(1);
    let mut believed = 0;
    for _ in 0..300_000 {
        let len = rng.below(60) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        let small = rng.below(2) == 0;
        if small {
            // Small numbers get further.
            bytes.iter_mut().for_each(|byte| *byte &= 0x07);
        }
        if let Some(first) = bytes.first_mut() {
            *first = if rng.below(20) == 0 { *first } else { type_byte(rng.below(14) as u8) };
            bytes = with_check(bytes);
        }
        match Message::open(&mut bytes, Some(&IDENTITY), &Plain) {
            Ok(Message::Piece(piece)) => {
                believed += 1;
                assert!(piece.first().0 >= 1 && piece.first() <= piece.last(), "{piece:?}");
            }
            Ok(Message::Head(head)) => {
                assert!(head.first <= head.next && head.cursor < head.next);
                assert!(head.lives.newest().is_some_and(|life| life.base <= head.next));
            }
            Ok(Message::Commit { commit, .. }) => assert!(commit.from <= commit.to),
            Ok(_) => believed += 1,
            Err(_) => {}
        }
    }
    assert!(believed > 50_000, "{believed}");
}

#[test]
fn what_a_later_version_adds_before_the_check_is_ignored() {
    for message in messages() {
        if matches!(message, Message::Piece(_)) {
            continue;
        }
        let mut bytes = frame(&message);
        bytes.truncate(bytes.len() - CHECK_BYTES);
        bytes.extend([1, 2, 3]);
        assert_eq!(read(&with_check(bytes), Some(&IDENTITY)), Ok(format!("{message:?}")));
    }
}

#[test]
fn a_version_or_message_that_is_not_known_is_told_from_damage() {
    for first in [2 << 5 | READ, VERSION << 5 | 31, VERSION << 5 | 3] {
        assert_eq!(read(&with_check(vec![first, 0, 0]), Some(&IDENTITY)), Err(WireError::Unknown));
    }
}

/// How many events of 16 bytes, of so many streams in turn, fit one frame, and the length of that frame.
fn fill<S: Seal>(seal: &S, frame_bytes: usize, first: u64, streams: u64) -> (u32, usize) {
    let mut out = vec![0; frame_bytes];
    let mut draft = SectionDraft::<S>::new(Position(first), &mut out).unwrap();
    let mut writer = SectionWriter::new(draft.room());
    let payload = [0x55; 16];
    while writer.events() < MAX_EVENTS {
        let position = first + u64::from(writer.events());
        let version = Version(1 + ((position - 1) / streams) as u32);
        let (stream, kind, position) = (StreamId(1 + position % streams), Kind(1), Some(Position(position)));
        if !writer.push(&Record { stream, kind, version, schema: 0, position, payload: &payload }) {
            break;
        }
    }
    let (events, len) = (writer.events(), writer.bytes().len());
    let len = draft.finish(&IDENTITY, seal, events, len).unwrap();
    assert_eq!(peek_section(&out[..len]), Some((Position(first), Position(first + u64::from(events) - 1))));
    let read = Message::open(&mut out[..len], Some(&IDENTITY), seal).unwrap();
    let Message::Piece(Piece::Events { count, bytes, .. }) = read else { panic!("{read:?}") };
    assert_eq!(count, events);
    let read = SectionReader::new(Position(first), bytes);
    assert_eq!(read.filter(|event| event.unwrap().payload == payload).count(), events as usize);
    (events, len)
}

/// Frame bytes, events of 16 bytes in one frame, its length, and so the overhead an event in hundredths of a byte.
fn table<S: Seal>(seal: &S, streams: u64) -> Vec<(usize, u32, usize, usize)> {
    let row = |frame_bytes| {
        let (events, len) = fill(seal, frame_bytes, 1000, streams);
        (frame_bytes, events, len, (len - 16 * events as usize) * 100 / events as usize)
    };
    [51, 64, 128, 244, 512, 1024, 4096].map(row).to_vec()
}

/// The price of a section, at the thousandth event of a log.
#[test]
fn the_overhead_of_sections_is_pinned() {
    let one = [
        (51, 2, 43, 550),
        (64, 3, 59, 366),
        (128, 7, 123, 157),
        (244, 14, 235, 78),
        (512, 31, 507, 35),
        (1024, 63, 1019, 17),
        (4096, 127, 2043, 8),
    ];
    assert_eq!(table(&Plain, 1), one);
    let sixteen_in_turn = [
        (51, 2, 47, 750),
        (64, 2, 47, 750),
        (128, 6, 127, 516),
        (244, 11, 229, 481),
        (512, 26, 504, 338),
        (1024, 56, 1014, 210),
        (4096, 127, 2221, 148),
    ];
    assert_eq!(table(&Plain, 16), sixteen_in_turn);
}

/// The same with a seal of 8 bytes: at most 7.5 bytes an event in frames of 51 bytes, 4 in 244, and 2.5 in 1,024.
#[cfg(feature = "aes-ccm")]
#[test]
fn the_overhead_of_sealed_sections_is_pinned() {
    use evenkeel_core::integrity::{Key, SealedAes};

    let seal = crate::Keyed::<SealedAes>::new(Key::from([7; 32]));
    let one = [
        (51, 2, 47, 750),
        (64, 3, 63, 500),
        (128, 7, 127, 214),
        (244, 14, 239, 107),
        (512, 31, 511, 48),
        (1024, 63, 1023, 23),
        (4096, 127, 2047, 11),
    ];
    assert_eq!(table(&seal, 1), one);
    assert_eq!(table(&seal, 16).get(3).map(|row| row.3), Some(518));
}
