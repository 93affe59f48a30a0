//! What can go wrong with a monitor: the log fails, or the business says no.

use evenkeel_core::error::{AppendError, ExecuteError, LoadError, LogError};

use super::{alarm, shipment};

/// Why the monitor did not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MonitorError<E> {
    /// The log failed. Whether what was asked for is in it shows after the next [`Monitor::resume`](super::Monitor::resume).
    Log(LogError<E>),
    /// The shipment refused.
    Shipment(shipment::Refused),
    /// The alarm refused.
    Alarm(alarm::Refused),
}

impl<E> From<LogError<E>> for MonitorError<E> {
    fn from(error: LogError<E>) -> Self {
        Self::Log(error)
    }
}

impl<E> From<AppendError<E>> for MonitorError<E> {
    fn from(error: AppendError<E>) -> Self {
        Self::Log(error.into())
    }
}

impl<E> From<LoadError<E>> for MonitorError<E> {
    fn from(error: LoadError<E>) -> Self {
        Self::Log(error.into())
    }
}

impl<E> From<shipment::Refused> for MonitorError<E> {
    fn from(refused: shipment::Refused) -> Self {
        Self::Shipment(refused)
    }
}

impl<E> From<alarm::Refused> for MonitorError<E> {
    fn from(refused: alarm::Refused) -> Self {
        Self::Alarm(refused)
    }
}

impl<Refused, E> From<ExecuteError<Refused, E>> for MonitorError<E>
where
    Self: From<Refused>,
{
    fn from(error: ExecuteError<Refused, E>) -> Self {
        match error {
            ExecuteError::Refused(refused) => refused.into(),
            ExecuteError::Log(error) => error.into(),
            ExecuteError::Load(error) => error.into(),
        }
    }
}

impl<E: core::fmt::Debug> core::fmt::Display for MonitorError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Shipment(refused) => write!(f, "the shipment refuses: {refused:?}"),
            Self::Alarm(refused) => write!(f, "the alarm refuses: {refused:?}"),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for MonitorError<E> {}
