//! The whole report as Markdown.

mod ahead;
mod table;
mod targets;

use std::fmt::Write;

pub(crate) use table::{number, table};

use crate::report::{Figure, Place, Report};
use crate::run::Scale;
use crate::systems::{Workload, evenkeel_ram_split};
use crate::workload::{PLACES, SCRATCH};

const HEAD: &str = "\
# Benchmarks

Evenkeel and its peers from crates.io do the same work in one run on the same simulated flash (4 KiB sectors, any read
size), which counts calls, bytes, erases, and words programmed twice. Nothing is timed: the counts are exact and the
same on every machine, but for the instructions, which depend on the compiler. This page is written by

```text
cargo run --release -p evenkeel-bench -- flash [--json FILE] [--markdown docs/benchmarks.md]
```

and nothing in it is kept by hand. `cargo test -p evenkeel-bench` pins counts of Evenkeel as equalities
(`EVENKEEL_PIN=1` writes them anew) and compares lines of this page with a run.
";

const METHOD: &str = "\
## What is done, and what is counted

- `evenkeel` has 16 stream slots. An event carries its stream, kind, version and position.
- `sequential-storage` is its queue, with every level of caching at words of 4 bytes, and with none and the most at
  other words, as caches save reads and instructions alone. An item is the bare payload; with `+ 4 B` it starts with 2
  bytes of stream and 2 of version, which is like for like. A queue overwrites its oldest items and needs no upkeep.
- `sensor-db` has the stream as sensor and the version as timestamp. A single append is durable once its page is flushed:
  its pages are the smallest that hold one event (64 bytes, for payloads of 64 bytes 128), as that writes the least.
- `ekv` has stream and version as key, CRCs on, and one transaction for each append. It has no oldest record that gives
  way: the application deletes the oldest event in the same transaction, so that half of the flash is used. It fixes
  pages and their number when it is built.
- The append workloads start three sectors short of full, so that soon the oldest events give way. All that is written
  counts: for Evenkeel also sector headers, snapshots (16 bytes of state for each stream, when the oldest sector needs
  them), an acknowledgement after every 256 events, and what upkeep writes, which is called after every 8.
  `write_calls_in_append` (for each call), `reads_per_event` and `erases_in_append` are of the calls of append alone,
  `upkeep_reads_per_event` of what is done between them.
";

const FOOT: &str = "\
Times are of programming and erasing alone, as the times of reads are those of a bus. `sensor-db` programs words twice,
which flash with ECC (STM32) does not allow; its figures there say what it would take. The lifetime is the endurance of
a sector, times the bytes of the region, divided by the bytes that an event takes.
";

/// What each workload is.
const fn title(workload: Workload) -> &'static str {
    match workload {
        Workload::Append => "durable single appends, one stream",
        Workload::Append16 => "durable single appends, 16 streams in turn",
        Workload::Batch8 => "atomic batches of 8, one stream",
        Workload::Cold => "a fresh handle after a stop that nobody announced, then one append",
        Workload::ColdClosed => "the same after an announced stop (`close`)",
        Workload::Iterate => "a fresh handle on a full store, then all events from the oldest to the newest",
        Workload::Ack1000 => "a fresh handle on a half full store, then the oldest 1000 events are not needed any more",
        Workload::Ack1000Warm => "the same with the handle that stored the events",
        Workload::Load => {
            "a fresh handle, then one aggregate whose events lie in some places between those of 15 others"
        }
        Workload::Section => "a fresh handle, then a section of 256 bytes of the notifications at a position",
    }
}

/// The page.
#[must_use]
pub fn markdown(report: &Report, scale: Scale) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "\n## Targets\n\n{}", targets::targets(report));
    let _ = writeln!(out, "Where three figures are told, they are of payloads of 16, 32 and 64 bytes.\n");
    let _ = writeln!(out, "## Where a peer is ahead\n\n{}", ahead::ahead(report));
    out.push_str(METHOD);
    let states = scale.cold.first().map_or(0, |(_, fills)| *fills as usize * PLACES);
    let _ = writeln!(
        out,
        "\
- Reading and single appends have {SCRATCH} bytes of scratch, batches 2048.
- `cold` and `cold_closed` are the mean and worst over {states} states of the newest sectors, at {PLACES} places of the
  ring. A ring of 64 sectors has been gone round once before; larger ones are seen while they are filled for the first
  time. `reads` are of mounting and appending together; a queue mounts when it is first used.
- `load` and `section` do not count the mounting.
- Code size and the instructions of a Cortex-M are measured with the firmware: see [footprint.md](footprint.md).
"
    );
    out.push_str("## Results\n");
    for workload in Workload::ALL {
        let _ = writeln!(out, "\n**{}**: {}\n", workload.name(), title(workload));
        out.push_str(&results(report, |place| place.workload == workload.name() && place.chip.is_none(), is_count));
    }
    out.push_str(&instructions(report));
    let (slot, rest) = evenkeel_ram_split();
    let _ = writeln!(
        out,
        "\n**ram**: bytes of a handle with its cache, without the driver of the flash and without lent buffers, on a host of\n\
         {} bits. Of `evenkeel` each of the 16 stream slots takes {slot} and the rest {rest}.\n",
        usize::BITS
    );
    out.push_str(&results(report, |place| place.workload == "ram", is_count));
    let _ = writeln!(out, "\n**chips**: durable single appends, one stream, on the geometry and times of real chips\n");
    out.push_str(&results(report, |place| place.chip.is_some(), is_count));
    let _ = write!(out, "\n{FOOT}");
    out
}

fn instructions(report: &Report) -> String {
    let mut out = String::from(
        "\n**instructions**: of a durable single append over words of 4 bytes on x86-64, counted by callgrind, a flash in \
         memory\nincluded. `_full` is a full store that goes on, with acknowledgements and upkeep between the appends.\n\n",
    );
    let counted = report.results.iter().any(|figure| !is_count(figure));
    let reason = report.notes.iter().find(|note| note.note.contains("valgrind") || note.note.contains("callgrind"));
    match reason {
        Some(note) if !counted => {
            let _ = writeln!(out, "{}", note.note);
        }
        _ if !counted => out.push_str("not counted in this run\n"),
        _ => out.push_str(&table::table(report.results.iter().filter(|figure| !is_count(figure)), [].iter())),
    }
    out
}

/// The table of what is at these places.
fn results(report: &Report, here: impl Fn(&Place) -> bool, wanted: impl Fn(&Figure) -> bool) -> String {
    let figures = report.results.iter().filter(|figure| here(&figure.place) && wanted(figure));
    let notes = report.notes.iter().filter(|note| here(&note.place) && !note.note.contains("grind"));
    table::table(figures, notes)
}

/// Whether a figure is the same on every machine.
fn is_count(figure: &Figure) -> bool {
    !figure.metric.starts_with("instructions")
}

/// The lines of the tables of this report, without those of figures that depend on the machine.
#[must_use]
pub fn lines(report: &Report) -> Vec<String> {
    let table = results(report, |_| true, is_count);
    table.lines().skip(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::Which;

    #[test]
    fn a_page_without_valgrind_says_so() {
        let place = Place::new(Which::Evenkeel, "append", 16, 4, 64);
        let mut report = Report::without(place, "valgrind not installed".to_owned());
        report.take_in(Report::of(place, vec![("bytes_per_event", 24.0)]));
        let page = markdown(&report, Scale::QUICK);
        assert!(page.contains("\nvalgrind not installed\n"), "{page}");
        assert!(!page.contains("cannot: valgrind"), "{page}");
    }

    #[test]
    fn lines_fit_but_for_tables() {
        let page = markdown(&Report::default(), Scale::FULL);
        let long: Vec<_> = page.lines().filter(|line| line.len() > 120 && !line.starts_with(['|', '-'])).collect();
        assert!(long.is_empty(), "{long:?}");
    }
}
