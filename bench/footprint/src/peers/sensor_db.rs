//! The time series database `sensor-db`: a stream is a sensor, a version a timestamp, and an event is durable once its page is
//! flushed.

use sensor_db::{CompactScope, SensorDb};

use crate::flash::{Flash, SECTORS};
use crate::work::System;

/// Pages that hold one event of the longest payload.
const PAGE: usize = 128;

/// A database over the whole flash.
pub struct Series(SensorDb<Flash, PAGE, { SECTORS as usize }>);

impl System for Series {
    const STREAMS: bool = true;

    fn new(flash: Flash) -> Option<Self> {
        Some(Self(SensorDb::new(flash, 0, SECTORS as u16, 1).ok()?))
    }

    fn create(&mut self) -> Option<()> {
        self.0.format().ok()
    }

    fn mount(&mut self) -> Option<()> {
        self.0.mount().ok().map(|_| ())
    }

    fn release(self) -> Flash {
        // It does not give its flash back.
        crate::flash::again()
    }

    fn append(&mut self, stream: u16, version: u32, payload: &[u8]) -> Option<()> {
        self.0.append(stream, u64::from(version), payload).ok()?;
        self.0.sync().ok()
    }

    fn iterate(&mut self) -> Option<u32> {
        self.0.query_all(None, |_, _| true).ok()
    }

    fn acknowledge(&mut self, _: u32) -> Option<()> {
        self.0.compact(1, CompactScope::SpooledOnly).ok().map(|_| ())
    }

    fn load(&mut self, stream: u16) -> Option<u32> {
        self.0.query_all(Some(stream), |_, _| true).ok()
    }
}
