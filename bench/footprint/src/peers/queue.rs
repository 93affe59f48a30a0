//! The queue of `sequential-storage`: without a cache, and with page states and pointers.

use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::cache::{Cache, CacheImpl, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

use super::waiting::{Waiting, ready};
use crate::flash::{Flash, SECTOR, SECTORS};
use crate::work::{LONGEST, System};

const PAGES: usize = SECTORS as usize;

/// How a queue is cached.
pub trait Level {
    /// The cache.
    type Cache: CacheImpl<()>;

    /// A new one.
    fn cache() -> Self::Cache;
}

/// Not at all.
pub struct Plain;

impl Level for Plain {
    type Cache = Cache<Uncached, Uncached, Uncached>;

    fn cache() -> Self::Cache {
        Cache::new_uncached()
    }
}

/// Page states and pointers.
pub struct Cached;

impl Level for Cached {
    type Cache = Cache<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>, Uncached>;

    fn cache() -> Self::Cache {
        Cache::new(ArrayPageStates::new(), ArrayPagePointers::new(), Uncached)
    }
}

/// A queue over the whole flash; each event is an item that begins with its stream.
pub struct Queue<L: Level = Plain>(QueueStorage<Waiting, L::Cache>);

impl<L: Level> System for Queue<L> {
    const STREAMS: bool = false;

    fn create(&mut self) -> Option<()> {
        Some(())
    }

    fn mount(&mut self) -> Option<()> {
        Some(())
    }

    fn new(flash: Flash) -> Option<Self> {
        Some(Self(QueueStorage::new(Waiting(flash), QueueConfig::new(0..SECTORS * SECTOR), L::cache())))
    }

    fn release(self) -> Flash {
        self.0.destroy().0.0
    }

    fn append(&mut self, _: u16, _: u32, payload: &[u8]) -> Option<()> {
        ready(self.0.push(payload, true))?.ok()
    }

    fn iterate(&mut self) -> Option<u32> {
        ready(async {
            let (mut item, mut events) = ([0; LONGEST], 0_u32);
            let mut items = self.0.iter().await.ok()?;
            while items.next(&mut item).await.ok()?.is_some() {
                events = events.wrapping_add(1);
            }
            Some(events)
        })?
    }

    fn acknowledge(&mut self, events: u32) -> Option<()> {
        let mut item = [0; LONGEST];
        for _ in 0..events {
            ready(self.0.pop(&mut item))?.ok()??;
        }
        Some(())
    }

    fn load(&mut self, _: u16) -> Option<u32> {
        None
    }
}
