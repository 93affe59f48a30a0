//! Reading an image: raw bytes, or Intel HEX.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ihex::Record;

use super::model::ImageInfo;

/// Stretches of an Intel HEX file that are further apart than this are looked at one by one: device settings stand
/// far away from the flash.
const FAR: u64 = 16 << 20;

/// An image as it was read.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) format: &'static str,
    /// Stretches of memory in the order of their addresses.
    pub(super) parts: Vec<Part>,
}

/// A stretch of memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The address of its first byte; of raw bytes 0.
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
}

/// Why an Intel HEX file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InputError {
    /// From 1 on, if it is one line.
    line: Option<usize>,
    why: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "Intel HEX, line {line}: {}", self.why),
            None => write!(f, "Intel HEX: {}", self.why),
        }
    }
}

impl std::error::Error for InputError {}

impl Input {
    /// The image in a few words.
    pub(super) fn describe(&self, path: &Path) -> ImageInfo {
        ImageInfo {
            path: path.display().to_string(),
            format: self.format,
            bytes: self.parts.iter().map(|part| part.bytes.len() as u64).sum(),
        }
    }

    /// What there is where no log is.
    pub(super) fn instead_of_a_log(&self) -> &'static str {
        let mut bytes = self.parts.iter().flat_map(|part| &part.bytes);
        if bytes.clone().next().is_none() {
            return "it is empty";
        }
        if bytes.all(|byte| *byte == 0xFF) {
            return "every byte is erased";
        }
        match self.parts.first().map_or(&[][..], |part| &part.bytes[..]) {
            [0x7F, b'E', b'L', b'F', ..] => "it is an ELF file, and must be raw bytes or Intel HEX",
            [b'U', b'F', b'2', b'\n', ..] => "it is a UF2 file, and must be raw bytes or Intel HEX",
            [b'S', b'0'..=b'3', b'0'..=b'9' | b'A'..=b'F', ..] => {
                "it is an S-record file, and must be raw bytes or Intel HEX"
            }
            _ => "no sector's header of format version 1 can be read",
        }
    }
}

/// Reads a file as what it is.
pub(super) fn read(file: Vec<u8>) -> Result<Input, InputError> {
    if is_hex(&file) {
        return Ok(Input { format: "intel-hex", parts: read_hex(&file)? });
    }
    Ok(Input { format: "binary", parts: vec![Part { address: 0, bytes: file }] })
}

/// Whether the first line is a record of Intel HEX, or was meant to be one.
fn is_hex(file: &[u8]) -> bool {
    let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file).trim_ascii_start();
    let line = file.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default().trim_ascii_end();
    matches!(line, [b':', digits @ ..] if digits.len() >= 10 && digits.iter().all(u8::is_ascii_hexdigit))
}

fn read_hex(file: &[u8]) -> Result<Vec<Part>, InputError> {
    let text = String::from_utf8_lossy(file);
    let mut chunks = BTreeMap::<u64, Vec<u8>>::new();
    let (mut base, mut ended, mut next) = (0_u64, false, None);
    for (index, line) in text.trim_start_matches('\u{FEFF}').lines().enumerate() {
        let refuse = |why: String| InputError { line: Some(index + 1), why };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if ended {
            return Err(refuse("something follows the record that ends the file".into()));
        }
        match Record::from_record_string(line).map_err(|error| refuse(error.to_string()))? {
            Record::Data { offset, value } => {
                let at = base + u64::from(offset);
                // Records mostly go on where the one before ended: they become one chunk.
                match next {
                    Some((begin, end)) if end == at => {
                        chunks.entry(begin).or_default().extend(&value);
                        next = Some((begin, end + value.len() as u64));
                    }
                    _ => {
                        if chunks.insert(at, value.clone()).is_some() {
                            return Err(refuse(format!("address {at:#x} is given twice")));
                        }
                        next = Some((at, at + value.len() as u64));
                    }
                }
            }
            Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            Record::EndOfFile => ended = true,
            Record::StartSegmentAddress { .. } | Record::StartLinearAddress(_) => {}
        }
    }
    if !ended {
        return Err(InputError { line: None, why: "the record that ends the file is missing: it was cut off".into() });
    }
    join(chunks)
}

/// Puts chunks together; what is not told between them is erased.
fn join(chunks: BTreeMap<u64, Vec<u8>>) -> Result<Vec<Part>, InputError> {
    let mut parts: Vec<Part> = Vec::new();
    for (address, bytes) in chunks {
        match parts.last_mut() {
            Some(part) if address < part.address + part.bytes.len() as u64 => {
                return Err(InputError { line: None, why: format!("address {address:#x} is given twice") });
            }
            Some(part) if address - part.address - part.bytes.len() as u64 <= FAR => {
                part.bytes.resize((address - part.address) as usize, 0xFF);
                part.bytes.extend(bytes);
            }
            _ => parts.push(Part { address, bytes }),
        }
    }
    Ok(parts)
}
