//! `report.html`: what a run came to, as one file that needs no other.
//!
//! The page has no scripts and refers to nothing outside of itself, so it opens from a disk, from a mail and in
//! ten years. It follows the reader's light or dark colours, its colours are told apart by colour-blind readers
//! too, and everything that is drawn is also there as text.
//!
//! ```text
//! Report ── verdict, parameters, rows        page.rs
//!   ├── FlashMap ── what lies in each sector  flash_map.rs
//!   │            └─ erase counts              wear.rs
//!   └── Timeline ── temperatures and marks    timeline.rs
//! ```

mod flash_map;
mod page;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod wear;

pub(crate) use text::grouped;

/// What a report shows. All texts are plain: they are escaped where they are put into the page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// The heading of the page.
    pub(crate) title: String,
    /// A sentence below it that says what was run.
    pub(crate) subtitle: String,
    /// Whether all that was promised held.
    pub(crate) verdict: Verdict,
    /// With what the run was started: names and values.
    pub(crate) parameters: Vec<(String, String)>,
    /// What was measured.
    pub(crate) rows: Vec<Row>,
    /// What lies in the flash at the end.
    pub(crate) flash: FlashMap,
    /// What was recorded over time.
    pub(crate) timeline: Timeline,
}

/// The outcome of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    /// Whether all promises held.
    pub(crate) passed: bool,
    /// What was checked, or what failed, in a sentence.
    pub(crate) sentence: String,
}

/// One measured value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    /// What was measured, in a few words.
    pub(crate) label: String,
    /// The value with its unit.
    pub(crate) value: String,
    /// What it means, or how it was measured.
    pub(crate) explanation: String,
    /// Whether it is shown large at the top of the page, too.
    pub(crate) headline: bool,
}

impl Row {
    /// A row of the table.
    pub(crate) fn new(label: impl Into<String>, value: impl Into<String>, explanation: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), explanation: explanation.into(), headline: false }
    }

    /// A row that is shown large at the top, too.
    pub(crate) fn headline(self) -> Self {
        Self { headline: true, ..self }
    }
}

/// The flash of the device at the end of the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlashMap {
    /// Bytes in each sector.
    pub(crate) sector_bytes: u32,
    /// The sectors in the order of their addresses.
    pub(crate) sectors: Vec<Sector>,
    /// The names of the aggregate types, by their numbers.
    pub(crate) kinds: Vec<(u8, String)>,
}

/// One erase unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sector {
    /// Its place in the order of the log; `None` if it is not part of it.
    pub(crate) sequence: Option<u64>,
    /// How often it has been erased.
    pub(crate) erases: u32,
    /// What it is at the moment.
    pub(crate) role: Role,
    /// What lies in it, by rising start, without overlaps. What no segment covers is free.
    pub(crate) segments: Vec<Segment>,
}

/// What a sector is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(dead_code)] // a single run need not show them all
pub(crate) enum Role {
    /// Not part of the log: erased, or never used.
    #[default]
    Free,
    /// Erased ahead, next in line.
    Prepared,
    /// Full, and kept.
    Kept,
    /// The oldest that is kept: the next to be reused.
    Oldest,
    /// The one that is being written.
    Head,
    /// No longer erases: left out.
    Bad,
}

/// A stretch of a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its first byte, counted from the start of the sector.
    pub(crate) start: u32,
    /// How many bytes it has.
    pub(crate) len: u32,
    /// What lies there.
    pub(crate) class: Class,
}

/// What lies in a stretch of flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(dead_code)] // a single run need not show them all
pub(crate) enum Class {
    /// The header or the seal of the sector.
    Header,
    /// Events of an aggregate of this kind.
    Event(u8),
    /// The state of an aggregate.
    Snapshot,
    /// Reading places and other notes of the log itself.
    Tracker,
    /// The remains of a write that power cut short, and what was left free behind it.
    Torn,
    /// Erased.
    Free,
}

/// What was recorded, hour by hour.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    /// The year whose first hour is hour 0.
    pub(crate) first_year: i32,
    /// Hours and temperatures in hundredths of a degree Celsius, by rising hour.
    pub(crate) readings: Vec<(u32, i16)>,
    /// The lowest and the highest temperature allowed, in hundredths of a degree Celsius.
    pub(crate) limits: (i16, i16),
    /// The hours in which the temperature was outside: the first, and the one after the last.
    pub(crate) excursions: Vec<(u32, u32)>,
    /// What else happened.
    pub(crate) marks: Vec<Mark>,
}

/// Something that happened in an hour.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// The hour.
    pub(crate) hour: u32,
    /// What it was.
    pub(crate) kind: MarkKind,
    /// More about it, for the tooltip; may be empty.
    pub(crate) note: String,
}

/// What happened, each in a lane of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // a single run need not show them all
pub(crate) enum MarkKind {
    /// The alarm was raised.
    Alarm,
    /// The shipment went into other hands.
    HandOver,
    /// Power failed.
    PowerCut,
    /// A gateway pulled the log.
    Sync,
}

/// The page, to be written to a file as it is.
pub(crate) fn render(report: &Report) -> String {
    page::render(report)
}
