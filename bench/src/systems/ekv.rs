//! The key-value database `ekv` as a system under test.
//!
//! An event is a record whose key is its stream and version, so a stream is a range of keys. Each append is one
//! transaction. A database has no oldest record that gives way: the application deletes the oldest event in the
//! transaction that stores a new one, so that as many are kept as fill half of the flash. More would leave the tree no
//! room to be compacted in.

use std::collections::VecDeque;
use std::convert::Infallible;

use ekv::flash::{Flash, PageID};
use ekv::{Config, Database};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

use super::{Event, Setup, System, ready};
use crate::flash::{CountingFlash, Medium, SECTOR};

type Key = [u8; 6];

/// Why this database, as it was built, cannot live in such a flash.
pub(super) fn cannot(word: usize, sectors: usize, sector_bytes: usize) -> Option<&'static str> {
    if word > ekv::config::ALIGN {
        return Some("words of more than 4 B");
    }
    if sector_bytes != ekv::config::PAGE_SIZE {
        return Some("its page size is fixed when it is built, here 4 KiB");
    }
    (sectors > ekv::config::MAX_PAGE_COUNT).then_some("its most pages are fixed when it is built, here 64")
}

/// As many events as fill half of the flash: header, key, payload and their share of page and chunk headers.
pub(super) fn holds(sectors: usize, payload: usize) -> usize {
    sectors * SECTOR / 2 / (payload + 12)
}

/// A flash with the trait that `ekv` wants.
struct Pages<F>(F);

impl<F: Medium> Flash for Pages<F> {
    type Error = Infallible;

    fn page_count(&self) -> usize {
        self.0.sectors()
    }

    async fn erase(&mut self, page: PageID) -> Result<(), Infallible> {
        let at = (page.index() * SECTOR) as u32;
        NorFlash::erase(&mut self.0, at, at + SECTOR as u32)
    }

    async fn read(&mut self, page: PageID, offset: usize, bytes: &mut [u8]) -> Result<(), Infallible> {
        ReadNorFlash::read(&mut self.0, (page.index() * SECTOR + offset) as u32, bytes)
    }

    async fn write(&mut self, page: PageID, offset: usize, bytes: &[u8]) -> Result<(), Infallible> {
        NorFlash::write(&mut self.0, (page.index() * SECTOR + offset) as u32, bytes)
    }
}

pub(super) struct Ekv<F: Medium> {
    database: Database<Pages<F>, NoopRawMutex>,
    /// The keys in the order in which they were stored by this handle.
    stored: VecDeque<Key>,
    most: usize,
}

fn key(stream: u16, version: u32) -> Key {
    let ([a, b], [c, d, e, f]) = (stream.to_be_bytes(), version.to_be_bytes());
    [a, b, c, d, e, f]
}

impl<F: Medium> Ekv<F> {
    pub(super) fn open(flash: F, setup: Setup) -> Self {
        let most = holds(flash.sectors(), setup.payload);
        let mut config = Config::default();
        config.random_seed = 7;
        let database = Database::new(Pages(flash), config);
        if setup.blank {
            ready(database.format()).expect("formatting");
        }
        ready(database.mount()).expect("mounting");
        Self { database, stored: VecDeque::new(), most }
    }

    /// Deletes and stores in one transaction, whose keys must ascend.
    fn commit(&mut self, changes: &mut [(Key, Option<&[u8]>)]) {
        changes.sort_unstable_by_key(|(key, _)| *key);
        ready(async {
            let mut transaction = self.database.write_transaction().await;
            for (key, payload) in changes {
                match payload {
                    Some(payload) => transaction.write(key, payload).await.expect("writing"),
                    None => transaction.delete(key).await.expect("deleting"),
                }
            }
            transaction.commit().await.expect("committing");
        });
    }

    /// Reads the records from this stream on to the end of another.
    fn each(&self, streams: std::ops::RangeInclusive<u16>, mut take: impl FnMut(&[u8]) -> bool) {
        ready(async {
            let transaction = self.database.read_transaction().await;
            let (from, to) = (key(*streams.start(), 0), key(*streams.end(), u32::MAX));
            let mut cursor = transaction.read_range(&from[..]..=&to[..]).await.expect("reading");
            let (mut key, mut value) = ([0; 8], [0; 128]);
            while let Some((length, _)) = cursor.next(&mut key, &mut value).await.expect("reading") {
                if !take(&key[..length]) {
                    break;
                }
            }
        });
    }
}

impl<F: Medium> System for Ekv<F> {
    fn append(&mut self, events: &[Event<'_>]) {
        let mut changes = Vec::with_capacity(2 * events.len());
        for event in events {
            let key = key(event.stream, event.version);
            changes.push((key, Some(event.payload)));
            self.stored.push_back(key);
            if self.stored.len() > self.most {
                changes.extend(self.stored.pop_front().map(|oldest| (oldest, None)));
            }
        }
        self.commit(&mut changes);
    }

    /// The oldest are those with the lowest keys: there is one stream.
    fn acknowledge(&mut self, events: u64) {
        let mut oldest = Vec::new();
        self.each(0..=u16::MAX, |found| {
            oldest.push((Key::try_from(found).expect("a key of this length"), None));
            (oldest.len() as u64) < events
        });
        self.commit(&mut oldest);
    }

    fn iterate(&mut self) -> u64 {
        let mut events = 0;
        self.each(0..=u16::MAX, |_| {
            events += 1;
            true
        });
        events
    }

    fn load(&mut self, stream: u16) -> u64 {
        let mut events = 0;
        self.each(stream..=stream, |_| {
            events += 1;
            true
        });
        events
    }
}

/// Bytes of the database, without the driver of the flash.
pub(super) fn ram_bytes(sectors: usize) -> Option<usize> {
    let handle = size_of::<Database<Pages<CountingFlash<4>>, NoopRawMutex>>() - size_of::<CountingFlash<4>>();
    (sectors <= ekv::config::MAX_PAGE_COUNT).then_some(handle)
}
