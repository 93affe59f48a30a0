//! Offline sync on links of every sort: whatever is lost, damaged, repeated, late or cut off, each event arrives once; and
//! what that costs, as a table in `docs/sync-matrix.md`, so that a regression is a diff that people can read.
//! `EVENKEEL_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use evenkeel_collector::{Courier, DriveError, Link, SqliteStore, StoredEvent};
use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Position, Root, Snapshot, StreamId, Tracker};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash, TornWord};
use evenkeel_host_sim::link::{LinkConfig, LinkFaults, SimLink};
use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::{Sink, SinkConfig, Source, SourceIdentity};
use evenkeel_tests::report::tell;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 4096>;
type Records = FlashLog<Flash, 4, 3>;

const UPLINK: Tracker = Tracker(0);
const METER: StreamId = StreamId(7);
const SECTORS: u32 = 16;
const EPOCH: Epoch = Epoch::new(1, 0x1234_5678);
const SOURCE: SourceIdentity = SourceIdentity { device: 0x5EED_0001, log: LogId(0), epoch: EPOCH };
const SECOND: u64 = 1_000_000;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Meter {
    total: u64,
    readings: u32,
}

impl Aggregate for Meter {
    const KIND: Kind = Kind(1);
    type Event = [u8; 16];
    fn apply(&mut self, event: &[u8; 16]) {
        self.total += event.iter().copied().map(u64::from).sum::<u64>();
        self.readings += 1;
    }
}

impl Snapshot for Meter {
    const SCHEMA: u8 = 1;
}

/// A simulated link as the courier wants it.
struct Simulated(SimLink);

impl Link for Simulated {
    fn send(&mut self, now_us: u64, frame: &[u8]) {
        self.0.send(now_us, frame).unwrap();
    }

    fn receive(&mut self, now_us: u64) -> Option<Vec<u8>> {
        self.0.receive(now_us)
    }

    fn next_arrival_us(&self) -> Option<u64> {
        self.0.next_arrival()
    }
}

/// A sort of link: its name, bytes a second, half of a round trip, and the longest frame.
#[derive(Debug, Clone, Copy)]
struct Sort {
    name: &'static str,
    rate: u64,
    delay_us: u64,
    mtu: usize,
}

const SORTS: [Sort; 4] = [
    Sort { name: "UART, 115,200 baud", rate: 11_520, delay_us: 2_000, mtu: 248 },
    Sort { name: "BLE, 1M PHY", rate: 30_000, delay_us: 30_000, mtu: 244 },
    Sort { name: "TCP over LTE-M", rate: 20_000, delay_us: 125_000, mtu: 1024 },
    Sort { name: "LoRa, SF7", rate: 680, delay_us: 1_100_000, mtu: 222 },
];
const LOSSES: [u64; 6] = [0, 1, 5, 20, 50, 90];

impl Sort {
    fn link(&self, loss_percent: u64, faults: &Fault, seed: u64) -> Simulated {
        let mut config = LinkConfig::perfect();
        config.loss = loss_percent as f64 / 100.0;
        (config.bytes_per_second, config.delay_us, config.mtu) = (self.rate, self.delay_us, self.mtu);
        (config.duplicate, config.reorder) = (faults.duplicate, faults.reorder);
        config.jitter_us = if faults.jitter { self.delay_us } else { 0 };
        config.faults = faults.faults;
        config.faults.stall_us = 3 * self.delay_us + 200_000;
        Simulated(SimLink::new(config, seed).unwrap())
    }

    fn frame_us(&self) -> u64 {
        self.mtu as u64 * SECOND / self.rate
    }

    fn config(&self, mode: Mode, nonce: u32) -> SinkConfig {
        let mut config = SinkConfig::new(LogId(0));
        config.credit = if mode == Mode::StopAndWait { 1 } else { 32 };
        config.timeout_us = 4 * self.delay_us + 2 * self.frame_us() + 50_000;
        config.quiet_us = 2 * self.delay_us + 2 * self.frame_us() + 50_000;
        config.nonce = nonce;
        config
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One frame a request.
    StopAndWait,
    /// 32 frames a request; after a loss all that followed is sent again.
    GoBack,
    /// 32 frames a request; after a loss only what is missing is sent again.
    Selective,
}

impl Mode {
    fn sink(self, config: SinkConfig) -> Sink<Vec<u8>> {
        let room = if self == Mode::Selective { 64 * 1024 } else { 0 };
        Sink::with_room(config, vec![0; room])
    }
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    name: &'static str,
    duplicate: f64,
    reorder: f64,
    jitter: bool,
    faults: LinkFaults,
}

const NO_FAULT: Fault = Fault { name: "none", duplicate: 0.0, reorder: 0.0, jitter: false, faults: LinkFaults::NONE };

const FAULTS: [Fault; 7] = [
    NO_FAULT,
    Fault { name: "jitter, reordering, repeats", duplicate: 0.1, reorder: 0.1, jitter: true, ..NO_FAULT },
    Fault {
        name: "bursts of losses",
        faults: LinkFaults { burst: 0.03, burst_frames: 12, ..LinkFaults::NONE },
        ..NO_FAULT
    },
    Fault { name: "flipped bits", faults: LinkFaults { flip: 0.1, ..LinkFaults::NONE }, ..NO_FAULT },
    Fault { name: "missing bytes", faults: LinkFaults { drop_bytes: 0.1, ..LinkFaults::NONE }, ..NO_FAULT },
    Fault { name: "stalls", faults: LinkFaults { stall: 0.05, ..LinkFaults::NONE }, ..NO_FAULT },
    Fault {
        name: "all of them",
        duplicate: 0.1,
        reorder: 0.1,
        jitter: true,
        faults: LinkFaults { burst: 0.02, burst_frames: 8, flip: 0.05, drop_bytes: 0.05, stall: 0.02, stall_us: 0 },
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Nobody,
    Device,
    Collector,
    Both,
    /// Nobody, but one direction falls silent for a while, again and again.
    HalfOpen,
}

const CRASHES: [(Crash, &str); 5] = [
    (Crash::Nobody, "nobody"),
    (Crash::Device, "device, power cut in an append"),
    (Crash::Collector, "collector"),
    (Crash::Both, "both"),
    (Crash::HalfOpen, "nobody, half open"),
];

const RETENTIONS: [(Retention, &str); 3] = [
    (Retention::Refuse, "Refuse"),
    (Retention::OverwriteAcknowledged(&[UPLINK]), "OverwriteAcknowledged"),
    (Retention::OverwriteOldest(&[UPLINK]), "OverwriteOldest"),
];

/// What a device and its collector are put through.
#[derive(Debug, Clone, Copy)]
struct Case {
    sort: Sort,
    loss: u64,
    fault: Fault,
    crash: Crash,
    retention: Retention,
    mode: Mode,
    /// Readings before the pull, and while it lasts.
    before: u32,
    during: u32,
    seed: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    events: u64,
    gaps: u64,
    frames: u64,
    bytes: u64,
    us: u64,
    crashes: u32,
}

struct Device {
    flash: Flash,
    retention: Retention,
    /// What the application was told is durable.
    durable: u32,
    /// A reading was under way when the power failed.
    doubtful: bool,
}

impl Device {
    fn records(&self) -> Records {
        let region = Region::checked::<Flash>(0..SECTORS * 4096).unwrap().word_by_word();
        FlashLog::new(self.flash.clone(), region, self.retention)
    }

    /// One reading; `false` if the power failed or the log refused it.
    fn record(&mut self, log: &mut Log<'_, Records>, meter: &mut Root<Meter>) -> bool {
        let reading = [meter.readings as u8; 16];
        match log.execute(meter, |_| Ok::<_, ()>([reading])) {
            Ok(_) => {
                self.durable += 1;
                true
            }
            Err(_) => {
                self.doubtful |= !self.flash.is_powered();
                false
            }
        }
    }
}

impl Case {
    fn run(&self) -> Outcome {
        let mut rng = Rng::from_seed(self.seed);
        let flash = Flash::new(&ChipProfile::NRF52840, SECTORS as usize);
        let mut device = Device { flash, retention: self.retention, durable: 0, doubtful: false };
        let identity = Identity { log: LogId(0), epoch: EPOCH };
        let mut scratch = [0; 1024];
        device.records().mount_or_format(identity, &mut scratch).unwrap();
        let mut store = SqliteStore::in_memory().unwrap();
        let links = [1, 2].map(|way| self.sort.link(self.loss, &self.fault, self.seed * 2 + way));
        let [up, down] = links;
        let mut courier = Courier::new(self.sort.mtu, up, down);
        let mut now_us = 0;
        let mut outcome = Outcome::default();
        let mut left = self.during;
        let mut sink = self.mode.sink(self.sort.config(self.mode, rng.next_u64() as u32));
        let every = SECOND / 20 + 2 * self.sort.delay_us;
        let (mut crashes_left, mut next) = (if self.crash == Crash::Nobody { 0 } else { 6 }, every);
        let mut first_boot = true;
        'boots: loop {
            device.flash.power_on();
            let mut scratch = [0; 1024];
            let mut log = Log::mount(device.records(), &mut scratch).unwrap();
            let mut meter = log.load_or_new::<Meter>(METER).unwrap();
            if std::mem::take(&mut first_boot) {
                (0..self.before).for_each(|_| assert!(device.record(&mut log, &mut meter)));
            } else {
                assert!(meter.readings >= device.durable && meter.readings <= device.durable + 1);
                assert!(device.doubtful || meter.readings == device.durable);
                (device.durable, device.doubtful) = (meter.readings, false);
            }
            let mut source = Source::new(SOURCE, UPLINK);
            loop {
                let wake = match courier.step(now_us, &mut log, &mut source, &mut sink, &mut store) {
                    Ok(wake) => wake,
                    Err(DriveError::Source(_)) if !device.flash.is_powered() => continue 'boots,
                    Err(error) => panic!("{error}: {self:?}"),
                };
                if sink.is_caught_up() {
                    if left == 0 && sink.cursor() == log.bounds().last() {
                        break 'boots;
                    }
                    sink.pull();
                }
                now_us = wake.map_or(now_us + 1, |wake| wake.max(now_us + 1)).min(next.max(now_us + 1));
                assert!(now_us < 400_000 * SECOND, "it does not come to an end: {self:?} {sink:?}");
                if now_us < next {
                    continue;
                }
                next += every;
                log.maintain::<(Meter,)>().unwrap();
                if left > 0 && device.record(&mut log, &mut meter) {
                    left -= 1;
                }
                if crashes_left == 0 || rng.chance(0.5) {
                    courier.links().0.0.set_open(true);
                    continue;
                }
                crashes_left -= 1;
                outcome.crashes += 1;
                if matches!(self.crash, Crash::Collector | Crash::Both) {
                    sink = self.mode.sink(self.sort.config(self.mode, rng.next_u64() as u32));
                }
                if self.crash == Crash::HalfOpen {
                    courier.links().0.0.set_open(false);
                }
                if matches!(self.crash, Crash::Device | Crash::Both) {
                    device.flash.cut_after(rng.below(6), TornWord::RandomBits);
                    device.record(&mut log, &mut meter);
                    device.flash.cut_now();
                    courier.links().0.0.cut();
                    courier.links().1.0.cut();
                    continue 'boots;
                }
            }
        }
        self.check(&device, &store, &mut outcome);
        let traffic = courier.traffic();
        (outcome.frames, outcome.bytes) = (traffic.frames_up + traffic.frames_down, traffic.bytes());
        outcome.us = now_us;
        device.flash.assert_no_violations();
        outcome
    }

    /// Every position is one event or lies in one gap, and every event is the one that was recorded.
    fn check(&self, device: &Device, store: &SqliteStore, outcome: &mut Outcome) {
        let mut stored: Vec<StoredEvent> = Vec::new();
        store.events(&SOURCE, Position::START, |record| stored.push(record.into())).unwrap();
        let gaps = store.gaps(&SOURCE).unwrap();
        let mut positions: Vec<u64> = stored.iter().map(|event| event.position.0).collect();
        gaps.iter().for_each(|gap| positions.extend(gap.first.0..=gap.last.0));
        positions.sort_unstable();
        let all: Vec<u64> = (1..=u64::from(device.durable)).collect();
        assert_eq!(positions, all, "{self:?}");
        for event in &stored {
            let reading = (event.position.0 - 1) as u8;
            assert_eq!((&event.payload[..], u64::from(event.version.0)), (&[reading; 16][..], event.position.0));
        }
        outcome.events = stored.len() as u64;
        outcome.gaps = positions.len() as u64 - outcome.events;
        if !matches!(self.retention, Retention::OverwriteOldest(_)) {
            assert_eq!(outcome.gaps, 0, "{self:?}");
        }
    }
}

/// Some runs of a case with other seeds, summed up.
fn runs(case: Case, seeds: u64) -> Outcome {
    let mut sum = Outcome::default();
    for seed in 0..seeds {
        let Outcome { events, gaps, frames, bytes, us, crashes } = Case { seed, ..case }.run();
        sum.events += events;
        sum.gaps += gaps;
        sum.frames += frames;
        sum.bytes += bytes;
        sum.us += us;
        sum.crashes += crashes;
    }
    sum
}

impl Outcome {
    /// The payload that arrived, in thousandths of what the link could have carried.
    fn goodput(&self, sort: &Sort) -> u64 {
        self.events * 16 * 1000 * SECOND / self.us / sort.rate
    }

    /// Bytes sent both ways beyond the payload that arrived, in tenths of a byte an event.
    fn overhead(&self) -> u64 {
        (self.bytes.saturating_sub(16 * self.events)) * 10 / self.events.max(1)
    }
}

fn tenths(number: u64) -> String {
    format!("{}.{}", number / 10, number % 10)
}

fn goodput_page(page: &mut String) {
    let plain = Case {
        sort: SORTS[0],
        loss: 0,
        fault: NO_FAULT,
        crash: Crash::Nobody,
        retention: Retention::Refuse,
        mode: Mode::Selective,
        before: 1200,
        during: 0,
        seed: 0,
    };
    for sort in SORTS {
        let Sort { name, rate, delay_us, mtu } = sort;
        let _ = writeln!(page, "\n### {name}: {rate} B/s, round trip {} ms, frames of {mtu} B\n", delay_us / 500);
        page.push_str("| loss, % | stop and wait | go back | selective | times stop and wait | overhead an event, B: stop and wait | go back | selective |\n");
        page.push_str("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        for loss in LOSSES {
            let seeds = if loss == 90 { 1 } else { 3 };
            let of = |mode| runs(Case { sort, loss, mode, ..plain }, seeds);
            let [wait, back, selective] = [Mode::StopAndWait, Mode::GoBack, Mode::Selective].map(of);
            let [w, b, s] = [wait, back, selective].map(|outcome| outcome.goodput(&sort));
            // Of the same events, so as the times that they took.
            let times = wait.us * 10 * selective.events / (selective.us * wait.events);
            let _ = writeln!(
                page,
                "| {loss} | {} % | {} % | {} % | {} | {} | {} | {} |",
                tenths(w),
                tenths(b),
                tenths(s),
                tenths(times),
                tenths(wait.overhead()),
                tenths(back.overhead()),
                tenths(selective.overhead()),
            );
            assert!(s * 10 >= b * 9, "going back is better on {name} at {loss} %: {b} {s}");
        }
    }
}

fn faults_page(page: &mut String) {
    let case = Case {
        sort: SORTS[1],
        loss: 5,
        fault: NO_FAULT,
        crash: Crash::Nobody,
        retention: Retention::Refuse,
        mode: Mode::Selective,
        before: 600,
        during: 60,
        seed: 0,
    };
    page.push_str("\n| link faults | who crashes | crashes | events | overhead an event, B | seconds |\n");
    page.push_str("| --- | --- | ---: | ---: | ---: | ---: |\n");
    for fault in FAULTS {
        for (crash, who) in CRASHES {
            let outcome = runs(Case { fault, crash, ..case }, 2);
            let (overhead, us) = (tenths(outcome.overhead()), outcome.us / 100_000);
            let Outcome { events, crashes, .. } = outcome;
            let _ = writeln!(page, "| {} | {who} | {crashes} | {events} | {overhead} | {} |", fault.name, tenths(us));
        }
    }
    page.push_str("\n| retention | loss, % | who crashes | events | declared lost | overhead an event, B |\n");
    page.push_str("| --- | ---: | --- | ---: | ---: | ---: |\n");
    for (retention, name) in RETENTIONS {
        // More than the flash holds, where that is allowed.
        let during = if retention == Retention::Refuse { 200 } else { 3_000 };
        for (loss, crash) in [(0, 0), (20, 0), (20, 3), (50, 3)] {
            let (crash, who) = CRASHES[crash];
            let before = if retention == Retention::Refuse { 400 } else { 1_000 };
            let outcome = runs(Case { retention, loss, crash, during, before, ..case }, 1);
            let Outcome { events, gaps, .. } = outcome;
            let _ = writeln!(page, "| {name} | {loss} | {who} | {events} | {gaps} | {} |", tenths(outcome.overhead()));
        }
    }
}

#[test]
fn the_matrix_of_links_losses_faults_and_crashes() {
    let mut page = String::from(HEAD);
    goodput_page(&mut page);
    page.push_str(FAULTS_HEAD);
    faults_page(&mut page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sync-matrix.md");
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if written != page {
        let differ = page.lines().zip(written.lines()).filter(|(now, then)| now != then).take(20);
        differ.for_each(|(now, then)| tell(&format!("- {then}\n+ {now}")));
        panic!("docs/sync-matrix.md is not what is measured: write it anew with EVENKEEL_BLESS=1");
    }
}

/// At 20 % loss a request for 32 frames with a map of what is missing moves at least three times what stop and wait does,
/// wherever the round trip is longer than a frame.
#[test]
fn at_20_percent_loss_the_map_of_what_is_missing_is_worth_three_times_stop_and_wait() {
    for sort in SORTS.into_iter().filter(|sort| 2 * sort.delay_us > sort.frame_us()) {
        let case = Case {
            sort,
            loss: 20,
            fault: NO_FAULT,
            crash: Crash::Nobody,
            retention: Retention::Refuse,
            mode: Mode::Selective,
            before: 1200,
            during: 0,
            seed: 0,
        };
        let [wait, selective] = [Mode::StopAndWait, Mode::Selective].map(|mode| runs(Case { mode, ..case }, 3));
        let [wait, selective] = [wait, selective].map(|outcome| outcome.goodput(&sort));
        assert!(selective >= 3 * wait, "{}: {selective} of {wait}", sort.name);
    }
}

const HEAD: &str = "# What sync costs, link by link

Made by `EVENKEEL_BLESS=1 cargo test -p evenkeel-tests --test sync_matrix`; the same test holds this page against what it
measures. Time is virtual, everything random comes from seeds, so the figures are the same on every machine.

A device with 64 KiB of simulated nRF52840 flash has 1,200 events of 16 bytes of one stream, and a collector pulls them into
SQLite, over links that lose frames in both directions. In each run every event has arrived exactly once.

*Goodput* is the payload that arrived, as a part of what the link could carry in that time; *overhead* is all bytes sent in both
directions, lost ones included, beyond the payload, for each event. *Stop and wait* asks for one frame at a time, *go back* for
32 and after a loss for all that followed, *selective* for 32 with a map of what is missing.
";

const FAULTS_HEAD: &str = "
## Faults and crashes

On the BLE link with 5 % loss in both directions, 600 events before the pull and 60 while it lasts, the sums of two runs each.
A crash of the device is a power cut within an append; what was not durable may be gone, nothing else. Then retention: where old
events may be overwritten, more are recorded than the flash holds.
";
