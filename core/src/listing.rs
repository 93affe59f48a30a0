//! Listing the streams of a log without holding them all.

use crate::{Kind, StreamId};

/// A stream as it is listed.
pub type ListedStream = (StreamId, Kind);

/// Takes the streams of a log as a record manager comes by them, and keeps those with the lowest ids, as many as there
/// is room for: for authors of a store.
#[derive(Debug)]
pub struct StreamList<'o> {
    after: Option<StreamId>,
    kind: Option<Kind>,
    found: &'o mut [ListedStream],
    count: usize,
}

impl<'o> StreamList<'o> {
    /// An empty list of the streams above `after`, of this type if one is named.
    pub fn new(after: Option<StreamId>, kind: Option<Kind>, room: &'o mut [ListedStream]) -> Self {
        Self { after, kind, found: room, count: 0 }
    }

    /// Only streams above this one are wanted.
    #[must_use]
    pub fn after(&self) -> Option<StreamId> {
        self.after
    }

    /// Only streams of this type are wanted.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// How many streams there is room for in all.
    #[must_use]
    pub fn room(&self) -> usize {
        self.found.len()
    }

    /// Takes in a stream, in any order and as often as it is come by; those of the library's own are passed over.
    pub fn offer(&mut self, stream: StreamId, kind: Kind) {
        let is_wanted = kind != Kind::RESERVED
            && self.after.is_none_or(|after| stream > after)
            && self.kind.is_none_or(|of| of == kind);
        if !is_wanted {
            return;
        }
        let Some(found) = self.found.get(..self.count) else { return };
        let Err(place) = found.binary_search_by_key(&stream, |(known, _)| *known) else { return };
        self.count = self.count.saturating_add(1).min(self.found.len());
        let mut moved = (stream, kind);
        for place in self.found.get_mut(place..self.count).unwrap_or_default() {
            core::mem::swap(place, &mut moved);
        }
    }

    /// The streams, the lowest id first.
    #[must_use]
    pub fn into_found(self) -> &'o [ListedStream] {
        self.found.get(..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_are_kept_each_once_whatever_the_order() {
        let mut room = [(StreamId(0), Kind(0)); 3];
        let mut list = StreamList::new(Some(StreamId(1)), None, &mut room);
        for id in [9, 4, 1, 7, 4, 3, 9, 8, 0, u64::MAX] {
            list.offer(StreamId(id), Kind(id as u8));
        }
        assert_eq!(list.into_found(), [3, 4, 7].map(|id| (StreamId(id), Kind(id as u8))));

        let mut list = StreamList::new(None, Some(Kind(2)), &mut room);
        list.offer(StreamId(5), Kind(1));
        list.offer(StreamId(0), Kind(2));
        assert_eq!(list.into_found(), [(StreamId(0), Kind(2))]);

        let mut list = StreamList::new(None, None, &mut []);
        list.offer(StreamId(5), Kind(1));
        assert_eq!(list.into_found(), []);
    }
}
