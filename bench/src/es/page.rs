//! The results of the event-sourcing workloads as Markdown.

use std::fmt::Write;

use super::{Grown, Scale, flash, memory, peer, sqlite};
use crate::page::{number, table};
use crate::report::{Figure, Report};

const HEAD: &str = "\
# Benchmarks of event sourcing

Event sourcing on the host, in memory and in SQLite, beside `cqrs-es` in memory, and how it grows, also on flash. Bytes
and counts are exact and the same on every machine. Times are of one run on one machine that may have had other work to
do, the best of several rounds: only their ratios within this page mean something. The figures of the Python library
*eventsourcing* were measured elsewhere. This page is written by

```text
cargo run --release -p evenkeel-bench -- es [--json FILE] [--markdown docs/benchmarks-es.md]
```

and nothing in it is kept by hand. `cargo test -p evenkeel-bench` pins the counts as equalities
(`EVENKEEL_PIN=1` writes them anew, here too). Storage on flash beside other stores: [benchmarks.md](benchmarks.md).

An event is one byte (which of the variants it is), and carries its stream, kind, version and position beside that. An
aggregate is two counters. *Signed and chained* is the log sealed with a key: each event has 8 bytes of a keyed hash
over itself and its place, and a hash chain runs over all events as they are stored.
";

const BEGIN: &str = "<!-- counts: written by the tests too -->";
const END: &str = "<!-- end of counts -->";

/// The size of the log that the targets are compared at.
const AT: Grown = Grown { events: 100_000, streams: 16 };

/// A report with ways to look things up.
struct Run<'r>(&'r Report);

struct Line {
    figure: &'static str,
    python: &'static str,
    target: String,
    here: String,
    verdict: String,
}

/// The page.
#[must_use]
pub fn markdown(report: &Report, scale: Scale) -> String {
    let run = Run(report);
    let at = if scale.events.contains(&AT.events) { AT } else { Grown { events: scale.events[0], streams: 16 } };
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "\n## Targets\n\nOf a log of {} events of {} streams.\n", at.events, at.streams);
    out.push_str("| figure | the Python library | target | Evenkeel | |\n| --- | --- | --- | --- | --- |\n");
    for Line { figure, python, target, here, verdict } in run.targets(at) {
        let _ = writeln!(out, "| {figure} | {python} | {target} | {here} | {verdict} |");
    }
    let _ = writeln!(out, "\n## Beside `cqrs-es` in memory, in the same run\n\n{}", run.beside(scale));
    let _ = writeln!(out, "## Growth\n\n{}", run.growth(scale));
    out.push_str(
        "## In memory\n\nNanoseconds: of an append without an aggregate, of a command on an aggregate at hand, of ",
    );
    out.push_str(
        "an acknowledgement, of an event\nwhen every aggregate is replayed, of an event when all notifications ",
    );
    out.push_str("are read, of an event at a position that is asked\nfor.\n\n");
    out.push_str(&run.timed(scale));
    out.push_str(
        "\n## SQLite\n\nOn the disk of this machine, durable when a call returns: commands of one event, commands ",
    );
    out.push_str(
        "of 64 events, and sections of\n64 events as they come from devices, which are stored whole and as rows. ",
    );
    out.push_str(
        "Beside it SQLite alone, by turns in the same run and as\ndurable: inserts into one table with its key, as many in a \
         transaction, and nothing else. Pages are those of the\nwrite-ahead log.\n\n",
    );
    out.push_str(&run.sqlite());
    let _ = write!(out, "\n{BEGIN}\n\n{}\n{END}\n", counted(report));
    out
}

/// The part of the page that is counted.
fn counted(report: &Report) -> String {
    let mut out = String::from(
        "## Bytes in memory\n\nThat the log in memory takes for each event, everything in: with a hash chain and without.\n\n",
    );
    out.push_str(&table(report.results.iter().filter(is_stored), [].iter()));
    out.push_str(
        "\n## On flash\n\nCounted after the log has come to this size, over words of 4 bytes and sectors of 4 KiB, with 256 \
         bytes of scratch and a\nslot for each stream: of an append (2048 of them); of an acknowledgement; of a mount after a \
         stop that nobody announced;\nof a section of 256 bytes of the notifications at a position (32 of each).\n\n",
    );
    out.push_str(&table(report.results.iter().filter(is_on_flash), [].iter()));
    out
}

/// The lines of the tables that are counted.
#[must_use]
pub fn counted_lines(report: &Report) -> Vec<String> {
    counted(report).lines().filter(|line| line.starts_with("| 1")).map(str::to_owned).collect()
}

/// A page with its counts written anew; `None` if it has no place for them.
#[must_use]
pub fn with_counts_of(page: &str, report: &Report) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n{END}{after}", counted(report)))
}

fn is_stored(figure: &&Figure) -> bool {
    figure.metric == "stored_bytes_per_event" && figure.place.workload == "append"
}

fn is_on_flash(figure: &&Figure) -> bool {
    figure.place.workload == "flash"
}

impl Run<'_> {
    fn value(&self, system: &str, workload: &str, grown: Grown, metric: &str) -> Option<f64> {
        let found = self.0.results.iter().find(|figure| {
            let place = figure.place;
            (place.system, place.workload, figure.metric) == (system, workload, metric)
                && (place.events, place.streams) == (Some(grown.events), Some(grown.streams))
        });
        found.map(|figure| figure.value)
    }

    fn ns(&self, system: &str, workload: &str, grown: Grown) -> Option<f64> {
        self.value(system, workload, grown, "ns_per_event")
    }

    fn targets(&self, at: Grown) -> Vec<Line> {
        let micros = |system: &str, workload: &str, grown| self.ns(system, workload, grown).map(|ns| ns / 1000.0);
        let chained = [memory::SHA256, memory::BLAKE2S];
        let best = |workload: &str| {
            let times = chained.map(|system| micros(system, workload, at));
            times.into_iter().flatten().reduce(f64::min)
        };
        let bytes = |system| self.value(system, "append", at, "stored_bytes_per_event");
        let plain_bytes = bytes(memory::PLAIN);
        let chained_bytes = chained.iter().filter_map(|system| bytes(system)).reduce(f64::max);
        let stored = |system: &str, workload: &str| {
            self.in_sqlite(system, workload, "ns_per_event").map(|nanoseconds| nanoseconds / 1000.0)
        };
        let on_disk = |figure, python, most, workload| {
            let here = stored(sqlite::NAME, workload);
            let mut line = line(figure, python, most, here);
            let (without, write) = (stored(sqlite::IN_MEMORY, workload), stored(sqlite::BARE, "write"));
            if let Some((without, write)) = without.zip(write) {
                let events = if workload == "single" { 1.0 } else { sqlite::MANY as f64 };
                let _ = write!(
                    line.verdict,
                    ": a page written and synced to this disk takes {} for an event, all else {without:.1}",
                    brief(write / events)
                );
            }
            if let Some((alone, here)) = stored(sqlite::ALONE, workload).zip(here) {
                let _ = write!(
                    line.verdict,
                    "; SQLite alone takes {}: {:.2} times as long here",
                    brief(alone),
                    here / alone
                );
            }
            line
        };
        vec![
            line("append of one event, in memory, with hash chain, µs", "34", 0.34, best("append")),
            line("the same without, µs", "", 0.34, micros(memory::PLAIN, "append", at)),
            line("replay, an event, µs", "15", 0.1, micros(memory::PLAIN, "replay", at)),
            line("notifications, each, µs", "5 (version 9: 0.8)", 0.05, micros(memory::PLAIN, "notifications", at)),
            line("bytes of an event without payload, with chain", "339", 24.0, chained_bytes.map(|bytes| bytes - 1.0)),
            line("the same without chain", "132 (version 9: 89)", 12.0, plain_bytes.map(|bytes| bytes - 1.0)),
            on_disk("SQLite, durable single append, µs", "1300", 600.0, "single"),
            on_disk("SQLite, an event in commands of 64, µs", "70", 3.0, "batch64"),
            on_disk("SQLite, an event in sections of 64, µs", "70", 3.0, "section64"),
        ]
    }

    fn beside(&self, scale: Scale) -> String {
        let mut out = String::from(
            "Its store prints a line for each call, which goes nowhere here, and copies the events of the aggregate twice in \
             each\ncommand; it has no positions, no hash chain and no snapshots in memory. Evenkeel is timed with aggregates at \
             hand. In a\nreplay `cqrs-es` copies events that it holds as values, and Evenkeel decodes bytes.\n\n| events | streams | command: cqrs-es, ns | evenkeel | times | replay: cqrs-es, ns | evenkeel | times |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for grown in scale.sizes() {
            let mut cells = Vec::new();
            for workload in ["execute", "replay"] {
                let (theirs, ours) = (self.ns(peer::NAME, workload, grown), self.ns(memory::PLAIN, workload, grown));
                let times = theirs.zip(ours).map(|(theirs, ours)| theirs / ours);
                let theirs = theirs.map_or_else(|| "not waited for".to_owned(), |ns| format!("{ns:.0}"));
                cells.extend([theirs, shown(ours, 0), shown(times, 0)]);
            }
            let _ = writeln!(out, "| {} | {} | {} |", grown.events, grown.streams, cells.join(" | "));
        }
        out.push_str("\n*Not waited for*: each command reads and copies all events of its aggregate so far.\n");
        out
    }

    /// What stays flat, and what grows how.
    fn growth(&self, scale: Scale) -> String {
        let few = Grown { events: scale.events[0], streams: scale.streams[0] };
        let last = |list: &[u64]| list.last().copied().unwrap_or_default();
        let many = Grown { events: last(scale.events), streams: last(scale.streams) };
        let mut out = format!(
            "From {} events of {} stream to {} events of {} streams. Times in memory grow by what the caches of the\nmachine \
             miss (a log of the larger size is some {} MB): up to 3 times counts as flat.\n\n| figure | small | large | \
             times | |\n| --- | --- | --- | --- | --- |\n",
            few.events,
            few.streams,
            many.events,
            many.streams,
            many.events * 13 / 1_000_000
        );
        for system in [memory::PLAIN, memory::SHA256] {
            for (workload, title) in [
                ("append", "append"),
                ("execute", "command on an aggregate at hand"),
                ("acknowledge", "acknowledgement"),
            ] {
                let [small, large] = [few, many].map(|grown| self.ns(system, workload, grown));
                let times = large.zip(small).map(|(large, small)| large / small);
                let _ = writeln!(
                    out,
                    "| {title}, {system}, ns | {} | {} | {} | {} |",
                    shown(small, 0),
                    shown(large, 0),
                    shown(times, 1),
                    verdict(times.map(|times| times <= 3.0)),
                );
            }
        }
        self.growth_on_flash(few, many, &mut out);
        out
    }

    fn growth_on_flash(&self, few: Grown, many: Grown, out: &mut String) {
        let on_flash = |metric| [few, many].map(|grown| self.value(flash::NAME, "flash", grown, metric));
        // Where events of many streams take more bytes, new sectors are opened more often, which reads.
        let more_bytes = match on_flash("stored_bytes_per_event") {
            [Some(small), Some(large)] => (large / small).max(1.0),
            _ => 1.0,
        };
        for (title, metric, flat) in [
            ("on flash: write calls of an append", "write_calls_per_event", 1.1),
            (
                "on flash: reads of an append, which are those where a sector begins",
                "reads_per_event",
                1.1 * more_bytes,
            ),
            ("on flash: bytes of an acknowledgement", "acknowledge_bytes", 1.1),
        ] {
            let [small, large] = on_flash(metric);
            let met = large.zip(small).map(|(large, small)| large <= small * flat);
            let times = large.zip(small).filter(|(_, small)| *small > 0.0).map(|(large, small)| large / small);
            let (small, large, times) = (small.map(number), large.map(number), shown(times, 1));
            let cell = |value: Option<String>| value.unwrap_or_else(|| "—".to_owned());
            let _ = writeln!(out, "| {title} | {} | {} | {times} | {} |", cell(small), cell(large), verdict(met));
        }
        let log = |grown: Grown| f64::from(flash::sectors_for(grown.events).ilog2());
        let allowed = log(many) / log(few);
        for (title, metric) in [
            ("on flash: reads of a mount", "mount_reads"),
            ("on flash: reads of a look-up at a position", "look_up_reads"),
        ] {
            let [small, large] = on_flash(metric);
            let times = large.zip(small).map(|(large, small)| large / small);
            let _ = writeln!(
                out,
                "| {title}, {} to {} sectors: log2 of them grows {allowed:.1} times | {} | {} | {} | {} |",
                flash::sectors_for(few.events),
                flash::sectors_for(many.events),
                shown(small, 1),
                shown(large, 1),
                shown(times, 1),
                verdict(times.map(|times| times <= allowed)),
            );
        }
    }

    fn timed(&self, scale: Scale) -> String {
        const WORKLOADS: [&str; 6] = ["append", "execute", "acknowledge", "replay", "notifications", "look_up"];
        let mut out = format!("| events | streams | system | {} |\n", WORKLOADS.join(" | "));
        let _ = writeln!(out, "| --- | --- | --- |{}", " --- |".repeat(WORKLOADS.len()));
        for grown in scale.sizes() {
            for system in super::IN_MEMORY {
                let times = WORKLOADS.map(|workload| shown(self.ns(system, workload, grown), 0));
                let _ = writeln!(out, "| {} | {} | {system} | {} |", grown.events, grown.streams, times.join(" | "));
            }
        }
        out
    }

    /// A figure of SQLite, which is of one size alone.
    fn in_sqlite(&self, system: &str, workload: &str, metric: &str) -> Option<f64> {
        let found =
            self.0.results.iter().find(|figure| {
                (figure.place.system, figure.place.workload, figure.metric) == (system, workload, metric)
            });
        found.map(|figure| figure.value)
    }

    fn sqlite(&self) -> String {
        let mut out = String::from(
            "| workload | evenkeel, µs an event | SQLite alone | times | evenkeel in memory | SQLite alone | times | evenkeel, pages a \
             transaction | SQLite alone |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for workload in ["single", "batch64", "section64"] {
            let micros = |system| self.in_sqlite(system, workload, "ns_per_event").map(|ns| ns / 1000.0);
            let pages = |system| self.in_sqlite(system, workload, "pages_per_transaction");
            let mut cells = Vec::new();
            for systems in [[sqlite::NAME, sqlite::ALONE], [sqlite::IN_MEMORY, sqlite::ALONE_IN_MEMORY]] {
                let [ours, alone] = systems.map(micros);
                let times = ours.zip(alone).map(|(ours, alone)| ours / alone);
                cells.extend([shown(ours, 1), shown(alone, 1), shown(times, 2)]);
            }
            cells.extend([sqlite::NAME, sqlite::ALONE].map(|system| shown(pages(system), 2)));
            let _ = writeln!(out, "| {workload} | {} |", cells.join(" | "));
        }
        let write = self.in_sqlite(sqlite::BARE, "write", "ns_per_event").map(|ns| ns / 1000.0);
        let _ = writeln!(
            out,
            "\nOne page appended to a file of this disk and synced, without a database: {} µs.",
            shown(write, 0)
        );
        for note in self.0.notes.iter().filter(|note| [sqlite::NAME, sqlite::BARE].contains(&note.place.system)) {
            let _ = writeln!(out, "{}: {}.", note.place.workload, note.note);
        }
        out
    }
}

fn line(figure: &'static str, python: &'static str, most: f64, here: Option<f64>) -> Line {
    Line {
        figure,
        python,
        target: format!("<= {}", number(most)),
        here: here.map_or("—".to_owned(), number),
        verdict: verdict(here.map(|here| here <= most)),
    }
}

fn verdict(met: Option<bool>) -> String {
    met.map_or("not measured", |met| if met { "met" } else { "**missed**" }).to_owned()
}

/// Two digits or more.
fn brief(value: f64) -> String {
    let digits = usize::from(value < 10.0);
    format!("{value:.digits$}")
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("—".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_anew_and_nothing_else_is() {
        let report = crate::es::counts(Scale { events: &[1_000], streams: &[1], sqlite: 0 });
        let page = markdown(&report, Scale::QUICK);
        let stale = page.replace("| 1000 | 1 |", "| 1000 | 1 | stale");
        assert_ne!(page, stale);
        let anew = with_counts_of(&stale, &report).expect("a place for the counts");
        assert!(counted_lines(&report).iter().all(|line| anew.contains(line.as_str())), "{anew}");
        assert_eq!(with_counts_of("no page", &report), None);
    }

    #[test]
    fn a_target_is_met_or_missed() {
        assert_eq!(line("a", "b", 24.0, Some(24.0)).verdict, "met");
        assert_eq!(line("a", "b", 24.0, Some(24.1)).verdict, "**missed**");
        assert_eq!(line("a", "b", 24.0, None).verdict, "not measured");
    }
}
