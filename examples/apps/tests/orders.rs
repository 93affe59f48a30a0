//! The vending machine on memory, on flash and in SQLite: the same series of notifications, with and without reboots; and its life
//! under power cuts.

use evenkeel_apps::orders::processes::OUT_OF_STEP;
use evenkeel_apps::orders::{Order, Payment, Reservation, Shop, ShopError};
use evenkeel_collector::SqliteLog;
use evenkeel_core::process::{ProcessError, ReactError};
use evenkeel_core::{Epoch, Kind, Log, LogId, Position, RamLog, RecordManager, StreamId, Version};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};

const SCRATCH: usize = 512;

/// A notification: position, stream, type, version, payload.
type Told = (Position, StreamId, Kind, Version, Vec<u8>);

/// Orders as they come in: the third and the sixth are for more than there is.
const ORDERS: [u16; 8] = [3, 1, 200, 5, 4, 100, 2, 9];

fn series<R: RecordManager>(log: &mut Log<'_, R>) -> Vec<Told> {
    let (mut all, mut at) = (Vec::new(), Position::START);
    while let Some(next) = log.next_notification(at).unwrap() {
        at = next.last();
        let record = next.record().unwrap();
        all.push((at, record.stream, record.kind, record.version, record.payload.to_vec()));
    }
    all
}

/// A working day, with a reboot before each order if the log lives somewhere to outlive it.
fn day<R: RecordManager>(mut open: impl FnMut() -> R, reboots: bool) -> Vec<Told> {
    let mut scratch = [0; SCRATCH];
    let mut shop = Shop::open(Log::mount(open(), &mut scratch).unwrap());
    shop.fill(50).unwrap();
    let mut lives = vec![[0; SCRATCH]; ORDERS.len()];
    let mut lives = lives.iter_mut();
    for (number, units) in (1..).zip(ORDERS) {
        if reboots {
            drop(shop.close());
            shop = Shop::open(Log::mount(open(), lives.next().unwrap()).unwrap());
            assert_eq!(shop.run().unwrap().reactions, 0, "nothing was left undone");
        }
        shop.place(number, units).unwrap();
        assert!(shop.order(number).unwrap().is_done(), "when the command returns, all has followed");
    }
    assert_eq!(shop.stock().unwrap().units(), 50 - 24);
    let turnover = shop.turnover().unwrap();
    assert_eq!((turnover.cents(), turnover.paid(), turnover.rejected()), (24 * 250, 6, 2));
    assert_eq!(turnover.lost_events(), 0);
    series(shop.log())
}

fn on_flash<const W: usize, const R: usize, const S: usize>(page: usize, sectors: usize, reboots: bool) -> Vec<Told> {
    let flash = SimFlash::<W, R, S>::new(&ChipProfile::generic(W, R, S).with_program_page(page), sectors);
    let region = Region::checked::<SimFlash<W, R, S>>(0..(sectors * S) as u32).unwrap();
    let region = if page > W { region } else { region.word_by_word() };
    let identity = Identity { log: LogId(0), epoch: Epoch::new(1, 7) };
    let log = || FlashLog::<_, 8, 4>::new(flash.clone(), region, Retention::Refuse);
    log().format(identity, &mut [0; SCRATCH]).unwrap();
    let told = day(log, reboots);
    flash.assert_no_violations();
    told
}

/// The same system on a log in memory, on simulated flash and in SQLite: identical series of notifications.
#[test]
fn case_91_the_same_system_tells_the_same_on_every_record_manager() {
    let told = day(|| RamLog::<_, 32, 4>::new(vec![0; 1 << 16]), false);
    // Placed, stock and reservation, reserved, payment, paid: six each; of the rejected two. And that there is a view.
    assert_eq!(told.len(), 1 + 6 * 6 + 2 * 2 + 1);
    assert_eq!(on_flash::<4, 4, 4096>(4, 8, false), told);
    assert_eq!(on_flash::<1, 1, 4096>(256, 8, false), told);
    assert_eq!(on_flash::<8, 1, 2048>(8, 8, false), told);
    assert_eq!(on_flash::<32, 1, 8192>(32, 4, false), told);
    assert_eq!(on_flash::<4, 4, 512>(4, 32, false), told);
    assert_eq!(day(|| SqliteLog::in_memory().unwrap(), false), told);
}

/// What has been looked at without a reaction is looked at again after a reboot, and leads to nothing again. A view that
/// is stored with its place makes no difference to anybody either.
#[test]
fn a_reboot_between_any_two_orders_changes_nothing_that_is_told_of_orders() {
    let without = |told: Vec<Told>| -> Vec<_> {
        let of_orders = told.into_iter().filter(|(_, _, kind, ..)| *kind != Kind(15));
        of_orders.map(|(_, stream, kind, version, payload)| (stream, kind, version, payload)).collect()
    };
    let told = without(on_flash::<4, 4, 4096>(4, 8, false));
    assert_eq!(without(on_flash::<4, 4, 4096>(4, 8, true)), told);
    assert_eq!(without(on_flash::<4, 4, 512>(4, 32, true)), told);
}

#[test]
fn an_order_is_placed_once() {
    let mut scratch = [0; SCRATCH];
    let mut shop = Shop::open(Log::mount(RamLog::<_, 16, 4>::new([0; 4096]), &mut scratch).unwrap());
    shop.fill(5).unwrap();
    shop.place(1, 2).unwrap();
    let end = shop.log().bounds();
    assert!(matches!(shop.place(1, 2), Err(ShopError::Refused(_))));
    assert_eq!(shop.log().bounds(), end);
    let log = shop.log();
    assert_eq!(log.load::<Reservation>(Reservation::stream(1)).unwrap().units(), 2);
    assert_eq!(log.load::<Payment>(Payment::stream(1)).unwrap().cents(), 500);
}

/// A payment that nobody asked for, as if a process had run wild: it is told, and does not go away by itself.
#[test]
fn an_order_that_waits_for_nothing_stops_its_process_with_a_typed_error() {
    use evenkeel_apps::orders::payment::Paid;
    use evenkeel_core::Root;

    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(RamLog::<_, 16, 4>::new([0; 4096]), &mut scratch).unwrap();
    let mut payment = Root::<Payment>::new(Payment::stream(9));
    log.execute(&mut payment, |_| Ok::<_, ()>([Paid { order: 9, cents: 1 }])).unwrap();
    let mut shop = Shop::open(log);
    for _ in 0..2 {
        let Err(ShopError::Follows(error)) = shop.run() else { panic!("out of step, and nobody says so") };
        assert_eq!(error.member, 2);
        let told = ReactError::Failed { code: OUT_OF_STEP };
        assert!(matches!(error.error, ProcessError::React { at: Position(1), error } if error == told));
    }
    // The others have gone on, and what is passed over is passed over on purpose.
    assert_eq!(shop.order(9).unwrap_err(), evenkeel_core::error::LoadError::NotFound);
    shop.log().skip(evenkeel_core::Tracker(3), Position(1)).unwrap();
    assert_eq!(shop.run().unwrap().reactions, 0);
    assert_eq!(Order::number(Order::stream(9)), Some(9));
}

/// In steps of virtual time everybody sees what was there at the step's barrier: an order takes as many steps as it has
/// hops, whoever comes first in the system, and what comes out is the same in each run.
#[test]
fn in_steps_of_virtual_time_an_order_takes_a_step_for_each_hop() {
    use evenkeel_apps::orders::{Orders, Payments, Reservations, Stock, Turnover};
    use evenkeel_core::{Aggregate, Follower, Root, System, Tracked};
    use evenkeel_host_sim::clock::VirtualClock;
    use evenkeel_host_sim::stepping::{Station, Stepper};

    let day = || {
        let mut scratch = [0; SCRATCH];
        let log = Log::mount(RamLog::<_, 32, 4>::new(vec![0; 1 << 16]), &mut scratch).unwrap();
        let members = (Follower::new(Orders), Follower::new(Payments), Follower::new(Reservations));
        let (orders, payments, reservations) = members;
        let system = System::new((orders, payments, reservations, Tracked::<Turnover>::new()));
        let (clock, mut station, mut told) = (VirtualClock::new(), Station::new(log, system), Vec::new());
        let mut stepper = Stepper::new(&clock, 10_000);
        stepper.at(0, |station: &mut Station<Log<'_, RamLog<Vec<u8>, 32, 4>>, _>| {
            let mut stock = Root::<Stock>::new(Stock::STREAM);
            station.log.execute(&mut stock, |stock| Ok::<_, ()>(stock.fill(50))).unwrap();
        });
        for (number, units) in (1..).zip(ORDERS) {
            // Two orders in the same step, every ten steps.
            stepper.at(u64::from(number).div_ceil(2) * 10, move |station| {
                let mut order = Root::<Order>::new(Order::stream(number));
                station.log.execute(&mut order, |order| order.place(units)).unwrap();
                station.system.prompt(Order::KIND);
            });
        }
        while !stepper.go(&mut station) {
            told.push(station.log.bounds().last().0);
        }
        assert_eq!(station.failed, []);
        (told, clock.now_us(), series(&mut station.log))
    };
    let (told, us, series) = day();
    // After steps 10 to 15: placed and taken from the stock, reserved, paid for, told; and then nothing for a while.
    assert_eq!(told[9..16], [1, 7, 9, 11, 13, 13, 13]);
    assert_eq!((series.len(), us), (1 + 6 * 6 + 2 * 2 + 1, 10_000 * told.len() as u64 + 10_000));
    assert_eq!(day(), (told, us, series));
}
