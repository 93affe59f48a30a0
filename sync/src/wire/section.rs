//! SECTION frames.

use evenkeel_core::Position;
use evenkeel_core::bytes::{ByteReader, ByteWriter, copy};

use super::{IS_SECTION, Message, WireError};
use crate::seal::{Seal, SectionPlace};
use crate::{Piece, SourceIdentity};

/// The most events of one section.
pub const MAX_EVENTS: u32 = 0x7F;

/// Which positions a section holds: its first and its last, as whoever relays it without a key can read them. `None` if
/// the frame is no section.
#[must_use]
pub fn peek_section(frame: &[u8]) -> Option<(Position, Position)> {
    let (place, _) = place_of(frame)?;
    Some((place.first, place.first.plus(u64::from(place.count)).previous()))
}

/// Which positions a section or a gap covers, as whoever relays it without a key can read them.
pub(crate) fn peek_piece(frame: &[u8]) -> Option<(Position, Position)> {
    if frame.first().copied() != Some(super::type_byte(super::GAP)) {
        return peek_section(frame);
    }
    match super::fields::read(super::GAP, &mut ByteReader::new(frame.get(1..)?)) {
        Ok(Message::Piece(Piece::Gap { first, last, .. })) => Some((first, last)),
        _ => None,
    }
}

/// The place of a section, and how many bytes stand before its events.
fn place_of(frame: &[u8]) -> Option<(SectionPlace, usize)> {
    let mut input = ByteReader::new(frame);
    let head = input.u8()?;
    let count = u32::from(head & !IS_SECTION);
    let first = Position(input.varint()?);
    let end = first.0.checked_add(u64::from(count))?;
    let sound = head & IS_SECTION != 0 && first > Position::START && end > first.0;
    let header = frame.len().checked_sub(input.rest().len())?;
    sound.then_some((SectionPlace { first, count }, header))
}

pub(super) fn open<'b, S: Seal>(
    frame: &'b mut [u8],
    identity: &SourceIdentity,
    seal: &S,
) -> Result<Message<'b>, WireError> {
    let (place, header) = place_of(frame).ok_or(WireError::Check)?;
    let (header, rest) = frame.split_at_mut_checked(header).ok_or(WireError::Check)?;
    let end = rest.len().checked_sub(S::SECTION_BYTES).ok_or(WireError::Check)?;
    let (bytes, given) = rest.split_at_mut_checked(end).ok_or(WireError::Check)?;
    if !seal.open(identity, place, header, bytes, given) {
        return Err(WireError::Check);
    }
    Ok(Message::Piece(Piece::Events { first: place.first, count: place.count, bytes }))
}

/// A section that is being written: its header, room for events, and room for the seal.
pub(crate) struct SectionDraft<'b, S> {
    frame: &'b mut [u8],
    first: Position,
    /// Where the events begin, and where the room for them ends.
    at: usize,
    end: usize,
    seal: core::marker::PhantomData<S>,
}

impl<'b, S: Seal> SectionDraft<'b, S> {
    /// `None` if there is no room for any event.
    pub(crate) fn new(first: Position, frame: &'b mut [u8]) -> Option<Self> {
        let end = frame.len().checked_sub(S::SECTION_BYTES)?;
        let mut header = ByteWriter::new(frame);
        header.u8(IS_SECTION)?;
        header.varint(first.0)?;
        let at = header.len();
        (at < end).then_some(Self { frame, first, at, end, seal: core::marker::PhantomData })
    }

    /// Where the events are to be encoded.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.frame.get_mut(self.at..self.end).unwrap_or_default()
    }

    /// Seals so many events in so many bytes of the room; answers the length of the frame.
    pub(crate) fn finish(self, identity: &SourceIdentity, seal: &S, count: u32, len: usize) -> Option<usize> {
        let Self { frame, first, at, .. } = self;
        let short = u8::try_from(count).ok().filter(|count| (1..=MAX_EVENTS).contains(&u32::from(*count)))?;
        *frame.first_mut()? = IS_SECTION | short;
        let (header, rest) = frame.split_at_mut_checked(at)?;
        let (events, rest) = rest.split_at_mut_checked(len)?;
        let sealed = seal.close(identity, SectionPlace { first, count }, header, events)?;
        copy(sealed.get(..S::SECTION_BYTES)?, rest.get_mut(..S::SECTION_BYTES)?);
        at.checked_add(len)?.checked_add(S::SECTION_BYTES)
    }
}
