//! Between a sink, which stores at once, and a store that takes its time: what came in is staged, and nothing is said
//! before it is durable.

use core::fmt;
use std::collections::VecDeque;

use evenkeel_core::section::SectionReader;
use evenkeel_core::{Position, Record};
use evenkeel_sync::{Piece, SinkStore, SourceIdentity};

use super::{Batch, Known, StoredPiece, store};
use crate::StoredEvent;

/// The sink's store while one device is here.
///
/// It knows what has been [loaded](Stage::load) for it and nothing else. What the sink stores waits here as a
/// [batch](Stage::batch): make that durable before the next frame is sent, and throw stage and sink away if it fails.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    lives: Vec<Known>,
    /// How many of the newest events of a life are kept at hand.
    tail: usize,
    staged: Option<Batch>,
}

/// Why something cannot be staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StageError {
    /// This life of the log has not been loaded.
    NotLoaded,
    /// A position that is told again is another event.
    Contradiction(Position),
    /// The events do not decode.
    Malformed,
    /// The position is too large to be kept in order.
    OutOfRange(Position),
    /// Pieces of another life are waiting.
    OtherLife,
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => f.write_str("this life of the log has not been loaded"),
            Self::Contradiction(position) => write!(f, "position {position} already names another event"),
            Self::Malformed => f.write_str("the events of a section do not decode"),
            Self::OutOfRange(position) => write!(f, "position {position} is out of range"),
            Self::OtherLife => f.write_str("pieces of another life are waiting"),
        }
    }
}

impl Stage {
    /// Keeps so many of the newest events at hand.
    pub(crate) fn new(tail: usize) -> Self {
        Self { tail, ..Self::default() }
    }

    pub(crate) fn tail(&self) -> u64 {
        self.tail as u64
    }

    /// Takes in what the store knows.
    pub(crate) fn load(&mut self, known: Vec<Known>) {
        for life in known {
            self.lives.retain(|held| held.identity != life.identity);
            self.lives.push(life);
        }
    }

    pub(crate) fn find(&self, identity: &SourceIdentity) -> Option<&Known> {
        self.lives.iter().find(|life| life.identity == *identity)
    }

    /// What has to become durable before anything more is said.
    pub(crate) fn batch(&mut self) -> Option<Batch> {
        self.staged.take()
    }

    fn stage(&mut self, identity: &SourceIdentity, after: Position, piece: StoredPiece) -> Result<(), StageError> {
        let batch = self.staged.get_or_insert_with(|| Batch { identity: *identity, after, pieces: Vec::new() });
        if batch.identity != *identity || batch.to() != after {
            return Err(StageError::OtherLife);
        }
        batch.pieces.push(piece);
        Ok(())
    }

    /// The newest events after `after`, up to `to`, which follow on each other.
    pub(crate) fn stretch(&self, identity: &SourceIdentity, after: Position, to: Position) -> &[StoredEvent] {
        let Some(life) = self.find(identity) else { return &[] };
        let first = life.tail.partition_point(|event| event.position <= after);
        let end = life.tail.partition_point(|event| event.position <= to);
        let stretch = life.tail.get(first..end).unwrap_or_default();
        if stretch.last().is_some_and(|event| event.position == to) { stretch } else { &[] }
    }
}

impl SinkStore for Stage {
    type Error = StageError;

    fn cursor(&mut self, identity: &SourceIdentity) -> Result<Position, StageError> {
        self.find(identity).map(|life| life.cursor).ok_or(StageError::NotLoaded)
    }

    fn apply(&mut self, identity: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, StageError> {
        let most = self.tail;
        let life = self.lives.iter_mut().find(|life| life.identity == *identity).ok_or(StageError::NotLoaded)?;
        if life.cursor != after {
            return Ok(life.cursor);
        }
        let last = piece.last();
        if i64::try_from(last.0).is_err() {
            return Err(StageError::OutOfRange(last));
        }
        let stored = match piece {
            Piece::Events { first, count, bytes } => {
                let mut tail: VecDeque<StoredEvent> = std::mem::take(&mut life.tail).into();
                for event in SectionReader::new(*first, bytes) {
                    let event = event.map_err(|_| StageError::Malformed)?;
                    let at = event.position.unwrap_or_default();
                    if at > after {
                        tail.push_back((&event).into());
                    } else if tail.iter().any(|held| held.position == at && held.record() != event) {
                        return Err(StageError::Contradiction(at));
                    }
                }
                let spare = tail.len().saturating_sub(most);
                tail.drain(..spare);
                life.tail = tail.into();
                StoredPiece::Section { first: *first, count: *count, bytes: bytes.to_vec() }
            }
            Piece::Gap { first, last, reason } => {
                life.tail.clear();
                store::gap((*first).max(after.next()), *last, *reason)
            }
        };
        life.cursor = last;
        self.stage(identity, after, stored)?;
        Ok(last)
    }

    fn replay(
        &mut self,
        identity: &SourceIdentity,
        after: Position,
        to: Position,
        show: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Position, StageError> {
        let stretch = self.stretch(identity, after, to);
        for event in stretch {
            show(&event.record());
        }
        Ok(stretch.first().map_or(to, |event| event.position.previous()))
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::section::SectionWriter;
    use evenkeel_core::{Epoch, Kind, LogId, StreamId, Version};
    use evenkeel_sync::Loss;

    use super::*;

    const WHO: SourceIdentity = SourceIdentity { device: 7, log: LogId(0), epoch: Epoch(1) };

    fn section(first: u64, payloads: &[u8]) -> Vec<u8> {
        let mut room = [0; 256];
        let mut writer = SectionWriter::new(&mut room);
        for (index, payload) in payloads.iter().enumerate() {
            let version = Version(first as u32 + index as u32);
            let (stream, kind, payload) = (StreamId(1), Kind(1), std::slice::from_ref(payload));
            assert!(writer.push(&Record { stream, kind, version, schema: 0, position: None, payload }));
        }
        writer.bytes().to_vec()
    }

    fn apply(stage: &mut Stage, after: u64, first: u64, payloads: &[u8]) -> Result<Position, StageError> {
        let bytes = section(first, payloads);
        let piece = Piece::Events { first: Position(first), count: payloads.len() as u32, bytes: &bytes };
        stage.apply(&WHO, Position(after), &piece)
    }

    fn fresh() -> Stage {
        let mut stage = Stage::new(4);
        stage.load(vec![Known { identity: WHO, cursor: Position::START, tail: Vec::new(), quarantine: None }]);
        stage
    }

    #[test]
    fn what_is_applied_waits_as_one_batch_and_is_replayed_as_far_as_it_is_at_hand() {
        let mut stage = fresh();
        assert_eq!(apply(&mut stage, 0, 1, &[1, 2, 3]), Ok(Position(3)));
        assert_eq!(apply(&mut stage, 3, 2, &[2, 3, 4, 5, 6]), Ok(Position(6)), "it began before the cursor");
        let mut shown = Vec::new();
        let from = stage.replay(&WHO, Position(1), Position(6), &mut |event| shown.push(event.payload[0])).unwrap();
        assert_eq!((from, shown), (Position(2), vec![3, 4, 5, 6]));
        let batch = stage.batch().unwrap();
        assert_eq!((batch.after, batch.to(), batch.pieces.len()), (Position(0), Position(6), 2));
        assert!(stage.batch().is_none());
    }

    #[test]
    fn a_gap_ends_what_can_be_replayed() {
        let mut stage = fresh();
        apply(&mut stage, 0, 1, &[1, 2]).unwrap();
        let gap = Piece::Gap { first: Position(2), last: Position(9), reason: Loss::Corrupt };
        assert_eq!(stage.apply(&WHO, Position(2), &gap), Ok(Position(9)));
        assert_eq!(stage.replay(&WHO, Position(0), Position(9), &mut |_| panic!()), Ok(Position(9)));
        let batch = stage.batch().unwrap();
        assert_eq!(batch.pieces[1].first(), Position(3), "only what is new");
    }

    #[test]
    fn another_event_under_a_known_name_is_told() {
        let mut stage = fresh();
        apply(&mut stage, 0, 1, &[1, 2, 3]).unwrap();
        assert_eq!(apply(&mut stage, 3, 3, &[9, 4]), Err(StageError::Contradiction(Position(3))));
    }

    #[test]
    fn a_life_that_was_not_loaded_is_not_taken_for_a_new_one() {
        let mut stage = fresh();
        let other = SourceIdentity { epoch: Epoch(2), ..WHO };
        assert_eq!(stage.cursor(&other), Err(StageError::NotLoaded));
    }
}
