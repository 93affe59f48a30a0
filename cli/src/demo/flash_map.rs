//! What lies where in an image of the flash: format version 1, read from the outside.
//!
//! ```text
//! sector   = prepared frame* rest
//! prepared = magic "EK" u16, version u8, geometry u8 u8 u16, log u16, epoch u64, sequence u32, erases u24, crc u32
//! frame    = crc u32, length varint, ordinal u8, entry*, padding to whole words with zeros
//! ```
//!
//! What does not verify is shown as torn, up to the next place where a frame does. Nothing is trusted.

use evenkeel_core::bytes::ByteReader;

use crate::report::{Class, Role, Sector, Segment};

/// Bytes of a sector, and of a word, of the demo's flash.
pub(crate) const SECTOR: usize = 4096;
const WORD: usize = 4;
const PREPARED: usize = 28;
/// The most words that mark a new start.
const MARKS: usize = 2;

/// Reads every sector of an image; `erases` are the counts of the chip itself.
pub(crate) fn sectors(image: &[u8], erases: &[u32]) -> Vec<Sector> {
    let parsed = || image.chunks_exact(SECTOR).map(parse);
    let opened = || parsed().filter(|sector| sector.opened).filter_map(|sector| sector.sequence);
    let (oldest, newest) = (opened().min(), opened().max());
    parsed()
        .enumerate()
        .map(|(index, Parsed { sequence, opened, segments })| {
            let role = match sequence {
                None => Role::Free,
                Some(_) if !opened => Role::Prepared,
                _ if sequence == newest => Role::Head,
                _ if sequence == oldest => Role::Oldest,
                Some(_) => Role::Kept,
            };
            let erases = erases.get(index).copied().unwrap_or_default();
            Sector { sequence: sequence.map(u64::from), erases, role, segments }
        })
        .collect()
}

/// A sector as found.
struct Parsed {
    sequence: Option<u32>,
    /// It holds records, or could.
    opened: bool,
    segments: Vec<Segment>,
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut segments = Vec::new();
    let Some((sequence, seed)) = header(bytes) else {
        if let Some(end) = programmed(bytes, 0) {
            segments.push(segment(0, end, Class::Torn));
        }
        return Parsed { sequence: None, opened: false, segments };
    };
    segments.push(segment(0, PREPARED, Class::Header));
    let (mut at, mut opened, mut kinds) = (PREPARED, false, [0; 0x60]);
    while let Some(end) = programmed(bytes, at) {
        let next = (at..end).step_by(WORD).find_map(|start| Some((start, frame(bytes, start, seed)?)));
        let (start, frame_end) = next.unwrap_or((end, end));
        let marks = if frame_end > start { before_marks(bytes, at, start) } else { start };
        gap(bytes, at, marks, &mut segments);
        if start > marks {
            segments.push(segment(marks, start, Class::Tracker));
        }
        if frame_end > start {
            opened |= entries(bytes, start, frame_end, &mut kinds, &mut segments).is_some_and(|first| first == OPEN);
        }
        at = frame_end.next_multiple_of(WORD).max(start);
    }
    Parsed { sequence: Some(sequence), opened, segments }
}

fn segment(start: usize, end: usize, class: Class) -> Segment {
    Segment { start: start as u32, len: end.saturating_sub(start) as u32, class }
}

/// Adds what lies between two frames: the remains of a write, and what was kept clear of them.
fn gap(bytes: &[u8], from: usize, to: usize, segments: &mut Vec<Segment>) {
    let torn = bytes.get(..to).and_then(|bytes| programmed(bytes, from)).unwrap_or(from);
    for (start, end, class) in [(from, torn, Class::Torn), (torn, to, Class::Free)] {
        if end > start {
            segments.push(segment(start, end, class));
        }
    }
}

/// Where the last programmed word from `at` on ends; `None` if all of them are erased.
fn programmed(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let last = rest.iter().rposition(|byte| *byte != 0xFF)?;
    Some((at + last + 1).next_multiple_of(WORD))
}

/// Where the marks of a new start begin that stand right before a frame: words of zeros, which no frame begins with.
fn before_marks(bytes: &[u8], at: usize, start: usize) -> usize {
    let between = bytes.get(at..start).unwrap_or_default();
    let marks = between.rchunks_exact(WORD).take(MARKS).take_while(|word| **word == [0; WORD]).count();
    start - marks * WORD
}

/// The sequence of a sector with a valid header, and what its frames are seeded with.
fn header(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.get(..PREPARED)?;
    let mut input = ByteReader::new(header);
    if input.slice(3)? != b"EK\x01" {
        return None;
    }
    input.slice(4)?;
    let identity = input.slice(10)?;
    let sequence = input.u32()?;
    input.slice(3)?;
    let seed = crc([identity, &sequence.to_le_bytes()]);
    (stored(crc([header.get(..24)?])) == input.u32()?).then_some((sequence, seed))
}

/// Where the frame at `start` ends, if there is one.
fn frame(bytes: &[u8], start: usize, seed: u32) -> Option<usize> {
    let mut input = ByteReader::new(bytes.get(start..)?);
    let told = input.u32()?;
    let len = usize::try_from(input.varint()?).ok()?;
    let body = input.slice(len)?;
    let end = bytes.len() - input.rest().len();
    let checked = bytes.get(start + 4..end)?;
    (body.len() >= 2 && stored(crc([&(seed ^ start as u32).to_le_bytes(), checked])) == told).then_some(end)
}

const MORE: u8 = 0x80;
const INTRODUCTION: u8 = 0x60;
const INLINE: u8 = 0x64;
const SNAPSHOT: u8 = 0x68;
const TRACK: u8 = 0x6C;
const OPEN: u8 = 0x6D;
const RESUME: u8 = 0x6E;
const CLOSE: u8 = 0x6F;
const ERASE: u8 = 0x70;
const LOST: u8 = 0x71;
const DIGEST: u8 = 0x72;
const LEFT: u8 = 0x73;
const OLDEST: u8 = 0x75;

/// Adds what stands in the frame from `start` to `end`; answers the tag of its first entry.
fn entries(bytes: &[u8], start: usize, end: usize, kinds: &mut [u8; 0x60], segments: &mut Vec<Segment>) -> Option<u8> {
    let mut input = ByteReader::new(bytes.get(start..end)?);
    input.u32()?;
    input.varint()?;
    input.u8()?;
    let (mut from, mut first) = (start, None);
    while let Some(tag) = input.u8() {
        first = first.or(Some(tag & !MORE));
        let class = entry(tag & !MORE, &mut input, kinds);
        let payload = matches!(class, Some(Class::Event(_) | Class::Snapshot)) || tag & !MORE == DIGEST;
        match (class, tag & MORE != 0) {
            (None, _) => break,
            (Some(_), true) if payload => {
                let len = input.varint().and_then(|len| usize::try_from(len).ok());
                if len.and_then(|len| input.slice(len)).is_none() {
                    break;
                }
            }
            (Some(_), true) => {}
            (Some(_), false) => {
                input.slice(input.rest().len());
            }
        }
        // What stands before the first entry, and the padding behind the last, is counted with them.
        let rest = input.rest().len();
        let to = if rest == 0 { end.next_multiple_of(WORD) } else { end - rest };
        segments.push(segment(from, to, class.unwrap_or(Class::Tracker)));
        from = to;
    }
    if from < end {
        segments.push(segment(from, end.next_multiple_of(WORD), Class::Torn));
    }
    first
}

/// Reads the head of an entry behind its tag: what it is.
fn entry(tag: u8, input: &mut ByteReader<'_>, kinds: &mut [u8; 0x60]) -> Option<Class> {
    let named = |input: &mut ByteReader<'_>| {
        let kind = input.u8()?;
        if tag & 1 != 0 {
            input.u8()?; // a schema
        }
        let numbers = if tag & 2 != 0 { 3 } else { 2 };
        (0..numbers).try_for_each(|_| input.varint().map(drop))?;
        Some(kind)
    };
    let what = if (INTRODUCTION..TRACK).contains(&tag) { tag & !3 } else { tag };
    Some(match what {
        INTRODUCTION => {
            let slot = input.u8()?;
            let kind = named(input)?;
            *kinds.get_mut(usize::from(slot))? = kind;
            Class::Event(kind)
        }
        INLINE => Class::Event(named(input)?),
        SNAPSHOT => {
            named(input)?;
            Class::Snapshot
        }
        TRACK => {
            input.u8()?;
            input.varint()?;
            Class::Tracker
        }
        OPEN => {
            (0..5).try_for_each(|_| input.varint().map(drop))?;
            Class::Header
        }
        RESUME | ERASE => {
            input.varint()?;
            Class::Tracker
        }
        DIGEST => Class::Header,
        LEFT | OLDEST => {
            input.varint()?;
            Class::Header
        }
        LOST => {
            (0..2).try_for_each(|_| input.varint().map(drop))?;
            Class::Header
        }
        CLOSE => Class::Tracker,
        slot => {
            input.u8()?;
            Class::Event(*kinds.get(usize::from(slot))?)
        }
    })
}

/// The CRC-32 of ISO-HDLC, bit by bit: there is little to check.
fn crc<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    };
    !parts.into_iter().flatten().fold(u32::MAX, step)
}

/// As it is stored: never all zeros or all ones.
fn stored(crc: u32) -> u32 {
    match crc {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        crc => crc,
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{Aggregate, Epoch, Kind, Log, LogId, Root, Snapshot, Tracker};
    use evenkeel_flash_store::{FlashLog, Identity, Region, Retention};
    use evenkeel_host_sim::flash::{Cut, Nrf52840Flash, TornWord};

    use super::*;

    const REGION: Region = Region::new::<Nrf52840Flash>(0..4 * SECTOR as u32).word_by_word();

    #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
    struct Count(u32);

    impl Aggregate for Count {
        const KIND: Kind = Kind(9);
        type Event = u32;
        fn apply(&mut self, by: &u32) {
            self.0 += by;
        }
    }

    impl Snapshot for Count {
        const SCHEMA: u8 = 1;
    }

    fn log<'b>(flash: &Nrf52840Flash, scratch: &'b mut [u8; 256]) -> Log<'b, FlashLog<Nrf52840Flash>> {
        let mut log = FlashLog::new(flash.clone(), REGION, Retention::Refuse);
        let identity = Identity { log: LogId(3), epoch: Epoch::new(1, 77) };
        log.mount_or_format(identity, scratch).unwrap();
        Log::mount(log, scratch).unwrap()
    }

    fn count(sectors: &[Sector], class: Class) -> usize {
        sectors.iter().flat_map(|sector| &sector.segments).filter(|segment| segment.class == class).count()
    }

    /// Segments rise, do not overlap, and cover all that is programmed.
    fn check(image: &[u8], sectors: &[Sector]) {
        for (bytes, sector) in image.chunks(SECTOR).zip(sectors) {
            let mut end = 0;
            for Segment { start, len, .. } in &sector.segments {
                assert!(*start == end && *len > 0, "{sector:?}");
                end = start + len;
            }
            assert!(bytes[end as usize..].iter().all(|byte| *byte == 0xFF), "{sector:?}");
        }
    }

    #[test]
    fn every_record_of_a_log_is_found() {
        let flash = Nrf52840Flash::blank(4);
        let mut scratch = [0; 256];
        let mut log = log(&flash, &mut scratch);
        let mut roots = [7, 1 << 40].map(Root::<Count>::new);
        for by in 0..600 {
            log.execute(&mut roots[by as usize % 2], |_| Ok::<_, ()>([by, 1])).unwrap();
        }
        log.take_snapshot(&mut roots[0]).unwrap();
        log.acknowledge(Tracker(0), log.bounds().last()).unwrap();
        log.maintain::<(Count,)>().unwrap();
        let image = flash.image();
        let sectors = sectors(&image, &flash.erase_counts());
        check(&image, &sectors);
        assert_eq!((count(&sectors, Class::Event(9)), count(&sectors, Class::Torn)), (1_200, 0));
        assert!(count(&sectors, Class::Snapshot) == 1 && count(&sectors, Class::Tracker) > 0);
        let roles: Vec<_> = sectors.iter().map(|sector| sector.role).collect();
        assert_eq!(roles, [Role::Oldest, Role::Kept, Role::Head, Role::Prepared]);
        assert_eq!(sectors.iter().map(|sector| sector.erases).collect::<Vec<_>>(), flash.erase_counts());
    }

    #[test]
    fn what_a_cut_has_torn_is_shown_as_torn() {
        let flash = Nrf52840Flash::blank(4);
        let mut root = Root::<Count>::new(7);
        {
            let mut scratch = [0; 256];
            let mut log = log(&flash, &mut scratch);
            log.execute(&mut root, |_| Ok::<_, ()>([1])).unwrap();
            flash.arm(Cut { word: TornWord::BytePrefix(2), ..Cut::after(1) });
            log.execute(&mut root, |_| Ok::<_, ()>([2])).unwrap_err();
        }
        flash.power_on();
        let mut scratch = [0; 256];
        log(&flash, &mut scratch).execute(&mut root, |_| Ok::<_, ()>([3])).unwrap();
        let image = flash.image();
        let sectors = sectors(&image, &flash.erase_counts());
        check(&image, &sectors);
        assert!(count(&sectors, Class::Torn) >= 1 && count(&sectors, Class::Event(9)) >= 2, "{sectors:?}");
    }

    #[test]
    fn any_bytes_can_be_shown() {
        let flash = Nrf52840Flash::blank(4);
        for seed in 0..20 {
            flash.scramble(seed);
            let mut image = flash.image();
            image[..7].copy_from_slice(b"EK\x01\x0C\x22\x04\x00");
            let sectors = sectors(&image, &[]);
            assert!(sectors.iter().all(|sector| sector.role == Role::Free));
            check(&image, &sectors);
        }
    }
}
