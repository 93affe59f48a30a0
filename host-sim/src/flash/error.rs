//! What a call to the simulated flash fails with, and what it found wrong with its caller.

use core::fmt;

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

/// Why a call to the simulated flash failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SimError {
    /// The supply was cut during this call or an earlier one; every call fails so until the power is back.
    PowerLost,
    /// The offset or the length is no multiple of the unit of the operation. Recorded as a violation.
    NotAligned,
    /// The range reaches past the end of the chip. Recorded as a violation.
    OutOfBounds,
    /// A word would have been programmed for the second time since its erase. Recorded as a violation.
    ProgrammedTwice,
    /// A word that was torn by a power cut fails its error-correcting code (F4).
    Ecc,
    /// A driver error that the test asked for (F7).
    Injected,
    /// The sector has reached its endurance and refuses to erase (F10).
    WornOut,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerLost => "the power was cut",
            Self::NotAligned => "not aligned to the unit of the operation",
            Self::OutOfBounds => "out of the bounds of the chip",
            Self::ProgrammedTwice => "a word was programmed twice since its erase",
            Self::Ecc => "a torn word fails its error-correcting code",
            Self::Injected => "an injected driver error",
            Self::WornOut => "the sector is worn out",
        })
    }
}

impl core::error::Error for SimError {}

impl NorFlashError for SimError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// Which of the chip's three calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlashOp {
    /// A read call.
    Read,
    /// A write call: one or more words.
    Write,
    /// An erase call: one or more sectors.
    Erase,
}

impl fmt::Display for FlashOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Erase => "erase",
        })
    }
}

/// A rule of NOR flash that the caller broke: always a bug in the code under test, never one of the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The error that the call returned: [`SimError::NotAligned`], [`SimError::OutOfBounds`] or
    /// [`SimError::ProgrammedTwice`].
    pub error: SimError,
    /// The call that broke the rule.
    pub op: FlashOp,
    /// Byte offset: of the word for a second program, else of the call.
    pub offset: u32,
    /// Length of the call in bytes.
    pub len: u32,
    /// The call's number among all calls that reached the chip under power, from 0.
    pub operation: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x}, {} of {} bytes, call {}", self.error, self.offset, self.op, self.len, self.operation)
    }
}
