//! Reading the notification log by position.

use evenkeel_core::error::ReadError;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{GapReason, Notification, Position, Record, Version};

use super::flash_log::FlashLog;
use super::rest::Rest;
use super::streams::DOUBTS;
use super::walk::{Step, Walk};
use super::{NorFlash, face};
use crate::format::entry::{Head, Named};
use crate::table::{Directory, Listed, version_after};

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
struct Event {
    sector: u32,
    at: u32,
    len: u32,
}

/// What was found at a position.
#[derive(Debug, Clone, Copy)]
enum Located {
    Event(Event, Listed),
    Gap { first: Position, last: Position },
}

/// Where reading by position has got to: the next position is usually the one asked for next.
#[derive(Debug, Clone)]
pub(crate) struct Reader<const SLOTS: usize> {
    place: Option<Resting>,
    directory: Directory<SLOTS>,
}

#[derive(Debug, Clone)]
struct Place {
    sequence: u32,
    base: Position,
    walk: Walk,
}

/// A place between two reads.
#[derive(Debug, Clone)]
struct Resting {
    sequence: u32,
    base: Position,
    walk: Rest,
}

impl Resting {
    fn of(place: &Place) -> Self {
        Self { sequence: place.sequence, base: place.base, walk: Rest::of(&place.walk) }
    }

    /// The position of the next event that the walk comes to, if nothing is missing before it.
    fn next(&self) -> Position {
        self.base.plus(u64::from(self.walk.ordinal))
    }
}

impl<const SLOTS: usize> Reader<SLOTS> {
    pub(crate) const fn new() -> Self {
        Self { place: None, directory: Directory::new() }
    }

    pub(crate) fn forget(&mut self) {
        self.place = None;
    }

    /// Takes in the head of an event (or other entry): whose event it is.
    fn list(&mut self, head: &Head, local: bool) -> Option<Listed> {
        let listed = |named: &Named| Listed {
            stream: named.stream,
            version: named.version,
            kind: named.kind,
            schema: named.schema,
        };
        match head {
            Head::Introduction { slot, named } => {
                self.directory.introduce(*slot, listed(named));
                Some(listed(named))
            }
            Head::Inline { named } => Some(listed(named)),
            Head::Event { slot, version_low } => self.directory.advance(*slot, *version_low, local),
            _ => None,
        }
    }
}

#[face]
impl<F: NorFlash, const SLOTS: usize, const TRACKERS: usize> FlashLog<F, SLOTS, TRACKERS> {
    /// What stands at the position after `after`.
    pub(crate) async fn notification_after<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<F::Error>> {
        let wanted = after.next();
        let mut tries = 0;
        let (Event { sector, at, len }, Listed { stream, version, kind, schema }) = loop {
            self.settle(scratch).await?;
            let bounds = self.log_bounds();
            if wanted < bounds.first {
                let (first, count) = self.overwritten;
                if count > 0 && wanted >= first {
                    let (last, reason) = (bounds.first.previous(), GapReason::Overwritten);
                    return Ok(Some(Notification::Gap { first: wanted, last, reason }));
                }
                return Err(ReadError::Trimmed { first: bounds.first });
            }
            if wanted > bounds.next {
                return Err(ReadError::BeyondEnd { next: bounds.next });
            }
            if wanted == bounds.next {
                return Ok(None);
            }
            let located = self.locate(wanted, scratch).await?;
            tries = u32::saturating_add(tries, 1);
            match located {
                Located::Event(event, listed) if self.is_certain(event.sector, event.at, scratch).await? => {
                    break (event, listed);
                }
                Located::Gap { first, last } if tries > DOUBTS || !self.in_doubt(last) => {
                    return Ok(Some(Notification::Gap { first, last, reason: GapReason::Corrupt }));
                }
                // What was read at the mount may not be read every time now: look again.
                _ if tries <= DOUBTS => {
                    scratch.bytes_mut(); // read it anew
                }
                _ => return Ok(Some(gap(wanted, wanted))),
            }
        };
        let payload = self.payload(sector, at, len, scratch).await?;
        let record = Record { stream, kind, version, schema, position: Some(wanted), payload };
        Ok(Some(Notification::Event(record)))
    }

    /// Whether what stands at positions up to `last` may not be read every time now: the last frame before an unclean
    /// stop, until the next append repeats it.
    fn in_doubt(&self, last: Position) -> bool {
        self.newest.torn && last == self.log_bounds().last()
    }

    /// Finds the event at this position, or how many are missing from there on.
    async fn locate(&mut self, wanted: Position, scratch: &mut Scratch<'_>) -> Result<Located, ReadError<F::Error>> {
        let last = self.log_bounds().last();
        let mut place = match self.reader.place.take() {
            Some(place) if place.sequence >= self.oldest.0 && place.base <= wanted && place.next() <= wanted => {
                let Resting { sequence, base, walk } = place;
                Place { sequence, base, walk: walk.resume(self.walk(sequence, 0)) }
            }
            _ => self.seek(wanted, scratch).await?,
        };
        loop {
            let end = self.end_of(place.sequence);
            let Some(Step { head, local, payload: (at, len), ordinal }) =
                self.medium.step(&mut place.walk, end, scratch).await?
            else {
                if place.sequence >= self.newest.sequence {
                    // The events counted at mount no longer verify.
                    return Ok(Located::Gap { first: wanted, last });
                }
                let next = self.enter_sector(place.sequence.saturating_add(1), scratch).await?;
                if next.base > wanted {
                    let last = next.base.previous().min(last);
                    self.reader.place = Some(Resting::of(&next));
                    return Ok(Located::Gap { first: wanted, last });
                }
                place = next;
                continue;
            };
            let listed = self.reader.list(&head, local);
            if local || !head.is_event() {
                continue;
            }
            let position = place.base.plus(u64::from(ordinal));
            if position < wanted {
                continue;
            }
            if position > wanted {
                // Events are missing before this one: it is read again when its turn comes.
                return Ok(Located::Gap { first: wanted, last: position.previous().min(last) });
            }
            let listed = match listed {
                Some(listed) => Some(listed),
                None => self.resolve(&place, ordinal, scratch).await?,
            };
            let sector = place.walk.sector;
            self.reader.place = Some(Resting::of(&place));
            return Ok(match listed {
                Some(listed) => Located::Event(Event { sector, at, len }, listed),
                None => Located::Gap { first: wanted, last: wanted },
            });
        }
    }

    /// Goes to the sector that holds this position: the last one whose base is not beyond it.
    async fn seek(&mut self, wanted: Position, scratch: &mut Scratch<'_>) -> Result<Place, ReadError<F::Error>> {
        let (mut low, mut high) = (self.oldest.0, self.newest.sequence);
        while low < high {
            let middle = low.saturating_add(high.saturating_sub(low).saturating_add(1) >> 1);
            // A sector without a readable header is passed over.
            let mut probe = middle;
            let base = loop {
                if probe >= self.newest.sequence {
                    break self.newest.base;
                }
                if let Some(opened) = self.opened(self.identity, probe, scratch).await? {
                    break opened.base;
                }
                probe = probe.saturating_add(1);
            };
            if base <= wanted {
                low = probe.max(middle);
            } else {
                high = middle.saturating_sub(1);
            }
        }
        self.enter_sector(low, scratch).await
    }

    /// Starts at the beginning of this sector, or of the next one whose header can be read.
    async fn enter_sector(&mut self, sequence: u32, scratch: &mut Scratch<'_>) -> Result<Place, ReadError<F::Error>> {
        self.reader.directory.clear();
        let mut sequence = sequence;
        while sequence < self.newest.sequence {
            if let Some((base, walk)) = self.walk_with_base(sequence, scratch).await? {
                return Ok(Place { sequence, base, walk });
            }
            sequence = sequence.saturating_add(1);
        }
        let sequence = self.newest.sequence;
        let mut offset = 0;
        for _ in 0..DOUBTS {
            scratch.bytes_mut(); // read it anew
            if let Some(opened) = self.opened(self.identity, sequence, scratch).await? {
                offset = opened.frame.at;
                break;
            }
        }
        Ok(Place { sequence, base: self.newest.base, walk: self.walk(sequence, offset) })
    }

    /// Whose event this is, of a sector with more slots than this program keeps: found by going through the sector
    /// for the one slot.
    async fn resolve(
        &mut self,
        place: &Place,
        ordinal: u32,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Listed>, ReadError<F::Error>> {
        let end = self.end_of(place.sequence);
        let mut slot = None;
        // First which slot it is, then whose, as both come in one order.
        for found in [false, true] {
            let Some(mut walk) = self.walk_of(place.sequence, scratch).await? else { return Ok(None) };
            let mut listed: Option<Listed> = None;
            while let Some(step) = self.medium.step(&mut walk, end, scratch).await? {
                match step.head {
                    Head::Introduction { slot: of, named } if found && Some(of) == slot => {
                        let Named { stream, version, kind, schema, .. } = named;
                        listed = Some(Listed { stream, version, kind, schema });
                    }
                    Head::Event { slot: of, version_low } if found && Some(of) == slot => {
                        if let Some(listed) = &mut listed {
                            listed.version = version_after(listed.version, version_low, step.local);
                        }
                    }
                    Head::Event { slot: of, .. } if !step.local && step.ordinal == ordinal => slot = Some(of),
                    _ => {}
                }
                if step.head.is_event() && !step.local && step.ordinal == ordinal {
                    break;
                }
            }
            if found {
                return Ok(listed.filter(|listed| listed.version > Version::NONE));
            }
        }
        Ok(None)
    }
}

fn gap(first: Position, last: Position) -> Notification<'static> {
    Notification::Gap { first, last, reason: GapReason::Corrupt }
}
