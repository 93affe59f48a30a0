//! Collecting: from devices that connect, over lines that damage what they carry, and out of files.

#![cfg(feature = "server")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use evenkeel_collector::SqliteStore;
use evenkeel_core::Position;

fn evenkeel(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(args);
    command
}

/// Runs a command to its end; it must end with this status.
#[track_caller]
fn run(args: &[&str], status: i32) -> String {
    let Output { status: ended, stdout, stderr } = evenkeel(args).output().unwrap();
    let (said, wrong) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(ended.code(), Some(status), "{args:?}: {said}{wrong}");
    said + &wrong
}

/// A collector that is killed when it is dropped.
struct Serving {
    child: Child,
    tcp: SocketAddr,
    http: SocketAddr,
}

impl Serving {
    fn start(store: &str, more: &[&str]) -> Self {
        let mut args = vec!["serve", "--store", store, "--tcp", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        args.extend(["--timeout-ms", "150", "--quiet-ms", "40"]);
        args.extend(more);
        let mut child = evenkeel(&args);
        // It ends with this process, whatever becomes of it.
        child.env("EVENKEEL_WITH_PARENT", "1").stdin(Stdio::piped());
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |word: &str| {
            let line = lines.next().expect("it says where it listens").unwrap();
            line.strip_prefix(word).unwrap().trim().parse().unwrap()
        };
        let (tcp, http) = (address("tcp"), address("http"));
        Self { child, tcp, http }
    }

    fn ask(&self, method: &str, path: &str, header: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{header}\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.into())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path, "")
    }

    /// Asks it to end as an operator does, and answers whether it ended as it should.
    fn terminate(mut self) -> bool {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many events of how many logs are stored, as rows of single events.
fn stored(path: &Path) -> (usize, usize) {
    let store = SqliteStore::open(path).unwrap();
    let logs = store.logs().unwrap();
    let mut events = 0;
    for log in &logs {
        store.events(&log.identity, Position::START, |_| events += 1).unwrap();
    }
    (events, logs.len())
}

fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let from = text.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {text}"));
    from.split(['"', '\r', '\n']).find(|part| !part.trim_matches([':', ' ']).is_empty()).unwrap().trim()
}

#[test]
fn devices_deliver_over_tcp_and_what_they_delivered_is_handed_on_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("collected.db").display());
    let serving = Serving::start(&store, &[]);
    let to = format!("tcp://{}", serving.tcp);
    let said = run(&["device", &to, "--events", "150", "--loss", "0.2"], 0);
    assert!(said.contains("delivered: recorded=150"), "{said}");
    run(&["device", &to, "--events", "20", "--device", "77"], 0);

    let (status, _, logs) = serving.get("/v1/logs?limit=1");
    assert_eq!(status, 200);
    assert!(logs.contains("0000000000000077"), "{logs}");
    let next = value(&logs, "\"next\"");
    let (_, _, logs) = serving.get(&format!("/v1/logs?after={next}"));
    assert!(logs.contains("0000000000005eed") && !logs.contains("0000000000000077"), "{logs}");
    let epoch = value(&logs, "\"epoch\"");

    // A section that is full is the same for ever.
    let path = format!("/v1/logs/5eed/0/{epoch}/sections/1");
    let (status, head, body) = serving.get(&path);
    assert_eq!((status, body.matches("\"position\"").count()), (200, 100), "{body}");
    assert!(head.contains("immutable") && body.contains("\"closed\":true"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert!(tag.starts_with('"'), "a strong one");
    let (status, _, body) = serving.ask("GET", &path, &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((status, body.as_str()), (304, ""));
    let (status, head, body) = serving.get(&path.replace("sections/1", "sections/101"));
    assert_eq!(status, 200);
    assert!(head.contains("no-cache") && body.contains("\"closed\":false"), "{head}");
    for (path, status) in [
        (path.replace("sections/1", "sections/201"), 404),
        (path.replace("sections/1", "sections/2"), 400),
        (path.replace("5eed", "5eee"), 404),
        ("/health".into(), 200),
        ("/openapi.json".into(), 200),
        ("/nowhere".into(), 404),
    ] {
        assert_eq!(serving.get(&path).0, status, "{path}");
    }
    let (_, _, metrics) = serving.get("/metrics");
    // What was recorded, the two boots each, and what the device says when it is switched on.
    let events: u64 = value(&metrics, "\nevenkeel_events_total ").parse().unwrap();
    assert!(events >= 170 && metrics.contains("# TYPE evenkeel_events_total counter"), "{metrics}");

    assert!(serving.terminate(), "it ends in order when asked to");
    assert_eq!(stored(&folder.path().join("collected.db")), (events as usize, 2));
}

#[test]
fn who_has_no_key_and_who_has_no_token_is_turned_away_and_no_secret_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("collected.db").display());
    let (keys, token) = (folder.path().join("keys"), folder.path().join("token"));
    std::fs::write(&keys, format!("5eed hmac-sha256 {}\n", "ab".repeat(32))).unwrap();
    std::fs::write(&token, "open sesame\n").unwrap();
    let files = ["--keys", keys.to_str().unwrap(), "--token", token.to_str().unwrap()];
    let serving = Serving::start(&store, &files);
    let to = format!("tcp://{}", serving.tcp);
    run(&["device", &to, "--events", "5", "--within", "2"], 1);
    run(&["device", &to, "--events", "5", "--within", "2", "--device", "77"], 1);
    assert_eq!(serving.get("/metrics").0, 401);
    assert_eq!(serving.ask("GET", "/metrics", "Authorization: Bearer open barley\r\n").0, 401);
    let (status, _, metrics) = serving.ask("GET", "/metrics", "Authorization: Bearer open sesame\r\n");
    assert_eq!(status, 200);
    assert!(metrics.contains("\nevenkeel_devices_refused_total 2"), "{metrics}");
    assert!(serving.terminate());
    assert_eq!(stored(&folder.path().join("collected.db")), (0, 0));

    std::fs::write(&keys, format!("5eed hmac-sha256 {}x\n", "ab".repeat(32))).unwrap();
    let said = run(&["serve", "--store", &store, "--tcp", "127.0.0.1:0", "--keys", files[1]], 2);
    assert!(said.contains("line 1") && !said.contains("abab"), "{said}");
    run(&["serve", "--store", &store, "--tcp", "0.0.0.0:0"], 2);
    run(&["serve", "--store", &store, "--tcp", "127.0.0.1:0", "--http", "0.0.0.0:0"], 2);
    let said = run(&["serve", "--store", "mysql://me:secret@host/db", "--tcp", "127.0.0.1:0"], 2);
    assert!(!said.contains("secret"), "{said}");
}

/// Carries bytes between two pseudo-terminals, and damages some of them on the way.
fn corrupt(from: OwnedFd, to: OwnedFd, seed: u64) {
    let (mut from, mut to) = (std::fs::File::from(from), std::fs::File::from(to));
    let mut rng = evenkeel_host_sim::rng::Rng::from_seed(seed);
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        // It ends when one of the two sides is closed.
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut bytes = buffer[..count].to_vec();
            for byte in &mut bytes {
                if rng.chance(0.001) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            if rng.chance(0.02) {
                bytes.pop();
            }
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
    });
}

/// A pseudo-terminal: the side to carry bytes from and to, and the path of the other one.
fn terminal() -> (OwnedFd, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (master, path)
}

/// A device and a collector on the two ends of a serial line that damages bytes and drops them. The collector is killed in
/// the middle, and goes on; what it has in the end is, byte by byte, what the device has recorded.
#[test]
fn a_pull_over_a_serial_line_that_damages_bytes_resumes_and_completes() {
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (terminal(), terminal());
    // The lines stay as they are while nobody has them open.
    let open = |path: &str| std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let held: Vec<_> = [&near.1, &far.1]
        .map(|path| {
            let line = open(path);
            let mut how = rustix::termios::tcgetattr(&line).unwrap();
            how.make_raw();
            rustix::termios::tcsetattr(&line, rustix::termios::OptionalActions::Now, &how).unwrap();
            line
        })
        .into();
    corrupt(near.0.try_clone().unwrap(), far.0.try_clone().unwrap(), 1);
    corrupt(far.0, near.0, 2);

    // What the device records is decided by its seed: as a file it is what must be stored in the end.
    let file = format!("file:{}", folder.path().join("frames").display());
    let recorded = ["--events", "600", "--seed", "11"];
    let expected = format!("sqlite:{}", folder.path().join("expected.db").display());
    run(&[&["device", &file][..], &recorded].concat(), 0);
    run(&["pull", &file, "--store", &expected], 0);

    let (device, collector) = (format!("serial:{}", far.1), format!("serial:{}", near.1));
    let mut device = evenkeel(&[&["device", &device, "--within", "100"][..], &recorded].concat())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let path = folder.path().join("pulled.db");
    let store = format!("sqlite:{}", path.display());
    let pull = ["pull", &collector, "--store", &store, "--timeout-ms", "300", "--quiet-ms", "100"];
    let mut first = evenkeel(&pull).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Killed as soon as it has stored something.
    let begun =
        |path: &Path| path.exists() && SqliteStore::open(path).is_ok_and(|store| !store.logs().unwrap().is_empty());
    while !begun(&path) && first.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let said = run(&pull, 0);
    assert!(said.contains("complete: stored up to position 60"), "{said}");
    assert!(device.wait().unwrap().success());
    drop(held);

    let all = |name: &str| {
        let store = SqliteStore::open(folder.path().join(name)).unwrap();
        let log = store.logs().unwrap().pop().unwrap();
        let mut events = Vec::new();
        store
            .events(&log.identity, Position::START, |event| {
                events.push((event.position, event.stream, event.version, event.payload.to_vec()));
            })
            .unwrap();
        (log, events)
    };
    let (expected, pulled) = (all("expected.db"), all("pulled.db"));
    assert!(pulled.1.len() > 600 && expected == pulled);
}

#[test]
fn a_pull_over_tcp_from_a_file_and_of_a_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut device = evenkeel(&["device", "listen:127.0.0.1:0", "--events", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(device.stdout.take().unwrap()).lines();
    let address = lines.next().unwrap().unwrap().replace("tcp ", "tcp://");
    let store = format!("sqlite:{}", path("collected.db").display());
    let said = run(&["pull", &address, "--store", &store], 0);
    assert!(said.contains("complete"), "{said}");
    assert!(device.wait().unwrap().success());
    let (events, logs) = stored(&path("collected.db"));
    assert!(events > 50 && logs == 1);

    // It can be had as lines, one for each event, that say the same in both formats.
    let lines = run(&["export", "--store", &store], 0);
    let values: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), events);
    let csv = run(&["export", "--store", &store, "--format", "csv", "--device", "5eed"], 0);
    assert_eq!(csv.lines().count(), 1 + events);
    for ((value, row), position) in values.iter().zip(csv.lines().skip(1)).zip(1..) {
        let columns: Vec<_> = row.split(',').collect();
        assert_eq!((columns.len(), columns[10]), (11, ""), "{row}");
        assert_eq!((value["position"].as_u64(), columns[3].parse().ok()), (Some(position), Some(position)));
        assert_eq!((value["payload"].as_str(), value["stream"].as_str()), (Some(columns[9]), Some(columns[5])));
    }
    assert_eq!(run(&["export", "--store", &store, "--device", "1"], 0), "");
    run(&["export", "--store", "sqlite:/no/such/file"], 2);

    // The same again out of a file adds nothing; one that was cut off is told to be incomplete.
    let file = format!("file:{}", path("frames").display());
    run(&["device", &file, "--events", "300", "--device", "9"], 0);
    run(&["pull", &file, "--store", &store], 0);
    let before = stored(&path("collected.db"));
    let said = run(&["pull", &file, "--store", &store], 0);
    assert!(said.contains("events=0"), "{said}");
    assert_eq!(stored(&path("collected.db")), before);
    let mut bytes = std::fs::read(path("frames")).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 0x10;
    std::fs::write(path("frames"), &bytes).unwrap();
    let other = format!("sqlite:{}", path("other.db").display());
    let said = run(&["pull", &file, "--store", &other], 1);
    assert!(said.contains("incomplete"), "{said}");
    assert!(stored(&path("other.db")).0 < 300, "only what follows on what is there");
    run(&["pull", "file:/no/such/file", "--store", &other], 2);
    run(&["pull", "tcp://127.0.0.1:1", "--store", &other, "--attempts", "1"], 2);
    run(&["pull", "ftp://host", "--store", &other], 2);
}
