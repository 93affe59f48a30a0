//! An inspection for people: an overview first, then a line for each sector, then what was asked for.

use std::fmt::Write;

use super::check;
use super::model::{EntryInfo, Inspection, LogInfo, MountInfo, PieceInfo, RecordInfo, SectorInfo};
use crate::report::grouped;

/// As many bytes are shown in a line.
const HEX_BYTES: usize = 32;
/// As many sectors in a row as are alike are told one by one.
const ALIKE: usize = 3;
/// So many streams are told at most; JSON has them all.
const STREAMS: usize = 100;

/// The whole of it.
pub(super) fn of(inspection: &Inspection) -> String {
    let mut out = String::new();
    let image = &inspection.image;
    let format = if image.format == "intel-hex" { "Intel HEX" } else { "raw bytes" };
    let logs = match inspection.logs.len() {
        1 => "one log".into(),
        2 => "two logs".into(),
        more => format!("{more} logs"),
    };
    line(&mut out, format_args!("{}: {format}, {} B, {logs}", image.path, grouped(image.bytes)));
    for log in &inspection.logs {
        overview(log, &mut out);
        let asked = log.sectors.iter().any(|sector| sector.pieces.is_some());
        log.sectors.iter().for_each(|sector| pieces(log, sector, &mut out));
        match &log.records {
            Some(records) => list(records, &mut out),
            None if asked => {}
            None => {
                streams(log, &mut out);
                trackers(log, &mut out);
                gaps(log, &mut out);
                sectors(log, &mut out);
            }
        }
        damage(log, &mut out);
    }
    out
}

fn line(out: &mut String, args: std::fmt::Arguments<'_>) {
    let mut text = args.to_string();
    text.truncate(text.trim_end().len());
    text.push('\n');
    out.push_str(&text);
}

macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($args:tt)*) => { line($out, format_args!($($args)*)) };
}

fn overview(log: &LogInfo, out: &mut String) {
    let region = &log.region;
    line!(out);
    let end = region.address + i64::from(region.sectors) * i64::from(region.sector_bytes);
    let at = format!("{} to {}", address(region.address), address(end - 1));
    line!(out, "log {}, epoch {}, at {at}", log.log, log.epoch);
    let page = match region.program_page_bytes {
        page if page == region.word_bytes => "programmed word by word".into(),
        page => format!("program pages of {}", size(page)),
    };
    let (count, sector, word) = (region.sectors, size(region.sector_bytes), size(region.word_bytes));
    row(out, "region", &format!("{count} sectors of {sector}, words of {word}, {page}"));
    if region.missing_bytes > 0 {
        row(out, "", &format!("{} B of it are not in the image", grouped(region.missing_bytes)));
    }
    match (&log.mounted, &log.mount_error) {
        (Some(mounted), _) => mount(log, mounted, out),
        (None, Some(error)) => row(out, "mount", &format!("not possible: {error}")),
        (None, None) => {}
    }
    let wear = &log.wear;
    let erases = match (wear.least, wear.most) {
        (Some(least), Some(most)) if least == most => format!("{most} of each sector"),
        (Some(least), Some(most)) => format!("{least} to {most} a sector"),
        _ => "not known".into(),
    };
    let known = match region.sectors - wear.known {
        0 => String::new(),
        others => format!(", {others} of {} sectors do not tell", region.sectors),
    };
    row(out, "erases", &format!("{erases}{known}"));
}

fn mount(log: &LogInfo, mounted: &MountInfo, out: &mut String) {
    let (first, next) = (mounted.first_position, mounted.next_position);
    let missing = (next - first).saturating_sub(mounted.events);
    let held = match (next - first, missing) {
        (0, _) => format!("none held, the next is {next}"),
        (_, 0) => format!("{first} to {}, all {} events can be read", next - 1, grouped(mounted.events)),
        (_, 1) => format!("{first} to {}, {} events can be read, 1 is MISSING", next - 1, grouped(mounted.events)),
        _ => format!(
            "{first} to {}, {} events can be read, {} are MISSING",
            next - 1,
            grouped(mounted.events),
            grouped(missing)
        ),
    };
    row(out, "positions", &held);
    let newest = &mounted.newest;
    let used = u64::from(mounted.newest_used_bytes);
    row(
        out,
        "newest",
        &format!(
            "sector {}, sequence {}, opened at boot {} tick {}, {} of {} B used",
            newest.sector,
            newest.sequence,
            mounted.boot,
            mounted.tick,
            grouped(used),
            grouped(log.region.sector_bytes.into())
        ),
    );
    let oldest = &mounted.oldest;
    row(out, "oldest", &format!("sector {}, sequence {}", oldest.sector, oldest.sequence));
    let prepared = match &mounted.prepared {
        Some(place) => format!("sector {}, sequence {}", place.sector, place.sequence),
        None => "none: the next full sector has to wait for an erase".into(),
    };
    row(out, "prepared", &prepared);
    let stop = if mounted.clean_stop { "clean" } else { "not clean: the next append leaves some bytes unused" };
    row(out, "last stop", stop);
}

fn row(out: &mut String, name: &str, value: &str) {
    line!(out, "  {name:<10} {value}");
}

/// A table: names first, numbers to the right.
fn table(out: &mut String, head: &[&str], left: &[usize], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut tell = |cells: &[String]| {
        let mut text = String::from(" ");
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let _ = if left.contains(&column) {
                write!(text, " {cell:<width$} ")
            } else {
                write!(text, " {cell:>width$} ")
            };
        }
        line!(out, "{text}");
    };
    tell(&head.iter().map(ToString::to_string).collect::<Vec<_>>());
    rows.iter().for_each(|row| tell(row));
}

fn streams(log: &LogInfo, out: &mut String) {
    if log.streams.is_empty() {
        return;
    }
    line!(out);
    let rows: Vec<_> = log
        .streams
        .iter()
        .take(STREAMS)
        .map(|stream| {
            let snapshot = stream.snapshot.as_ref().map_or("none".into(), |snapshot| {
                format!(
                    "version {}, schema {}, {} B, sector {} at {:#x}",
                    snapshot.version, snapshot.schema, snapshot.bytes, snapshot.sector, snapshot.offset
                )
            });
            vec![
                stream.stream.to_string(),
                stream.kind.to_string(),
                stream.version.to_string(),
                stream.events.to_string(),
                stream.last_sector.to_string(),
                snapshot,
            ]
        })
        .collect();
    table(out, &["stream", "kind", "version", "events held", "last in sector", "newest snapshot"], &[5], &rows);
    if log.streams.len() > rows.len() {
        line!(out, "  and {} more: see --format json", grouped((log.streams.len() - rows.len()) as u64));
    }
}

fn trackers(log: &LogInfo, out: &mut String) {
    if log.trackers.is_empty() {
        return;
    }
    line!(out);
    let row = |tracker: &super::model::TrackerInfo| {
        let behind = match tracker.behind {
            0 => "has seen everything".into(),
            behind => format!("{} behind", grouped(behind)),
        };
        vec![tracker.tracker.to_string(), tracker.position.to_string(), behind]
    };
    let rows: Vec<_> = log.trackers.iter().map(row).collect();
    table(out, &["tracker", "position", ""], &[2], &rows);
}

fn gaps(log: &LogInfo, out: &mut String) {
    if log.gaps.is_empty() {
        return;
    }
    line!(out);
    let row = |gap: &super::model::GapInfo| {
        let positions =
            if gap.first == gap.last { gap.first.to_string() } else { format!("{} to {}", gap.first, gap.last) };
        vec![positions, (gap.last - gap.first + 1).to_string(), gap.sector.to_string(), check::reason(gap)]
    };
    let rows: Vec<_> = log.gaps.iter().map(row).collect();
    table(out, &["gap", "events", "in sector", "reason"], &[0, 3], &rows);
}

fn sectors(log: &LogInfo, out: &mut String) {
    line!(out);
    let mut rows = Vec::new();
    let mut index = 0;
    while let Some(sector) = log.sectors.get(index) {
        rows.push(sector_row(sector));
        let plain = |sector: &SectorInfo| matches!(sector.state, "blank" | "not-in-image") && sector.used_bytes == 0;
        let run = log.sectors[index..].iter().take_while(|next| plain(next) && next.state == sector.state).count();
        if run >= ALIKE {
            let last = rows.last_mut().expect("a row was just put there");
            last[0] = format!("{index} .. {}", index + run - 1);
        }
        index += if run >= ALIKE { run } else { 1 };
    }
    let head =
        ["sector", "at", "state", "sequence", "erases", "boot:tick", "positions", "events", "frames", "used", ""];
    table(out, &head, &[2, 10], &rows);
}

fn sector_row(sector: &SectorInfo) -> Vec<String> {
    let number = |number: Option<u32>| number.map_or(String::new(), |number| number.to_string());
    let read = check::is_read(sector);
    let some = |number: u32| if number > 0 || read { number.to_string() } else { String::new() };
    let events = u64::from(sector.events) + u64::from(sector.missing_events);
    let positions = match sector.base {
        Some(base) if events > 0 => format!("{base} to {}", base + events - 1),
        Some(base) => format!("from {base}"),
        None => String::new(),
    };
    let mut remarks = Vec::new();
    let mut remark = |count: u32, what: &str| {
        if count > 0 {
            remarks.push(format!("{} {what}", grouped(count.into())));
        }
    };
    remark(sector.missing_events, if sector.missing_events == 1 { "event MISSING" } else { "events MISSING" });
    remark(sector.damaged_bytes, "B DAMAGED");
    remark(sector.missing_bytes, "B not in the image");
    remark(sector.interrupted_bytes, "B of interrupted writes");
    remark(
        sector.given_up_frames,
        match (read, sector.given_up_frames) {
            (true, 1) => "frame given up",
            (true, _) => "frames given up",
            (false, _) => "frames verify and are not read",
        },
    );
    if read && sector.erases.is_none() && sector.damaged_bytes > 0 && sector.missing_bytes == 0 {
        remarks.push("header DAMAGED".into());
    }
    if sector.state == "not-in-image" {
        remarks.clear();
    }
    vec![
        sector.sector.to_string(),
        address(sector.address),
        sector.state.replace('-', " "),
        number(sector.sequence),
        number(sector.erases),
        sector.boot.zip(sector.tick).map_or(String::new(), |(boot, tick)| format!("{boot}:{tick}")),
        positions,
        some(sector.events),
        some(sector.frames),
        some(sector.used_bytes),
        remarks.join(", "),
    ]
}

fn list(records: &[RecordInfo], out: &mut String) {
    line!(out);
    if records.is_empty() {
        line!(out, "  no such record is held");
        return;
    }
    let rows: Vec<_> = records
        .iter()
        .map(|RecordInfo { sector, entry }| {
            vec![
                entry.position.map_or(String::new(), |position| position.to_string()),
                entry.stream.map_or("?".into(), |stream| stream.to_string()),
                entry.kind.map_or("?".into(), |kind| kind.to_string()),
                entry.version.map_or("?".into(), |version| version.to_string()),
                entry.entry.into(),
                format!("{sector} at {:#x}", entry.offset),
                entry.hex.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(out, &["position", "stream", "kind", "version", "", "sector", "payload"], &[4, 5, 6], &rows);
}

/// All that is in a sector.
fn pieces(log: &LogInfo, sector: &SectorInfo, out: &mut String) {
    let Some(pieces) = &sector.pieces else { return };
    line!(out);
    let sequence = sector.sequence.map_or(String::new(), |sequence| format!(", sequence {sequence}"));
    let erases = sector.erases.map_or(String::new(), |erases| format!(", erased {erases} times"));
    let state = sector.state.replace('-', " ");
    line!(
        out,
        "  sector {} of log {}, at {}: {state}{sequence}{erases}",
        sector.sector,
        log.log,
        address(sector.address)
    );
    if let (Some(boot), Some(tick)) = (sector.boot, sector.tick) {
        line!(out, "  opened at boot {boot} tick {tick}");
    }
    line!(out);
    for piece in pieces {
        match piece {
            PieceInfo::Header { offset, bytes } => part(out, *offset, *bytes, "header, first part"),
            PieceInfo::Marks { offset, bytes } => part(out, *offset, *bytes, "marks of a new start"),
            PieceInfo::Erased { offset, bytes } => part(out, *offset, *bytes, "erased"),
            PieceInfo::NotInImage { offset, bytes } => part(out, *offset, *bytes, "not in the image"),
            PieceInfo::Gap { first, events: 1 } => line!(out, "{:18}  MISSING: position {first}", ""),
            PieceInfo::Gap { first, events } => {
                line!(
                    out,
                    "{:18}  MISSING: {events} events, positions {first} to {}",
                    "",
                    first + u64::from(*events) - 1
                );
            }
            PieceInfo::Leftover { offset, bytes, claims, cause, hex } => {
                let what = match *cause {
                    "interrupted" => "an interrupted write",
                    "damaged" => "DAMAGED: does not verify",
                    _ => "not read",
                };
                let claims = claims.map_or(String::new(), |claims| format!(", says it is a frame of {claims} B"));
                part(out, *offset, *bytes, &format!("{what}{claims}"));
                hex_lines(out, hex);
            }
            PieceInfo::Frame { offset, bytes, crc, ordinal, counts, entries } => {
                let given_up = match (counts, check::is_read(sector)) {
                    (true, _) => "",
                    (false, true) => ", given up",
                    (false, false) => ", not read",
                };
                part(out, *offset, *bytes, &format!("frame, CRC {crc} ok, ordinal {ordinal}{given_up}"));
                entries.iter().for_each(|entry| self::entry(out, entry, *counts));
            }
        }
    }
}

fn part(out: &mut String, offset: u32, bytes: u32, what: &str) {
    line!(out, "  {offset:#07x} {bytes:>6} B  {what}");
}

fn entry(out: &mut String, entry: &EntryInfo, frame_counts: bool) {
    let mut text = format!("  {:#07x}             {}", entry.offset, entry.entry);
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, " {name}{value}");
        }
    };
    tell("", entry.position.map(|position| format!("{position}:")));
    tell("stream ", entry.stream.map(|stream| stream.to_string()));
    tell("kind ", entry.kind.map(|kind| kind.to_string()));
    tell("version ", entry.version.map(|version| version.to_string()));
    if entry.entry == "snapshot" {
        tell("schema ", entry.schema.map(|schema| schema.to_string()));
    }
    if entry.stream.is_none() {
        tell("of slot ", entry.slot.map(|slot| slot.to_string()));
    }
    tell("", entry.tracker.map(|tracker| tracker.to_string()));
    let to = if entry.entry == "open" { "base " } else { "to " };
    tell(to, entry.to.map(|to| to.to_string()));
    tell("from ", entry.frontier.map(|frontier| format!("{frontier:#x}")));
    tell("of the sector to be opened ", entry.ahead.map(|ahead| format!("{ahead} later")));
    tell("from ", entry.first.map(|first| first.to_string()));
    tell("events: ", entry.count.map(|count| count.to_string()));
    tell("of the sector ", entry.back.map(|back| format!("{back} before")));
    if frame_counts && !entry.counts && entry.entry != "unknown" {
        text.push_str(" (repeated)");
    }
    line!(out, "{text}");
    if let Some(hex) = &entry.hex {
        hex_lines(out, hex);
    }
}

fn hex_lines(out: &mut String, hex: &str) {
    let (mut before, mut alike) = (None, false);
    let mut lines = hex.as_bytes().chunks(2 * HEX_BYTES).peekable();
    while let Some(bytes) = lines.next() {
        // Lines like the one before are one asterisk, but for the last, which shows where it ends.
        if before == Some(bytes) && lines.peek().is_some() {
            if !alike {
                line!(out, "{:24}*", "");
            }
            alike = true;
            continue;
        }
        (before, alike) = (Some(bytes), false);
        let pairs: Vec<_> = bytes.chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect();
        line!(out, "{:24}{}", "", pairs.join(" "));
    }
}

fn damage(log: &LogInfo, out: &mut String) {
    line!(out);
    if log.damage.is_empty() {
        line!(out, "  no damage");
        return;
    }
    for damage in &log.damage {
        let place = damage.sector.map_or(String::new(), |sector| format!("sector {sector}: "));
        line!(out, "  DAMAGE: {place}{}", damage.text);
    }
}

fn address(address: i64) -> String {
    if address < 0 { format!("-{:#x}", address.unsigned_abs()) } else { format!("{address:#x}") }
}

/// A size that is a power of two.
fn size(bytes: u32) -> String {
    if bytes >= 1024 { format!("{} KiB", bytes / 1024) } else { format!("{bytes} B") }
}
