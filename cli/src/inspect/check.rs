//! What of all that was found is wrong.

use super::model::{DamageInfo, GapInfo, LogInfo, SectorInfo};
use crate::report::grouped;

/// Whether a mount reads records in this sector.
pub(super) fn is_read(sector: &SectorInfo) -> bool {
    matches!(sector.state, "newest" | "in-use")
}

/// The sectors that come after this one in the order of their use, up to the next one that is read.
fn unread_after<'l>(log: &'l LogInfo, sector: &'l SectorInfo) -> impl Iterator<Item = &'l SectorInfo> {
    let behind = (sector.sector as usize + 1..).map(|index| &log.sectors[index % log.sectors.len()]);
    let most = if sector.state == "newest" { 0 } else { log.sectors.len() };
    behind.take(most).take_while(|sector| !is_read(sector))
}

/// Says of each gap what it comes from, where the sectors around it tell.
pub(super) fn explain_gaps(log: &mut LogInfo) {
    let mut reasons = Vec::new();
    for (index, gap) in log.gaps.iter().enumerate() {
        let sector = &log.sectors[gap.sector as usize];
        // The last gap of a sector may be that of the sectors behind it.
        let is_last = log.gaps.get(index + 1).is_none_or(|next| next.sector != gap.sector);
        let ends = sector
            .base
            .is_some_and(|base| gap.last + 1 == base + u64::from(sector.events) + u64::from(sector.missing_events));
        let unread: Vec<_> = if is_last && ends { unread_after(log, sector).collect() } else { Vec::new() };
        let missing = sector.missing_bytes > 0 || unread.iter().any(|sector| sector.missing_bytes > 0);
        let reason = match gap.reason {
            "no-trace" if missing => "not-in-image",
            "no-trace" if !unread.is_empty() => "unreadable-sector",
            reason => reason,
        };
        reasons.push((reason, unread.iter().map(|sector| sector.sector).collect()));
    }
    for (gap, (reason, unread)) in log.gaps.iter_mut().zip(reasons) {
        (gap.reason, gap.unread_sectors) = (reason, unread);
    }
}

/// All that is wrong with a log.
pub(super) fn damage(log: &LogInfo) -> Vec<DamageInfo> {
    let mut damage = Vec::new();
    let mut add = |kind, sector, offset, text| damage.push(DamageInfo { kind, sector, offset, text });
    if let Some(error) = &log.mount_error {
        add("not-mountable", None, None, format!("a device cannot mount this log: {error}"));
    }
    if log.region.missing_bytes > 0 {
        let sectors = log.sectors.iter().filter(|sector| sector.missing_bytes > 0);
        let (missing, count) = (grouped(log.region.missing_bytes), sectors.count());
        add("not-in-image", None, None, format!("{missing} B of the region, in {count} sectors, are not in the image"));
    }
    for gap in &log.gaps {
        let why = reason(gap);
        let text = match gap.last - gap.first {
            0 => format!("position {} is missing: {why}", gap.first),
            more => {
                format!("positions {} to {} are missing, {} events: {why}", gap.first, gap.last, grouped(more + 1))
            }
        };
        add("gap", Some(gap.sector), None, text);
    }
    for sector in &log.sectors {
        let at = Some(sector.sector);
        if is_read(sector) && sector.erases.is_none() && sector.damaged_bytes > 0 && sector.missing_bytes == 0 {
            add("header", at, Some(0), "the first part of the header cannot be read: its erase count is lost".into());
        }
        if sector.damaged_bytes > 0 {
            let text = format!("{} B that were written whole do not verify", grouped(sector.damaged_bytes.into()));
            add("damaged-bytes", at, None, text);
        }
        if is_lost(log, sector) {
            add("unreadable-sector", at, None, "it holds records, and its header cannot be read".into());
        }
    }
    damage
}

/// What a gap comes from, for people.
pub(super) fn reason(gap: &GapInfo) -> String {
    let (sectors, are) = match gap.unread_sectors[..] {
        [] => ("a part of the sector".into(), "is"),
        [one] => (format!("sector {one}"), "is"),
        [first, .., last] => (format!("sectors {first} to {last}"), "are"),
    };
    match gap.reason {
        "damaged" => "damaged bytes".into(),
        "unreadable-sector" => format!("{sectors} {are} unreadable"),
        "not-in-image" => format!("{sectors} {are} not in the image"),
        _ => "no trace of them is left".into(),
    }
}

/// Whether a sector that is not read holds, or may hold, what is missing from the log.
fn is_lost(log: &LogInfo, sector: &SectorInfo) -> bool {
    if log.mounted.is_none() || !matches!(sector.state, "unreadable" | "unknown") {
        return false;
    }
    let count = log.sectors.len();
    let place = sector.sector as usize;
    let before = (1..count).map(|back| &log.sectors[(place + count - back) % count]);
    let Some((back, before)) = (1..).zip(before).find(|(_, sector)| is_read(sector)) else { return true };
    if before.state != "newest" {
        // Its records are missing only if the positions around it do not join.
        return log.gaps.iter().any(|gap| gap.sector == before.sector && gap.reason == "unreadable-sector");
    }
    // Behind the newest an erase may have been interrupted, or a sector passed over.
    let next_prepared = || unread_after_newest(log, place).any(|sector| sector.state == "prepared");
    sector.state == "unreadable" || back > 1 && !next_prepared()
}

/// The sectors behind this one, up to the oldest.
fn unread_after_newest(log: &LogInfo, place: usize) -> impl Iterator<Item = &SectorInfo> {
    let count = log.sectors.len();
    (1..count).map(move |ahead| &log.sectors[(place + ahead) % count]).take_while(|sector| !is_read(sector))
}
