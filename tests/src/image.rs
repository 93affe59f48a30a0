//! The flash format, written by a second hand: images of logs that no run of the log would come to.
//!
//! Made from `docs/format.md` alone, so that what the log and its document disagree about is noticed too.

use crc::{CRC_32_ISO_HDLC, Crc};

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What all sectors of an image have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a word.
    pub word: usize,
    /// Bytes of a program page.
    pub page: usize,
    /// Bytes of a sector.
    pub sector: usize,
    /// Number of sectors.
    pub sectors: usize,
    /// The format version in the headers.
    pub version: u8,
    /// The log's number.
    pub log: u16,
    /// Its life.
    pub epoch: u64,
}

/// The second part of a sector's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// The position of the first event.
    pub base: u64,
    /// The sequence number of the oldest sector in use.
    pub oldest: u32,
    /// The moment of opening: boot and tick.
    pub moment: (u32, u64),
}

/// An event that introduces its stream: of kind 1, schema 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduced {
    /// The stream.
    pub stream: u64,
    /// Its version with this event.
    pub version: u32,
    /// How many sectors back it was before.
    pub back: u32,
}

/// Bytes of the first part of a header.
const PREPARED: usize = 28;

const INTRODUCTION: u8 = 0x60;
const INLINE: u8 = 0x64;
const SNAPSHOT: u8 = 0x68;
const TRACK: u8 = 0x6C;
/// The tag of the second part of a header.
pub const OPEN: u8 = 0x6D;
const RESUME: u8 = 0x6E;
/// The tag of a clean stop.
pub const CLOSE: u8 = 0x6F;
const ERASE: u8 = 0x70;
const LOST: u8 = 0x71;
const DIGEST: u8 = 0x72;
const LEFT: u8 = 0x73;
/// Flags of a tag that names a stream.
const TELLS_SCHEMA: u8 = 1;
const TELLS_BACK: u8 = 2;
/// The flag of a tag behind which another entry follows.
const MORE: u8 = 0x80;

fn stored(crc: u32) -> [u8; 4] {
    match crc {
        0 => 1_u32,
        u32::MAX => u32::MAX - 1,
        crc => crc,
    }
    .to_le_bytes()
}

/// LEB128.
pub fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

impl Geometry {
    /// A blank region.
    #[must_use]
    pub fn blank(&self) -> Vec<u8> {
        vec![0xFF; self.sector * self.sectors]
    }

    fn start(&self, sequence: u32) -> usize {
        sequence as usize % self.sectors * self.sector
    }

    /// Writes the first part of the header of the sector with this sequence number, where it belongs.
    pub fn prepare(&self, image: &mut [u8], sequence: u32, erases: u32) {
        let log2 = |bytes: usize| bytes.trailing_zeros() as u8;
        let mut bytes = vec![0x45, 0x4B, self.version, log2(self.sector), log2(self.word) << 4 | log2(self.page)];
        bytes.extend((self.sectors as u16).to_le_bytes());
        bytes.extend(self.log.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(sequence.to_le_bytes());
        bytes.extend(&erases.to_le_bytes()[..3]);
        let crc = stored(CRC.checksum(&bytes));
        bytes.extend(crc);
        let at = self.start(sequence);
        image[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// Writes a frame with these entries at this offset of the sector; answers where the next one goes.
    pub fn frame(&self, image: &mut [u8], sequence: u32, offset: usize, ordinal: u8, entries: &[u8]) -> usize {
        let mut seeded = self.log.to_le_bytes().to_vec();
        seeded.extend(self.epoch.to_le_bytes());
        seeded.extend(sequence.to_le_bytes());
        let seed = CRC.checksum(&seeded);
        let mut body = Vec::new();
        varint(entries.len() as u64 + 1, &mut body);
        body.push(ordinal);
        body.extend(entries);
        let mut digest = CRC.digest();
        digest.update(&(seed ^ offset as u32).to_le_bytes());
        digest.update(&body);
        let at = self.start(sequence) + offset;
        image[at..at + 4].copy_from_slice(&stored(digest.finalize()));
        image[at + 4..at + 4 + body.len()].copy_from_slice(&body);
        let next = padded(self.word, offset + 4 + body.len(), &body);
        image[at + 4 + body.len()..at + next - offset].fill(0);
        next
    }

    /// Where the second part of a sector's header stands, if it was never begun with.
    #[must_use]
    pub fn first_place(&self) -> usize {
        PREPARED.next_multiple_of(self.word)
    }

    /// Writes the second part of the header; answers where the first frame goes.
    pub fn open(&self, image: &mut [u8], sequence: u32, open: &Open) -> usize {
        let mut entry = vec![OPEN];
        // No sector was the newest before it.
        for number in [open.base, u64::from(open.oldest), 0, u64::from(open.moment.0), open.moment.1] {
            varint(number, &mut entry);
        }
        self.frame(image, sequence, self.first_place(), 0, &entry)
    }
}

impl Introduced {
    /// The entry, under a slot, as the last of its frame.
    #[must_use]
    pub fn entry(&self, slot: u8, payload: &[u8]) -> Vec<u8> {
        let mut entry = vec![INTRODUCTION | TELLS_BACK, slot, 1];
        varint(self.stream, &mut entry);
        varint(u64::from(self.version), &mut entry);
        varint(u64::from(self.back), &mut entry);
        entry.extend(payload);
        entry
    }
}

/// Gives all headers of an image this format version or this geometry, with checksums that fit: bytes 2, and 3 to 6.
pub fn patch_headers(image: &mut [u8], sector: usize, patch: impl Fn(&mut [u8])) {
    for header in image.chunks_exact_mut(sector) {
        if header[..2] == *b"EK" {
            patch(&mut header[..24]);
            let crc = stored(CRC.checksum(&header[..24]));
            header[24..28].copy_from_slice(&crc);
        }
    }
}

/// The slot that an event has, and whether the event introduces it.
pub type Slot = (Option<u8>, bool);

/// A frame that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The bytes of its words in the image.
    pub bytes: std::ops::Range<usize>,
    /// The positions of its events; empty if it has none.
    pub positions: std::ops::Range<u64>,
    /// The tags of its entries.
    pub tags: Vec<u8>,
    /// The slot of each of its events, if it has one, and whether the event introduces it.
    pub slots: Vec<Slot>,
}

/// A sector with a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sector {
    /// Its bytes in the image.
    pub bytes: std::ops::Range<usize>,
    /// Its sequence number.
    pub sequence: u32,
    /// All positions in it.
    pub positions: std::ops::Range<u64>,
    /// Its frames, in order.
    pub frames: Vec<Found>,
}

struct Input<'b>(&'b [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn varints(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.varint().map(drop))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
}

impl Geometry {
    /// The sectors of an image whose log was never stopped but cleanly, with their frames.
    #[must_use]
    pub fn sectors(&self, image: &[u8]) -> Vec<Sector> {
        (0..self.sectors).filter_map(|index| self.sector(image, index * self.sector)).collect()
    }

    fn sector(&self, image: &[u8], at: usize) -> Option<Sector> {
        let bytes = &image[at..at + self.sector];
        if bytes[..2] != *b"EK" || stored(CRC.checksum(&bytes[..24])) != bytes[24..PREPARED] {
            return None;
        }
        let sequence = u32::from_le_bytes(bytes[17..21].try_into().ok()?);
        let seed = CRC.checksum(&[&bytes[7..17], &bytes[17..21]].concat());
        let (mut frames, mut offset, mut first, mut next) = (Vec::new(), self.first_place(), 0, 0);
        while offset < self.sector {
            let Some((end, entries)) = verified(bytes, seed, offset) else {
                offset += self.word;
                continue;
            };
            let Entries { tags, slots, base } = Entries::of(entries);
            let events = slots.len() as u64;
            if let Some(base) = base {
                (first, next) = (base, base);
            }
            let end = padded(self.word, end, &bytes[offset + 4..end]).min(self.sector);
            frames.push(Found { bytes: at + offset..at + end, positions: next..next + events, tags, slots });
            next += events;
            offset = end;
        }
        Some(Sector { bytes: at..at + self.sector, sequence, positions: first..next, frames })
    }
}

/// Where a frame that ends at `end`, and whose bytes behind the CRC these are, ends with its padding.
fn padded(word: usize, end: usize, body: &[u8]) -> usize {
    let words = end.next_multiple_of(word);
    let looks_erased = body.len() >= word && body[body.len() - word..].iter().all(|byte| *byte == 0xFF);
    if words == end && looks_erased { words + word } else { words }
}

fn verified(sector: &[u8], seed: u32, offset: usize) -> Option<(usize, &[u8])> {
    let mut input = Input(sector.get(offset + 4..)?);
    let before = input.0.len();
    let length = usize::try_from(input.varint()?).ok()?;
    let start = offset + 4 + (before - input.0.len());
    let end = start.checked_add(length)?;
    let body = sector.get(offset + 4..end)?;
    let mut digest = CRC.digest();
    digest.update(&(seed ^ offset as u32).to_le_bytes());
    digest.update(body);
    (length >= 2 && stored(digest.finalize()) == sector[offset..offset + 4]).then(|| (end, &sector[start + 1..end]))
}

/// What the entries of a frame are.
#[derive(Default)]
struct Entries {
    tags: Vec<u8>,
    /// The slots of the events.
    slots: Vec<Slot>,
    /// The base that an OPEN names.
    base: Option<u64>,
}

impl Entries {
    fn of(bytes: &[u8]) -> Self {
        let (mut input, mut entries) = (Input(bytes), Self::default());
        while entries.take(&mut input) == Some(true) {}
        entries
    }

    /// Takes in one entry; whether another one follows.
    fn take(&mut self, input: &mut Input<'_>) -> Option<bool> {
        let tag = input.byte()?;
        let (more, tag) = (tag & MORE != 0, tag & !MORE);
        self.tags.push(tag);
        let named = tag & !(TELLS_SCHEMA | TELLS_BACK);
        let has_payload = match tag {
            0..INTRODUCTION => {
                self.slots.push((Some(tag), false));
                input.byte()?;
                true
            }
            INTRODUCTION..TRACK => {
                match named {
                    INTRODUCTION => self.slots.push((Some(input.byte()?), true)),
                    INLINE => self.slots.push((None, false)),
                    SNAPSHOT => {}
                    _ => return None,
                }
                input.skip(1 + usize::from(tag & TELLS_SCHEMA != 0))?;
                input.varints(2 + usize::from(tag & TELLS_BACK != 0))?;
                true
            }
            TRACK => {
                input.byte()?;
                input.varints(1)?;
                false
            }
            OPEN => {
                self.base = Some(input.varint()?);
                input.varints(4)?;
                false
            }
            DIGEST => true,
            RESUME | ERASE | LEFT => {
                input.varints(1)?;
                false
            }
            LOST => {
                input.varints(2)?;
                false
            }
            CLOSE => false,
            _ => return None,
        };
        if more && has_payload {
            let length = usize::try_from(input.varint()?).ok()?;
            input.skip(length)?;
        }
        Some(more)
    }
}
