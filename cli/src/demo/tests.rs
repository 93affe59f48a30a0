//! The demo's own checks must be able to fail: what the collector has is tampered with, and they have to notice.

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn args(folder: &TempDir, cuts: u32) -> DemoArgs {
    DemoArgs { seed: 11, cuts, out: folder.path().join("out"), input: Vec::new() }
}

fn live(args: &DemoArgs) -> Run {
    let output = Output::prepare(&args.out).unwrap();
    let mut run = Run::new(args, input::read(&args.input).unwrap(), output.open_store().unwrap());
    run.live();
    run
}

/// Acknowledged events lost, events duplicated, phantoms, and whether the twin is equal.
type Counts = (u64, u64, u64, bool);

/// What happens to the collector's file, and what has to come of it.
const SABOTAGE: [(&str, &str, Counts); 8] = [
    ("nothing", "select 1", (0, 0, 0, true)),
    ("an event that the device has let go is removed", "delete from events where position = 50", (1, 0, 0, false)),
    (
        "an event that the device still has is removed",
        "delete from events where position = (select max(position) from events)",
        (0, 0, 0, false),
    ),
    (
        "a reading is changed, which the twin outgrows",
        "update events set payload = x'01000a' where position = 50",
        (1, 0, 1, true),
    ),
    ("an event is given to another aggregate", "update events set stream = 777 where position = 50", (1, 0, 1, false)),
    (
        "an event is collected twice in one log",
        "insert into events select device, log, epoch, position + 100000, stream, kind, schema, version, payload
         from events where position = 50",
        (0, 1, 1, false),
    ),
    (
        "an event is collected twice, under another epoch",
        "insert into events select device, log, epoch + 1, position, stream, kind, schema, version, payload
         from events where position = 50;
         insert into cursors select device, log, epoch + 1, 50, 50 from cursors",
        (0, 1, 0, true),
    ),
    (
        "an event is made up",
        "insert into events select device, log, epoch, max(position) + 1, 2, 3, 0,
         (select max(version) + 1 from events where stream = 2), x'02807f' from events",
        (0, 0, 1, false),
    ),
];

#[test]
fn every_sabotage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let args = args(&folder, 0);
    let mut run = live(&args);
    assert_eq!(run.failure, None);
    let saboteur = Connection::open(args.out.join("collected.db")).unwrap();
    let backup = "create temp table kept as select * from events; create temp table places as select * from cursors";
    saboteur.execute_batch(backup).unwrap();
    for (what, sql, (acknowledged_lost, duplicated, phantom, twin_equal)) in SABOTAGE {
        saboteur.execute_batch(sql).unwrap();
        let verdict = run.judge().unwrap();
        let expected = Verdict { events: verdict.events, cuts: 0, acknowledged_lost, duplicated, phantom, twin_equal };
        assert_eq!(verdict, expected, "{what}");
        assert_eq!(run.complaint(&verdict).is_some(), what != "nothing", "{what}");
        let restore = "delete from events; insert into events select * from kept;
                       delete from cursors; insert into cursors select * from places";
        saboteur.execute_batch(restore).unwrap();
    }
}

#[test]
fn a_device_that_cannot_be_mounted_any_more_has_lost_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let args = args(&folder, 0);
    let mut run = live(&args);
    Connection::open(args.out.join("collected.db")).unwrap().execute_batch("delete from events").unwrap();
    run.device.flash().scramble(1);
    let verdict = run.judge().unwrap();
    let appended = run.world.ledger.borrow().acknowledged().count() as u64;
    assert_eq!((verdict.events, verdict.acknowledged_lost, verdict.twin_equal), (0, appended, false));
    let complaint = run.complaint(&verdict).unwrap();
    assert!(complaint.starts_with("the log cannot be mounted at the end") && !complaint.contains('\n'), "{complaint}");
}

#[test]
fn a_verdict_reads_as_it_always_has() {
    let mut verdict =
        Verdict { events: 17_813, cuts: 300, acknowledged_lost: 0, duplicated: 0, phantom: 0, twin_equal: true };
    let line = "events=17813 cuts=300 acknowledged_lost=0 duplicated=0 phantom=0 twin=equal";
    assert_eq!((verdict.to_string().as_str(), verdict.holds()), (line, true));
    verdict.twin_equal = false;
    assert!(verdict.to_string().ends_with("phantom=0 twin=different") && !verdict.holds());
}
