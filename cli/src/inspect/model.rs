//! What an inspection tells, under the names that its JSON has.
//!
//! These names are stable: a field may be added, none changes its meaning. Numbers are whole numbers of up to 64 bits;
//! offsets and lengths are in bytes. What is not known or not there is `null`. States, kinds and reasons are words.

use serde::Serialize;

/// The whole of it.
#[derive(Debug, Serialize)]
pub(super) struct Inspection {
    pub(super) image: ImageInfo,
    /// Every log in the image, in the order of their places.
    pub(super) logs: Vec<LogInfo>,
}

/// The file that was read.
#[derive(Debug, Serialize)]
pub(super) struct ImageInfo {
    pub(super) path: String,
    /// `binary` or `intel-hex`.
    pub(super) format: &'static str,
    /// How many bytes of memory it tells of.
    pub(super) bytes: u64,
}

/// One log.
#[derive(Debug, Serialize)]
pub(super) struct LogInfo {
    pub(super) region: RegionInfo,
    /// The number of the log; of one that cannot be mounted, by the headers found.
    pub(super) log: u16,
    /// Counter and random part of the epoch, the latter in hexadecimal: `1-5eedc0de`.
    pub(super) epoch: String,
    /// Why the log cannot be mounted; `null` if it can.
    pub(super) mount_error: Option<String>,
    /// What a mount finds; `null` if the log cannot be mounted.
    pub(super) mounted: Option<MountInfo>,
    pub(super) streams: Vec<StreamInfo>,
    pub(super) trackers: Vec<TrackerInfo>,
    /// Positions held whose events cannot be read.
    pub(super) gaps: Vec<GapInfo>,
    pub(super) wear: WearInfo,
    pub(super) sectors: Vec<SectorInfo>,
    /// What was asked for with `--stream` and `--from`, in the order of the log; else `null`.
    pub(super) records: Option<Vec<RecordInfo>>,
    /// What is wrong: with anything in here `--check` ends with exit status 1.
    pub(super) damage: Vec<DamageInfo>,
}

/// Where a log is, and how it is laid out.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RegionInfo {
    /// The address of the region's first byte; of raw bytes its place in the file. Negative if the beginning was cut
    /// off.
    pub(super) address: i64,
    pub(super) sectors: u32,
    pub(super) sector_bytes: u32,
    pub(super) word_bytes: u32,
    pub(super) program_page_bytes: u32,
    /// Bytes of the region that are not in the image.
    pub(super) missing_bytes: u64,
}

/// What a mount finds.
#[derive(Debug, Serialize)]
pub(super) struct MountInfo {
    /// The oldest position held; `next_position` if none is.
    pub(super) first_position: u64,
    /// The position that the next event gets.
    pub(super) next_position: u64,
    /// How many events are held and can be read.
    pub(super) events: u64,
    /// Whether the last stop was clean.
    pub(super) clean_stop: bool,
    pub(super) oldest: PlaceInfo,
    pub(super) newest: PlaceInfo,
    /// The sector that is ready to be opened.
    pub(super) prepared: Option<PlaceInfo>,
    /// How far the newest sector is used.
    pub(super) newest_used_bytes: u32,
    /// The moment at which the newest sector was opened.
    pub(super) boot: u32,
    pub(super) tick: u64,
}

/// A sector by its numbers.
#[derive(Debug, Serialize)]
pub(super) struct PlaceInfo {
    pub(super) sector: u32,
    pub(super) sequence: u32,
}

/// A stream, as far as the sectors in use tell of it.
#[derive(Debug, Serialize)]
pub(super) struct StreamInfo {
    pub(super) stream: u64,
    pub(super) kind: u8,
    pub(super) version: u32,
    /// How many of its events are held.
    pub(super) events: u64,
    /// The sector in which it appears last.
    pub(super) last_sector: u32,
    pub(super) snapshot: Option<SnapshotInfo>,
}

/// A stream's newest snapshot.
#[derive(Debug, Serialize)]
pub(super) struct SnapshotInfo {
    pub(super) version: u32,
    pub(super) schema: u8,
    pub(super) sector: u32,
    pub(super) offset: u32,
    pub(super) bytes: usize,
}

/// A tracker: how far a reader of the log has come.
#[derive(Debug, Serialize)]
pub(super) struct TrackerInfo {
    pub(super) tracker: u8,
    pub(super) position: u64,
    /// How many positions are behind it.
    pub(super) behind: u64,
}

/// Positions whose events cannot be read.
#[derive(Debug, Clone, Serialize)]
pub(super) struct GapInfo {
    pub(super) first: u64,
    pub(super) last: u64,
    /// The sector in which they are missing, or the last one before.
    pub(super) sector: u32,
    /// `damaged`: by bytes that do not verify; `unreadable-sector`: whole sectors cannot be read; `not-in-image`: the
    /// image is not complete; `no-trace`: nothing shows where they stood.
    pub(super) reason: &'static str,
    /// The sectors behind it that hold them, if whole sectors are not read.
    pub(super) unread_sectors: Vec<u32>,
}

/// How often sectors were erased, as far as their headers tell.
#[derive(Debug, Serialize)]
pub(super) struct WearInfo {
    pub(super) least: Option<u32>,
    pub(super) most: Option<u32>,
    /// How many sectors tell.
    pub(super) known: u32,
}

/// One sector.
#[derive(Debug, Serialize)]
pub(super) struct SectorInfo {
    pub(super) sector: u32,
    pub(super) address: i64,
    /// `newest`, `in-use`, `prepared`, `blank`, `unreadable`, `stale`, `unknown`, `other-version`, `other-geometry`,
    /// `not-in-image`.
    pub(super) state: &'static str,
    pub(super) sequence: Option<u32>,
    pub(super) erases: Option<u32>,
    /// The position of its first event.
    pub(super) base: Option<u64>,
    pub(super) boot: Option<u32>,
    pub(super) tick: Option<u64>,
    /// Events that count.
    pub(super) events: u32,
    /// Events that are missing, up to the next sector that can be read.
    pub(super) missing_events: u32,
    /// Frames that count.
    pub(super) frames: u32,
    /// Frames that verify and were given up.
    pub(super) given_up_frames: u32,
    /// Bytes up to the last that does not read as erased.
    pub(super) used_bytes: u32,
    /// Bytes of interrupted writes.
    pub(super) interrupted_bytes: u32,
    /// Bytes that were whole once and cannot be read any more.
    pub(super) damaged_bytes: u32,
    /// Bytes that are not in the image.
    pub(super) missing_bytes: u32,
    /// All that is in it, if it was asked for with `--sector`; else `null`.
    pub(super) pieces: Option<Vec<PieceInfo>>,
}

/// A piece of a sector.
#[derive(Debug, Serialize)]
#[serde(tag = "piece", rename_all = "kebab-case")]
pub(super) enum PieceInfo {
    /// The first part of the header.
    Header { offset: u32, bytes: u32 },
    /// A frame whose CRC is right.
    Frame {
        offset: u32,
        bytes: u32,
        crc: String,
        ordinal: u8,
        /// Whether a mount reads it; if not, it was given up after an unclean stop.
        counts: bool,
        entries: Vec<EntryInfo>,
    },
    /// Events are missing here.
    Gap { first: u64, events: u32 },
    /// The two words before a new start.
    Marks { offset: u32, bytes: u32 },
    /// Bytes that verify as nothing.
    Leftover {
        offset: u32,
        bytes: u32,
        /// How long a frame here says it is.
        claims: Option<u32>,
        /// `interrupted`, `damaged` or `not-read`.
        cause: &'static str,
        hex: String,
    },
    /// Bytes that read as erased.
    Erased { offset: u32, bytes: u32 },
    /// Bytes that are not in the image.
    NotInImage { offset: u32, bytes: u32 },
}

/// An entry of a frame.
#[derive(Debug, Clone, Serialize)]
pub(super) struct EntryInfo {
    pub(super) offset: u32,
    /// `event`, `snapshot`, `track`, `open`, `resume`, `close`, `erase`, `lost`, `digest` or `unknown`.
    pub(super) entry: &'static str,
    /// Whether a mount reads it.
    pub(super) counts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tracker: Option<u8>,
    /// Of `track`: where it moved to. Of `open`: the position of the sector's first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<u64>,
    /// Of `resume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frontier: Option<u32>,
    /// Of `erase`: how many sectors after this one it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ahead: Option<u32>,
    /// Of `lost`: the first position overwritten, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    /// Of `digest`: how many sectors before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) back: Option<u32>,
    /// The encoded event or state; of `digest` the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hex: Option<String>,
}

/// A record that was asked for.
#[derive(Debug, Serialize)]
pub(super) struct RecordInfo {
    pub(super) sector: u32,
    #[serde(flatten)]
    pub(super) entry: EntryInfo,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct DamageInfo {
    /// `not-mountable`, `gap`, `unreadable-sector`, `header`, `damaged-bytes` or `not-in-image`.
    pub(super) kind: &'static str,
    pub(super) sector: Option<u32>,
    pub(super) offset: Option<u32>,
    /// For people.
    pub(super) text: String,
}
