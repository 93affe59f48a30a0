//! A stretch of another log, as it arrived.

use super::{MissingBefore, ReceivedError};
use crate::section::SectionReader;
use crate::{Notification, Position};

/// A section of another device's notification log, or of a server's log of commands, to be followed as it stands in
/// the receive buffer.
///
/// What has been dealt with already is passed over, so it may overlap with what came before, or come twice. If
/// something is missing in between, that is an error, and nothing is passed over.
#[derive(Debug, Clone)]
pub struct Received<'b> {
    first: Position,
    bytes: &'b [u8],
    rest: SectionReader<'b>,
    /// The position of the first event in `rest`.
    next: Position,
}

impl<'b> Received<'b> {
    /// The section with these bytes, whose first event has the position `first` in the other log.
    #[must_use]
    pub fn new(first: Position, bytes: &'b [u8]) -> Self {
        Self { first, bytes, rest: SectionReader::new(first, bytes), next: first }
    }

    pub(crate) fn after(&mut self, after: Position) -> Result<Option<Notification<'b>>, ReceivedError> {
        let wanted = after.next();
        if wanted < self.first {
            return Err(ReceivedError::Missing(MissingBefore(self.first)));
        }
        if wanted < self.next {
            (self.rest, self.next) = (SectionReader::new(self.first, self.bytes), self.first);
        }
        for event in self.rest.by_ref() {
            let event = event.map_err(ReceivedError::Malformed)?;
            self.next = self.next.next();
            if event.position == Some(wanted) {
                return Ok(Some(Notification::Event(event)));
            }
        }
        Ok(None)
    }
}
