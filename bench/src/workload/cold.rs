//! Taking up a store after a stop, and the first append.

use super::{Figures, Source, Work};
use crate::flash::CountingFlash;
use crate::systems::{Level, System, Which};

/// Bytes of the payloads that large stores are filled with, as it is their sectors that matter.
const BULK: usize = 128;

/// Larger rings are filled with such payloads, and not gone round twice.
const TURNING: usize = 64;
/// Sectors before those that are tried that hold events as they do.
const FINE: usize = 4;
/// Places of the newest sector in the ring that are tried, equally far apart.
pub const PLACES: usize = 8;
/// Events between two states that are tried.
const STRIDE: usize = 4;

/// Fills a store so that the newest sector stands at each of [`PLACES`] places of the ring in turn; there at `fills` states
/// of the newest sectors takes it up, knowing nothing, and appends one event. `closed` says whether the stop before was
/// announced.
///
/// A ring of up to 64 sectors has been gone round once before, so that the oldest give way. A larger one is seen
/// while it is filled for the first time, up to the last place, where it is full.
#[must_use]
pub fn cold<const WORD: usize, const BYTES: usize>(work: &Work, fills: u64, closed: bool) -> Figures {
    // A queue is filled with its cache, whatever it is taken up with: it writes the same.
    let filler = match work.which {
        Which::Queue { tagged, .. } => Work { which: Which::Queue { level: Level::Pointers, tagged }, ..*work },
        _ => *work,
    };
    let flash = CountingFlash::<WORD, BYTES>::blank(work.sectors);
    let mut system = filler.open(&flash, true);
    let mut source = Source::new(&filler);
    let step = work.sectors / PLACES;
    go_on(&filler, &mut source, &mut *system, &flash, if work.sectors > TURNING { step } else { work.sectors });
    let (mut reads, mut worst, mut mounting, mut bytes, mut read_bytes) = (0, 0, 0, 0, 0);
    for place in 0..PLACES {
        if place > 0 {
            go_on(&filler, &mut source, &mut *system, &flash, step);
        }
        for _ in 0..fills {
            for _ in 0..STRIDE {
                source.append(&mut *system);
                source.idle(&mut *system);
            }
            if closed {
                system.close();
            }
            let flash = flash.fork();
            let start = flash.counters();
            let mut fresh = work.open(&flash, false);
            mounting += flash.counters().since(&start).reads;
            Source { ..source }.append(&mut *fresh);
            let done = flash.counters().since(&start);
            reads += done.reads;
            worst = worst.max(done.reads);
            bytes += done.written_bytes;
            read_bytes += done.read_bytes;
        }
    }
    let fills = fills * PLACES as u64;
    let mean = |sum: u64| sum as f64 / fills as f64;
    vec![
        ("reads", mean(reads)),
        ("reads_worst", worst as f64),
        ("mount_reads", mean(mounting)),
        ("read_bytes", mean(read_bytes)),
        ("bytes", mean(bytes)),
    ]
}

/// Uses up about so many sectors more, the last of them with events as those that are tried.
fn go_on<const WORD: usize, const BYTES: usize>(
    work: &Work,
    source: &mut Source,
    system: &mut dyn System,
    flash: &CountingFlash<WORD, BYTES>,
    sectors: usize,
) {
    let can_mix = matches!(work.which, Which::Evenkeel | Which::Queue { .. });
    if work.which == Which::Ekv && source.calls > 0 {
        return; // a tree has no place that moves around
    }
    if work.sectors > TURNING && can_mix {
        source.payload = BULK;
        source.fill(work, system, flash, sectors - FINE);
        source.payload = work.payload;
        source.fill(work, system, flash, FINE);
    } else {
        source.fill(work, system, flash, sectors);
    }
}
