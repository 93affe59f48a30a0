//! Both ends of sync.

use evenkeel_core::scratch::Scratch;
use evenkeel_core::{LogId, Position, RecordManager};
use evenkeel_sync::{Piece, Sink, SinkConfig, SinkStore, Source, SourceIdentity};

use super::{IDENTITY, Steps, UPLINK};

/// A collector that keeps nothing but its place.
struct Counting(Position);

impl SinkStore for Counting {
    type Error = core::convert::Infallible;

    fn cursor(&mut self, _: &SourceIdentity) -> Result<Position, Self::Error> {
        Ok(self.0)
    }

    fn apply(&mut self, _: &SourceIdentity, after: Position, piece: &Piece<'_>) -> Result<Position, Self::Error> {
        if self.0 == after {
            self.0 = piece.last();
        }
        Ok(self.0)
    }
}

/// Everything; answers nothing if a step fails.
#[inline(never)]
pub(super) fn every_call<R: RecordManager>(steps: &mut Steps, records: &mut R, lent: &mut [u8]) -> Option<()> {
    let mut scratch = Scratch::new(lent);
    let identity = SourceIdentity { device: 0x5EED, log: LogId(0), epoch: IDENTITY.epoch };
    let mut source = Source::new(identity, UPLINK);
    let mut sink = Sink::new(SinkConfig::new(LogId(0)));
    let mut store = Counting(Position::START);
    let mut frame = [0; 244];
    for _ in 0..64 {
        let Some(len) = steps.step("ask", sink.poll(&mut store, 0, &mut frame))? else { break };
        steps.step("hear", source.handle(records, &mut scratch, frame.get(..len)?))?;
        while let Some(len) = steps.step("say", source.poll(records, &mut scratch, &mut frame))? {
            steps.step("take in", sink.handle(&mut store, 0, frame.get_mut(..len)?))?;
        }
    }
    steps.check("caught up", sink.is_caught_up() && store.0 == records.bounds().last())?;
    steps.check("committed", records.tracked(UPLINK) == store.0)
}
