//! Stores that break a promise on purpose, to see that the comparison notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_collector::server::{Answer, Batch, Known, LogStatus, Quarantine, SectionStore, StoredPiece, Verdict};
use evenkeel_core::{Epoch, Position};
use evenkeel_sync::SourceIdentity;

use crate::args::Sabotage;

/// A batch in so many is dealt with wrongly.
const EACH: u64 = 5;

/// The store, or one in front of it that breaks a promise.
pub(crate) fn wrap(store: Arc<dyn SectionStore>, how: Option<Sabotage>) -> Arc<dyn SectionStore> {
    match how {
        None => store,
        Some(how) => Arc::new(Sabotaged { store, how, batches: AtomicU64::new(0) }),
    }
}

struct Sabotaged {
    store: Arc<dyn SectionStore>,
    how: Sabotage,
    batches: AtomicU64,
}

impl SectionStore for Sabotaged {
    fn known(&self, identities: Vec<SourceIdentity>, tail: u64) -> Answer<'_, Vec<Known>> {
        self.store.known(identities, tail)
    }

    fn ingest(&self, batch: Batch) -> Answer<'_, Verdict> {
        let struck = self.batches.fetch_add(1, Ordering::Relaxed) % EACH == EACH - 1;
        match self.how {
            Sabotage::Forget if struck => Box::pin(async { Ok(Verdict::Stored) }),
            Sabotage::Twice if struck => Box::pin(async move {
                let mut again = batch.clone();
                again.identity.epoch = Epoch(batch.identity.epoch.0 ^ (1 << 63));
                again.after =
                    self.store.known(vec![again.identity], 0).await?.first().map_or(batch.after, |known| known.cursor);
                self.store.ingest(again).await?;
                self.store.ingest(batch).await
            }),
            _ => self.store.ingest(batch),
        }
    }

    fn quarantine(&self, identity: SourceIdentity, why: Quarantine) -> Answer<'_, ()> {
        match self.how {
            Sabotage::Blind => Box::pin(async { Ok(()) }),
            _ => self.store.quarantine(identity, why),
        }
    }

    fn release(&self, identity: SourceIdentity) -> Answer<'_, bool> {
        self.store.release(identity)
    }

    fn logs(&self, after: Option<SourceIdentity>, most: u32) -> Answer<'_, Vec<LogStatus>> {
        self.store.logs(after, most)
    }

    fn pieces(&self, identity: SourceIdentity, after: Position, most: u32) -> Answer<'_, Vec<StoredPiece>> {
        self.store.pieces(identity, after, most)
    }

    fn load(&self) -> f64 {
        self.store.load()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.store.close()
    }
}
