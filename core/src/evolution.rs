//! Checks that stored events stay readable while the program changes: golden bytes, and kinds that differ.
//!
//! An encoding has no names in it, so a field that moved or changed its type can decode to a wrong value without an
//! error. A test that pins the bytes of each variant is what notices; see `docs/schema-evolution.md` of the repository
//! for the rules.

use crate::Kind;

/// Asserts, in a test, that values encode to these very bytes and that these bytes decode to these values.
///
/// Write one line for each variant of an event and for each state that snapshots hold, and never change a line: what it
/// says is in the flash of devices. Each value needs `PartialEq` and `Debug`, and at most 512 bytes.
///
/// ```
/// use evenkeel_core::assert_encodes;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum ValveEvent { Opened { by: u16 }, Closed }
///
/// // The variant's number, then its fields; integers take seven bits a byte, the lowest first.
/// assert_encodes! {
///     ValveEvent::Opened { by: 300 } => [0x00, 0xAC, 0x02],
///     ValveEvent::Closed => [0x01],
/// }
/// ```
///
/// A change that would make old events mean something else is caught:
///
/// ```should_panic
/// use evenkeel_core::assert_encodes;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum ValveEvent { Closed, Opened { by: u16 } } // reordered
///
/// assert_encodes! { ValveEvent::Closed => [0x01] }
/// ```
#[macro_export]
macro_rules! assert_encodes {
    ($($value:expr => $bytes:expr),+ $(,)?) => {$({
        let (value, golden) = ($value, $bytes);
        let golden: &[u8] = &golden;
        let mut room = [0_u8; 512];
        let encoded = $crate::codec::encode(&value, &mut room).map(|len| room.get(..len).unwrap_or_default());
        assert_eq!(encoded, Ok(golden), "the encoding of {} has changed", stringify!($value));
        assert_eq!(
            $crate::evolution::decode_like(&value, golden).as_ref(), Ok(&value),
            "stored bytes of {} mean something else", stringify!($value)
        );
    })+};
}

/// Checks, when the program is built, that no two of these aggregate types have the same [`Kind`], and that none has
/// the one that is [reserved](Kind::RESERVED). Name all that share a log.
///
/// ```
/// # use evenkeel_core::{Aggregate, Kind};
/// # #[derive(Default)] struct Valve;
/// # impl Aggregate for Valve { const KIND: Kind = Kind(1); type Event = u8; fn apply(&mut self, _: &u8) {} }
/// # #[derive(Default)] struct Alarm;
/// # impl Aggregate for Alarm { const KIND: Kind = Kind(2); type Event = u8; fn apply(&mut self, _: &u8) {} }
/// evenkeel_core::distinct_kinds!(Valve, Alarm);
/// ```
///
/// ```compile_fail
/// # use evenkeel_core::{Aggregate, Kind};
/// # #[derive(Default)] struct Valve;
/// # impl Aggregate for Valve { const KIND: Kind = Kind(1); type Event = u8; fn apply(&mut self, _: &u8) {} }
/// # #[derive(Default)] struct Alarm;
/// # impl Aggregate for Alarm { const KIND: Kind = Kind(1); type Event = u8; fn apply(&mut self, _: &u8) {} }
/// evenkeel_core::distinct_kinds!(Valve, Alarm); // both are kind 1
/// ```
#[macro_export]
macro_rules! distinct_kinds {
    ($($aggregate:ty),+ $(,)?) => {
        const _: () = $crate::evolution::assert_distinct(&[$(<$aggregate as $crate::Aggregate>::KIND),+]);
    };
}

/// What [`distinct_kinds!`] evaluates when the program is built.
#[doc(hidden)]
pub const fn assert_distinct(kinds: &[Kind]) {
    let mut kinds = kinds;
    while let [kind, rest @ ..] = kinds {
        assert!(kind.0 != Kind::RESERVED.0, "this kind is reserved");
        let mut others = rest;
        while let [other, more @ ..] = others {
            assert!(kind.0 != other.0, "two aggregate types have the same kind");
            others = more;
        }
        kinds = rest;
    }
}

/// What [`assert_encodes!`] decodes with: the type is that of the value.
#[doc(hidden)]
pub fn decode_like<T: serde::de::DeserializeOwned>(_: &T, bytes: &[u8]) -> Result<T, crate::CodecError> {
    crate::codec::decode(bytes)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{Aggregate, CodecError, codec};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum First {
        Set { to: u16 },
        Cleared,
    }

    // The same type after changes that decode without an error, each of which golden bytes must notice.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Signed {
        Set { to: i16 },
        Cleared,
    }

    #[test]
    fn bytes_that_were_stored_keep_their_meaning() {
        assert_encodes! {
            First::Set { to: 300 } => [0, 0xAC, 2],
            First::Cleared => [1],
            (1_u8, true) => [1, 1],
        }
    }

    #[test]
    #[should_panic(expected = "the encoding of Signed::Set")]
    fn a_sign_that_changed_is_noticed() {
        // Without golden bytes it would not be: 300 reads as 150.
        let read: Signed = codec::decode(&[0, 0xAC, 2]).unwrap();
        assert_eq!((read, codec::decode(&[1])), (Signed::Set { to: 150 }, Ok(Signed::Cleared)));
        assert_encodes! { Signed::Set { to: 300 } => [0, 0xAC, 2] }
    }

    #[test]
    fn leftover_bytes_are_refused() {
        assert_eq!(codec::decode::<First>(&[1, 0]), Err(CodecError::Leftover));
        assert_eq!(codec::decode::<First>(&[0, 0xAC, 2, 7]), Err(CodecError::Leftover));
    }

    #[derive(Default)]
    struct One;
    impl Aggregate for One {
        const KIND: Kind = Kind(1);
        type Event = u8;
        fn apply(&mut self, _: &u8) {}
    }
    distinct_kinds!(One);

    #[test]
    fn equal_and_reserved_kinds_are_refused() {
        assert_distinct(&[Kind(0), Kind(1), Kind(254)]);
        for kinds in [&[Kind(1), Kind(2), Kind(1)][..], &[Kind(3), Kind::RESERVED]] {
            assert!(std::panic::catch_unwind(|| assert_distinct(kinds)).is_err());
        }
    }
}
