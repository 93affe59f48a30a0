//! The key-value database `ekv`: the key of an event is its stream and version, and each append is a transaction.

use ekv::flash::{Flash as Pages, PageID};
use ekv::{Config, Database};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind, ReadNorFlash};

use super::waiting::ready;
use crate::flash::{Flash, SECTOR, SECTORS};
use crate::work::System;

/// A flash with the trait that `ekv` wants.
struct Sectors(Flash);

impl Pages for Sectors {
    type Error = NorFlashErrorKind;

    fn page_count(&self) -> usize {
        SECTORS as usize
    }

    async fn erase(&mut self, page: PageID) -> Result<(), Self::Error> {
        let at = page.index() as u32 * SECTOR;
        NorFlash::erase(&mut self.0, at, at + SECTOR)
    }

    async fn read(&mut self, page: PageID, offset: usize, bytes: &mut [u8]) -> Result<(), Self::Error> {
        ReadNorFlash::read(&mut self.0, page.index() as u32 * SECTOR + offset as u32, bytes)
    }

    async fn write(&mut self, page: PageID, offset: usize, bytes: &[u8]) -> Result<(), Self::Error> {
        NorFlash::write(&mut self.0, page.index() as u32 * SECTOR + offset as u32, bytes)
    }
}

/// A database over the whole flash.
pub struct Ekv(Database<Sectors, NoopRawMutex>);

fn key(stream: u16, version: u32) -> [u8; 6] {
    let ([a, b], [c, d, e, f]) = (stream.to_be_bytes(), version.to_be_bytes());
    [a, b, c, d, e, f]
}

impl Ekv {
    /// Reads the records of these streams, at most so many; deletes what it has read if it is to.
    fn each(&mut self, from: u16, to: u16, most: u32, delete: bool) -> Option<u32> {
        ready(async {
            let (mut events, mut last) = (0_u32, [0; 6]);
            {
                let transaction = self.0.read_transaction().await;
                let (low, high) = (key(from, 0), key(to, u32::MAX));
                let mut cursor = transaction.read_range(&low[..]..=&high[..]).await.ok()?;
                let (mut found, mut value) = ([0; 8], [0; 128]);
                while events < most {
                    let Some((length, _)) = cursor.next(&mut found, &mut value).await.ok()? else { break };
                    last = found.get(..length)?.try_into().ok()?;
                    events += 1;
                }
            }
            if delete {
                // The oldest have the lowest keys: all of the first streams up to the last one read.
                let [a, b, version @ ..] = last;
                let stream = u16::from_be_bytes([a, b]);
                let mut transaction = self.0.write_transaction().await;
                for version in 1..=u32::from_be_bytes(version) {
                    transaction.delete(&key(stream, version)).await.ok()?;
                }
                transaction.commit().await.ok()?;
            }
            Some(events)
        })?
    }
}

impl System for Ekv {
    const STREAMS: bool = true;

    fn new(flash: Flash) -> Option<Self> {
        let mut config = Config::default();
        config.random_seed = 7;
        Some(Self(Database::new(Sectors(flash), config)))
    }

    fn create(&mut self) -> Option<()> {
        ready(self.0.format())?.ok()?;
        self.mount()
    }

    fn mount(&mut self) -> Option<()> {
        ready(self.0.mount())?.ok()
    }

    fn release(self) -> Flash {
        // It does not give its flash back.
        crate::flash::again()
    }

    fn append(&mut self, stream: u16, version: u32, payload: &[u8]) -> Option<()> {
        ready(async {
            let mut transaction = self.0.write_transaction().await;
            transaction.write(&key(stream, version), payload).await.ok()?;
            transaction.commit().await.ok()
        })?
    }

    fn iterate(&mut self) -> Option<u32> {
        self.each(0, u16::MAX, u32::MAX, false)
    }

    fn acknowledge(&mut self, events: u32) -> Option<()> {
        self.each(0, u16::MAX, events, true).map(|_| ())
    }

    fn load(&mut self, stream: u16) -> Option<u32> {
        self.each(stream, stream, u32::MAX, false)
    }
}
