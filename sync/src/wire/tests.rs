use core::convert::Infallible;

use evenkeel_core::section::SectionWriter;
use evenkeel_core::{Kind, Record, StreamId, Version};

use super::*;

const IDENTITY: SourceIdentity =
    SourceIdentity { device: 0x0123_4567_89AB_CDEF, log: LogId(2), epoch: Epoch::new(3, 0xAABB_CCDD) };

fn messages() -> Vec<Message<'static>> {
    let read = Read {
        request: 7,
        epoch: IDENTITY.epoch,
        after: Position(300),
        credit: 8,
        limit: 244,
        commit: Some(Position(299)),
    };
    let head =
        Head { request: 9, identity: IDENTITY, first: Position(5), next: Position(u64::MAX), cursor: Position(4) };
    let mut all = vec![
        Message::Hello { request: u32::MAX, log: LogId(2) },
        Message::Head(head),
        Message::Read(read),
        Message::Read(Read { commit: None, ..read }),
        Message::Piece(Piece::Events { first: Position(301), count: 2, bytes: &[0xFF, 1, 0, 7, 1, 1, 9, 0, 0] }),
        Message::Commit { epoch: IDENTITY.epoch, position: Position(302) },
        Message::Committed { epoch: IDENTITY.epoch, cursor: Position(302) },
    ];
    for reason in [Loss::Corrupt, Loss::Overwritten, Loss::Trimmed, Loss::Other(77)] {
        all.push(Message::Piece(Piece::Gap { first: Position(1), last: Position(4), reason }));
    }
    let refusals = [
        Refusal::UnknownEpoch,
        Refusal::Ahead { next: Position(12) },
        Refusal::Malformed,
        Refusal::FrameTooSmall { needed: 400 },
        Refusal::Other(200),
    ];
    all.extend(refusals.map(|refusal| Message::Err { request: 1, epoch: IDENTITY.epoch, refusal }));
    all
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut room = [0; 128];
    let len = message.write(&IDENTITY, &mut room).unwrap();
    room[..len].to_vec()
}

#[test]
fn every_message_comes_back_and_fits_the_promised_room() {
    for message in messages() {
        let bytes = frame(&message);
        assert_eq!(Message::parse(&bytes, Some(&IDENTITY)), Ok(message));
        assert!(bytes.len() <= CONTROL_BYTES_AT_MOST, "{message:?}");
        let mut tight = vec![0; bytes.len() - 1];
        assert_eq!(message.write(&IDENTITY, &mut tight), None, "{message:?}");
    }
    let last = Position(u64::MAX - 1);
    let largest = SourceIdentity { log: LogId(u16::MAX), ..IDENTITY };
    let largest = Head { identity: largest, first: last, next: last.next(), cursor: last, request: 0 };
    assert_eq!(frame(&Message::Head(largest)).len(), 58);
}

#[test]
fn the_bytes_are_pinned() {
    assert_eq!(CRC.checksum(b"123456789"), 0xE306_9283, "the check value that catalogues give for CRC-32C");
    let golden: [(Message<'_>, &[u8]); 3] = [
        (Message::Hello { request: 0x0403_0201, log: LogId(2) }, &[0x20, 1, 2, 3, 4, 2, 0x72, 0xF7, 0x37, 0x10]),
        (
            Message::Piece(Piece::Events { first: Position(301), count: 1, bytes: &[0xFF, 1, 0, 7, 1, 1, 9] }),
            &[0x23, 0x65, 0x66, 0xAD, 2, 1, 0xFF, 1, 0, 7, 1, 1, 9, 0x35, 0x95, 0xDC, 0xB7],
        ),
        (
            Message::Commit { epoch: IDENTITY.epoch, position: Position(302) },
            &[0x25, 0xDD, 0xCC, 0xBB, 0xAA, 3, 0, 0, 0, 0xAE, 2, 0x44, 0x96, 0x45, 0xA2],
        ),
    ];
    for (message, bytes) in golden {
        assert_eq!(frame(&message), bytes, "{message:02x?}: {:02x?}", frame(&message));
    }
}

/// One flipped bit anywhere, also in the check, and the frame is dropped.
#[test]
fn a_flipped_bit_is_not_believed() {
    for message in messages() {
        let whole = frame(&message);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Message::parse(&bytes, Some(&IDENTITY)).is_err(), "{message:?}, bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(Message::parse(&whole[..len], Some(&IDENTITY)).is_err(), "{message:?}, cut to {len}");
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
        let told = others.map(|other| Message::parse(&bytes, Some(&other)));
        match message {
            Message::Hello { .. } | Message::Head(_) => {
                assert!(told.iter().all(Result::is_ok));
                assert!(Message::parse(&bytes, None).is_ok());
            }
            Message::Piece(_) => {
                let expected = [WireError::Check, WireError::Check, WireError::OtherEpoch];
                assert_eq!(told, expected.map(Err), "{message:?}");
            }
            // These carry their epoch and are judged by who reads them.
            _ => assert_eq!(told, [Err(WireError::Check), Err(WireError::Check), Ok(message)], "{message:?}"),
        }
        if !matches!(message, Message::Hello { .. } | Message::Head(_)) {
            assert_eq!(Message::parse(&bytes, None), Err(WireError::Unaddressed));
        }
    }
}

/// Whatever the bytes, also with a check that holds: an answer, never a panic; and what is answered makes sense.
#[test]
fn hostile_bytes_never_panic_and_make_sense_if_believed() {
    let mut rng = crate::model::Rng::new(1);
    let mut believed = 0;
    for _ in 0..300_000 {
        let len = rng.below(40) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first = if rng.below(20) == 0 { *first } else { type_byte(rng.below(13) as u8) };
            if rng.below(2) == 0 {
                // Small numbers get further.
                bytes.iter_mut().skip(1).for_each(|byte| *byte &= 0x0F);
            }
            let address = address_of(bytes[0] & 0x1F);
            let check = check(&IDENTITY, address, &bytes);
            bytes.extend(check.to_le_bytes());
        }
        match Message::parse(&bytes, Some(&IDENTITY)) {
            Ok(Message::Piece(piece)) => {
                believed += 1;
                assert!(piece.first().0 >= 1 && piece.first() <= piece.last(), "{piece:?}");
            }
            Ok(Message::Head(head)) => assert!(head.first <= head.next && head.cursor < head.next),
            Ok(_) => believed += 1,
            Err(_) => {}
        }
    }
    assert!(believed > 50_000, "{believed}");
}

#[test]
fn what_a_later_version_adds_before_the_check_is_ignored() {
    for message in messages() {
        if matches!(message, Message::Piece(Piece::Events { .. })) {
            continue;
        }
        let mut bytes = frame(&message);
        bytes.truncate(bytes.len() - CHECK_BYTES);
        bytes.extend([1, 2, 3]);
        let check = check(&IDENTITY, address_of(bytes[0] & 0x1F), &bytes);
        bytes.extend(check.to_le_bytes());
        assert_eq!(Message::parse(&bytes, Some(&IDENTITY)), Ok(message));
    }
}

#[test]
fn a_version_or_message_that_is_not_known_is_told_from_damage() {
    for first in [2 << 5 | READ, VERSION << 5 | 31] {
        let mut bytes = vec![first, 0, 0];
        let check = check(&IDENTITY, address_of(first & 0x1F), &bytes);
        bytes.extend(check.to_le_bytes());
        assert_eq!(Message::parse(&bytes, Some(&IDENTITY)), Err(WireError::Unknown));
    }
}

/// How many events of 16 bytes of one stream fit one frame, and the length of that frame.
fn fill(frame_bytes: usize, first: u64) -> (u32, usize) {
    let mut out = vec![0; frame_bytes];
    let mut events = 0;
    let len = write_section(&IDENTITY, Position(first), &mut out, |room| {
        let mut writer = SectionWriter::new(room);
        let version = |events: u32| Version(first as u32 + events);
        while writer.push(&Record {
            stream: StreamId(7),
            kind: Kind(1),
            version: version(writer.events()),
            schema: 0,
            position: None,
            payload: &[0x55; 16],
        }) {}
        events = writer.events();
        Ok::<_, Infallible>((writer.events(), writer.bytes().len()))
    })
    .unwrap()
    .unwrap();
    let read = Message::parse(&out[..len], Some(&IDENTITY)).unwrap();
    let Message::Piece(Piece::Events { count, bytes, .. }) = read else { panic!("{read:?}") };
    assert_eq!(count, events);
    let read = evenkeel_core::section::SectionReader::new(Position(first), bytes);
    assert_eq!(read.filter(|event| event.unwrap().payload == [0x55; 16]).count(), events as usize);
    (events, len)
}

/// The price of a section, at the thousandth event of a log: frame bytes, events of 16 bytes in one frame, its
/// length, and so the overhead an event in hundredths of a byte.
#[test]
fn the_overhead_of_sections_is_pinned() {
    let table = [51, 64, 128, 244, 512, 1024, 4096].map(|frame_bytes| {
        let (events, len) = fill(frame_bytes, 1000);
        (frame_bytes, events, len, (len - 16 * events as usize) * 100 / events as usize)
    });
    assert_eq!(
        table,
        [
            (51, 2, 51, 950),
            (64, 2, 51, 950),
            (128, 6, 123, 450),
            (244, 12, 231, 325),
            (512, 27, 501, 255),
            (1024, 56, 1023, 226),
            (4096, 226, 4084, 207),
        ]
    );
}
