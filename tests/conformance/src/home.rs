//! Where logs under test live.

use evenkeel_core::{Log, RecordManager, Tracker};

/// The place where the log of a record manager lives, such as a simulated chip or a file.
pub trait Home {
    /// The record manager under test.
    type Manager: RecordManager;

    /// The record manager of the log that lives here, not mounted yet. The log is empty when this is called for the
    /// first time.
    ///
    /// It is called again only if the home is [`Durable`], when the one before has been dropped.
    fn open(&mut self) -> Self::Manager;
}

/// A home whose log outlives its record manager: opened again, it holds what was appended.
pub trait Durable: Home {}

/// A home whose power can be cut in the middle of an operation.
pub trait PowerCuts: Durable {
    /// Cuts the power after so many of the smallest operations of the storage from now on, such as words programmed.
    /// Until then everything works, afterwards nothing does until [`power_on`](Self::power_on).
    fn cut_after(&mut self, operations: u64);

    /// Turns the power on again, and forgets a cut that has not been come to; answers whether it was cut.
    fn power_on(&mut self) -> bool;
}

/// A home with so little room that some hundred events fill it, whose log lets its oldest records go, once
/// [`UPLINK`](Self::UPLINK) is past them, their streams have newer snapshots, and upkeep is done.
pub trait LetsGo: Durable {
    /// The tracker that the oldest records wait for.
    const UPLINK: Tracker;
}

/// The log that lives here, mounted.
///
/// # Panics
/// If it cannot be mounted.
pub fn mounted<'b, H: Home>(home: &mut H, scratch: &'b mut [u8]) -> Log<'b, H::Manager> {
    mounted_manager(home.open(), scratch)
}

/// The log of this record manager, mounted.
pub(crate) fn mounted_manager<R: RecordManager>(manager: R, scratch: &mut [u8]) -> Log<'_, R> {
    match Log::mount(manager, scratch) {
        Ok(log) => log,
        Err(error) => panic!("the log cannot be mounted: {error:?}"),
    }
}
