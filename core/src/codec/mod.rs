//! The one seam between events and bytes.
//!
//! Everything stored passes through these two functions, which use
//! [postcard](https://postcard.jamesmunns.com/wire-format): enum variants by their number, integers as
//! varints, no field names. Only ever *append* variants to an event enum, and do not reorder or change the
//! fields of one that has been written.

mod encoder;

use serde::Serialize;
use serde::de::DeserializeOwned;

use encoder::Encoder;

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
    let mut encoder = Encoder::new(out);
    value.serialize(&mut encoder).map_err(|failed| failed.0)?;
    Ok(encoder.len())
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

    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(i16),
        Tuple(u8, bool),
        Struct { wide: u64, text: &'static str },
    }

    #[derive(Serialize)]
    struct Nothing;

    /// Text that is made while it is written.
    struct Shown(i32);

    impl Serialize for Shown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("<{:>8}>", self.0))
        }
    }

    /// Some bytes, said to be bytes and not a sequence of numbers.
    struct Raw(&'static [u8]);

    impl Serialize for Raw {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    struct Map(&'static [(&'static str, i64)]);

    impl Serialize for Map {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }

    /// Encodes to the bytes that postcard has for it, and fails in every buffer that is too small, writing no byte behind it.
    fn is_encoded_as_by_postcard<T: Serialize>(value: &T) {
        let mut theirs = [0; 256];
        let theirs = postcard::to_slice(value, &mut theirs).unwrap();
        let mut ours = [0x5A; 256];
        assert_eq!(encode(value, &mut ours), Ok(theirs.len()));
        assert_eq!(ours[..theirs.len()], *theirs);
        assert!(ours[theirs.len()..].iter().all(|byte| *byte == 0x5A));
        for room in 0..theirs.len() {
            assert_eq!(encode(value, &mut ours[..room]), Err(CodecError::DoesNotFit), "{room} of {}", theirs.len());
        }
    }

    #[test]
    fn every_sort_of_value_is_encoded_as_by_postcard() {
        is_encoded_as_by_postcard(&(true, false, (), Nothing, None::<u8>, Some(Some(9_u16))));
        for shift in 0..128 {
            let wide = (u128::MAX >> shift, i128::MAX >> shift, i128::MIN >> shift);
            is_encoded_as_by_postcard(&wide);
            is_encoded_as_by_postcard(&(wide.0 as u64, wide.0 as u32, wide.0 as u16, wide.0 as u8, wide.0 as usize));
            is_encoded_as_by_postcard(&(wide.1 as i64, wide.1 as i32, wide.1 as i16, wide.1 as i8, wide.1 as isize));
            is_encoded_as_by_postcard(&(wide.2 as i64, wide.2 as i32, wide.2 as i16, wide.2 as i8));
        }
        is_encoded_as_by_postcard(&(1.5_f32, f32::NAN, -0.25_f64, f64::INFINITY));
        for letter in
            ['\0', 'a', '\u{7F}', '\u{80}', 'ü', '\u{7FF}', '\u{800}', '€', '\u{FFFF}', '\u{10000}', '🦀', char::MAX]
        {
            is_encoded_as_by_postcard(&letter);
        }
        is_encoded_as_by_postcard(&[Shape::Unit, Shape::Newtype(-300), Shape::Tuple(7, true)]);
        is_encoded_as_by_postcard(&Shape::Struct { wide: 1 << 40, text: "Straße" });
        is_encoded_as_by_postcard(&(&[1_u16, 300, 65_535][..], &[0_u8; 200][..], Raw(&[0xFF, 0, 0x80]), Shown(-17)));
        is_encoded_as_by_postcard(&Map(&[("a", -1), ("b", 2)]));
    }

    #[test]
    fn a_sequence_of_unknown_length_has_no_encoding() {
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0_u8..9).filter(|number| number % 2 == 0))
            }
        }
        assert_eq!(encode(&Endless, &mut [0; 64]), Err(CodecError::Unsupported));
    }
}
