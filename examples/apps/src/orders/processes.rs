//! Who follows whom.

use evenkeel_core::process::ReactError;
use evenkeel_core::{Aggregate, CodecError, Kind, ProcessManager, Reaction, Record, RecordManager, Root, Tracker};

use super::CENTS_A_UNIT;
use super::order::{self, Order, OrderEvent};
use super::payment::{Paid, Payment};
use super::reservation::{Reservation, Reserved};
use super::stock::Stock;

/// An order does not wait for what has happened: the processes have come out of step.
pub const OUT_OF_STEP: u32 = 1;

/// Puts aside what is ordered, or has the order rejected: stock and reservation change together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reservations;

impl ProcessManager for Reservations {
    const TRACKER: Tracker = Tracker(1);
    const FOLLOWS: &'static [Kind] = &[Order::KIND];
    type Trigger = Reserved;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<Reserved>, CodecError> {
        Ok(match (Order::number(event.stream), event.event::<Order>().transpose()?) {
            (Some(order), Some(OrderEvent::Placed { units })) => Some(Reserved { order, units }),
            _ => None,
        })
    }

    fn react<R: RecordManager>(
        &self,
        wanted: Reserved,
        reaction: &mut Reaction<'_, R>,
    ) -> Result<(), ReactError<R::Error>> {
        let Reserved { order, units } = wanted;
        match reaction.execute::<Stock, _, _>(Stock::STREAM, |stock| stock.take(units))? {
            Ok(_) => {
                reaction.trigger(&Root::<Reservation>::new(Reservation::stream(order)), [wanted])?;
                Ok(())
            }
            Err(few) => advance(order, reaction, |order| order.rejected(few.left)),
        }
    }
}

/// Takes the money for what was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payments;

impl ProcessManager for Payments {
    const TRACKER: Tracker = Tracker(2);
    const FOLLOWS: &'static [Kind] = &[Order::KIND];
    type Trigger = u16;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<u16>, CodecError> {
        let reserved = event.event::<Order>().transpose()? == Some(OrderEvent::Reserved);
        Ok(Order::number(event.stream).filter(|_| reserved))
    }

    fn react<R: RecordManager>(&self, order: u16, reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
        let units = reaction.load::<Order>(Order::stream(order))?.units();
        let paid = Paid { order, cents: u32::from(units).saturating_mul(CENTS_A_UNIT) };
        reaction.trigger(&Root::<Payment>::new(Payment::stream(order)), [paid])?;
        Ok(())
    }
}

/// Tells orders what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orders;

/// What an order learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Its units were put aside.
    Reserved(Reserved),
    /// It was paid.
    Paid(Paid),
}

impl ProcessManager for Orders {
    const TRACKER: Tracker = Tracker(3);
    const FOLLOWS: &'static [Kind] = &[Reservation::KIND, Payment::KIND];
    type Trigger = News;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<News>, CodecError> {
        if let Some(reserved) = event.event::<Reservation>().transpose()? {
            return Ok(Some(News::Reserved(reserved)));
        }
        Ok(event.event::<Payment>().transpose()?.map(News::Paid))
    }

    fn react<R: RecordManager>(&self, news: News, reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
        match news {
            News::Reserved(Reserved { order, .. }) => advance(order, reaction, Order::reserved),
            News::Paid(Paid { order, cents }) => advance(order, reaction, |order| order.paid(cents)),
        }
    }
}

fn advance<R: RecordManager>(
    number: u16,
    reaction: &mut Reaction<'_, R>,
    decide: impl FnOnce(&Order) -> Result<[OrderEvent; 1], order::Refused>,
) -> Result<(), ReactError<R::Error>> {
    match reaction.execute::<Order, _, _>(Order::stream(number), decide)? {
        Ok(_) => Ok(()),
        Err(_) => Err(ReactError::Failed { code: OUT_OF_STEP }),
    }
}
