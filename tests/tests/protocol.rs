//! The frames of `docs/protocol.md` are those that the code writes, and the code reads them. `EVENKEEL_BLESS=1` writes them
//! anew: a change of them is another format.

use std::fmt::Write as _;
use std::path::PathBuf;

use evenkeel_core::integrity::{Key, SealedAes, SealedChaCha};
use evenkeel_core::section::SectionWriter;
use evenkeel_core::{Epoch, Kind, LogId, Moment, Position, Record, StreamId, Version};
use evenkeel_sync::stream::{packet_bytes_at_most, write_frame};
use evenkeel_sync::wire::{Commit, Head, Hello, Lives, Message, Read, Refusal, Time};
use evenkeel_sync::{
    Keyed, Loss, Missing, Piece, Plain, Proof, Prover, Purpose, Seal, SourceIdentity, commit_proof, commit_prover,
    prove_event,
};

const IDENTITY: SourceIdentity =
    SourceIdentity { device: 0x0123_4567_89AB_CDEF, log: LogId(2), epoch: Epoch::new(3, 0xAABB_CCDD) };

const PAYLOADS: [[u8; 4]; 2] = [[0xA0, 0xA1, 0xA2, 0xA3], [0xB0, 0xB1, 0xB2, 0xB3]];

fn record(index: usize) -> Record<'static> {
    Record {
        stream: StreamId(7),
        kind: Kind(1),
        version: Version(index as u32 + 1),
        schema: 0,
        position: Some(Position(301 + index as u64)),
        payload: &PAYLOADS[index],
    }
}

fn events() -> Vec<u8> {
    let mut room = [0; 32];
    let mut writer = SectionWriter::new(&mut room);
    assert!(writer.push(&record(0)) && writer.push(&record(1)));
    writer.bytes().to_vec()
}

fn commit_of<S: Seal>(seal: &S) -> Commit {
    let mut prover = commit_prover(seal, &IDENTITY);
    (0..2).for_each(|index| prove_event(&mut prover, &record(index)));
    let (from, to) = (Position(300), Position(302));
    Commit { from, to, proof: commit_proof::<S>(prover, from, to) }
}

fn committed<S: Seal>(seal: &S) -> Message<'static> {
    let cursor = Position(302);
    let mut prover = seal.prover(&IDENTITY, Purpose::Committed);
    prover.update(&0_u64.to_le_bytes());
    prover.update(&cursor.0.to_le_bytes());
    Message::Committed { epoch: IDENTITY.epoch, cursor, proof: Proof::of::<S>(prover) }
}

fn session() -> Vec<(&'static str, Message<'static>)> {
    let epoch = IDENTITY.epoch;
    let time = Some(Time { unix_ms: 1_764_000_000_000, uncertainty_ms: 50 });
    let mut lives = Lives::one(Epoch::new(2, 0x1111_1111));
    assert!(lives.open(epoch, Position(250)));
    let mut missing = Missing::ALL;
    assert!(missing.push(12, 24) && missing.push(36, 12));
    let head = Head {
        request: 1,
        versions: 2,
        suite: 0,
        device: IDENTITY.device,
        log: IDENTITY.log,
        first: Position(5),
        next: Position(400),
        cursor: Position(300),
        lives,
        moment: Moment { boot: 17, tick: 123_456 },
        schema: 0x1122_3344_5566_7788,
        policy: 2,
        free: 40_000,
        relayed: false,
    };
    let read =
        Read { request: 2, epoch, after: Position(300), credit: 32, limit: 244, commit: None, missing, proof: None };
    vec![
        ("HELLO", Message::Hello(Hello { request: 1, log: LogId(2), versions: 2, sink: 0xF00D, limit: 244, time })),
        ("HEAD", Message::Head(head)),
        ("READ", Message::Read(read)),
        ("READ with COMMIT", Message::Read(Read { commit: Some(commit_of(&Plain)), missing: Missing::ALL, ..read })),
        ("SCHEMA_GET", Message::SchemaGet { request: 3, digest: 0x1122_3344_5566_7788, offset: 300 }),
        ("SCHEMA", Message::Schema { digest: 0x1122_3344_5566_7788, offset: 300, total: 303, bytes: &[4, 5, 6] }),
        ("BUSY", Message::Busy { request: 2, retry_ms: 85 }),
        (
            "ERR unproven",
            Message::Err {
                request: 2,
                epoch,
                refusal: Refusal::Unproven { first: Position(301), last: Position(301) },
            },
        ),
        ("NOTIFY", Message::Notify { device: IDENTITY.device, log: IDENTITY.log, pending: 100 }),
        ("DONE", Message::Done { request: 2, next: Position(400) }),
    ]
}

fn read_of<S: Seal>(seal: &S) -> Message<'static> {
    let mut prover = seal.prover(&IDENTITY, Purpose::Read);
    prover.update(&0_u64.to_le_bytes());
    prover.update(&300_u64.to_le_bytes());
    Message::Read(Read {
        request: 2,
        epoch: IDENTITY.epoch,
        after: Position(300),
        credit: 32,
        limit: 0,
        commit: Some(commit_of(seal)),
        missing: Missing::ALL,
        proof: Some(Proof::of::<S>(prover)),
    })
}

fn custody<S: Seal>(seal: &S) -> Message<'static> {
    let (relay, position) = (0xBEEF, Position(302));
    let mut prover = seal.prover(&IDENTITY, Purpose::Custody);
    prover.update(&u64::to_le_bytes(relay));
    prover.update(&position.0.to_le_bytes());
    Message::Custody { epoch: IDENTITY.epoch, relay, position, proof: Proof::of::<S>(prover) }
}

fn line<S: Seal>(lines: &mut String, name: &str, message: &Message<'_>, seal: &S) -> Vec<u8> {
    let mut room = [0; 256];
    let len = message.write(&IDENTITY, seal, &mut room).unwrap();
    let frame = room[..len].to_vec();
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let _ = writeln!(lines, "suite {}  {name:<16}  {hex}", S::SUITE);
    assert_eq!(format!("{:?}", Message::open(&mut room[..len], Some(&IDENTITY), seal)), format!("Ok({message:?})"));
    frame
}

fn sealed<S: Seal>(lines: &mut String, seal: &S) -> Vec<u8> {
    let bytes = events();
    let section = Message::Piece(Piece::Events { first: Position(301), count: 2, bytes: &bytes });
    let gap = Piece::Gap { first: Position(303), last: Position(310), reason: Loss::Overwritten };
    let frame = line(lines, "SECTION", &section, seal);
    line(lines, "GAP", &Message::Piece(gap), seal);
    line(lines, "COMMIT", &Message::Commit { epoch: IDENTITY.epoch, commit: commit_of(seal) }, seal);
    line(lines, "COMMITTED", &committed(seal), seal);
    line(lines, "CUSTODY", &custody(seal), seal);
    if S::SUITE != Plain::SUITE {
        line(lines, "READ proven", &read_of(seal), seal);
    }
    frame
}

fn vectors() -> String {
    let mut lines = String::new();
    for (name, message) in session() {
        line(&mut lines, name, &message, &Plain);
    }
    let section = sealed(&mut lines, &Plain);
    sealed(&mut lines, &Keyed::<SealedAes>::new(Key::from([7; 32])));
    sealed(&mut lines, &Keyed::<SealedChaCha>::new(Key::from([7; 32])));
    let mut packet = vec![0; packet_bytes_at_most(section.len())];
    let len = write_frame(&section, &mut packet).unwrap();
    let hex: String = packet[..len].iter().map(|byte| format!("{byte:02x}")).collect();
    let _ = writeln!(lines, "the SECTION of suite 0 on a byte stream  {hex}");
    lines
}

#[test]
fn the_frames_of_the_page_are_those_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("## Test vectors").unwrap();
    let (told, rest) = rest.split_once("```text\n").unwrap();
    let (written, after) = rest.split_once("```\n").unwrap();
    let vectors = vectors();
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        let page = format!("{before}## Test vectors{told}```text\n{vectors}```\n{after}");
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert_eq!(written, vectors);
}

/// Every message is there, with every suite that seals it.
#[test]
fn the_page_leaves_no_message_out() {
    let page = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")).unwrap();
    for name in ["HELLO", "HEAD", "READ", "SCHEMA_GET", "SCHEMA", "BUSY", "ERR", "NOTIFY", "DONE"] {
        assert!(page.contains(&format!("suite 0  {name}")), "{name}");
    }
    for suite in 0..3 {
        for name in ["SECTION", "GAP", "COMMIT", "COMMITTED", "CUSTODY"] {
            assert!(page.contains(&format!("suite {suite}  {name}")), "{name} of {suite}");
        }
    }
}
