//! A log in a file, whose power can be cut.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use evenkeel_collector::SqliteLog;
use evenkeel_conformance::{Durable, Home, PowerCuts};
use rusqlite::Connection;

/// How many instructions of SQLite's machine are one operation.
const INSTRUCTIONS: i32 = 5;
/// The same where a life is long.
const MANY_INSTRUCTIONS: i32 = 20;

/// A folder with an SQLite file. A power cut takes a picture of the files as they are at an instant, lets everything
/// fail from there on, and goes on with the picture: what was only in memory is gone.
pub(crate) struct File {
    folder: tempfile::TempDir,
    power: Arc<Mutex<Power>>,
    instructions: i32,
}

struct Power {
    /// Which picture is the file in use.
    picture: u32,
    /// So many operations until the cut.
    left: Option<u64>,
    struck: bool,
}

impl File {
    pub(crate) fn new() -> Self {
        let power = Power { picture: 0, left: None, struck: false };
        Self { folder: folder(), power: Arc::new(Mutex::new(power)), instructions: INSTRUCTIONS }
    }

    /// Its power is cut at fewer instants.
    pub(crate) fn cut_coarsely() -> Self {
        Self { instructions: MANY_INSTRUCTIONS, ..Self::new() }
    }
}

/// In memory where there is a place for that: a picture is taken of what was written, so no disk has to be waited for.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn path(folder: &Path, picture: u32) -> PathBuf {
    folder.join(format!("log-{picture}.db"))
}

impl Power {
    /// Counts an operation; whether power is off.
    fn operation(&mut self, folder: &Path) -> bool {
        if self.left == Some(0) && !self.struck {
            self.struck = true;
            for suffix in ["", "-wal"] {
                let named = |picture| {
                    let mut path = path(folder, picture).into_os_string();
                    path.push(suffix);
                    path
                };
                let _ = std::fs::copy(named(self.picture), named(self.picture + 1)); // there may be no journal
            }
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.struck
    }
}

impl Home for File {
    type Manager = SqliteLog;

    fn open(&mut self) -> SqliteLog {
        let folder = self.folder.path().to_path_buf();
        let connection = Connection::open(path(&folder, self.power.lock().unwrap().picture)).unwrap();
        let power = Arc::clone(&self.power);
        connection.progress_handler(self.instructions, Some(move || power.lock().unwrap().operation(&folder))).unwrap();
        SqliteLog::with(connection).unwrap()
    }
}

impl Durable for File {}

impl PowerCuts for File {
    fn cut_after(&mut self, operations: u64) {
        self.power.lock().unwrap().left = Some(operations);
    }

    fn power_on(&mut self) -> bool {
        let mut power = self.power.lock().unwrap();
        let struck = power.struck;
        power.picture += u32::from(struck);
        (power.left, power.struck) = (None, false);
        struck
    }
}
