//! The form in which a record is stored when it is sealed.

use super::chain::Reach;
use super::{Aead, KeyId};
use crate::bytes::{ByteReader, ByteWriter};
use crate::{Kind, Position, Record, StreamId, Version};

/// The most bytes before the payload: key, session, serial number, position and head of the chain.
pub(crate) const FRONT_BYTES: usize = 1 + 5 + 5 + 6 + 8;
/// The bytes of a header.
const HEADER_BYTES: usize = 23;
/// The highest position that a snapshot tells: six bytes as a varint.
const REACH_LIMIT: u64 = 1 << 42;
/// Of the first byte: sealed with the stream's own key as well.
const OWN: u8 = 0x80;
/// Of the number in a nonce: it is a serial number, not a position.
const SERIAL: u64 = 1 << 63;

/// What a record is sealed together with, so that it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) snapshot: bool,
    pub(crate) kind: Kind,
    pub(crate) schema: u8,
    pub(crate) version: Version,
    pub(crate) stream: StreamId,
    pub(crate) position: Option<Position>,
}

impl Header {
    pub(crate) fn of_event(record: &Record<'_>) -> Self {
        let Record { stream, kind, version, schema, position, .. } = *record;
        Self { snapshot: false, kind, schema, version, stream, position }
    }

    pub(crate) fn of_snapshot(record: &Record<'_>) -> Self {
        Self { snapshot: true, position: None, ..Self::of_event(record) }
    }

    pub(crate) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut out = ByteWriter::new(&mut bytes);
        let _ = out
            .slice(&[if self.snapshot { 2 } else { 1 }, self.kind.0, self.schema])
            .and_then(|()| out.u32(self.version.0))
            .and_then(|()| out.u64(self.stream.0))
            .and_then(|()| out.u64(self.position.unwrap_or_default().0));
        bytes
    }
}

/// What is stored before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) key: KeyId,
    /// Sealed with the stream's own key as well.
    pub(crate) own: bool,
    /// The session in which it was sealed; 0 without encryption.
    pub(crate) session: u32,
    /// Its number in the session, if it is encrypted and has no position.
    pub(crate) serial: u32,
    /// Of a snapshot: a head of the chain that was known when it was taken.
    pub(crate) reach: Option<Reach>,
}

impl Front {
    /// Writes it; answers its length.
    pub(crate) fn write<A: Aead>(&self, header: &Header, bytes: &mut [u8; FRONT_BYTES]) -> usize {
        let mut out = ByteWriter::new(bytes);
        let _ = self.write_to::<A>(header, &mut out);
        out.len()
    }

    fn write_to<A: Aead>(&self, header: &Header, out: &mut ByteWriter<'_>) -> Option<()> {
        out.u8(self.key.number() | if self.own { OWN } else { 0 })?;
        if A::ENCRYPTS {
            out.varint(self.session.into())?;
            if header.position.is_none() {
                out.varint(self.serial.into())?;
            }
        }
        if header.snapshot {
            let reach = self.reach.filter(|reach| reach.position.0 < REACH_LIMIT && reach.position > Position::START);
            out.varint(reach.map_or(0, |reach| reach.position.0))?;
            out.slice(reach.as_ref().map_or(&[][..], |reach| &reach.head))?;
        }
        Some(())
    }

    /// Reads it, with how many bytes it takes; `None` if it cannot be one.
    pub(crate) fn read<A: Aead>(header: &Header, stored: &[u8]) -> Option<(Self, usize)> {
        let mut input = ByteReader::new(stored);
        let key = input.u8()?;
        let number = |input: &mut ByteReader<'_>| u32::try_from(input.varint()?).ok();
        let (mut session, mut serial, mut reach) = (0, 0, None);
        if A::ENCRYPTS {
            session = number(&mut input)?;
            if header.position.is_none() {
                serial = number(&mut input)?;
            }
        }
        if header.snapshot {
            let position = Position(input.varint()?);
            if position > Position::START {
                reach = Some(Reach { position, head: *input.slice(8)?.first_chunk()? });
            }
        }
        let front = Self { key: KeyId::new(key), own: key & OWN != 0, session, serial, reach };
        let len = stored.len().saturating_sub(input.rest().len());
        (len <= FRONT_BYTES).then_some((front, len))
    }

    /// The nonce: session and position, or session and serial number, which together are used once.
    pub(crate) fn nonce(&self, header: &Header) -> [u8; 12] {
        let number = header.position.map_or(SERIAL | u64::from(self.serial), |position| position.0 & !SERIAL);
        let mut nonce = [0; 12];
        let mut out = ByteWriter::new(&mut nonce);
        let _ = out.u32(self.session).and_then(|()| out.u64(number));
        nonce
    }

    /// What the tag covers beside the payload, and how long that is.
    pub(crate) fn associated(header: &Header, front: &[u8]) -> ([u8; HEADER_BYTES + FRONT_BYTES], usize) {
        let mut bytes = [0; HEADER_BYTES + FRONT_BYTES];
        let mut out = ByteWriter::new(&mut bytes);
        let _ = out.slice(&header.bytes()).and_then(|()| out.slice(front));
        let len = out.len();
        (bytes, len)
    }
}
