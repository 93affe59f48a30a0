//! Looking into images as it is done from a shell: of devices that lived well, lost power, rotted, or were read out in
//! part.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Moment, Snapshot, Tracker};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{SimFlash, TornWord};
use ihex::{Record, create_object_file_representation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pump {
    strokes: u32,
}

impl Aggregate for Pump {
    const KIND: Kind = Kind(9);
    type Event = (u8, [u8; 6]);
    fn apply(&mut self, _: &Self::Event) {
        self.strokes += 1;
    }
}

impl Snapshot for Pump {
    const SCHEMA: u8 = 3;
}

const UPLINK: Tracker = Tracker(2);
const RETENTION: Retention = Retention::OverwriteAcknowledged(&[UPLINK]);
const SECTORS: u32 = 6;

/// A device with a log of six sectors.
struct Device<const W: usize, const R: usize, const S: usize> {
    flash: SimFlash<W, R, S>,
    written: u32,
}

impl<const W: usize, const R: usize, const S: usize> Device<W, R, S> {
    fn new() -> Self {
        let device = Self { flash: SimFlash::blank(SECTORS as usize), written: 0 };
        let identity = Identity { log: LogId(4), epoch: Epoch::new(2, 0xBEEF) };
        let mut records = device.records();
        records.set_moment(Moment { boot: 1, tick: 77 });
        records.format(identity, &mut [0; 512]).unwrap();
        device
    }

    fn records(&self) -> FlashLog<SimFlash<W, R, S>> {
        let region = Region::new::<SimFlash<W, R, S>>(0..SECTORS * S as u32).word_by_word();
        FlashLog::new(self.flash.clone(), region, RETENTION)
    }

    /// Appends so many events to two streams in turn, as far as power lasts; their payloads count them.
    fn append(&mut self, events: u32, upkeep: bool) {
        let mut scratch = [0; 512];
        let mut log = Log::mount(self.records(), &mut scratch).unwrap();
        for _ in 0..events {
            let pump = 100 + u64::from(self.written % 2);
            let [a, b, ..] = self.written.to_le_bytes();
            let mut root = log.load_or_new::<Pump>(pump).unwrap();
            if log.execute(&mut root, |_| Ok::<_, ()>([(0xE0, [0xAB, 0xCD, a, b, 0xEF, 0x99])])).is_err() {
                assert!(!self.flash.is_powered(), "an event was refused");
                return;
            }
            self.written += 1;
            if upkeep && self.written.is_multiple_of(5) {
                let last = log.bounds().last();
                log.acknowledge(UPLINK, last).unwrap();
                log.maintain::<(Pump,)>().unwrap();
            }
        }
    }

    /// Appends one more event, and switches off as it should be done.
    fn append_and_close(&mut self) {
        let mut scratch = [0; 512];
        let mut log = Log::mount(self.records(), &mut scratch).unwrap();
        let mut root = log.load_or_new::<Pump>(100_u64).unwrap();
        log.execute(&mut root, |_| Ok::<_, ()>([(0xE0, [0xAB; 6])])).unwrap();
        self.written += 1;
        log.release().close(&mut [0; 512]).unwrap();
    }

    fn image(&self) -> Vec<u8> {
        self.flash.image()
    }
}

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("image");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn run(&self, image: &[u8], args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.arg("inspect").arg(self.file(image)).args(args).output().unwrap()
    }

    /// What it says, if it ends with this status.
    fn says(&self, image: &[u8], args: &[&str], status: i32) -> String {
        let output = self.run(image, args);
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), complaint.as_str()), (Some(status), ""), "{said}");
        assert!(said.ends_with('\n') && said.lines().all(|line| line == line.trim_end()), "{said}");
        said
    }

    /// The only log of an image.
    fn log(&self, image: &[u8], args: &[&str]) -> Value {
        let mut inspection: Value =
            serde_json::from_str(&self.says(image, &[args, &["--format", "json"]].concat(), 0)).unwrap();
        let logs = inspection["logs"].as_array_mut().unwrap();
        assert_eq!(logs.len(), 1);
        logs.remove(0)
    }

    /// The complaint, if there is nothing else.
    fn complains(&self, image: &[u8], args: &[&str]) -> String {
        let output = self.run(image, args);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{complaint}");
        assert!(complaint.lines().count() == 1 && complaint.starts_with("evenkeel: "), "{complaint}");
        complaint
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

fn list<'v>(log: &'v Value, name: &str) -> &'v Vec<Value> {
    log[name].as_array().unwrap()
}

/// The offset in the image of this event's payload.
fn place_of(image: &[u8], event: u8) -> usize {
    image.windows(7).position(|bytes| bytes == [0xE0, 0xAB, 0xCD, event, 0, 0xEF, 0x99]).unwrap()
}

#[test]
fn a_device_that_stopped_cleanly_is_told_in_full() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 4096>::new();
    device.append(24, true);
    device.append_and_close();
    let image = device.image();
    let text = bench.says(&image, &["--check"], 0);
    has(
        &text,
        &[
            "raw bytes, 24,576 B, one log",
            "log 4, epoch 2-0000beef, at 0x0 to 0x5fff",
            "6 sectors of 4 KiB, words of 4 B, programmed word by word",
            "1 to 25, all 25 events can be read",
            "sector 0, sequence 6, opened at boot 1 tick 77",
            "last stop  clean\n",
            "no damage",
            "20  5 behind",
            "2 .. 5",
        ],
    );
    let log = bench.log(&image, &[]);
    assert_eq!((&log["log"], &log["epoch"]), (&Value::from(4), &Value::from("2-0000beef")));
    assert_eq!(log["region"]["sector_bytes"], 4096);
    let mounted = &log["mounted"];
    assert_eq!((&mounted["first_position"], &mounted["next_position"]), (&Value::from(1), &Value::from(26)));
    assert_eq!((&mounted["events"], &mounted["clean_stop"]), (&Value::from(25), &Value::from(true)));
    assert_eq!((&mounted["newest"]["sector"], &mounted["prepared"]["sequence"]), (&Value::from(0), &Value::from(7)));
    let states: Vec<_> = list(&log, "sectors").iter().map(|sector| sector["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["newest", "prepared", "blank", "blank", "blank", "blank"]);
    let streams = list(&log, "streams");
    assert_eq!(streams.len(), 2);
    assert_eq!(
        (&streams[0]["stream"], &streams[0]["kind"], &streams[0]["version"]),
        (&100.into(), &9.into(), &13.into())
    );
    assert_eq!((&log["trackers"][0]["tracker"], &log["trackers"][0]["position"]), (&2.into(), &20.into()));
    assert_eq!((&log["mount_error"], list(&log, "damage").len()), (&Value::Null, 0));
}

fn lives_with_words_of<const W: usize, const R: usize, const S: usize>() {
    let bench = Bench::new();
    let mut device = Device::<W, R, S>::new();
    device.append(40, true);
    device.flash.cut_after(1, TornWord::RandomBits);
    device.append(40, true);
    device.flash.power_on();
    device.append(5, false);
    let text = bench.says(&device.image(), &["--check"], 0);
    has(&text, &[&format!("words of {W} B"), "not clean", "no damage"]);
    let log = bench.log(&device.image(), &["--sector", "0"]);
    assert_eq!(
        (&log["region"]["word_bytes"], &log["mounted"]["events"]),
        (&Value::from(W), &Value::from(device.written))
    );
    let pieces = list(&log["sectors"][0], "pieces");
    let interrupted = pieces.iter().any(|piece| {
        piece["cause"] == "interrupted"
            || piece["entries"].as_array().is_some_and(|entries| entries[0]["entry"] == "resume")
    });
    assert!(interrupted, "the power cut left something: {pieces:#?}");
    assert!(pieces.iter().all(|piece| piece["cause"] != "damaged"), "{pieces:#?}");
}

#[test]
fn words_of_every_size_are_read_and_a_power_cut_is_no_damage() {
    lives_with_words_of::<1, 1, 4096>();
    lives_with_words_of::<2, 2, 4096>();
    lives_with_words_of::<4, 4, 4096>();
    lives_with_words_of::<8, 1, 4096>();
    lives_with_words_of::<16, 1, 8192>();
    lives_with_words_of::<32, 1, 131_072>();
}

#[test]
fn a_log_that_went_round_holds_what_was_not_let_go() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 1024>::new();
    device.append(600, true);
    let log = bench.log(&device.image(), &["--check"]);
    let mounted = &log["mounted"];
    let first = mounted["first_position"].as_u64().unwrap();
    assert!(first > 100 && mounted["next_position"] == 601, "{mounted}");
    assert_eq!(mounted["events"], 601 - first);
    assert!(log["wear"]["most"].as_u64().unwrap() > 1);
    let streams = list(&log, "streams");
    assert!(streams.iter().all(|stream| stream["version"] == 300), "{streams:?}");
    assert!(streams.iter().any(|stream| stream["snapshot"]["schema"] == 3), "{streams:?}");
    let bases =
        list(&log, "sectors").iter().filter(|sector| sector["state"] == "in-use" || sector["state"] == "newest");
    assert!(bases.count() >= 4);
}

#[test]
fn rotten_bytes_are_a_gap_and_damage() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 4096>::new();
    device.append(30, false);
    let mut image = device.image();
    let place = place_of(&image, 11);
    image[place] ^= 4; // position 12
    let text = bench.says(&image, &["--check"], 1);
    has(&text, &["29 events can be read, 1 is MISSING", "1 event MISSING, 16 B DAMAGED"]);
    has(&text, &["DAMAGE: sector 0: position 12 is missing: damaged bytes"]);
    assert_eq!(bench.says(&image, &[], 0), text);
    let log = bench.log(&image, &[]);
    assert_eq!((&log["gaps"][0]["first"], &log["gaps"][0]["reason"]), (&Value::from(12), &Value::from("damaged")));
    let kinds: Vec<_> = list(&log, "damage").iter().map(|damage| damage["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["gap", "damaged-bytes"]);

    let frames = bench.says(&image, &["--sector", "0"], 0);
    has(&frames, &["DAMAGED: does not verify, says it is a frame of 15 B", "MISSING: position 12"]);
    has(&frames, &["header, first part", "open base 1", "event 13: stream 100 kind 9 version 7"]);
    has(&frames, &["e0 ab cd 0c 00 ef 99", "erased"]);
}

#[test]
fn damaged_headers_are_told_and_made_up_for_where_a_mount_does() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 1024>::new();
    device.append(200, false);
    let whole = device.image();
    let states = |image: &[u8]| -> Vec<String> {
        let log = bench.log(image, &[]);
        list(&log, "sectors").iter().map(|sector| sector["state"].as_str().unwrap().into()).collect()
    };
    assert_eq!(&states(&whole)[..2], ["in-use", "in-use"]);

    // The first part: the second one is enough.
    let mut image = whole.clone();
    image[1024 + 5] ^= 1;
    assert_eq!(states(&image), states(&whole));
    let text = bench.says(&image, &["--check"], 1);
    has(&text, &["header DAMAGED", "its erase count is lost", "all 200 events can be read"]);

    // Both: the sector cannot be read.
    image[1024..1024 + 64].fill(0x33);
    assert_eq!(states(&image)[1], "unreadable");
    let text = bench.says(&image, &["--check"], 1);
    has(&text, &["DAMAGE: sector 1: it holds records", "sector 1 is unreadable"]);
    assert_eq!(bench.log(&image, &[])["gaps"][0]["reason"], "unreadable-sector");
    has(&bench.says(&image, &["--sector", "1"], 0), &["unreadable, sequence 7", "33 33 33", "not read"]);
}

#[test]
fn parts_of_a_region_are_read_as_far_as_they_go() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 1024>::new();
    device.append(200, false);
    let whole = device.image();
    let sectors = |log: &Value| list(log, "sectors").iter().filter(|sector| sector["state"] == "not-in-image").count();

    // The end is missing, in the middle of a sector.
    let log = bench.log(&whole[..2500], &[]);
    assert_eq!(
        (&log["region"]["address"], &log["region"]["missing_bytes"]),
        (&Value::from(0), &Value::from(6 * 1024 - 2500))
    );
    assert_eq!(sectors(&log), 3);
    has(&bench.says(&whole[..2500], &["--check"], 1), &["3,644 B of it are not in the image", "3 .. 5"]);

    // The beginning is missing.
    let log = bench.log(&whole[1500..], &[]);
    assert_eq!((&log["region"]["address"], sectors(&log)), (&Value::from(-1500), 1));
    assert_eq!(log["mounted"]["next_position"], 201);
    has(&bench.says(&whole[1500..], &[], 0), &["at -0x5dc to 0x1223", "not in image"]);

    // The region is somewhere in a larger dump, and nothing is missing.
    let dump = [&[0x12; 5000][..], &whole, &[0xFF; 3000]].concat();
    let log = bench.log(&dump, &["--check"]);
    assert_eq!((&log["region"]["address"], &log["mounted"]["events"]), (&Value::from(5000), &Value::from(200)));
}

#[test]
fn two_logs_in_one_dump_are_told_one_after_the_other() {
    let bench = Bench::new();
    let (mut one, mut other) = (Device::<4, 4, 1024>::new(), Device::<8, 1, 2048>::new());
    one.append(7, false);
    other.append(8, false);
    let text = bench.says(&[one.image(), other.image()].concat(), &["--check"], 0);
    has(&text, &["two logs", "at 0x0 to 0x17ff", "at 0x1800 to 0x47ff", "1 to 7, all 7", "1 to 8, all 8"]);
}

#[test]
fn intel_hex_says_the_same_as_raw_bytes() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 1024>::new();
    device.append(90, false);
    let image = device.image();
    let mut records = vec![Record::ExtendedLinearAddress(0x0801)];
    for (index, bytes) in image.chunks(16).enumerate() {
        // As most programmers do: what is erased is left out, but not the last.
        if bytes.iter().any(|byte| *byte != 0xFF) || (index + 1) * 16 == image.len() {
            records.push(Record::Data { offset: 0x2000 + index as u16 * 16, value: bytes.to_vec() });
        }
    }
    records.push(Record::EndOfFile);
    let hex = create_object_file_representation(&records).unwrap();
    let mut log = bench.log(hex.as_bytes(), &["--check"]);
    assert_eq!(log["region"]["address"], 0x0801_2000);
    log["region"]["address"] = 0.into();
    for (index, sector) in log["sectors"].as_array_mut().unwrap().iter_mut().enumerate() {
        assert_eq!(sector["address"], 0x0801_2000 + 1024 * index);
        sector["address"] = (1024 * index).into();
    }
    assert_eq!(log, bench.log(&image, &[]));
    has(&bench.says(hex.as_bytes(), &[], 0), &["Intel HEX, 6,144 B", "at 0x8012000 to 0x80137ff"]);
}

#[test]
fn streams_and_positions_can_be_asked_for() {
    let bench = Bench::new();
    let mut device = Device::<4, 4, 1024>::new();
    device.append(90, false);
    let records = |args: &[&str]| -> Vec<(u64, u64, String)> {
        let log = bench.log(&device.image(), args);
        let record = |record: &Value| {
            let number = |name: &str| record[name].as_u64().unwrap();
            (number("position"), number("stream"), record["hex"].as_str().unwrap().into())
        };
        list(&log, "records").iter().map(record).collect()
    };
    assert_eq!(records(&["--from", "90"]), [(90, 101, "e0abcd5900ef99".into())]);
    assert_eq!(records(&["--stream", "101"]).len(), 45);
    assert_eq!(
        records(&["--stream", "101", "--from", "88"]).iter().map(|record| record.0).collect::<Vec<_>>(),
        [88, 90]
    );
    let text = bench.says(&device.image(), &["--from", "89"], 0);
    has(&text, &["payload", "e0abcd5800ef99", "e0abcd5900ef99"]);
    has(&bench.says(&device.image(), &["--stream", "7"], 0), &["no such record"]);
    assert!(bench.log(&device.image(), &[])["records"].is_null());
}

#[test]
fn what_is_no_image_is_refused_in_one_line() {
    let bench = Bench::new();
    has(&bench.complains(b"", &[]), &["there is no log in", "it is empty"]);
    has(&bench.complains(&[0xFF; 8192], &["--check"]), &["every byte is erased"]);
    has(&bench.complains(b"\x7fELF....", &["--format", "json"]), &["ELF"]);
    has(&bench.complains(&[0x45; 4096], &[]), &["no sector's header"]);
    has(&bench.complains(b":0100000001FE\n", &[]), &["cut off"]);
    let device = Device::<4, 4, 1024>::new();
    has(&bench.complains(&device.image(), &["--sector", "6"]), &["there is no sector 6"]);
    bench.complains(&device.image(), &["--sector", "six"]);
    bench.complains(&device.image(), &["--format", "yaml"]);
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel")).args(["inspect", "/nonexistent/image"]).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.iter().filter(|byte| **byte == b'\n').count()), (Some(2), 1));
}
