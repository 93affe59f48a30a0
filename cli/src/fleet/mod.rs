//! `evenkeel fleet`: many simulated devices deliver to a real collector.

mod compare;
mod crew;
mod processes;
pub(crate) mod sabotage;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evenkeel_host_sim::rng::Rng;

use crate::args::FleetArgs;
use crate::collect::{CollectError, open_store, run as block_on};
use compare::{Tally, compare};
use crew::{Fate, Surroundings, live};
use processes::Listening;

/// How many relays stand between devices and collector.
const RELAYS: usize = 3;
/// How many complaints are told.
const COMPLAINTS: usize = 5;

/// What came of it.
pub(crate) struct FleetOutcome {
    /// What is to be said; the last line is the tally.
    pub(crate) text: String,
    /// All promises were kept.
    pub(crate) holds: bool,
}

/// Runs the fleet.
pub(crate) fn run(args: &FleetArgs) -> Result<FleetOutcome, CollectError> {
    let begun = Instant::now();
    let folder = TemporaryFolder::new()?;
    let store = args.store.clone().unwrap_or_else(|| format!("sqlite:{}", folder.0.join("fleet.db").display()));
    let empty = block_on(async {
        let opened = open_store(&store, 1).await?;
        let empty = opened.logs(None, 1).await?.is_empty();
        opened.close().await?;
        Ok(empty)
    })?;
    if !empty {
        return Err(CollectError::Exposed("the store is not empty: what is in it would be taken for the fleet's"));
    }
    let failed = |error| CollectError::Io("the collector", error);
    let mut collector = Listening::start(collector(args, &store), 2, args.verbose).map_err(failed)?;
    let at = |word| collector.address(word).ok_or(CollectError::Io("the collector", io::ErrorKind::NotFound.into()));
    let (tcp, http) = (at("tcp")?, at("http")?);
    let relay = || {
        let parts = ["relay", "--listen", "127.0.0.1:0", "--upstream", &tcp.to_string()];
        Listening::start(parts.map(String::from).into(), 1, args.verbose)
    };
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(relay().map_err(|error| CollectError::Io("a relay", error))?);
    }
    let ways = std::iter::once(tcp).chain(relays.iter().filter_map(|relay| relay.address("tcp"))).collect();
    let around = Surroundings { ways, http, loss: args.loss, rounds: args.rounds, contacts: AtomicU64::new(0) };
    let fates = simulate(args, &around, &mut collector, &mut relays).map_err(failed)?;
    drop(relays);
    let orderly = collector.end().map_err(failed)?;
    let tally = block_on(async {
        let opened = open_store(&store, 1).await?;
        let tally = compare(&opened, &fates).await?;
        opened.close().await?;
        Ok(tally)
    })?;
    Ok(told(&tally, &fates, orderly, begun.elapsed()))
}

fn collector(args: &FleetArgs, store: &str) -> Vec<String> {
    let mut all: Vec<String> =
        ["serve", "--tcp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--stay", "5"].map(String::from).into();
    // The links are short: what has not come after so long was lost.
    all.extend(["--timeout-ms", "150", "--quiet-ms", "40", "--store", store].map(String::from));
    if let Some(sabotage) = args.sabotage {
        all.extend(["--sabotage".into(), format!("{sabotage:?}").to_lowercase()]);
    }
    all
}

/// Lets the devices live while the processes around them are killed.
fn simulate(
    args: &FleetArgs,
    around: &Surroundings,
    collector: &mut Listening,
    relays: &mut [Listening],
) -> io::Result<Vec<Fate>> {
    let crews = args.at_once.clamp(1, 1024) as u64;
    let expected = args.devices * u64::from(args.rounds + 1);
    let mut rng = Rng::from_seed_and_stream(args.seed, u64::MAX);
    std::thread::scope(|scope| {
        let crews: Vec<_> = (0..crews)
            .map(|crew| {
                let numbers = (1..=args.devices).filter(|number| number % crews == crew).collect();
                scope.spawn(move || live(numbers, args.seed, around))
            })
            .collect();
        let mut killed = 0;
        while !crews.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let done = around.contacts.load(Ordering::Relaxed);
            if io::stderr().is_terminal() {
                let _ = write!(io::stderr(), "\r{done} of {expected} contacts, killed {killed} times  ");
            }
            if killed < args.kill && done * u64::from(args.kill + 1) >= expected * u64::from(killed + 1) {
                killed += 1;
                if killed % 2 == 0 {
                    if let Some(relay) = relays.get_mut(rng.below(RELAYS as u64) as usize) {
                        relay.kill()?;
                        relay.restart()?;
                    }
                }
                collector.kill()?;
                std::thread::sleep(Duration::from_millis(rng.below(300)));
                collector.restart()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if io::stderr().is_terminal() {
            let _ = writeln!(io::stderr());
        }
        let mut fates = Vec::new();
        for crew in crews {
            fates.extend(crew.join().map_err(|_| io::Error::other("a device has panicked"))?);
        }
        if killed < args.kill {
            return Err(io::Error::other(
                "the fleet was done before the collector could be killed as often as asked for",
            ));
        }
        Ok(fates)
    })
}

fn told(tally: &Tally, fates: &[Fate], orderly: bool, took: Duration) -> FleetOutcome {
    let sum = |of: fn(&Fate) -> u32| fates.iter().map(|fate| u64::from(of(fate))).sum::<u64>();
    let complaints: Vec<_> = fates.iter().flat_map(|fate| &fate.complaints).collect();
    let mut text = format!(
        "{} power cuts, {} formats with {} events that nobody had collected, {} copied boards; {:.0} s\n",
        sum(|fate| fate.cuts),
        sum(|fate| fate.formats),
        tally.formatted_away,
        sum(|fate| fate.copies),
        took.as_secs_f64()
    );
    for complaint in complaints.iter().take(COMPLAINTS) {
        text += &format!("{complaint}\n");
    }
    if complaints.len() > COMPLAINTS {
        text += &format!("and {} more\n", complaints.len() - COMPLAINTS);
    }
    if !orderly {
        text += "the collector did not end as it should\n";
    }
    text += &format!("{tally}\n");
    FleetOutcome { text, holds: tally.holds() && complaints.is_empty() && orderly }
}

/// A folder that is gone with the value.
struct TemporaryFolder(std::path::PathBuf);

impl TemporaryFolder {
    fn new() -> Result<Self, CollectError> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let name = format!("evenkeel-fleet-{}-{}", std::process::id(), since.as_nanos());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| CollectError::Read(path.clone(), error))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
