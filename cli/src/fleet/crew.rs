//! Some devices of the fleet, and what becomes of them.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_host_sim::rng::Rng;

use super::processes::ask;
use crate::device::book::Book;
use crate::device::sim::{Board, Stop, Visit};

/// Of so many devices one has little room and gives up its oldest events.
const OVERWRITES_EACH: u64 = 10;
/// How long a device waits before it leaves, once it has delivered everything.
const LINGER: Duration = Duration::from_millis(60);
/// How often a device tries to deliver at the end before it counts as stuck.
const ATTEMPTS: u32 = 60;

/// What all devices meet.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The collector, and the relays before it.
    pub(crate) ways: Vec<SocketAddr>,
    /// Where the collector answers questions.
    pub(crate) http: SocketAddr,
    /// The probability that a frame is lost, in each direction.
    pub(crate) loss: f64,
    /// How many contacts each device has before the last ones.
    pub(crate) rounds: u32,
    /// Contacts that are over.
    pub(crate) contacts: AtomicU64,
}

/// What became of the boards with one number.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// The number.
    pub(crate) device: u64,
    /// What each board with it must have delivered.
    pub(crate) books: Vec<Book>,
    /// Power cuts.
    pub(crate) cuts: u32,
    /// How often a board was formatted again.
    pub(crate) formats: u32,
    /// Boards with a copy of another's flash.
    pub(crate) copies: u32,
    /// Copies that were not found out.
    pub(crate) undetected: u32,
    /// What should not have happened.
    pub(crate) complaints: Vec<String>,
}

/// One device number, with one board or two.
struct Member<'s> {
    around: &'s Surroundings,
    boards: Vec<Board>,
    fate: Fate,
    rng: Rng,
}

/// Lives the lives of the devices with these numbers.
pub(crate) fn live(numbers: Vec<u64>, seed: u64, around: &Surroundings) -> Vec<Fate> {
    let mut members: Vec<_> = numbers.into_iter().map(|number| Member::new(number, seed, around)).collect();
    for round in 0..around.rounds {
        for member in &mut members {
            member.round(round);
        }
    }
    for member in &mut members {
        member.finish();
    }
    members.into_iter().map(Member::fate).collect()
}

impl<'s> Member<'s> {
    fn new(number: u64, seed: u64, around: &'s Surroundings) -> Self {
        let mut rng = Rng::from_seed_and_stream(seed, number);
        let mut fate = Fate { device: number, ..Fate::default() };
        let overwrites = number.is_multiple_of(OVERWRITES_EACH);
        let boards = match Board::new(number, overwrites, Rng::from_seed(rng.next_u64())) {
            Ok(board) => vec![board],
            Err(stop) => {
                fate.complaints.push(stop.to_string());
                Vec::new()
            }
        };
        Self { around, boards, fate, rng }
    }

    fn round(&mut self, round: u32) {
        if round > 0 && self.boards.len() == 1 && self.rng.chance(0.04) {
            self.copy();
        }
        for index in 0..self.boards.len() {
            if round > 0 && self.rng.chance(0.05) {
                self.format(index);
            }
            // Those with little room record more than that now and then.
            let most = if self.fate.device.is_multiple_of(OVERWRITES_EACH) { 800 } else { 60 };
            let events = 10 + self.rng.below(most);
            let cut = self.rng.chance(0.4);
            self.record(index, events, cut);
            let within = if self.rng.chance(0.3) { 20 + self.rng.below(400) } else { 10_000 };
            let cut = self.rng.chance(0.3);
            self.contact(index, Duration::from_millis(within), cut);
            self.around.contacts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn complain(&mut self, stop: &Stop) {
        self.fate.complaints.push(format!("device {:016x}: {stop}", self.fate.device));
    }

    fn record(&mut self, index: usize, events: u64, cut: bool) {
        let Some(board) = self.boards.get_mut(index) else { return };
        match board.record(events, cut) {
            Ok(_) | Err(Stop::PowerCut) => {}
            Err(stop) => self.complain(&stop),
        }
    }

    fn format(&mut self, index: usize) {
        self.fate.formats += 1;
        let Some(board) = self.boards.get_mut(index) else { return };
        if let Err(stop) = board.format() {
            self.complain(&stop);
        }
    }

    /// One contact, by any of the ways. Answers whether everything was delivered.
    fn contact(&mut self, index: usize, within: Duration, cut: bool) -> bool {
        let way = *self.rng.pick(&self.around.ways);
        let Ok(stream) = TcpStream::connect(way) else {
            std::thread::sleep(Duration::from_millis(50));
            return false;
        };
        let _ = stream.set_nodelay(true);
        let visit = Visit { loss: self.around.loss, within, linger: LINGER, cut };
        let Some(board) = self.boards.get_mut(index) else { return false };
        match board.contact(stream, &visit) {
            Ok(delivered) => delivered,
            Err(Stop::PowerCut | Stop::Line(_)) => false,
            Err(stop) => {
                self.complain(&stop);
                false
            }
        }
    }

    /// Contacts until everything is delivered.
    fn deliver(&mut self, index: usize) -> bool {
        for attempt in 0..ATTEMPTS {
            if self.contact(index, Duration::from_secs(10), false) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(u64::from(attempt.min(20)) * 10));
        }
        false
    }

    /// A second board gets a copy of the flash. Both go on, both deliver: the one that comes second must be found out.
    /// It is formatted then, and both are welcome again.
    fn copy(&mut self) {
        let Some(copied) = self.boards.first().map(Board::copied) else { return };
        self.boards.push(copied);
        self.fate.copies += 1;
        for index in 0..2 {
            let events = 3 + self.rng.below(20);
            self.record(index, events, false);
        }
        let first = self.rng.below(2) as usize;
        if !self.deliver(first) {
            self.fate.complaints.push(format!("device {:016x}: it cannot deliver before its copy", self.fate.device));
        }
        let Some(identity) = self.boards.get_mut(first).map(Board::identity) else { return };
        let path = format!("/v1/logs/{:016x}/{}/{:016x}", identity.device, identity.log.0, identity.epoch.0);
        let mut found_out = false;
        for _ in 0..ATTEMPTS {
            self.contact(1 - first, Duration::from_secs(5), false);
            found_out = matches!(ask(self.around.http, "GET", &path), Ok((200, told)) if told.contains("\"reason\""));
            if found_out {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if !found_out {
            self.fate.undetected += 1;
        }
        self.format(1 - first);
        for _ in 0..ATTEMPTS {
            match ask(self.around.http, "POST", &format!("{path}/release")) {
                Ok((200, _)) => return,
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        self.fate.complaints.push(format!("device {:016x}: it cannot be released", self.fate.device));
    }

    fn finish(&mut self) {
        for index in 0..self.boards.len() {
            if !self.deliver(index) {
                self.fate.complaints.push(format!("device {:016x}: it cannot deliver", self.fate.device));
            }
            self.around.contacts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fate(mut self) -> Fate {
        for board in self.boards {
            self.fate.cuts += board.cuts;
            self.fate.books.push(board.book);
        }
        self.fate
    }
}
