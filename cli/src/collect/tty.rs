//! A serial line as a stream of bytes that can be waited for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc as asynchronous;

/// How long a thread waits before it looks at the line again.
const PAUSE: Duration = Duration::from_millis(1);
/// How many reads wait to be taken.
const READS: usize = 64;

/// Opens a serial line for bytes as they are, at so many baud.
pub(crate) fn open(path: &Path, baud: u32) -> io::Result<File> {
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !isatty(&file) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no serial line"));
    }
    let mut how = tcgetattr(&file)?;
    how.make_raw();
    how.set_speed(baud)?;
    tcsetattr(&file, OptionalActions::Now, &how)?;
    Ok(file)
}

/// A serial line, or a pseudo-terminal: one thread reads it, one writes it. Both end after this is dropped.
pub(crate) struct Tty {
    incoming: asynchronous::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl Tty {
    /// Carries bytes to and from this file, which does not block.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let (arrived, incoming) = asynchronous::channel(READS);
        let (outgoing, leaving) = mpsc::channel();
        let reading = file.try_clone()?;
        thread::spawn(move || read(reading, &arrived));
        thread::spawn(move || write(file, &leaving));
        Ok(Self { incoming, rest: Vec::new(), outgoing })
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn read(mut file: File, arrived: &asynchronous::Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while !arrived.is_closed() {
        match file.read(&mut buffer) {
            // A line that is gone, such as a pseudo-terminal without its other side.
            Ok(0) => return,
            Ok(count) => {
                if arrived.blocking_send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if would_block(&error) => thread::sleep(PAUSE),
            Err(_) => return,
        }
    }
}

fn write(mut file: File, leaving: &mpsc::Receiver<Vec<u8>>) {
    for bytes in leaving {
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            match file.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if would_block(&error) => thread::sleep(PAUSE),
                Err(_) => return,
            }
        }
    }
}

impl AsyncRead for Tty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.incoming.poll_recv(context)) {
                Some(bytes) => self.rest = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = buffer.remaining().min(self.rest.len());
        buffer.put_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tty {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.outgoing.send(bytes.to_vec());
        Poll::Ready(sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
