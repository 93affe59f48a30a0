//! Processes that follow each other, on simulated flash whose power is cut anywhere, again and again: each reaction is
//! there exactly once, a view and its place agree, and what was acknowledged stays.
//!
//! `EVENKEEL_SEEDS` says how many runs there are on each geometry, `EVENKEEL_SEED` replays one of them.

use std::collections::BTreeMap;

use evenkeel_apps::orders::{
    CENTS_A_UNIT, Order, OrderEvent, Orders, Payment, Payments, Reservation, Reservations, Stock, StockEvent, Turnover,
};
use evenkeel_core::error::{AppendError, ExecuteError, LoadError};
use evenkeel_core::process::{ProcessError, View, ViewState};
use evenkeel_core::{
    Aggregate, Follower, Kind, Log, Member, Members, Notification, Position, Projection, RecordManager, Root, System,
    Tracked, Tracker, Version,
};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::oracle::identity;
use evenkeel_tests::report::{Replay, number, tell};

const SCRATCH: usize = 1024;
const FILLED: u16 = 300;
/// A tracker that nobody else moves.
const SPARE: Tracker = Tracker(9);

/// What the outside world knows: how much each order is for, and how many were acknowledged.
#[derive(Debug, Clone)]
struct World {
    orders: Vec<u16>,
    acknowledged: usize,
}

/// Power was cut.
#[derive(Debug)]
struct PowerCut;

/// What is found in a log.
#[derive(Debug, Default)]
struct Found {
    placed: BTreeMap<u16, u16>,
    reserved: BTreeMap<u16, u16>,
    rejected: u32,
    paid: BTreeMap<u16, u32>,
    taken: u32,
}

/// The stored view, and where its tracker stands.
fn view_and_place<R: RecordManager>(log: &mut Log<'_, R>) -> (Turnover, Position) {
    for settled in [false, true] {
        let view = match log.load::<ViewState<Turnover>>(Turnover::STREAM) {
            Ok(root) => root.into_state(),
            Err(LoadError::NotFound) => ViewState::default(),
            Err(error) => panic!("the view cannot be loaded: {error}"),
        };
        let tracked = log.tracked(Turnover::TRACKER);
        if view.seen() == tracked {
            return (*view.view(), tracked);
        }
        // What a cut has left in doubt may be read at the mount and then not any more: the next append settles it.
        assert!(!settled, "the view has seen {}, its tracker says {tracked}", view.seen());
        let next = log.tracked(SPARE).next();
        log.append(|batch| batch.track(SPARE, next)).unwrap();
    }
    unreachable!("the second round answers or panics");
}

/// Reads all there is, and checks that nothing has happened twice or by halves.
fn check<R: RecordManager>(log: &mut Log<'_, R>, world: &World) -> Found {
    let (mut found, mut at, mut taken_before) = (Found::default(), Position::START, None);
    let (mut turnover, mut stored) = (Turnover::default(), None);
    let (view, tracked) = view_and_place(log);
    while let Some(next) = log.next_notification(at).unwrap() {
        at = next.last();
        if let Notification::Gap { first, last, reason } = next {
            turnover.lost(first, last, reason);
            stored = if at == tracked { Some(turnover) } else { stored };
            continue;
        }
        let Some(event) = next.record() else { continue };
        let taken = taken_before.take();
        match event.kind {
            Stock::KIND => {
                if let StockEvent::Taken { units } = event.event::<Stock>().unwrap().unwrap() {
                    found.taken += u32::from(units);
                    taken_before = Some(units);
                }
            }
            Reservation::KIND => {
                let reserved = event.event::<Reservation>().unwrap().unwrap();
                assert_eq!(taken, Some(reserved.units), "stock and reservation are one append");
                let before = found.reserved.insert(reserved.order, reserved.units);
                assert_eq!(before, None, "order {} is reserved twice", reserved.order);
            }
            Payment::KIND => {
                let paid = event.event::<Payment>().unwrap().unwrap();
                let before = found.paid.insert(paid.order, paid.cents);
                assert_eq!(before, None, "order {} is paid twice", paid.order);
            }
            Order::KIND => match event.event::<Order>().unwrap().unwrap() {
                OrderEvent::Placed { units } => {
                    assert_eq!(found.placed.insert(Order::number(event.stream).unwrap(), units), None);
                }
                OrderEvent::Rejected { .. } => found.rejected += 1,
                OrderEvent::Reserved | OrderEvent::Paid { .. } => {}
            },
            _ => assert_eq!(event.kind, Turnover::KIND),
        }
        turnover.take_in(event).unwrap();
        if at == tracked {
            stored = Some(turnover);
        }
    }
    assert_eq!(found.taken, found.reserved.values().copied().map(u32::from).sum::<u32>(), "taken and reserved differ");
    for (order, cents) in &found.paid {
        let units = found.reserved.get(order).expect("what is paid was reserved");
        assert_eq!(*cents, u32::from(*units) * CENTS_A_UNIT);
    }
    assert_eq!(Some(view), stored.or((tracked == Position::START).then(Turnover::default)), "the view up to {tracked}");
    for (number, units) in (1..).zip(&world.orders[..world.acknowledged]) {
        assert_eq!(found.placed.get(&number), Some(units), "order {number} was acknowledged");
        let order = log.load::<Order>(Order::stream(number)).unwrap();
        assert!(order.is_done(), "order {number} was acknowledged as done: {order:?}");
    }
    found
}

/// One boot: what was left undone is done, and orders are placed until all are or the power is cut.
fn live<R: RecordManager, M: Members>(
    log: &mut Log<'_, R>,
    system: &mut System<M>,
    world: &mut World,
    powered: impl Fn() -> bool,
) -> Result<(), PowerCut> {
    let failed = |what: &dyn core::fmt::Debug| {
        assert!(!powered(), "what no power cut explains: {what:?}");
        PowerCut
    };
    system.run(log, u32::MAX).map_err(|error| failed(&error))?;
    if let Err(LoadError::NotFound) = log.load::<Stock>(Stock::STREAM) {
        log.execute(&mut Root::<Stock>::new(Stock::STREAM), |stock| Ok::<_, ()>(stock.fill(FILLED)))
            .map_err(|error| failed(&error))?;
    }
    // What was found done need not stay before something is appended behind it: its own append may never have returned.
    let mut found = 0;
    while let Some(units) = world.orders.get(world.acknowledged + found).copied() {
        let number = (world.acknowledged + found) as u16 + 1;
        let mut order = log.load_or_new::<Order>(Order::stream(number)).map_err(|error| failed(&error))?;
        match system.execute(log, &mut order, |order| order.place(units), u32::MAX) {
            Ok(done) => {
                done.followers.map(|_| ()).map_err(|error| failed(&error))?;
                world.acknowledged += found + 1;
                found = 0;
            }
            Err(ExecuteError::Refused(_)) => found += 1,
            Err(error) => return Err(failed(&error)),
        }
    }
    system.checkpoint(log).map_err(|error| failed(&error))
}

/// A run: the same device through many power cuts, and then without.
fn run<const W: usize, const R: usize, const S: usize, M: Members>(
    profile: &ChipProfile,
    sectors: usize,
    seed: u64,
    system: impl Fn() -> System<M>,
) -> u32 {
    let mut rng = Rng::from_seed(seed);
    let flash = SimFlash::<W, R, S>::new(profile, sectors);
    let region = Region::checked::<SimFlash<W, R, S>>(0..(sectors * S) as u32).unwrap();
    let region = if profile.program_page > W { region } else { region.word_by_word() };
    let records = || FlashLog::<_, 6, 5>::new(flash.clone(), region, Retention::Refuse);
    records().format(identity(), &mut [0; SCRATCH]).unwrap();
    let orders: Vec<_> = (0..12 + rng.below(12)).map(|_| rng.pick(&[1_u16, 2, 5, 30, 90]).to_owned()).collect();
    let mut world = World { orders, acknowledged: 0 };
    let (reach, with_weak) = (4 + rng.below(5), rng.chance(0.5));
    let mut cuts = 0;
    loop {
        let mut scratch = [0; SCRATCH];
        if cuts < 40 {
            let mut cut = Cut::random(rng.below(1 << reach), W, &mut rng);
            // Weak cells after every second cut at most: what two in a row do is the subject of other suites.
            if !with_weak || cuts % 2 == 0 {
                cut.weak = WeakRead::Off;
            }
            flash.arm(cut);
        }
        let mut log = Log::mount(records(), &mut scratch).expect("a log cut off can be mounted");
        let armed = flash.armed();
        flash.disarm();
        check(&mut log, &world);
        if let Some(cut) = armed {
            flash.arm(cut);
        }
        let ended = live(&mut log, &mut system(), &mut world, || flash.is_powered());
        drop(log);
        flash.disarm();
        if ended.is_ok() && flash.is_powered() {
            break;
        }
        flash.power_on();
        cuts += 1;
    }
    flash.cut_now();
    flash.power_on();
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(records(), &mut scratch).unwrap();
    let found = check(&mut log, &world);
    assert_eq!(found.placed.len(), world.orders.len());
    assert_eq!(found.paid.len() as u32 + found.rejected, world.orders.len() as u32, "each order is paid or rejected");
    assert_eq!(system().run(&mut log, u32::MAX).map(|ran| ran.reactions), Ok(0), "nothing is left to react to");
    flash.assert_no_violations();
    cuts
}

fn swarm<const W: usize, const R: usize, const S: usize>(profile: &ChipProfile, sectors: usize) {
    let seeds = match number("EVENKEEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("EVENKEEL_SEEDS").unwrap_or(60),
    };
    let (runs, mut cuts) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        let replay = Replay::of("process_swarm", format!("EVENKEEL_SEED={seed}"));
        cuts += run::<W, R, S, _>(profile, sectors, seed, shop);
        replay.passed();
    }
    let name = profile.name;
    tell(&format!("{name}, {sectors} sectors of {S} B: {runs} runs, {cuts} cuts, each reaction once, views in step"));
    assert!(runs < 10 || u64::from(cuts) > 3 * runs, "{cuts} cuts are too few");
}

type Shop<M> = System<(M, Follower<Payments>, Follower<Orders>, Tracked<Turnover>)>;

fn shop() -> Shop<Follower<Reservations>> {
    System::new((Follower::new(Reservations), Follower::new(Payments), Follower::new(Orders), Tracked::new()))
}

#[test]
fn process_swarm_on_nrf52840() {
    swarm::<4, 4, 4096>(&ChipProfile::NRF52840, 8);
}

#[test]
fn process_swarm_on_rp2040_with_w25q16() {
    swarm::<1, 1, 4096>(&ChipProfile::RP2040_W25Q16, 8);
}

#[test]
fn process_swarm_on_stm32l4() {
    swarm::<8, 1, 2048>(&ChipProfile::STM32L4, 16);
}

/// A process that is not what it ought to be.
#[derive(Debug, Clone, Copy)]
enum Careless {
    /// Stores its reaction, and then its place.
    PlaceAfterwards,
    /// Stores its place, and then its reaction.
    PlaceBefore,
}

impl Careless {
    fn react<R: RecordManager>(self, log: &mut Log<'_, R>, at: Position) -> Result<u32, ProcessError<R::Error>> {
        let tracker = Tracker(1);
        let next = log.next_notification(at.previous()).map_err(ProcessError::Upstream)?;
        let Some(event) = next.as_ref().and_then(|next| next.record()) else { return Ok(0) };
        let number = Order::number(event.stream);
        let Some(Ok(OrderEvent::Placed { units })) = event.event::<Order>() else { return Ok(0) };
        let order = number.expect("an order has a number");
        let from = log.tracked(tracker);
        if matches!(self, Self::PlaceBefore) {
            log.append(|batch| batch.track_from(tracker, from, at))?;
        }
        let stock = log.load::<Stock>(Stock::STREAM).map_err(ProcessError::Load)?;
        match stock.take(units) {
            Ok(taken) => {
                let reserved = evenkeel_apps::orders::reservation::Reserved { order, units };
                let stream = Reservation::stream(order);
                let after = log.head(stream).map_err(ProcessError::Read)?.map_or(Version::NONE, |head| head.version);
                log.append::<AppendError<_>>(|batch| {
                    batch.event::<Stock>(Stock::STREAM, stock.version(), &taken[0])?;
                    Ok(batch.event::<Reservation>(stream, after, &reserved)?)
                })?;
            }
            Err(few) => {
                let mut order = log.load::<Order>(Order::stream(order)).map_err(ProcessError::Load)?;
                let _ = log.execute(&mut order, |order| order.rejected(few.left));
            }
        }
        if matches!(self, Self::PlaceAfterwards) {
            log.append(|batch| batch.track_from(tracker, from, at))?;
        }
        Ok(1)
    }
}

impl Member for Careless {
    fn follows(kind: Kind) -> bool {
        kind == Order::KIND
    }

    fn go_on<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        end: Position,
        _: u32,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<evenkeel_core::Processed, ProcessError<R::Error>> {
        let mut done = evenkeel_core::Processed::default();
        let mut at = log.tracked(Tracker(1));
        while at < end {
            at = at.next();
            done.seen += 1;
            done.reactions += self.react(log, at)?;
        }
        if done.reactions > 0 {
            appended(Reservation::KIND);
        }
        Ok(done)
    }

    fn settle<R: RecordManager>(&mut self, _: &mut Log<'_, R>) -> Result<(), ProcessError<R::Error>> {
        Ok(())
    }

    fn seen(&self) -> Option<Position> {
        None
    }
}

/// The same swarm catches a process whose reaction and place are two appends, in either order.
#[test]
fn process_swarm_catches_reactions_that_are_stored_apart_from_their_place() {
    for (careless, symptom) in [(Careless::PlaceAfterwards, "twice"), (Careless::PlaceBefore, "")] {
        let caught = (0..40).find_map(|seed| {
            let case = || {
                run::<4, 4, 4096, _>(&ChipProfile::NRF52840, 8, seed, || {
                    System::new((careless, Follower::new(Payments), Follower::new(Orders), Tracked::<Turnover>::new()))
                })
            };
            std::panic::catch_unwind(case).err()
        });
        let said = caught.map(|panic| evenkeel_tests::report::message(panic.as_ref()));
        let said = said.unwrap_or_else(|| panic!("{careless:?} is not noticed"));
        assert!(said.contains(symptom), "{careless:?} is noticed for another reason: {said}");
        tell(&format!("{careless:?} is noticed: {said}"));
    }
}
