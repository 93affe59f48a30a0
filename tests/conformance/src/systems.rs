//! Group I, systems: orders that are reserved and paid by processes that follow each other.

use core::cell::RefCell;

use evenkeel_core::process::{ProcessError, ReactError};
use evenkeel_core::{
    Aggregate, CodecError, Follower, Kind, ProcessManager, Reaction, Record, RecordManager, Root, Snapshot, StreamId,
    System, Tracker,
};
use evenkeel_core::{Log, Position};
use serde::{Deserialize, Serialize};

use crate::{Home, Item, SCRATCH, mounted, read};

/// An order, of which reservation and payment follow.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Order {
    units: u32,
    reserved: bool,
    paid: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum OrderEvent {
    Created { units: u32 },
    Reserved,
    Paid,
}

impl Aggregate for Order {
    const KIND: Kind = Kind(11);
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        match *event {
            OrderEvent::Created { units } => self.units = units,
            OrderEvent::Reserved => self.reserved = true,
            OrderEvent::Paid => self.paid = true,
        }
    }
}

impl Snapshot for Order {
    const SCHEMA: u8 = 1;
}

/// What was reserved, or paid, for an order: one aggregate each.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slip<const KIND: u8> {
    order: u64,
}

impl<const KIND: u8> Aggregate for Slip<KIND> {
    const KIND: Kind = Kind(KIND);
    type Event = u64;

    fn apply(&mut self, order: &u64) {
        self.order = *order;
    }
}

impl<const KIND: u8> Snapshot for Slip<KIND> {
    const SCHEMA: u8 = 1;
}

type Reservation = Slip<12>;
type Payment = Slip<13>;

thread_local! {
    /// Where on the stack reactions were computed.
    static DEPTHS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn note_depth() {
    let here = 0_u8;
    DEPTHS.with_borrow_mut(|depths| depths.push(core::ptr::from_ref(&here).addr()));
}

/// Writes a slip for each order that has come so far.
struct Write<const SLIP: u8> {
    fails: bool,
}

impl<const SLIP: u8> ProcessManager for Write<SLIP> {
    const TRACKER: Tracker = Tracker(SLIP);
    const FOLLOWS: &'static [Kind] = &[Order::KIND];
    type Trigger = StreamId;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<StreamId>, CodecError> {
        let event_ = event.event::<Order>().transpose()?;
        let due = match SLIP {
            12 => matches!(event_, Some(OrderEvent::Created { .. })),
            _ => event_ == Some(OrderEvent::Reserved),
        };
        Ok(due.then_some(event.stream))
    }

    fn react<R: RecordManager>(
        &self,
        order: StreamId,
        reaction: &mut Reaction<'_, R>,
    ) -> Result<(), ReactError<R::Error>> {
        note_depth();
        if self.fails {
            return Err(ReactError::Failed { code: 1 });
        }
        let slip = Root::<Slip<SLIP>>::new(order.0 + 100 * u64::from(SLIP));
        reaction.trigger(&slip, [order.0])?;
        Ok(())
    }
}

/// Brings orders up to date with the slips.
struct Complete;

impl ProcessManager for Complete {
    const TRACKER: Tracker = Tracker(11);
    const FOLLOWS: &'static [Kind] = &[Reservation::KIND, Payment::KIND];
    type Trigger = (u64, OrderEvent);

    fn trigger(&self, event: &Record<'_>) -> Result<Option<(u64, OrderEvent)>, CodecError> {
        if let Some(order) = event.event::<Reservation>().transpose()? {
            return Ok(Some((order, OrderEvent::Reserved)));
        }
        Ok(event.event::<Payment>().transpose()?.map(|order| (order, OrderEvent::Paid)))
    }

    fn react<R: RecordManager>(
        &self,
        (order, event): (u64, OrderEvent),
        reaction: &mut Reaction<'_, R>,
    ) -> Result<(), ReactError<R::Error>> {
        note_depth();
        let order = reaction.load::<Order>(order)?;
        reaction.trigger(&order, [event])?;
        Ok(())
    }
}

type Shop = System<(Follower<Complete>, Follower<Write<12>>, Follower<Write<13>>)>;

fn shop(payments_fail: bool) -> Shop {
    let payments = Follower::new(Write::<13> { fails: payments_fail });
    System::new((Follower::new(Complete), Follower::new(Write::<12> { fails: false }), payments))
}

/// Orders the shop's way: the command, and all that follows from it.
fn order<R: RecordManager>(shop: &mut Shop, log: &mut Log<'_, R>, id: u64, most: u32) {
    let mut root = Root::<Order>::new(id);
    let done = shop.execute(log, &mut root, |_| Ok::<_, ()>([OrderEvent::Created { units: 3 }]), most).unwrap();
    let mut ran = done.followers.unwrap();
    while ran.more {
        ran = shop.run(log, most).unwrap();
    }
    assert!(shop.is_quiet());
}

const DONE: Order = Order { units: 3, reserved: true, paid: true };

/// When the command to create an order returns, the order is reserved and paid; what is prompted while a member runs is
/// queued, and calls do not nest.
pub fn case_89_orders_are_reserved_and_paid_when_the_command_returns<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut shop = shop(false);
    DEPTHS.take();
    for id in 1..=5 {
        order(&mut shop, &mut log, id, u32::MAX);
        assert_eq!(*log.load::<Order>(id).unwrap(), DONE);
    }
    let depths = DEPTHS.take();
    assert_eq!(depths.len(), 4 * 5, "each event is reacted to once");
    let of_each: std::collections::BTreeSet<_> = depths.iter().collect();
    assert!(of_each.len() <= 3, "the stack is as deep for the last reaction as for the first: {of_each:?}");
    let kinds: Vec<_> = read(&mut log, Position::START).unwrap().iter().map(|(_, item)| item.kind.0).collect();
    assert_eq!(kinds, [11, 12, 11, 13, 11].repeat(5));
}

/// Without a prompt nothing is done, and the next poll does everything; prompts too many change nothing.
pub fn case_90_a_lost_prompt_does_no_harm_and_one_too_many_neither<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut shop = shop(false);
    shop.run(&mut log, u32::MAX).unwrap();
    for id in 1..=3 {
        log.execute(&mut Root::<Order>::new(id), |_| Ok::<_, ()>([OrderEvent::Created { units: 3 }])).unwrap();
    }
    assert!(shop.is_quiet());
    assert_eq!(shop.run(&mut log, u32::MAX).unwrap().seen, 0, "nobody was prompted");
    shop.prompt_all();
    shop.run(&mut log, u32::MAX).unwrap();
    for id in 1..=3 {
        assert_eq!(*log.load::<Order>(id).unwrap(), DONE);
    }
    let end = log.bounds();
    for _ in 0..3 {
        shop.prompt_all();
        shop.prompt(Order::KIND);
        assert_eq!(shop.run(&mut log, u32::MAX).unwrap().reactions, 0);
    }
    // And so it is for another system over the same log, which begins with prompting all.
    assert_eq!(self::shop(false).run(&mut log, u32::MAX).unwrap().reactions, 0);
    assert_eq!(log.bounds(), end);
}

/// How much is done in one call makes no difference to what is done.
pub fn a_system_in_small_steps_does_what_it_does_at_once<H: Home>(make: impl Fn() -> H) {
    let series = |most: u32| -> Vec<(Position, Item)> {
        let (mut home, mut scratch) = (make(), [0; SCRATCH]);
        let mut log = mounted(&mut home, &mut scratch);
        let mut shop = shop(false);
        for id in 1..=3 {
            order(&mut shop, &mut log, id, most);
        }
        read(&mut log, Position::START).unwrap()
    };
    let whole = series(u32::MAX);
    assert_eq!(whole.len(), 15);
    assert_eq!(series(1), whole);
    assert_eq!(series(2), whole);
}

/// A member that fails is told, is asked again with the next call, and keeps nobody else from going on.
pub fn a_member_that_fails_does_not_stop_the_others<H: Home>(make: impl Fn() -> H) {
    let (mut home, mut scratch) = (make(), [0; SCRATCH]);
    let mut log = mounted(&mut home, &mut scratch);
    let mut shop = shop(true);
    let mut root = Root::<Order>::new(1);
    let done =
        shop.execute(&mut log, &mut root, |_| Ok::<_, ()>([OrderEvent::Created { units: 3 }]), u32::MAX).unwrap();
    let error = done.followers.unwrap_err();
    assert_eq!(error.member, 2);
    assert!(matches!(error.error, ProcessError::React { at: Position(3), error: ReactError::Failed { code: 1 } }));
    assert_eq!(*log.load::<Order>(1).unwrap(), Order { units: 3, reserved: true, paid: false });
    assert!(!shop.is_quiet());
    assert!(shop.run(&mut log, u32::MAX).is_err());
    *shop.members_mut() =
        (Follower::new(Complete), Follower::new(Write { fails: false }), Follower::new(Write { fails: false }));
    shop.run(&mut log, u32::MAX).unwrap();
    assert_eq!(*log.load::<Order>(1).unwrap(), DONE);
    shop.checkpoint(&mut log).unwrap();
    let end = log.bounds().last();
    for tracker in [11, 12, 13] {
        assert!(log.tracked(Tracker(tracker)).since(Position(0)) >= end.0 - 1, "{tracker}");
    }
}
