//! A PostgreSQL server of the test's own, in a temporary folder, on a local socket.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Who runs the server if this is root, whom it refuses.
const NOBODY: &str = "nobody";

/// A server. It is stopped, and its folder removed, when this is dropped.
pub(crate) struct Postgres {
    folder: PathBuf,
    tools: PathBuf,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Where the server's programs are.
fn tools() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

impl Postgres {
    /// Starts one; `None`, with the reason on standard error, where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(tools) = tools() else {
            eprintln!("skipped: PostgreSQL is not installed (Debian's package is 'postgresql')");
            return None;
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The path of a socket is short.
        let folder = PathBuf::from(format!("/tmp/evenkeel-pg-{}-{count}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        if is_root() {
            assert!(Command::new("chown").arg(NOBODY).arg(&folder).status().unwrap().success());
        }
        let server = Self { folder, tools };
        let data = server.data();
        server.tool("initdb", &["-D", &data, "-A", "trust", "-U", "evenkeel", "--no-sync", "-E", "UTF8"]);
        server.go_on();
        Some(server)
    }

    /// What `--store` is to say.
    pub(crate) fn url(&self) -> String {
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://evenkeel@{host}/postgres")
    }

    /// Kills the server, so that it has no time for anything.
    #[allow(dead_code)]
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(Path::new(&self.data()).join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
        // Its children follow; until they are gone it cannot be started again.
        while Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Starts it, again.
    pub(crate) fn go_on(&self) {
        let options = format!("-k {} -c listen_addresses='' -c max_connections=64", self.folder.display());
        let log = self.folder.join("log").display().to_string();
        for attempt in 1.. {
            let data = self.data();
            let started = self.run("pg_ctl", &["-D", &data, "-w", "-l", &log, "-o", &options, "start"]);
            if started {
                return;
            }
            assert!(attempt < 50, "it does not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    fn tool(&self, name: &str, args: &[&str]) {
        assert!(self.run(name, args), "{name} {args:?}");
    }

    fn run(&self, name: &str, args: &[&str]) -> bool {
        let tool = self.tools.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let group = format!("--regid={NOBODY}");
            let group = if Command::new("getent").args(["group", NOBODY]).output().is_ok_and(|out| out.status.success())
            {
                group
            } else {
                "--regid=nogroup".into()
            };
            command.args([&format!("--reuid={NOBODY}"), &group, "--clear-groups"]).arg(tool);
            command
        } else {
            Command::new(tool)
        };
        command.current_dir(&self.folder).env("HOME", &self.folder).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(args).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
