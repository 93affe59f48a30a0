//! SQLite behind the server: one thread that writes, in groups, and one that reads.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_core::Position;
use evenkeel_sync::SourceIdentity;
use tokio::sync::{Mutex, oneshot};

use super::{Answer, Batch, Failure, Known, LogStatus, Quarantine, SectionStore, StoredPiece, Verdict};
use crate::{OpenError, SqliteStore};

/// Batches that wait for one transaction to end go into the next one together, at most so many of them.
pub const GROUP: usize = 64;
/// The load is 1 with so many batches waiting.
const BUSY_AT: usize = 256;
/// How long the next batch of a group may take to come.
const GATHER: Duration = Duration::from_micros(300);
/// Nobody has brought anything for so long: there is time for rows.
const IDLE: Duration = Duration::from_millis(50);
/// So many logs are exploded in one transaction.
const EXPLODED_AT_ONCE: usize = 64;

/// Whole sections in a SQLite file.
///
/// Batches of several contacts are grouped into one transaction, so that they share its sync to disk. Sections become rows
/// of `events` when there is nothing else to do, and when the file is opened the next time.
pub struct SqliteSections {
    writer: Sender<Write>,
    reader: Sender<Read>,
    waiting: Arc<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

enum Write {
    Ingest(Batch, oneshot::Sender<Result<Verdict, Failure>>),
    Other(Box<dyn FnOnce(&mut SqliteStore) + Send>),
    End,
}

enum Read {
    Do(Box<dyn FnOnce(&mut SqliteStore) + Send>),
    End,
}

impl SqliteSections {
    /// Opens the file, and creates it if there is none. At most `group` batches share a transaction; 1: each has its own.
    pub fn open(path: impl AsRef<Path>, group: usize) -> Result<Self, OpenError> {
        let (writing, reading) = (SqliteStore::open(&path)?, SqliteStore::open(&path)?);
        let (writer, writes) = channel();
        let (reader, reads) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let threads = vec![
            std::thread::spawn(move || {
                Writer { store: writing, waiting: counted, group: group.max(1), grouped: 0, dirty: HashSet::new() }
                    .run(&writes)
            }),
            std::thread::spawn(move || read(reading, &reads)),
        ];
        Ok(Self { writer, reader, waiting, threads: Mutex::new(threads) })
    }

    fn ask<T: Send + 'static>(
        &self,
        of: impl FnOnce(&mut SqliteStore) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<'_, T> {
        let (answer, answered) = oneshot::channel();
        let sent = self.reader.send(Read::Do(Box::new(move |store| drop(answer.send(of(store))))));
        Box::pin(async move {
            sent.map_err(|_| Failure::Ended)?;
            answered.await.map_err(|_| Failure::Ended)?
        })
    }

    fn tell<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut SqliteStore) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<'_, T> {
        let (answer, answered) = oneshot::channel();
        let sent = self.writer.send(Write::Other(Box::new(move |store| drop(answer.send(what(store))))));
        Box::pin(async move {
            sent.map_err(|_| Failure::Ended)?;
            answered.await.map_err(|_| Failure::Ended)?
        })
    }
}

impl SectionStore for SqliteSections {
    fn known(&self, identities: Vec<SourceIdentity>, tail: u64) -> Answer<'_, Vec<Known>> {
        self.ask(move |store| {
            let known = |identity: &SourceIdentity| store.known(identity, tail).map_err(Failure::from);
            identities.iter().map(known).collect()
        })
    }

    fn ingest(&self, batch: Batch) -> Answer<'_, Verdict> {
        let (answer, answered) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.writer.send(Write::Ingest(batch, answer));
        Box::pin(async move {
            sent.map_err(|_| Failure::Ended)?;
            answered.await.map_err(|_| Failure::Ended)?
        })
    }

    fn quarantine(&self, identity: SourceIdentity, why: Quarantine) -> Answer<'_, ()> {
        self.tell(move |store| Ok(store.quarantine(&identity, &why)?))
    }

    fn release(&self, identity: SourceIdentity) -> Answer<'_, bool> {
        self.tell(move |store| Ok(store.release(&identity)?))
    }

    fn logs(&self, after: Option<SourceIdentity>, most: u32) -> Answer<'_, Vec<LogStatus>> {
        self.ask(move |store| Ok(store.statuses(after, most)?))
    }

    fn pieces(&self, identity: SourceIdentity, after: Position, most: u32) -> Answer<'_, Vec<StoredPiece>> {
        self.ask(move |store| Ok(store.pieces(&identity, after, most)?))
    }

    fn load(&self) -> f64 {
        (self.waiting.load(Ordering::Relaxed) as f64 / BUSY_AT as f64).min(1.0)
    }

    fn close(&self) -> Answer<'_, ()> {
        let _ = (self.writer.send(Write::End), self.reader.send(Read::End));
        Box::pin(async move {
            let threads: Vec<_> = self.threads.lock().await.drain(..).collect();
            let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
            if joined.await.unwrap_or(false) { Ok(()) } else { Err(Failure::Ended) }
        })
    }
}

/// The thread that writes.
struct Writer {
    store: SqliteStore,
    waiting: Arc<AtomicUsize>,
    group: usize,
    /// How many batches shared the transaction before this one.
    grouped: usize,
    /// Logs with sections that have no rows yet.
    dirty: HashSet<SourceIdentity>,
}

type Ingest = (Batch, oneshot::Sender<Result<Verdict, Failure>>);

impl Writer {
    fn run(mut self, writes: &Receiver<Write>) {
        loop {
            let Some(write) = self.next(writes) else { break };
            let mut group = Vec::new();
            let then = match write {
                Write::Ingest(batch, answer) => {
                    group.push((batch, answer));
                    self.gather(&mut group, writes)
                }
                other => Some(other),
            };
            self.ingest(group);
            match then {
                Some(Write::Other(what)) => what(&mut self.store),
                Some(Write::End) => break,
                _ => {}
            }
        }
        if let Err(error) = self.explode_all() {
            tracing::warn!(%error, "some sections have no rows of single events yet: the next start makes them");
        }
    }

    /// Adds what waits, and what is about to come: those who were answered together come again together. Answers what is to
    /// be done after it.
    fn gather(&mut self, group: &mut Vec<Ingest>, writes: &Receiver<Write>) -> Option<Write> {
        while group.len() < self.group {
            let next =
                if group.len() < self.grouped { writes.recv_timeout(GATHER).ok() } else { writes.try_recv().ok() };
            match next {
                Some(Write::Ingest(batch, answer)) => group.push((batch, answer)),
                other => {
                    self.grouped = group.len();
                    return other;
                }
            }
        }
        self.grouped = group.len();
        None
    }

    /// What is to be done next; while there is nothing, sections become rows. `None`: nobody is left to ask.
    fn next(&mut self, writes: &Receiver<Write>) -> Option<Write> {
        while !self.dirty.is_empty() {
            match writes.recv_timeout(IDLE) {
                Ok(write) => return Some(write),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let some: Vec<_> = self.dirty.iter().take(EXPLODED_AT_ONCE).copied().collect();
            for identity in &some {
                self.dirty.remove(identity);
            }
            if let Err(error) = self.store.explode(&some) {
                tracing::warn!(%error, "sections cannot be made rows of single events");
            }
        }
        writes.recv().ok()
    }

    fn explode_all(&mut self) -> Result<(), crate::StoreError> {
        let all: Vec<_> = std::mem::take(&mut self.dirty).into_iter().collect();
        all.chunks(EXPLODED_AT_ONCE).try_for_each(|some| self.store.explode(some))
    }

    fn ingest(&mut self, group: Vec<Ingest>) {
        if group.is_empty() {
            return;
        }
        self.waiting.fetch_sub(group.len(), Ordering::Relaxed);
        let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        match self.store.ingest(&batches) {
            Ok(verdicts) => {
                for ((batch, verdict), answer) in batches.iter().zip(verdicts).zip(answers) {
                    if matches!(verdict, Ok(Verdict::Stored)) {
                        self.dirty.insert(batch.identity);
                    }
                    let _ = answer.send(verdict.map_err(Failure::from));
                }
            }
            Err(error) => {
                let text = error.to_string();
                for answer in answers {
                    let _ = answer.send(Err(Failure::Database(text.clone().into())));
                }
            }
        }
    }
}

fn read(mut store: SqliteStore, reads: &Receiver<Read>) {
    while let Ok(Read::Do(what)) = reads.recv() {
        what(&mut store);
    }
}
