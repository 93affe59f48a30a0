//! Frames on a byte stream: a UART, RTT, TCP, a file.
//!
//! ```text
//! packet = COBS(frame, check u32), 0x00        check: CRC-32 (IEEE 802.3) of the frame
//! ```
//!
//! A zero byte ends a packet and stands nowhere else, so a reader that joins in the middle, or after lost bytes, is in step
//! again with the next packet. A file is packets one after another: a capture of a link can be replayed. A writer that does
//! not know what the line has carried before sends a zero first.
//!
//! ```
//! use evenkeel_sync::stream::{FrameReader, write_frame};
//!
//! let mut packet = [0; 32];
//! let len = write_frame(b"frame", &mut packet).unwrap();
//! let mut reader = FrameReader::new([0; 32]);
//! let mut found = 0;
//! for byte in b"noise\0".iter().chain(&packet[..len]) {
//!     if let Some(frame) = reader.push(*byte) {
//!         assert_eq!(frame, b"frame");
//!         found += 1;
//!     }
//! }
//! assert_eq!((found, reader.dropped()), (1, 1));
//! ```

use cobs::{CobsEncoder, DecodeResult, DecoderState};
use crc::{CRC_32_ISO_HDLC, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CHECK_BYTES: usize = 4;

/// The most bytes that a frame of this length takes on a stream.
#[must_use]
pub const fn packet_bytes_at_most(frame_bytes: usize) -> usize {
    let with_check = frame_bytes.saturating_add(CHECK_BYTES);
    // One byte in front, one more for every 254, and the zero.
    with_check.saturating_add(with_check / 254).saturating_add(2)
}

/// Writes a frame as a packet to the front of `out` and answers its length; `None` if it does not fit:
/// [`packet_bytes_at_most`] are enough.
#[must_use]
pub fn write_frame(frame: &[u8], out: &mut [u8]) -> Option<usize> {
    if out.len() < packet_bytes_at_most(frame.len()) {
        return None;
    }
    let mut encoder = CobsEncoder::new(out);
    encoder.push(frame).ok()?;
    encoder.push(&CRC.checksum(frame).to_le_bytes()).ok()?;
    let len = encoder.finalize();
    *out.get_mut(len)? = 0;
    len.checked_add(1)
}

/// The room that a [`FrameReader`] needs for frames of up to so many bytes.
#[must_use]
pub const fn room_bytes(frame_bytes: usize) -> usize {
    frame_bytes.saturating_add(CHECK_BYTES)
}

/// Finds frames in a stream of bytes. It decodes as bytes come in and holds one frame with its check: lend it
/// [`room_bytes`].
///
/// A packet that is damaged, cut short or too long for the room is dropped and counted, and costs no other packet.
#[derive(Debug)]
pub struct FrameReader<B> {
    room: B,
    len: usize,
    state: DecoderState,
    too_long: bool,
    dropped: u64,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> FrameReader<B> {
    /// A reader that is in step with the stream. One that joins in the middle loses what is left of that packet.
    pub const fn new(room: B) -> Self {
        Self { room, len: 0, state: DecoderState::Idle, too_long: false, dropped: 0 }
    }

    /// How many packets were no frames: damaged, cut, or too long.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets what there is of a packet, as when the stream has been opened anew.
    pub fn reset(&mut self) {
        self.state = DecoderState::Idle;
    }

    /// Takes in the next byte; answers a frame if it is complete with it. Its bytes are the caller's until the next call,
    /// who may change them.
    pub fn push(&mut self, byte: u8) -> Option<&mut [u8]> {
        match self.state.feed(byte) {
            Ok(DecodeResult::NoData) => None,
            Ok(DecodeResult::DataStart) => {
                (self.len, self.too_long) = (0, false);
                None
            }
            Ok(DecodeResult::DataContinue(byte)) => {
                match self.room.as_mut().get_mut(self.len) {
                    Some(place) => *place = byte,
                    None => self.too_long = true,
                }
                self.len = self.len.saturating_add(1);
                None
            }
            Ok(DecodeResult::DataComplete) => {
                let Some(len) = self.checked() else {
                    self.dropped = self.dropped.saturating_add(1);
                    return None;
                };
                self.room.as_mut().get_mut(..len)
            }
            // The packet ends before it should.
            Err(_) => {
                self.dropped = self.dropped.saturating_add(1);
                None
            }
        }
    }

    /// The length of the frame, if its check fits.
    fn checked(&self) -> Option<usize> {
        if self.too_long {
            return None;
        }
        let end = self.len.checked_sub(CHECK_BYTES)?;
        let (frame, check) = self.room.as_ref().get(..self.len)?.split_at_checked(end)?;
        (CRC.checksum(frame).to_le_bytes() == check).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(frame: &[u8]) -> Vec<u8> {
        let mut out = vec![0xEE; packet_bytes_at_most(frame.len())];
        let len = write_frame(frame, &mut out).unwrap();
        out.truncate(len);
        out
    }

    fn frames(bytes: &[u8], room: usize) -> (Vec<Vec<u8>>, u64) {
        let mut reader = FrameReader::new(vec![0; room]);
        let found = bytes.iter().filter_map(|byte| reader.push(*byte).map(|frame| frame.to_vec())).collect();
        (found, reader.dropped())
    }

    #[test]
    fn the_bytes_are_pinned() {
        assert_eq!(CRC.checksum(b"123456789"), 0xCBF4_3926, "the check value that catalogues give for CRC-32");
        assert_eq!(packet(&[1, 0, 2]), [2, 1, 6, 2, 0x09, 0xD2, 0x8D, 0x10, 0]);
    }

    #[test]
    fn frames_of_every_length_come_back() {
        let all: Vec<Vec<u8>> = (0..600).map(|len| (0..len).map(|at| (at % 256) as u8).collect()).collect();
        let stream: Vec<u8> = all.iter().flat_map(|frame| packet(frame)).collect();
        assert_eq!(frames(&stream, room_bytes(599)), (all.clone(), 0));
        for frame in &all {
            assert!(packet(frame).len() <= packet_bytes_at_most(frame.len()));
            assert!(packet(frame)[..packet(frame).len() - 1].iter().all(|byte| *byte != 0));
        }
        // Those that are too long for the room are dropped, the others found.
        assert_eq!(frames(&stream, room_bytes(100)), (all[..=100].to_vec(), 499));
    }

    #[test]
    fn a_damaged_packet_costs_itself_and_nothing_else() {
        let all = [b"first".to_vec(), b"sec\0nd".to_vec(), b"third".to_vec()];
        let stream: Vec<u8> = all.iter().flat_map(|frame| packet(frame)).collect();
        let second = packet(&all[0]).len()..packet(&all[0]).len() + packet(&all[1]).len() - 1;
        for at in second {
            for bit in 0..8 {
                let mut bytes = stream.clone();
                bytes[at] ^= 1 << bit;
                let (found, _) = frames(&bytes, 64);
                assert_eq!(found, [all[0].clone(), all[2].clone()], "byte {at} bit {bit}");
            }
            let mut bytes = stream.clone();
            bytes.remove(at);
            assert_eq!(frames(&bytes, 64).0, [all[0].clone(), all[2].clone()], "byte {at} missing");
        }
        // Whoever joins in the middle finds what comes after.
        assert_eq!(frames(&stream[3..], 64).0, all[1..]);
    }
}
