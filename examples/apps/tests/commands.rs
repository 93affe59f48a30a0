//! Commands, one by one: what they return, and what they refuse.

use evenkeel_apps::cold_chain::alarm::{self, Cause};
use evenkeel_apps::cold_chain::input::{
    Container, HOURS_A_YEAR, NO_CONTACT, Observation, Probe, fahrenheit_to_centi_celsius, hour_of_year, row, tenths,
    two_years,
};
use evenkeel_apps::cold_chain::sensor::{self, STUCK_AFTER};
use evenkeel_apps::cold_chain::shipment::{self, Recent};
use evenkeel_apps::cold_chain::{
    Alarm, AlarmEvent, Fault, Limits, RaiseAlarm, Sensor, SensorEvent, Shipment, ShipmentEvent,
};
use evenkeel_core::{Aggregate, Log, Process, RamLog, Root, codec};
use evenkeel_host_sim::kit;

use ShipmentEvent::{
    Delivered, Dispatched, ExcursionEnded, ExcursionStarted, HandedOver, Logged, LoggedOutside, Missed,
};

fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> A {
    let mut state = A::default();
    events.into_iter().for_each(|event| state.apply(&event));
    state
}

const DISPATCHED: ShipmentEvent = Dispatched { hour: 10, holder: 3, limits: Limits::REFRIGERATED };

fn logged(shipment: &Shipment, hour: u32, temperature: i16) -> Vec<ShipmentEvent> {
    shipment.log(hour, temperature).unwrap().collect()
}

#[test]
fn an_hour_is_one_reading_and_what_it_says_about_the_limits() {
    let inside: Shipment = given([DISPATCHED]);
    assert_eq!(logged(&inside, 10, 500), [Logged { hour: 10, temperature: 500 }]);
    assert_eq!(logged(&inside, 10, 800), [Logged { hour: 10, temperature: 800 }]);
    let first_outside = LoggedOutside { hour: 10, temperature: 801, minutes: 0 };
    assert_eq!(logged(&inside, 10, 801), [ExcursionStarted { hour: 10 }, first_outside]);
    let outside: Shipment = given([DISPATCHED, ExcursionStarted { hour: 10 }, first_outside]);
    assert_eq!(logged(&outside, 12, 199)[1], LoggedOutside { hour: 12, temperature: 199, minutes: 120 });
    let ended = ExcursionEnded { hour: 11, minutes: 60 };
    assert_eq!(logged(&outside, 11, 200), [ended, Logged { hour: 11, temperature: 200 }]);
}

#[test]
fn hours_left_out_are_missed_and_an_hour_passes_once() {
    let shipment: Shipment = given([DISPATCHED, Logged { hour: 10, temperature: 500 }]);
    assert_eq!(logged(&shipment, 14, 500), [Missed { through: 13 }, Logged { hour: 14, temperature: 500 }]);
    assert_eq!(shipment.miss(12), Ok([Missed { through: 12 }]));
    assert_eq!(shipment.miss(10), Err(shipment::Refused::HourPassed));
    assert_eq!(shipment.log(10, 500).err(), Some(shipment::Refused::HourPassed));
    let later: Shipment = given([DISPATCHED, Logged { hour: 10, temperature: 500 }, Missed { through: 13 }]);
    assert_eq!((later.missed(), later.next_hour(), later.readings()), (3, 14, 1));
}

#[test]
fn only_the_holder_hands_over_and_nothing_follows_the_delivery() {
    use shipment::Refused;
    let dispatched = || kit::given::<Shipment>([DISPATCHED]);
    dispatched().when(|shipment| shipment.hand_over(11, 3, 4)).then([HandedOver { hour: 11, to: 4 }]);
    dispatched().when(|shipment| shipment.hand_over(11, 4, 3)).then_refused(Refused::NotTheHolder);
    dispatched().when(|shipment| shipment.hand_over(11, 3, 3)).then_refused(Refused::SameHolder);
    dispatched().when(|shipment| shipment.dispatch(11, 3, Limits::default())).then_refused(Refused::AlreadyDispatched);
    kit::given::<Shipment>([DISPATCHED, Delivered { hour: 10 }])
        .when(|shipment| shipment.hand_over(11, 3, 4))
        .then_refused(Refused::AlreadyDelivered)
        .when(|shipment| shipment.miss(11))
        .then_refused(Refused::AlreadyDelivered)
        .when(|shipment| shipment.deliver(11))
        .then_refused(Refused::AlreadyDelivered);
    kit::given::<Shipment>([]).when(|shipment| shipment.miss(11)).then_refused(Refused::NotDispatched);
}

#[test]
fn a_delivery_ends_a_running_excursion() {
    kit::given::<Shipment>([DISPATCHED])
        .when(|shipment| shipment.deliver(10))
        .then([Delivered { hour: 10 }])
        .through_a_snapshot();
    let outside = [ExcursionStarted { hour: 10 }, LoggedOutside { hour: 10, temperature: 900, minutes: 0 }];
    kit::given::<Shipment>([DISPATCHED].into_iter().chain(outside))
        .when(|shipment| shipment.deliver(13))
        .then([Missed { through: 12 }, ExcursionEnded { hour: 13, minutes: 180 }, Delivered { hour: 13 }])
        .through_a_snapshot()
        .then_state(|shipment| assert_eq!((shipment.excursions(), shipment.minutes_outside()), (1, 180)));
}

#[test]
fn a_shipment_sums_up_its_excursions() {
    let mut shipment: Shipment = given([DISPATCHED]);
    for (hour, temperature) in (10..).zip([500, 900, 950, 500, 150, 140, 130, 500, 810]) {
        let events = logged(&shipment, hour, temperature);
        events.iter().for_each(|event| shipment.apply(event));
    }
    assert_eq!((shipment.excursions(), shipment.minutes_outside(), shipment.longest_minutes()), (3, 300, 180));
    assert_eq!((shipment.worst(), shipment.outside_since()), (Some(950), Some(18)));
    assert_eq!(shipment.recent(), Some(Recent { temperature: 810, hour: 18, repeats: 0 }));
}

#[test]
fn a_reading_takes_at_most_eight_bytes() {
    let (hour, temperature) = (17_518, -4_000);
    let mut room = [0; 16];
    assert_eq!(codec::encode(&Logged { hour: 100, temperature: 500 }, &mut room), Ok(4));
    assert_eq!(codec::encode(&Logged { hour, temperature }, &mut room), Ok(6));
    assert_eq!(codec::encode(&LoggedOutside { hour, temperature, minutes: 10_000 }, &mut room), Ok(8));
}

#[test]
fn stored_events_keep_their_bytes() {
    let mut room = [0; 16];
    let mut bytes = |event: ShipmentEvent| {
        let len = codec::encode(&event, &mut room).unwrap();
        room[..len].to_vec()
    };
    assert_eq!(bytes(DISPATCHED), [0, 10, 3, 0x90, 3, 0xC0, 12]);
    assert_eq!(bytes(Logged { hour: 300, temperature: -1 }), [1, 0xAC, 2, 1]);
    assert_eq!(bytes(LoggedOutside { hour: 1, temperature: 1, minutes: 60 }), [2, 1, 2, 60]);
    assert_eq!(bytes(Missed { through: 7 }), [3, 7]);
    assert_eq!(bytes(ExcursionStarted { hour: 7 }), [4, 7]);
    assert_eq!(bytes(ExcursionEnded { hour: 7, minutes: 60 }), [5, 7, 60]);
    assert_eq!(bytes(HandedOver { hour: 7, to: 9 }), [6, 7, 9]);
    assert_eq!(bytes(Delivered { hour: 7 }), [7, 7]);
}

#[test]
fn a_probe_is_installed_before_it_is_calibrated() {
    kit::given::<Sensor>([])
        .when(|sensor| sensor.calibrate(-5))
        .then_refused(sensor::Refused::NotInstalled)
        .when(|sensor| sensor.install(7))
        .then([SensorEvent::Installed { serial: 7 }])
        .when(|sensor| sensor.calibrate(-5))
        .then([SensorEvent::Calibrated { offset: -5 }])
        .when(|sensor| sensor.install(8))
        .then_refused(sensor::Refused::AlreadyInstalled)
        .through_a_snapshot()
        .then_state(|sensor| {
            assert_eq!((sensor.serial(), sensor.corrected(505), sensor.corrected(i16::MIN)), (Some(7), 500, i16::MIN));
        });
}

#[test]
fn a_reading_is_believed_or_is_a_fault() {
    let sensor: Sensor = given([SensorEvent::Installed { serial: 7 }]);
    let recent = |repeats| Some(Recent { temperature: 500, hour: 9, repeats });
    let judge = |hour, raw, recent| sensor.judge(hour, 10, raw, recent).temperature;
    assert_eq!(judge(10, 520, recent(0)), Ok(520));
    assert_eq!(judge(10, 520, None), Ok(520));
    assert_eq!(judge(10, NO_CONTACT, recent(0)), Err(Fault::OutOfScale));
    assert_eq!(judge(10, 1_301, recent(0)), Err(Fault::Jumped));
    assert_eq!(judge(11, 1_301, recent(0)), Ok(1_301), "over two hours it may");
    assert_eq!(judge(10, 500, recent(STUCK_AFTER - 2)), Ok(500));
    assert_eq!(judge(10, 500, recent(STUCK_AFTER - 1)), Err(Fault::Stuck));
    assert_eq!(judge(10, 501, recent(STUCK_AFTER - 1)), Ok(501));
}

#[test]
fn a_fault_is_told_when_it_begins_and_when_it_ends() {
    let good: Sensor = given([SensorEvent::Installed { serial: 7 }]);
    let recent = Some(Recent { temperature: 500, hour: 9, repeats: 0 });
    let detected = |hour, fault| Some(SensorEvent::FaultDetected { hour, fault });
    let cleared = |hour| Some(SensorEvent::FaultCleared { hour });
    assert_eq!(good.judge(10, 10, 510, recent).events, [None, None]);
    assert_eq!(good.judge(10, 10, NO_CONTACT, recent).events, [detected(10, Fault::OutOfScale), None]);
    assert_eq!(good.judge(12, 10, 510, recent).events, [detected(12, Fault::Silent), cleared(12)]);
    let bad: Sensor = given([SensorEvent::FaultDetected { hour: 10, fault: Fault::Stuck }]);
    assert_eq!(bad.judge(11, 11, NO_CONTACT, recent).events, [None, None]);
    assert_eq!(bad.judge(11, 11, 510, recent).events, [cleared(11), None]);
}

#[test]
fn an_alarm_is_raised_once_acknowledged_once_and_cleared() {
    let quiet = Alarm::default();
    assert_eq!(quiet.acknowledge(5, 1), Err(alarm::Refused::NotRaised));
    assert_eq!(quiet.clear(0, 5), None);
    let raised = AlarmEvent::Raised { shipment: 0, since: 3 };
    assert_eq!(quiet.raise(0, 3), Some(raised));
    let ringing: Alarm = given([raised]);
    assert_eq!((ringing.rings(), ringing.cause()), (true, Some(Cause { shipment: 0, since: 3 })));
    assert_eq!((ringing.raise(0, 3), ringing.clear(1, 5)), (None, None));
    assert_eq!(ringing.clear(0, 5), Some(AlarmEvent::Cleared { hour: 5 }));
    let seen: Alarm = given([raised, AlarmEvent::Acknowledged { hour: 5, by: 1 }]);
    assert_eq!((seen.rings(), seen.acknowledge(6, 1)), (false, Err(alarm::Refused::AlreadyAcknowledged)));
}

#[test]
fn the_policy_raises_once_for_each_excursion_that_lasts() {
    let mut scratch = [0; 512];
    let mut log = Log::mount(RamLog::<_, 4, 2>::new(vec![0; 8192]), &mut scratch).unwrap();
    let (mut shipment, mut alarm) = (Root::<Shipment>::new(Shipment::stream(6)), Root::<Alarm>::new(Alarm::STREAM));
    log.execute(&mut shipment, |shipment| shipment.dispatch(0, 1, Limits::default())).unwrap();
    let mut process = Process::new(RaiseAlarm { after_minutes: 120 });
    let mut raised = Vec::new();
    // Two hours outside: nothing. Four: an alarm. Three, twice: one each.
    for (hour, outside) in (0..).zip("oo.oooo.ooo.ooo.".chars()) {
        let temperature = if outside == 'o' { 900 } else { 500 };
        log.execute(&mut shipment, |shipment| shipment.log(hour, temperature)).unwrap();
        // A reboot after each hour: the process starts from the log.
        process = Process::new(RaiseAlarm { after_minutes: 120 });
        log.process(&mut process, &mut alarm).unwrap();
        raised.push((alarm.raised(), alarm.cause().map(|cause| (cause.shipment, cause.since))));
    }
    let (a, b, c) = (Some((6, 3)), Some((6, 8)), Some((6, 12)));
    assert_eq!(raised[..8], [(0, None), (0, None), (0, None), (0, None), (0, None), (1, a), (1, a), (1, None)]);
    assert_eq!(raised[8..], [(1, None), (1, None), (2, b), (2, None), (2, None), (2, None), (3, c), (3, None)]);
    assert!(process.seen().is_some());
}

#[test]
fn fahrenheit_becomes_centi_celsius_rounded_to_the_nearest() {
    let expected = [(320, 0), (2_120, 10_000), (-400, -4_000), (394, 411), (389, 383), (319, -6), (321, 6)];
    for (tenths, celsius) in expected {
        assert_eq!(fahrenheit_to_centi_celsius(tenths), celsius, "{tenths}");
    }
    assert_eq!([i16::MAX, i16::MIN].map(fahrenheit_to_centi_celsius), [i16::MAX, i16::MIN], "beyond what there is");
    let texts = [("39.4", 394), ("-0.5", -5), ("7", 70), (" 50.0", 500)];
    assert!(texts.iter().all(|(text, value)| tenths(text) == Some(*value)));
    assert!(["", ".", "1.25", "-", "x", "1.-", "--1", "40000.0"].iter().all(|text| tenths(text).is_none()));
}

#[test]
fn rows_are_read_in_either_order_and_headings_are_not() {
    let first = Some(Observation { hour: 0, ambient: 411 });
    assert_eq!((row(["2010/01/01 00:00", "39.4"]), row(["39.4", "2010/01/01 00:00:00"])), (first, first));
    assert_eq!((row(["date", "temp"]), row(["temp", "date"])), (None, None));
    assert_eq!(hour_of_year("2010/12/31 23:00"), Some(HOURS_A_YEAR - 1));
    assert_eq!(hour_of_year("2012/03/01 01:00"), Some(60 * 24 + 1));
    assert!(
        ["2010/13/01 00:00", "2010/00/01 00:00", "2010/01/01", "2010/01/01 24:00", "2010/01 00:00"]
            .iter()
            .all(|date| hour_of_year(date).is_none())
    );
}

#[test]
fn two_years_have_every_hour_but_two() {
    let hours: Vec<_> = two_years().map(|sample| sample.hour).collect();
    assert_eq!(hours.len(), 17_518);
    let left_out: Vec<_> = (0..2 * HOURS_A_YEAR).filter(|hour| hours.binary_search(hour).is_err()).collect();
    assert_eq!(left_out, [1_731, 1_731 + HOURS_A_YEAR]);
}

#[test]
fn the_container_comes_to_rest_between_its_set_point_and_the_weather() {
    let mut container = Container::default();
    // Day 1 is an ordinary one; at night the doors are closed.
    for hour in 0..9 {
        container.refrigerated(3_000, 24 + hour);
    }
    let night = container.refrigerated(3_000, 24);
    assert!((650..700).contains(&night), "{night}");
    assert_eq!(Probe::default().read(night, 0), night + 25);
    assert_eq!(Probe::default().read(night, 777), NO_CONTACT);
}
