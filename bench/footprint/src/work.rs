//! What is done with each system: the same calls in the same order, between marks at which instructions are counted.

use evenkeel_firmware_kit::console::Console;
use evenkeel_firmware_kit::marks::span;
use evenkeel_firmware_kit::{exit, stack};

use crate::flash::{Flash, flash};

/// How many appends each span has.
pub const APPENDS: u32 = 200;
/// How many events are acknowledged.
pub const SEEN: u32 = 100;
/// Streams that are appended to in turn.
pub const STREAMS: u16 = 4;
/// The longest payload.
pub const LONGEST: usize = 64;

/// A system under test, on the flash of the machine.
pub trait System: Sized {
    /// A handle on this flash that has not looked at it yet; nothing if it fails.
    fn new(flash: Flash) -> Option<Self>;

    /// Makes a new store on the flash, which is blank.
    fn create(&mut self) -> Option<()>;

    /// Finds the store that the flash holds, as after a reboot.
    fn mount(&mut self) -> Option<()>;

    /// Gives the flash back, as a reboot would: nothing is said to the system.
    fn release(self) -> Flash;

    /// Stores an event. Durable when it returns.
    fn append(&mut self, stream: u16, version: u32, payload: &[u8]) -> Option<()>;

    /// Reads all events; answers how many.
    fn iterate(&mut self) -> Option<u32>;

    /// Says that the oldest `events` are not needed any more.
    fn acknowledge(&mut self, events: u32) -> Option<()>;

    /// Reads the events of one stream; answers how many. Nothing if the system has no streams.
    fn load(&mut self, stream: u16) -> Option<u32>;

    /// Whether it can do what `load` asks.
    const STREAMS: bool;
}

/// Does everything and ends the emulator: spans are appends of 16 bytes, appends of 64, reading all, acknowledging, a mount with
/// the first append, and a load. The console is told the depth of the stack in each.
pub fn measure<S: System>() -> ! {
    let mut console = Console::open();
    let events = everything::<S>(&mut console);
    console.text("ram ").number(size_of::<S>().saturating_sub(size_of::<Flash>()) as u64).end();
    console.text("events ").number(u64::from(events.unwrap_or(0))).end();
    exit(events.is_some())
}

/// Counts the instructions of `work` and measures its stack.
#[inline(always)]
fn measured<T>(console: &mut Console, name: &str, work: impl FnOnce() -> Option<T>) -> Option<T> {
    stack::paint();
    let answer = span(work);
    let depth = stack::used();
    console.text("stack ").text(name).text(" ").number(u64::from(depth)).end();
    answer
}

fn many<S: System>(system: &mut S, versions: &mut [u32; STREAMS as usize], payload: &[u8]) -> Option<()> {
    for turn in 0..APPENDS {
        let stream = (turn % u32::from(STREAMS)) as u16;
        let version = versions.get_mut(usize::from(stream))?;
        *version = version.wrapping_add(1);
        system.append(stream, *version, payload)?;
    }
    Some(())
}

#[inline(never)]
fn everything<S: System>(console: &mut Console) -> Option<u32> {
    let mut system = S::new(flash())?;
    system.create()?;
    let payload = core::hint::black_box([0x5A; LONGEST]);
    let (long, short) = (&payload, payload.get(..16)?);
    let mut versions = [0; STREAMS as usize];
    // What is done for the first time is not counted.
    many(&mut system, &mut versions, short)?;
    measured(console, "append16", || many(&mut system, &mut versions, short))?;
    measured(console, "append64", || many(&mut system, &mut versions, long))?;
    let events = measured(console, "iterate", || system.iterate())?;
    measured(console, "acknowledge", || system.acknowledge(SEEN))?;
    let flash = system.release();
    system = S::new(flash)?;
    let next = versions.first()?.wrapping_add(1);
    measured(console, "mount", || {
        system.mount()?;
        system.append(0, next, short)
    })?;
    if S::STREAMS {
        measured(console, "load", || system.load(1))?;
    }
    Some(events)
}
