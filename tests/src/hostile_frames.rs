//! A source and a sink that hear anything at all.

use crc::{CRC_32_ISCSI, Crc};
use evenkeel_core::batch::Op;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::section::SectionReader;
use evenkeel_core::{Epoch, Kind, LogId, Position, RamLog, RecordManager, StreamId, Tracker, Version};
use evenkeel_sync::{Heard, Piece, Sink, SinkConfig, SinkEvent, SinkStore, Source, SourceIdentity};

const IDENTITY: SourceIdentity = SourceIdentity { device: 7, log: LogId(0), epoch: Epoch(1) };
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const UPLINK: Tracker = Tracker(0);
const EVENTS: u32 = 30;

/// Takes what comes in order, and nothing else.
#[derive(Default)]
struct Strict(Position);

impl SinkStore for Strict {
    type Error = core::convert::Infallible;

    fn cursor(&mut self, _: &SourceIdentity) -> Result<Position, Self::Error> {
        Ok(self.0)
    }

    fn apply(&mut self, _: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, Self::Error> {
        assert!(after == self.0 && piece.first() <= after.next() && piece.last() > after, "{piece:?} after {after}");
        if let Piece::Events { first, count, bytes } = piece {
            let events: Vec<_> = SectionReader::new(*first, bytes).map(|event| event.expect("it decodes")).collect();
            assert_eq!(events.len(), *count as usize);
        }
        self.0 = piece.last();
        Ok(self.0)
    }
}

fn with_check(frame: &mut Vec<u8>) {
    let mut address = Vec::new();
    let first = frame.first().copied().unwrap_or_default();
    if !matches!(first, 0x20 | 0x21 | 0x2C) {
        address.extend(7_u64.to_le_bytes());
        address.extend(0_u16.to_le_bytes());
    }
    if first & 0x80 != 0 || matches!(first, 0x24 | 0x2D) {
        address.extend(1_u64.to_le_bytes());
    }
    // The proof of a gap says what it is for.
    if first == 0x24 {
        address.push(2);
    }
    address.extend(&*frame);
    frame.extend(CRC.checksum(&address).to_le_bytes());
}

fn log() -> RamLog<Vec<u8>, 4, 2> {
    let mut log = RamLog::new(vec![0; 4096]);
    for number in 1..=EVENTS {
        let mut room = [0; 64];
        let mut scratch = Scratch::new(&mut room);
        let mut batch = scratch.batch(<RamLog<Vec<u8>, 4, 2> as RecordManager>::HEADROOM);
        let op = Op::Event { stream: StreamId(3), kind: Kind(1), schema: 0, version: Version(number) };
        let _ = batch.push(op, |_| Ok(4));
        log.append(&mut batch).expect("there is room");
    }
    log
}

pub(crate) fn run(to: u8, mut input: &[u8]) -> u32 {
    let mut log = log();
    let mut source = Source::new(IDENTITY, UPLINK);
    let mut store = Strict::default();
    let mut sink = Sink::with_room(SinkConfig::new(LogId(0)), vec![0; 200]);
    let mut out = [0; 160];
    if to & 1 != 0 {
        // It knows whose log it pulls.
        sink = Sink::listen(SinkConfig::new(LogId(0)), vec![0; 200], evenkeel_sync::Plain, IDENTITY, &mut store)
            .expect("the store does not fail");
    }
    let (mut believed, mut now) = (0, 0);
    while let Some((len, rest)) = input.split_first() {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*len & 0x7F)));
        input = rest;
        let mut frame = frame.to_vec();
        if len & 0x80 != 0 && !frame.is_empty() {
            with_check(&mut frame);
        }
        now += 400_000;
        if to & 2 != 0 {
            let mut room = [0; 64];
            let mut scratch = Scratch::new(&mut room);
            let heard = source.handle(&mut log, &mut scratch, &frame).expect("the log does not fail");
            believed += u32::from(heard != Heard::Nothing);
            for _ in 0..300 {
                if source.poll(&mut log, &mut scratch, &mut out).expect("the log does not fail").is_none() {
                    break;
                }
            }
            assert!(RecordManager::tracked(&log, UPLINK) <= Position(EVENTS.into()));
        } else {
            let Ok(_) = sink.poll(&mut store, now, &mut out) else { panic!("the room is enough") };
            let event = sink.handle(&mut store, now, &mut frame).expect("the store does not fail");
            believed += u32::from(event != SinkEvent::Ignored);
        }
    }
    believed
}

/// Inputs from which others are made: what both say in a short pull.
#[must_use]
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut log = log();
    let mut source = Source::new(IDENTITY, UPLINK);
    let mut store = Strict::default();
    let mut sink = Sink::with_room(SinkConfig::new(LogId(0)), vec![0; 200]);
    let (mut to_source, mut to_sink) = (vec![2], vec![0]);
    let mut frame = [0; 127];
    let mut room = [0; 64];
    let mut scratch = Scratch::new(&mut room);
    while let Ok(Some(len)) = sink.poll(&mut store, 0, &mut frame) {
        // Without their checks, which are put on again.
        to_source.push(0x80 | (len as u8 - 4));
        to_source.extend(&frame[..len - 4]);
        source.handle(&mut log, &mut scratch, &frame[..len]).expect("the log does not fail");
        while let Ok(Some(len)) = source.poll(&mut log, &mut scratch, &mut frame) {
            to_sink.push(0x80 | (len as u8 - 4));
            to_sink.extend(&frame[..len - 4]);
            sink.handle(&mut store, 0, &mut frame[..len]).expect("the store does not fail");
        }
    }
    let pushed = [vec![1], to_sink[1..].to_vec()].concat();
    let named = |name: &str, bytes| (name.to_owned(), bytes);
    vec![named("to-a-source", to_source), named("to-a-sink", to_sink), named("pushed-to-a-sink", pushed)]
}

/// Streams from which others are made: packets one after another, with noise between them.
///
/// # Panics
/// Never: the room is enough.
#[must_use]
pub fn streams() -> Vec<(String, Vec<u8>)> {
    use evenkeel_sync::stream::{packet_bytes_at_most, write_frame};

    let stream = |lens: &[usize], noise: &[u8]| {
        let mut bytes = Vec::new();
        for len in lens {
            let frame: Vec<u8> = (0..*len).map(|at| (at * 7 % 64) as u8).collect();
            let mut packet = vec![0; packet_bytes_at_most(*len)];
            let len = write_frame(&frame, &mut packet).expect("the room is enough");
            bytes.extend_from_slice(&packet[..len]);
            bytes.extend_from_slice(noise);
        }
        bytes
    };
    let named = |name: &str, bytes| (name.to_owned(), bytes);
    vec![
        named("short", stream(&[0, 1, 2, 3, 20, 92], &[])),
        named("noisy", stream(&[10, 40, 90, 91, 92], &[9, 9, 0])),
        named("too-long", stream(&[93, 20, 300, 20], &[0])),
    ]
}
