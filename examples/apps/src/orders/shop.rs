//! The whole application over one log.

use evenkeel_core::error::{AppendError, ExecuteError, LoadError, LogError};
use evenkeel_core::process::{Ran, SystemError, ViewState};
use evenkeel_core::{Follower, Log, Maintained, RecordManager, Root, System, Tracked};

use super::order::{Order, Refused};
use super::payment::Payment;
use super::processes::{Orders, Payments, Reservations};
use super::reservation::Reservation;
use super::stock::Stock;
use super::turnover::Turnover;

/// Who takes part. Who prompts whom follows from the kinds that they follow, when this is compiled.
pub type ShopSystem = System<(Follower<Reservations>, Follower<Payments>, Follower<Orders>, Tracked<Turnover>)>;

/// How many events are looked at in one call: far more than one order leads to.
const STEPS: u32 = 256;

/// A vending machine.
#[derive(Debug)]
pub struct Shop<'b, R> {
    log: Log<'b, R>,
    system: ShopSystem,
}

/// Why the shop did not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ShopError<E> {
    /// The order refused: nothing has happened.
    Refused(Refused),
    /// The log failed.
    Log(LogError<E>),
    /// What was asked for is done; what follows from it is still to follow, with the next [`Shop::run`].
    Follows(SystemError<E>),
}

impl<'b, R: RecordManager> Shop<'b, R> {
    /// Takes a log as it is found after a boot. Reads nothing yet: what a power cut has left undone is done by the next
    /// [`run`](Shop::run).
    pub fn open(log: Log<'b, R>) -> Self {
        let processes = (Follower::new(Reservations), Follower::new(Payments), Follower::new(Orders));
        let (reservations, payments, orders) = processes;
        Self { log, system: System::new((reservations, payments, orders, Tracked::new())) }
    }

    /// The log.
    pub fn log(&mut self) -> &mut Log<'b, R> {
        &mut self.log
    }

    /// Log and system, for those who run the system themselves.
    pub fn parts(&mut self) -> (&mut Log<'b, R>, &mut ShopSystem) {
        (&mut self.log, &mut self.system)
    }

    /// Gives the log back.
    pub fn close(self) -> Log<'b, R> {
        self.log
    }

    /// Puts units into the machine.
    pub fn fill(&mut self, units: u16) -> Result<(), ShopError<R::Error>> {
        let mut stock = self.log.load_or_new::<Stock>(Stock::STREAM)?;
        self.log.execute(&mut stock, |stock| Ok::<_, Refused>(stock.fill(units)))?;
        Ok(())
    }

    /// Places an order. When this returns `Ok` the order is reserved and paid, or rejected.
    pub fn place(&mut self, number: u16, units: u16) -> Result<(), ShopError<R::Error>> {
        let mut order = self.log.load_or_new::<Order>(Order::stream(number))?;
        let done = self.system.execute(&mut self.log, &mut order, |order| order.place(units), STEPS)?;
        let mut ran = done.followers?;
        while ran.more {
            ran = self.system.run(&mut self.log, STEPS)?;
        }
        Ok(())
    }

    /// Does what is still to be done: after a boot, and after an error.
    pub fn run(&mut self) -> Result<Ran, ShopError<R::Error>> {
        self.system.prompt_all();
        Ok(self.system.run(&mut self.log, STEPS)?)
    }

    /// Does what is to be done between orders.
    pub fn maintain(&mut self) -> Result<Maintained, ShopError<R::Error>> {
        self.system.checkpoint(&mut self.log)?;
        Ok(self.log.maintain::<(Order, Stock, Reservation, Payment, ViewState<Turnover>)>()?)
    }

    /// An order.
    pub fn order(&mut self, number: u16) -> Result<Root<Order>, LoadError<R::Error>> {
        self.log.load(Order::stream(number))
    }

    /// What is in the machine.
    pub fn stock(&mut self) -> Result<Root<Stock>, LoadError<R::Error>> {
        self.log.load(Stock::STREAM)
    }

    /// What has been earned, brought up to date.
    pub fn turnover(&mut self) -> Result<Turnover, ShopError<R::Error>> {
        let (_, _, _, turnover) = self.system.members_mut();
        loop {
            let done = self.log.refresh(turnover, STEPS).map_err(|error| SystemError { member: 3, error })?;
            if done.seen == 0 && done.lost == 0 {
                break;
            }
        }
        Ok(turnover.view().copied().unwrap_or_default())
    }
}

impl<E> From<LogError<E>> for ShopError<E> {
    fn from(error: LogError<E>) -> Self {
        Self::Log(error)
    }
}

impl<E> From<LoadError<E>> for ShopError<E> {
    fn from(error: LoadError<E>) -> Self {
        Self::Log(error.into())
    }
}

impl<E> From<AppendError<E>> for ShopError<E> {
    fn from(error: AppendError<E>) -> Self {
        Self::Log(error.into())
    }
}

impl<E> From<SystemError<E>> for ShopError<E> {
    fn from(error: SystemError<E>) -> Self {
        Self::Follows(error)
    }
}

impl<E> From<ExecuteError<Refused, E>> for ShopError<E> {
    fn from(error: ExecuteError<Refused, E>) -> Self {
        match error {
            ExecuteError::Refused(refused) => Self::Refused(refused),
            ExecuteError::Log(error) => error.into(),
            ExecuteError::Load(error) => error.into(),
        }
    }
}

impl<E: core::fmt::Debug> core::fmt::Display for ShopError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "the order refuses: {refused:?}"),
            Self::Log(error) => error.fmt(f),
            Self::Follows(error) => error.fmt(f),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for ShopError<E> {}
