//! An image in the place of a flash: it can be read and nothing else.

use core::fmt;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// What an image cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// These bytes of the region are not in the image.
    NotInImage,
    /// An image is never written.
    ReadOnly,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInImage => "a part of the region is not in the image",
            Self::ReadOnly => "an image is never written",
        })
    }
}

impl core::error::Error for ImageError {}

impl NorFlashError for ImageError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotInImage => NorFlashErrorKind::OutOfBounds,
            Self::ReadOnly => NorFlashErrorKind::Other,
        }
    }
}

/// The bytes of a dump, seen from the first byte of the region: what is not in the dump cannot be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageFlash<'a> {
    bytes: &'a [u8],
    /// Where in the dump the region starts; negative if its beginning was cut off.
    start: i64,
    capacity: u32,
}

impl<'a> ImageFlash<'a> {
    pub(crate) fn new(bytes: &'a [u8], start: i64, capacity: u32) -> Self {
        Self { bytes, start, capacity }
    }

    /// These bytes of the region, if all of them are in the image.
    pub(crate) fn part(&self, at: u32, len: u32) -> Option<&'a [u8]> {
        let from = usize::try_from(self.start.saturating_add(i64::from(at))).ok()?;
        self.bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
    }

    /// Which of the `len` bytes from `at` on are in the image, counted from `at`.
    pub(crate) fn present(&self, at: u32, len: u32) -> core::ops::Range<u32> {
        let begin = self.start.saturating_add(i64::from(at));
        let has = i64::try_from(self.bytes.len()).unwrap_or(i64::MAX);
        let inside = |to: i64| u32::try_from(to.saturating_sub(begin).clamp(0, i64::from(len))).unwrap_or(0);
        let (from, to) = (inside(0), inside(has));
        if from < to { from..to } else { 0..0 }
    }
}

impl ErrorType for ImageFlash<'_> {
    type Error = ImageError;
}

impl ReadNorFlash for ImageFlash<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ImageError> {
        let len = u32::try_from(bytes.len()).map_err(|_| ImageError::NotInImage)?;
        bytes.copy_from_slice(self.part(offset, len).ok_or(ImageError::NotInImage)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.capacity as usize
    }
}

/// The sizes say nothing: the geometry is that of the region.
impl NorFlash for ImageFlash<'_> {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    fn erase(&mut self, _: u32, _: u32) -> Result<(), ImageError> {
        Err(ImageError::ReadOnly)
    }

    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), ImageError> {
        Err(ImageError::ReadOnly)
    }
}
