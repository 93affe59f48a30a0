//! Store and forward: a phone or a gateway that carries what a device has to a collector, and its commits back.
//!
//! A relay has no key of the log and is trusted with nothing that matters: it keeps frames as they are, and hands them on as
//! they are. Towards the device a [`RelaySink`] asks, towards the collector a [`RelaySource`] answers; what is between them
//! is in a [`RelayStore`], so they need not be there at the same time, nor in one process. Both are state machines without
//! I/O: bytes in, bytes out.
//!
//! - The device goes on holding its events until a COMMIT of the collector arrives, which the relay carries: it forgets
//!   its frames when the *device* says that it has that commit. Only where the life of the log is gone from the device
//!   (it was formatted) does the collector's word do, as there is no other.
//! - With [custody](RelaySink::with_custody) the device is told what the relay keeps, under a key that these two share. It
//!   notes that under a tracker of its own, which frees nothing unless the log's retention names it.
//! - Whoever can speak to a relay can lie to it, as to any cable: it may then carry rubbish, which the collector drops, or
//!   forget too early, which is why custody alone should free nothing on a device that matters.
//!
//! A collector asks for one log: one [`RelaySource`] for each identity that the store has a [`Note::Head`] of.

use evenkeel_core::{Epoch, LogId, Position};

use crate::SourceIdentity;
use crate::seal::CRC;
use crate::wire::{CONTROL_BYTES_AT_MOST, Commit, Head, Message, Refusal};

mod sink;
mod source;
#[cfg(test)]
pub(crate) mod tests;

pub use sink::{RelayEvent, RelayPhase, RelaySink};
pub use source::RelaySource;

/// Where a relay keeps what it carries.
///
/// # What an implementer owes
///
/// What a call has stored when it returns `Ok` survives power loss: a device may be told that it is kept. A call that fails
/// has changed nothing, or all that it should.
pub trait RelayStore {
    /// Why the store failed.
    type Error: core::fmt::Debug;

    /// Keeps a frame under this key, durably. The same again changes nothing. `false`: there is no room, and nothing was
    /// changed.
    fn keep(&mut self, log: &SourceIdentity, key: FrameKey, frame: &[u8]) -> Result<bool, Self::Error>;

    /// The lowest key of this life of the log that is higher than `after`, in the order of [`FrameKey`].
    fn next_key(&mut self, log: &SourceIdentity, after: FrameKey) -> Result<Option<FrameKey>, Self::Error>;

    /// Copies a frame to the front of `out` and answers its length, also if there was no room for all of it; `None`: there is
    /// no such frame.
    fn frame(&mut self, log: &SourceIdentity, key: FrameKey, out: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Forgets the frames of this life of the log that end at or before this position.
    fn forget(&mut self, log: &SourceIdentity, last: Position) -> Result<(), Self::Error>;

    /// Copies a note to the front of `out` and answers its length; `None`: there is none. Notes have at most
    /// [`NOTE_BYTES`] bytes.
    fn note(&mut self, log: &SourceIdentity, note: Note, out: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Puts a note in the place of the one that was there, durably; `None` removes it.
    fn set_note(&mut self, log: &SourceIdentity, note: Note, bytes: Option<&[u8]>) -> Result<(), Self::Error>;
}

/// The most bytes of a note.
pub const NOTE_BYTES: usize = CONTROL_BYTES_AT_MOST;

/// Names a frame of a life of a log, and orders them by where they end. Frames with the same positions and other bytes have
/// other keys: a relay without a key cannot tell which of them is the right one, and keeps both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameKey {
    /// The last position that the frame covers.
    pub last: Position,
    /// The first one.
    pub first: Position,
    /// CRC-32C of its bytes.
    pub check: u32,
}

impl FrameKey {
    /// The key of this frame; `None` if it is no SECTION and no GAP.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let (first, last) = crate::wire::peek_piece(frame)?;
        Some(Self { last, first, check: CRC.checksum(frame) })
    }

    /// The key before the lowest of those that end beyond this position.
    #[must_use]
    pub const fn ending_after(position: Position) -> Self {
        Self { last: position, first: Position(u64::MAX), check: u32::MAX }
    }
}

/// What a relay notes about a life of a log, beside frames. The bytes are this crate's; the numbers may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Note {
    /// What the device has said last about its log. It is kept under the identity with the newest epoch in it: these
    /// identities are the logs that the relay can speak of.
    Head = 1,
    /// The commit that is to be carried to the device.
    Commit = 2,
    /// What the device has refused, for the collector to hear.
    Refusal = 3,
    /// Which positions the collector asks for again and again: the frame of them may be a wrong one.
    Doubt = 4,
    /// The life is not on the device any more.
    Gone = 5,
    /// Under the identity with epoch 0: the newest epoch of the head heard last.
    Newest = 6,
}

/// The identity of a log, in no life.
fn in_no_life(device: u64, log: LogId) -> SourceIdentity {
    SourceIdentity { device, log, epoch: Epoch(0) }
}

fn head_of<T: RelayStore>(store: &mut T, log: &SourceIdentity) -> Result<Option<Head>, T::Error> {
    let mut bytes = [0; NOTE_BYTES];
    let len = store.note(log, Note::Head, &mut bytes)?;
    Ok(match len.and_then(|len| Message::parse(bytes.get(..len)?, None).ok()) {
        Some(Message::Head(head)) => Some(head),
        _ => None,
    })
}

fn commit_of<T: RelayStore>(store: &mut T, log: &SourceIdentity) -> Result<Option<Commit>, T::Error> {
    let mut bytes = [0; NOTE_BYTES];
    let len = store.note(log, Note::Commit, &mut bytes)?;
    Ok(match len.and_then(|len| Message::parse(bytes.get(..len)?, Some(log)).ok()) {
        Some(Message::Commit { epoch, commit }) if epoch == log.epoch => Some(commit),
        _ => None,
    })
}

fn refusal_of<T: RelayStore>(store: &mut T, log: &SourceIdentity) -> Result<Option<Refusal>, T::Error> {
    let mut bytes = [0; NOTE_BYTES];
    let len = store.note(log, Note::Refusal, &mut bytes)?;
    Ok(match len.and_then(|len| Message::parse(bytes.get(..len)?, Some(log)).ok()) {
        Some(Message::Err { refusal, .. }) => Some(refusal),
        _ => None,
    })
}

/// The positions that are in doubt: the first, and the last of them.
fn doubt_of<T: RelayStore>(store: &mut T, log: &SourceIdentity) -> Result<Option<(Position, Position)>, T::Error> {
    let mut bytes = [0; NOTE_BYTES];
    let len = store.note(log, Note::Doubt, &mut bytes)?;
    Ok((|| {
        let mut input = evenkeel_core::bytes::ByteReader::new(bytes.get(..len?)?);
        let doubt = (Position(input.u64()?), Position(input.u64()?));
        (Position::START < doubt.0 && doubt.0 <= doubt.1).then_some(doubt)
    })())
}

/// Notes a message as it stands on the wire.
fn note_message<T: RelayStore>(
    store: &mut T,
    log: &SourceIdentity,
    note: Note,
    message: &Message<'_>,
) -> Result<(), T::Error> {
    let mut bytes = [0; NOTE_BYTES];
    let len = message.write(log, &crate::Plain, &mut bytes);
    store.set_note(log, note, len.and_then(|len| bytes.get(..len)))
}

/// How far a relay's frames reach without a hole, from a position on that is known, where some positions are not needed:
/// `needed` answers, for a position up to which all is there, up to where nothing more is needed.
fn reach<T: RelayStore>(
    store: &mut T,
    log: &SourceIdentity,
    from: Position,
    needed: impl Fn(Position) -> Position,
) -> Result<Position, T::Error> {
    let mut reached = needed(from);
    let mut after = FrameKey::ending_after(reached);
    while let Some(key) = store.next_key(log, after)? {
        if key.first <= reached.next() {
            reached = needed(reached.max(key.last));
            after = FrameKey::ending_after(reached);
        } else {
            after = key;
        }
    }
    Ok(reached)
}
