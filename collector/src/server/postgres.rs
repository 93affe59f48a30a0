//! PostgreSQL behind the server: several collectors may share one database.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel_core::{Epoch, LogId, Position};
use evenkeel_sync::wire::MAX_EVENTS;
use evenkeel_sync::{Loss, SourceIdentity};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::{
    Answer, Batch, Distrust, Failure, Known, LogStatus, Quarantine, SectionStore, StoredPiece, Verdict, in_order,
    tail_of,
};
use crate::{StoreError, StoredGap, sql};

/// Into how many tables each table is split, by a hash of the device.
const PARTITIONS: u32 = 16;
/// The load is 1 with so many batches waiting.
const BUSY_AT: usize = 256;
/// The version of the tables.
const VERSION: i64 = 2;
/// How long a batch waits for a database that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long to wait while there are batches to be stored before sections are made rows.
const IDLE: Duration = Duration::from_millis(50);
/// How long the next batch of a group may take to come.
const GATHER: Duration = Duration::from_millis(1);
/// Collectors that start at the same time create the tables one after another.
const LOCK: i64 = 0x4576_4B6C;

/// Whole sections in PostgreSQL.
///
/// Every table is hash-partitioned by device, every key begins with the device, and every statement of the ingest path
/// names one device. Several connections store batches at the same time; each transaction locks the cursor of its log
/// with `select … for update`. When the database goes away, batches fail, and connections are made again as soon as that
/// can be done.
pub struct PostgresSections {
    batches: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    /// For everything but batches.
    reader: Mutex<Option<Connected>>,
    source: Arc<str>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

struct Job {
    batch: Batch,
    answer: oneshot::Sender<Result<Verdict, Failure>>,
}

/// How batches are stored.
#[derive(Debug, Clone, Copy)]
pub struct PostgresConfig {
    /// Connections that store batches.
    pub connections: usize,
    /// Batches of different devices that may share one transaction; 1: each has its own, which is what a database that is
    /// distributed by device wants.
    pub group: usize,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self { connections: 8, group: 16 }
    }
}

fn failed(error: tokio_postgres::Error) -> Failure {
    Failure::Database(Box::new(error))
}

/// The key of a log as the tables have it.
type Key = (i64, i64, i64);

fn key(identity: &SourceIdentity) -> Key {
    (identity.device.cast_signed(), i64::from(identity.log.0), identity.epoch.0.cast_signed())
}

fn place(position: Position) -> Result<i64, Failure> {
    i64::try_from(position.0).map_err(|_| StoreError::OutOfRange(position).into())
}

fn position(row: &Row, index: usize) -> Position {
    Position(row.get::<_, i64>(index).cast_unsigned())
}

fn small(row: &Row, index: usize) -> u8 {
    u8::try_from(row.get::<_, i64>(index)).unwrap_or(u8::MAX)
}

/// A connection with its statements.
struct Connected {
    client: Client,
    begin_log: Statement,
    cursor: Statement,
    state_locked: Statement,
    move_cursor: Statement,
    store_section: Statement,
    store_event: Statement,
    store_gap: Statement,
    quarantined: Statement,
    store_quarantine: Statement,
    release: Statement,
    sections_after: Statement,
    gaps_after: Statement,
    progress: Statement,
    set_exploded: Statement,
    unexploded: Statement,
    logs_after: Statement,
}

impl Connected {
    async fn new(source: &str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(source, NoTls).await.map_err(failed)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        client.batch_execute("set synchronous_commit = on; set statement_timeout = '30s'").await.map_err(failed)?;
        let prepare = |text: &'static str| client.prepare(text);
        Ok(Self {
            begin_log: prepare(sql::BEGIN_LOG).await.map_err(failed)?,
            cursor: prepare(sql::CURSOR).await.map_err(failed)?,
            state_locked: prepare(sql::STATE_LOCKED).await.map_err(failed)?,
            move_cursor: prepare(sql::MOVE_CURSOR).await.map_err(failed)?,
            store_section: prepare(sql::STORE_SECTION).await.map_err(failed)?,
            store_event: prepare(sql::STORE_EVENT).await.map_err(failed)?,
            store_gap: prepare(sql::STORE_GAP).await.map_err(failed)?,
            quarantined: prepare(sql::QUARANTINED).await.map_err(failed)?,
            store_quarantine: prepare(sql::STORE_QUARANTINE).await.map_err(failed)?,
            release: prepare(sql::RELEASE).await.map_err(failed)?,
            sections_after: prepare(sql::SECTIONS_AFTER).await.map_err(failed)?,
            gaps_after: prepare(sql::GAPS_AFTER).await.map_err(failed)?,
            progress: prepare(sql::PROGRESS).await.map_err(failed)?,
            set_exploded: prepare(sql::SET_EXPLODED).await.map_err(failed)?,
            unexploded: prepare(sql::UNEXPLODED).await.map_err(failed)?,
            logs_after: prepare(sql::LOGS_AFTER).await.map_err(failed)?,
            client,
        })
    }

    async fn execute(&self, statement: &Statement, row: &[&(dyn ToSql + Sync)]) -> Result<u64, Failure> {
        self.client.execute(statement, row).await.map_err(failed)
    }

    async fn quarantine_of(&self, of: Key) -> Result<Option<Quarantine>, Failure> {
        let found = self.client.query_opt(&self.quarantined, &[&of.0, &of.1, &of.2]).await.map_err(failed)?;
        Ok(found.map(|row| quarantine_at(&row, 0)))
    }

    async fn cursor_of(&self, of: Key) -> Result<Position, Failure> {
        let found = self.client.query_opt(&self.cursor, &[&of.0, &of.1, &of.2]).await.map_err(failed)?;
        Ok(found.map_or(Position::START, |row| position(&row, 0)))
    }

    async fn pieces(&self, identity: &SourceIdentity, after: Position, most: u32) -> Result<Vec<StoredPiece>, Failure> {
        let of = key(identity);
        let from = place(Position(after.0.saturating_sub(u64::from(MAX_EVENTS))))?;
        let (after_stored, most) = (place(after)?, i64::from(most));
        let rows = self.client.query(&self.sections_after, &[&of.0, &of.1, &of.2, &from, &most]).await;
        let mut sections = Vec::new();
        for row in rows.map_err(failed)? {
            let count = u32::try_from(row.get::<_, i64>(1)).unwrap_or_default();
            let section = StoredPiece::Section { first: position(&row, 0), count, bytes: row.get(2) };
            if section.last() > after {
                sections.push(section);
            }
        }
        let rows = self.client.query(&self.gaps_after, &[&of.0, &of.1, &of.2, &after_stored, &most]).await;
        let rows = rows.map_err(failed)?;
        let gaps = rows.iter().map(|row| {
            let reason = Loss::from_code(small(row, 2));
            StoredPiece::Gap(StoredGap { first: position(row, 0), last: position(row, 1), reason })
        });
        Ok(in_order(sections, gaps.collect()))
    }

    async fn known(&self, identity: &SourceIdentity, tail: u64) -> Result<Known, Failure> {
        let cursor = self.cursor_of(key(identity)).await?;
        let after = Position(cursor.0.saturating_sub(tail));
        let pieces = if cursor > after { self.pieces(identity, after, u32::MAX).await? } else { Vec::new() };
        let quarantine = self.quarantine_of(key(identity)).await?;
        Ok(Known { identity: *identity, cursor, tail: tail_of(&pieces, cursor, tail)?, quarantine })
    }

    /// Stores batches in one transaction. When this fails nothing is stored, unless the connection was lost while it
    /// committed.
    async fn ingest(&self, batches: &[&Batch]) -> Result<Vec<Verdict>, Failure> {
        let stored = self.ingest_within(batches).await;
        if stored.is_err() {
            // If that fails, too, the connection is gone, and with it the transaction.
            let _ = self.client.batch_execute("rollback").await;
        }
        stored
    }

    async fn ingest_within(&self, batches: &[&Batch]) -> Result<Vec<Verdict>, Failure> {
        // Requests that are begun together travel together; they are executed in this order.
        let locks = batches.iter().map(|batch| self.lock(batch));
        let (begun, locks) = futures(self.client.batch_execute("begin"), all(locks)).await;
        begun.map_err(failed)?;
        let mut verdicts = Vec::with_capacity(batches.len());
        let mut writes = Vec::new();
        for (batch, lock) in batches.iter().zip(locks) {
            let verdict = match lock? {
                (cursor, _) if cursor != batch.after => Verdict::Elsewhere(cursor),
                (_, Some(why)) => Verdict::Quarantined(why),
                _ => Verdict::Stored,
            };
            if verdict == Verdict::Stored {
                writes.push(self.write(batch));
            }
            verdicts.push(verdict);
        }
        // If one of them fails, the commit that follows it takes all of them back.
        let (written, committed) = futures(all(writes.into_iter()), self.client.batch_execute("commit")).await;
        for write in written {
            write?;
        }
        committed.map_err(failed)?;
        Ok(verdicts)
    }

    /// Locks the cursor of a batch's log, and answers it, and whether the log is quarantined.
    async fn lock(&self, batch: &Batch) -> Result<(Position, Option<Quarantine>), Failure> {
        let of = key(&batch.identity);
        let row: [&(dyn ToSql + Sync); 3] = [&of.0, &of.1, &of.2];
        let begin =
            async { if batch.after == Position::START { self.execute(&self.begin_log, &row).await } else { Ok(0) } };
        let lock = async { self.client.query_opt(&self.state_locked, &row).await.map_err(failed) };
        let (begun, locked) = futures(begin, lock).await;
        begun?;
        Ok(locked?.map_or((Position::START, None), |row| {
            let why = row.get::<_, Option<i64>>(1).map(|_| quarantine_at(&row, 1));
            (position(&row, 0), why)
        }))
    }

    async fn write(&self, batch: &Batch) -> Result<(), Failure> {
        let of = key(&batch.identity);
        let to = place(batch.to())?;
        let pieces = all(batch.pieces.iter().map(|piece| self.write_piece(of, piece)));
        let cursor: [&(dyn ToSql + Sync); 4] = [&of.0, &of.1, &of.2, &to];
        let (pieces, moved) = futures(pieces, self.execute(&self.move_cursor, &cursor)).await;
        for piece in pieces {
            piece?;
        }
        moved.map(drop)
    }

    async fn write_piece(&self, of: Key, piece: &StoredPiece) -> Result<u64, Failure> {
        match piece {
            StoredPiece::Section { first, count, bytes } => {
                let (first, count) = (place(*first)?, i64::from(*count));
                self.execute(&self.store_section, &[&of.0, &of.1, &of.2, &first, &count, bytes]).await
            }
            StoredPiece::Gap(gap) => {
                let (first, last, reason) = (place(gap.first)?, place(gap.last)?, i64::from(gap.reason.code()));
                self.execute(&self.store_gap, &[&of.0, &of.1, &of.2, &first, &last, &reason]).await
            }
        }
    }

    /// Stores a row for each event of a log that has none yet, in one transaction.
    async fn explode(&self, identity: &SourceIdentity) -> Result<(), Failure> {
        let exploded = self.explode_within(identity).await;
        if exploded.is_err() {
            let _ = self.client.batch_execute("rollback").await;
        }
        exploded
    }

    async fn explode_within(&self, identity: &SourceIdentity) -> Result<(), Failure> {
        let of = key(identity);
        self.client.batch_execute("begin").await.map_err(failed)?;
        self.client.query_opt(&self.state_locked, &[&of.0, &of.1, &of.2]).await.map_err(failed)?;
        let progress = self.client.query_one(&self.progress, &[&of.0, &of.1, &of.2]).await.map_err(failed)?;
        let (cursor, mut done) = (position(&progress, 0), position(&progress, 1));
        for piece in self.pieces(identity, done, u32::MAX).await? {
            let StoredPiece::Section { first, bytes, .. } = piece else { continue };
            let mut rows = Vec::new();
            for event in evenkeel_core::section::SectionReader::new(first, &bytes) {
                let event = event.map_err(|_| StoreError::MalformedSection)?;
                let at = event.position.unwrap_or_default();
                if at > done {
                    let (stream, version) = (event.stream.0.cast_signed(), i64::from(event.version.0));
                    let (kind, schema) = (i64::from(event.kind.0), i64::from(event.schema));
                    rows.push((place(at)?, stream, kind, schema, version, event.payload));
                    done = at;
                }
            }
            let stored = all(rows.iter().map(|(at, stream, kind, schema, version, payload)| async {
                let row: [&(dyn ToSql + Sync); 9] = [&of.0, &of.1, &of.2, at, stream, kind, schema, version, payload];
                self.execute(&self.store_event, &row).await
            }));
            for stored in stored.await {
                stored?;
            }
        }
        self.execute(&self.set_exploded, &[&of.0, &of.1, &of.2, &place(cursor)?]).await?;
        self.client.batch_execute("commit").await.map_err(failed)
    }
}

fn quarantine_at(row: &Row, index: usize) -> Quarantine {
    Quarantine {
        reason: Distrust::from_code(small(row, index)),
        first: position(row, index + 1),
        last: position(row, index + 2),
    }
}

/// Two futures at once, begun in this order.
async fn futures<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (first, second) = (std::pin::pin!(first), std::pin::pin!(second));
    tokio::join!(biased; first, second)
}

/// All of them at once, begun in this order.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

/// Creates what is missing of the tables, or says why that cannot be done.
async fn prepare(source: &str) -> Result<(), Failure> {
    let (client, connection) = tokio_postgres::connect(source, NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    let mut text = format!(
        "begin; select pg_advisory_xact_lock({LOCK});
         create table if not exists evenkeel (version bigint not null);
         insert into evenkeel (version) select {VERSION} where not exists (select from evenkeel);"
    );
    for table in &sql::TABLES {
        text += &table.for_postgres(PARTITIONS);
    }
    text += &sql::EVENTS_BY_STREAM.replace("create index", "create index if not exists");
    text += "; commit";
    client.batch_execute("set client_min_messages = warning").await.map_err(failed)?;
    client.batch_execute(&text).await.map_err(failed)?;
    let row = client.query_one("select max(version) from evenkeel", &[]).await.map_err(failed)?;
    let found: i64 = row.get(0);
    if found == VERSION {
        Ok(())
    } else {
        Err(Failure::Database(format!("its tables are of version {found}, only {VERSION} is understood").into()))
    }
}

impl PostgresSections {
    /// Connects to the database that `source` names (`postgres://…`, or `host=… dbname=…`) and creates the tables if there
    /// are none. There is no TLS: use a local socket, or a network that is trusted.
    pub async fn connect(source: &str, config: PostgresConfig) -> Result<Self, Failure> {
        prepare(source).await?;
        let source: Arc<str> = source.into();
        let reader = Connected::new(&source).await?;
        let (batches, jobs) = mpsc::channel(4 * BUSY_AT);
        let jobs = Arc::new(Mutex::new(jobs));
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut workers = Vec::new();
        let (dirty, exploding) = mpsc::unbounded_channel();
        for _ in 0..config.connections.max(1) {
            let worker = Worker {
                jobs: Arc::clone(&jobs),
                source: Arc::clone(&source),
                waiting: Arc::clone(&waiting),
                group: config.group.max(1),
                dirty: dirty.clone(),
            };
            workers.push(tokio::spawn(worker.run()));
        }
        workers.push(tokio::spawn(explode(Arc::clone(&source), exploding, Arc::clone(&waiting))));
        Ok(Self { batches, waiting, reader: Mutex::new(Some(reader)), source, workers: Mutex::new(workers) })
    }

    /// Asks over the connection for questions, which is made again if it was lost.
    async fn ask<T>(&self, of: impl AsyncFnOnce(&Connected) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut reader = self.reader.lock().await;
        if reader.as_ref().is_none_or(|reader| reader.client.is_closed()) {
            *reader = Some(Connected::new(&self.source).await?);
        }
        match reader.as_ref() {
            Some(reader) => of(reader).await,
            None => Err(Failure::Ended),
        }
    }
}

impl SectionStore for PostgresSections {
    fn known(&self, identities: Vec<SourceIdentity>, tail: u64) -> Answer<'_, Vec<Known>> {
        Box::pin(self.ask(async move |reader| {
            let mut known = Vec::with_capacity(identities.len());
            for identity in &identities {
                known.push(reader.known(identity, tail).await?);
            }
            Ok(known)
        }))
    }

    fn ingest(&self, batch: Batch) -> Answer<'_, Verdict> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.waiting.fetch_add(1, Ordering::Relaxed);
            if self.batches.send(Job { batch, answer }).await.is_err() {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                return Err(Failure::Ended);
            }
            answered.await.map_err(|_| Failure::Ended)?
        })
    }

    fn quarantine(&self, identity: SourceIdentity, why: Quarantine) -> Answer<'_, ()> {
        Box::pin(self.ask(async move |reader| {
            let of = key(&identity);
            let (first, last) = (place(why.first)?, place(why.last)?);
            let (reason, at_ms) = (i64::from(why.reason.code()), super::unix_ms().cast_signed());
            let row: [&(dyn ToSql + Sync); 7] = [&of.0, &of.1, &of.2, &reason, &first, &last, &at_ms];
            reader.execute(&reader.store_quarantine, &row).await.map(drop)
        }))
    }

    fn release(&self, identity: SourceIdentity) -> Answer<'_, bool> {
        Box::pin(self.ask(async move |reader| {
            let of = key(&identity);
            Ok(reader.execute(&reader.release, &[&of.0, &of.1, &of.2]).await? > 0)
        }))
    }

    fn logs(&self, after: Option<SourceIdentity>, most: u32) -> Answer<'_, Vec<LogStatus>> {
        Box::pin(self.ask(async move |reader| {
            let of = after.as_ref().map_or((i64::MIN, -1, 0), key);
            let row: [&(dyn ToSql + Sync); 4] = [&of.0, &of.1, &of.2, &i64::from(most)];
            let rows = reader.client.query(&reader.logs_after, &row).await.map_err(failed)?;
            Ok(rows
                .iter()
                .map(|row| LogStatus {
                    identity: identity_at(row),
                    cursor: position(row, 3),
                    quarantine: row.get::<_, Option<i64>>(4).map(|_| quarantine_at(row, 4)),
                })
                .collect())
        }))
    }

    fn pieces(&self, identity: SourceIdentity, after: Position, most: u32) -> Answer<'_, Vec<StoredPiece>> {
        Box::pin(self.ask(async move |reader| reader.pieces(&identity, after, most).await))
    }

    fn load(&self) -> f64 {
        (self.waiting.load(Ordering::Relaxed) as f64 / BUSY_AT as f64).min(1.0)
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            for worker in self.workers.lock().await.drain(..) {
                worker.abort();
            }
            *self.reader.lock().await = None;
            Ok(())
        })
    }
}

fn identity_at(row: &Row) -> SourceIdentity {
    let log = u16::try_from(row.get::<_, i64>(1)).unwrap_or_default();
    SourceIdentity {
        device: row.get::<_, i64>(0).cast_unsigned(),
        log: LogId(log),
        epoch: Epoch(row.get::<_, i64>(2).cast_unsigned()),
    }
}

/// A connection that stores batches.
struct Worker {
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    source: Arc<str>,
    waiting: Arc<AtomicUsize>,
    group: usize,
    dirty: mpsc::UnboundedSender<SourceIdentity>,
}

impl Worker {
    async fn run(self) {
        let mut connected: Option<Connected> = None;
        let mut grouped = 0;
        loop {
            let jobs = self.take(grouped).await;
            grouped = jobs.len();
            if jobs.is_empty() {
                return;
            }
            if connected.as_ref().is_none_or(|connected| connected.client.is_closed()) {
                connected = reconnect(&self.source).await;
            }
            for (job, stored) in self.store(connected.as_ref(), jobs).await {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                match &stored {
                    Ok(Verdict::Stored) => drop(self.dirty.send(job.batch.identity)),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "a batch could not be stored"),
                }
                let _ = job.answer.send(stored);
            }
        }
    }

    /// Waits for a batch and takes those that wait with it, no two of one log, in the order in which all collectors lock.
    ///
    /// Those who were answered together come again together: it waits a little for as many as it took the last time.
    async fn take(&self, before: usize) -> Vec<Job> {
        let mut jobs = self.jobs.lock().await;
        let Some(first) = jobs.recv().await else { return Vec::new() };
        let mut taken = vec![first];
        while taken.len() < self.group {
            let next = if taken.len() < before {
                tokio::time::timeout(GATHER, jobs.recv()).await.ok().flatten()
            } else {
                jobs.try_recv().ok()
            };
            match next {
                Some(job) => taken.push(job),
                None => break,
            }
        }
        drop(jobs);
        taken.sort_by_key(|job| key(&job.batch.identity));
        taken
    }

    /// Stores batches in one transaction; if that fails, each in its own, so that one that cannot be stored does not keep
    /// the others.
    async fn store(&self, connected: Option<&Connected>, jobs: Vec<Job>) -> Vec<(Job, Result<Verdict, Failure>)> {
        let Some(connected) = connected else {
            let failure = || Failure::Database("it cannot be reached".into());
            return jobs.into_iter().map(|job| (job, Err(failure()))).collect();
        };
        // Two contacts with one device: what the first of them stores decides about the second.
        let twice = jobs.windows(2).any(|pair| matches!(pair, [one, two] if one.batch.identity == two.batch.identity));
        if !twice && jobs.len() > 1 {
            let batches: Vec<_> = jobs.iter().map(|job| &job.batch).collect();
            if let Ok(verdicts) = connected.ingest(&batches).await {
                return jobs.into_iter().zip(verdicts.into_iter().map(Ok)).collect();
            }
        }
        let mut stored = Vec::with_capacity(jobs.len());
        for job in jobs {
            let verdict = connected.ingest(&[&job.batch]).await;
            let verdict = verdict.and_then(|all| all.first().copied().ok_or(Failure::Ended));
            stored.push((job, verdict));
        }
        stored
    }
}

async fn reconnect(source: &str) -> Option<Connected> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(50);
    loop {
        match Connected::new(source).await {
            Ok(connected) => return Some(connected),
            Err(_) if tokio::time::Instant::now() >= until => return None,
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Makes rows of the sections that were stored, one log after another; first of those that an earlier collector left.
async fn explode(source: Arc<str>, mut dirty: mpsc::UnboundedReceiver<SourceIdentity>, busy: Arc<AtomicUsize>) {
    let mut connected = reconnect(&source).await;
    let mut waiting = std::collections::HashSet::new();
    if let Some(connected) = &connected {
        if let Ok(rows) = connected.client.query(&connected.unexploded, &[]).await {
            waiting.extend(rows.iter().map(identity_at));
        }
    }
    loop {
        if waiting.is_empty() {
            let Some(identity) = dirty.recv().await else { return };
            waiting.insert(identity);
        }
        while let Ok(identity) = dirty.try_recv() {
            waiting.insert(identity);
        }
        let Some(identity) = waiting.iter().next().copied() else { continue };
        // What devices bring comes first.
        while busy.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(IDLE).await;
        }
        if connected.as_ref().is_none_or(|connected| connected.client.is_closed()) {
            connected = reconnect(&source).await;
        }
        waiting.remove(&identity);
        if let Some(connected) = &connected {
            if let Err(error) = connected.explode(&identity).await {
                tracing::warn!(%identity, %error, "its sections cannot be made rows of single events");
            }
        }
    }
}
