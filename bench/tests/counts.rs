//! Evenkeel's counts, which are exact: a change of any of them is a change of the format or of the algorithms.
//!
//! `EVENKEEL_PIN=1 cargo test -p evenkeel-bench` writes them anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use evenkeel_bench::report::Report;
use evenkeel_bench::run::{self, Scale, WORD, WORDS};
use evenkeel_bench::systems::{Which, Workload};

/// Differences that are told; more are counted.
const TOLD: usize = 40;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every workload of Evenkeel, with fewer events than the published figures are of.
fn counts() -> String {
    let mut out = String::from("# Written by `EVENKEEL_PIN=1 cargo test -p evenkeel-bench`.\n");
    for workload in Workload::ALL {
        let appends = matches!(workload, Workload::Append | Workload::Append16 | Workload::Batch8);
        let payloads: &[usize] = match workload {
            Workload::Cold | Workload::ColdClosed | Workload::Load | Workload::Section => &[16],
            _ => Scale::QUICK.payloads,
        };
        for word in WORDS.into_iter().filter(|word| appends || *word == WORD) {
            for &payload in payloads {
                let report = run::one(Which::Evenkeel, workload, payload, word, Scale::QUICK, Scale::QUICK.sectors);
                write_down(&report, &mut out);
            }
        }
    }
    out
}

fn write_down(report: &Report, out: &mut String) {
    for figure in &report.results {
        let place = figure.place;
        let _ = write!(out, "{}, word {}, payload {}", place.workload, place.word, place.payload);
        if let (Some(events), Some(places)) = (place.events, place.places) {
            let _ = write!(out, ", {events} events in {places} places");
        }
        let _ = writeln!(out, ": {} {}", figure.metric, figure.value);
    }
}

#[test]
fn evenkeel_counts_what_it_counted_before() {
    let (path, now) = (file("tests/counts.txt"), counts());
    if std::env::var_os("EVENKEEL_PIN").is_some() {
        std::fs::write(&path, now).expect("writing the counts");
        return;
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let key = |line: &str| line.rsplit_once(' ').map(|(key, _)| key.to_owned()).unwrap_or_default();
    let value = |text: &str, line: &str| text.lines().find(|other| key(other) == key(line)).map(str::to_owned);
    let mut said = Vec::new();
    for line in before.lines().filter(|line| !line.starts_with('#')) {
        match value(&now, line) {
            Some(other) if other == line => {}
            Some(other) => said.push(format!("{line} -> {}", other.rsplit(' ').next().unwrap_or_default())),
            None => said.push(format!("{line} -> gone")),
        }
    }
    said.extend(now.lines().filter(|line| value(&before, line).is_none()).map(|line| format!("new: {line}")));
    let (shown, more) = (said.iter().take(TOLD).cloned().collect::<Vec<_>>(), said.len().saturating_sub(TOLD));
    assert!(
        said.is_empty(),
        "counts changed; if that is wanted: EVENKEEL_PIN=1 cargo test -p evenkeel-bench\n{}\nand {more} more",
        shown.join("\n"),
    );
}
