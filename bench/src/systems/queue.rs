//! The queue of the crate `sequential-storage` as a system under test.

use sequential_storage::cache::page_pointers::{ArrayPagePointers, HeapPagePointers};
use sequential_storage::cache::page_states::{ArrayPageStates, CalculatedPageStates, HeapPageStates};
use sequential_storage::cache::{Cache, CacheImpl, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

use super::{Event, System, ready};
use crate::flash::{CountingFlash, Medium};

/// The longest item of any workload: a payload of 128 bytes, stream and version.
const LONGEST: usize = 256;

/// How much of the flash the queue remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    None,
    /// The states of the pages.
    States,
    /// The states of the pages, as few numbers from which they are worked out.
    Calculated,
    /// The states of the pages, and where in them items start and end.
    Pointers,
    /// Both of the above: states worked out, pointers kept.
    CalculatedPointers,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::None, Self::States, Self::Calculated, Self::Pointers, Self::CalculatedPointers];

    /// What the queue is called with it.
    #[must_use]
    pub const fn name(self, tagged: bool) -> &'static str {
        match (self, tagged) {
            (Self::None, false) => "sequential-storage",
            (Self::States, false) => "sequential-storage, page states",
            (Self::Calculated, false) => "sequential-storage, calculated page states",
            (Self::Pointers, false) => "sequential-storage, page states and pointers",
            (Self::CalculatedPointers, false) => "sequential-storage, calculated page states, and pointers",
            (Self::None, true) => "sequential-storage + 4 B",
            (Self::States, true) => "sequential-storage + 4 B, page states",
            (Self::Calculated, true) => "sequential-storage + 4 B, calculated page states",
            (Self::Pointers, true) => "sequential-storage + 4 B, page states and pointers",
            (Self::CalculatedPointers, true) => "sequential-storage + 4 B, calculated page states, and pointers",
        }
    }
}

/// A queue over the whole flash that overwrites its oldest items when it is full.
struct Queue<F: Medium, C: CacheImpl<()>> {
    storage: QueueStorage<F, C>,
    tagged: bool,
}

/// A queue needs neither formatting nor mounting.
pub(super) fn open<F: Medium>(level: Level, tagged: bool, flash: F) -> Box<dyn System> {
    let pages = flash.sectors();
    match level {
        Level::None => boxed(flash, tagged, Cache::new_uncached()),
        Level::States => boxed(flash, tagged, Cache::new(HeapPageStates::new(pages), Uncached, Uncached)),
        Level::Calculated => boxed(flash, tagged, Cache::new(CalculatedPageStates::new(pages), Uncached, Uncached)),
        Level::Pointers => {
            let cache = Cache::new(HeapPageStates::new(pages), HeapPagePointers::new(pages), Uncached);
            boxed(flash, tagged, cache)
        }
        Level::CalculatedPointers => {
            let cache = Cache::new(CalculatedPageStates::new(pages), HeapPagePointers::new(pages), Uncached);
            boxed(flash, tagged, cache)
        }
    }
}

fn boxed<F: Medium>(flash: F, tagged: bool, cache: impl CacheImpl<()> + 'static) -> Box<dyn System> {
    let config = QueueConfig::new(0..flash.sectors() as u32 * F::SECTOR_BYTES);
    Box::new(Queue { storage: QueueStorage::new(flash, config, cache), tagged })
}

impl<F: Medium, C: CacheImpl<()>> System for Queue<F, C> {
    /// Each event is an item of its own. The queue knows no streams: where they are to be told, the item starts with
    /// 2 bytes of stream and the 2 lowest bytes of the version.
    fn append(&mut self, events: &[Event<'_>]) {
        for event in events {
            let mut item = [0; LONGEST];
            let start = if self.tagged { 4 } else { 0 };
            item[..2].copy_from_slice(&event.stream.to_le_bytes());
            item[2..4].copy_from_slice(&event.version.to_le_bytes()[..2]);
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

    fn iterate(&mut self) -> u64 {
        let mut events = 0;
        self.each(|_| events += 1);
        events
    }

    fn load(&mut self, stream: u16) -> u64 {
        assert!(self.tagged, "the stream is not in the items");
        let mut events = 0;
        self.each(|item| events += u64::from(item[..2] == stream.to_le_bytes()));
        events
    }
}

impl<F: Medium, C: CacheImpl<()>> Queue<F, C> {
    fn each(&mut self, mut take: impl FnMut(&[u8])) {
        ready(async {
            let mut item = [0; LONGEST];
            let mut items = self.storage.iter().await.expect("reading");
            while let Some(entry) = items.next(&mut item).await.expect("reading") {
                take(&entry);
            }
        });
    }
}

/// Bytes of the queue with a cache for so many sectors, without the driver of the flash.
pub(super) fn ram_bytes(level: Level, sectors: usize) -> Option<usize> {
    match sectors {
        64 => Some(ram::<64>(level)),
        1024 => Some(ram::<1024>(level)),
        4096 => Some(ram::<4096>(level)),
        _ => None,
    }
}

/// The caches of fixed size are measured: those on the heap, which are used here, take more.
fn ram<const PAGES: usize>(level: Level) -> usize {
    type Handle<S, P> = QueueStorage<CountingFlash<4>, Cache<S, P, Uncached>>;
    let handle = match level {
        Level::None => size_of::<Handle<Uncached, Uncached>>(),
        Level::States => size_of::<Handle<ArrayPageStates<PAGES>, Uncached>>(),
        Level::Calculated => size_of::<Handle<CalculatedPageStates, Uncached>>(),
        Level::Pointers => size_of::<Handle<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>>>(),
        Level::CalculatedPointers => size_of::<Handle<CalculatedPageStates, ArrayPagePointers<PAGES>>>(),
    };
    handle - size_of::<CountingFlash<4>>()
}
