//! The dispenser: its decisions, and its life through power cuts.

use evenkeel_apps::dispenser::{CAPACITY, CompartmentEvent, Dispenser, DispenserEvent, Drug, Refused, hand_over};
use evenkeel_core::error::{ExecuteError, LoadError};
use evenkeel_core::{Cache, Epoch, Log, LogId, RamLog, Root};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::Nrf52840Flash;
use evenkeel_host_sim::kit::{Given, PowerCuts, given};

use DispenserEvent::{Fitted, Removed};

const DRUG: Drug = Drug(300);
const OTHER: Drug = Drug(7);

fn filled(place: u8, pills: u16) -> DispenserEvent {
    DispenserEvent::Compartment { place, event: CompartmentEvent::Filled { pills } }
}

fn dispensed(place: u8, pills: u16) -> DispenserEvent {
    DispenserEvent::Compartment { place, event: CompartmentEvent::Dispensed { pills } }
}

fn fitted(place: u8, drug: Drug) -> DispenserEvent {
    Fitted { place, drug }
}

/// Two compartments of one drug and one of another.
fn stocked() -> Given<Dispenser> {
    given([fitted(0, DRUG), fitted(1, OTHER), fitted(2, DRUG), filled(0, 3), filled(1, 30), filled(2, 10)])
}

#[test]
fn a_dose_comes_out_of_as_many_compartments_as_it_takes() {
    stocked()
        .when(|dispenser| dispenser.dispense(DRUG, 5))
        .then([dispensed(0, 3), dispensed(2, 2)])
        .when(|dispenser| dispenser.dispense(DRUG, 8))
        .then([dispensed(2, 8)])
        .when(|dispenser| dispenser.dispense(DRUG, 1))
        .then_refused(Refused::NotEnough)
        .through_a_snapshot()
        .then_state(|dispenser| {
            let given_out = [0, 1, 2].map(|place| dispenser.compartment(place).unwrap().dispensed());
            assert_eq!((dispenser.stock(DRUG), dispenser.stock(OTHER), given_out), (0, 30, [3, 0, 10]));
        });
    stocked().when(|dispenser| dispenser.dispense(DRUG, 14)).then_refused(Refused::NotEnough);
    stocked().when(|dispenser| dispenser.dispense(DRUG, 0)).then_refused(Refused::Nothing);
}

#[test]
fn compartments_are_fitted_filled_and_removed() {
    given::<Dispenser>([]).when(|dispenser| dispenser.fit(3, DRUG)).then([fitted(3, DRUG)]);
    given::<Dispenser>([]).when(|dispenser| dispenser.fit(4, DRUG)).then_refused(Refused::NoCompartment);
    given::<Dispenser>([]).when(|dispenser| dispenser.fill(0, 1)).then_refused(Refused::NoCompartment);
    stocked().when(|dispenser| dispenser.fit(1, DRUG)).then_refused(Refused::Occupied);
    stocked().when(|dispenser| dispenser.fill(1, 1)).then_refused(Refused::TooFull);
    stocked().when(|dispenser| dispenser.fill(0, CAPACITY - 3)).then([filled(0, CAPACITY - 3)]);
    stocked()
        .when(|dispenser| dispenser.remove(2))
        .then([Removed { place: 2 }])
        .when(|dispenser| dispenser.remove(2))
        .then_refused(Refused::NoCompartment)
        .when(|dispenser| Ok::<_, Refused>(dispenser.strip()))
        .then([Removed { place: 0 }, Removed { place: 1 }])
        .when(|dispenser| Ok::<_, Refused>(dispenser.strip()))
        .then_nothing();
}

#[test]
fn pills_change_hands_or_stay_where_they_are() {
    let mut scratch = [0; 512];
    let mut log = Log::mount(RamLog::<_, 8, 2>::new([0; 2048]), &mut scratch).unwrap();
    let [mut ward, mut lab] = ["WARD-7", "LAB-1"].map(|serial| Root::<Dispenser>::new(Dispenser::stream(serial)));
    log.execute(&mut ward, |_| Ok::<_, Refused>([fitted(0, DRUG), filled(0, 20)])).unwrap();
    log.execute(&mut lab, |_| Ok::<_, Refused>([fitted(2, DRUG), filled(2, 15)])).unwrap();
    let too_many = hand_over(&mut log, &mut ward, &mut lab, DRUG, 16);
    assert_eq!(too_many, Err(ExecuteError::Refused(Refused::TooFull)));
    assert_eq!((ward.stock(DRUG), lab.stock(DRUG)), (20, 15));
    hand_over(&mut log, &mut ward, &mut lab, DRUG, 15).unwrap();
    assert_eq!((ward.stock(DRUG), lab.stock(DRUG)), (5, 30));
    // Scrapped: the last event is that its compartments are out, and nothing follows.
    log.execute_last(&mut ward, |ward| Ok::<_, Refused>(ward.strip())).unwrap();
    assert!(matches!(log.load::<Dispenser>(ward.id()), Err(LoadError::Discarded { .. })));
    let mut cache = Cache::<Dispenser, 2>::new();
    let dose = log.execute_cached(&mut cache, Dispenser::stream("LAB-1"), |lab| lab.dispense(DRUG, 1));
    assert!(dose.is_ok() && cache.has(lab.id()));
    assert!(log.execute_cached(&mut cache, ward.id(), |ward| ward.dispense(DRUG, 1)).is_err());
}

fn records(flash: Nrf52840Flash) -> FlashLog<Nrf52840Flash> {
    const REGION: Region = Region::new::<Nrf52840Flash>(0..0x2000).word_by_word();
    FlashLog::new(flash, REGION, Retention::Refuse)
}

/// A chip as it leaves the factory, with an empty log.
fn provisioned() -> Nrf52840Flash {
    let flash = Nrf52840Flash::blank(2);
    let identity = Identity { log: LogId(0), epoch: Epoch::new(1, 0xD15E_0001) };
    records(flash.clone()).format(identity, &mut [0; 512]).unwrap();
    flash
}

/// Two dispensers at work: filled, handing over, giving out; until 60 pills were filled and 40 given out.
fn work(flash: Nrf52840Flash) -> Result<Vec<Dispenser>, Box<dyn std::error::Error>> {
    let mut scratch = [0; 512];
    let mut log = Log::mount(records(flash), &mut scratch)?;
    let mut ward = log.load_or_new::<Dispenser>(Dispenser::stream("WARD-7"))?;
    let mut lab = log.load_or_new::<Dispenser>(Dispenser::stream("LAB-1"))?;
    let failed = |error| format!("{error:?}");
    for (root, place) in [(&mut ward, 0), (&mut lab, 1)] {
        if root.compartment(place).is_none() {
            log.execute(root, |root| root.fit(place, DRUG)).map_err(failed)?;
        }
    }
    // How far it has come is read off the state, as after a power cut nothing else is left.
    let given_out = |lab: &Dispenser| lab.compartment(1).map_or(0, |compartment| compartment.dispensed());
    while given_out(&lab) < 40 {
        let all = u32::from(ward.stock(DRUG)) + u32::from(lab.stock(DRUG)) + given_out(&lab);
        if all < 60 && ward.stock(DRUG) == 0 {
            log.execute_snapshotting(&mut ward, |ward| ward.fill(0, 10)).map_err(failed)?;
        } else if lab.stock(DRUG) < 5 {
            hand_over(&mut log, &mut ward, &mut lab, DRUG, 5).map_err(failed)?;
        } else {
            log.execute_snapshotting(&mut lab, |lab| lab.dispense(DRUG, 4)).map_err(failed)?;
        }
        assert!(
            u32::from(ward.stock(DRUG)) + u32::from(lab.stock(DRUG)) + given_out(&lab) <= 60,
            "pills out of nowhere"
        );
    }
    Ok(vec![(*ward).clone(), (*lab).clone()])
}

#[test]
fn no_pill_is_lost_or_doubled_whenever_the_power_fails() {
    let explored = PowerCuts::on(provisioned()).explore(work);
    assert!(explored.exhaustive && explored.points > 100 && explored.cuts > 1_000, "{explored}");
    println!("{explored}");
}
