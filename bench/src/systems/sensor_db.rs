//! The time series database `sensor-db` as a system under test.
//!
//! A stream is a sensor and a version is a timestamp, so both are in each entry without a payload of their own. An
//! event is durable once its page is flushed, which fills up the page: pages are the smallest that hold one event, as
//! that writes the least.

use sensor_db::{CompactScope, SensorDb};

use super::{Event, Setup, System};
use crate::flash::{CountingFlash, Medium};

/// Bytes of an entry beside its payload.
const OVERHEAD: usize = 20;
/// Sectors kept free; the least that leaves room to turn the ring.
const RESERVED: u16 = 1;

struct Series<F: Medium, const PAGE: usize, const SECTORS: usize> {
    database: SensorDb<F, PAGE, SECTORS>,
}

/// Bytes of the page for payloads of so many bytes.
fn page_bytes(payload: usize) -> usize {
    (payload + OVERHEAD).next_power_of_two().max(64)
}

/// The last page of a sector is its footer, and the first event shares its page with the header if it fits.
pub(super) fn holds(sectors: usize, payload: usize) -> usize {
    (sectors - 3) * (4096 / page_bytes(payload) - 2)
}

pub(super) fn open<F: Medium>(flash: F, setup: Setup) -> Box<dyn System> {
    match (page_bytes(setup.payload), flash.sectors()) {
        (64, ..=64) => Box::new(Series::<F, 64, 64>::open(flash, setup)),
        (128, ..=64) => Box::new(Series::<F, 128, 64>::open(flash, setup)),
        (64, ..=1024) => Box::new(Series::<F, 64, 1024>::open(flash, setup)),
        (64, ..=4096) => Box::new(Series::<F, 64, 4096>::open(flash, setup)),
        (256, ..=4096) => Box::new(Series::<F, 256, 4096>::open(flash, setup)),
        (page, sectors) => panic!("no type for pages of {page} bytes and {sectors} sectors"),
    }
}

impl<F: Medium, const PAGE: usize, const SECTORS: usize> Series<F, PAGE, SECTORS> {
    fn open(flash: F, setup: Setup) -> Self {
        let sectors = flash.sectors() as u16;
        let mut database = SensorDb::new(flash, 0, sectors, RESERVED).expect("a geometry that suits");
        if setup.blank {
            database.format().expect("formatting");
        } else {
            database.mount().expect("mounting");
        }
        Self { database }
    }
}

impl<F: Medium, const PAGE: usize, const SECTORS: usize> System for Series<F, PAGE, SECTORS> {
    fn append(&mut self, events: &[Event<'_>]) {
        for event in events {
            self.database.append(event.stream, u64::from(event.version), event.payload).expect("appending");
        }
        self.database.sync().expect("flushing");
    }

    fn acknowledge(&mut self, _: u64) {
        self.database.compact(1, CompactScope::SpooledOnly).expect("compacting");
    }

    fn iterate(&mut self) -> u64 {
        u64::from(self.database.query_all(None, |_, _| true).expect("reading"))
    }

    fn load(&mut self, stream: u16) -> u64 {
        u64::from(self.database.query_all(Some(stream), |_, _| true).expect("reading"))
    }
}

/// Bytes of the database with an index of so many sectors, without the driver of the flash.
pub(super) fn ram_bytes(sectors: usize) -> Option<usize> {
    let handle = match sectors {
        64 => size_of::<SensorDb<CountingFlash<4>, 64, 64>>(),
        1024 => size_of::<SensorDb<CountingFlash<4>, 64, 1024>>(),
        4096 => size_of::<SensorDb<CountingFlash<4>, 64, 4096>>(),
        _ => return None,
    };
    Some(handle - size_of::<CountingFlash<4>>())
}
