//! The one seam between events and bytes.
//!
//! Everything stored passes through these two functions, which use
//! [postcard](https://postcard.jamesmunns.com/wire-format): enum variants by their number, integers as
//! varints, no field names. Only ever *append* variants to an event enum, and do not reorder or change the
//! fields of one that has been written.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value could not be turned into bytes or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CodecError {
    /// The encoded value does not fit the bytes that are left for it.
    DoesNotFit,
    /// The value has no encoding, such as a sequence of unknown length.
    Unsupported,
    /// The bytes are no value of this type.
    Malformed,
    /// The bytes hold a value of this type and then more: they are of another type or schema.
    Leftover,
    /// The bytes were written under a schema number that this type does not know.
    UnknownSchema,
}

impl core::fmt::Display for CodecError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::DoesNotFit => "the encoded value does not fit",
            Self::Unsupported => "the value has no encoding",
            Self::Malformed => "the bytes are no value of this type",
            Self::Leftover => "bytes are left over after the value",
            Self::UnknownSchema => "the bytes were written under an unknown schema",
        })
    }
}

impl core::error::Error for CodecError {}

/// Encodes a value at the front of `out` and answers how many bytes it took.
pub fn encode<T: Serialize>(value: &T, out: &mut [u8]) -> Result<usize, CodecError> {
    match postcard::to_slice(value, out) {
        Ok(written) => Ok(written.len()),
        Err(postcard::Error::SerializeBufferFull) => Err(CodecError::DoesNotFit),
        Err(_) => Err(CodecError::Unsupported),
    }
}

/// Decodes a value that takes up all of `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(CodecError::Leftover),
        Err(_) => Err(CodecError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_nothing_else_does() {
        let mut room = [0; 8];
        let len = encode(&(7_u16, true), &mut room).unwrap();
        assert_eq!(decode(&room[..len]), Ok((7_u16, true)));
        assert_eq!(decode::<u16>(&room[..len]), Err(CodecError::Leftover));
        assert_eq!(decode::<(u16, bool, u8)>(&room[..len]), Err(CodecError::Malformed));
        assert_eq!(encode(&(7_u16, true), &mut room[..1]), Err(CodecError::DoesNotFit));
    }
}
