//! Commands from a server: its log of them, followed on the device.

use evenkeel_core::error::{AppendError, LoadError};
use evenkeel_core::process::{ProcessError, Received, ReceivedError};
use evenkeel_core::{
    Aggregate, Epoch, Follower, GapReason, Kind, Log, LogId, Notification, Position, ProcessManager, RecordManager,
    Root, Snapshot, StreamId, Upstream,
};
use serde::{Deserialize, Serialize};

use crate::{Loss, Piece, SinkStore, SourceIdentity};

/// The store behind a [`Sink`](crate::Sink) on the device: what arrives goes to a process manager, and the cursor is its
/// tracker, so that each command has its effect exactly once, in one append with the cursor.
///
/// The server has a [`Source`](crate::Source) over its log, the device a `Sink` that pulls it, as it is the other way
/// round for events; any log can be followed so, also of another device. Whose log it is, and which life of it, is an
/// event in the stream `lineage` ([`Lineage`]): another log, or an older life, is refused. When the source opens a new
/// epoch the cursor begins anew, and the tracker goes on from where it stands, as trackers only go forward.
///
/// A piece of which the process manager fails on one event is asked for again, from that event on.
#[derive(Debug)]
pub struct Downlink<'d, 'b, R, M, const KIND: u8> {
    log: &'d mut Log<'b, R>,
    follower: &'d mut Follower<M>,
    lineage: StreamId,
}

/// Which log is followed, in which life: an aggregate of the application's kind `KIND`, to be named in
/// [`Log::maintain`](evenkeel_core::Log::maintain).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lineage<const KIND: u8> {
    adopted: Option<Adopted>,
}

/// A log, or a new life of it, is followed from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    device: u64,
    log: u16,
    epoch: u64,
    /// Where the tracker stood: the position before the first one of this life.
    base: u64,
}

/// Why what has arrived was not dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DownlinkError<E> {
    /// The process manager or the log failed.
    Process(ProcessError<E, ReceivedError>),
    /// The lineage could not be loaded.
    Load(LoadError<E>),
    /// The cursor or the lineage could not be stored.
    Append(AppendError<E>),
    /// It is of another log than the one that is followed.
    OtherLog {
        /// What is followed.
        followed: SourceIdentity,
    },
    /// It is of a life of the log before the one that is followed: a server that was restored from an old copy, say.
    OlderLife {
        /// The life that is followed.
        followed: Epoch,
    },
}

impl<E> From<AppendError<E>> for DownlinkError<E> {
    fn from(error: AppendError<E>) -> Self {
        Self::Append(error)
    }
}

impl<E: core::fmt::Debug> core::fmt::Display for DownlinkError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Process(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::Append(error) => error.fmt(f),
            Self::OtherLog { followed } => write!(f, "the log that is followed is {followed}"),
            Self::OlderLife { followed } => write!(f, "the life that is followed is the later epoch {followed}"),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for DownlinkError<E> {}

impl<const KIND: u8> Aggregate for Lineage<KIND> {
    const KIND: Kind = Kind(KIND);
    type Event = Adopted;

    fn apply(&mut self, adopted: &Adopted) {
        self.adopted = Some(*adopted);
    }
}

impl<const KIND: u8> Snapshot for Lineage<KIND> {
    const SCHEMA: u8 = 1;
}

impl Adopted {
    fn identity(&self) -> SourceIdentity {
        SourceIdentity { device: self.device, log: LogId(self.log), epoch: Epoch(self.epoch) }
    }
}

impl<'d, 'b, R: RecordManager, M: ProcessManager, const KIND: u8> Downlink<'d, 'b, R, M, KIND> {
    /// Puts what arrives into this log, by means of this process manager.
    pub fn new(log: &'d mut Log<'b, R>, follower: &'d mut Follower<M>, lineage: impl Into<StreamId>) -> Self {
        Self { log, follower, lineage: lineage.into() }
    }

    /// The lineage, and where this life of the log begins for the tracker; `None` if it is a new one.
    #[allow(clippy::type_complexity)] // a root with what it says
    fn life(
        &mut self,
        identity: &SourceIdentity,
    ) -> Result<(Root<Lineage<KIND>>, Option<Position>), DownlinkError<R::Error>> {
        let root = self.log.load_or_new::<Lineage<KIND>>(self.lineage).map_err(DownlinkError::Load)?;
        let Some(adopted) = root.adopted else { return Ok((root, None)) };
        let followed = adopted.identity();
        if followed == *identity {
            return Ok((root, Some(Position(adopted.base))));
        }
        if (followed.device, followed.log) != (identity.device, identity.log) {
            return Err(DownlinkError::OtherLog { followed });
        }
        if identity.epoch.counter() <= followed.epoch.counter() {
            return Err(DownlinkError::OlderLife { followed: followed.epoch });
        }
        Ok((root, None))
    }

    fn cursor_since(&self, base: Position) -> Position {
        Position(self.log.tracked(self.follower.tracker()).since(base))
    }
}

impl<R: RecordManager, M: ProcessManager, const KIND: u8> SinkStore for Downlink<'_, '_, R, M, KIND> {
    type Error = DownlinkError<R::Error>;

    fn cursor(&mut self, identity: &SourceIdentity) -> Result<Position, Self::Error> {
        let (_, base) = self.life(identity)?;
        Ok(base.map_or(Position::START, |base| self.cursor_since(base)))
    }

    fn apply(
        &mut self,
        identity: &SourceIdentity,
        after: Position,
        piece: &Piece<'_>,
    ) -> Result<Position, Self::Error> {
        let (root, base) = self.life(identity)?;
        let cursor = base.map_or(Position::START, |base| self.cursor_since(base));
        if cursor != after {
            return Ok(cursor);
        }
        let base = match base {
            Some(base) => base,
            None => {
                let base = self.log.tracked(self.follower.tracker());
                let SourceIdentity { device, log, epoch } = *identity;
                let adopted = Adopted { device, log: log.0, epoch: epoch.0, base: base.0 };
                self.log.append(|batch| batch.event::<Lineage<KIND>>(self.lineage, root.version(), &adopted))?;
                base
            }
        };
        let (log, follower) = (&mut *self.log, &mut *self.follower);
        let dealt_with = match *piece {
            Piece::Events { first, bytes, .. } => {
                log.follow(follower, &mut Received::new(first.plus(base.0), bytes), u32::MAX)
            }
            Piece::Gap { first, last, reason } => {
                let mut gap = Gap { first: first.plus(base.0), last: last.plus(base.0), reason };
                log.follow(follower, &mut gap, u32::MAX)
            }
        };
        dealt_with.map_err(DownlinkError::Process)?;
        // What is answered must be durable, also where nothing followed from it.
        self.log.checkpoint(self.follower)?;
        Ok(self.cursor_since(base))
    }
}

/// Positions of the log that is followed that hold nothing any more, as the tracker has them.
struct Gap {
    first: Position,
    last: Position,
    reason: Loss,
}

impl Upstream for Gap {
    type Error = ReceivedError;

    fn next_after(&mut self, after: Position) -> Result<Option<Notification<'_>>, ReceivedError> {
        let reason = match self.reason {
            Loss::Corrupt => GapReason::Corrupt,
            _ => GapReason::Overwritten,
        };
        let (first, last) = (after.next().max(self.first), self.last);
        Ok((first <= last).then_some(Notification::Gap { first, last, reason }))
    }
}
