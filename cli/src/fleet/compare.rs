//! What was collected, beside what had to be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use evenkeel_collector::server::{Failure, SectionStore, StoredPiece};
use evenkeel_core::section::SectionReader;
use evenkeel_core::{LogId, Position};
use evenkeel_sync::SourceIdentity;

use super::crew::Fate;
use crate::device::meter::MeterEvent;

/// Logs, and pieces of one, that are read at once.
const AT_ONCE: u32 = 500;

/// The outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Devices that were simulated.
    pub(crate) devices: u64,
    /// Events that are stored.
    pub(crate) events: u64,
    /// Events that were acknowledged on a device, and are neither stored nor declared a gap, nor were formatted away by
    /// somebody.
    pub(crate) lost: u64,
    /// Events that are stored more than once.
    pub(crate) duplicated: u64,
    /// Copies that were not found out, and stored events that are not what the device recorded under that name.
    pub(crate) diverged_undetected: u64,
    /// Gaps that devices have declared.
    pub(crate) gaps_declared: u64,
    /// Events that were formatted away before they had been collected.
    pub(crate) formatted_away: u64,
}

impl Tally {
    /// Whether all promises were kept.
    pub(crate) fn holds(&self) -> bool {
        (self.lost, self.duplicated, self.diverged_undetected) == (0, 0, 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, events, lost, duplicated, diverged_undetected, gaps_declared, .. } = self;
        write!(
            f,
            "devices={devices} events={events} lost={lost} duplicated={duplicated} \
             diverged_undetected={diverged_undetected} gaps_declared={gaps_declared}"
        )
    }
}

/// One life of a log as it is stored.
#[derive(Debug, Default)]
struct Stored {
    facts: BTreeMap<u64, u64>,
    /// Events that are none of a meter's.
    foreign: u64,
    gaps: Vec<(Position, Position)>,
}

/// Compares all that is stored with what the devices have to say.
pub(crate) async fn compare(store: &Arc<dyn SectionStore>, fates: &[Fate]) -> Result<Tally, Failure> {
    let mut tally = Tally { devices: fates.len() as u64, ..Tally::default() };
    let mut expected: HashMap<SourceIdentity, Vec<(usize, usize, usize)>> = HashMap::new();
    for (fate_at, fate) in fates.iter().enumerate() {
        tally.diverged_undetected += u64::from(fate.undetected);
        for (book_at, book) in fate.books.iter().enumerate() {
            tally.lost += book.lost_on_device;
            for (life_at, life) in book.lives.iter().enumerate() {
                let identity = SourceIdentity { device: fate.device, log: LogId(0), epoch: life.epoch };
                expected.entry(identity).or_default().push((fate_at, book_at, life_at));
            }
        }
    }
    let mut seen: HashSet<(u64, u64)> = HashSet::new();
    let mut all: HashMap<SourceIdentity, Stored> = HashMap::new();
    for identity in identities(store).await? {
        let stored = read(store, identity).await?;
        tally.events += stored.facts.len() as u64;
        tally.gaps_declared += stored.gaps.len() as u64;
        tally.diverged_undetected += stored.foreign;
        for fact in stored.facts.values() {
            tally.duplicated += u64::from(!seen.insert((identity.device, *fact)));
        }
        all.insert(identity, stored);
    }
    let nothing = Stored::default();
    for (identity, lives) in &expected {
        let stored = all.get(identity).unwrap_or(&nothing);
        let lives: Vec<_> = lives.iter().map(|(fate, book, life)| &fates[*fate].books[*book].lives[*life]).collect();
        for (position, fact) in &stored.facts {
            let known = lives.iter().any(|life| life.facts.get(position) == Some(fact));
            tally.diverged_undetected += u64::from(!known);
        }
        // What two boards with a copy have in common counts once.
        let mut counted = HashSet::new();
        for life in &lives {
            for (position, fact) in &life.facts {
                let there = stored.facts.get(position) == Some(fact);
                let gap = stored.gaps.iter().any(|(first, last)| (first.0..=last.0).contains(position));
                if there || gap || !counted.insert((*position, *fact)) {
                    continue;
                }
                match life.formatted {
                    Some(known) if *position > known.0 => tally.formatted_away += 1,
                    _ => tally.lost += 1,
                }
            }
        }
    }
    for (identity, stored) in &all {
        if !expected.contains_key(identity) {
            tally.diverged_undetected += stored.facts.len() as u64;
        }
    }
    Ok(tally)
}

async fn identities(store: &Arc<dyn SectionStore>) -> Result<Vec<SourceIdentity>, Failure> {
    let mut all: Vec<SourceIdentity> = Vec::new();
    loop {
        let page = store.logs(all.last().copied(), AT_ONCE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page.iter().map(|status| status.identity));
    }
}

async fn read(store: &Arc<dyn SectionStore>, identity: SourceIdentity) -> Result<Stored, Failure> {
    let mut stored = Stored::default();
    let mut done = Position::START;
    loop {
        let pieces = store.pieces(identity, done, AT_ONCE).await?;
        let before = done;
        for piece in &pieces {
            match piece {
                StoredPiece::Section { first, bytes, .. } => {
                    for event in SectionReader::new(*first, bytes).filter_map(Result::ok) {
                        let at = event.position.unwrap_or_default();
                        match MeterEvent::fact_in(event.payload) {
                            Some(fact) if at > done => drop(stored.facts.insert(at.0, fact)),
                            None if at > done => stored.foreign += 1,
                            _ => {}
                        }
                        done = done.max(at);
                    }
                }
                StoredPiece::Gap(gap) => {
                    stored.gaps.push((gap.first, gap.last));
                    done = done.max(gap.last);
                }
            }
        }
        if done == before {
            return Ok(stored);
        }
    }
}
