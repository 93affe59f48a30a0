//! From the bytes of an image to what is told of each log in it.

use std::collections::BTreeMap;

use evenkeel_flash_store::StoredGeometry;
use evenkeel_flash_store::image::{
    self, Cause, EntryKind, EntryReport, FoundHeader, Leftover, Mounted, NamedStream, Piece, SectorReport, SectorState,
    Survey,
};

use super::check;
use super::input::{Input, Part};
use super::model::{
    EntryInfo, GapInfo, LogInfo, MountInfo, PieceInfo, PlaceInfo, RecordInfo, RegionInfo, SectorInfo, SnapshotInfo,
    StreamInfo, TrackerInfo, WearInfo,
};
use crate::args::InspectArgs;

/// How many bytes are read at once.
const SCRATCH_BYTES: usize = 4096;

/// All logs in an image, in the order of their places.
pub(super) fn logs(input: &Input, args: &InspectArgs) -> Vec<LogInfo> {
    let mut logs = Vec::new();
    for part in &input.parts {
        let mut regions = BTreeMap::<(i64, [u32; 4]), FoundHeader>::new();
        for header in image::headers(&part.bytes) {
            let StoredGeometry { sector_bytes, sectors, word_bytes, program_page_bytes } = header.geometry;
            let region = (header.region_start(), [sector_bytes, sectors, word_bytes, program_page_bytes]);
            let newest = regions.entry(region).or_insert(header);
            if header.sequence > newest.sequence {
                *newest = header;
            }
        }
        logs.extend(regions.values().filter_map(|newest| log(part, newest, args)));
    }
    logs
}

/// The log whose newest header this is.
fn log(part: &Part, newest: &FoundHeader, args: &InspectArgs) -> Option<LogInfo> {
    let mut scratch = [0; SCRATCH_BYTES];
    let mut survey = Survey::new(&part.bytes, newest.region_start(), newest.geometry, &mut scratch).ok()?;
    let StoredGeometry { sector_bytes, sectors, word_bytes, program_page_bytes } = newest.geometry;
    let address = newest.region_start() + part.address as i64;
    let reports: Vec<_> = (0..sectors).map(|index| survey.sector(index)).collect();
    let mut reading = Reading::new(args);
    let mut infos: Vec<_> = reports.iter().map(|report| sector_info(report, address, sector_bytes)).collect();
    for index in in_order(&survey, sectors) {
        let (report, info) = (&reports[index as usize], &mut infos[index as usize]);
        let pieces: Vec<_> = survey.pieces(report).collect();
        reading.read(report, &pieces, info);
        if args.sector.contains(&index) {
            info.pieces = Some(piece_infos(&pieces));
        }
    }
    let mounted = survey.mounted();
    let identity = mounted.map_or(newest.identity, |log| log.identity);
    let erases = || reports.iter().filter_map(|report| report.prepared.map(|header| header.erases));
    let mut log = LogInfo {
        region: RegionInfo {
            address,
            sectors,
            sector_bytes,
            word_bytes,
            program_page_bytes,
            missing_bytes: infos.iter().map(|info| u64::from(info.missing_bytes)).sum(),
        },
        log: identity.log.0,
        epoch: identity.epoch.to_string(),
        mount_error: mounted.err().map(|error| error.to_string()),
        mounted: mounted.ok().map(|log| mount_info(&survey, &log, &infos)),
        streams: reading.streams.into_values().collect(),
        trackers: trackers(&survey),
        gaps: reading.gaps,
        wear: WearInfo { least: erases().min(), most: erases().max(), known: erases().count() as u32 },
        sectors: infos,
        records: reading.records,
        damage: Vec::new(),
    };
    check::explain_gaps(&mut log);
    log.damage = check::damage(&log);
    Some(log)
}

/// The indices of all sectors: those in use in the order of their use, then the others.
fn in_order(survey: &Survey<'_>, sectors: u32) -> Vec<u32> {
    let used = survey.mounted().map_or(Vec::new(), |log| (log.oldest..=log.newest).collect());
    let mut order: Vec<_> = used.into_iter().map(|sequence| survey.index_of(sequence)).collect();
    let others: Vec<_> = (0..sectors).filter(|index| !order.contains(index)).collect();
    order.extend(others);
    order
}

fn mount_info(survey: &Survey<'_>, log: &Mounted, sectors: &[SectorInfo]) -> MountInfo {
    let place = |sequence| PlaceInfo { sector: survey.index_of(sequence), sequence };
    let read = sectors.iter().filter(|sector| check::is_read(sector));
    let newest = &sectors[survey.index_of(log.newest) as usize];
    MountInfo {
        first_position: log.bounds.first.0,
        next_position: log.bounds.next.0,
        events: read.map(|sector| u64::from(sector.events)).sum(),
        clean_stop: log.clean,
        oldest: place(log.oldest),
        newest: place(log.newest),
        prepared: sectors
            .iter()
            .find(|sector| sector.state == "prepared")
            .and_then(|sector| Some(PlaceInfo { sector: sector.sector, sequence: sector.sequence? })),
        newest_used_bytes: newest.used_bytes,
        boot: log.moment.boot,
        tick: log.moment.tick,
    }
}

fn trackers(survey: &Survey<'_>) -> Vec<TrackerInfo> {
    let Ok(log) = survey.mounted() else { return Vec::new() };
    let last = log.bounds.last().0;
    let mut trackers: Vec<_> = survey
        .trackers()
        .map(|(tracker, position)| TrackerInfo {
            tracker: tracker.0,
            position: position.0,
            behind: last.saturating_sub(position.0),
        })
        .collect();
    trackers.sort_by_key(|tracker| tracker.tracker);
    trackers
}

fn sector_info(report: &SectorReport, region: i64, sector_bytes: u32) -> SectorInfo {
    SectorInfo {
        sector: report.index,
        address: region + i64::from(report.index) * i64::from(sector_bytes),
        state: state(report.state),
        sequence: report.sequence,
        erases: report.prepared.map(|header| header.erases),
        base: report.opened.map(|opened| opened.base.0),
        boot: report.opened.map(|opened| opened.moment.boot),
        tick: report.opened.map(|opened| opened.moment.tick),
        events: 0,
        missing_events: 0,
        frames: 0,
        given_up_frames: 0,
        used_bytes: 0,
        interrupted_bytes: 0,
        damaged_bytes: 0,
        missing_bytes: sector_bytes - (report.present.end - report.present.start),
        pieces: None,
    }
}

fn state(state: SectorState) -> &'static str {
    match state {
        SectorState::Newest => "newest",
        SectorState::InUse => "in-use",
        SectorState::Prepared => "prepared",
        SectorState::Blank => "blank",
        SectorState::Unreadable => "unreadable",
        SectorState::Stale => "stale",
        SectorState::OtherVersion(_) => "other-version",
        SectorState::OtherGeometry(_) => "other-geometry",
        SectorState::Missing => "not-in-image",
        _ => "unknown",
    }
}

/// What is learnt of the whole log while its sectors are gone through.
struct Reading<'a> {
    args: &'a InspectArgs,
    streams: BTreeMap<u64, StreamInfo>,
    gaps: Vec<GapInfo>,
    records: Option<Vec<RecordInfo>>,
}

impl<'a> Reading<'a> {
    fn new(args: &'a InspectArgs) -> Self {
        let records = (args.stream.is_some() || args.from.is_some()).then(Vec::new);
        Self { args, streams: BTreeMap::new(), gaps: Vec::new(), records }
    }

    fn read(&mut self, report: &SectorReport, pieces: &[Piece<'_>], info: &mut SectorInfo) {
        let mut damage_before = false;
        for piece in pieces {
            match piece {
                Piece::Header(stretch) | Piece::Marks(stretch) => info.used_bytes = stretch.end(),
                Piece::Frame(frame) => {
                    info.used_bytes = frame.at + frame.len;
                    info.frames += u32::from(frame.counts);
                    info.given_up_frames += u32::from(!frame.counts);
                    damage_before = false;
                }
                Piece::Entry(entry) => self.see(report, entry, info),
                Piece::Gap { first, events } => {
                    info.missing_events += events;
                    let reason = if damage_before { "damaged" } else { "no-trace" };
                    let last = first.plus(u64::from(events.saturating_sub(1)));
                    let (sector, unread_sectors) = (report.index, Vec::new());
                    self.gaps.push(GapInfo { first: first.0, last: last.0, sector, reason, unread_sectors });
                }
                Piece::Leftover(Leftover { at, len, cause, .. }) => {
                    info.used_bytes = at + len;
                    match cause {
                        Cause::Damaged => (info.damaged_bytes, damage_before) = (info.damaged_bytes + len, true),
                        Cause::Interrupted => info.interrupted_bytes += len,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes in an entry.
    fn see(&mut self, report: &SectorReport, entry: &EntryReport<'_>, info: &mut SectorInfo) {
        let told = entry_info(entry);
        let is_event = matches!(entry.kind, EntryKind::Event { .. });
        info.events += u32::from(entry.counts && entry.position.is_some());
        if !entry.counts || !report.is_read() {
            return;
        }
        if let EntryKind::Event { stream: Some(named), .. } | EntryKind::Snapshot { stream: named } = entry.kind {
            self.see_stream(report, entry, named, is_event);
        }
        let Some(records) = &mut self.records else { return };
        let stream = self.args.stream.is_none_or(|wanted| told.stream == Some(wanted));
        let from = self.args.from.is_none_or(|from| told.position.is_some_and(|position| position >= from));
        if stream && from && (is_event || told.entry == "snapshot") {
            records.push(RecordInfo { sector: report.index, entry: told });
        }
    }

    fn see_stream(&mut self, report: &SectorReport, entry: &EntryReport<'_>, named: NamedStream, is_event: bool) {
        let stream = self.streams.entry(named.stream.0).or_insert(StreamInfo {
            stream: named.stream.0,
            kind: named.kind.0,
            version: 0,
            events: 0,
            last_sector: report.index,
            snapshot: None,
        });
        (stream.kind, stream.last_sector) = (named.kind.0, report.index);
        stream.version = stream.version.max(named.version.0);
        stream.events += u64::from(is_event);
        if !is_event && stream.snapshot.as_ref().is_none_or(|snapshot| snapshot.version <= named.version.0) {
            stream.snapshot = Some(SnapshotInfo {
                version: named.version.0,
                schema: named.schema,
                sector: report.index,
                offset: entry.at,
                bytes: entry.payload.len(),
            });
        }
    }
}

/// The pieces of a sector, each frame with its entries.
fn piece_infos(pieces: &[Piece<'_>]) -> Vec<PieceInfo> {
    let mut infos = Vec::new();
    for piece in pieces {
        let info = match *piece {
            Piece::Header(stretch) => PieceInfo::Header { offset: stretch.at, bytes: stretch.len },
            Piece::Frame(frame) => PieceInfo::Frame {
                offset: frame.at,
                bytes: frame.len,
                crc: format!("{:08x}", frame.crc),
                ordinal: frame.ordinal,
                counts: frame.counts,
                entries: Vec::new(),
            },
            Piece::Entry(entry) => {
                if let Some(PieceInfo::Frame { entries, .. }) = infos.last_mut() {
                    entries.push(entry_info(&entry));
                }
                continue;
            }
            Piece::Gap { first, events } => PieceInfo::Gap { first: first.0, events },
            Piece::Marks(stretch) => PieceInfo::Marks { offset: stretch.at, bytes: stretch.len },
            Piece::Leftover(leftover) => PieceInfo::Leftover {
                offset: leftover.at,
                bytes: leftover.len,
                claims: leftover.claims,
                cause: cause(leftover.cause),
                hex: hex(leftover.bytes),
            },
            Piece::Erased(stretch) => PieceInfo::Erased { offset: stretch.at, bytes: stretch.len },
            Piece::Missing(stretch) => PieceInfo::NotInImage { offset: stretch.at, bytes: stretch.len },
            _ => continue,
        };
        infos.push(info);
    }
    infos
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Interrupted => "interrupted",
        Cause::Damaged => "damaged",
        _ => "not-read",
    }
}

fn entry_info(entry: &EntryReport<'_>) -> EntryInfo {
    let mut info = EntryInfo {
        offset: entry.at,
        entry: "unknown",
        counts: entry.counts,
        position: entry.position.map(|position| position.0),
        stream: None,
        kind: None,
        schema: None,
        version: None,
        slot: None,
        tracker: None,
        to: None,
        frontier: None,
        ahead: None,
        first: None,
        count: None,
        back: None,
        hex: None,
    };
    let named = match entry.kind {
        EntryKind::Event { stream, slot, local, .. } => {
            (info.entry, info.slot) = (if local { "local event" } else { "event" }, slot);
            stream
        }
        EntryKind::Snapshot { stream } => {
            info.entry = "snapshot";
            Some(stream)
        }
        EntryKind::Track { tracker, position } => {
            (info.entry, info.tracker, info.to) = ("track", Some(tracker.0), Some(position.0));
            None
        }
        EntryKind::Open { base, back, .. } => {
            (info.entry, info.to, info.back) = ("open", Some(base.0), Some(back));
            None
        }
        EntryKind::Resume { frontier } => {
            (info.entry, info.frontier) = ("resume", Some(frontier));
            None
        }
        EntryKind::Close => {
            info.entry = "close";
            None
        }
        EntryKind::Erase { ahead } => {
            (info.entry, info.ahead) = ("erase", Some(ahead));
            None
        }
        EntryKind::Lost { first, count } => {
            (info.entry, info.first, info.count) = ("lost", Some(first.0), Some(count));
            None
        }
        EntryKind::Digest => {
            info.entry = "digest";
            None
        }
        EntryKind::Snapshots => {
            info.entry = "snapshots";
            None
        }
        EntryKind::Trail { stream, back } => {
            (info.entry, info.stream, info.back) = ("trail", Some(stream.0), Some(back));
            None
        }
        EntryKind::Left { frontier } => {
            (info.entry, info.frontier) = ("left", Some(frontier));
            None
        }
        _ => None,
    };
    if let Some(named) = named {
        (info.stream, info.kind) = (Some(named.stream.0), Some(named.kind.0));
        (info.schema, info.version) = (Some(named.schema), Some(named.version.0));
    }
    if matches!(info.entry, "event" | "local event" | "snapshot" | "snapshots" | "digest" | "unknown") {
        info.hex = Some(hex(entry.payload));
    }
    info
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
