//! Frames out of a file: what a device has written to a card, or a capture of a link.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_core::Position;
use evenkeel_core::integrity::{Key, SealedAes, SealedChaCha, SignedBlake2s, SignedSha256};
use evenkeel_sync::stream::{FrameReader, packet_bytes_at_most};
use evenkeel_sync::wire::{Head, Message};
use evenkeel_sync::{Keyed, KeyedSuite, Piece, Plain, Seal, SinkCounters, SinkStore, SourceIdentity};

use super::contact::{ContactConfig, ContactError, Pulled};
use super::keys::Access;
use super::stage::{Stage, StageError};
use super::{Distrust, FRAME_BYTES_AT_MOST, KeyRing, Quarantine, SectionStore, StoredPiece, Verdict};

/// How many pieces wait for those before them.
const PARKED_AT_MOST: usize = 4096;
/// How many pieces become durable at once.
const PIECES_AT_ONCE: u32 = 256;

/// Stores what the frames of a file bring, in whatever order they stand and however often: packets as
/// [`evenkeel_sync::stream`] has them, of one log, with a HEAD before the first section.
///
/// Nobody can be asked for what is missing: it is [complete](Pulled::complete) if nothing is left over and everything that
/// the last HEAD told of is stored.
pub async fn pull_file(
    bytes: &[u8],
    store: Arc<dyn SectionStore>,
    config: &ContactConfig,
    keys: &KeyRing,
) -> Result<Pulled, ContactError> {
    let mut reader = FrameReader::new(vec![0; packet_bytes_at_most(FRAME_BYTES_AT_MOST)]);
    let mut frames = Vec::new();
    // What follows the last zero is a packet that was cut off.
    for byte in bytes {
        if let Some(frame) = reader.push(*byte) {
            frames.push(frame.to_vec());
        }
    }
    let heads = frames.iter().filter_map(|frame| match Message::parse(frame, None) {
        Ok(Message::Head(head)) if head.log == config.log => Some(head),
        _ => None,
    });
    let Some(head) = heads.max_by_key(|head| head.next) else { return Err(ContactError::Silent) };
    let dropped = reader.dropped();
    let replay = Replay { store, head, frames, dropped, tail: config.prove_at_most };
    match keys.access(head.device, head.suite) {
        Access::Refused => Err(ContactError::Refused { device: head.device }),
        Access::Plain => replay.sealed(Plain).await,
        Access::Keyed(key) => replay.keyed(key.clone()).await,
    }
}

struct Replay {
    store: Arc<dyn SectionStore>,
    head: Head,
    frames: Vec<Vec<u8>>,
    dropped: u64,
    tail: u64,
}

impl Replay {
    async fn keyed(self, key: Key) -> Result<Pulled, ContactError> {
        match self.head.suite {
            SealedAes::NUMBER => self.sealed(Keyed::<SealedAes>::new(key)).await,
            SealedChaCha::NUMBER => self.sealed(Keyed::<SealedChaCha>::new(key)).await,
            SignedSha256::NUMBER => self.sealed(Keyed::<SignedSha256>::new(key)).await,
            SignedBlake2s::NUMBER => self.sealed(Keyed::<SignedBlake2s>::new(key)).await,
            _ => Err(ContactError::Refused { device: self.head.device }),
        }
    }

    async fn sealed<S: Seal + Send>(mut self, seal: S) -> Result<Pulled, ContactError> {
        let frames = std::mem::take(&mut self.frames);
        let mut last = None;
        for life in self.head.lives.as_slice() {
            let identity = SourceIdentity { device: self.head.device, log: self.head.log, epoch: life.epoch };
            last = Some(self.life(&identity, &frames, &seal).await?);
        }
        let mut pulled = last.ok_or(ContactError::Silent)?;
        pulled.counters.dropped = self.dropped;
        Ok(pulled)
    }

    /// Stores what the frames bring of one life of the log.
    async fn life<S: Seal>(
        &self,
        identity: &SourceIdentity,
        frames: &[Vec<u8>],
        seal: &S,
    ) -> Result<Pulled, ContactError> {
        let mut stage = Stage::new(usize::try_from(self.tail).unwrap_or(usize::MAX));
        stage.load(self.store.known(vec![*identity], self.tail).await?);
        if let Some(why) = stage.find(identity).and_then(|known| known.quarantine) {
            return Err(ContactError::Quarantined { identity: *identity, why });
        }
        let mut early: BTreeMap<(Position, Position), StoredPiece> = BTreeMap::new();
        let mut counters: SinkCounters =
            evenkeel_sync::Sink::new(evenkeel_sync::SinkConfig::new(identity.log)).counters();
        let mut staged = 0;
        for frame in frames {
            let mut frame = frame.clone();
            let Ok(Message::Piece(piece)) = Message::open(&mut frame, Some(identity), seal) else { continue };
            let cursor = self.cursor(&mut stage, identity)?;
            if piece.last() <= cursor {
                counters.duplicates += 1;
            } else if piece.first() > cursor.next() {
                counters.parked += 1;
                if early.len() >= PARKED_AT_MOST {
                    return Err(ContactError::Nonsense("too much is missing before what is there".into()));
                }
                early.insert((piece.first(), piece.last()), owned(&piece));
            } else {
                self.take(&mut stage, identity, &piece, &mut counters).await?;
                staged += 1;
            }
            while let Some(entry) = early.first_entry() {
                if entry.key().0 > self.cursor(&mut stage, identity)?.next() {
                    break;
                }
                let (_, held) = entry.remove_entry();
                if held.last() > self.cursor(&mut stage, identity)? {
                    self.take(&mut stage, identity, &borrowed(&held), &mut counters).await?;
                    staged += 1;
                }
            }
            if staged >= PIECES_AT_ONCE {
                staged = 0;
                self.flush(&mut stage).await?;
            }
        }
        self.flush(&mut stage).await?;
        let cursor = self.cursor(&mut stage, identity)?;
        let complete = early.is_empty() && cursor.next() >= self.head.next;
        Ok(Pulled { identity: *identity, cursor, next: self.head.next, counters, complete })
    }

    fn cursor(&self, stage: &mut Stage, identity: &SourceIdentity) -> Result<Position, ContactError> {
        stage.cursor(identity).map_err(|error| ContactError::Nonsense(error.to_string()))
    }

    async fn take(
        &self,
        stage: &mut Stage,
        identity: &SourceIdentity,
        piece: &Piece<'_>,
        counters: &mut SinkCounters,
    ) -> Result<(), ContactError> {
        let cursor = self.cursor(stage, identity)?;
        match stage.apply(identity, cursor, piece) {
            Ok(to) => {
                counters.applied += 1;
                let new = to.since(cursor);
                if matches!(piece, Piece::Gap { .. }) {
                    counters.lost += new
                } else {
                    counters.events += new
                }
                Ok(())
            }
            Err(StageError::Contradiction(at)) => {
                let why = Quarantine { reason: Distrust::Diverged, first: at, last: at };
                self.store.quarantine(*identity, why).await?;
                Err(ContactError::Quarantined { identity: *identity, why })
            }
            Err(error) => Err(ContactError::Nonsense(error.to_string())),
        }
    }

    async fn flush(&self, stage: &mut Stage) -> Result<(), ContactError> {
        let Some(batch) = stage.batch() else { return Ok(()) };
        let identity = batch.identity;
        match self.store.ingest(batch).await? {
            Verdict::Stored => Ok(()),
            Verdict::Elsewhere(_) => {
                Err(ContactError::Nonsense("somebody else is storing the same log: try again".into()))
            }
            Verdict::Quarantined(why) => Err(ContactError::Quarantined { identity, why }),
        }
    }
}

fn owned(piece: &Piece<'_>) -> StoredPiece {
    match *piece {
        Piece::Events { first, count, bytes } => StoredPiece::Section { first, count, bytes: bytes.to_vec() },
        Piece::Gap { first, last, reason } => super::store::gap(first, last, reason),
    }
}

fn borrowed(piece: &StoredPiece) -> Piece<'_> {
    match piece {
        StoredPiece::Section { first, count, bytes } => Piece::Events { first: *first, count: *count, bytes },
        StoredPiece::Gap(gap) => Piece::Gap { first: gap.first, last: gap.last, reason: gap.reason },
    }
}
