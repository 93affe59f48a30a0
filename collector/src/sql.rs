//! The tables of collected logs and the statements on them: one text for SQLite and for PostgreSQL.
//!
//! Every key begins with the device and every statement of the ingest path names one device, so the tables can be split
//! by device: hash-partitioned in one PostgreSQL, or distributed over several with `device` as the distribution column.
//!
//! Neither database has unsigned 64-bit integers: `device`, `epoch` and `stream` are stored as the signed number with the
//! same bits, so large ones look negative to other tools; they are only compared for being equal. Positions are below
//! 2^63, so their order holds.
//!
//! Parameters are numbered in the order in which they first appear, which is how SQLite counts names such as `$1`.

/// A table, with `{int}` and `{blob}` for the types that the databases name differently.
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its columns.
    pub(crate) columns: &'static str,
    /// Its primary key, which begins with the device.
    pub(crate) key: &'static str,
}

/// Of every log up to where it is stored (`cursor`), and up to where its sections are exploded into rows of `events`.
pub(crate) const CURSORS: Table = Table {
    name: "cursors",
    columns: "device {int} not null, log {int} not null, epoch {int} not null,
    cursor {int} not null, exploded {int} not null",
    key: "device, log, epoch",
};

/// What was pulled, whole as it came.
pub(crate) const SECTIONS: Table = Table {
    name: "sections",
    columns: "device {int} not null, log {int} not null, epoch {int} not null,
    first {int} not null, count {int} not null,
    bytes {blob} not null",
    key: "device, log, epoch, first, count",
};

/// The events of the sections, a row for each.
pub(crate) const EVENTS: Table = Table {
    name: "events",
    columns: "device {int} not null, log {int} not null, epoch {int} not null,
    position {int} not null,
    stream {int} not null, kind {int} not null, schema {int} not null, version {int} not null,
    payload {blob} not null",
    key: "device, log, epoch, position",
};

/// Positions that were declared lost.
pub(crate) const GAPS: Table = Table {
    name: "gaps",
    columns: "device {int} not null, log {int} not null, epoch {int} not null,
    first {int} not null, last {int} not null,
    reason {int} not null",
    key: "device, log, epoch, first",
};

/// Lives of logs of which nothing more is taken until somebody has looked: see `Verdict`.
pub(crate) const QUARANTINE: Table = Table {
    name: "quarantine",
    columns: "device {int} not null, log {int} not null, epoch {int} not null,
    reason {int} not null, first {int} not null, last {int} not null, at_ms {int} not null",
    key: "device, log, epoch",
};

/// All of them.
pub(crate) const TABLES: [Table; 5] = [CURSORS, SECTIONS, EVENTS, GAPS, QUARANTINE];

/// Finds the events of one stream.
pub(crate) const EVENTS_BY_STREAM: &str =
    "create index events_by_stream on events (device, log, epoch, stream, position)";

/// Gives a log its row in `cursors`, so that it can be locked; does nothing if it has one.
#[cfg(any(feature = "postgres", test))]
pub(crate) const BEGIN_LOG: &str =
    "insert into cursors (device, log, epoch, cursor, exploded) values ($1, $2, $3, 0, 0)
    on conflict (device, log, epoch) do nothing";

/// Up to where a log is stored.
pub(crate) const CURSOR: &str = "select cursor from cursors where device = $1 and log = $2 and epoch = $3";

/// Up to where a log is stored, and why nothing more of it is taken, if so.
#[cfg(any(feature = "server", test))]
pub(crate) const STATE: &str = "select c.cursor, q.reason, q.first, q.last from cursors c
    left join quarantine q on q.device = c.device and q.log = c.log and q.epoch = c.epoch
    where c.device = $1 and c.log = $2 and c.epoch = $3";

/// The same, and nobody else moves the cursor before the transaction ends.
#[cfg(any(feature = "postgres", test))]
pub(crate) const STATE_LOCKED: &str = "select c.cursor, q.reason, q.first, q.last from cursors c
    left join quarantine q on q.device = c.device and q.log = c.log and q.epoch = c.epoch
    where c.device = $1 and c.log = $2 and c.epoch = $3 for update of c";

/// Moves the cursor and leaves what is exploded where it was.
#[cfg(any(feature = "server", test))]
pub(crate) const MOVE_CURSOR: &str = "insert into cursors (device, log, epoch, cursor, exploded)
    values ($1, $2, $3, $4, 0)
    on conflict (device, log, epoch) do update set cursor = excluded.cursor";

/// Moves the cursor, with rows for all events up to it.
pub(crate) const MOVE_BOTH: &str = "insert into cursors (device, log, epoch, cursor, exploded)
    values ($1, $2, $3, $4, $4)
    on conflict (device, log, epoch) do update set cursor = excluded.cursor, exploded = excluded.exploded";

/// Says that the sections of a log are exploded up to its cursor, if that is still here.
pub(crate) const SET_EXPLODED: &str =
    "update cursors set exploded = cursor where device = $1 and log = $2 and epoch = $3 and cursor = $4";

/// Stores a section as it came.
pub(crate) const STORE_SECTION: &str =
    "insert into sections (device, log, epoch, first, count, bytes) values ($1, $2, $3, $4, $5, $6)";

/// Stores one event of a section.
pub(crate) const STORE_EVENT: &str = "insert into events
    (device, log, epoch, position, stream, kind, schema, version, payload) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Stores a gap.
pub(crate) const STORE_GAP: &str =
    "insert into gaps (device, log, epoch, first, last, reason) values ($1, $2, $3, $4, $5, $6)";

/// Whether a life of a log is quarantined, and why.
#[cfg(any(feature = "server", test))]
pub(crate) const QUARANTINED: &str =
    "select reason, first, last from quarantine where device = $1 and log = $2 and epoch = $3";

/// Quarantines a life of a log; the first reason stays.
#[cfg(any(feature = "server", test))]
pub(crate) const STORE_QUARANTINE: &str =
    "insert into quarantine (device, log, epoch, reason, first, last, at_ms) values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (device, log, epoch) do nothing";

/// Takes a life of a log out of quarantine.
#[cfg(any(feature = "server", test))]
pub(crate) const RELEASE: &str = "delete from quarantine where device = $1 and log = $2 and epoch = $3";

/// The sections of a log that begin after a position, in order.
pub(crate) const SECTIONS_AFTER: &str = "select first, count, bytes from sections
    where device = $1 and log = $2 and epoch = $3 and first > $4 order by first, count limit $5";

/// The gaps of a log that reach beyond a position, in order.
#[cfg(any(feature = "server", test))]
pub(crate) const GAPS_AFTER: &str = "select first, last, reason from gaps
    where device = $1 and log = $2 and epoch = $3 and last > $4 order by first limit $5";

/// Up to where one log is stored and exploded.
pub(crate) const PROGRESS: &str = "select cursor, exploded from cursors where device = $1 and log = $2 and epoch = $3";

/// What the ingest path executes: all of it is bound to one device.
#[cfg(test)]
pub(crate) const INGEST: &[&str] = &[
    CURSOR,
    MOVE_CURSOR,
    MOVE_BOTH,
    SET_EXPLODED,
    STORE_SECTION,
    STORE_EVENT,
    STORE_GAP,
    QUARANTINED,
    STATE,
    STATE_LOCKED,
    BEGIN_LOG,
    STORE_QUARANTINE,
];

/// Logs that are not wholly exploded. It goes over all devices: when a collector starts, and never for a contact.
pub(crate) const UNEXPLODED: &str = "select device, log, epoch from cursors where exploded < cursor";

/// Logs after one of them, in the order of their keys, with their quarantine. It goes over all devices: for people.
#[cfg(feature = "server")]
pub(crate) const LOGS_AFTER: &str = "select c.device, c.log, c.epoch, c.cursor, q.reason, q.first, q.last
    from cursors c left join quarantine q on q.device = c.device and q.log = c.log and q.epoch = c.epoch
    where (c.device, c.log, c.epoch) > ($1, $2, $3) order by 1, 2, 3 limit $4";

impl Table {
    /// The statement that creates it in SQLite.
    pub(crate) fn for_sqlite(&self) -> String {
        let Self { name, columns, key } = self;
        let columns = columns.replace("{int}", "integer").replace("{blob}", "blob");
        format!("create table {name} ({columns}, primary key ({key})) strict, without rowid;")
    }

    /// The statements that create it in PostgreSQL, in so many partitions.
    #[cfg(feature = "postgres")]
    pub(crate) fn for_postgres(&self, partitions: u32) -> String {
        let Self { name, columns, key } = self;
        let columns = columns.replace("{int}", "bigint").replace("{blob}", "bytea");
        let mut all =
            format!("create table if not exists {name} ({columns}, primary key ({key})) partition by hash (device);\n");
        for part in 0..partitions {
            all += &format!(
                "create table if not exists {name}_{part} partition of {name}
                 for values with (modulus {partitions}, remainder {part});\n"
            );
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a statement concerns the rows of one device only.
    fn bound_to_one_device(statement: &str) -> bool {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ").replace("c.", "");
        match words.split_once("where ") {
            // What is joined is of the same device.
            Some((tables, condition)) => {
                condition.starts_with("device = $1 and ")
                    && tables.matches(" join ").count() == tables.matches(" on q.device = device").count()
            }
            None => words.starts_with("insert into") && words.contains("(device, ") && words.contains("values ($1, "),
        }
    }

    #[test]
    fn every_statement_of_the_ingest_path_is_bound_to_one_device() {
        for statement in INGEST {
            assert!(bound_to_one_device(statement), "{statement}");
        }
        for table in &TABLES {
            assert!(table.key.starts_with("device, "), "{}", table.name);
            assert!(table.columns.starts_with("device {int} not null"), "{}", table.name);
        }
        let breaks = [
            "select cursor from cursors where log = $1 and device = $2",
            "update cursors set exploded = $1 where exploded < $1",
            "insert into gaps (log, device) values ($1, $2)",
            "select device, log, epoch from cursors",
            "select cursor from cursors c join quarantine q on q.log = c.log where c.device = $1 and c.log = $2",
        ];
        for statement in breaks {
            assert!(!bound_to_one_device(statement), "{statement}");
        }
    }

    #[test]
    fn parameters_appear_in_the_order_of_their_numbers() {
        for statement in INGEST.iter().chain(&[SECTIONS_AFTER, GAPS_AFTER, RELEASE, PROGRESS]) {
            let mut seen = Vec::new();
            for part in statement.split('$').skip(1) {
                let number: usize = part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
                if !seen.contains(&number) {
                    seen.push(number);
                }
            }
            assert_eq!(seen, (1..=seen.len()).collect::<Vec<_>>(), "{statement}");
        }
    }
}
