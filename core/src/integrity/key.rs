//! Keys, and where they come from.

use core::fmt;

use heapless::Vec;
use zeroize::Zeroize;

use crate::{Kind, StreamId};

/// 32 secret bytes, overwritten when they are dropped.
///
/// Never used as they are: what seals and chains is derived from them, for each life of a log on its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub(crate) [u8; 32]);

impl Key {
    /// The bytes themselves, for implementations of [`Mac`](super::Mac) and [`Aead`](super::Aead).
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The number of a key, stored with each record that was sealed with it: 0 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u8);

impl KeyId {
    /// The key with this number; of a number above 127 only the lower seven bits count.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number & 0x7F)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Whether a stream has a key of its own, without which nobody can open its records.
#[derive(Debug, Clone, Copy)]
pub enum StreamKey<'k> {
    /// It has none: its records are sealed like all others.
    Shared,
    /// It has this one, which its records are sealed with in addition to the key of the log.
    Own(&'k Key),
    /// It had one, which was destroyed: its records cannot be opened, and none can be added.
    Destroyed,
}

/// Lends the keys of a log: out of memory ([`Keys`]), or from wherever a device keeps its secrets.
///
/// # What an implementer owes
///
/// A key that [`current`](Keyring::current) names can be had. A stream that ever had a key of its own is never
/// [`Shared`](StreamKey::Shared) again: decide by its kind or by a range of ids, so that a destroyed key is not mistaken
/// for one that was never there.
pub trait Keyring {
    /// The key to seal new records with.
    fn current(&self) -> KeyId;

    /// The key with this number; `None` if it is not, or not any more, at hand.
    fn key(&self, id: KeyId) -> Option<&Key>;

    /// The key of this stream's own, if its records are to be erasable by destroying that.
    fn of_stream(&self, stream: StreamId, kind: Kind) -> StreamKey<'_> {
        let _ = (stream, kind);
        StreamKey::Shared
    }
}

/// A keyring in memory: up to `LOG` keys of the log, and keys of their own for up to `STREAMS` streams.
///
/// ```
/// use evenkeel_core::integrity::{Key, KeyId, Keyring, Keys};
///
/// let mut keys = Keys::<2>::new(KeyId::new(0), Key::from([7; 32]));
/// // Rotation: new records are sealed with the new key, old ones can be read as long as the old one is there.
/// keys.rotate(KeyId::new(1), Key::from([8; 32])).unwrap();
/// assert_eq!(keys.current(), KeyId::new(1));
/// assert!(keys.key(KeyId::new(0)).is_some());
/// ```
#[derive(Debug, Clone)]
pub struct Keys<const LOG: usize = 1, const STREAMS: usize = 0> {
    current: KeyId,
    log: Vec<(KeyId, Key), LOG>,
    personal: Option<Kind>,
    streams: Vec<(StreamId, Key), STREAMS>,
}

/// The keyring has no place left, or has another key of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRefused;

impl fmt::Display for KeyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keyring has no place left, or another key of this number")
    }
}

impl core::error::Error for KeyRefused {}

impl<const LOG: usize, const STREAMS: usize> Keys<LOG, STREAMS> {
    /// A keyring with one key.
    #[must_use]
    pub fn new(id: KeyId, key: Key) -> Self {
        const { assert!(LOG > 0, "a log needs a key") };
        let mut log = Vec::new();
        let _ = log.push((id, key));
        Self { current: id, log, personal: None, streams: Vec::new() }
    }

    /// Adds a key and seals new records with it from now on.
    pub fn rotate(&mut self, id: KeyId, key: Key) -> Result<(), KeyRefused> {
        match self.log.iter().find(|(known, _)| *known == id) {
            Some((_, known)) if *known != key => return Err(KeyRefused),
            Some(_) => {}
            None => self.log.push((id, key)).map_err(|_| KeyRefused)?,
        }
        self.current = id;
        Ok(())
    }

    /// Forgets a key that no record held needs any more. The current one stays.
    pub fn forget(&mut self, id: KeyId) {
        if id != self.current {
            self.log.retain(|(known, _)| *known != id);
        }
    }

    /// Says that streams of this kind have keys of their own: one that is not given is one that was destroyed.
    #[must_use]
    pub fn with_personal(mut self, kind: Kind) -> Self {
        self.personal = Some(kind);
        self
    }

    /// Gives a stream of the [personal](Self::with_personal) kind its own key, before its first event.
    pub fn give(&mut self, stream: StreamId, key: Key) -> Result<(), KeyRefused> {
        if self.streams.iter().any(|(known, of)| *known == stream && *of != key) {
            return Err(KeyRefused);
        }
        self.destroy(stream);
        self.streams.push((stream, key)).map_err(|_| KeyRefused)
    }

    /// Overwrites the key of a stream in this memory: from now on its records cannot be opened.
    ///
    /// Wherever else the key is kept it must be destroyed as well, and before this returns to be of any use.
    pub fn destroy(&mut self, stream: StreamId) {
        self.streams.retain(|(known, _)| *known != stream);
    }
}

impl<const LOG: usize, const STREAMS: usize> Keyring for Keys<LOG, STREAMS> {
    fn current(&self) -> KeyId {
        self.current
    }

    fn key(&self, id: KeyId) -> Option<&Key> {
        self.log.iter().find(|(known, _)| *known == id).map(|(_, key)| key)
    }

    fn of_stream(&self, stream: StreamId, kind: Kind) -> StreamKey<'_> {
        if self.personal != Some(kind) {
            return StreamKey::Shared;
        }
        match self.streams.iter().find(|(known, _)| *known == stream) {
            Some((_, key)) => StreamKey::Own(key),
            None => StreamKey::Destroyed,
        }
    }
}
