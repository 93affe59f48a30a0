//! Events and states of older programs, and of newer ones, as `docs/schema-evolution.md` says.

use evenkeel_core::error::{LoadError, ReadError};
use evenkeel_core::section::{Section, SectionReader};
use evenkeel_core::{
    Aggregate, CodecError, Kind, Log, Position, RamLog, Snapshot, Tracker, assert_encodes, codec, distinct_kinds,
};
use serde::{Deserialize, Serialize};

/// The first program: whole degrees.
mod first {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) enum Event {
        Measured(i8),
        Silenced,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Sensor {
        pub(crate) highest: i8,
        pub(crate) silenced: bool,
    }

    impl Aggregate for Sensor {
        const KIND: Kind = Kind(1);
        type Event = Event;
        fn apply(&mut self, event: &Event) {
            match event {
                Event::Measured(degrees) => self.highest = self.highest.max(*degrees),
                Event::Silenced => self.silenced = true,
            }
        }
    }

    impl Snapshot for Sensor {
        const SCHEMA: u8 = 0;
    }
}

/// The second: tenths of degrees. What is older is translated.
mod second {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) enum Event {
        Measured { tenths: i16 },
        Silenced,
        Calibrated, // appended: free
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Sensor {
        pub(crate) highest: i16,
        pub(crate) silenced: bool,
    }

    impl Aggregate for Sensor {
        const KIND: Kind = Kind(1);
        const SCHEMA: u8 = 1;
        type Event = Event;
        fn apply(&mut self, event: &Event) {
            match event {
                Event::Measured { tenths } => self.highest = self.highest.max(*tenths),
                Event::Silenced => self.silenced = true,
                Event::Calibrated => {}
            }
        }
        fn upcast(schema: u8, payload: &[u8]) -> Result<Event, CodecError> {
            match schema {
                0 => Ok(match codec::decode(payload)? {
                    first::Event::Measured(degrees) => Event::Measured { tenths: i16::from(degrees) * 10 },
                    first::Event::Silenced => Event::Silenced,
                }),
                _ => Err(CodecError::UnknownSchema),
            }
        }
    }

    impl Snapshot for Sensor {
        const SCHEMA: u8 = 1;
        fn upcast_state(schema: u8, payload: &[u8]) -> Result<Self, CodecError> {
            match schema {
                0 => codec::decode(payload)
                    .map(|first::Sensor { highest, silenced }| Self { highest: i16::from(highest) * 10, silenced }),
                _ => Err(CodecError::UnknownSchema),
            }
        }
    }
}

/// Something else in the same log.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Door(u32);

impl Aggregate for Door {
    const KIND: Kind = Kind(2);
    type Event = bool;
    fn apply(&mut self, opened: &bool) {
        self.0 += u32::from(*opened);
    }
}

impl Snapshot for Door {
    const SCHEMA: u8 = 0;
}

distinct_kinds!(second::Sensor, Door);

#[test]
fn what_devices_have_written_keeps_its_meaning() {
    assert_encodes! {
        first::Event::Measured(-2) => [0, 0xFE],
        first::Event::Silenced => [1],
        first::Sensor { highest: 21, silenced: true } => [21, 1],
        second::Event::Measured { tenths: 215 } => [0, 0xAE, 0x03],
        second::Event::Silenced => [1],
        second::Event::Calibrated => [2],
        second::Sensor { highest: 215, silenced: false } => [0xAE, 0x03, 0],
    }
}

#[test]
fn older_events_and_states_are_translated() {
    let mut scratch = [0; 512];
    let mut log = Log::mount(RamLog::<_>::new([0; 2048]), &mut scratch).unwrap();
    let mut old = log.load_or_new::<first::Sensor>(1).unwrap();
    log.execute(&mut old, |_| Ok::<_, ()>([first::Event::Measured(21), first::Event::Silenced])).unwrap();
    assert_eq!(*log.load::<second::Sensor>(1).unwrap(), second::Sensor { highest: 210, silenced: true });
    // From a snapshot of the old program on, too.
    log.take_snapshot(&mut old).unwrap();
    let mut new = log.load::<second::Sensor>(1).unwrap();
    assert_eq!(new.snapshot_version(), new.version(), "the old state was taken");
    log.execute(&mut new, |_| Ok::<_, ()>([second::Event::Measured { tenths: 215 }])).unwrap();
    assert_eq!(*log.load::<second::Sensor>(1).unwrap(), second::Sensor { highest: 215, silenced: true });
}

#[test]
fn a_newer_schema_is_an_error_of_its_stream_alone_and_its_bytes_are_sent_on() {
    let mut scratch = [0; 512];
    let mut log = Log::mount(RamLog::<_>::new([0; 2048]), &mut scratch).unwrap();
    let mut new = log.load_or_new::<second::Sensor>(1).unwrap();
    let mut door = log.load_or_new::<Door>(2).unwrap();
    log.execute(&mut new, |_| Ok::<_, ()>([second::Event::Measured { tenths: 215 }])).unwrap();
    log.execute(&mut door, |_| Ok::<_, ()>([true])).unwrap();

    // The program is taken back to the first.
    let loaded = log.load::<first::Sensor>(1).map(|_| ());
    assert!(matches!(loaded, Err(LoadError::Read(ReadError::Codec(CodecError::UnknownSchema)))), "{loaded:?}");
    assert_eq!(log.load::<Door>(2).unwrap().0, 1);
    log.execute(&mut door, |_| Ok::<_, ()>([true])).unwrap();
    let mut frame = [0; 64];
    let Section::Events { first, count: 3, bytes } = log.section(Position::START, &mut frame).unwrap() else {
        panic!("all three are sent on")
    };
    let sent: Vec<_> = SectionReader::new(first, bytes).map(Result::unwrap).collect();
    assert_eq!((sent[0].schema, sent[0].payload), (1, &[0, 0xAE, 0x03][..]));
    log.acknowledge(Tracker(0), Position(3)).unwrap();
    assert_eq!(log.load::<second::Sensor>(1).unwrap().highest, 215);
}
