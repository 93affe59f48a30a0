//! Reading streams: one event, ranges of events, which streams there are.

use super::{Log, RecordManager, face};
use crate::error::ReadError;
use crate::listing::{ListedStream, StreamList};
use crate::range::{VersionRange, Versions};
use crate::{Kind, Record, StreamId, Version};

#[face]
impl<'b, R: RecordManager> Log<'b, R> {
    /// The event with this version of a stream; `None` if the stream has not come so far.
    ///
    /// One that is not held any more, or can no longer be read, is [`ReadError::Missing`].
    pub async fn event(
        &mut self,
        id: impl Into<StreamId>,
        version: Version,
    ) -> Result<Option<Record<'_>>, ReadError<R::Error>> {
        let id = id.into();
        let head = self.head(id).await?.map_or(Version::NONE, |head| head.version);
        if version == Version::NONE || version > head {
            return Ok(None);
        }
        self.held_event(id, version).await.map(Some)
    }

    /// The newest event of a stream; `None` if it has none.
    pub async fn last_event(&mut self, id: impl Into<StreamId>) -> Result<Option<Record<'_>>, ReadError<R::Error>> {
        let id = id.into();
        match self.head(id).await? {
            Some(head) => self.held_event(id, head.version).await.map(Some),
            None => Ok(None),
        }
    }

    /// The events of a stream within a range, one after another.
    ///
    /// The range is settled now: events appended later are not in it. Read backwards, each event of a log on flash is
    /// looked for from the beginning of its sector.
    ///
    /// ```
    /// use evenkeel_core::{Log, RamLog, VersionRange};
    ///
    /// # let mut scratch = [0; 64];
    /// # let mut log = Log::mount(RamLog::<_>::new([0; 256]), &mut scratch).unwrap();
    /// let mut newest = log.events(7, VersionRange::ALL.descending().limit(3)).unwrap();
    /// while let Some(record) = newest.next_event().unwrap() {
    ///     println!("{} {:?}", record.version, record.payload);
    /// }
    /// ```
    pub async fn events(
        &mut self,
        id: impl Into<StreamId>,
        range: VersionRange,
    ) -> Result<Events<'_, 'b, R>, ReadError<R::Error>> {
        let id = id.into();
        let head = self.head(id).await?.map_or(Version::NONE, |head| head.version);
        Ok(Events { log: self, id, versions: range.of(head) })
    }

    /// Which streams there are: those with ids above `after`, of this type if one is named, the lowest id first, as many
    /// as fit `room`. Ask again after the last one for more.
    ///
    /// A stream is listed as long as anything of it is held. This goes through the whole log.
    ///
    /// ```
    /// use evenkeel_core::{Kind, Log, RamLog, StreamId};
    ///
    /// # let mut scratch = [0; 64];
    /// # let mut log = Log::mount(RamLog::<_>::new([0; 256]), &mut scratch).unwrap();
    /// let mut room = [(StreamId(0), Kind(0)); 8];
    /// let mut after = None;
    /// while let Some((last, _)) = log.streams(after, None, &mut room).unwrap().last() {
    ///     after = Some(*last);
    /// }
    /// ```
    pub async fn streams<'o>(
        &mut self,
        after: Option<StreamId>,
        kind: Option<Kind>,
        room: &'o mut [ListedStream],
    ) -> Result<&'o [ListedStream], ReadError<R::Error>> {
        let mut list = StreamList::new(after, kind, room);
        let (records, scratch) = self.parts();
        records.list_streams(&mut list, scratch).await?;
        Ok(list.into_found())
    }

    /// The last version of a stream up to which `is_before` holds of every event; [`Version::NONE`] if it does not of
    /// the first.
    ///
    /// For streams whose events rise in something besides their version, such as time; found by bisection. With it the
    /// ranges of [`events`](Self::events) can be asked for by time.
    pub async fn last_version_where(
        &mut self,
        id: impl Into<StreamId>,
        mut is_before: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Version, ReadError<R::Error>> {
        let id = id.into();
        let mut low = match self.first_held(id).await? {
            Some(first) => first.0.saturating_sub(1),
            None => return Ok(Version::NONE),
        };
        let mut high = self.head(id).await?.map_or(0, |head| head.version.0);
        while low < high {
            let middle = low.midpoint(high).saturating_add(1).min(high);
            let record = self.held_event(id, Version(middle)).await?;
            if is_before(&record) {
                low = middle;
            } else {
                high = middle.saturating_sub(1);
            }
        }
        Ok(Version(low))
    }

    async fn first_held(&mut self, id: StreamId) -> Result<Option<Version>, ReadError<R::Error>> {
        Ok(self.next_event(id, Version::NONE).await?.map(|record| record.version))
    }

    /// The event with this version of a stream that has come so far.
    async fn held_event(&mut self, id: StreamId, version: Version) -> Result<Record<'_>, ReadError<R::Error>> {
        let after = Version(version.0.saturating_sub(1));
        match self.next_event(id, after).await? {
            Some(record) if record.version == version => Ok(record),
            Some(record) => Err(ReadError::Missing { version, next: Some(record.version) }),
            None => Err(ReadError::Missing { version, next: None }),
        }
    }
}

/// Events of a stream, to be read one after another.
#[derive(Debug)]
pub struct Events<'l, 'b, R> {
    log: &'l mut Log<'b, R>,
    id: StreamId,
    versions: Versions,
}

#[face]
impl<R: RecordManager> Events<'_, '_, R> {
    /// The next event; `None` behind the last one.
    ///
    /// If one is [`Missing`](ReadError::Missing) the next call goes on with the one after it.
    pub async fn next_event(&mut self) -> Result<Option<Record<'_>>, ReadError<R::Error>> {
        match self.versions.next() {
            Some(version) => self.log.held_event(self.id, version).await.map(Some),
            None => Ok(None),
        }
    }
}
