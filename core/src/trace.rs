//! What a stored record says beside its payload: that its stream has ended, and what it was a consequence of.
//!
//! ```text
//! schema  = bits 0 to 6: the schema number of the payload, or 7F: the stream was discarded, and there is none
//!           bit 7: a trace stands before the payload
//! trace   = cause varint, distance varint
//! ```
//!
//! `distance` is how many positions the first cause of all stands before the cause, mostly 0. Record managers pass both
//! on as they are; only `Discarded` means something to them, as nothing follows it in its stream.

use crate::bytes::{ByteReader, ByteWriter};
use crate::codec::CodecError;
use crate::{Position, Record};

/// The schema number of the event that ends a stream. Schema numbers of aggregates are below it.
pub const DISCARDED: u8 = 0x7F;

/// Of a schema number: a trace stands before the payload.
const TRACED: u8 = 0x80;

/// Whether an event stored under this schema number ended its stream.
#[must_use]
#[inline]
pub const fn ends_stream(schema: u8) -> bool {
    schema & !TRACED == DISCARDED
}

/// What an event is a consequence of: positions in the same log.
///
/// Stored with an event on request ([`Log::execute_because`](crate::Log::execute_because),
/// [`Batch::event_because`](crate::batch::Batch::event_because)): it takes two bytes or more with that event, and where
/// traced and other events of one stream alternate the flash log introduces the stream each time. So trace all events
/// of a stream or none.
///
/// ```
/// use evenkeel_core::{Position, Trace};
///
/// let first = Trace::from(Position(17));                  // a consequence of the event at 17
/// let second = first.then(Position(21));                  // of the event at 21, which carried `first`
/// assert_eq!((second.cause, second.correlation), (Position(21), Position(17)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Trace {
    /// The event that it follows from.
    pub cause: Position,
    /// The event that all began with: the same in everything that follows from it, however far.
    pub correlation: Position,
}

impl From<Position> for Trace {
    /// Of a consequence of the event at this position, which was no consequence itself.
    fn from(cause: Position) -> Self {
        Self { cause, correlation: cause }
    }
}

impl Trace {
    /// Of a consequence of the event at `cause`, which carried this trace.
    #[must_use]
    pub const fn then(self, cause: Position) -> Self {
        Self { cause, correlation: self.correlation }
    }

    /// Of a consequence of this event; `None` if it has no position in the log.
    #[must_use]
    pub fn of(event: &Record<'_>) -> Option<Self> {
        let cause = event.position?;
        Some(event.trace().map_or(Self::from(cause), |trace| trace.then(cause)))
    }

    pub(crate) const fn mark(schema: u8) -> u8 {
        schema | TRACED
    }

    /// Writes the trace at the front of `out` and answers how many bytes it took.
    pub(crate) fn encode(self, out: &mut [u8]) -> Result<usize, CodecError> {
        let mut out = ByteWriter::new(out);
        out.varint(self.cause.0)
            .and_then(|()| out.varint(self.cause.since(self.correlation)))
            .ok_or(CodecError::DoesNotFit)?;
        Ok(out.len())
    }
}

/// Takes apart what is stored: the schema number of the event, its trace, and its payload.
pub(crate) fn split(schema: u8, stored: &[u8]) -> Result<(u8, Option<Trace>, &[u8]), CodecError> {
    if schema & TRACED == 0 {
        return Ok((schema, None, stored));
    }
    let mut input = ByteReader::new(stored);
    let cause = input.varint().ok_or(CodecError::Malformed)?;
    let distance = input.varint().ok_or(CodecError::Malformed)?;
    let correlation = cause.checked_sub(distance).ok_or(CodecError::Malformed)?;
    let trace = Trace { cause: Position(cause), correlation: Position(correlation) };
    Ok((schema & !TRACED, Some(trace), input.rest()))
}

impl Record<'_> {
    /// What this event is a consequence of, if that was stored with it.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        split(self.schema, self.payload).ok()?.1
    }

    /// Whether this event ended its stream: the aggregate was discarded.
    #[must_use]
    pub fn is_discard(&self) -> bool {
        ends_stream(self.schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_come_back_and_take_little() {
        for (cause, correlation, bytes) in [(5, 5, 2), (130, 1, 4), (u64::MAX, u64::MAX, 11), (u64::MAX, 0, 20)] {
            let trace = Trace { cause: Position(cause), correlation: Position(correlation) };
            let mut room = [0; 24];
            let len = trace.encode(&mut room).unwrap();
            assert_eq!(len, bytes);
            room[len] = 7;
            assert_eq!(split(Trace::mark(3), &room[..=len]), Ok((3, Some(trace), &[7][..])));
            assert_eq!(trace.encode(&mut room[..len - 1]), Err(CodecError::DoesNotFit));
        }
    }

    #[test]
    fn bytes_that_are_no_trace_are_malformed() {
        assert_eq!(split(0x80, &[]), Err(CodecError::Malformed));
        assert_eq!(split(0x80, &[1]), Err(CodecError::Malformed));
        assert_eq!(split(0x80, &[1, 2]), Err(CodecError::Malformed), "before the first position of all");
        assert_eq!(split(0, &[1, 2]), Ok((0, None, &[1, 2][..])));
    }

    #[test]
    fn only_the_reserved_number_ends_a_stream() {
        assert_eq!((0..=255).filter(|schema| ends_stream(*schema)).collect::<Vec<u8>>(), [0x7F, 0xFF]);
    }
}
