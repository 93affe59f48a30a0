//! Where a peer is ahead.

use std::fmt::Write;

use super::table::{distinct, number};
use crate::report::{Figure, Report};

const OURS: &str = "evenkeel";
/// More of these is better; of all others less is.
const MORE_IS_BETTER: [&str; 2] = ["lifetime_events", "events"];
/// These tell what was there, not how well it was done, or are part of another.
const NEUTRAL: [&str; 3] = ["sectors_holding", "section_bytes", "mount_reads"];

/// A line for each workload and metric in which some peer does better than Evenkeel anywhere.
pub(super) fn ahead(report: &Report) -> String {
    let figures = &report.results;
    let mut out = String::new();
    for (workload, metric) in distinct(figures.iter().map(|figure| (figure.place.workload, figure.metric))) {
        if NEUTRAL.contains(&metric) {
            continue;
        }
        let of: Vec<_> =
            figures.iter().filter(|figure| (figure.place.workload, figure.metric) == (workload, metric)).collect();
        let leads: Vec<_> = distinct(of.iter().map(|figure| family(figure)))
            .into_iter()
            .filter(|family| *family != OURS)
            .filter_map(|peer| lead(&of, peer, MORE_IS_BETTER.contains(&metric)))
            .collect();
        if !leads.is_empty() {
            let _ = writeln!(out, "- `{workload}`, `{metric}`: {}", leads.join("; "));
        }
    }
    if out.is_empty() { "- Nowhere in this run.\n".to_owned() } else { out }
}

/// A system with all its levels of caching.
fn family(figure: &Figure) -> &'static str {
    let system = figure.place.system;
    system.split_once(',').map_or(system, |(family, _)| family)
}

/// Where this peer does better with any level of caching, and where most clearly.
fn lead(figures: &[&Figure], peer: &str, more_is_better: bool) -> Option<String> {
    let (mut shared, mut won, mut best): (usize, usize, Option<(f64, String)>) = (0, 0, None);
    for ours in figures.iter().filter(|figure| figure.place.system == OURS) {
        let same = |figure: &&&Figure| {
            let place = crate::report::Place { system: OURS, ..figure.place };
            place == ours.place && family(figure) == peer
        };
        let values = figures.iter().filter(same).map(|figure| figure.value);
        let Some(theirs) = (if more_is_better { values.reduce(f64::max) } else { values.reduce(f64::min) }) else {
            continue;
        };
        shared += 1;
        let (less, more) = if more_is_better { (ours.value, theirs) } else { (theirs, ours.value) };
        if less < more {
            won += 1;
            let ratio = less / more;
            if best.as_ref().is_none_or(|(before, _)| ratio < *before) {
                best = Some((ratio, format!("{} against {}", number(theirs), number(ours.value))));
            }
        }
    }
    best.map(|(_, values)| format!("{peer} at {won} of {shared} points, most clearly with {values}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Place;
    use crate::systems::Which;

    #[test]
    fn a_lead_is_told_with_its_clearest_point() {
        let mut report = Report::default();
        for (which, word, value) in [
            (Which::Evenkeel, 4, 24.4),
            (Which::SensorDb, 4, 24.0),
            (Which::Evenkeel, 8, 30.0),
            (Which::SensorDb, 8, 31.0),
        ] {
            report.take_in(Report::of(Place::new(which, "append", 16, word, 64), vec![("bytes", value)]));
        }
        let expected = "- `append`, `bytes`: sensor-db at 1 of 2 points, most clearly with 24 against 24.40\n";
        assert_eq!(ahead(&report), expected);
    }
}
