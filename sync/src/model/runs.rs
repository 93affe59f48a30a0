//! Many runs of the model.

use super::world::World;
use super::{Breach, Rng};
use crate::rules::Rule;

const STEPS: u64 = 160;

/// One run; answers what was violated, if anything.
fn run(seed: u64, breach: Option<Breach>) -> (Result<(), &'static str>, World) {
    let mut world = World::new(seed, breach);
    for step in 0..STEPS {
        world.step();
        if step % 4 == 0 {
            if let Err(violation) = world.check() {
                return (Err(violation), world);
            }
        }
    }
    let ended = world.check().and_then(|()| world.finish());
    (ended, world)
}

/// How many runs without a breach: `EVENKEEL_MODEL_RUNS` says otherwise.
fn runs() -> u64 {
    std::env::var("EVENKEEL_MODEL_RUNS").map_or(3_000, |runs| runs.parse().unwrap())
}

/// How many runs it takes until the breach is noticed; as a rule few.
fn noticed_after(breach: Breach) -> Option<(u64, &'static str)> {
    (1..=10_000).find_map(|seed| run(seed, Some(breach)).0.err().map(|violation| (seed, violation)))
}

#[test]
fn with_all_rules_nothing_is_violated_and_everything_arrives() {
    let (mut events, mut lost, mut epochs) = (0, 0, 0);
    for seed in 1..=runs() {
        let (outcome, world) = run(seed, None);
        assert_eq!(outcome, Ok(()), "seed {seed}");
        let work = world.work();
        (events, lost, epochs) = (events + work.0, lost + work.1, epochs + work.2);
    }
    // The runs did what they are for.
    println!("{} runs: {events} events, {lost} lost, {epochs} epochs, 0 violations", runs());
    assert!(events > 35 * runs() && lost > 20 * runs() && 2 * epochs > 3 * runs(), "{events} {lost} {epochs}");
}

#[test]
fn every_broken_rule_is_noticed() {
    let breaches = [
        Breach::Rule(Rule::DropDuplicates),
        Breach::Rule(Rule::Contiguous),
        Breach::Rule(Rule::CommitOfEpoch),
        Breach::SendsUndurable,
        Breach::FormatKeepsEpoch,
        Breach::ReusesPositions,
        Breach::Renumbers,
        Breach::CursorApart,
    ];
    for breach in breaches {
        let noticed = noticed_after(breach);
        println!("{breach:?}: {noticed:?}");
        assert!(noticed.is_some(), "{breach:?}");
    }
}

#[test]
fn a_seed_tells_a_run() {
    let mut twice = [Rng::new(5), Rng::new(5)].map(|mut rng| (rng.next(), rng.below(10), rng.percent(50)));
    assert_eq!(twice[0], twice[1]);
    twice[0].0 = Rng::new(6).next();
    assert_ne!(twice[0].0, twice[1].0);
    assert_eq!(run(9, None).1.work(), run(9, None).1.work());
}
