//! The page that is in the repository is of this code.

use std::path::Path;

use evenkeel_bench::page;
use evenkeel_bench::run::{self, Scale, WORD};
use evenkeel_bench::systems::{Level, Which, Workload};

/// Lines of the published tables that are soon made again.
const SAMPLES: [(Which, Workload); 8] = [
    (Which::Evenkeel, Workload::Append),
    (Which::Evenkeel, Workload::Append16),
    (Which::Evenkeel, Workload::Batch8),
    (Which::Evenkeel, Workload::Iterate),
    (Which::Evenkeel, Workload::Ack1000),
    (Which::Evenkeel, Workload::Section),
    (Which::Queue { level: Level::Pointers, tagged: false }, Workload::Append),
    (Which::SensorDb, Workload::Append),
];

#[test]
fn the_committed_page_agrees_with_a_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let committed = std::fs::read_to_string(path).expect("docs/benchmarks.md");
    if std::env::var_os("EVENKEEL_PIN").is_some() {
        return; // the page is written by a run of the program
    }
    let mut missing = Vec::new();
    for (which, workload) in SAMPLES {
        let report = run::one(which, workload, 16, WORD, Scale::FULL, Scale::FULL.sectors);
        missing.extend(page::lines(&report).into_iter().filter(|line| !committed.lines().any(|other| other == line)));
    }
    assert!(
        missing.is_empty(),
        "docs/benchmarks.md is of another state of the code; to write it anew:\n\
         cargo run --release -p evenkeel-bench -- flash --markdown docs/benchmarks.md\n{}",
        missing.join("\n"),
    );
}
