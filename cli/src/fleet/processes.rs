//! The processes around the devices: a collector and relays, children of this one and of the same program.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::collect::WITH_PARENT;

/// How long a process may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that listens. It is killed when this is dropped, and ends by itself if this process is gone.
#[derive(Debug)]
pub(crate) struct Listening {
    child: Child,
    args: Vec<String>,
    heard: bool,
    /// Where it listens, by the word that it says before the address.
    addresses: Vec<(String, SocketAddr)>,
}

impl Listening {
    /// Starts one, and waits until it has said where it listens, as often as `words` are.
    ///
    /// With `heard` it may say on standard error what goes wrong.
    pub(crate) fn start(args: Vec<String>, words: usize, heard: bool) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(&args)
            .env(WITH_PARENT, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if heard { Stdio::inherit() } else { Stdio::null() })
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut addresses = Vec::new();
        let mut lines = BufReader::new(out).lines();
        while addresses.len() < words {
            let Some(line) = lines.next() else {
                let _ = child.kill().and_then(|()| child.wait().map(drop));
                return Err(io::Error::other(format!("'evenkeel {}' did not start", args.join(" "))));
            };
            let line = line?;
            let parsed = line.split_once(' ').and_then(|(word, at)| Some((word.to_owned(), at.parse().ok()?)));
            addresses.push(parsed.ok_or_else(|| io::Error::other(format!("it said '{line}'")))?);
        }
        Ok(Self { child, args, heard, addresses })
    }

    /// Where it listens for what it calls so.
    pub(crate) fn address(&self, word: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(said, _)| said == word).map(|(_, address)| *address)
    }

    /// Kills it, so that it has no time for anything.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        let mut args = self.args.clone();
        for (word, address) in &self.addresses {
            let flag = if self.args.first().is_some_and(|command| command == "relay") {
                "--listen".into()
            } else {
                format!("--{word}")
            };
            if let Some(at) = args.iter().position(|arg| *arg == flag) {
                if let Some(value) = args.get_mut(at + 1) {
                    *value = address.to_string();
                }
            }
        }
        let begun = Instant::now();
        loop {
            match Self::start(args.clone(), self.addresses.len(), self.heard) {
                Ok(again) => {
                    *self = again;
                    return Ok(());
                }
                // Somebody else may have its port for a moment.
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Asks it to end and answers whether it ended as it should.
    pub(crate) fn end(mut self) -> io::Result<bool> {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a collector over HTTP and answers the status and the body.
pub(crate) fn ask(at: SocketAddr, method: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}
