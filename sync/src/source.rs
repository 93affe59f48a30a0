//! The device's side.

use core::fmt;

use evenkeel_core::blocking::section;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::scratch::Scratch;
use evenkeel_core::section::Section;
use evenkeel_core::{Position, RecordManager, Tracker};

use crate::rules::{Broken, Rule};
use crate::wire::{self, CHECK_BYTES, Head, Message, Read, Refusal, WireError};
use crate::{Loss, Piece, SourceIdentity};

#[cfg(test)]
mod tests;

/// The device's side of sync: answers what a [`Sink`](crate::Sink) asks, out of a log that it is lent.
///
/// It is passive and knows no time: [`handle`](Source::handle) takes in a frame, then [`poll`](Source::poll) gives the
/// frames to send, until it has none left. It may be thrown away and made anew at any instant, by a reboot for example;
/// the sink asks again.
///
/// Several logs on one link: offer each frame to the source of each; those whom it does not concern ignore it.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Source {
    identity: SourceIdentity,
    uplink: Tracker,
    /// The request last served: a copy of it that arrives later is not served again.
    request: Option<u32>,
    window: Option<Window>,
    refusal: Option<(u32, Refusal)>,
    owes_head: Option<u32>,
    owes_committed: bool,
    pub(crate) broken: Broken,
}

const _: () = assert!(core::mem::size_of::<Source>() <= 512);

/// What a READ allows to be sent.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Window {
    request: u32,
    after: Position,
    credit: u32,
    limit: u32,
}

/// What a frame that came in was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Heard {
    /// Nothing for this source: damaged, addressed to another device or log, or a copy of a request already served.
    Nothing,
    /// A sink asked who is there.
    Hello,
    /// A sink asked for events.
    Read,
    /// A sink has everything up to this position, and the log now says so durably.
    Committed(Position),
    /// A message of another epoch: nothing in the log was changed.
    OtherEpoch,
    /// The sink knows positions that the log does not have: events that had left the device were lost. The
    /// application must open a new epoch before it appends, or positions would name two events.
    Ahead,
}

/// Why a source could not do its work. The sink asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SourceError<E> {
    /// The log could not be read.
    Read(ReadError<E>),
    /// A commit could not be stored.
    Append(AppendError<E>),
    /// The lent frame buffer is smaller than [`CONTROL_BYTES_AT_MOST`](wire::CONTROL_BYTES_AT_MOST).
    FrameTooSmall,
}

impl<E: fmt::Debug> fmt::Display for SourceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "the log could not be read: {error}"),
            Self::Append(error) => write!(f, "the commit could not be stored: {error}"),
            Self::FrameTooSmall => wire::FrameTooSmall.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SourceError<E> {}

impl Source {
    /// A source for the log with this identity, whose commits are kept under the tracker `uplink`.
    #[must_use]
    pub const fn new(identity: SourceIdentity, uplink: Tracker) -> Self {
        Self {
            identity,
            uplink,
            request: None,
            window: None,
            refusal: None,
            owes_head: None,
            owes_committed: false,
            broken: Broken::NONE,
        }
    }

    /// Whose log it is.
    #[must_use]
    pub const fn identity(&self) -> SourceIdentity {
        self.identity
    }

    /// Takes in one frame.
    ///
    /// A commit of this epoch, within the log and beyond what is stored, is durable in the log when this returns;
    /// if that fails nothing is answered to it, so the sink sends it again.
    pub fn handle<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        frame: &[u8],
    ) -> Result<Heard, SourceError<R::Error>> {
        let message = match Message::parse(frame, Some(&self.identity)) {
            Ok(message) => message,
            Err(WireError::Unknown | WireError::Malformed) => {
                self.refusal = Some((self.request.unwrap_or_default(), Refusal::Malformed));
                return Ok(Heard::Nothing);
            }
            Err(_) => return Ok(Heard::Nothing),
        };
        match message {
            Message::Hello { request, log } if log == self.identity.log => {
                self.owes_head = Some(request);
                Ok(Heard::Hello)
            }
            Message::Read(read) => self.read(records, scratch, &read),
            Message::Commit { epoch, position } => {
                if epoch != self.identity.epoch && self.broken.keeps(Rule::CommitOfEpoch) {
                    self.refusal = Some((self.request.unwrap_or_default(), Refusal::UnknownEpoch));
                    return Ok(Heard::OtherEpoch);
                }
                self.commit(records, scratch, position)
            }
            _ => Ok(Heard::Nothing),
        }
    }

    fn read<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        read: &Read,
    ) -> Result<Heard, SourceError<R::Error>> {
        if self.request == Some(read.request) {
            return Ok(Heard::Nothing);
        }
        self.request = Some(read.request);
        self.window = None;
        if read.epoch != self.identity.epoch {
            self.owes_head = Some(read.request);
            return Ok(Heard::OtherEpoch);
        }
        let next = records.bounds().next;
        if read.after >= next {
            self.refusal = Some((read.request, Refusal::Ahead { next }));
            return Ok(Heard::Ahead);
        }
        self.window = Some(Window { request: read.request, after: read.after, credit: read.credit, limit: read.limit });
        match read.commit {
            Some(position) => self.commit(records, scratch, position),
            None => Ok(Heard::Read),
        }
    }

    fn commit<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        position: Position,
    ) -> Result<Heard, SourceError<R::Error>> {
        let next = records.bounds().next;
        if position >= next {
            self.refusal = Some((self.request.unwrap_or_default(), Refusal::Ahead { next }));
            return Ok(Heard::Ahead);
        }
        let at = records.tracked(self.uplink);
        if position > at {
            let mut batch = scratch.batch(R::HEADROOM);
            batch.track_from(self.uplink, at, position).map_err(|error| SourceError::Append(error.into()))?;
            records.append(&mut batch).map_err(SourceError::Append)?;
        }
        self.owes_committed = true;
        Ok(Heard::Committed(records.tracked(self.uplink)))
    }

    /// Writes the next frame to send to the front of `out` and answers its length; `None`: nothing to send.
    ///
    /// `out` has the size of the link's largest frame, at least
    /// [`CONTROL_BYTES_AT_MOST`](wire::CONTROL_BYTES_AT_MOST). If reading fails, what the sink had asked for is
    /// dropped.
    pub fn poll<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, SourceError<R::Error>> {
        if out.len() < wire::CONTROL_BYTES_AT_MOST {
            return Err(SourceError::FrameTooSmall);
        }
        if let Some((request, refusal)) = self.refusal.take() {
            return self.say(&Message::Err { request, epoch: self.identity.epoch, refusal }, out);
        }
        if self.owes_committed {
            self.owes_committed = false;
            let cursor = records.tracked(self.uplink);
            return self.say(&Message::Committed { epoch: self.identity.epoch, cursor }, out);
        }
        if let Some(window) = self.window.take() {
            if window.credit > 0 {
                if let Some(len) = self.send(records, scratch, window, out)? {
                    return Ok(Some(len));
                }
            }
        }
        let Some(request) = self.owes_head.take() else { return Ok(None) };
        let bounds = records.bounds();
        let cursor = records.tracked(self.uplink);
        let head = Head { request, identity: self.identity, first: bounds.first, next: bounds.next, cursor };
        self.say(&Message::Head(head), out)
    }

    /// Writes what comes after the window's place; `None` at the end of the log, which a HEAD is to say.
    fn send<R: RecordManager>(
        &mut self,
        records: &mut R,
        scratch: &mut Scratch<'_>,
        window: Window,
        out: &mut [u8],
    ) -> Result<Option<usize>, SourceError<R::Error>> {
        let Window { request, after, credit, limit } = window;
        let lent = out.len();
        let allowed = match usize::try_from(limit) {
            Ok(limit) if limit > 0 => lent.min(limit.max(wire::CONTROL_BYTES_AT_MOST)),
            _ => lent,
        };
        let frame = out.get_mut(..allowed).unwrap_or_default();
        let mut other = None;
        let mut last = after;
        let written = wire::write_section(&self.identity, after.next(), frame, |room| {
            Ok(match section(records, scratch, after, room)? {
                Section::Events { first, count, bytes } => {
                    last = first.plus(u64::from(count)).previous();
                    (count, bytes.len())
                }
                section => {
                    other = Some(match section {
                        Section::Gap { last, reason, .. } => Some((last, Loss::from(reason))),
                        _ => None,
                    });
                    (0, 0)
                }
            })
        });
        let gap = match (written, other) {
            (Ok(Some(len)), None) => {
                self.window = Some(Window { after: last, credit: credit.saturating_sub(1), ..window });
                return Ok(Some(len));
            }
            (Ok(_), Some(gap)) => gap,
            (Err(ReadError::Trimmed { first }), _) if first > after.next() => Some((first.previous(), Loss::Trimmed)),
            (Err(ReadError::ScratchTooSmall { needed }), _) => {
                let needed = u64::from(needed).saturating_add(CHECK_BYTES as u64).saturating_add(16);
                let refusal = Refusal::FrameTooSmall { needed };
                return self.say(&Message::Err { request, epoch: self.identity.epoch, refusal }, out);
            }
            (Err(error), _) => return Err(SourceError::Read(error)),
            (Ok(None), None) => return Err(SourceError::FrameTooSmall),
        };
        let Some((last, reason)) = gap else {
            self.owes_head = Some(request);
            return Ok(None);
        };
        self.window = Some(Window { after: last, credit: credit.saturating_sub(1), ..window });
        self.say(&Message::Piece(Piece::Gap { first: after.next(), last, reason }), out)
    }

    fn say<E>(&self, message: &Message<'_>, out: &mut [u8]) -> Result<Option<usize>, SourceError<E>> {
        message.write(&self.identity, out).map(Some).ok_or(SourceError::FrameTooSmall)
    }
}
