//! What the event-sourcing workloads count is as it was, and as the page in the repository says.
//!
//! `EVENKEEL_PIN=1 cargo test -p evenkeel-bench` writes both anew, but for the times of the page: these are written by
//! `cargo run --release -p evenkeel-bench -- es --markdown docs/benchmarks-es.md`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel_bench::es::{self, Scale};
use evenkeel_bench::report::Report;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn pinned(report: &Report) -> String {
    let mut out = String::from("# Written by `EVENKEEL_PIN=1 cargo test -p evenkeel-bench`.\n");
    for figure in &report.results {
        let (place, number) = (figure.place, |count: Option<u64>| count.unwrap_or_default());
        let (events, streams) = (number(place.events), number(place.streams));
        let _ = write!(out, "{}, {}, {events} events of {streams} streams", place.workload, place.system);
        let _ = writeln!(out, ": {} {}", figure.metric, figure.value);
    }
    out
}

#[test]
fn counts_of_event_sourcing_are_as_they_were_and_as_the_page_says() {
    let (counts, page) = (file("tests/es-counts.txt"), file("../docs/benchmarks-es.md"));
    let report = es::counts(Scale::COUNTED);
    let committed = std::fs::read_to_string(&page).expect("docs/benchmarks-es.md");
    if std::env::var_os("EVENKEEL_PIN").is_some() {
        let anew =
            es::with_counts_of(&committed, &es::counts(Scale::FULL)).expect("a place for the counts in the page");
        std::fs::write(page, anew).expect("writing the page");
        std::fs::write(counts, pinned(&report)).expect("writing the counts");
        return;
    }
    let before = std::fs::read_to_string(counts).expect("tests/es-counts.txt");
    let now = pinned(&report);
    let known: Vec<_> = before.lines().collect();
    let changed: Vec<_> = now.lines().filter(|line| !known.contains(line)).collect();
    assert!(
        changed.is_empty() && now.lines().count() == known.len(),
        "counts changed; if that is wanted: EVENKEEL_PIN=1 cargo test -p evenkeel-bench\n{}",
        changed.join("\n")
    );
    let missing: Vec<_> =
        es::counted_lines(&report).into_iter().filter(|line| !committed.lines().any(|other| other == line)).collect();
    assert!(missing.is_empty(), "not in docs/benchmarks-es.md:\n{}", missing.join("\n"));
}

#[test]
fn every_workload_runs_and_the_page_and_the_json_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let [json, page] = ["results.json", "page.md"].map(|name| folder.path().join(name));
    let status = Command::new(env!("CARGO_BIN_EXE_evenkeel-bench"))
        .args(["es", "--quick", "--json"])
        .arg(&json)
        .arg("--markdown")
        .arg(&page)
        .output()
        .expect("running");
    assert!(status.status.success() && status.stdout.is_empty(), "{status:?}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).expect("JSON")).expect("JSON");
    let results = json["results"].as_array().expect("results");
    let has = |system: &str, workload: &str, metric: &str| {
        results.iter().any(|row| {
            (row["system"].as_str(), row["workload"].as_str(), row["metric"].as_str())
                == (Some(system), Some(workload), Some(metric))
                && row["value"].as_f64().is_some_and(|value| value > 0.0)
        })
    };
    for workload in ["append", "execute", "acknowledge", "replay", "notifications", "look_up"] {
        assert!(has("evenkeel", workload, "ns_per_event"), "{workload}");
        assert!(has("evenkeel, signed and chained, SHA-256", workload, "ns_per_event"), "{workload}");
    }
    for workload in ["execute", "replay"] {
        assert!(has("cqrs-es", workload, "ns_per_event"), "{workload}");
    }
    for workload in ["single", "batch64", "section64"] {
        for system in ["evenkeel, SQLite", "SQLite alone"] {
            assert!(has(system, workload, "ns_per_event"), "{system}, {workload}");
            assert!(has(system, workload, "pages_per_transaction"), "{system}, {workload}");
        }
    }
    assert!(has("evenkeel", "append", "stored_bytes_per_event") && has("evenkeel", "flash", "mount_reads"));
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(!page.contains("not measured"), "{page}");
}
