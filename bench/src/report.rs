//! What was found.

use serde::Serialize;

use crate::systems::{Which, Workload};
use crate::workload::{Figures, Spread};

/// Everything that was counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// In the order of the runs.
    pub results: Vec<Figure>,
    /// What some systems cannot do.
    pub notes: Vec<Note>,
}

/// Where a figure belongs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// The name of the system.
    pub system: &'static str,
    /// The name of the workload.
    pub workload: &'static str,
    /// Bytes of each payload.
    pub payload: usize,
    /// Bytes of a word.
    pub word: usize,
    /// Number of sectors.
    pub sectors: usize,
    /// The chip whose geometry it is, where that is not 4 KiB sectors of any chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<&'static str>,
    /// Events of the aggregate that is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// In how many places they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<u64>,
    /// How many streams take turns, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// Where it belongs.
    #[serde(flatten)]
    pub place: Place,
    /// What was counted.
    pub metric: &'static str,
    /// How many, or how many for each event.
    pub value: f64,
}

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// Where they would belong.
    #[serde(flatten)]
    pub place: Place,
    /// The reason, after "cannot: " or "missing: ".
    pub note: String,
}

impl Place {
    /// A workload of a system.
    #[must_use]
    pub const fn new(which: Which, workload: &'static str, payload: usize, word: usize, sectors: usize) -> Self {
        Self {
            system: which.name(),
            workload,
            payload,
            word,
            sectors,
            chip: None,
            events: None,
            places: None,
            streams: None,
        }
    }

    /// The same of an aggregate that lies so between others.
    #[must_use]
    pub const fn spread(self, spread: Spread) -> Self {
        Self { events: Some(spread.events), places: Some(spread.places), ..self }
    }

    /// The same on this chip.
    #[must_use]
    pub const fn chip(self, chip: &'static str) -> Self {
        Self { chip: Some(chip), ..self }
    }
}

impl Report {
    /// A report of these figures alone.
    #[must_use]
    pub fn of(place: Place, figures: Figures) -> Self {
        let results = figures.into_iter().map(|(metric, value)| Figure { place, metric, value }).collect();
        Self { results, notes: Vec::new() }
    }

    /// A report that has nothing but a reason.
    #[must_use]
    pub fn without(place: Place, note: String) -> Self {
        Self { results: Vec::new(), notes: vec![Note { place, note }] }
    }

    /// Adds another report.
    pub fn take_in(&mut self, other: Self) {
        self.results.extend(other.results);
        self.notes.extend(other.notes);
    }

    /// One figure, by the words, sectors and payloads of the workloads over 4 KiB sectors.
    #[must_use]
    pub fn value(
        &self,
        system: &str,
        workload: Workload,
        (payload, word, sectors): (usize, usize, usize),
        metric: &str,
    ) -> Option<f64> {
        let found = self.results.iter().find(|figure| {
            let place = figure.place;
            (place.system, place.workload, figure.metric) == (system, workload.name(), metric)
                && (place.payload, place.word, place.sectors, place.chip) == (payload, word, sectors, None)
        });
        found.map(|figure| figure.value)
    }
}
