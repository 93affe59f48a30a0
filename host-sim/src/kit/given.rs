//! Given, when, then.

use core::fmt::Debug;

use evenkeel_core::{Aggregate, Kind, Position, Record, Snapshot, StreamId, Version, codec};

/// An aggregate to which these events have happened.
///
/// Every event goes through its encoding, as it does in a log: what cannot be stored and read back fails the test.
///
/// ```
/// use evenkeel_host_sim::kit::given;
/// # use evenkeel_core::{Aggregate, Kind};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// # enum ValveEvent { Opened { by: u16 }, Closed }
/// # use ValveEvent::*;
/// # #[derive(Debug, PartialEq)]
/// # enum Refused { AlreadyOpen }
/// # #[derive(Default)]
/// # struct Valve { open: bool }
/// # impl Aggregate for Valve {
/// #     const KIND: Kind = Kind(1);
/// #     type Event = ValveEvent;
/// #     fn apply(&mut self, event: &ValveEvent) { self.open = matches!(event, Opened { .. }); }
/// # }
/// # impl Valve {
/// #     fn open(&self, by: u16) -> Result<[ValveEvent; 1], Refused> {
/// #         if self.open { Err(Refused::AlreadyOpen) } else { Ok([Opened { by }]) }
/// #     }
/// #     fn make_safe(&self) -> Result<Option<ValveEvent>, Refused> { Ok(self.open.then_some(Closed)) }
/// # }
///
/// given::<Valve>([Opened { by: 7 }, Closed]).when(|valve| valve.open(8)).then([Opened { by: 8 }]);
/// given::<Valve>([Opened { by: 7 }]).when(|valve| valve.open(8)).then_refused(Refused::AlreadyOpen);
/// given::<Valve>([]).when(|valve| valve.make_safe()).then_nothing();
///
/// // One story after another: what follows has happened when the next is asked for.
/// given::<Valve>([])
///     .when(|valve| valve.open(7)).then([Opened { by: 7 }])
///     .when(|valve| valve.make_safe()).then([Closed])
///     .when(|valve| valve.make_safe()).then_nothing();
/// ```
///
/// # Panics
/// If an event is not the same once it was encoded and decoded.
#[track_caller]
pub fn given<A>(events: impl IntoIterator<Item = A::Event>) -> Given<A>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
{
    let mut state = A::default();
    let mut happened = 0;
    for event in events {
        state.apply(&stored::<A>(&event));
        happened += 1;
    }
    Given { state, happened }
}

/// What has happened so far: ask for something with [`when`](Given::when).
#[derive(Debug)]
pub struct Given<A> {
    state: A,
    happened: usize,
}

impl<A> Given<A>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
{
    /// Asks for something. It is decided twice, as it is where a writer has to try again, and must come to the same.
    ///
    /// # Panics
    /// If it is decided differently the second time.
    #[track_caller]
    #[must_use = "say what follows: then, then_refused or then_nothing"]
    pub fn when<I, Refused>(self, decide: impl Fn(&A) -> Result<I, Refused>) -> Then<A, Refused>
    where
        I: IntoIterator<Item = A::Event>,
        Refused: Debug + PartialEq,
    {
        let decided = || decide(&self.state).map(|events| events.into_iter().collect::<Vec<_>>());
        let outcome = decided();
        assert_eq!(outcome, decided(), "the command depends on more than the state: decided again it comes to this");
        Then { given: self, outcome }
    }

    /// Looks at the state.
    #[track_caller]
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        look(&self.state);
        self
    }

    /// How many events have happened.
    #[must_use]
    pub fn happened(&self) -> usize {
        self.happened
    }

    /// Goes on with the state as a snapshot brings it back.
    ///
    /// # Panics
    /// If it is not the same once it was encoded and decoded.
    #[track_caller]
    pub fn through_a_snapshot(self) -> Self
    where
        A: Snapshot + Debug + PartialEq,
    {
        let bytes = encoded(&self.state);
        match A::decode_state(<A as Snapshot>::SCHEMA, &bytes) {
            Ok(state) if state == self.state => Self { state, ..self },
            Ok(state) => panic!("the state {:?} comes back as {state:?}", self.state),
            Err(error) => panic!("the state {:?} does not come back out of {bytes:02x?}: {error}", self.state),
        }
    }
}

/// What a command came to: say what was expected.
#[derive(Debug)]
#[must_use = "say what follows: then, then_refused or then_nothing"]
pub struct Then<A: Aggregate, Refused> {
    given: Given<A>,
    outcome: Result<Vec<A::Event>, Refused>,
}

impl<A, Refused> Then<A, Refused>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
    Refused: Debug + PartialEq,
{
    /// Exactly these events follow, in this order; afterwards they have happened.
    ///
    /// # Panics
    /// If other events follow, or one is not the same once it was encoded and decoded, or it was refused.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Given<A> {
        let expected: Vec<_> = expected.into_iter().collect();
        let Self { mut given, outcome } = self;
        match outcome {
            Ok(events) if events == expected => {
                for event in &events {
                    given.state.apply(&stored::<A>(event));
                    given.happened += 1;
                }
                given
            }
            Ok(events) => panic!("expected {expected:?}, and what follows is {events:?}"),
            Err(refused) => panic!("expected {expected:?}, and it is refused: {refused:?}"),
        }
    }

    /// Nothing follows, and it is not refused either.
    ///
    /// # Panics
    /// If something follows, or it was refused.
    #[track_caller]
    pub fn then_nothing(self) -> Given<A> {
        self.then([])
    }

    /// It is refused, for this reason.
    ///
    /// # Panics
    /// If it is refused for another one, or not at all.
    #[track_caller]
    pub fn then_refused(self, expected: Refused) -> Given<A> {
        match self.outcome {
            Err(refused) if refused == expected => self.given,
            Err(refused) => panic!("expected to be refused as {expected:?}, and it is as {refused:?}"),
            Ok(events) => panic!("expected to be refused as {expected:?}, and what follows is {events:?}"),
        }
    }
}

/// Lends an event as a log would: encoded, with its place. For policies and projections, which look at records.
///
/// ```
/// use evenkeel_core::{Kind, Position, Projection};
/// use evenkeel_host_sim::kit::with_record;
/// # use evenkeel_core::{Aggregate, CodecError, Record};
/// # #[derive(Default)] struct Meter;
/// # impl Aggregate for Meter {
/// #     const KIND: Kind = Kind(1);
/// #     type Event = u32;
/// #     fn apply(&mut self, _: &u32) {}
/// # }
/// # #[derive(Default)] struct Total(u32);
/// # impl Projection for Total {
/// #     fn take_in(&mut self, event: &Record<'_>) -> Result<(), CodecError> {
/// #         self.0 += event.event::<Meter>().transpose()?.unwrap_or(0);
/// #         Ok(())
/// #     }
/// # }
///
/// let mut total = Total::default();
/// with_record::<Meter, _>(7, Position(1), &30, |record| total.take_in(record)).unwrap();
/// assert_eq!(total.0, 30);
/// ```
///
/// # Panics
/// If the event is not the same once it was encoded and decoded.
#[track_caller]
pub fn with_record<A, T>(
    stream: impl Into<StreamId>,
    position: Position,
    event: &A::Event,
    look: impl FnOnce(&Record<'_>) -> T,
) -> T
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
{
    let _ = stored::<A>(event);
    let payload = encoded(event);
    let (stream, kind): (_, Kind) = (stream.into(), A::KIND);
    let record =
        Record { stream, kind, version: Version(1), schema: A::SCHEMA, position: Some(position), payload: &payload };
    look(&record)
}

/// The event as it comes back out of a log.
#[track_caller]
fn stored<A>(event: &A::Event) -> A::Event
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
{
    let bytes = encoded(event);
    match A::decode_event(A::SCHEMA, &bytes) {
        Ok(back) if back == *event => back,
        Ok(back) => panic!("the event {event:?} comes back as {back:?}"),
        Err(error) => panic!("the event {event:?} does not come back out of {bytes:02x?}: {error}"),
    }
}

/// The most bytes of an event or a state: as many as fit a sector of the largest size.
const LARGEST: usize = 128 << 10;

#[track_caller]
fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut room = 256;
    loop {
        let mut bytes = vec![0; room];
        match codec::encode(value, &mut bytes) {
            Ok(len) => {
                bytes.truncate(len);
                return bytes;
            }
            Err(evenkeel_core::CodecError::DoesNotFit) if room < LARGEST => room *= 2,
            Err(error) => panic!("a value cannot be stored: {error}"),
        }
    }
}
