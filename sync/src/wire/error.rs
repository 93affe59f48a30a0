//! What is refused, and what is no message.

use evenkeel_core::Position;

/// Why a source does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The message is of an epoch that the log does not have.
    UnknownEpoch,
    /// The message names a position beyond the end of the epoch: the sink knows of more than there is.
    Ahead {
        /// The position after the last one of the epoch.
        next: Position,
    },
    /// The message is not understood, such as one of a newer version.
    Malformed,
    /// The next event does not fit a frame of the size that is allowed.
    FrameTooSmall {
        /// The bytes needed, at most.
        needed: u64,
    },
    /// What the sink has is not what the log has, or its proof is not made with the key: nothing may be let go.
    Diverged {
        /// The commit said to cover the events after this position.
        from: Position,
        /// And up to this one.
        to: Position,
    },
    /// The log cannot read these positions any more, so a proof that covers them cannot be checked: prove what follows.
    Unproven {
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
    },
    /// Events of an older epoch have not been committed: they come first.
    OlderFirst {
        /// Up to where the log has been committed.
        cursor: Position,
    },
    /// There is no such schema.
    NoSchema,
    /// None of the versions that the sink understands.
    Version {
        /// The versions that the source understands: bit n for version n.
        versions: u8,
    },
    /// A reason that this version does not know.
    Other(u8),
}

impl Refusal {
    /// Code and both numbers, as they are sent.
    pub(super) const fn parts(self) -> (u8, u64, u64) {
        match self {
            Self::UnknownEpoch => (1, 0, 0),
            Self::Ahead { next } => (2, next.0, 0),
            Self::Malformed => (3, 0, 0),
            Self::FrameTooSmall { needed } => (4, needed, 0),
            Self::Diverged { from, to } => (5, from.0, to.0),
            Self::Unproven { first, last } => (6, first.0, last.0),
            Self::OlderFirst { cursor } => (7, cursor.0, 0),
            Self::NoSchema => (8, 0, 0),
            Self::Version { versions } => (9, versions as u64, 0),
            Self::Other(code) => (code, 0, 0),
        }
    }

    pub(super) fn from_code(code: u8, a: u64, b: u64) -> Self {
        match code {
            1 => Self::UnknownEpoch,
            2 => Self::Ahead { next: Position(a) },
            3 => Self::Malformed,
            4 => Self::FrameTooSmall { needed: a },
            5 => Self::Diverged { from: Position(a), to: Position(b) },
            6 => Self::Unproven { first: Position(a), last: Position(b) },
            7 => Self::OlderFirst { cursor: Position(a) },
            8 => Self::NoSchema,
            9 => Self::Version { versions: u8::try_from(a).unwrap_or_default() },
            other => Self::Other(other),
        }
    }
}

/// Why bytes are no message for the reader. Damage and strangers look alike: drop the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WireError {
    /// The seal does not fit: the frame is damaged, forged, or of another device, log or epoch.
    Check,
    /// A section or gap, which only [`Message::open`](super::Message::open) reads.
    Sealed,
    /// A message that can only be read by one who knows whose log it is about.
    Unaddressed,
    /// A format version or message that is not known.
    Unknown,
    /// The seal fits and yet the fields are nonsense.
    Malformed,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Check => "the frame is damaged or meant for somebody else",
            Self::Sealed => "the frame is sealed",
            Self::Unaddressed => "the frame belongs to a log that is not known yet",
            Self::Unknown => "the frame is of an unknown version or type",
            Self::Malformed => "the fields of the frame make no sense",
        })
    }
}

impl core::error::Error for WireError {}

/// The lent buffer cannot hold the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameTooSmall;

impl core::fmt::Display for FrameTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the frame buffer is too small")
    }
}

impl core::error::Error for FrameTooSmall {}
