//! Events as bytes, for the cases that look at records alone.

use evenkeel_core::batch::Op;
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::{Appended, CodecError, Kind, Log, Position, Record, RecordManager, StreamId, Version};

/// Bytes of scratch that the logs under test are given.
pub const SCRATCH: usize = 2048;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its stream.
    pub stream: StreamId,
    /// The aggregate type of the stream.
    pub kind: Kind,
    /// The schema number of the payload.
    pub schema: u8,
    /// The version of the stream with it.
    pub version: Version,
    /// The event, encoded.
    pub payload: Vec<u8>,
}

impl From<&Record<'_>> for Item {
    fn from(record: &Record<'_>) -> Self {
        let Record { stream, kind, schema, version, payload, .. } = *record;
        Self { stream, kind, schema, version, payload: payload.to_vec() }
    }
}

/// An event of kind 1 and schema 0.
#[must_use]
pub fn item(stream: u64, version: u32, payload: impl AsRef<[u8]>) -> Item {
    let (stream, version, payload) = (StreamId(stream), Version(version), payload.as_ref().to_vec());
    Item { stream, kind: Kind(1), schema: 0, version, payload }
}

/// Appends these events in one batch.
///
/// # Errors
/// If the record manager refuses it or fails.
pub fn append<R: RecordManager>(log: &mut Log<'_, R>, items: &[Item]) -> Result<Appended, AppendError<R::Error>> {
    append_some_locally(log, items, |_| false)
}

/// Appends these events in one batch, some of them as local events, which have no position.
///
/// # Errors
/// If the record manager refuses it or fails.
pub fn append_some_locally<R: RecordManager>(
    log: &mut Log<'_, R>,
    items: &[Item],
    is_local: impl Fn(&Item) -> bool,
) -> Result<Appended, AppendError<R::Error>> {
    log.append::<AppendError<_>>(|batch| {
        for item in items {
            let Item { stream, kind, schema, version, payload } = item;
            let op = Op::Event { stream: *stream, kind: *kind, schema: *schema, version: *version };
            let encode = |room: &mut [u8]| {
                room.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?.copy_from_slice(payload);
                Ok(payload.len())
            };
            match is_local(item) {
                true => batch.push_local(op, encode)?,
                false => batch.push(op, encode)?,
            }
        }
        Ok(())
    })
}

/// All events of a stream, read one after another.
///
/// # Panics
/// If reading fails, or the record manager names another stream.
pub fn stream<R: RecordManager>(log: &mut Log<'_, R>, id: u64) -> Vec<Item> {
    let mut items = Vec::new();
    let mut after = Version::NONE;
    while let Some(record) = log.next_event(id, after).expect("a stream can be read") {
        assert_eq!(record.stream, StreamId(id));
        after = record.version;
        items.push(Item::from(&record));
    }
    items
}

/// All events of the notification log after a position, with their positions.
///
/// # Errors
/// If reading fails.
///
/// # Panics
/// If events are missing.
pub fn read<R: RecordManager>(
    log: &mut Log<'_, R>,
    after: Position,
) -> Result<Vec<(Position, Item)>, ReadError<R::Error>> {
    let (mut items, mut seen) = (Vec::new(), after);
    while let Some(notification) = log.next_notification(seen)? {
        let record = notification.record().expect("no events are missing");
        let position = record.position.expect("an event of the notification log has a position");
        items.push((position, Item::from(record)));
        seen = position;
    }
    Ok(items)
}
