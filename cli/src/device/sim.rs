//! A simulated device: a log in simulated flash, whose power fails, and its side of sync.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use embedded_storage::nor_flash::NorFlash;
use evenkeel_core::error::{AppendError, ExecuteError};
use evenkeel_core::{Epoch, Log, LogId, Maintained, Root, StreamId, Tracker};
use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::{Source, SourceIdentity};

use super::book::Book;
use super::meter::{Meter, MeterEvent};
use super::radio::{FRAME_BYTES, Line, Radio};

const UPLINK: Tracker = Tracker(0);
const STREAMS: u64 = 3;
const SCRATCH_BYTES: usize = 512;
const SECTOR_BYTES: usize = 1024;
/// Sectors of a device that keeps what has not been collected.
const SECTORS: usize = 24;
/// Sectors of a device that overwrites its oldest events: so few that some are lost.
const FEW_SECTORS: usize = 6;
/// A cut strikes at most so many words after it has been armed.
const CUT_WITHIN: u64 = 400;

type Flash = SimFlash<4, 4, SECTOR_BYTES>;
type Records = FlashLog<Flash, 8, 2>;

/// A board with a chip of flash.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    /// Its number.
    pub(crate) device: u64,
    /// What it must have delivered.
    pub(crate) book: Book,
    /// How often the power failed.
    pub(crate) cuts: u32,
    flash: Flash,
    retention: Retention,
    sectors: usize,
    formats: u32,
    boots: u32,
    rng: Rng,
}

/// Why a device stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Its power failed.
    PowerCut,
    /// Its log has failed while it had power: a bug of the log.
    Broken(String),
    /// The connection failed or was closed.
    Line(io::Error),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerCut => f.write_str("the power failed"),
            Self::Broken(what) => write!(f, "the log failed: {what}"),
            Self::Line(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Line(error)
    }
}

/// How a contact goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    /// The probability that a frame is lost, in each direction.
    pub(crate) loss: f64,
    /// How long the device can be reached.
    pub(crate) within: Duration,
    /// How long nobody may say anything, once everything is delivered, before the device leaves.
    pub(crate) linger: Duration,
    /// The power fails in the middle of it.
    pub(crate) cut: bool,
}

impl Board {
    /// A board that has been formatted. One that `overwrites` has little room, and gives up its oldest events.
    pub(crate) fn new(device: u64, overwrites: bool, mut rng: Rng) -> Result<Self, Stop> {
        let sectors = if overwrites { FEW_SECTORS } else { SECTORS };
        let flash = Flash::new(&ChipProfile::generic(4, 4, SECTOR_BYTES), sectors);
        let retention = if overwrites {
            Retention::OverwriteOldest(&[UPLINK])
        } else {
            Retention::OverwriteAcknowledged(&[UPLINK])
        };
        let rng = Rng::from_seed(rng.next_u64());
        let mut board =
            Self { device, book: Book::default(), cuts: 0, flash, retention, sectors, formats: 0, boots: 0, rng };
        board.format()?;
        Ok(board)
    }

    /// Another board with a copy of the same flash. Its facts are its own.
    pub(crate) fn copied(&self) -> Self {
        let mut copy = Self { flash: self.flash.fork(), ..self.clone() };
        copy.book.next_fact |= 1 << 40;
        copy.rng = Rng::from_seed_and_stream(self.device, 0xC0);
        copy
    }

    /// Whose log it is now.
    pub(crate) fn identity(&mut self) -> SourceIdentity {
        SourceIdentity { device: self.device, log: LogId(0), epoch: self.book.life().epoch }
    }

    fn records(&self) -> Result<Records, Stop> {
        let end = (self.sectors * SECTOR_BYTES) as u32;
        let region = Region::checked::<Flash>(0..end).map_err(|error| Stop::Broken(format!("{error:?}")))?;
        Ok(Records::new(self.flash.clone(), region.word_by_word(), self.retention))
    }

    /// Erases the chip and formats it, as somebody does who sets a board up anew: another life begins, and what was not
    /// collected is gone.
    pub(crate) fn format(&mut self) -> Result<(), Stop> {
        self.flash.disarm();
        self.flash.power_on();
        if self.formats > 0 {
            let mut scratch = [0; SCRATCH_BYTES];
            let log = Log::mount(self.records()?, &mut scratch).map_err(broken)?;
            let stored = log.tracked(UPLINK);
            self.book.life().formatted = Some(stored);
            self.book.under_way = None;
        }
        self.formats += 1;
        let mut chip = self.flash.clone();
        NorFlash::erase(&mut chip, 0, (self.sectors * SECTOR_BYTES) as u32).map_err(broken)?;
        let epoch = Epoch::new(self.formats, self.rng.next_u64() as u32);
        let identity = Identity { log: LogId(0), epoch };
        self.records()?.format(identity, &mut [0; SCRATCH_BYTES]).map_err(broken)?;
        self.book.begin(epoch);
        Ok(())
    }

    /// Switches the board on. Its first event settles what was under way when the power failed.
    fn boot<T>(
        &mut self,
        life: impl FnOnce(&mut Log<'_, Records>, &mut Alive<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.flash.disarm();
        self.flash.power_on();
        self.boots += 1;
        let mut scratch = [0; SCRATCH_BYTES];
        let mut log = Log::mount(self.records()?, &mut scratch).map_err(broken)?;
        let Self { device, book, flash, rng, boots, .. } = self;
        settle(&mut log, book)?;
        let mut alive = Alive { device: *device, book, flash, rng };
        let booted = *boots;
        let fact = alive.book.fact();
        alive.append(&mut log, 0, MeterEvent::Booted { fact, boot: booted })?;
        life(&mut log, &mut alive)
    }

    /// Records events, as many as there is room for, and answers how many; with a `cut`, until the power fails in the
    /// middle of it.
    pub(crate) fn record(&mut self, events: u64, cut: bool) -> Result<u64, Stop> {
        let recorded = self.boot(|log, alive| {
            if cut {
                alive.arm();
            }
            for count in 0..events {
                let (fact, value) = (alive.book.fact(), alive.rng.below(1 << 16) as u16);
                let stream = alive.rng.below(STREAMS);
                if !alive.append(log, stream, MeterEvent::Read { fact, value })? {
                    return Ok(count);
                }
            }
            Ok(events)
        });
        self.cuts += u32::from(matches!(recorded, Err(Stop::PowerCut)));
        recorded
    }

    /// Lets somebody pull its log over this line. Answers whether they have said that they have everything.
    pub(crate) fn contact(&mut self, line: impl Line, visit: &Visit) -> Result<bool, Stop> {
        let delivered = self.boot(|log, alive| {
            if visit.cut {
                alive.arm();
            }
            alive.deliver(log, line, visit)
        });
        self.cuts += u32::from(matches!(delivered, Err(Stop::PowerCut)));
        delivered
    }

    /// Writes what nobody has collected yet to frames, as a device does that pushes or that records on a card: who it is,
    /// then all events.
    pub(crate) fn pour(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Stop> {
        self.boot(|log, alive| {
            let identity = alive.identity(log);
            let mut source = Source::new(identity, UPLINK);
            let mut sink = evenkeel_sync::Sink::new(evenkeel_sync::SinkConfig::new(LogId(0)));
            let mut frame = [0; FRAME_BYTES];
            // The question that a HEAD answers.
            let mut nowhere = evenkeel_collector::SqliteStore::in_memory().map_err(broken)?;
            let hello = sink.poll(&mut nowhere, 0, &mut frame).map_err(broken)?.unwrap_or_default();
            let (records, scratch) = log.parts();
            source.handle(records, scratch, frame.get(..hello).unwrap_or_default()).map_err(broken)?;
            source.push(records, u32::MAX);
            while let Some(len) = source.poll(records, scratch, &mut frame).map_err(broken)? {
                take(frame.get(..len).unwrap_or_default())?;
            }
            Ok(())
        })
    }
}

fn broken(error: impl fmt::Debug) -> Stop {
    Stop::Broken(format!("{error:?}"))
}

/// Finds out what became of the event that was under way when the power failed, and whether all others are there.
fn settle(log: &mut Log<'_, Records>, book: &mut Book) -> Result<(), Stop> {
    let last = log.bounds().last();
    let known = book.life().last();
    let under_way = book.under_way.take();
    if last < known {
        book.lost_on_device += known.since(last);
        return Ok(());
    }
    if last > known {
        let found = log.next_notification(known).map_err(broken)?;
        let fact = found.and_then(|found| MeterEvent::fact_in(found.record()?.payload));
        if fact.is_none() || fact != under_way || last != known.next() {
            return Err(Stop::Broken(format!("position {} holds {fact:?} and not {under_way:?}", known.next())));
        }
        book.life().facts.extend(fact.map(|fact| (last.0, fact)));
    }
    Ok(())
}

/// A board that has power.
struct Alive<'a> {
    device: u64,
    book: &'a mut Book,
    flash: &'a Flash,
    rng: &'a mut Rng,
}

impl Alive<'_> {
    fn identity(&self, log: &mut Log<'_, Records>) -> SourceIdentity {
        SourceIdentity { device: self.device, log: LogId(0), epoch: log.records().identity().epoch }
    }

    fn arm(&mut self) {
        let mut cut = Cut::random(self.rng.below(CUT_WITHIN), 4, self.rng);
        // Cells that read differently every time are hunted elsewhere, without a collector.
        cut.weak = WeakRead::Off;
        self.flash.arm(cut);
    }

    fn failed(&self, error: impl fmt::Debug) -> Stop {
        if self.flash.is_powered() { broken(error) } else { Stop::PowerCut }
    }

    /// Appends an event; `false` if there is no room for it until something has been collected.
    fn append(&mut self, log: &mut Log<'_, Records>, stream: u64, event: MeterEvent) -> Result<bool, Stop> {
        let mut root: Root<Meter> = log.load_or_new(StreamId(stream)).map_err(|error| self.failed(error))?;
        for _ in 0..4 {
            self.book.under_way = Some(event.fact());
            match log.execute(&mut root, |_| Ok::<_, ()>([event])) {
                Ok(_) => {
                    let position = log.bounds().last();
                    self.book.life().facts.insert(position.0, event.fact());
                    self.book.under_way = None;
                    self.maintain(log)?;
                    return Ok(true);
                }
                Err(ExecuteError::Log(AppendError::Full { .. })) => {
                    self.book.under_way = None;
                    self.maintain(log)?;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(false)
    }

    fn maintain(&mut self, log: &mut Log<'_, Records>) -> Result<(), Stop> {
        for _ in 0..64 {
            match log.maintain::<(Meter,)>() {
                Ok(Maintained::More) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, log: &mut Log<'_, Records>, line: impl Line, visit: &Visit) -> Result<bool, Stop> {
        let mut source = Source::new(self.identity(log), UPLINK);
        let mut noise = Rng::from_seed(self.rng.next_u64());
        let mut radio = Radio::new(line, visit.loss, &mut noise);
        let mut frame = [0; FRAME_BYTES];
        let begun = Instant::now();
        let mut heard = Instant::now();
        while begun.elapsed() < visit.within {
            let delivered = log.tracked(UPLINK) >= log.bounds().last();
            if delivered && heard.elapsed() >= visit.linger {
                return Ok(true);
            }
            let received = match radio.receive(visit.linger.max(Duration::from_millis(5))) {
                // Whoever closes the connection when everything is delivered has had enough.
                Err(_) if delivered => return Ok(true),
                received => received?,
            };
            let Some(heard_frame) = received else { continue };
            heard = Instant::now();
            let (records, scratch) = log.parts();
            source.handle(records, scratch, &heard_frame).map_err(|error| self.failed(error))?;
            loop {
                let (records, scratch) = log.parts();
                let polled = source.poll(records, scratch, &mut frame).map_err(|error| self.failed(error))?;
                let Some(len) = polled else { break };
                radio.send(frame.get(..len).unwrap_or_default())?;
            }
        }
        Ok(log.tracked(UPLINK) >= log.bounds().last())
    }
}
