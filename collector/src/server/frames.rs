//! Frames on an asynchronous byte stream.

use std::collections::VecDeque;
use std::io;

use evenkeel_sync::stream::{FrameReader, packet_bytes_at_most, write_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest frame that is taken in, in bytes.
pub const FRAME_BYTES_AT_MOST: usize = 4096;
/// How many bytes are read at once.
const READ_BYTES: usize = 16 * 1024;

/// A byte stream that carries frames: see [`evenkeel_sync::stream`].
pub struct Frames<T> {
    io: T,
    reader: FrameReader<Vec<u8>>,
    buffer: Vec<u8>,
    inbox: VecDeque<Vec<u8>>,
    packet: Vec<u8>,
    bytes_in: u64,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Frames<T> {
    /// Carries frames over this stream.
    pub fn new(io: T) -> Self {
        Self {
            io,
            reader: FrameReader::new(vec![0; packet_bytes_at_most(FRAME_BYTES_AT_MOST)]),
            buffer: vec![0; READ_BYTES],
            inbox: VecDeque::new(),
            packet: vec![0; packet_bytes_at_most(FRAME_BYTES_AT_MOST)],
            bytes_in: 0,
        }
    }

    /// The next frame; `None` at the end of the stream. May be dropped and called again: nothing is lost by that.
    pub async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.inbox.pop_front() {
                return Ok(Some(frame));
            }
            let count = self.io.read(&mut self.buffer).await?;
            if count == 0 {
                return Ok(None);
            }
            self.bytes_in += count as u64;
            for byte in self.buffer.iter().take(count) {
                if let Some(frame) = self.reader.push(*byte) {
                    self.inbox.push_back(frame.to_vec());
                }
            }
        }
    }

    /// A frame that has been read already.
    pub fn take_ready(&mut self) -> Option<Vec<u8>> {
        self.inbox.pop_front()
    }

    /// Sends a frame of at most [`FRAME_BYTES_AT_MOST`].
    pub async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let len = write_frame(frame, &mut self.packet)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the frame is too long"))?;
        self.io.write_all(self.packet.get(..len).unwrap_or_default()).await?;
        self.io.flush().await
    }

    /// How many packets came in that were no frames, and how many bytes came in at all.
    #[must_use]
    pub fn dropped(&self) -> (u64, u64) {
        (self.reader.dropped(), self.bytes_in)
    }
}
