//! Somebody with the chip in a clip: changes what a log has stored, and puts the checksums right.

use crate::image::Geometry;

/// A frame as it stands in a sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where in the sector it starts.
    pub at: usize,
    /// The lowest byte of the number of its first event in the sector.
    pub ordinal: u8,
    /// Its entries.
    pub entries: Vec<u8>,
}

impl Frame {
    /// Whether it begins with an event.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.entries[0] & 0x7F < 0x68
    }
}

/// The frames of a sector that verify.
#[must_use]
pub fn frames(geometry: &Geometry, image: &[u8], sequence: u32) -> Vec<Frame> {
    let start = start(geometry, sequence);
    let (mut at, mut frames) = (28_usize.next_multiple_of(geometry.word), Vec::new());
    while at + 8 < geometry.sector {
        let sector = &image[start..start + geometry.sector];
        let (mut length, mut taken) = (0_usize, 0);
        while taken < 2 {
            length |= usize::from(sector[at + 4 + taken] & 0x7F) << (7 * taken);
            taken += 1;
            if sector[at + 3 + taken] & 0x80 == 0 {
                break;
            }
        }
        let body = at + 4 + taken;
        let found = sector.get(body..body + length).filter(|body| body.len() > 1).and_then(|body| {
            let frame = Frame { at, ordinal: body[0], entries: body[1..].to_vec() };
            let mut again = image.to_vec();
            geometry.frame(&mut again, sequence, at, frame.ordinal, &frame.entries);
            (again == image).then_some(frame)
        });
        at = if found.is_some() { body + length } else { at + 1 }.next_multiple_of(geometry.word);
        frames.extend(found);
    }
    frames
}

/// Writes the frames of a sector anew, with checksums that fit: those before the first event where they were, the others
/// one behind the other.
pub fn rewrite(geometry: &Geometry, image: &mut [u8], sequence: u32, frames: &[Frame]) {
    let start = start(geometry, sequence);
    let first = frames.iter().position(Frame::is_event).unwrap_or(frames.len());
    for Frame { at, ordinal, entries } in &frames[..first] {
        geometry.frame(image, sequence, *at, *ordinal, entries);
    }
    let Some(mut at) = frames.get(first).map(|frame| frame.at) else { return };
    image[start + at..start + geometry.sector].fill(0xFF);
    for Frame { ordinal, entries, .. } in &frames[first..] {
        at = geometry.frame(image, sequence, at, *ordinal, entries);
    }
}

fn start(geometry: &Geometry, sequence: u32) -> usize {
    sequence as usize % geometry.sectors * geometry.sector
}
