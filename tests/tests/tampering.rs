//! G10: whoever changes a sealed log in the flash, and puts every checksum right, is found out.
//!
//! Each edit is done to two logs with the same events: in the one that is not sealed it goes unnoticed, which shows that
//! the checksums do fit and that the edit changes what is read; in the sealed one it is an integrity error.
#![allow(clippy::ptr_arg)] // an edit may take frames out

use evenkeel_conformance::{Item, append, item, read, stream};
use evenkeel_core::error::{IntegrityError, LoadError, ReadError};
use evenkeel_core::integrity::{
    Anchor, Key, KeyId, Keys, Sealed, SealedAes, SignedBlake2s, Suite, Verification, Verified,
};
use evenkeel_core::{Aggregate, CodecError, Kind, Log, Position, RecordManager, Snapshot, StreamId, Tracker, codec};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_tests::attacker::{Frame, frames, rewrite};
use evenkeel_tests::image::Geometry;
use evenkeel_tests::oracle::identity;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 1, 4096>;
type Plain = FlashLog<Flash>;
type Guarded<S> = Sealed<Plain, Keys<1>, S>;

const SESSIONS: Tracker = Tracker(0xEE);
const SECTORS: usize = 4;
/// The sequence number of the sector that everything is in.
const FIRST: u32 = SECTORS as u32;

fn profile() -> ChipProfile {
    ChipProfile::generic(4, 1, 4096)
}

fn geometry() -> Geometry {
    let (log, epoch) = (identity().log.0, identity().epoch.0);
    let page = profile().program_page;
    Geometry { word: 4, page, sector: 4096, sectors: SECTORS, version: 1, log, epoch }
}

fn plain(flash: &Flash) -> Plain {
    let region = Region::checked::<Flash>(0..(SECTORS * 4096) as u32).unwrap();
    FlashLog::new(flash.clone(), region, Retention::Refuse)
}

fn formatted() -> Flash {
    let flash = Flash::new(&profile(), SECTORS);
    Plain::format(&mut plain(&flash), identity(), &mut [0; 512]).unwrap();
    flash
}

fn guarded<S: Suite>(flash: &Flash) -> Guarded<S> {
    Sealed::new(plain(flash), Keys::new(KeyId::new(1), Key::from([0x11; 32])), SESSIONS)
}

/// Two streams, of two types, mixed.
fn items() -> [Item; 6] {
    let other = |version, payload: &str| Item { kind: Kind(2), ..item(2, version, payload) };
    [
        item(1, 1, "alpha--1"),
        other(1, "beta---1"),
        item(1, 2, "alpha--2"),
        item(1, 3, "alpha--3"),
        other(2, "beta---2"),
        item(1, 4, "alpha--4"),
    ]
}

fn filled<R: RecordManager>(log: &mut Log<'_, R>) {
    for item in items() {
        append(log, &[item]).map_err(|_| ()).unwrap();
    }
}

/// The places of the events among the frames.
fn events(frames: &[Frame]) -> Vec<usize> {
    (0..frames.len()).filter(|at| frames[*at].is_event()).collect()
}

/// What is done to the frames of the sector.
type Edit = fn(&mut Vec<Frame>);

fn changed_payload(frames: &mut Vec<Frame>) {
    let at = events(frames)[2];
    frames[at].entries[7] ^= 0x04;
}

fn changed_type(frames: &mut Vec<Frame>) {
    let at = events(frames)[1];
    assert_eq!(frames[at].entries[2], 2, "the kind of the second stream");
    frames[at].entries[2] = 3;
}

fn changed_schema(frames: &mut Vec<Frame>) {
    let at = events(frames)[1];
    assert_eq!(frames[at].entries[0] & 1, 0, "it tells no schema yet");
    frames[at].entries[0] |= 1;
    frames[at].entries.insert(3, 9);
}

fn changed_stream(frames: &mut Vec<Frame>) {
    let at = events(frames)[1];
    assert_eq!(frames[at].entries[3], 2, "the number of the second stream");
    frames[at].entries[3] = 7;
}

fn changed_position(frames: &mut Vec<Frame>) {
    let mut headers = 0;
    for frame in frames.iter_mut().filter(|frame| frame.entries[0] & 0x7F == 0x6D) {
        assert_eq!(frame.entries[1], 1, "the sector's first position");
        frame.entries[1] = 5;
        headers += 1;
    }
    assert!(headers > 0);
}

/// Two events of one stream change places; their versions stay in order.
fn changed_order(frames: &mut Vec<Frame>) {
    let events = events(frames);
    let (one, two) = (frames[events[2]].entries[2..].to_vec(), frames[events[3]].entries[2..].to_vec());
    frames[events[2]].entries.splice(2.., two);
    frames[events[3]].entries.splice(2.., one);
}

/// Two events of different streams change places.
fn changed_order_across_streams(frames: &mut Vec<Frame>) {
    let events = events(frames);
    let (one, two) = (frames[events[3]].entries.clone(), frames[events[4]].entries.clone());
    (frames[events[3]].entries, frames[events[4]].entries) = (two, one);
}

/// An event is taken out; those behind it move up, in the log and in their stream.
fn removed_in_the_middle(frames: &mut Vec<Frame>) {
    let events = events(frames);
    for at in &events[3..] {
        frames[*at].ordinal -= 1;
        if frames[*at].entries[0] == 0 {
            frames[*at].entries[1] -= 1;
        }
    }
    frames.remove(events[2]);
}

fn removed_at_the_end(frames: &mut Vec<Frame>) {
    let last = *events(frames).last().unwrap();
    frames.remove(last);
}

/// The same flash after somebody had it.
fn edited(flash: &Flash, edit: Edit) -> Flash {
    let mut image = flash.image();
    let mut all = frames(&geometry(), &image, FIRST);
    edit(&mut all);
    rewrite(&geometry(), &mut image, FIRST, &all);
    Flash::from_image(&profile(), image)
}

/// All that can be read, by position and by stream.
fn contents<R: RecordManager>(log: &mut Log<'_, R>) -> (Vec<(Position, Item)>, Vec<Item>) {
    let after = log.bounds().first.previous();
    let events = read(log, after).unwrap_or_else(|error| panic!("{error:?}"));
    (events, [stream(log, 1), stream(log, 2)].concat())
}

/// The edit changes what is read from a log without seals, and nobody notices.
fn unnoticed_without_seals(edit: Edit) {
    let flash = formatted();
    let mut scratch = [0; 512];
    let mut log = Log::mount(plain(&flash), &mut scratch).unwrap();
    filled(&mut log);
    let before = contents(&mut log);
    drop(log);
    let flash = edited(&flash, edit);
    let mut log = Log::mount(plain(&flash), &mut scratch).unwrap();
    let after = contents(&mut log);
    assert_ne!(before, after, "the edit changed nothing");
}

fn verify<S: Suite>(log: &mut Log<'_, Guarded<S>>, anchor: Option<Anchor>) -> Result<Verified, IntegrityError> {
    let (records, scratch) = log.parts();
    let mut check = Verification::after(Position::START);
    if let Some(anchor) = anchor {
        check = check.against(anchor);
    }
    match records.verify(&mut check, 1000, scratch) {
        Ok(verified) => Ok(verified.expect("it has come to the end")),
        Err(ReadError::Integrity(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

/// What a sealed log says after an edit: what reading by position finds, and what a check finds.
fn noticed_by<S: Suite>(edit: Edit) -> (Option<IntegrityError>, Option<IntegrityError>) {
    let flash = formatted();
    let mut scratch = [0; 512];
    let mut log = Log::mount(guarded::<S>(&flash), &mut scratch).unwrap();
    filled(&mut log);
    assert_eq!(verify(&mut log, None).unwrap().chained, 6);
    let (records, lent) = log.parts();
    let anchor = records.anchor(lent).unwrap();
    drop(log);

    // Written anew without an edit everything is as it was.
    let mut log = Log::mount(guarded::<S>(&edited(&flash, |_| {})), &mut scratch).unwrap();
    assert_eq!(verify(&mut log, Some(anchor)).unwrap().head, Some(anchor));
    drop(log);

    let mut log = Log::mount(guarded::<S>(&edited(&flash, edit)), &mut scratch).unwrap();
    let after = log.bounds().first.previous();
    let read = match read(&mut log, after) {
        Ok(_) => None,
        Err(ReadError::Integrity(error)) => Some(error),
        Err(other) => panic!("{other:?}"),
    };
    (read, verify(&mut log, Some(anchor)).err())
}

macro_rules! noticed_at_once {
    ($($test:ident: $edit:ident;)+) => {$(
        #[test]
        fn $test() {
            unnoticed_without_seals($edit);
            for (read, verified) in [noticed_by::<SignedBlake2s>($edit), noticed_by::<SealedAes>($edit)] {
                assert!(matches!(read, Some(IntegrityError::Tampered { .. })), "{read:?}");
                assert!(verified.is_some());
            }
        }
    )+};
}

noticed_at_once! {
    a_changed_payload_is_noticed: changed_payload;
    a_changed_type_is_noticed: changed_type;
    a_changed_schema_is_noticed: changed_schema;
    a_changed_stream_is_noticed: changed_stream;
    a_changed_position_is_noticed: changed_position;
    a_changed_order_is_noticed: changed_order;
    a_changed_order_across_streams_is_noticed: changed_order_across_streams;
    a_removal_in_the_middle_is_noticed: removed_in_the_middle;
}

#[test]
fn a_removal_at_the_end_is_noticed_against_an_anchor() {
    unnoticed_without_seals(removed_at_the_end);
    for (read, verified) in
        [noticed_by::<SignedBlake2s>(removed_at_the_end), noticed_by::<SealedAes>(removed_at_the_end)]
    {
        assert_eq!(read, None, "each record that is left is genuine");
        assert_eq!(verified, Some(IntegrityError::CutOff { reached: Position(6), last: Position(5) }));
    }
}

/// The event hash of the Python library covers the state alone: with another type, or at another position, a record
/// replays without an error.
#[test]
fn finding_01_a_record_is_bound_to_its_type_and_place() {
    for edit in [changed_type, changed_schema, changed_stream, changed_position, changed_order as Edit] {
        unnoticed_without_seals(edit);
        assert!(matches!(noticed_by::<SignedBlake2s>(edit).0, Some(IntegrityError::Tampered { .. })));
    }
}

/// There, deleting the newest event replays cleanly to the version before, and nothing is offered to keep a head in.
#[test]
fn finding_02_a_log_without_its_end_is_noticed() {
    let cut_off = IntegrityError::CutOff { reached: Position(6), last: Position(5) };
    assert_eq!(noticed_by::<SignedBlake2s>(removed_at_the_end).1, Some(cut_off));

    // The chip goes on from there, so that it is as long as it was: the anchor knows better.
    let flash = formatted();
    let mut scratch = [0; 512];
    let mut log = Log::mount(guarded::<SignedBlake2s>(&flash), &mut scratch).unwrap();
    filled(&mut log);
    let (records, lent) = log.parts();
    let anchor = records.anchor(lent).unwrap();
    drop(log);
    let flash = edited(&flash, removed_at_the_end);
    let mut log = Log::mount(guarded::<SignedBlake2s>(&flash), &mut scratch).unwrap();
    append(&mut log, &[item(1, 4, "another4"), item(1, 5, "another5")]).unwrap();
    assert_eq!(verify(&mut log, None).unwrap().chained, 7);
    assert_eq!(verify(&mut log, Some(anchor)), Err(IntegrityError::Forked { at: Position(6) }));
}

/// A level that was stored in per cent by an old program, and in tenths of a per cent by a newer one.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Level(u16);

impl Aggregate for Level {
    const KIND: Kind = Kind(1);
    const SCHEMA: u8 = 1;
    type Event = u16;
    fn apply(&mut self, level: &u16) {
        self.0 = *level;
    }
    fn upcast(schema: u8, payload: &[u8]) -> Result<u16, CodecError> {
        match schema {
            0 => Ok(u16::from(codec::decode::<u8>(payload)?) * 10),
            _ => Err(CodecError::UnknownSchema),
        }
    }
}

impl Snapshot for Level {
    const SCHEMA: u8 = 1;
}

/// There, an event that is upcast fails its own hash.
#[test]
fn finding_03_upcast_events_are_checked_as_they_were_stored() {
    let flash = formatted();
    let mut scratch = [0; 512];
    let mut log = Log::mount(guarded::<SignedBlake2s>(&flash), &mut scratch).unwrap();
    append(&mut log, &[item(1, 1, [42])]).unwrap();
    let mut level = log.load::<Level>(1).unwrap();
    assert_eq!(*level, Level(420));
    log.execute(&mut level, |level| Ok::<_, ()>([level.0 + 7])).unwrap();
    assert_eq!(*log.load::<Level>(1).unwrap(), Level(427));
    let verified = verify(&mut log, None).unwrap();
    assert_eq!((verified.events, verified.chained), (2, 2));

    // One of a schema that this program does not know is an error for its stream alone; its bytes can be sent on.
    append(&mut log, &[Item { schema: 2, ..item(3, 1, "from the future") }]).unwrap();
    let unknown = log.load::<Level>(3).map(|_| ());
    assert!(matches!(unknown, Err(LoadError::Read(ReadError::Codec(CodecError::UnknownSchema)))), "{unknown:?}");
    assert_eq!(*log.load::<Level>(1).unwrap(), Level(427));
    assert_eq!(read(&mut log, Position(2)).unwrap()[0].1.payload, b"from the future");
    verify(&mut log, None).unwrap();
}

/// A safe, whose state is worth forging.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Safe {
    combination: [u8; 12],
}

impl Aggregate for Safe {
    const KIND: Kind = Kind(4);
    type Event = [u8; 12];
    fn apply(&mut self, combination: &[u8; 12]) {
        self.combination = *combination;
    }
}

impl Snapshot for Safe {
    const SCHEMA: u8 = 1;
}

fn locked_up<R: RecordManager>(log: &mut Log<'_, R>) {
    let mut safe = log.load_or_new::<Safe>(5).map_err(|_| ()).unwrap();
    log.execute(&mut safe, |_| Ok::<_, ()>([*b"36-24-36-007"])).map_err(|_| ()).unwrap();
    log.take_snapshot(&mut safe).map_err(|_| ()).unwrap();
}

/// The last byte of the state in the snapshot is changed, or of its seal.
fn changed_state(frames: &mut Vec<Frame>) {
    let snapshot = frames.iter_mut().find(|frame| matches!(frame.entries[0], 0x68..=0x6B)).unwrap();
    *snapshot.entries.last_mut().unwrap() ^= 1;
}

/// There, snapshots were stored in the clear though a key was set, and were neither hashed nor chained.
#[test]
fn finding_04_snapshots_are_sealed_and_cannot_be_forged() {
    let mut scratch = [0; 512];
    let shows = |flash: &Flash| flash.image().windows(12).any(|window| window == b"36-24-36-007");

    let flash = formatted();
    locked_up(&mut Log::mount(plain(&flash), &mut scratch).unwrap());
    assert!(shows(&flash));
    let forged = edited(&flash, changed_state);
    let mut log = Log::mount(plain(&forged), &mut scratch).unwrap();
    assert_eq!(&log.load::<Safe>(5).unwrap().combination, b"36-24-36-006", "the forged state is taken");
    drop(log);

    let flash = formatted();
    locked_up(&mut Log::mount(guarded::<SealedAes>(&flash), &mut scratch).unwrap());
    assert!(!shows(&flash));
    let mut log = Log::mount(guarded::<SealedAes>(&flash), &mut scratch).unwrap();
    assert_eq!(&log.load::<Safe>(5).unwrap().combination, b"36-24-36-007");
    drop(log);
    let forged = edited(&flash, changed_state);
    let mut log = Log::mount(guarded::<SealedAes>(&forged), &mut scratch).unwrap();
    let loaded = log.load::<Safe>(5).map(|_| ());
    let stream = StreamId(5);
    assert!(
        matches!(loaded, Err(LoadError::Read(ReadError::Integrity(IntegrityError::Tampered { stream: of, .. }))) if of == stream),
        "{loaded:?}"
    );
}

/// The end is cut off, other events take its place, and the snapshot of what was is put back: each record is genuine.
#[test]
fn a_snapshot_of_a_history_that_was_cut_off_is_noticed() {
    let guard = |chip: &Flash| guarded::<SignedBlake2s>(chip);
    let mut scratch = [0; 512];
    let change = |log: &mut Log<'_, Guarded<SignedBlake2s>>, to: &[u8; 12]| {
        let mut safe = log.load_or_new::<Safe>(5).unwrap();
        log.execute(&mut safe, |_| Ok::<_, ()>([*to])).unwrap();
    };
    let flash = formatted();
    let mut log = Log::mount(guard(&flash), &mut scratch).unwrap();
    change(&mut log, b"the old one.");
    let before = Flash::from_image(&profile(), flash.image());
    change(&mut log, b"was cut off.");
    let (records, lent) = log.parts();
    records.anchor(lent).unwrap(); // now the head of the chain is known, and goes into the snapshot
    let mut safe = log.load::<Safe>(5).unwrap();
    log.take_snapshot(&mut safe).unwrap();
    let (records, lent) = log.parts();
    assert!(records.verify_snapshot(StreamId(5), lent).unwrap());
    drop(log);
    let snapshot = frames(&geometry(), &flash.image(), FIRST).pop().unwrap();
    assert!(matches!(snapshot.entries[0], 0x68..=0x6B));

    // The chip as it was before goes on otherwise.
    let mut log = Log::mount(guard(&before), &mut scratch).unwrap();
    change(&mut log, b"is the truth");
    let (records, lent) = log.parts();
    assert!(!records.verify_snapshot(StreamId(5), lent).unwrap(), "there is none");
    drop(log);
    let mut image = before.image();
    let mut all = frames(&geometry(), &image, FIRST);
    all.push(snapshot);
    rewrite(&geometry(), &mut image, FIRST, &all);
    let forged = Flash::from_image(&profile(), image);
    let mut log = Log::mount(guard(&forged), &mut scratch).unwrap();
    assert_eq!(&log.load::<Safe>(5).unwrap().combination, b"was cut off.");
    let (records, lent) = log.parts();
    let found = records.verify_snapshot(StreamId(5), lent);
    assert!(matches!(found, Err(ReadError::Integrity(IntegrityError::Broken { at: Position(2) }))), "{found:?}");
}
