//! The targets beside what this run says.

use std::fmt::Write;

use super::table::number;
use crate::instructions;
use crate::report::{Figure, Report};
use crate::run::{SPREADS, WORD};
use crate::systems::{Workload, evenkeel_ram_split};
use crate::workload::SCRATCH;

const OURS: &str = "evenkeel";
const PAYLOADS: [usize; 3] = [16, 32, 64];
/// Sectors of the workloads that name none.
const SECTORS: usize = 64;

/// One line of the table.
struct Line {
    figure: &'static str,
    peer: String,
    target: String,
    ours: String,
    verdict: String,
}

/// Figure, best peer, target, Evenkeel and verdict, for each target.
pub(super) fn targets(report: &Report) -> String {
    let mut out =
        String::from("| figure | best peer in this run | target | Evenkeel | |\n| --- | --- | --- | --- | --- |\n");
    for Line { figure, peer, target, ours, verdict } in lines(&Run(report)) {
        let _ = writeln!(out, "| {figure} | {peer} | {target} | {ours} | {verdict} |");
    }
    out
}

fn lines(run: &Run<'_>) -> Vec<Line> {
    use Workload::{Ack1000Warm, Append, Append16, Batch8, Iterate};

    let bytes = "bytes_per_event";
    let mut lines = vec![
        run.triple("bytes written an event, word 4, payload 16/32/64", Append, WORD, bytes, [24.5, 40.8, 73.4]),
        run.triple("the same with 16 streams", Append16, WORD, bytes, [25.3, 41.6, 74.2]),
        run.like_for_like("fewer bytes than the best peer that tells stream and version, one stream, %", Append),
        run.like_for_like("the same with 16 streams, %", Append16),
        run.triple("bytes written an event, word 32", Append, 32, bytes, [33.2, 66.0, 99.0]),
        run.triple("bytes written an event in atomic batches of 8, word 4", Batch8, WORD, bytes, [20.9, 37.0, 69.6]),
        run.triple("write calls in an append", Append, WORD, "write_calls_in_append", [1.0; 3]),
        run.triple("reads in a warm append", Append, WORD, "reads_per_event", [0.0; 3]),
        run.memory(),
    ];
    lines.extend([(64, 16.0, 24.0), (1024, 20.0, 28.0), (4096, 22.0, 30.0)].map(|limits| run.cold(limits)));
    lines.extend([
        run.single("reads an event when all is read, payload 16", Iterate, "reads_per_event", 0.15),
        run.load(),
        run.section(),
        run.rewritten(),
        run.single("bytes of an acknowledgement of 1000 events", Ack1000Warm, "bytes", 16.0),
        run.triple("erases for 1000 events, payload 16/32/64", Append, WORD, "erases_per_1000", [6.0, 10.0, 18.2]),
        run.triple("erases inside appends when a sector is prepared", Append, WORD, "erases_in_append", [0.0; 3]),
        run.triple(
            "instructions an append, payload 16/32/64",
            Append,
            WORD,
            instructions::APPEND,
            [420.0, 560.0, 850.0],
        ),
        not_measured("code for thumbv7em: append, iterate, acknowledge", "<= 5 KB"),
        not_measured("Cortex-M0 instructions an append under emulation", "fewer than every peer"),
    ]);
    lines
}

fn not_measured(figure: &'static str, target: &str) -> Line {
    let dash = || "—".to_owned();
    let verdict = "not measured here: see [footprint.md](footprint.md)".to_owned();
    Line { figure, peer: dash(), target: target.to_owned(), ours: dash(), verdict }
}

/// A report with ways to look things up.
struct Run<'r>(&'r Report);

impl Run<'_> {
    fn ours(&self, workload: Workload, word: usize, metric: &str) -> [Option<f64>; 3] {
        PAYLOADS.map(|payload| self.0.value(OURS, workload, (payload, word, SECTORS), metric))
    }

    /// The peers that have all three figures, or the one for payloads of 16 where that is all there is; the best first.
    fn peers(&self, workload: Workload, word: usize, sectors: usize, metric: &str) -> Vec<(&'static str, Vec<f64>)> {
        let of = |figure: &&Figure| {
            (figure.place.workload, figure.metric, figure.place.chip) == (workload.name(), metric, None)
                && figure.place.system != OURS
        };
        let systems = super::table::distinct(self.0.results.iter().filter(of).map(|figure| figure.place.system));
        let mut peers: Vec<_> = systems
            .into_iter()
            .filter_map(|system| {
                let values = PAYLOADS.map(|payload| self.0.value(system, workload, (payload, word, sectors), metric));
                let values: Vec<_> = values.into_iter().flatten().collect();
                (!values.is_empty()).then_some((system, values))
            })
            .collect();
        peers.sort_by(|(_, a), (_, b)| a[0].total_cmp(&b[0]));
        peers
    }

    fn best(&self, workload: Workload, word: usize, sectors: usize, metric: &str) -> String {
        let best = self.peers(workload, word, sectors, metric).into_iter().next();
        best.map_or("none".to_owned(), |(system, values)| format!("{} {system}", joined(&values)))
    }

    fn triple(&self, figure: &'static str, workload: Workload, word: usize, metric: &str, limits: [f64; 3]) -> Line {
        let ours = self.ours(workload, word, metric);
        let target = if limits[0] == limits[2] { limits[..1].to_vec() } else { limits.to_vec() };
        Line {
            figure,
            peer: self.best(workload, word, SECTORS, metric),
            target: format!("<= {}", joined(&target)),
            ours: shown(&ours),
            verdict: verdict(ours.iter().zip(limits).map(|(ours, limit)| ours.map(|ours| at_most(ours, limit)))),
        }
    }

    fn single(&self, figure: &'static str, workload: Workload, metric: &str, limit: f64) -> Line {
        let ours = self.0.value(OURS, workload, (16, WORD, SECTORS), metric);
        let best = self.peers(workload, WORD, SECTORS, metric).into_iter().next();
        Line {
            figure,
            peer: best.map_or("none".to_owned(), |(system, values)| format!("{} {system}", number(values[0]))),
            target: format!("<= {}", number(limit)),
            ours: shown(&[ours]),
            verdict: verdict([ours.map(|ours| at_most(ours, limit))].into_iter()),
        }
    }

    /// How much less is written than by the best peer that stores stream and version, too.
    fn like_for_like(&self, figure: &'static str, workload: Workload) -> Line {
        let peers = self.peers(workload, WORD, SECTORS, "bytes_per_event");
        let best = peers.into_iter().find(|(system, values)| {
            !system.starts_with("sequential-storage,") && *system != "sequential-storage" && values.len() == 3
        });
        let ours = self.ours(workload, WORD, "bytes_per_event");
        let limits = [10.0, 6.0, 3.0];
        let saved = [0, 1, 2].map(|index| {
            let theirs = best.as_ref()?.1.get(index)?;
            Some((1.0 - ours[index]? / theirs) * 100.0)
        });
        Line {
            figure,
            peer: best.map_or("none".to_owned(), |(system, values)| format!("{} {system}", joined(&values))),
            target: format!(">= {}", joined(&limits)),
            ours: shown(&saved),
            verdict: verdict(saved.iter().zip(limits).map(|(saved, limit)| saved.map(|saved| saved >= limit))),
        }
    }

    fn memory(&self) -> Line {
        let (slot, rest) = evenkeel_ram_split();
        let of = |sectors| {
            let here = self.0.results.iter().filter(move |figure| {
                (figure.metric, figure.place.sectors) == ("ram_bytes", sectors) && figure.place.system != OURS
            });
            here.min_by(|a, b| a.value.total_cmp(&b.value))
        };
        let cached = "sequential-storage, page states and pointers";
        let pointers =
            self.0.results.iter().find(|figure| (figure.metric, figure.place.system) == ("ram_bytes", cached));
        let peer =
            of(64).into_iter().chain(pointers).map(|found| format!("{} {}", number(found.value), found.place.system));
        Line {
            figure: "bytes of memory of a mounted log beside its slot table, at 64, 1024 and 4096 sectors",
            peer: peer.collect::<Vec<_>>().join("; "),
            target: "<= 160".to_owned(),
            ours: format!("{rest} (and {slot} for each stream slot)"),
            verdict: verdict([Some(rest <= 160)].into_iter()),
        }
    }

    fn cold(&self, (sectors, mean, worst): (usize, f64, f64)) -> Line {
        let values = |system, workload| {
            ["reads", "reads_worst"].map(|metric| self.0.value(system, workload, (16, WORD, sectors), metric))
        };
        let both = |[mean, worst]: [Option<f64>; 2]| format!("{} ({})", shown(&[mean]), shown(&[worst]));
        let ours = values(OURS, Workload::Cold);
        let closed = values(OURS, Workload::ColdClosed);
        let best = self.peers(Workload::Cold, WORD, sectors, "reads").into_iter().next();
        let peer = best.map(|(system, _)| format!("{} {system}", both(values(system, Workload::Cold))));
        Line {
            figure: match sectors {
                64 => "reads of mount and first append after an unannounced stop, 64 sectors, mean (worst)",
                1024 => "the same with 1024 sectors",
                _ => "the same with 4096 sectors",
            },
            peer: peer.unwrap_or_else(|| "none".to_owned()),
            target: format!("<= {} ({})", number(mean), number(worst)),
            ours: format!("{}; after a clean stop {}", both(ours), both(closed)),
            verdict: verdict(
                ours.into_iter().zip([mean, worst]).map(|(ours, limit)| ours.map(|ours| at_most(ours, limit))),
            ),
        }
    }

    fn load(&self) -> Line {
        let of = |system: &'static str, metric: &'static str| {
            let find = move |spread: crate::workload::Spread| {
                let found = self.0.results.iter().find(move |figure| {
                    let place = figure.place;
                    (place.workload, place.system, figure.metric) == (Workload::Load.name(), system, metric)
                        && (place.events, place.places) == (Some(spread.events), Some(spread.places))
                });
                found.map(|figure| figure.value)
            };
            SPREADS.map(find)
        };
        let (reads, visited) = (of(OURS, "reads"), of(OURS, "sectors_visited"));
        let holding = of(OURS, "sectors_holding");
        let whole_sector = 4096_f64 / SCRATCH as f64;
        let limits = holding.map(|sectors| sectors.map(|sectors| sectors * (2.0 + whole_sector)));
        let peers = ["ekv", "sensor-db", "sequential-storage + 4 B"].map(|system| (system, of(system, "reads")));
        let peers = peers.into_iter().filter(|(_, reads)| reads.iter().all(Option::is_some));
        let best = peers.min_by(|(_, a), (_, b)| a[0].unwrap_or(f64::MAX).total_cmp(&b[0].unwrap_or(f64::MAX)));
        let met = reads
            .iter()
            .zip(visited)
            .zip(holding.iter().zip(limits))
            .map(|((reads, visited), (holding, limit))| Some((*reads)? <= limit? && visited? <= (*holding)?));
        Line {
            figure: "reads to load an aggregate whose events lie in s of 64 sectors, 16 streams (sectors visited)",
            peer: best.map_or("none".to_owned(), |(system, reads)| format!("{} {system}", shown(&reads))),
            target: format!("<= 2 s + {whole_sector} a sector: {} (only those: {})", shown(&limits), shown(&holding)),
            ours: format!("{} ({})", shown(&reads), shown(&visited)),
            verdict: verdict(met),
        }
    }

    fn section(&self) -> Line {
        let of = |metric| self.0.value(OURS, Workload::Section, (16, WORD, SECTORS), metric);
        let (reads, worst) = (of("reads"), of("reads_worst"));
        let limit = f64::from(SECTORS.ilog2()) + 3.0 + 1.0;
        Line {
            figure: "reads for a section of 256 bytes at a position after a mount, mean (worst)",
            peer: "none".to_owned(),
            target: format!("<= log2(sectors) + 3, and 1 for its bytes: {}", number(limit)),
            ours: format!("{} ({})", shown(&[reads]), shown(&[worst])),
            verdict: verdict([reads.map(|reads| reads <= limit)].into_iter()),
        }
    }

    /// In all workloads over all words.
    fn rewritten(&self) -> Line {
        let figures = || self.0.results.iter().filter(|figure| figure.metric == "rewritten_words");
        let most = |family: &str| {
            let of = |figure: &&Figure| figure.place.system.split([',', '+']).next().map(str::trim) == Some(family);
            figures().filter(of).map(|figure| figure.value).reduce(f64::max)
        };
        let peers = ["ekv", "sequential-storage", "sensor-db"];
        let peers = peers.map(|peer| most(peer).map_or("—".to_owned(), |words| format!("{} {peer}", number(words))));
        let ours = most(OURS);
        Line {
            figure: "words programmed twice, most in any workload",
            peer: peers.join("; "),
            target: "0".to_owned(),
            ours: shown(&[ours]),
            verdict: verdict([ours.map(|words| words == 0.0)].into_iter()),
        }
    }
}

/// Whether a figure is within a limit, at the digits that are shown of it; a limit of 0 is exact.
fn at_most(value: f64, limit: f64) -> bool {
    if limit == 0.0 { value == 0.0 } else { (value * 100.0).round() <= limit * 100.0 }
}

fn verdict(met: impl Iterator<Item = Option<bool>>) -> String {
    let said: Vec<_> =
        met.map(|met| met.map_or("not measured", |met| if met { "met" } else { "**missed**" })).collect();
    if said.iter().all(|one| *one == said[0]) { said[0].to_owned() } else { said.join("/") }
}

fn joined(values: &[f64]) -> String {
    values.iter().map(|value| number(*value)).collect::<Vec<_>>().join("/")
}

fn shown(values: &[Option<f64>]) -> String {
    values.iter().map(|value| value.map_or("—".to_owned(), number)).collect::<Vec<_>>().join("/")
}
