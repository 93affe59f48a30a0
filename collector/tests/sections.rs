//! What a store of sections owes, asked of SQLite and of PostgreSQL alike.

#![cfg(feature = "postgres")]

#[path = "common/postgres.rs"]
mod server;

use std::sync::Arc;

use evenkeel_collector::server::{
    Batch, Distrust, PostgresConfig, PostgresSections, Quarantine, SectionStore, SqliteSections, StoredPiece, Verdict,
};
use evenkeel_collector::{SqliteStore, StoredGap};
use evenkeel_core::section::SectionWriter;
use evenkeel_core::{Epoch, Kind, LogId, Position, Record, StreamId, Version};
use evenkeel_sync::{Loss, SourceIdentity};
use server::Postgres;

const WHO: SourceIdentity = SourceIdentity { device: u64::MAX - 1, log: LogId(3), epoch: Epoch(1 << 63) };

fn section(first: u64, count: u32) -> StoredPiece {
    let mut room = [0; 4096];
    let mut writer = SectionWriter::new(&mut room);
    for index in 0..count {
        let version = Version(first as u32 + index);
        let payload = version.0.to_le_bytes();
        let (stream, kind) = (StreamId(u64::MAX), Kind(4));
        assert!(writer.push(&Record { stream, kind, version, schema: 1, position: None, payload: &payload }));
    }
    StoredPiece::Section { first: Position(first), count, bytes: writer.bytes().to_vec() }
}

fn batch(identity: SourceIdentity, after: u64, pieces: Vec<StoredPiece>) -> Batch {
    Batch { identity, after: Position(after), pieces }
}

/// The contract.
async fn owes(store: &Arc<dyn SectionStore>) {
    let known = store.known(vec![WHO], 10).await.unwrap();
    assert_eq!((known[0].cursor, known[0].tail.len(), known[0].quarantine), (Position::START, 0, None));

    // Pieces and cursor move together, and only from where the cursor is.
    let gap = StoredPiece::Gap(StoredGap { first: Position(8), last: Position(9), reason: Loss::Overwritten });
    let first = batch(WHO, 0, vec![section(1, 5), section(4, 4), gap.clone(), section(10, 3)]);
    assert_eq!(store.ingest(first.clone()).await.unwrap(), Verdict::Stored);
    assert_eq!(store.ingest(first).await.unwrap(), Verdict::Elsewhere(Position(12)));
    assert_eq!(store.ingest(batch(WHO, 11, vec![section(12, 2)])).await.unwrap(), Verdict::Elsewhere(Position(12)));

    // The tail ends at the cursor and has no gap.
    let known = store.known(vec![WHO], 10).await.unwrap().remove(0);
    let tail: Vec<_> = known.tail.iter().map(|event| event.position.0).collect();
    assert_eq!((known.cursor, tail), (Position(12), vec![10, 11, 12]));
    assert_eq!(known.tail[2].record().payload, 12_u32.to_le_bytes());
    let known = store.known(vec![WHO], 2).await.unwrap().remove(0);
    assert_eq!(known.tail.len(), 2);

    // What reaches beyond a position is shown in order.
    let pieces = store.pieces(WHO, Position::START, 100).await.unwrap();
    assert_eq!(pieces, [section(1, 5), section(4, 4), gap.clone(), section(10, 3)]);
    let pieces = store.pieces(WHO, Position(5), 100).await.unwrap();
    assert_eq!(pieces, [section(4, 4), gap, section(10, 3)]);
    assert!(store.pieces(WHO, Position(12), 100).await.unwrap().is_empty());

    // Devices, logs and epochs are kept apart, and listed page by page.
    let others = [
        SourceIdentity { device: 1, ..WHO },
        SourceIdentity { log: LogId(4), ..WHO },
        SourceIdentity { epoch: Epoch(2), ..WHO },
    ];
    for identity in others {
        assert_eq!(store.ingest(batch(identity, 0, vec![section(1, 1)])).await.unwrap(), Verdict::Stored);
    }
    let mut listed = Vec::new();
    loop {
        let page = store.logs(listed.last().copied(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        listed.extend(page.iter().map(|status| status.identity));
    }
    assert_eq!(listed.len(), 4);
    assert!(others.iter().all(|other| listed.contains(other)) && listed.contains(&WHO));

    // Quarantine: nothing more is taken until somebody has looked; the first reason stays.
    let why = Quarantine { reason: Distrust::Diverged, first: Position(11), last: Position(12) };
    store.quarantine(WHO, why).await.unwrap();
    let later = Quarantine { reason: Distrust::Behind, ..why };
    store.quarantine(WHO, later).await.unwrap();
    assert_eq!(store.ingest(batch(WHO, 12, vec![section(13, 1)])).await.unwrap(), Verdict::Quarantined(why));
    assert_eq!(store.known(vec![WHO], 0).await.unwrap()[0].quarantine, Some(why));
    assert!(store.logs(None, 9).await.unwrap().iter().any(|status| status.quarantine == Some(why)));
    assert!(store.release(WHO).await.unwrap());
    assert!(!store.release(WHO).await.unwrap());
    assert_eq!(store.ingest(batch(WHO, 12, vec![section(13, 1)])).await.unwrap(), Verdict::Stored);

    // What cannot be kept in order is refused, and keeps nothing else.
    let beyond = StoredPiece::Gap(StoredGap { first: Position(14), last: Position(1 << 63), reason: Loss::Corrupt });
    assert!(store.ingest(batch(WHO, 13, vec![section(14, 1), beyond])).await.is_err());
    assert_eq!(store.known(vec![WHO], 0).await.unwrap()[0].cursor, Position(13));
    assert_eq!(store.pieces(WHO, Position(13), 9).await.unwrap(), []);
}

/// Many contacts at once, some of them with the same device: of those one is told that it has stored, the others where the
/// cursor is.
async fn race(stores: &[Arc<dyn SectionStore>]) {
    let mut tasks = Vec::new();
    for device in 100..140 {
        for store in stores {
            for _ in 0..2 {
                let store = Arc::clone(store);
                tasks.push(tokio::spawn(async move {
                    let identity = SourceIdentity { device, ..WHO };
                    let mut stored = 0;
                    for round in 0..5 {
                        let verdict = store.ingest(batch(identity, 4 * round, vec![section(4 * round + 1, 4)])).await;
                        stored += u32::from(verdict.unwrap() == Verdict::Stored);
                    }
                    (device, stored)
                }));
            }
        }
    }
    let mut sums = std::collections::HashMap::new();
    for task in tasks {
        let (device, stored) = task.await.unwrap();
        *sums.entry(device).or_insert(0_u32) += stored;
    }
    for device in 100..140 {
        let identity = SourceIdentity { device, ..WHO };
        let known = stores[0].known(vec![identity], 100).await.unwrap().remove(0);
        let pieces = stores[0].pieces(identity, Position::START, 100).await.unwrap();
        assert_eq!(pieces.len() as u32, sums[&device], "each batch that was told to be stored is, once");
        assert_eq!(known.cursor.0, 4 * pieces.len() as u64);
        let positions: Vec<_> = known.tail.iter().map(|event| event.position.0).collect();
        assert_eq!(positions, (1..=known.cursor.0).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_and_makes_rows_when_it_has_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collected.db");
    let store: Arc<dyn SectionStore> = Arc::new(SqliteSections::open(&path, 16).unwrap());
    owes(&store).await;
    race(std::slice::from_ref(&store)).await;
    store.close().await.unwrap();
    assert!(store.ingest(batch(WHO, 13, vec![section(14, 1)])).await.is_err(), "it has ended");

    let rows = SqliteStore::open(&path).unwrap();
    let mut positions = Vec::new();
    rows.events(&WHO, Position::START, |event| positions.push(event.position.unwrap().0)).unwrap();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_for_collectors_side_by_side() {
    let Some(server) = Postgres::start() else { return };
    let open = async |group| {
        let config = PostgresConfig { connections: 4, group };
        let store: Arc<dyn SectionStore> = Arc::new(PostgresSections::connect(&server.url(), config).await.unwrap());
        store
    };
    let stores = [open(1).await, open(16).await];
    owes(&stores[0]).await;
    race(&stores).await;

    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // Rows are made by and by.
    let positions = "select count(*) from events where device = $1 and log = 3 and epoch = $2";
    let of = (WHO.device.cast_signed(), WHO.epoch.0.cast_signed());
    for _ in 0..500 {
        if client.query_one(positions, &[&of.0, &of.1]).await.unwrap().get::<_, i64>(0) == 11 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(client.query_one(positions, &[&of.0, &of.1]).await.unwrap().get::<_, i64>(0), 11);

    // The tables can be distributed by device: each is partitioned by it, and every unique key begins with it.
    let keys = "select c.relname, a.attname from pg_index i
        join pg_class c on c.oid = i.indrelid join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where i.indisunique and c.relnamespace = 'public'::regnamespace";
    let keys = client.query(keys, &[]).await.unwrap();
    assert!(keys.len() >= 5 * 17, "five tables of sixteen parts: {}", keys.len());
    for row in keys {
        assert_eq!(row.get::<_, String>(1), "device", "{}", row.get::<_, String>(0));
    }
    let parted = "select count(*) from pg_partitioned_table p join pg_attribute a
        on a.attrelid = p.partrelid and a.attnum = p.partattrs[0] where a.attname = 'device' and p.partstrat = 'h'";
    assert_eq!(client.query_one(parted, &[]).await.unwrap().get::<_, i64>(0), 5);
    for store in stores {
        store.close().await.unwrap();
    }
}
