//! What is told of a run: a table, a last line, and the report.

use std::collections::BTreeMap;
use std::fmt::Write;

use evenkeel_apps::cold_chain::{Alarm, AlarmEvent, Sensor, Shipment, ShipmentEvent};
use evenkeel_collector::{StoreError, StoredEvent};
use evenkeel_core::Aggregate;
use evenkeel_host_sim::flash::FlashOp;

use super::gateway::LOSS;
use super::life::{CONFIG, CutNote};
use super::plan::Activity;
use super::verdict::{self, Verdict};
use super::{Run, flash_map};
use crate::args::DemoArgs;
use crate::report::{self, FlashMap, Mark, MarkKind, Report, Row, Timeline, grouped};

/// What was measured in a run, and what it means.
#[derive(Debug)]
pub(crate) struct Summary {
    subtitle: String,
    rows: Vec<Row>,
    verdict: Verdict,
    passed: bool,
}

impl Summary {
    /// Measures a run that is over.
    pub(crate) fn of(run: &mut Run, args: &DemoArgs, verdict: Verdict) -> Self {
        let hours = run.world.samples.len() as u64;
        let subtitle = format!(
            "{} hours of a cold-chain monitor on 64 sectors of nRF52840 flash, {} power cuts, seed {}",
            grouped(hours),
            grouped(verdict.cuts.into()),
            args.seed
        );
        let passed = run.complaint(&verdict).is_none();
        Self { subtitle, rows: rows(run, &verdict), verdict, passed }
    }

    /// The table and the last line.
    pub(crate) fn text(&self) -> String {
        let width = |of: fn(&Row) -> &str| self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (labels, values) = (width(|row| &row.label), width(|row| &row.value));
        let mut text = format!("Evenkeel demo: {}\n\n", self.subtitle);
        for Row { label, value, explanation, .. } in &self.rows {
            let _ = writeln!(text, "  {label:labels$}  {value:>values$}  {explanation}");
        }
        let _ = writeln!(text, "\n{}", self.verdict);
        text
    }

    /// The page.
    pub(crate) fn report(&self, run: &Run, args: &DemoArgs) -> Result<String, StoreError> {
        let sentence = if self.passed {
            format!(
                "After {} power cuts, each of the {} events that were acknowledged as durable was collected exactly \
                 once, and the aggregates replayed from them equal those in the device.",
                grouped(self.verdict.cuts.into()),
                grouped(run.world.ledger.borrow().acknowledged().count() as u64)
            )
        } else {
            run.complaint(&self.verdict).unwrap_or_default()
        };
        let flash = run.device.flash();
        let kinds = [(Shipment::KIND, "shipments"), (Sensor::KIND, "the sensor"), (Alarm::KIND, "the alarm")];
        let page = Report {
            title: "Evenkeel demo".into(),
            subtitle: format!("{}.", self.subtitle),
            verdict: report::Verdict { passed: self.passed, sentence },
            parameters: parameters(run, args),
            rows: self.rows.clone(),
            flash: FlashMap {
                sector_bytes: flash_map::SECTOR as u32,
                sectors: flash_map::sectors(&flash.image(), &flash.erase_counts()),
                kinds: kinds.map(|(kind, name)| (kind.0, name.to_string())).into(),
            },
            timeline: timeline(run)?,
        };
        Ok(report::render(&page))
    }
}

fn per(whole: u64, parts: u64) -> String {
    if parts == 0 { "\u{2013}".into() } else { format!("{:.1}", whole as f64 / parts as f64) }
}

fn milliseconds(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}

fn rows(run: &mut Run, verdict: &Verdict) -> Vec<Row> {
    let visits = run.world.gateway.visits();
    let flash = run.device.flash();
    let (counters, erases) = (flash.counters(), flash.erase_counts());
    let (least, most) = (erases.iter().min().copied().unwrap_or(0), erases.iter().max().copied().unwrap_or(0));
    let ledger = run.world.ledger.borrow();
    let events = ledger.acknowledged().count() as u64;
    let share = |ns: u64| 100.0 * ns as f64 / counters.busy_ns().max(1) as f64;
    vec![
        Row::new(
            "events collected",
            grouped(verdict.events),
            format!("{} were acknowledged as durable", grouped(events)),
        )
        .headline(),
        Row::new("power cuts survived", grouped(verdict.cuts.into()), by_activity(&run.world.cuts)).headline(),
        Row::new("torn by them", by_op(&run.world.cuts), right_after(&run.world.cuts)),
        Row::new(
            "flash bytes per event",
            per(counters.bytes_programmed, events),
            format!("all that was programmed; {} of it are payload", per(ledger.payload_bytes, events)),
        )
        .headline(),
        Row::new(
            "erases",
            grouped(erases.iter().map(|count| u64::from(*count)).sum()),
            format!("each sector {least} to {most} times"),
        )
        .headline(),
        Row::new(
            "flash busy",
            format!("{:.1} s", counters.busy_us() as f64 / 1e6),
            format!(
                "{:.0} % programming, {:.0} % erasing, {:.0} % reading",
                share(counters.program_ns),
                share(counters.erase_ns),
                share(counters.read_ns)
            ),
        ),
        Row::new("slowest append", milliseconds(ledger.slowest_us), "of all that were acknowledged, in flash time"),
        Row::new("slowest boot", milliseconds(run.world.slowest_boot_us), "from power on to ready, in flash time"),
        Row::new(
            "snapshots",
            grouped(ledger.snapshots),
            format!("stored in {} appends of events and other records", grouped(ledger.appends)),
        ),
        Row::new(
            "syncs",
            grouped(visits.count.into()),
            format!(
                "{} broken off; {} of {} frames lost",
                visits.broken_off,
                grouped(visits.frames_lost),
                grouped(visits.frames)
            ),
        ),
        Row::new(
            "radio bytes per event",
            per(visits.bytes, verdict.events),
            format!("both ways, lost ones too: {} for each byte of payload", per(visits.bytes, visits.payload_bytes)),
        )
        .headline(),
    ]
}

fn by_activity(cuts: &[CutNote]) -> String {
    let mut counts = BTreeMap::new();
    for cut in cuts {
        *counts.entry(cut.activity).or_insert(0_u64) += 1;
    }
    if counts.is_empty() {
        return "power never failed".into();
    }
    let texts: Vec<_> =
        counts.into_iter().map(|(activity, count)| format!("{} {}", grouped(count), doing(activity))).collect();
    texts.join(", ")
}

fn doing(activity: Activity) -> &'static str {
    match activity {
        Activity::Recovery => "in recovery",
        Activity::Recording => "recording",
        Activity::Upkeep => "in upkeep",
        Activity::Sync => "in sync",
    }
}

fn by_op(cuts: &[CutNote]) -> String {
    let erases = cuts.iter().filter(|cut| cut.op == FlashOp::Erase).count() as u64;
    format!("{} + {}", grouped(cuts.len() as u64 - erases), grouped(erases))
}

fn right_after(cuts: &[CutNote]) -> String {
    let again = cuts.iter().filter(|cut| cut.again).count() as u64;
    format!("words + erases; {} of them right after the cut before", grouped(again))
}

fn parameters(run: &Run, args: &DemoArgs) -> Vec<(String, String)> {
    let input = match args.input.as_slice() {
        [] => "a year in Seattle, a year in San Francisco".into(),
        files => files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let profile = run.device.flash().profile();
    [
        ("seed", args.seed.to_string()),
        ("power cuts", args.cuts.to_string()),
        ("input", input),
        ("flash", format!("{}: 64 sectors of 4096 bytes, words of 4 bytes", profile.name)),
        ("flash times", profile.source.to_string()),
        ("radio", format!("{:.0} % of frames lost each way, 5 % doubled, 5 % overtaken", LOSS * 100.0)),
        ("device", run.world.identity.to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into()
}

/// What the collector knows of the cargo, and what happened to device and log.
fn timeline(run: &Run) -> Result<Timeline, StoreError> {
    let mut story = Story::default();
    for event in verdict::collected(&run.world.gateway.store)? {
        story.take_in(&event);
    }
    let mark = |hour, kind, note| Mark { hour, kind, note };
    for cut in &run.world.cuts {
        let what = if cut.op == FlashOp::Erase { "an erase" } else { "a word" };
        story.marks.push(mark(cut.hour, MarkKind::PowerCut, format!("{what} torn {}", doing(cut.activity))));
    }
    for (hour, visited) in &run.world.visits {
        let rest = if visited.complete { "" } else { ", broken off" };
        let note = format!("{} events in {} frames{rest}", visited.events, visited.frames);
        story.marks.push(mark(*hour, MarkKind::Sync, note));
    }
    let end = story.readings.last().map_or(0, |(hour, _)| hour.saturating_add(1));
    story.excursions.extend(story.outside_since.map(|since| (since, end)));
    let limits = (CONFIG.limits.low, CONFIG.limits.high);
    let Story { readings, excursions, marks, .. } = story;
    Ok(Timeline { first_year: run.first_year, readings, limits, excursions, marks })
}

/// The events of the device as they are drawn.
#[derive(Debug, Default)]
struct Story {
    readings: Vec<(u32, i16)>,
    excursions: Vec<(u32, u32)>,
    outside_since: Option<u32>,
    marks: Vec<Mark>,
}

impl Story {
    fn take_in(&mut self, event: &StoredEvent) {
        let record = event.record();
        if let Some(Ok(event)) = record.event::<Shipment>() {
            self.shipment(&event);
        }
        if let Some(Ok(AlarmEvent::Raised { shipment, .. })) = record.event::<Alarm>() {
            // The alarm is raised by the reading before it.
            let hour = self.readings.last().map_or(0, |(hour, _)| *hour);
            let note = format!("shipment {shipment} outside its limits for {} hours", CONFIG.alarm_after_minutes / 60);
            self.marks.push(Mark { hour, kind: MarkKind::Alarm, note });
        }
    }

    fn shipment(&mut self, event: &ShipmentEvent) {
        self.readings.extend(event.reading());
        match *event {
            ShipmentEvent::ExcursionStarted { hour } => self.outside_since = Some(hour),
            ShipmentEvent::ExcursionEnded { hour, .. } => {
                self.excursions.extend(self.outside_since.take().map(|since| (since, hour)));
            }
            ShipmentEvent::HandedOver { hour, to } => {
                let note = format!("to holder {to}");
                self.marks.push(Mark { hour, kind: MarkKind::HandOver, note });
            }
            _ => {}
        }
    }
}
