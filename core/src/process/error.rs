//! What can go wrong in processes.

use core::fmt;

use super::LogName;
use crate::batch::BatchError;
use crate::error::{AppendError, LoadError, ReadError};
use crate::section::MalformedSection;
use crate::{CodecError, Position};

/// Why a process manager did not react. Nothing of the reaction is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReactError<E> {
    /// The event, or one to be added, is not of the type it is taken for.
    Codec(CodecError),
    /// An aggregate could not be loaded.
    Load(LoadError<E>),
    /// An event could not be added.
    Append(AppendError<E>),
    /// The process manager gives up on this event for a reason of its own, and wants to be asked again.
    Failed {
        /// What it calls that reason.
        code: u32,
    },
    /// The events of the reaction lead to ever more: to more than the process manager allows
    /// ([`ProcessManager::FEEDBACK`](crate::ProcessManager::FEEDBACK)).
    Endless {
        /// How many it allows.
        most: u32,
    },
}

/// Why a process stopped. Nothing of what it was about to do is stored; its next run starts from where its tracker
/// stands in the log.
///
/// `U` is the error of what it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ProcessError<E, U = ReadError<E>> {
    /// The log that is followed could not be read.
    Upstream(U),
    /// The event at this position could not be dealt with. It is the next one again, until that succeeds or
    /// [`Log::skip`](crate::Log::skip) passes over it.
    React {
        /// The position of the event.
        at: Position,
        /// What went wrong.
        error: ReactError<E>,
    },
    /// The event at this position depends on one in another log that has not been dealt with yet: follow that one first.
    Dependency {
        /// The position of the event.
        at: Position,
        /// The other log.
        log: LogName,
        /// Up to where that log must have been dealt with.
        needed: Position,
        /// Up to where it has been.
        seen: Position,
    },
    /// What was to be stored was not. [`AppendError::Tracking`]: somebody else has moved the tracker meanwhile.
    Append(AppendError<E>),
    /// Where the log itself stands could not be found out.
    Read(ReadError<E>),
    /// The stored state of a view could not be loaded.
    Load(LoadError<E>),
    /// The process manager reacts to its own events as it adds them
    /// ([`ProcessManager::FEEDBACK`](crate::ProcessManager::FEEDBACK)), and was to follow the log that has them.
    OwnLog,
}

/// Why a member of a system stopped; the others have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SystemError<E> {
    /// Which member it is, counted from 0.
    pub member: u8,
    /// Why it stopped.
    pub error: ProcessError<E>,
}

/// Why a stretch of another log could not be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReceivedError {
    /// The bytes are no section of a notification log.
    Malformed(MalformedSection),
    /// Events between what has been dealt with and this stretch are missing.
    Missing(MissingBefore),
}

/// Events before this position have not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MissingBefore(pub Position);

impl<E> From<CodecError> for ReactError<E> {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl<E> From<LoadError<E>> for ReactError<E> {
    fn from(error: LoadError<E>) -> Self {
        Self::Load(error)
    }
}

impl<E> From<BatchError> for ReactError<E> {
    fn from(error: BatchError) -> Self {
        Self::Append(error.into())
    }
}

impl<E, U> From<AppendError<E>> for ProcessError<E, U> {
    fn from(error: AppendError<E>) -> Self {
        Self::Append(error)
    }
}

impl<E: fmt::Debug> fmt::Display for ReactError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::Append(error) => error.fmt(f),
            Self::Failed { code } => write!(f, "the process manager failed with code {code}"),
            Self::Endless { most } => write!(f, "the reaction leads to more than {most} further ones"),
        }
    }
}

impl<E: fmt::Debug, U: fmt::Debug> fmt::Display for ProcessError<E, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(error) => write!(f, "the log that is followed cannot be read: {error:?}"),
            Self::React { at, error } => write!(f, "the event at {at} cannot be dealt with: {error}"),
            Self::Dependency { at, log, needed, seen } => {
                write!(f, "the event at {at} depends on {needed} in log {log}, dealt with up to {seen}")
            }
            Self::Append(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::OwnLog => f.write_str("a process manager that sees its own events cannot follow its own log"),
        }
    }
}

impl<E: fmt::Debug> fmt::Display for SystemError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {}: {}", self.member, self.error)
    }
}

impl fmt::Display for ReceivedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Missing(missing) => missing.fmt(f),
        }
    }
}

impl fmt::Display for MissingBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events before position {} have not arrived", self.0)
    }
}

impl<E: fmt::Debug> core::error::Error for ReactError<E> {}
impl<E: fmt::Debug, U: fmt::Debug> core::error::Error for ProcessError<E, U> {}
impl<E: fmt::Debug> core::error::Error for SystemError<E> {}
impl core::error::Error for ReceivedError {}
impl core::error::Error for MissingBefore {}
