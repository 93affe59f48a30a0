//! The test kit: it says yes to what is right, and notices what is wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use evenkeel_core::{Aggregate, CodecError, Kind, Position, Snapshot};
use evenkeel_host_sim::flash::{SimError, SimFlash};
use evenkeel_host_sim::kit::{Given, Life, PowerCuts, given, with_record};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum TankEvent {
    Filled {
        litres: u16,
    },
    Drained {
        litres: u16,
        #[serde(skip)]
        by: u8,
    },
}
use TankEvent::{Drained, Filled};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Refused {
    Overflow,
    Empty,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Tank {
    litres: u32,
    #[serde(skip)]
    alarm: bool,
}

impl Aggregate for Tank {
    const KIND: Kind = Kind(1);
    type Event = TankEvent;
    fn apply(&mut self, event: &TankEvent) {
        match event {
            Filled { litres } => self.litres += u32::from(*litres),
            Drained { litres, .. } => self.litres -= u32::from(*litres),
        }
        self.alarm = self.litres > 90;
    }
}

impl Snapshot for Tank {
    const SCHEMA: u8 = 1;
}

impl Tank {
    fn fill(&self, litres: u16) -> Result<[TankEvent; 1], Refused> {
        if self.litres + u32::from(litres) > 100 { Err(Refused::Overflow) } else { Ok([Filled { litres }]) }
    }

    fn drain(&self, by: u8) -> Result<Vec<TankEvent>, Refused> {
        let rest = u16::try_from(self.litres).unwrap();
        if rest == 0 { Err(Refused::Empty) } else { Ok(vec![Drained { litres: rest, by }]) }
    }
}

/// What a panic of `wrong` says.
fn noticed<T>(wrong: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(wrong)).err().expect("it went unnoticed");
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).to_owned())
}

fn full() -> Given<Tank> {
    given::<Tank>([Filled { litres: 60 }, Filled { litres: 40 }])
}

#[test]
fn stories_that_are_right_go_through() {
    given::<Tank>([]).when(|tank| tank.fill(100)).then([Filled { litres: 100 }]);
    full().when(|tank| tank.fill(1)).then_refused(Refused::Overflow);
    full().when(|_| Ok::<[TankEvent; 0], Refused>([])).then_nothing();
    let told = given::<Tank>([Filled { litres: 3 }])
        .when(|tank| tank.drain(0))
        .then([Drained { litres: 3, by: 0 }])
        .when(|tank| tank.drain(0))
        .then_refused(Refused::Empty)
        .when(|tank| tank.fill(7))
        .then([Filled { litres: 7 }])
        .then_state(|tank| assert_eq!(tank.litres, 7))
        .through_a_snapshot()
        .then_state(|tank| assert_eq!(tank.litres, 7));
    assert_eq!(told.happened(), 3);
}

#[test]
fn stories_that_are_wrong_are_noticed() {
    let other = noticed(|| full().when(|tank| tank.drain(0)).then([Drained { litres: 99, by: 0 }]));
    assert!(other.contains("expected [Drained { litres: 99") && other.contains("[Drained { litres: 100"), "{other}");
    let refused = noticed(|| full().when(|tank| tank.fill(1)).then([Filled { litres: 1 }]));
    assert!(refused.contains("it is refused: Overflow"), "{refused}");
    let follows = noticed(|| full().when(|tank| tank.drain(0)).then_refused(Refused::Empty));
    assert!(follows.contains("what follows is [Drained"), "{follows}");
    let reason = noticed(|| full().when(|tank| tank.fill(1)).then_refused(Refused::Empty));
    assert!(reason.contains("Empty") && reason.contains("Overflow"), "{reason}");
    assert!(noticed(|| full().when(|tank| tank.drain(0)).then_nothing()).contains("expected []"));
    assert!(noticed(|| full().when(|tank| tank.fill(1)).then_nothing()).contains("refused"));
}

#[test]
fn what_is_not_stored_whole_is_noticed() {
    let drained = Drained { litres: 1, by: 9 };
    let history = noticed(|| given::<Tank>([Filled { litres: 1 }, drained]));
    assert!(history.contains("by: 9") && history.contains("by: 0"), "{history}");
    let decided = noticed(|| full().when(|tank| tank.drain(9)).then([Drained { litres: 100, by: 9 }]));
    assert!(decided.contains("comes back as"), "{decided}");
    let state = noticed(|| full().through_a_snapshot());
    assert!(state.contains("alarm: true") && state.contains("alarm: false"), "{state}");
    let record = noticed(|| with_record::<Tank, _>(1, Position(1), &drained, |_| ()));
    assert!(record.contains("comes back as"), "{record}");
}

#[test]
fn a_command_that_depends_on_more_than_the_state_is_noticed() {
    let calls = core::cell::Cell::new(0);
    let decide = |_: &Tank| {
        calls.set(calls.get() + 1);
        Ok::<_, Refused>([Filled { litres: calls.get() }])
    };
    assert!(noticed(|| full().when(decide).then([Filled { litres: 1 }])).contains("decided again"));
}

#[test]
fn a_record_is_lent_as_a_log_would() {
    with_record::<Tank, _>(7, Position(3), &Filled { litres: 300 }, |record| {
        assert_eq!((record.stream.0, record.kind, record.position), (7, Kind(1), Some(Position(3))));
        assert_eq!(record.payload, [0, 0xAC, 2]);
        assert_eq!(record.event::<Tank>(), Some(Ok(Filled { litres: 300 })));
    });
    #[derive(Debug, Default, PartialEq)]
    struct Strange;
    impl Aggregate for Strange {
        const KIND: Kind = Kind(2);
        const SCHEMA: u8 = 3;
        type Event = u8;
        fn apply(&mut self, _: &u8) {}
        fn decode_event(_: u8, _: &[u8]) -> Result<u8, CodecError> {
            Err(CodecError::Malformed)
        }
    }
    assert!(noticed(|| given::<Strange>([1])).contains("does not come back"));
}

type Flash = SimFlash<4, 4, 256>;

/// Counts up to `most` in the flash, a word each: the first word that reads erased is where it goes on.
fn count(mut flash: Flash, most: u32, step: u32) -> Result<Vec<u32>, SimError> {
    let (mut counted, mut word) = (Vec::new(), [0; 4]);
    for at in (0..256).step_by(4).map(|at| at * step) {
        if counted.len() as u32 >= most {
            break;
        }
        flash.read(at, &mut word)?;
        let next = counted.len() as u32 + 1;
        match u32::from_le_bytes(word) {
            u32::MAX => {
                flash.write(at, &next.to_le_bytes())?;
                counted.push(next);
            }
            found if found == next => counted.push(found),
            _ => {} // damaged: the next place
        }
    }
    Ok(counted)
}

#[test]
fn an_application_that_holds_is_explored_everywhere() {
    let explored = PowerCuts::on(Flash::blank(1)).without_weak_cells().explore(|flash| count(flash, 10, 1));
    assert_eq!((explored.points, explored.exhaustive), (10, true));
    assert!(explored.lives >= 60 && explored.nested > 5 && explored.cuts > explored.lives, "{explored}");
    let told = explored.to_string();
    assert!(told.contains("10 points, every kind of cut at each"), "{told}");
    let sample = PowerCuts::on(Flash::blank(1)).without_weak_cells().nested_in_every(0).at_most(30);
    let explored = sample.explore(|flash| count(flash, 10, 1));
    assert_eq!((explored.lives, explored.cuts, explored.nested, explored.exhaustive), (30, 30, 0, false));
}

#[test]
fn an_application_that_writes_next_to_a_torn_place_is_noticed() {
    // A word whose programming was cut may read erased: it goes on there, and programs it twice, or counts wrongly.
    let said = noticed(|| PowerCuts::on(Flash::blank(1)).explore(|flash| count(flash, 10, 1)));
    assert!(said.contains("a life goes wrong") && said.contains("EVENKEEL_CUTS='after="), "{said}");
}

#[test]
fn an_application_that_forgets_is_noticed() {
    // It keeps a count in two places, one after the other.
    let twice = |mut flash: Flash| -> Result<u32, SimError> {
        let mut words = [[0; 4]; 2];
        flash.read(0, &mut words[0])?;
        if words[0] == [0xFF; 4] {
            flash.write(0, &1_u32.to_le_bytes())?;
            flash.write(4, &1_u32.to_le_bytes())?;
        }
        flash.read(4, &mut words[1])?;
        Ok(u32::from_le_bytes(words[1]))
    };
    let said = noticed(|| PowerCuts::on(Flash::blank(1)).without_weak_cells().explore(twice));
    assert!(said.contains("it comes to something else"), "{said}");
}

#[test]
fn a_life_that_fails_or_panics_with_the_power_on_is_noticed() {
    let fails = |flash: Flash| if count(flash, 3, 1)?.len() < 3 { Err(SimError::Injected) } else { Ok(()) };
    PowerCuts::on(Flash::blank(1)).without_weak_cells().explore(fails);
    let picky = |mut flash: Flash| {
        let mut word = [0; 4];
        flash.read(0, &mut word)?;
        if word == [0xFF; 4] { flash.write(0, &[1, 2, 3, 4]) } else { Err(SimError::OutOfBounds) }
    };
    let said = noticed(|| PowerCuts::on(Flash::blank(1)).without_weak_cells().explore(picky));
    assert!(said.contains("fails with the power on: OutOfBounds"), "{said}");
}

/// Takes three tickets, numbered by whoever hands them out, and keeps each in the flash before or after saying so.
fn tickets(mut flash: Flash, told: &mut Vec<u32>, rash: bool) -> Result<Vec<u32>, SimError> {
    let (mut kept, mut word) = (Vec::new(), [0; 4]);
    for at in (0..256).step_by(4) {
        flash.read(at, &mut word)?;
        if word == [0xFF; 4] {
            let ticket = told.len() as u32 + 1;
            if rash {
                told.push(ticket);
            }
            flash.write(at, &ticket.to_le_bytes())?;
            if !rash {
                told.push(ticket);
            }
            word = ticket.to_le_bytes();
        }
        kept.push(u32::from_le_bytes(word));
        if kept.len() == 3 {
            break;
        }
    }
    Ok(kept)
}

#[test]
fn what_the_world_was_told_outlives_the_power() {
    let check = |cut: &Life<Vec<u32>, u32>, uncut: &Life<Vec<u32>, u32>| {
        assert_eq!((uncut.boots, &uncut.told, &uncut.ended), (1, &vec![1, 2, 3], &vec![1, 2, 3]));
        assert!(cut.boots == 2 || cut.boots == 3);
        assert!(cut.told.iter().all(|told| cut.ended.contains(told)), "told {:?}, kept {:?}", cut.told, cut.ended);
    };
    let cuts = || PowerCuts::on(Flash::blank(1)).without_weak_cells();
    assert!(cuts().explore_with(|flash, told| tickets(flash, told, false), check).cuts > 20);
    let said = noticed(|| cuts().explore_with(|flash, told| tickets(flash, told, true), check));
    assert!(said.contains("told [1"), "{said}");
}
