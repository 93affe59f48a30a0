//! The queue of the crate `sequential-storage` as a system under test.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sequential_storage::cache::page_pointers::HeapPagePointers;
use sequential_storage::cache::page_states::HeapPageStates;
use sequential_storage::cache::{Cache, CacheImpl, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

use crate::flash::{CountingFlash, SECTOR};
use crate::system::{Event, System};

/// The longest item of any workload: a payload of 64 bytes, stream and version.
const LONGEST: usize = 128;

/// How much of the flash the queue remembers.
pub trait Level {
    /// The cache.
    type Cache: CacheImpl<()>;
    /// What the system is called with it.
    const NAME: &'static str;
    /// Makes an empty one.
    fn cache(sectors: usize) -> Self::Cache;
}

/// Nothing.
#[derive(Debug)]
pub struct NoCache;

/// The states of the pages and where in them items start and end.
#[derive(Debug)]
pub struct PagePointers;

impl Level for NoCache {
    type Cache = Cache<Uncached, Uncached, Uncached>;
    const NAME: &'static str = "sequential-storage";

    fn cache(_: usize) -> Self::Cache {
        Cache::new_uncached()
    }
}

impl Level for PagePointers {
    type Cache = Cache<HeapPageStates, HeapPagePointers, Uncached>;
    const NAME: &'static str = "sequential-storage, cached";

    fn cache(sectors: usize) -> Self::Cache {
        Cache::new(HeapPageStates::new(sectors), HeapPagePointers::new(sectors), Uncached)
    }
}

/// A queue over the whole flash that overwrites its oldest items when it is full.
pub struct Queue<L: Level, const WORD: usize> {
    storage: QueueStorage<CountingFlash<WORD>, L::Cache>,
}

impl<L: Level, const WORD: usize> System<WORD> for Queue<L, WORD> {
    const NAME: &'static str = L::NAME;

    fn format(flash: CountingFlash<WORD>, scratch: usize) -> Self {
        Self::mount(flash, scratch)
    }

    fn mount(flash: CountingFlash<WORD>, _: usize) -> Self {
        let sectors = flash.sectors();
        let config = QueueConfig::new(0..(sectors * SECTOR) as u32);
        Self { storage: QueueStorage::new(flash, config, L::cache(sectors)) }
    }

    /// Each event is an item of its own. The queue knows no streams: where there is more than one, the item starts
    /// with 2 bytes of stream and the 2 lowest bytes of the version.
    fn append(&mut self, events: &[Event<'_>]) {
        for event in events {
            let mut item = [0; LONGEST];
            let start = match event.stream {
                None => 0,
                Some(stream) => {
                    item[..2].copy_from_slice(&stream.to_le_bytes());
                    item[2..4].copy_from_slice(&event.version.to_le_bytes()[..2]);
                    4
                }
            };
            let end = start + event.payload.len();
            item[start..end].copy_from_slice(event.payload);
            ready(self.storage.push(&item[..end], true)).expect("pushing");
        }
    }

    fn acknowledge(&mut self, events: u64) {
        let mut item = [0; LONGEST];
        for _ in 0..events {
            ready(self.storage.pop(&mut item)).expect("popping").expect("an item");
        }
    }

    /// Nothing: a queue that overwrites waits for nobody.
    fn all_seen(&mut self) {}

    fn upkeep(&mut self) {}

    fn iterate(&mut self) -> u64 {
        ready(async {
            let (mut item, mut events) = ([0; LONGEST], 0);
            let mut items = self.storage.iter().await.expect("reading");
            while items.next(&mut item).await.expect("reading").is_some() {
                events += 1;
            }
            events
        })
    }
}

/// What a future answers that never waits, as the flash never does.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the simulated flash never waits"),
    }
}
