//! Bounded little-endian reading and writing, for the stored formats and the wire.
//!
//! Numbers of varying size are LEB128: seven bits a byte, the lowest first, the top bit set on all bytes but
//! the last.

/// Copies as many bytes as both have: `copy_from_slice` without a panic for lengths that differ.
#[inline]
pub fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Moves the `len` bytes at `from` to `to`, where they may overlap; `None`, and nothing is moved, if either place is not within
/// the bytes: `copy_within` without a panic.
#[inline(never)] // in a function of its own the compiler sees that the checks of `copy_within` hold
pub fn shift(bytes: &mut [u8], from: usize, len: usize, to: usize) -> Option<()> {
    let end = from.checked_add(len)?;
    if end > bytes.len() || to > bytes.len().checked_sub(len)? {
        return None;
    }
    bytes.copy_within(from..end, to);
    Some(())
}

/// Writes into a lent slice; a write that does not fit changes nothing and answers `None`.
///
/// ```
/// use evenkeel_core::bytes::{ByteReader, ByteWriter};
///
/// let mut room = [0; 8];
/// let mut out = ByteWriter::new(&mut room);
/// out.u16(513).and_then(|()| out.varint(300)).unwrap();
/// assert_eq!(out.written(), [1, 2, 0xAC, 0x02]);
///
/// let mut input = ByteReader::new(&[1, 2, 0xAC, 0x02]);
/// assert_eq!((input.u16(), input.varint(), input.u8()), (Some(513), Some(300), None));
/// ```
#[derive(Debug)]
pub struct ByteWriter<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> ByteWriter<'b> {
    /// Starts at the beginning of `bytes`.
    #[inline]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// How many bytes have been written.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written yet.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes there is still room for.
    #[must_use]
    #[inline]
    pub fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.len)
    }

    /// What has been written.
    #[must_use]
    #[inline]
    pub fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What has been written, to be changed.
    #[inline]
    pub fn written_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// Writes these bytes where `at` bytes have been written before, and moves the rest on.
    #[inline]
    pub fn insert(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        let (len, to) = (self.len, at.checked_add(bytes.len())?);
        if at > len {
            return None;
        }
        self.advance(bytes.len())?;
        let written = self.written_mut();
        shift(written, at, len.saturating_sub(at), to)?;
        copy(bytes, written.get_mut(at..to)?);
        Some(())
    }

    /// The room that is left, to be written by other means and then taken with [`advance`](Self::advance).
    #[inline]
    pub fn rest(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// Takes `count` bytes that were written into [`rest`](Self::rest).
    #[inline]
    pub fn advance(&mut self, count: usize) -> Option<()> {
        let len = self.len.checked_add(count)?;
        (len <= self.bytes.len()).then(|| self.len = len)
    }

    /// Forgets all but the first `len` bytes written.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Writes these bytes.
    #[inline]
    pub fn slice(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        copy(bytes, self.bytes.get_mut(self.len..end)?);
        self.len = end;
        Some(())
    }

    /// Writes one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) -> Option<()> {
        self.slice(&[value])
    }

    /// Writes two bytes, the lower first.
    #[inline]
    pub fn u16(&mut self, value: u16) -> Option<()> {
        self.slice(&value.to_le_bytes())
    }

    /// Writes four bytes, the lowest first.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Option<()> {
        self.slice(&value.to_le_bytes())
    }

    /// Writes eight bytes, the lowest first.
    #[inline]
    pub fn u64(&mut self, value: u64) -> Option<()> {
        self.slice(&value.to_le_bytes())
    }

    /// Writes 1 to 10 bytes, LEB128.
    #[inline]
    pub fn varint(&mut self, value: u64) -> Option<()> {
        if value < 0x80 {
            return self.u8(value as u8);
        }
        let (bytes, len) = varint(value);
        self.slice(bytes.get(..len)?)
    }
}

/// Reads from a slice; a read beyond its end answers `None` and moves nothing.
#[derive(Debug, Clone)]
pub struct ByteReader<'b> {
    rest: &'b [u8],
}

impl<'b> ByteReader<'b> {
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads `count` bytes.
    pub fn slice(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads two bytes, the lower first.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Reads four bytes, the lowest first.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads eight bytes, the lowest first.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads 1 to 10 bytes, LEB128; a number of more than 64 bits is none.
    pub fn varint(&mut self) -> Option<u64> {
        let mut ahead = self.clone();
        let mut value = 0_u64;
        for shift in (0..64_u32).step_by(7) {
            let byte = ahead.u8()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits.checked_shl(shift)?;
            if byte & 0x80 == 0 {
                *self = ahead;
                return Some(value);
            }
        }
        None
    }
}

/// The LEB128 bytes of a number, and how many of them count.
#[must_use]
pub fn varint(value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut rest = value;
    let mut len = 0_usize;
    for byte in &mut bytes {
        len = len.saturating_add(1);
        let low = (rest & 0x7F) as u8;
        rest >>= 7;
        if rest == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    (bytes, len)
}

/// How many bytes [`varint`] takes for a number.
#[must_use]
#[inline]
pub const fn varint_len(value: u64) -> usize {
    let bits = 64_u32.saturating_sub((value | 1).leading_zeros());
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_their_length_is_known_beforehand() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                let (bytes, len) = varint(value);
                assert_eq!(len, varint_len(value), "{value}");
                assert_eq!(ByteReader::new(&bytes[..len]).varint(), Some(value));
                assert_eq!(ByteReader::new(&bytes[..len - 1]).varint(), None);
            }
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xFF; 10];
        bytes[9] = 2;
        assert_eq!(ByteReader::new(&bytes).varint(), None);
        bytes[9] = 0x81;
        assert_eq!(ByteReader::new(&bytes).varint(), None);
        bytes[9] = 1;
        assert_eq!(ByteReader::new(&bytes).varint(), Some(u64::MAX));
    }

    #[test]
    fn a_write_that_does_not_fit_changes_nothing() {
        let mut room = [7; 3];
        let mut out = ByteWriter::new(&mut room);
        assert_eq!(out.u16(1), Some(()));
        assert_eq!(out.u16(2), None);
        assert_eq!(out.len(), 2);
        assert_eq!(room, [1, 0, 7]);
    }
}
