//! The keys that devices share with the collector.

use core::fmt;
use std::collections::HashMap;

use evenkeel_core::integrity::{Key, SealedAes, SealedChaCha, SignedBlake2s, SignedSha256};
use evenkeel_sync::{KeyedSuite, Plain, Seal};

/// Which devices are listened to, and with which keys.
///
/// It is read from lines of a device number in hexadecimal, the name of a suite, and a key of 32 bytes in hexadecimal;
/// what follows `#` is a comment. The suites are `aes-ccm`, `chacha20-poly1305` (both encrypt), `hmac-sha256` and `blake2s`
/// (both sign only). A device without a line is listened to only if its frames are sealed with no key and
/// [`allow_plain`](KeyRing::allow_plain) says so. A device with a line is never taken at its word without its key.
#[derive(Clone, Default)]
pub struct KeyRing {
    keys: HashMap<u64, (u8, Key)>,
    /// Whether devices without a key are listened to.
    pub allow_plain: bool,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, plain {})", self.keys.len(), self.allow_plain)
    }
}

/// A line of a key file that cannot be used. It does not repeat what the line says, as that may be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLine {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub wrong: &'static str,
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.wrong)
    }
}

impl std::error::Error for KeyLine {}

/// Whether a device may be listened to, and how.
pub(crate) enum Access<'k> {
    Plain,
    Keyed(&'k Key),
    /// It may not: the suite is not the one that was agreed on, or there is no key.
    Refused,
}

impl KeyRing {
    /// Listens to every device without a key.
    #[must_use]
    pub fn open() -> Self {
        Self { keys: HashMap::new(), allow_plain: true }
    }

    /// Reads the lines of a key file. Devices without a key are not listened to.
    pub fn parse(text: &str) -> Result<Self, KeyLine> {
        let mut keys = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<_> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            let wrong = |wrong| KeyLine { line: index + 1, wrong };
            let [device, suite, key] = words[..] else {
                if words.is_empty() {
                    continue;
                }
                return Err(wrong("a line is a device, a suite and a key"));
            };
            let device =
                u64::from_str_radix(device, 16).map_err(|_| wrong("the device is not a hexadecimal number"))?;
            let suite = suite_number(suite).ok_or_else(|| wrong("there is no such suite"))?;
            let key = key_bytes(key).ok_or_else(|| wrong("the key is not 32 bytes in hexadecimal"))?;
            if keys.insert(device, (suite, Key::from(key))).is_some() {
                return Err(wrong("the device has a key already"));
            }
        }
        Ok(Self { keys, allow_plain: false })
    }

    pub(crate) fn access(&self, device: u64, suite: u8) -> Access<'_> {
        match self.keys.get(&device) {
            Some((agreed, key)) if *agreed == suite => Access::Keyed(key),
            None if self.allow_plain && suite == Plain::SUITE => Access::Plain,
            _ => Access::Refused,
        }
    }
}

fn suite_number(name: &str) -> Option<u8> {
    Some(match name {
        "aes-ccm" => SealedAes::NUMBER,
        "chacha20-poly1305" => SealedChaCha::NUMBER,
        "hmac-sha256" => SignedSha256::NUMBER,
        "blake2s" => SignedBlake2s::NUMBER,
        _ => return None,
    })
}

fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_device_is_heard_with_its_own_key_and_suite_only() {
        let ring =
            KeyRing::parse(&format!("# the fleet\n5eed hmac-sha256 {KEY}\n\nff aes-ccm {KEY} # cold room")).unwrap();
        assert!(matches!(ring.access(0x5EED, SignedSha256::NUMBER), Access::Keyed(_)));
        assert!(matches!(ring.access(0x5EED, SealedAes::NUMBER), Access::Refused));
        assert!(matches!(ring.access(0x5EED, Plain::SUITE), Access::Refused), "no way around the key");
        assert!(matches!(ring.access(1, Plain::SUITE), Access::Refused));
        assert!(matches!(KeyRing::open().access(1, Plain::SUITE), Access::Plain));
        assert!(matches!(KeyRing::open().access(1, SealedAes::NUMBER), Access::Refused));
    }

    #[test]
    fn a_mistake_is_told_without_the_key() {
        for (text, wrong) in [
            (format!("xyz hmac-sha256 {KEY}"), "the device is not a hexadecimal number"),
            (format!("1 rot13 {KEY}"), "there is no such suite"),
            ("1 aes-ccm secret".into(), "the key is not 32 bytes in hexadecimal"),
            (format!("1 aes-ccm {KEY}\n1 aes-ccm {KEY}"), "the device has a key already"),
            (format!("1 {KEY}"), "a line is a device, a suite and a key"),
        ] {
            let told = KeyRing::parse(&text).unwrap_err();
            assert_eq!(told.wrong, wrong);
            assert!(!told.to_string().contains("0001") && !told.to_string().contains("secret"));
        }
        let ring = KeyRing::parse(&format!("1 aes-ccm {KEY}")).unwrap();
        assert!(!format!("{ring:?}").contains("0001"));
    }
}
