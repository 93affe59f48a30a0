//! How many sections a second a collector stores durably, beside a bare loop that inserts the same rows.
//!
//! ```text
//! cargo run --release -p evenkeel-collector --features postgres --example ingest -- [postgres://…]
//! ```
//!
//! Both alternate, three times each, and the best of each counts, as other work on the machine only takes away. The
//! database must be empty. `EVENKEEL_SECONDS` says how long each measurement takes, and `EVENKEEL_RATIO` which part of the bare
//! loop's rate the collector must reach for the exit status to be 0; without it nothing is judged, as a ratio of two
//! measurements on a machine that does other things is no promise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_collector::server::{
    Batch, PostgresConfig, PostgresSections, SectionStore, SqliteSections, StoredPiece, Verdict,
};
use evenkeel_core::section::SectionWriter;
use evenkeel_core::{Epoch, Kind, LogId, Position, Record, StreamId, Version};
use evenkeel_sync::SourceIdentity;
use rusqlite::{Connection, params};
use tokio_postgres::NoTls;

type Failed = Box<dyn std::error::Error>;

/// Events of a section, of 16 bytes each.
const EVENTS: u32 = 32;
const ROUNDS: u32 = 3;
/// Contacts that deliver at the same time where batches are grouped.
const AT_ONCE: u64 = 64;
const SECTION: &str = "insert into sections (device, log, epoch, first, count, bytes) values ($1, $2, $3, $4, $5, $6)";
const CURSOR: &str = "insert into cursors (device, log, epoch, cursor, exploded) values ($1, $2, $3, $4, 0)
    on conflict (device, log, epoch) do update set cursor = excluded.cursor";

fn section(first: u64) -> (Vec<u8>, Position) {
    let mut room = [0; 1024];
    let mut writer = SectionWriter::new(&mut room);
    for index in 0..EVENTS {
        let version = Version(first as u32 + index);
        let payload = (u128::from(first) + u128::from(index)).to_le_bytes();
        let fits = writer.push(&Record {
            stream: StreamId(u64::from(index % 3)),
            kind: Kind(1),
            version,
            schema: 0,
            position: None,
            payload: &payload,
        });
        assert!(fits, "the room is large enough");
    }
    (writer.bytes().to_vec(), Position(first + u64::from(EVENTS) - 1))
}

fn least() -> Option<f64> {
    std::env::var("EVENKEEL_RATIO").ok()?.parse().ok()
}

fn duration() -> Duration {
    let seconds = std::env::var("EVENKEEL_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(2.0))
}

/// Lets so many contacts deliver through these stores; answers sections a second.
async fn through(stores: &[Arc<dyn SectionStore>], at_once: u64, devices: u64) -> Result<f64, Failed> {
    let begun = Instant::now();
    let mut contacts = Vec::new();
    for contact in 0..at_once * stores.len() as u64 {
        let store = Arc::clone(&stores[(contact % stores.len() as u64) as usize]);
        contacts.push(tokio::spawn(async move {
            let mut count = 0_u64;
            // Devices that nobody else of this measurement has.
            let identity = SourceIdentity { device: devices + contact, log: LogId(0), epoch: Epoch(1) };
            while begun.elapsed() < duration() {
                let after = Position(count * u64::from(EVENTS));
                let (bytes, _) = section(after.0 + 1);
                let pieces = vec![StoredPiece::Section { first: after.next(), count: EVENTS, bytes }];
                let verdict = store.ingest(Batch { identity, after, pieces }).await;
                assert!(matches!(verdict, Ok(Verdict::Stored)), "{verdict:?}");
                count += 1;
            }
            count
        }));
    }
    let mut sections = 0;
    for contact in contacts {
        sections += contact.await?;
    }
    Ok(sections as f64 / begun.elapsed().as_secs_f64())
}

/// A bare loop into SQLite: one connection, so many sections a transaction.
fn bare_sqlite(path: &std::path::Path, group: u64, device: u64) -> Result<f64, Failed> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let begun = Instant::now();
    let mut rounds = 0_u64;
    while begun.elapsed() < duration() {
        let transaction = connection.transaction()?;
        for of in 0..group {
            let first = rounds * u64::from(EVENTS) + 1;
            let (bytes, last) = section(first);
            let (device, last) = ((device + of).cast_signed(), last.0.cast_signed());
            let row = params![device, 0, 1, first.cast_signed(), EVENTS, bytes];
            transaction.prepare_cached(SECTION)?.execute(row)?;
            transaction.prepare_cached(CURSOR)?.execute(params![device, 0, 1, last])?;
        }
        transaction.commit()?;
        rounds += 1;
    }
    Ok((rounds * group) as f64 / begun.elapsed().as_secs_f64())
}

/// Bare loops into PostgreSQL, a connection each: so many sections a transaction.
async fn bare_postgres(source: &str, connections: u64, group: u64, device: u64) -> Result<f64, Failed> {
    let mut loops = Vec::new();
    for connection in 0..connections {
        let (mut client, driver) = tokio_postgres::connect(source, NoTls).await?;
        tokio::spawn(driver);
        let (section_of, cursor_of) = (client.prepare(SECTION).await?, client.prepare(CURSOR).await?);
        loops.push(tokio::spawn(async move {
            let begun = Instant::now();
            let mut rounds = 0_u64;
            while begun.elapsed() < duration() {
                let transaction = client.transaction().await?;
                for of in 0..group {
                    let first = rounds * u64::from(EVENTS) + 1;
                    let (bytes, last) = section(first);
                    let device = (device + connection * group + of).cast_signed();
                    let (first, last) = (first.cast_signed(), last.0.cast_signed());
                    let count = i64::from(EVENTS);
                    transaction.execute(&section_of, &[&device, &0_i64, &1_i64, &first, &count, &bytes]).await?;
                    transaction.execute(&cursor_of, &[&device, &0_i64, &1_i64, &last]).await?;
                }
                transaction.commit().await?;
                rounds += 1;
            }
            Ok::<_, tokio_postgres::Error>((rounds * group) as f64 / begun.elapsed().as_secs_f64())
        }));
    }
    let mut sum = 0.0;
    for one in loops {
        sum += one.await??;
    }
    Ok(sum)
}

/// A line of the table; `false` if the collector is slower than was asked for.
fn line(what: &str, collector: f64, bare: f64) -> bool {
    let ratio = collector / bare;
    println!("| {what} | {collector:.0} | {bare:.0} | {ratio:.2} |");
    least().is_none_or(|least| ratio >= least)
}

/// Numbers of devices that no measurement had before.
fn fresh() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}

async fn sqlite(folder: &std::path::Path) -> Result<bool, Failed> {
    let mut well = true;
    for (what, group, at_once) in [("SQLite, one at a time", 1, 1), ("SQLite, in groups of 64", 64, AT_ONCE)] {
        let (mut best, mut bare) = (0_f64, 0_f64);
        for round in 0..ROUNDS {
            let path = folder.join(format!("{group}-{round}.db"));
            let store: Arc<dyn SectionStore> = Arc::new(SqliteSections::open(&path, group)?);
            best = best.max(through(std::slice::from_ref(&store), at_once, fresh()).await?);
            store.close().await?;
            bare = bare.max(bare_sqlite(&path, group as u64, fresh())?);
            std::fs::remove_file(&path)?;
        }
        well &= line(what, best, bare);
    }
    // Each known device is a row of `cursors`.
    let path = folder.join("known.db");
    drop(SqliteSections::open(&path, 64)?.close().await);
    let mut flat = Vec::new();
    for known in [1_000, 10_000, 100_000] {
        fill_sqlite(&path, known)?;
        let store: Arc<dyn SectionStore> = Arc::new(SqliteSections::open(&path, 64)?);
        let mut best = 0_f64;
        for _ in 0..ROUNDS {
            best = best.max(through(std::slice::from_ref(&store), AT_ONCE, fresh()).await?);
        }
        store.close().await?;
        println!("| SQLite, in groups of 64, {known} devices known | {best:.0} | | |");
        flat.push(best);
    }
    Ok(well && least().is_none_or(|least| flat[2] >= least * flat[0]))
}

fn fill_sqlite(path: &std::path::Path, known: u64) -> Result<(), Failed> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    for device in 0..known {
        // Numbers of devices are no sequence.
        let device = device.wrapping_mul(0x9E37_79B9_7F4A_7C15).cast_signed();
        transaction.prepare_cached("insert or ignore into cursors values (?1, 0, 1, 100, 100)")?.execute([device])?;
    }
    Ok(transaction.commit()?)
}

async fn postgres(source: &str) -> Result<bool, Failed> {
    let mut well = true;
    let rows =
        [("PostgreSQL, one at a time", 1, 1, 1), ("PostgreSQL, 8 connections, groups of 16", 8, 16, 4 * AT_ONCE)];
    for (what, connections, group, at_once) in rows {
        let (mut best, mut bare) = (0_f64, 0_f64);
        let config = PostgresConfig { connections, group };
        for _ in 0..ROUNDS {
            let store: Arc<dyn SectionStore> = Arc::new(PostgresSections::connect(source, config).await?);
            best = best.max(through(std::slice::from_ref(&store), at_once, fresh()).await?);
            store.close().await?;
            bare = bare.max(bare_postgres(source, connections as u64, group as u64, fresh()).await?);
        }
        well &= line(what, best, bare);
    }
    for collectors in 1..=4 {
        let mut stores: Vec<Arc<dyn SectionStore>> = Vec::new();
        for _ in 0..collectors {
            let config = PostgresConfig { connections: 4, group: 16 };
            stores.push(Arc::new(PostgresSections::connect(source, config).await?));
        }
        let rate = through(&stores, AT_ONCE, fresh()).await?;
        println!("| PostgreSQL, {collectors} collectors of 4 connections | {rate:.0} | | |");
        for store in stores {
            store.close().await?;
        }
    }
    let (client, driver) = tokio_postgres::connect(source, NoTls).await?;
    tokio::spawn(driver);
    let mut flat = Vec::new();
    for known in [1_000_i64, 10_000, 100_000] {
        let fill =
            "insert into cursors select hashint8extended(n, 7), 0, 1, 100, 100 from generate_series(1, $1::bigint) n
                    on conflict do nothing";
        client.execute(fill, &[&known]).await?;
        let config = PostgresConfig::default();
        let store: Arc<dyn SectionStore> = Arc::new(PostgresSections::connect(source, config).await?);
        let mut best = 0_f64;
        for _ in 0..ROUNDS {
            best = best.max(through(std::slice::from_ref(&store), AT_ONCE, fresh()).await?);
        }
        store.close().await?;
        println!("| PostgreSQL, {known} devices known | {best:.0} | | |");
        flat.push(best);
    }
    Ok(well && least().is_none_or(|least| flat[2] >= least * flat[0]))
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    println!("| sections of {EVENTS} events a second | collector | bare loop | ratio |\n| --- | --- | --- | --- |");
    let mut well = sqlite(folder.path()).await?;
    if let Some(source) = std::env::args().nth(1) {
        well &= postgres(&source).await?;
    }
    if well { Ok(()) } else { Err("the collector is slower than was asked for".into()) }
}
