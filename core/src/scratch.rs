//! The caller's buffer: batches are built in it, records are lent out of it.

use crate::batch::{Batch, Headroom};

/// A lent buffer that remembers which bytes of the storage it holds, so that reading on does not read again.
///
/// For record managers; applications lend a `&mut [u8]` to [`Log::mount`](crate::Log::mount) and never see this.
#[derive(Debug)]
pub struct Scratch<'b> {
    bytes: &'b mut [u8],
    held: Held,
}

/// Which bytes of the storage a [`Scratch`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Where in the storage they start.
    pub at: u32,
    /// How many there are; 0: none.
    pub len: u32,
    /// The state of the storage at which they were read; they hold as long as it is the same.
    pub generation: u32,
}

impl<'b> Scratch<'b> {
    /// Takes the buffer.
    #[inline]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, held: Held::default() }
    }

    /// How many bytes were lent.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no bytes were lent.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What the buffer holds.
    #[must_use]
    #[inline]
    pub fn held(&self) -> Held {
        self.held
    }

    /// The bytes, as they are.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The bytes to be overwritten: what they held is forgotten.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.held = Held::default();
        self.bytes
    }

    /// Says what the buffer now holds from its first byte on.
    #[inline]
    pub fn set_held(&mut self, held: Held) {
        self.held = held;
    }

    /// Starts a batch in the buffer: what it held is forgotten.
    #[inline]
    pub fn batch(&mut self, headroom: Headroom) -> Batch<'_> {
        Batch::new(self.bytes_mut(), headroom)
    }
}
