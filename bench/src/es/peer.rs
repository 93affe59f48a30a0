//! `cqrs-es` with its own store in memory, in a process of its own: that store prints a line for each call, which goes
//! nowhere here.

use std::process::{Command, Stdio};
use std::time::Instant;

use cqrs_es::event_sink::EventSink;
use cqrs_es::mem_store::MemStore;
use cqrs_es::{Aggregate, AggregateContext, CqrsFramework, DomainEvent, EventStore};
use serde::{Deserialize, Serialize};

use super::{Grown, place};
use crate::report::Report;
use crate::systems::ready;

/// What it is called in the results.
pub(super) const NAME: &str = "cqrs-es";
/// The subcommand that runs in a process of its own.
pub const SUBCOMMAND: &str = "cqrs-es-in-memory";
/// Each command reads, and copies, the events of its aggregate so far: more of that than this is not waited for.
const MOST_COPIES: u64 = 6_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Counted {
    Up,
    Down,
}

impl DomainEvent for Counted {
    fn event_type(&self) -> String {
        format!("{self:?}")
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Tally {
    ups: u64,
    downs: u64,
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Command = ();
    type Event = Counted;
    type Error = std::convert::Infallible;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), sink: &EventSink<Self>) -> Result<(), Self::Error> {
        let counted = if (self.ups + self.downs) % 3 == 2 { Counted::Down } else { Counted::Up };
        sink.write(counted, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Counted) {
        match event {
            Counted::Up => self.ups += 1,
            Counted::Down => self.downs += 1,
        }
    }
}

/// Runs it in a process of its own; the reason if it cannot do this.
pub(super) fn run(grown: Grown) -> Report {
    let Grown { events, streams } = grown;
    if events * events.div_ceil(streams) / 2 > MOST_COPIES {
        let reason = "each command reads and copies all events of its aggregate so far".to_owned();
        return Report::without(place(NAME, "execute", grown), reason);
    }
    let answer = std::env::current_exe().and_then(|program| {
        let arguments = [SUBCOMMAND.to_owned(), events.to_string(), streams.to_string()];
        Command::new(program).args(arguments).stdout(Stdio::null()).output()
    });
    let figures = answer.ok().and_then(|output| {
        let said = String::from_utf8(output.stderr).ok()?;
        let mut numbers = said.split_whitespace().map(|word| word.parse::<f64>().ok());
        Some((numbers.next()??, numbers.next()??))
    });
    let Some((execute, replay)) = figures else {
        return Report::without(place(NAME, "execute", grown), "its process did not answer".to_owned());
    };
    let mut report = Report::of(place(NAME, "execute", grown), vec![("ns_per_event", execute)]);
    report.take_in(Report::of(place(NAME, "replay", grown), vec![("ns_per_event", replay)]));
    report
}

/// What is done in that process: a command for each event, then every aggregate is loaded. Nanoseconds an event of both.
#[must_use]
pub fn in_this_process(events: u64, streams: u64) -> (f64, f64) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let store = MemStore::<Tally>::default();
        let framework = CqrsFramework::new(store.clone(), Vec::new(), ());
        let names: Vec<_> = (0..streams).map(|stream| stream.to_string()).collect();
        let start = Instant::now();
        for number in 0..events {
            ready(framework.execute(&names[(number % streams) as usize], ())).expect("nothing refuses");
        }
        best.0 = best.0.min(start.elapsed().as_nanos() as f64 / events as f64);
        let (start, mut seen) = (Instant::now(), 0);
        for name in &names {
            let mut context = ready(store.load_aggregate(name)).expect("it is there");
            let tally = context.aggregate();
            seen += tally.ups + tally.downs;
        }
        best.1 = best.1.min(start.elapsed().as_nanos() as f64 / events as f64);
        assert_eq!(seen, events, "replayed");
    }
    best
}
