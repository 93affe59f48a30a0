//! What source and sink say to each other, byte by byte.
//!
//! A frame is what one datagram holds; on a byte stream the link adapter marks where frames end. Every message is absolute
//! in (epoch, position), so a frame may be lost, repeated or overtaken by another.
//!
//! ```text
//! frame      = type u8, body, seal
//!
//! HELLO      = 0x20  request u32, log varint, versions u8, sink u64, limit varint, unix_ms varint, uncertainty_ms varint
//! HEAD       = 0x21  request u32, versions u8, suite u8, device u64, log varint, first varint, next varint,
//!                    cursor varint, lives u8, lives x (epoch u64, base varint), boot varint, tick varint,
//!                    schema u64, policy u8, free varint, flags u8
//! READ       = 0x22  request u32, epoch u64, after varint, credit varint, limit varint, flags u8,
//!                    [from varint, to varint, proof], map length u8, map, [proof]
//! GAP        = 0x24  first varint, last varint, reason u8
//! COMMIT     = 0x25  epoch u64, from varint, to varint, proof
//! COMMITTED  = 0x26  epoch u64, cursor varint, proof
//! CUSTODY    = 0x27  epoch u64, relay u64, position varint, proof
//! SCHEMA_GET = 0x28  request u32, digest u64, offset varint
//! SCHEMA     = 0x29  digest u64, offset varint, total varint, length varint, bytes
//! BUSY       = 0x2A  request u32, retry_ms varint
//! ERR        = 0x2B  request u32, epoch u64, code u8, a varint, b varint
//! NOTIFY     = 0x2C  device u64, log varint, pending varint
//! DONE       = 0x2D  request u32, next varint
//! SECTION    = 0x80 + count  first varint, events (core's section encoding); 1 to 127 events
//! proof      = length u8, bytes
//! ```
//!
//! Numbers are little-endian; varints are LEB128, as in [`evenkeel_core::bytes`].
//!
//! **Seal**: of SECTION and GAP what the suite says ([`Seal`]), over the *address* and all bytes before it. Of all others
//! CRC-32C (polynomial 0x1EDC6F41, initial value and final xor all ones, reflected) over the same. The address is not sent;
//! both ends know it. It is
//!
//! ```text
//! HELLO, HEAD, NOTIFY                                    nothing
//! READ, COMMIT, COMMITTED, CUSTODY, SCHEMA_GET, SCHEMA,
//! BUSY, ERR                                              device u64, log u16
//! SECTION, GAP, DONE                                     device u64, log u16, epoch u64
//! ```
//!
//! so that a frame of another device, another log or another life of the log is dropped like a damaged one, at no cost in
//! bytes.
//!
//! **Extension**: a reader ignores what stands between the fields it knows and the seal, except in SECTION, whose events
//! reach up to it. A change that this does not allow takes the next version number.

use evenkeel_core::bytes::{ByteReader, ByteWriter, copy};
use evenkeel_core::{Epoch, LogId, Moment, Position};

use crate::missing::Missing;
use crate::seal::{CRC, Proof, Prover, Purpose, Seal, address};
use crate::{Piece, SourceIdentity};

mod error;
mod fields;
mod section;
#[cfg(test)]
mod tests;

pub use error::{FrameTooSmall, Refusal, WireError};
pub(crate) use section::SectionDraft;
pub(crate) use section::peek_piece;
pub use section::{MAX_EVENTS, peek_section};

/// The version of this format, as the upper three bits of a frame that is no section say it.
pub const VERSION: u8 = 1;

/// The bytes of the check at the end of a frame that is no section.
pub const CHECK_BYTES: usize = 4;

/// The most bytes that a message takes which is neither SECTION nor SCHEMA: a frame buffer of this size is never too
/// small for them.
pub const CONTROL_BYTES_AT_MOST: usize = 144;

/// The most lives of a log that a HEAD tells.
pub const LIVES: usize = 3;

const HELLO: u8 = 0;
const HEAD: u8 = 1;
const READ: u8 = 2;
const GAP: u8 = 4;
const COMMIT: u8 = 5;
const COMMITTED: u8 = 6;
const CUSTODY: u8 = 7;
const SCHEMA_GET: u8 = 8;
const SCHEMA: u8 = 9;
const BUSY: u8 = 10;
const ERR: u8 = 11;
const NOTIFY: u8 = 12;
const DONE: u8 = 13;
/// Of the first byte of a section.
const IS_SECTION: u8 = 0x80;

const FLAG_COMMIT: u8 = 1;
const FLAG_PROOF: u8 = 2;
const FLAG_RELAYED: u8 = 1;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Message<'b> {
    /// Sink to source: who are you, and how far does your log reach?
    Hello(Hello),
    /// Source to sink: what there is.
    Head(Head),
    /// Sink to source: send what is missing after a position. It is also the retry.
    Read(Read),
    /// Source to sink: events, or the news that some are gone.
    Piece(Piece<'b>),
    /// Sink to source: these events are durable at the sink.
    Commit {
        /// The epoch that the positions belong to.
        epoch: Epoch,
        /// What is committed.
        commit: Commit,
    },
    /// Source to sink: the commit that is now durable at the source.
    Committed {
        /// The epoch that was committed.
        epoch: Epoch,
        /// The stored cursor; it may be beyond the one that was sent.
        cursor: Position,
        /// That the source says so.
        proof: Proof,
    },
    /// A relay to the source: I keep everything up to here; the source answers with the same and how far it has noted that.
    /// A relay to the sink: I keep your commit up to here, and shall carry it.
    Custody {
        /// The epoch that the position belongs to.
        epoch: Epoch,
        /// Who keeps it.
        relay: u64,
        /// The last position kept.
        position: Position,
        /// That the relay, or the source that answers it, says so; empty towards a sink.
        proof: Proof,
    },
    /// Sink to source: send me the schema of the events.
    SchemaGet {
        /// To be echoed in a refusal.
        request: u32,
        /// Which schema.
        digest: u64,
        /// From which byte on.
        offset: u32,
    },
    /// Source to sink: a part of the schema.
    Schema {
        /// Which schema.
        digest: u64,
        /// The place of the first byte.
        offset: u32,
        /// The bytes of the whole.
        total: u32,
        /// As many as there was room for.
        bytes: &'b [u8],
    },
    /// Source to sink: not now, such as during an erase.
    Busy {
        /// The request that it answers.
        request: u32,
        /// When to ask again, in milliseconds from now.
        retry_ms: u32,
    },
    /// Source to sink: this cannot be done.
    Err {
        /// The request that it answers; that of the last READ for a COMMIT.
        request: u32,
        /// The newest epoch of the source's log.
        epoch: Epoch,
        /// Why.
        refusal: Refusal,
    },
    /// Source to whoever listens: there is something to pull.
    Notify {
        /// The device.
        device: u64,
        /// Its log.
        log: LogId,
        /// How many events there are at least that nobody has committed.
        pending: u64,
    },
    /// Source to sink: the answer to a READ ends here.
    Done {
        /// The request that it answers; 0 for what was pushed unasked.
        request: u32,
        /// The position after the last one of this epoch so far.
        next: Position,
    },
}

/// What a sink asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello {
    /// To be echoed.
    pub request: u32,
    /// The log that is asked for.
    pub log: LogId,
    /// The versions that the sink understands: bit n for version n.
    pub versions: u8,
    /// Who asks.
    pub sink: u64,
    /// The largest frame that it takes; 0: no limit.
    pub limit: u32,
    /// What time it is, if the sink knows.
    pub time: Option<Time>,
}

/// A time of day, and how far off it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Time {
    /// Milliseconds since 1970 began in Greenwich, leap seconds not counted; not 0.
    pub unix_ms: u64,
    /// How far off it may be, in milliseconds, beside what the frame takes on its way.
    pub uncertainty_ms: u32,
}

/// What a source says about its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// The request that it answers.
    pub request: u32,
    /// The versions that the source understands: bit n for version n.
    pub versions: u8,
    /// How its frames are sealed: [`Seal::SUITE`].
    pub suite: u8,
    /// The device.
    pub device: u64,
    /// Which of its logs.
    pub log: LogId,
    /// The oldest position still held.
    pub first: Position,
    /// The position that the next event will get.
    pub next: Position,
    /// Up to where a sink has committed.
    pub cursor: Position,
    /// The lives of the log that are held.
    pub lives: Lives,
    /// When it was said, in the device's time.
    pub moment: Moment,
    /// The digest of the schema of its events; 0 if there is none to be had.
    pub schema: u64,
    /// What may be overwritten: 0 unknown, 1 nothing, 2 what was acknowledged, 3 the oldest.
    pub policy: u8,
    /// How many bytes are free; 0 if unknown.
    pub free: u64,
    /// A relay says it, out of what it holds: `next` ends there, and the rest is as the device said when the relay heard it.
    pub relayed: bool,
}

/// The epochs of a log, each with the first position that belongs to it; the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lives {
    all: [Life; LIVES],
    count: u8,
}

/// An epoch of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Life {
    /// Its name.
    pub epoch: Epoch,
    /// The first position that belongs to it.
    pub base: Position,
}

impl Lives {
    /// The one life of a log that has had no other.
    #[must_use]
    pub const fn one(epoch: Epoch) -> Self {
        let none = Life { epoch: Epoch(0), base: Position::START };
        let mut all = [none; LIVES];
        if let Some((first, _)) = all.split_first_mut() {
            *first = Life { epoch, base: Position(1) };
        }
        Self { all, count: 1 }
    }

    /// Adds one that begins at this position, beyond where the newest begins, with an epoch that none has; `false` if
    /// it is none. The oldest makes room.
    pub fn open(&mut self, epoch: Epoch, base: Position) -> bool {
        let follows = self.newest().is_none_or(|newest| base > newest.base) && base > Position::START;
        if !follows || self.as_slice().iter().any(|life| life.epoch == epoch) {
            return false;
        }
        if usize::from(self.count) == LIVES {
            let [_, second, third] = self.all;
            self.all = [second, third, Life::default()];
            self.count = self.count.saturating_sub(1);
        }
        if let Some(place) = self.all.get_mut(usize::from(self.count)) {
            *place = Life { epoch, base };
            self.count = self.count.saturating_add(1);
        }
        true
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Life] {
        self.all.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The one that new events belong to.
    #[must_use]
    pub fn newest(&self) -> Option<Life> {
        self.as_slice().last().copied()
    }

    /// One of them, and the first position of the one after it.
    #[must_use]
    pub fn find(&self, epoch: Epoch) -> Option<(Life, Option<Position>)> {
        let index = self.as_slice().iter().position(|life| life.epoch == epoch)?;
        let after = self.as_slice().get(index.saturating_add(1)).map(|life| life.base);
        Some((*self.as_slice().get(index)?, after))
    }
}

/// A request for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Read {
    /// To be echoed.
    pub request: u32,
    /// The epoch that the positions belong to.
    pub epoch: Epoch,
    /// The sink's cursor.
    pub after: Position,
    /// How many SECTION and GAP frames may be sent.
    pub credit: u32,
    /// The most bytes that a frame may have; 0: no limit.
    pub limit: u32,
    /// With the meaning of a COMMIT.
    pub commit: Option<Commit>,
    /// What is missing beyond the cursor.
    pub missing: Missing,
    /// That the sink's cursor is `after`; relays have none, and it is not sent where seals have no key.
    pub proof: Option<Proof>,
}

/// What a sink has durably, with the proof of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Commit {
    /// The proof covers the events after this position. Those before it were committed earlier, or are gaps to the sink.
    pub from: Position,
    /// The sink's cursor.
    pub to: Position,
    /// That the sink has the events: see [`commit_prover`](crate::commit_prover).
    pub proof: Proof,
}

/// How much of the identity the seal of a message covers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    None,
    Log,
    Epoch,
}

const fn address_of(message: u8) -> Address {
    match message {
        HELLO | HEAD | NOTIFY => Address::None,
        GAP | DONE => Address::Epoch,
        _ => Address::Log,
    }
}

const fn type_byte(message: u8) -> u8 {
    (VERSION << 5) | message
}

fn check(identity: &SourceIdentity, scope: Address, bytes: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    if scope != Address::None {
        address(&mut digest, identity, scope == Address::Epoch);
    }
    digest.update(bytes);
    digest.finalize()
}

fn gap_proof<S: Seal>(seal: &S, identity: &SourceIdentity, bytes: &[u8]) -> Proof {
    let mut prover = seal.prover(identity, Purpose::Gap);
    prover.update(bytes);
    Proof::of::<S>(prover)
}

impl<'b> Message<'b> {
    /// Reads a frame that is not sealed: any but SECTION and GAP, which are [`WireError::Sealed`]. `identity` says whose
    /// log the reader deals with; HELLO, HEAD and NOTIFY can be read without.
    pub fn parse(frame: &'b [u8], identity: Option<&SourceIdentity>) -> Result<Self, WireError> {
        let end = frame.len().checked_sub(CHECK_BYTES).ok_or(WireError::Check)?;
        let (bytes, given) = frame.split_at_checked(end).ok_or(WireError::Check)?;
        let given = ByteReader::new(given).u32().ok_or(WireError::Check)?;
        let mut input = ByteReader::new(bytes);
        let first = input.u8().ok_or(WireError::Check)?;
        let message = first & 0x1F;
        if first & IS_SECTION != 0 || first == type_byte(GAP) {
            return Err(WireError::Sealed);
        }
        let scope = address_of(message);
        let known = match identity {
            None if scope != Address::None => return Err(WireError::Unaddressed),
            None => SourceIdentity::NOBODY,
            Some(identity) => *identity,
        };
        if check(&known, scope, bytes) != given {
            return Err(WireError::Check);
        }
        if first >> 5 != VERSION {
            return Err(WireError::Unknown);
        }
        fields::read(message, &mut input)
    }

    /// Reads any frame; opens the seal of SECTION and GAP, in place.
    ///
    /// That the events of a section decode is not checked here.
    pub fn open<S: Seal>(frame: &'b mut [u8], identity: Option<&SourceIdentity>, seal: &S) -> Result<Self, WireError> {
        match frame.first().copied() {
            Some(first) if first & IS_SECTION != 0 => {
                let identity = identity.ok_or(WireError::Unaddressed)?;
                section::open(frame, identity, seal)
            }
            Some(first) if first == type_byte(GAP) => {
                let identity = identity.ok_or(WireError::Unaddressed)?;
                let end = frame.len().checked_sub(S::PROOF_BYTES).ok_or(WireError::Check)?;
                let (bytes, given) = frame.split_at_checked(end).ok_or(WireError::Check)?;
                if !crate::seal::same(gap_proof(seal, identity, bytes).bytes(), given) {
                    return Err(WireError::Check);
                }
                let mut input = ByteReader::new(bytes);
                let _ = input.u8();
                fields::read(GAP, &mut input)
            }
            _ => Self::parse(frame, identity),
        }
    }

    /// Writes the frame to the front of `out` and answers its length; `None` if it does not fit.
    #[must_use]
    pub fn write<S: Seal>(&self, identity: &SourceIdentity, seal: &S, out: &mut [u8]) -> Option<usize> {
        if let Self::Piece(Piece::Events { first, count, bytes }) = self {
            let mut draft = SectionDraft::<S>::new(*first, out)?;
            copy(bytes, draft.room().get_mut(..bytes.len())?);
            return draft.finish(identity, seal, *count, bytes.len());
        }
        let mut body = ByteWriter::new(out);
        let message = fields::write(self, &mut body)?;
        if message == GAP {
            let proof = gap_proof(seal, identity, body.written());
            body.slice(proof.bytes())?;
        } else {
            let check = check(identity, address_of(message), body.written());
            body.u32(check)?;
        }
        Some(body.len())
    }
}
