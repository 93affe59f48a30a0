//! What the fuzz targets do, callable from a plain test: the corpus is replayed there, and mutated.
//!
//! An input is a byte that chooses a geometry, then an image or a list of operations.

use evenkeel_core::batch::Op;
use evenkeel_core::error::AppendError;
use evenkeel_core::{Kind, Log, Position, RecordManager, StreamId, Upkeep, Version};
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash};
use evenkeel_host_sim::rng::Rng;

use crate::contents::Contents;
use crate::life::live_through;
use crate::oracle::{Oracle, SCRATCH, Step, TestLog, UPLINK, identity, unmounted};

/// What mounting may read beside twice the region: some headers and the last sectors are read more than twice, each time as
/// much as fits the buffer.
pub const CONSTANT_BYTES: u64 = 10 * 1024;

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Bytes of the region.
    pub region: u64,
    /// Bytes read by mounting.
    pub mount_bytes: u64,
    /// Reads of mounting.
    pub mount_reads: u64,
    /// The most bytes that one call behind the mount has read.
    pub call_bytes: u64,
    /// Whether there was a log.
    pub mounted: bool,
}

/// The geometries that an input chooses from: words, reads, sectors in bytes, number of sectors, page.
pub const GEOMETRIES: [(usize, usize, usize, usize, usize); 4] =
    [(4, 4, 512, 3, 4), (1, 1, 256, 4, 64), (8, 1, 512, 4, 8), (32, 4, 1024, 3, 32)];

/// Any bytes as the content of the region: mounted, read in every way, written to, mounted again. Whatever the bytes
/// are, each call ends in work or in an error.
pub fn mount_image(input: &[u8]) -> Cost {
    let (choice, image) = input.split_first().unwrap_or((&0, &[]));
    match choice % 4 {
        0 => hostile::<4, 4, 512>(3, 4, image),
        1 => hostile::<1, 1, 256>(4, 64, image),
        2 => hostile::<8, 1, 512>(4, 8, image),
        _ => hostile::<32, 4, 1024>(3, 32, image),
    }
}

fn hostile<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize, image: &[u8]) -> Cost {
    let mut bytes = vec![0xFF; sectors * S];
    let len = image.len().min(bytes.len());
    bytes[..len].copy_from_slice(&image[..len]);
    let flash = SimFlash::<W, R, S>::from_image(&ChipProfile::generic(W, R, S).with_program_page(page), bytes);
    let mut cost = Cost { region: (sectors * S) as u64, ..Cost::default() };
    let mut scratch = [0; SCRATCH];
    let mounted = Log::mount(unmounted(&flash), &mut scratch);
    let read = flash.counters();
    (cost.mount_bytes, cost.mount_reads) = (read.read_bytes, read.read_calls);
    assert_eq!((read.write_calls, read.erases), (0, 0), "a mount writes");
    let Ok(mut log) = mounted else { return cost };
    cost.mounted = true;
    let mut seen = flash.counters().read_bytes;
    let mut measured = |flash: &SimFlash<W, R, S>| {
        let now = flash.counters().read_bytes;
        cost.call_bytes = cost.call_bytes.max(now - seen);
        seen = now;
    };
    let before = Contents::read(&mut log, &[0, 1, 3, u64::MAX]).ok();
    // Reading one by one, to see what a call costs.
    let mut at = Position(log.bounds().first.0.saturating_sub(1));
    measured(&flash);
    for _ in 0..64 {
        let next = log.next_notification(at).ok().flatten().map(|found| found.last());
        measured(&flash);
        let Some(next) = next else { break };
        at = next;
    }
    let mut stored = Vec::new();
    for turn in 0..6_u32 {
        let stream = if turn % 2 == 0 { 1 } else { 0xABCD };
        stored.extend(append(&mut log, stream, turn));
        measured(&flash);
        upkeep(&mut log);
        measured(&flash);
    }
    drop(log);
    // What was acknowledged is there, and so is what was read before and not let go.
    let mut scratch = [0; SCRATCH];
    match Log::mount(unmounted(&flash), &mut scratch) {
        Ok(mut log) => {
            if let Ok(after) = Contents::read(&mut log, &[1, 0xABCD]) {
                for (position, payload) in stored {
                    let found = after.events.get(&position).map(|event| event.payload.clone());
                    assert!(found.is_none_or(|found| found == payload), "another event at position {position}");
                }
                for (position, event) in before.iter().flat_map(|before| &before.events) {
                    let found = after.events.get(position);
                    assert!(found.is_none_or(|found| found == event), "position {position} was given to another event");
                }
            }
        }
        Err(error) => assert!(stored.is_empty(), "after {} appends: {error}", stored.len()),
    }
    // Words programmed twice are not held against the log here: an image can be made up so that something stands behind
    // what reads erased for longer than any log leaves it, and an append does not read ahead of itself.
    cost
}

/// Appends an event that follows what can be read of the stream; answers its position and payload.
fn append<const W: usize, const R: usize, const S: usize>(
    log: &mut Log<'_, TestLog<W, R, S>>,
    stream: u64,
    turn: u32,
) -> Option<(u64, Vec<u8>)> {
    let head = log.head(StreamId(stream)).ok()?;
    let (kind, version) = head.map_or((Kind(1), Version(1)), |head| (head.kind, head.version.next()));
    let payload = vec![turn as u8; 1 + turn as usize * 3];
    let op = Op::Event { stream: StreamId(stream), kind, schema: 0, version };
    let appended = log.append::<AppendError<_>>(|batch| {
        Ok(batch.push(op, |room| {
            room[..payload.len()].copy_from_slice(&payload);
            Ok(payload.len())
        })?)
    });
    Some((appended.ok()?.first.0, payload))
}

fn upkeep<const W: usize, const R: usize, const S: usize>(log: &mut Log<'_, TestLog<W, R, S>>) {
    let last = log.bounds().last();
    let _ = log.acknowledge(UPLINK, last);
    for _ in 0..30 {
        let (records, scratch) = log.parts();
        match records.upkeep(scratch) {
            Ok(Upkeep::Worked) => {}
            Ok(Upkeep::NeedsSnapshot { stream, kind }) => {
                let version = log.head(stream).ok().flatten().map_or(Version(0), |head| head.version);
                let op = Op::Snapshot { stream, kind, schema: 1, version };
                if log.append::<AppendError<_>>(|batch| Ok(batch.push(op, |_| Ok(0))?)).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// Operations and power cuts on a new log, held against a list of what must be there.
pub fn operations(input: &[u8]) {
    let (choice, rest) = input.split_first().unwrap_or((&0, &[]));
    match choice % 4 {
        0 => operate::<4, 4, 512>(3, 4, rest),
        1 => operate::<1, 1, 256>(4, 64, rest),
        2 => operate::<8, 1, 512>(4, 8, rest),
        _ => operate::<32, 4, 1024>(3, 32, rest),
    }
}

/// Operations at most, and cuts.
const LONGEST: usize = 400;

fn operate<const W: usize, const R: usize, const S: usize>(sectors: usize, page: usize, input: &[u8]) {
    let flash = SimFlash::<W, R, S>::new(&ChipProfile::generic(W, R, S).with_program_page(page), sectors);
    unmounted(&flash).mount_or_format(identity(), &mut [0; SCRATCH]).expect("a blank chip can be formatted");
    let mut oracle = Oracle::default();
    oracle.brief = true;
    let (mut steps, mut cuts) = (Vec::new(), Vec::new());
    // Two bytes an operation. Power fails in those behind a cut.
    for (nth, pair) in input.chunks_exact(2).take(LONGEST).enumerate() {
        let [what, how] = *pair else { break };
        let (stream, len) = (u64::from(what >> 4 & 3), usize::from(how) % (S / 8));
        match what & 15 {
            0..=7 => steps.push(Step::Append(vec![(stream, len)])),
            8 => steps.push(Step::Append(vec![(stream, len / 2), (u64::from(how & 3), len / 2)])),
            9 => steps.push(Step::Acknowledge(u64::from(how & 7))),
            10 | 11 => steps.push(Step::Maintain),
            12 => steps.push(Step::Restart),
            // Plain cuts: cells that flicker are what the sweeps are for.
            _ => {
                let mut rng = Rng::from_seed(u64::from(how) << 16 | nth as u64);
                let variants: Vec<_> = Cut::all_variants(u64::from(how), W);
                cuts.push(rng.pick(&variants[..variants.len() - 4]).with_seed(rng.next_u64()));
            }
        }
        if cuts.len() == 3 || steps.len() > 60 {
            live_through(&flash, &mut oracle, &steps, &cuts, false, |_, _, _| {});
            steps.clear();
            cuts.clear();
        }
    }
    oracle.brief = false;
    live_through(&flash, &mut oracle, &steps, &cuts, false, |_, _, _| {});
    flash.assert_no_violations();
}

/// Changes an input here and there, as a fuzzer does: bits, bytes, stretches copied, erased or random, other lengths.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    for _ in 0..1 << rng.below(5) {
        if input.is_empty() {
            input.push(rng.next_u8());
        }
        let len = input.len() as u64;
        let at = rng.below(len) as usize;
        let reach = 1 << rng.below(7);
        let count = (1 + rng.below(reach) as usize).min(input.len() - at);
        match rng.below(10) {
            0 | 1 => input[at] ^= 1 << rng.below(8),
            2 => input[at] = *rng.pick(&[0, 1, 0x7F, 0x80, 0xFE, 0xFF]),
            3 => input[at] = input[at].wrapping_add(rng.below(9) as u8).wrapping_sub(4),
            4 => input[at..at + count].fill(0xFF),
            5 => rng.fill(&mut input[at..at + count]),
            6 => {
                let from = rng.below(len - count as u64 + 1) as usize;
                input.copy_within(from..from + count, at);
            }
            7 if other.len() > at + count => input[at..at + count].copy_from_slice(&other[at..at + count]),
            8 => input.truncate(at + 1),
            _ => input[at..at + count].fill(0),
        }
    }
}

/// Any bytes as frames to a sink and to a source: the first byte says to whom, the rest are frames with a length byte before
/// each. If the top bit of that is set, a check that fits is put on, so that what is behind it is reached. Answers how many
/// were believed.
///
/// # Panics
/// If anything but events and gaps in order gets into the store, or the device takes for safe what is not stored.
pub fn sync_frames(input: &[u8]) -> u32 {
    let Some((to, input)) = input.split_first() else { return 0 };
    crate::hostile_frames::run(*to, input)
}

/// Any bytes as a byte stream: whatever comes out fits the room, and the reader is in step again after a zero. Answers how
/// many frames came out.
///
/// # Panics
/// If not.
pub fn sync_stream(input: &[u8]) -> u32 {
    use evenkeel_sync::stream::{FrameReader, packet_bytes_at_most, room_bytes, write_frame};

    let mut reader = FrameReader::new([0; room_bytes(92)]);
    let mut frames = 0;
    for byte in input.iter().chain(&[0]) {
        if let Some(frame) = reader.push(*byte) {
            assert!(frame.len() <= 92);
            frames += 1;
        }
    }
    let frame = &input[..input.len().min(92)];
    let mut packet = vec![0; packet_bytes_at_most(frame.len())];
    let len = write_frame(frame, &mut packet).expect("the room that is promised is enough");
    let found = packet[..len].iter().filter_map(|byte| reader.push(*byte).map(|frame| frame.to_vec())).last();
    assert_eq!(found.as_deref(), Some(frame));
    frames
}
