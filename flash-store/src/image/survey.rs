//! The log in an image: what a mount finds, and what each sector is to it.

use core::ops::Range;

use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Bounds, Moment, Position, Tracker};

use super::flash::{ImageError, ImageFlash};
use super::pieces::Pieces;
use crate::blocking::FlashLog;
use crate::error::MountError;
use crate::format::entry;
use crate::format::header::{Found, Identity, PREPARED_BYTES, Prepared, StoredGeometry};
use crate::region::{GeometryError, Region};
use crate::retention::Retention;

/// As many streams as a sector has slots.
pub(super) const SLOTS: usize = entry::SLOTS as usize;
const TRACKERS: usize = 12;
pub(super) type ImageLog<'a> = FlashLog<ImageFlash<'a>, SLOTS, TRACKERS>;

/// A region in an image, mounted as far as it can be.
#[derive(Debug)]
pub struct Survey<'a> {
    pub(super) log: ImageLog<'a>,
    pub(super) scratch: Scratch<'a>,
    pub(super) flash: ImageFlash<'a>,
    mounted: Result<Mounted, MountError<ImageError>>,
}

/// What a mount finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mounted {
    /// Which log it is.
    pub identity: Identity,
    /// The sequence number of the oldest sector in use.
    pub oldest: u32,
    /// The sequence number of the newest sector.
    pub newest: u32,
    /// The positions held.
    pub bounds: Bounds,
    /// When the newest sector was opened.
    pub moment: Moment,
    /// Where in the newest sector the next frame would go, if the last stop was clean.
    pub offset: u32,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// Whether the sector after the newest has been prepared.
    pub prepared: bool,
}

/// The first part of a sector's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreparedHeader {
    /// Whose sector it is.
    pub identity: Identity,
    /// Its sequence number.
    pub sequence: u32,
    /// How often it has been erased, as far as is known.
    pub erases: u32,
}

/// The second part of a sector's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedHeader {
    /// Where in the sector the frame starts that counts.
    pub at: u32,
    /// The position of the sector's first event.
    pub base: Position,
    /// When the sector was opened.
    pub moment: Moment,
}

/// What a sector is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SectorState {
    /// It holds records, and new ones go here.
    Newest,
    /// It holds records, or did before it was let go.
    InUse,
    /// Erased, and given the first part of the header for its next use.
    Prepared,
    /// Every byte reads as erased.
    Blank,
    /// It belongs between the oldest and the newest, or says so itself, and cannot be read: it is damaged, or it was
    /// passed over when its turn came.
    Unreadable,
    /// Of an earlier life of the log, or otherwise of no concern to it.
    Stale,
    /// Something is written, and no header can be read where none is needed, as after an interrupted erase.
    Unknown,
    /// The header is of another format version.
    OtherVersion(u8),
    /// The header tells of another geometry.
    OtherGeometry(StoredGeometry),
    /// Not in the image.
    Missing,
}

/// What the headers of a sector say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectorReport {
    /// The sector's number in the region, from 0 on.
    pub index: u32,
    /// What it is to the log.
    pub state: SectorState,
    /// The first part of its header, if it verifies and belongs here.
    pub prepared: Option<PreparedHeader>,
    /// The second part of its header, if it verifies.
    pub opened: Option<OpenedHeader>,
    /// Its sequence number: by its header, or else by its place in a log that could be mounted.
    pub sequence: Option<u32>,
    /// Which of its bytes are in the image.
    pub present: Range<u32>,
    pub(super) identity: Option<Identity>,
}

impl SectorReport {
    /// Whether a mount reads records here.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.state, SectorState::Newest | SectorState::InUse)
    }
}

impl<'a> Survey<'a> {
    /// Mounts the region of this geometry that starts at this byte of a dump, as far as it can be mounted.
    ///
    /// The start may be negative, and the end beyond the dump: then parts of the region are missing. `scratch` is for
    /// reading and needs some 64 bytes; with 4096 it is quicker.
    ///
    /// # Errors
    /// The geometry is not one that a log can have.
    pub fn new(
        dump: &'a [u8],
        start: i64,
        geometry: StoredGeometry,
        scratch: &'a mut [u8],
    ) -> Result<Self, GeometryError> {
        let region = Region::of_stored(&geometry)?;
        let flash = ImageFlash::new(dump, start, region.range().end);
        let log = ImageLog::new(flash, region, Retention::Refuse);
        let mut survey = Self { log, scratch: Scratch::new(scratch), flash, mounted: Err(MountError::Foreign) };
        survey.mounted = survey.mount();
        Ok(survey)
    }

    fn mount(&mut self) -> Result<Mounted, MountError<ImageError>> {
        let (identity, newest) = self.log.find_newest(&mut self.scratch)?;
        self.log.take_up(identity, newest, &mut self.scratch)?;
        let log = &self.log;
        Ok(Mounted {
            identity,
            oldest: log.oldest.0,
            newest: log.newest.sequence,
            bounds: log.log_bounds(),
            moment: log.moment,
            offset: log.newest.offset,
            clean: log.newest.closed,
            prepared: log.prepared != crate::blocking::flash_log::Prepared::No,
        })
    }

    /// The geometry of the region.
    #[must_use]
    pub fn geometry(&self) -> StoredGeometry {
        StoredGeometry::of(&self.log.medium.region)
    }

    /// What a mount finds, or why it finds nothing.
    pub fn mounted(&self) -> Result<Mounted, MountError<ImageError>> {
        self.mounted
    }

    /// The trackers, as a mount finds them.
    pub fn trackers(&self) -> impl Iterator<Item = (Tracker, Position)> + '_ {
        self.log.trackers.iter()
    }

    /// The sector that holds this sequence number.
    #[must_use]
    pub fn index_of(&self, sequence: u32) -> u32 {
        self.log.medium.region.index_of(sequence)
    }

    /// What the headers of a sector say; of an index beyond the region, that it is missing.
    pub fn sector(&mut self, index: u32) -> SectorReport {
        let region = self.log.medium.region;
        let mut report = SectorReport {
            index,
            state: SectorState::Missing,
            prepared: None,
            opened: None,
            sequence: None,
            present: 0..0,
            identity: None,
        };
        if index >= region.sectors {
            return report;
        }
        let sector = index.saturating_mul(region.sector);
        report.present = self.flash.present(sector, region.sector);
        let expected = self.expected(index);
        let len = u32::try_from(PREPARED_BYTES).unwrap_or(u32::MAX);
        let found = match self.flash.part(sector, len) {
            Some(bytes) => Prepared::decode(&region, bytes),
            None => Found::Unknown,
        };
        if let Found::Prepared(Prepared { identity, sequence, erases }) = found {
            if region.index_of(sequence) == index {
                report.prepared = Some(PreparedHeader { identity, sequence, erases });
            }
        }
        let own = report.prepared.map(|header| (header.identity, header.sequence));
        if let Some((identity, sequence)) = own.or(expected) {
            (report.identity, report.sequence) = (Some(identity), Some(sequence));
            let opened = self.log.opened(identity, sequence, &mut self.scratch).ok().flatten();
            report.opened =
                opened.map(|opened| OpenedHeader { at: opened.frame.at, base: opened.base, moment: opened.moment });
        }
        report.state = self.state_of(&report, expected, found);
        report
    }

    /// The identity and the sequence number with which a log that could be mounted has used this sector last.
    fn expected(&self, index: u32) -> Option<(Identity, u32)> {
        let Mounted { identity, oldest, newest, .. } = self.mounted.ok()?;
        let sectors = self.log.medium.region.sectors;
        let behind = self.index_of(newest).saturating_add(sectors).saturating_sub(index);
        let sequence = newest.checked_sub(behind.checked_rem(sectors)?)?;
        (sequence >= oldest).then_some((identity, sequence))
    }

    fn state_of(&self, report: &SectorReport, expected: Option<(Identity, u32)>, found: Found) -> SectorState {
        let sector = report.index.saturating_mul(self.log.medium.region.sector);
        let at = sector.saturating_add(report.present.start);
        let present = self.flash.part(at, report.present.end.saturating_sub(report.present.start)).unwrap_or_default();
        if present.is_empty() {
            return SectorState::Missing;
        }
        let named = report.identity.zip(report.sequence);
        if report.opened.is_some() {
            return match self.mounted {
                Ok(log) if named == Some((log.identity, log.newest)) => SectorState::Newest,
                Ok(_) if named == expected => SectorState::InUse,
                _ => SectorState::Stale,
            };
        }
        if present.iter().all(|byte| *byte == 0xFF) && expected.is_none() {
            return SectorState::Blank;
        }
        match (self.mounted, report.prepared) {
            (Ok(log), Some(header)) if header.identity == log.identity => {
                if header.sequence > log.newest {
                    SectorState::Prepared
                } else if (log.oldest..=log.newest).contains(&header.sequence) {
                    SectorState::Unreadable
                } else {
                    SectorState::Stale
                }
            }
            (_, Some(_)) => SectorState::Stale,
            (_, None) => match found {
                Found::OtherVersion(version) => SectorState::OtherVersion(version),
                Found::OtherGeometry(geometry) => SectorState::OtherGeometry(geometry),
                _ if expected.is_some() => SectorState::Unreadable,
                _ => SectorState::Unknown,
            },
        }
    }

    /// All that is in a sector, piece by piece.
    pub fn pieces<'s>(&'s mut self, sector: &SectorReport) -> Pieces<'s, 'a> {
        Pieces::new(self, sector)
    }
}
