//! Figures as Markdown tables.

use std::fmt::Write;

use crate::report::{Figure, Note, Place};

/// A table of these figures: a row for each place and system, a column for each metric. What a system cannot do is a row
/// with the reason.
pub(crate) fn table<'r>(figures: impl Iterator<Item = &'r Figure>, notes: impl Iterator<Item = &'r Note>) -> String {
    let (figures, notes): (Vec<_>, Vec<_>) = (figures.collect(), notes.collect());
    let metrics = distinct(figures.iter().map(|figure| figure.metric));
    let places = || figures.iter().map(|figure| figure.place).chain(notes.iter().map(|note| note.place));
    let columns: Vec<_> =
        COLUMNS.into_iter().filter(|(_, cell)| places().any(|place| cell(&place).is_some())).collect();
    let titles: Vec<_> = columns.iter().map(|(title, _)| *title).chain(["system"]).chain(metrics.clone()).collect();
    let mut out = String::new();
    let _ = writeln!(out, "| {} |", titles.join(" | "));
    let _ = writeln!(out, "| --- |{}", " --- |".repeat(titles.len() - 1));
    for group in distinct(figures.iter().map(|figure| columns_of(&columns, &figure.place))) {
        let here: Vec<_> = figures.iter().filter(|figure| columns_of(&columns, &figure.place) == group).collect();
        for system in distinct(here.iter().map(|figure| figure.place.system)) {
            let value = |metric: &&str| {
                let found = here.iter().find(|figure| (figure.place.system, figure.metric) == (system, *metric));
                found.map_or("—".to_owned(), |figure| number(figure.value))
            };
            let cells: Vec<_> = metrics.iter().map(value).collect();
            let _ = writeln!(out, "| {} | {system} | {} |", group.join(" | "), cells.join(" | "));
        }
    }
    for (system, note) in distinct(notes.iter().map(|note| (note.place.system, &note.note))) {
        let of: Vec<_> = notes.iter().filter(|other| (other.place.system, &other.note) == (system, note)).collect();
        let cells: Vec<_> = columns
            .iter()
            .map(|(_, cell)| {
                distinct(of.iter().map(|note| cell(&note.place).unwrap_or_else(|| "all".to_owned()))).join(", ")
            })
            .collect();
        let rest = " — |".repeat(metrics.len().saturating_sub(1));
        let _ = writeln!(out, "| {} | {system} | cannot: {note} |{rest}", cells.join(" | "));
    }
    out
}

type Cell = fn(&Place) -> Option<String>;

/// What tells rows apart; a column is there if any row has it.
const COLUMNS: [(&str, Cell); 7] = [
    ("chip", |place| place.chip.map(str::to_owned)),
    ("sectors", |place| (place.sectors > 0).then(|| place.sectors.to_string())),
    ("word", |place| (place.word > 0).then(|| place.word.to_string())),
    ("payload", |place| Some(place.payload.to_string())),
    ("events", |place| place.events.map(|events| events.to_string())),
    ("places", |place| place.places.map(|places| places.to_string())),
    ("streams", |place| place.streams.map(|streams| streams.to_string())),
];

fn columns_of(columns: &[(&str, Cell)], place: &Place) -> Vec<String> {
    columns.iter().map(|(_, cell)| cell(place).unwrap_or_default()).collect()
}

/// Each value once, in the order of their first appearance.
pub(super) fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut known, value| {
        if !known.contains(&value) {
            known.push(value);
        }
        known
    })
}

/// Whole numbers as such, large ones without digits behind the point, small ones with three.
pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 {
        format!("{value:.0}")
    } else if value < 0.1 {
        format!("{value:.3}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::systems::Which;

    #[test]
    fn what_a_system_cannot_do_is_a_row_with_the_reason() {
        let place = |which, word| Place::new(which, "append", 16, word, 64);
        let mut report = Report::of(place(Which::Evenkeel, 4), vec![("bytes", 24.125), ("reads", 0.0)]);
        report.take_in(Report::of(place(Which::SensorDb, 4), vec![("bytes", 130.0)]));
        report.take_in(Report::without(place(Which::Ekv, 8), "large words".to_owned()));
        report.take_in(Report::without(place(Which::Ekv, 16), "large words".to_owned()));
        let expected = "\
            | sectors | word | payload | system | bytes | reads |\n\
            | --- | --- | --- | --- | --- | --- |\n\
            | 64 | 4 | 16 | evenkeel | 24.12 | 0 |\n\
            | 64 | 4 | 16 | sensor-db | 130 | — |\n\
            | 64 | 8, 16 | 16 | ekv | cannot: large words | — |\n";
        assert_eq!(table(report.results.iter(), report.notes.iter()), expected);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!([24.391, 0.0061, 12.0, 84_301.96].map(number), ["24.39", "0.006", "12", "84302"]);
    }
}
