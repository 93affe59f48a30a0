//! What a system must do to take part.

use crate::flash::CountingFlash;

/// One event to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'p> {
    /// Which stream it belongs to; `None` when there is only one, so that it need not be told.
    pub stream: Option<u16>,
    /// The version that the stream has with it, from 1 on.
    pub version: u32,
    /// What it says.
    pub payload: &'p [u8],
}

/// A system under test, on a flash with words of `WORD` bytes. Whatever fails panics.
pub trait System<const WORD: usize>: Sized {
    /// What it is called in the results.
    const NAME: &'static str;

    /// Makes an empty store in all of a blank flash. A system that wants a buffer may have one of `scratch` bytes.
    fn format(flash: CountingFlash<WORD>, scratch: usize) -> Self;

    /// Takes up what is in the flash, knowing nothing of it.
    fn mount(flash: CountingFlash<WORD>, scratch: usize) -> Self;

    /// Stores these events, as one if it can. Durable when it returns; the oldest events give way if there is no
    /// room.
    fn append(&mut self, events: &[Event<'_>]);

    /// Says that all events so far may give way when there is no room.
    fn all_seen(&mut self);

    /// Says that the oldest `events` of those held are not needed any more.
    fn acknowledge(&mut self, events: u64);

    /// Does what is better done between appends.
    fn upkeep(&mut self);

    /// Reads all events from the oldest to the newest; answers how many.
    fn iterate(&mut self) -> u64;
}
