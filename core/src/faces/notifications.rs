//! Reading the notification log: with a reader, and in the sections of an archive.

use super::{Log, RecordManager, face, log};
use crate::Notification;
use crate::archive::SectionId;
use crate::error::ReadError;
use crate::reader::Reader;
use crate::section::Section;

#[face]
impl<'b, R: RecordManager> Log<'b, R> {
    /// What a reader is to see next; `None` at the end of the log or of what the reader is to see. The reader has moved on when this returns.
    ///
    /// After an error it has not moved. A reader that knows of more than there is, because the log has lost its end or is
    /// another one, gets [`ReadError::BeyondEnd`]; one whose next event has been let go, [`ReadError::Trimmed`].
    pub async fn read(&mut self, reader: &mut Reader) -> Result<Option<Notification<'_>>, ReadError<R::Error>> {
        if reader.seen >= reader.last {
            return Ok(None);
        }
        let (records, scratch) = self.parts();
        let notification = records.next_of_kinds(&mut reader.seen, &reader.kinds, scratch).await?;
        if let Some(notification) = &notification {
            reader.seen = notification.last();
        }
        Ok(notification)
    }

    /// Encodes what is in a section of the archive into `out`: up to its last event, or as many as fit.
    ///
    /// Of a section that is full the bytes are the same every time. What has been let go is
    /// [`ReadError::Trimmed`]; of what is empty the answer is [`Section::End`].
    pub async fn archived<'o>(&mut self, id: SectionId, out: &'o mut [u8]) -> Result<Section<'o>, ReadError<R::Error>> {
        let bounds = self.bounds();
        let view = id.view(bounds).map_err(|before| ReadError::Trimmed { first: before.0 })?;
        if view.events == 0 {
            return Ok(Section::End { next: bounds.next });
        }
        let (records, scratch) = self.parts();
        log::section_up_to(records, scratch, id.first().previous(), id.last(), out).await
    }
}
