//! Format version 1, as bytes: no flash is touched here.
//!
//! `docs/format.md` tells the whole of it; in short:
//!
//! ```text
//! sector   = prepared opened frame* rest        rest: erased, or the leftovers of an interrupted write
//! prepared = magic "EK" u16, version u8, geometry u8 u8 u16, log u16, epoch u64, sequence u32, erases u24, crc u32
//! opened   = a frame whose first entry is OPEN
//! frame    = crc u32, length varint, ordinal u8, entry*, padding to whole words with FF
//! ```
//!
//! A frame is one write call and one atomic batch: what makes it valid is its CRC, which no part of it can be
//! without. The CRC is seeded with log, epoch, sequence and the frame's place, so that bytes left over from
//! another life, or shifted, never verify.

pub(crate) mod checksum;
pub(crate) mod digest;
pub(crate) mod entry;
pub(crate) mod frame;
pub(crate) mod header;
