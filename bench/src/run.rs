//! All systems through all workloads.

use serde::Serialize;

use crate::evenkeel::Evenkeel;
use crate::sequential::{Level, NoCache, PagePointers, Queue};
use crate::system::System;
use crate::workload::{self, Figures, Work};

/// Everything that was counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// In the order of the runs.
    pub results: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
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
    /// What was counted.
    pub metric: &'static str,
    /// How many, or how many for each event.
    pub value: f64,
}

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Events in each append workload.
    pub events: u64,
    /// Sectors, but for the cold workload.
    pub sectors: usize,
    /// Bytes of payload.
    pub payloads: &'static [usize],
    /// Sectors of the cold workload, each with how many states of the newest sectors are tried.
    pub cold: &'static [(usize, u64)],
}

impl Scale {
    /// What the published figures are of.
    pub const FULL: Self =
        Self { events: 10_000, sectors: 64, payloads: &[16, 32, 64], cold: &[(64, 340), (1024, 340)] };
    /// A few seconds' worth without optimisation.
    pub const QUICK: Self = Self { events: 1_000, sectors: 8, payloads: &[16, 64], cold: &[(8, 40)] };
}

/// The flash workloads.
#[must_use]
pub fn flash(scale: Scale) -> Report {
    let mut report = Report { results: Vec::new() };
    words::<1>(&mut report, scale);
    words::<4>(&mut report, scale);
    words::<8>(&mut report, scale);
    words::<16>(&mut report, scale);
    words::<32>(&mut report, scale);
    whole::<4>(&mut report, scale);
    report
}

/// The workloads whose figures depend on the word.
fn words<const WORD: usize>(report: &mut Report, scale: Scale) {
    let Scale { events, sectors, .. } = scale;
    for &payload in scale.payloads {
        for (name, streams) in [("append", 1), ("append16", 16)] {
            let work = Work { sectors, payload, streams, batch: 1 };
            report.take_in::<Evenkeel<WORD>, WORD>(name, work, workload::append::<Evenkeel<WORD>, WORD>(work, events));
            report.append_queue::<NoCache, WORD>(name, work, events);
            report.append_queue::<PagePointers, WORD>(name, work, events);
        }
        let work = Work { sectors, payload, streams: 1, batch: 8 };
        report.take_in::<Evenkeel<WORD>, WORD>("batch8", work, workload::append::<Evenkeel<WORD>, WORD>(work, events));
    }
}

/// The workloads that are run for one word only.
fn whole<const WORD: usize>(report: &mut Report, scale: Scale) {
    for &(sectors, fills) in scale.cold {
        let work = Work { sectors, payload: 16, streams: 1, batch: 1 };
        report.take_in::<Evenkeel<WORD>, WORD>(
            "cold",
            work,
            workload::cold::<Evenkeel<WORD>, Evenkeel<WORD>, WORD>(work, fills),
        );
        report.cold_queue::<NoCache, WORD>(work, fills);
        report.cold_queue::<PagePointers, WORD>(work, fills);
    }
    for &payload in scale.payloads {
        let work = Work { sectors: scale.sectors, payload, streams: 1, batch: 1 };
        report.read_back::<Evenkeel<WORD>, WORD>(work);
        report.read_back::<Queue<NoCache, WORD>, WORD>(work);
        report.read_back::<Queue<PagePointers, WORD>, WORD>(work);
    }
}

impl Report {
    fn take_in<S: System<WORD>, const WORD: usize>(&mut self, workload: &'static str, work: Work, figures: Figures) {
        let Work { sectors, payload, .. } = work;
        self.results.extend(figures.into_iter().map(|(metric, value)| Figure {
            system: S::NAME,
            workload,
            payload,
            word: WORD,
            sectors,
            metric,
            value,
        }));
    }

    fn append_queue<L: Level, const WORD: usize>(&mut self, name: &'static str, work: Work, events: u64) {
        let figures = workload::append::<Queue<L, WORD>, WORD>(work, events);
        self.take_in::<Queue<L, WORD>, WORD>(name, work, figures);
    }

    /// The queue is filled with its cache, whatever it is taken up with: it writes the same.
    fn cold_queue<L: Level, const WORD: usize>(&mut self, work: Work, fills: u64) {
        let figures = workload::cold::<Queue<PagePointers, WORD>, Queue<L, WORD>, WORD>(work, fills);
        self.take_in::<Queue<L, WORD>, WORD>("cold", work, figures);
    }

    fn read_back<S: System<WORD>, const WORD: usize>(&mut self, work: Work) {
        self.take_in::<S, WORD>("iterate", work, workload::iterate::<S, WORD>(work));
        self.take_in::<S, WORD>("ack1000", work, workload::acknowledge::<S, WORD>(work));
    }
}
