//! Record managers that are careless in one way each: the cases must notice.

use evenkeel_conformance::{Home, local, readers, store};
use evenkeel_core::batch::{Batch, Headroom};
use evenkeel_core::error::{AppendError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, CodecError, Notification, Position, RamLog, Record, RecordManager, StreamHead, StreamId, Tracker,
    Upkeep, Version,
};

type Ram = RamLog<Vec<u8>, 64>;
type Error = <Ram as RecordManager>::Error;

/// What a record manager does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// None: the control.
    None,
    /// It appends the entries of a batch one by one.
    OneByOne,
    /// It gives positions to local events.
    TellsLocal,
    /// It lists no streams.
    ListsNone,
    /// It has nothing to say to a reader that is ahead of it.
    MissesAhead,
    /// It shows the event before the one that is asked for.
    ShowsBefore,
}

struct Careless(Ram, Fault);

impl Home for Fault {
    type Manager = Careless;

    fn open(&mut self) -> Careless {
        Careless(RamLog::new(vec![0; 1 << 16]), *self)
    }
}

impl Careless {
    /// Appends some entries of a batch, as if they were all, in another buffer.
    fn append_part(&mut self, of: &Batch<'_>, part: std::ops::Range<usize>) -> Result<Appended, AppendError<Error>> {
        let mut room = vec![0; 4096];
        let mut batch = Batch::new(&mut room, Self::HEADROOM);
        for index in part {
            let (entry, payload) = (of.entry(index).unwrap(), of.payload(index));
            let encode = |out: &mut [u8]| {
                out.get_mut(..payload.len()).ok_or(CodecError::DoesNotFit)?.copy_from_slice(payload);
                Ok(payload.len())
            };
            match entry.local && self.1 != Fault::TellsLocal {
                true => batch.push_local(entry.op, encode).unwrap(),
                false => batch.push(entry.op, encode).unwrap(),
            }
        }
        self.0.append(&mut batch)
    }
}

impl RecordManager for Careless {
    type Error = Error;
    type MountError = <Ram as RecordManager>::MountError;

    const HEADROOM: Headroom = Ram::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Self::MountError> {
        self.0.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<Error>> {
        let first = self.bounds().next;
        let step = if self.1 == Fault::OneByOne { 1 } else { batch.len().max(1) };
        for start in (0..batch.len()).step_by(step) {
            self.append_part(batch, start..start + step)?;
        }
        Ok(Appended { first, events: batch.positions() })
    }

    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        RecordManager::tracked(&self.0, tracker)
    }

    fn head(&mut self, stream: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<Error>> {
        RecordManager::head(&mut self.0, stream, scratch)
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Error>> {
        let before = u32::from(self.1 == Fault::ShowsBefore);
        self.0.next_event(stream, Version(after.0.saturating_sub(before)), scratch)
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<Error>> {
        self.0.latest_snapshot(stream, at_most, scratch)
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<Error>> {
        if self.1 == Fault::MissesAhead && after > self.bounds().last() {
            return Ok(None);
        }
        self.0.next_notification(after, scratch)
    }

    fn list_streams(&mut self, list: &mut StreamList<'_>, scratch: &mut Scratch<'_>) -> Result<(), ReadError<Error>> {
        if self.1 == Fault::ListsNone {
            return Ok(());
        }
        self.0.list_streams(list, scratch)
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<Error>> {
        self.0.upkeep(scratch)
    }
}

/// Whether a case fails.
fn notices(case: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(case).is_err()
}

#[test]
fn each_carelessness_is_noticed_by_its_case_and_care_is_not() {
    let atomic = |fault| notices(move || store::case_04_a_batch_with_a_conflict_stores_nothing(|| fault));
    let listed = |fault| notices(move || store::case_02_streams_are_listed_each_once(|| fault));
    let one = |fault| notices(move || store::case_09_one_event_is_fetched_or_is_not_there(|| fault));
    let ahead = |fault| notices(move || readers::case_76_a_reader_ahead_of_the_log_is_told(|| fault));
    let kept = |fault| notices(move || local::case_69_a_local_event_is_in_its_stream_and_no_reader_sees_it(|| fault));
    let noticed = |fault| [atomic(fault), listed(fault), one(fault), ahead(fault), kept(fault)];
    assert_eq!(noticed(Fault::None), [false; 5]);
    assert!(atomic(Fault::OneByOne));
    assert!(listed(Fault::ListsNone));
    assert!(one(Fault::ShowsBefore));
    assert!(ahead(Fault::MissesAhead));
    assert!(kept(Fault::TellsLocal));
}
