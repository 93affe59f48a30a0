//! A small fleet against a real collector that is killed, and collectors that break a promise.

#![cfg(feature = "server")]

use std::process::Command;

/// Runs a fleet and answers its exit status and the numbers of its last line.
fn fleet(args: &[&str]) -> (Option<i32>, Vec<(String, u64)>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("fleet").args(args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    let last = text.lines().rfind(|line| line.starts_with("devices=")).unwrap_or_else(|| panic!("{text}"));
    let numbers = last.split(' ').map(|pair| {
        let (name, number) = pair.split_once('=').unwrap();
        (name.to_owned(), number.parse().unwrap())
    });
    (output.status.code(), numbers.collect(), text)
}

fn number(tally: &[(String, u64)], name: &str) -> u64 {
    tally.iter().find(|(known, _)| known == name).unwrap().1
}

#[test]
fn a_fleet_delivers_everything_once_while_the_collector_is_killed() {
    let (status, tally, text) = fleet(&["--devices", "40", "--loss", "0.2", "--kill", "3", "--seed", "3"]);
    let names: Vec<_> = tally.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["devices", "events", "lost", "duplicated", "diverged_undetected", "gaps_declared"]);
    assert_eq!(status, Some(0), "{text}");
    for name in ["lost", "duplicated", "diverged_undetected"] {
        assert_eq!(number(&tally, name), 0, "{text}");
    }
    assert!(number(&tally, "events") > 2000 && number(&tally, "gaps_declared") > 0, "{text}");
}

/// What a broken promise must show as.
#[track_caller]
fn caught(sabotage: &str, name: &str) {
    let args = ["--devices", "40", "--loss", "0", "--seed", "3", "--sabotage", sabotage];
    let (status, tally, text) = fleet(&args);
    assert_eq!(status, Some(1), "{text}");
    assert!(number(&tally, name) > 0, "{text}");
}

#[test]
fn a_collector_that_forgets_what_it_said_it_stored_is_caught() {
    caught("forget", "lost");
}

#[test]
fn a_collector_that_stores_events_twice_is_caught() {
    caught("twice", "duplicated");
}

#[test]
fn a_collector_that_does_not_mind_copied_boards_is_caught() {
    caught("blind", "diverged_undetected");
}
