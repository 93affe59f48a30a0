//! Results as Markdown.

use std::fmt::Write;

use crate::run::{Figure, Report};

/// The workloads in the order of the tables, with what each does.
const WORKLOADS: [(&str, &str); 6] = [
    ("append", "durable single appends, one stream"),
    ("append16", "durable single appends, 16 streams in turn [1]"),
    ("batch8", "atomic batches of 8, one stream [2]"),
    ("cold", "a fresh handle after an unannounced stop, then one append"),
    ("iterate", "a fresh handle, then all events from the oldest to the newest"),
    ("ack1000", "a fresh handle, then the oldest 1000 events are not needed any more [3]"),
];

const NOTES: &str = "\
[1] `sequential-storage` knows no streams: here it stores 2 bytes of stream and 2 of version before each payload.\n\
[2] `sequential-storage` has no batches: each item is written on its own, and a power cut leaves some of them.\n\
[3] Evenkeel moves a tracker; `sequential-storage` pops each item.\n";

/// A table for each workload: a row for each system, word and payload, a column for each metric. A system that cannot
/// do it has one row of dashes.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let systems = distinct(report.results.iter().map(|figure| figure.system));
    let mut out = String::new();
    for (workload, title) in WORKLOADS {
        let figures: Vec<_> = report.results.iter().filter(|figure| figure.workload == workload).collect();
        let metrics = distinct(figures.iter().map(|figure| figure.metric));
        let _ = writeln!(out, "**{workload}**: {title}\n");
        let _ = writeln!(out, "| sectors | word | payload | system | {} |", metrics.join(" | "));
        let _ = writeln!(out, "| --- | --- | --- | --- |{}", " --- |".repeat(metrics.len()));
        for (sectors, word, payload) in
            distinct(figures.iter().map(|figure| (figure.sectors, figure.word, figure.payload)))
        {
            for system in systems.iter().filter(|system| took_part(&figures, system)) {
                let of_system = |figure: &&&Figure| {
                    (figure.sectors, figure.word, figure.payload, figure.system) == (sectors, word, payload, *system)
                };
                let cells: Vec<_> = metrics
                    .iter()
                    .map(|metric| {
                        let figure = figures.iter().filter(of_system).find(|figure| figure.metric == *metric);
                        figure.map_or("—".to_owned(), |figure| number(figure.value))
                    })
                    .collect();
                let _ = writeln!(out, "| {sectors} | {word} | {payload} | {system} | {} |", cells.join(" | "));
            }
        }
        for system in systems.iter().filter(|system| !took_part(&figures, system)) {
            let _ = writeln!(out, "| — | — | — | {system} |{}", " — |".repeat(metrics.len()));
        }
        out.push('\n');
    }
    out + NOTES
}

fn took_part(figures: &[&Figure], system: &str) -> bool {
    figures.iter().any(|figure| figure.system == system)
}

/// Each value once, in the order of their first appearance.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut known, value| {
        if !known.contains(&value) {
            known.push(value);
        }
        known
    })
}

/// Whole numbers as such, others with two digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_cannot_do_is_a_dash() {
        let figure = |system, workload, value| Figure {
            system,
            workload,
            payload: 16,
            word: 4,
            sectors: 64,
            metric: "bytes_per_event",
            value,
        };
        let results = vec![figure("a", "append", 24.125), figure("b", "append", 25.0), figure("a", "batch8", 20.0)];
        let table = markdown(&Report { results });
        assert!(table.contains("| 64 | 4 | 16 | a | 24.12 |\n| 64 | 4 | 16 | b | 25 |"), "{table}");
        assert!(table.contains("| — | — | — | b | — |"), "{table}");
    }
}
