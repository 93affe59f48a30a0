//! The encoding half of [postcard's wire format](https://postcard.jamesmunns.com/wire-format), without code that can panic.
//!
//! The crate `postcard` writes the same bytes, but cuts its numbers out of a buffer by an index that the compiler cannot
//! always see the bound of, and so brings the machinery of panics into every firmware.

use core::fmt::{self, Display, Write};

use serde::{Serialize, ser};

use super::CodecError;
use crate::bytes::ByteWriter;

/// Encodes a value at the front of a buffer.
pub(super) struct Encoder<'b> {
    out: ByteWriter<'b>,
}

/// Why a value was not encoded: a type of this module, so that `serde` shows in no public type.
#[derive(Debug)]
pub(super) struct Failed(pub(super) CodecError);

type Done = Result<(), Failed>;

impl<'b> Encoder<'b> {
    pub(super) fn new(out: &'b mut [u8]) -> Self {
        Self { out: ByteWriter::new(out) }
    }

    /// How many bytes have been written.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    fn byte(&mut self, byte: u8) -> Done {
        fits(self.out.u8(byte))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Done {
        fits(self.out.slice(bytes))
    }

    /// One function for numbers of all sizes up to 64 bits: their varints are the same.
    fn number(&mut self, number: u64) -> Done {
        fits(self.out.varint(number))
    }

    fn large_number(&mut self, mut number: u128) -> Done {
        while let Ok(low) = u8::try_from(number & 0x7F) {
            number >>= 7;
            if number == 0 {
                return self.byte(low);
            }
            self.byte(low | 0x80)?;
        }
        Ok(())
    }

    fn length(&mut self, length: Option<usize>) -> Done {
        self.number(length.ok_or(Failed(CodecError::Unsupported))? as u64)
    }
}

fn fits(written: Option<()>) -> Done {
    written.ok_or(Failed(CodecError::DoesNotFit))
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: Display>(_: T) -> Self {
        Self(CodecError::Unsupported)
    }
}

macro_rules! signed {
    ($($name:ident $number:ident $to:ident)*) => {
        $(#[inline]
        fn $name(self, value: $number) -> Done {
            // Zigzag: small numbers of either sign are short.
            let wide = i64::from(value);
            self.number(((wide << 1) ^ (wide >> 63)).cast_unsigned())
        })*
    };
}

macro_rules! unsigned {
    ($($name:ident $number:ident)*) => {
        $(#[inline]
        fn $name(self, value: $number) -> Done {
            self.number(u64::from(value))
        })*
    };
}

impl<'e, 'b> ser::Serializer for &'e mut Encoder<'b> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    signed!(serialize_i16 i16 u16 serialize_i32 i32 u32 serialize_i64 i64 u64);
    unsigned!(serialize_u16 u16 serialize_u32 u32 serialize_u64 u64);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Done {
        self.byte(u8::from(value))
    }

    fn serialize_i8(self, value: i8) -> Done {
        self.byte(value.cast_unsigned())
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.byte(value)
    }

    fn serialize_i128(self, value: i128) -> Done {
        self.large_number(((value << 1) ^ (value >> 127)).cast_unsigned())
    }

    fn serialize_u128(self, value: u128) -> Done {
        self.large_number(value)
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.bytes(&value.to_le_bytes())
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.bytes(&value.to_le_bytes())
    }

    fn serialize_char(self, value: char) -> Done {
        // Without `char::encode_utf8`, which panics if it is lent too little.
        let code = u32::from(value);
        let piece = |shift: u32, mark: u8| mark | u8::try_from(code >> shift & 0x3F).unwrap_or_default();
        let bytes = [piece(18, 0xF0), piece(12, 0x80), piece(6, 0x80), piece(0, 0x80)];
        match (code, bytes) {
            (..0x80, _) => self.bytes(&[1, code.to_le_bytes()[0]]),
            (..0x800, [.., _, low]) => self.bytes(&[2, piece(6, 0xC0), low]),
            (..0x1_0000, [.., middle, low]) => self.bytes(&[3, piece(12, 0xE0), middle, low]),
            (_, [high, upper, middle, low]) => self.bytes(&[4, high, upper, middle, low]),
        }
    }

    fn serialize_str(self, value: &str) -> Done {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.length(Some(value.len()))?;
        self.bytes(value)
    }

    fn serialize_none(self) -> Done {
        self.byte(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.byte(1)?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Done {
        self.number(u64::from(index))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        self.number(u64::from(index))?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Failed> {
        self.length(length)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple_variant(self, _: &'static str, index: u32, _: &'static str, _: usize) -> Result<Self, Failed> {
        self.number(u64::from(index))?;
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, Failed> {
        self.serialize_seq(length)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self, Failed> {
        self.serialize_tuple_variant(name, index, variant, length)
    }

    /// The length stands before the text, so the text is formatted twice.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Done {
        let mut counted = Counted(0);
        write!(counted, "{value}").map_err(|_| Failed(CodecError::Unsupported))?;
        self.length(Some(counted.0))?;
        write!(self, "{value}").map_err(|_| Failed(CodecError::DoesNotFit))
    }
}

/// The length of a text.
struct Counted(usize);

impl Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

impl Write for Encoder<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.slice(text.as_bytes()).ok_or(fmt::Error)
    }
}

macro_rules! parts {
    ($($which:ident $one:ident ($($name:ty)?),)*) => {
        $(impl ser::$which for &mut Encoder<'_> {
            type Ok = ();
            type Error = Failed;

            #[inline]
            fn $one<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Done {
                value.serialize(&mut **self)
            }

            fn end(self) -> Done {
                Ok(())
            }
        })*
    };
}
parts! {
    SerializeSeq serialize_element (),
    SerializeTuple serialize_element (),
    SerializeTupleStruct serialize_field (),
    SerializeTupleVariant serialize_field (),
    SerializeStruct serialize_field (&'static str),
    SerializeStructVariant serialize_field (&'static str),
}

impl ser::SerializeMap for &mut Encoder<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}
