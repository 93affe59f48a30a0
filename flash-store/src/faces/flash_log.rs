//! The log itself: what it keeps in memory.

use evenkeel_core::scratch::Scratch;
use evenkeel_core::{Bounds, Moment, Position, Tracker};

use super::medium::Medium;
use super::notifications::Reader;
use super::streams::Resting as Chasing;
use super::walk::Walk;
use super::{NorFlash, face};
use crate::error::MountError;
use crate::format::digest::Digest;
use crate::format::frame::Frame;
use crate::format::header::Identity;
use crate::region::{GeometryError, Region};
use crate::retention::Retention;
use crate::table::{Streams, Trackers};

/// An append-only log on NOR flash: the record manager that outlives power cuts.
///
/// `SLOTS` streams are kept at hand in memory, so that appending to them reads nothing; more streams than that work,
/// with a look-up in the flash when one is needed again. `TRACKERS` trackers can be stored.
///
/// Nothing is written before the first append or upkeep. See the crate's documentation for a whole example.
#[derive(Debug)]
pub struct FlashLog<F: NorFlash, const SLOTS: usize = 16, const TRACKERS: usize = 4> {
    pub(crate) medium: Medium<F>,
    pub(crate) retention: Retention,
    pub(crate) moment: Moment,
    pub(crate) identity: Identity,
    pub(crate) state: State,
    pub(crate) newest: Newest,
    /// The sequence number of the oldest sector in use, and the position of its first event.
    pub(crate) oldest: (u32, Position),
    /// The position of the last event of the oldest sector, when letting it go was last tried.
    pub(crate) oldest_last: Position,
    /// The sequence number of the sector to be opened next: the one after the newest, or behind some that were set
    /// aside.
    pub(crate) next: u32,
    /// Whether that sector has been prepared, and if so in this life of the memory.
    pub(crate) prepared: Prepared,
    /// The highest sequence number for which the newest sector says that an erase was going to be tried.
    pub(crate) announced: u32,
    /// The same without what the last frame says, which may not be there at the next mount.
    pub(crate) announced_before: u32,
    /// The sequence number of a sector that is to be started anew: its erase has been begun.
    pub(crate) restarting: Option<u32>,
    /// How many sectors in a row were set aside at most, as far as is known.
    pub(crate) aside: u32,
    /// Where the newest sector ends, if it was given up after an unclean stop.
    pub(crate) left_at: Option<u32>,
    /// How often the newest sector has been erased.
    pub(crate) wear: u32,
    /// The first event that was overwritten though it was still asked for, and how many from there on were.
    pub(crate) overwritten: (Position, u64),
    /// The reserve was started anew since the mount: not again before something was let go.
    pub(crate) restarted: bool,
    /// An event was refused because making room needs upkeep.
    pub(crate) pressed: bool,
    pub(crate) streams: Streams<SLOTS>,
    pub(crate) trackers: Trackers<TRACKERS>,
    pub(crate) reader: Reader<SLOTS>,
    pub(crate) chase: Option<Chasing>,
}

/// How far memory agrees with the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is known: not mounted.
    Unknown,
    /// A write or an erase was begun and its end is not known: find out before going on.
    Interrupted,
    /// Everything is known.
    Mounted,
}

/// Whether the next sector can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prepared {
    No,
    /// It was found so: opening it may have been tried before.
    Found,
    /// It was prepared since the mount.
    Fresh,
}

/// The sector that is being written.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub(crate) sequence: u32,
    pub(crate) seed: u32,
    /// Where in the region it starts.
    pub(crate) sector: u32,
    /// The position of its first event.
    pub(crate) base: Position,
    /// The oldest sector in use when it was opened, as its header tells: at first the first one of this life.
    pub(crate) oldest: u32,
    /// Where in the sector its opened frame starts that counts.
    pub(crate) opened: u32,
    /// Where in the sector the next frame goes.
    pub(crate) offset: u32,
    /// How many events with positions are in it.
    pub(crate) events: u32,
    /// How many of these are repeated from the sector before.
    pub(crate) carried: u32,
    /// Whether any event has been stored in it that is not repeated from the sector before.
    pub(crate) stored: bool,
    /// The first frame behind its header that moves a tracker.
    pub(crate) tracked: Option<u32>,
    /// The last frame, if it could not be repeated after an unclean stop and is not in the next sector yet.
    pub(crate) unrepeated: Option<u32>,
    /// How many of the last of them were lost after they had been read: their positions stay empty.
    pub(crate) lost: u32,
    /// How many sequence numbers before it the sector stands that was the newest before; 0: there was none.
    pub(crate) back: u32,
    /// Where that one ends, if it was given up after an unclean stop.
    pub(crate) left: Option<u32>,
    /// How many streams have been given a slot in it.
    pub(crate) slots: u8,
    /// Which streams are in it.
    pub(crate) digest: Digest,
    /// Of which of them snapshots are.
    pub(crate) snapshots: Digest,
    /// Power may have failed while the frame after `offset` was written: do not write next to it.
    pub(crate) torn: bool,
    /// The last stop was clean, and nothing has been appended since.
    pub(crate) closed: bool,
    /// The newest frame, which may rest on a word whose programming was cut.
    pub(crate) last: Option<Frame>,
    /// How many events that frame has, as read at the mount.
    pub(crate) in_last: u32,
}

impl Newest {
    pub(crate) fn next(&self) -> Position {
        self.base.plus(u64::from(self.events))
    }

    /// Whether nothing stands behind the opened frame.
    pub(crate) fn is_only_header(&self) -> bool {
        self.last.is_some_and(|last| last.at == self.opened)
    }

    /// From where on no snapshot is one for whose sake history may be erased: the last frame before an unclean stop may read
    /// well today only, until it has been repeated.
    pub(crate) fn doubtful_from(&self) -> Option<u32> {
        self.unrepeated.or(self.last.filter(|_| self.torn).map(|last| last.at))
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// A log in this region of a flash, not mounted yet.
    pub fn new(flash: F, region: Region, retention: Retention) -> Self {
        let newest = Newest {
            sequence: 0,
            seed: 0,
            sector: 0,
            base: Position(1),
            oldest: 0,
            opened: 0,
            offset: 0,
            events: 0,
            carried: 0,
            lost: 0,
            stored: false,
            tracked: None,
            unrepeated: None,
            back: 0,
            left: None,
            slots: 0,
            digest: Digest::default(),
            snapshots: Digest::default(),
            torn: true,
            closed: false,
            last: None,
            in_last: 0,
        };
        Self {
            medium: Medium::new(flash, region),
            retention,
            moment: Moment::default(),
            identity: Identity::default(),
            state: State::Unknown,
            newest,
            oldest: (0, Position(1)),
            oldest_last: Position(u64::MAX),
            next: 0,
            prepared: Prepared::No,
            announced: 0,
            announced_before: 0,
            restarting: None,
            aside: 0,
            left_at: None,
            wear: 0,
            overwritten: (Position(1), 0),
            restarted: false,
            pressed: false,
            streams: Streams::new(),
            trackers: Trackers::new(),
            reader: Reader::new(),
            chase: None,
        }
    }

    /// Gives the flash back.
    pub fn release(self) -> F {
        self.medium.flash
    }

    /// Which log this is; of a log that was never mounted, nothing that means anything.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where the log lives.
    pub fn region(&self) -> Region {
        self.medium.region
    }

    /// Says what time it is; each sector stores the moment at which it was opened.
    pub fn set_moment(&mut self, moment: Moment) {
        self.moment = moment;
    }

    pub(crate) fn log_bounds(&self) -> Bounds {
        Bounds { first: self.oldest.1, next: self.newest.next() }
    }

    pub(crate) fn log_tracked(&self, tracker: Tracker) -> Position {
        self.trackers.get(tracker)
    }

    /// Mounts the log, or makes a new one if every byte of the region reads as erased, or if nothing is in it but what
    /// a format left that was cut off.
    ///
    /// Anything else in the region is an error, and stays as it is.
    pub async fn mount_or_format(
        &mut self,
        identity: Identity,
        scratch: &mut [u8],
    ) -> Result<(), MountError<F::Error>> {
        let mut scratch = Scratch::new(scratch);
        match self.find_log(&mut scratch).await {
            Err(MountError::Blank | MountError::Unfinished) => {
                let first = self.medium.region.sectors;
                self.start_life(identity, first, &mut scratch).await
            }
            other => other,
        }
    }

    /// Begins a new life of the log: an empty one, whatever the region held. Mounted afterwards.
    ///
    /// Only the sector to be used first is erased now, the others when their turn comes; a sector that holds a log
    /// of this geometry goes on counting its erases. If power fails before this returns, what was there before can
    /// still be mounted, less its oldest sector.
    pub async fn format(&mut self, identity: Identity, scratch: &mut [u8]) -> Result<(), MountError<F::Error>> {
        let mut scratch = Scratch::new(scratch);
        self.check_region(&scratch)?;
        let highest = self.highest_sequence(&mut scratch).await;
        let highest = highest.map_err(|_| MountError::ScratchTooSmall { needed: super::mount::LEAST_SCRATCH })?;
        let first = highest.map_or(self.medium.region.sectors, |highest| highest.saturating_add(1));
        self.start_life(identity, first, &mut scratch).await
    }

    /// Walks through a sector of the log from behind its header.
    pub(crate) fn walk(&self, sequence: u32, offset: u32) -> Walk {
        let seed = crate::format::checksum::sector_seed(self.identity.log, self.identity.epoch, sequence);
        Walk::new(self.medium.region.sector_at(sequence), seed, offset)
    }

    /// Where the sector with this sequence number is known to end: only of the newest.
    pub(crate) fn end_of(&self, sequence: u32) -> Option<u32> {
        (sequence == self.newest.sequence).then_some(self.newest.offset)
    }

    pub(crate) fn check_region(&self, scratch: &Scratch<'_>) -> Result<(), MountError<F::Error>> {
        let region = self.medium.region;
        let suits = (region.sector as usize, region.word as usize, region.read as usize)
            == (F::ERASE_SIZE, F::WRITE_SIZE, F::READ_SIZE);
        if !suits {
            return Err(MountError::Region(GeometryError::SectorSize));
        }
        if region.range().end as usize > self.medium.flash.capacity() {
            return Err(MountError::Region(GeometryError::BeyondCapacity));
        }
        let needed = super::mount::LEAST_SCRATCH;
        if scratch.len() < needed as usize {
            return Err(MountError::ScratchTooSmall { needed });
        }
        Ok(())
    }
}
