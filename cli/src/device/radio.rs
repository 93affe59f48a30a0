//! Frames between a device and whoever pulls it, over a stream that is made to lose some.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::stream::{FrameReader, packet_bytes_at_most, write_frame};

/// The largest frame of the device's link, in bytes.
pub(crate) const FRAME_BYTES: usize = 244;
/// The longest frame that it hears.
const HEARD_BYTES: usize = 512;
/// Of the frames that are not lost so many are doubled, held back behind the next one, or damaged.
const OTHER_FAULTS: f64 = 0.1;

/// A stream of bytes that can be waited on for a while.
pub(crate) trait Line {
    /// Reads what there is, waiting at most so long; `None`: nothing came. 0 bytes: it has been closed.
    fn read_within(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<usize>>;
    /// Writes all of it.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Line for TcpStream {
    fn read_within(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        self.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match self.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }
}

/// A serial line that was opened so that it does not block.
impl Line for std::fs::File {
    fn read_within(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        match self.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(wait.min(Duration::from_millis(2)));
                Ok(None)
            }
            Ok(count) => Ok(Some(count)),
            Err(error) => Err(error),
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A line on which frames are lost.
pub(crate) struct Radio<'r, L> {
    line: L,
    reader: FrameReader<Vec<u8>>,
    bytes: Vec<u8>,
    at: usize,
    loss: f64,
    rng: &'r mut Rng,
    held: Option<Vec<u8>>,
}

impl<'r, L: Line> Radio<'r, L> {
    /// Loses a frame with this probability, in each direction.
    pub(crate) fn new(line: L, loss: f64, rng: &'r mut Rng) -> Self {
        let reader = FrameReader::new(vec![0; packet_bytes_at_most(HEARD_BYTES)]);
        Self { line, reader, bytes: Vec::new(), at: 0, loss, rng, held: None }
    }

    /// A frame that has come; `Ok(None)`: none within that time.
    pub(crate) fn receive(&mut self, wait: Duration) -> io::Result<Option<Vec<u8>>> {
        loop {
            while let Some(byte) = self.bytes.get(self.at) {
                self.at += 1;
                if let Some(frame) = self.reader.push(*byte) {
                    if !self.rng.chance(self.loss) {
                        return Ok(Some(frame.to_vec()));
                    }
                }
            }
            let mut buffer = [0; 4096];
            match self.line.read_within(&mut buffer, wait)? {
                None => return Ok(None),
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(count) => {
                    self.bytes.clear();
                    self.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    self.at = 0;
                }
            }
        }
    }

    /// Sends a frame, perhaps.
    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.rng.chance(self.loss) {
            return Ok(());
        }
        if self.loss == 0.0 || !self.rng.chance(OTHER_FAULTS) {
            self.put(frame)?;
            return self.held.take().map_or(Ok(()), |held| self.put(&held));
        }
        match self.rng.below(3) {
            0 => {
                self.put(frame)?;
                self.put(frame)
            }
            1 => {
                self.held = Some(frame.to_vec());
                Ok(())
            }
            _ => {
                let mut damaged = frame.to_vec();
                let at = self.rng.below(damaged.len().max(1) as u64) as usize;
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= 1 << self.rng.below(8);
                }
                self.put(&damaged)
            }
        }
    }

    fn put(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut packet = [0; packet_bytes_at_most(FRAME_BYTES)];
        let len = write_frame(frame, &mut packet).ok_or(io::ErrorKind::InvalidInput)?;
        self.line.write_all(packet.get(..len).unwrap_or_default())
    }
}
