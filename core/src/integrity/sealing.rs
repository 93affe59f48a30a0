//! Sealing and opening one record: what both faces share.

use super::chain::{Anchor, Reach};
use super::envelope::{FRONT_BYTES, Front, Header};
use super::{Aead, Key, KeyId, Keyring, Mac, StreamKey, Suite};
use crate::bytes::{copy, shift};
use crate::error::IntegrityError;
use crate::{Epoch, Kind, LogId, Position, StreamId};

/// The keys of one life of a log at work, and the session in which they are used.
pub(crate) struct Sealing<K, S: Suite> {
    pub(crate) keys: K,
    pub(crate) life: (LogId, Epoch),
    derived: Option<Derived<S>>,
    /// The session whose number is stored; `None` if the next record needs another one.
    pub(crate) session: Option<u32>,
    serial: u32,
}

/// What is derived from one key for this life of the log.
struct Derived<S: Suite> {
    id: KeyId,
    aead: S::Aead,
    chain: S::Mac,
}

/// What keys are derived for.
#[derive(Clone, Copy)]
enum Purpose {
    Records = 1,
    Chain = 2,
    OwnRecords = 3,
}

/// Where in what is stored the payload stands.
pub(crate) struct Body {
    pub(crate) front: Front,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl<K: Keyring, S: Suite> Sealing<K, S> {
    pub(crate) fn new(keys: K) -> Self {
        const { assert!(S::Aead::TAG_BYTES >= 4 && S::Aead::TAG_BYTES <= 16, "a tag has 4 to 16 bytes") };
        Self { keys, life: Default::default(), derived: None, session: None, serial: 0 }
    }

    /// Takes up this life of the log.
    pub(crate) fn mounted(&mut self, life: (LogId, Epoch)) {
        (self.life, self.derived, self.session) = (life, None, None);
    }

    /// The keys, to be changed: nothing derived from them is kept.
    pub(crate) fn keys_mut(&mut self) -> &mut K {
        self.derived = None;
        &mut self.keys
    }

    /// Begins a session whose number is stored now.
    pub(crate) fn begin(&mut self, session: u32) {
        (self.session, self.serial) = (Some(session), 0);
    }

    /// A key derived from this one, for this life of the log.
    fn derive(&self, key: &Key, purpose: Purpose, secret: &[u8]) -> Key {
        let (log, epoch) = self.life;
        let mut mac = S::Mac::new(key);
        mac.update(b"evenkeel seal 1");
        mac.update(&[purpose as u8]);
        mac.update(&log.0.to_le_bytes());
        mac.update(&epoch.0.to_le_bytes());
        mac.update(secret);
        Key(mac.finish())
    }

    fn derived(&mut self, id: KeyId) -> Result<&Derived<S>, IntegrityError> {
        let unknown = IntegrityError::UnknownKey(id.number());
        let key = self.keys.key(id).ok_or(unknown)?;
        if self.derived.as_ref().is_none_or(|derived| derived.id != id) {
            let aead = S::Aead::new(&self.derive(key, Purpose::Records, &[]));
            let chain = S::Mac::new(&self.derive(key, Purpose::Chain, &[]));
            self.derived = Some(Derived { id, aead, chain });
        }
        self.derived.as_ref().ok_or(unknown)
    }

    /// Does something with what seals the records of this stream.
    fn with<T>(
        &mut self,
        (id, own): (KeyId, bool),
        (stream, kind): (StreamId, Kind),
        work: impl FnOnce(&S::Aead) -> T,
    ) -> Result<T, IntegrityError> {
        if !own {
            return Ok(work(&self.derived(id)?.aead));
        }
        let key = self.keys.key(id).ok_or(IntegrityError::UnknownKey(id.number()))?;
        match self.keys.of_stream(stream, kind) {
            StreamKey::Own(secret) => Ok(work(&S::Aead::new(&self.derive(key, Purpose::OwnRecords, secret.bytes())))),
            _ => Err(IntegrityError::Erased(stream)),
        }
    }

    /// Whether records of this stream can be sealed now.
    pub(crate) fn can_seal(&self, stream: StreamId, kind: Kind) -> Result<(), IntegrityError> {
        let id = self.keys.current();
        self.keys.key(id).ok_or(IntegrityError::UnknownKey(id.number()))?;
        self.readable(stream, kind)
    }

    /// Whether records of this stream may be read at all.
    pub(crate) fn readable(&self, stream: StreamId, kind: Kind) -> Result<(), IntegrityError> {
        match self.keys.of_stream(stream, kind) {
            StreamKey::Destroyed => Err(IntegrityError::Erased(stream)),
            StreamKey::Shared | StreamKey::Own(_) => Ok(()),
        }
    }

    /// Seals the payload of `len` bytes at `start`, with room for front and tag before it; answers where the stored form
    /// starts. It ends where the payload ended.
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        reach: Option<Reach>,
        bytes: &mut [u8],
        (start, len): (usize, usize),
    ) -> Result<usize, IntegrityError> {
        let misfit = IntegrityError::Tampered { stream: header.stream, version: header.version };
        let key = self.keys.current();
        let own = matches!(self.keys.of_stream(header.stream, header.kind), StreamKey::Own(_));
        let mut front = Front { key, own, session: 0, serial: 0, reach };
        if S::Aead::ENCRYPTS {
            front.session = self.session.ok_or(misfit)?;
            if header.position.is_none() {
                front.serial = self.serial;
                self.serial = self.serial.checked_add(1).ok_or(IntegrityError::KeyWornOut)?;
            }
        }
        let mut written = [0; FRONT_BYTES];
        let front_len = front.write::<S::Aead>(header, &mut written);
        let written = written.get(..front_len).ok_or(misfit)?;
        let end = start.checked_add(len).ok_or(misfit)?;
        let body = start.checked_sub(S::Aead::TAG_BYTES).ok_or(misfit)?;
        let at = body.checked_sub(front_len).ok_or(misfit)?;
        shift(bytes, start, len, body).ok_or(misfit)?;
        copy(written, bytes.get_mut(at..body).ok_or(misfit)?);
        let sealed = bytes.get_mut(body..end).ok_or(misfit)?;
        let (data, tag) = sealed.split_at_mut_checked(len).ok_or(misfit)?;
        let (associated, associated_len) = Front::associated(header, written);
        let associated = associated.get(..associated_len).unwrap_or_default();
        let nonce = front.nonce(header);
        let sealed = self.with((key, own), (header.stream, header.kind), |aead| aead.seal(&nonce, associated, data))?;
        tag.iter_mut().zip(sealed.ok_or(misfit)?).for_each(|(place, byte)| *place = byte);
        Ok(at)
    }

    /// Opens what is stored, in place.
    pub(crate) fn open(&mut self, header: &Header, stored: &mut [u8]) -> Result<Body, IntegrityError> {
        let tampered = IntegrityError::Tampered { stream: header.stream, version: header.version };
        let (front, start) = Front::read::<S::Aead>(header, stored).ok_or(tampered)?;
        let (head, rest) = stored.split_at_mut_checked(start).ok_or(tampered)?;
        let len = rest.len().checked_sub(S::Aead::TAG_BYTES).ok_or(tampered)?;
        let (data, tag) = rest.split_at_mut_checked(len).ok_or(tampered)?;
        let (associated, associated_len) = Front::associated(header, head);
        let associated = associated.get(..associated_len).unwrap_or_default();
        let nonce = front.nonce(header);
        let named = (header.stream, header.kind);
        let opened = self.with((front.key, front.own), named, |aead| aead.open(&nonce, associated, data, tag))?;
        if !opened {
            data.fill(0);
            return Err(tampered);
        }
        // A record of a stream with its own key, sealed without it, was not sealed by who wrote this stream.
        if !front.own && matches!(self.keys.of_stream(header.stream, header.kind), StreamKey::Own(_)) {
            return Err(tampered);
        }
        Ok(Body { front, start, len })
    }

    /// What is stored before the payload of this record.
    pub(crate) fn front(header: &Header, stored: &[u8]) -> Option<Front> {
        Front::read::<S::Aead>(header, stored).map(|(front, _)| front)
    }

    /// Where the payload stands in what was sealed just now without encryption, or is to be opened.
    pub(crate) fn body(header: &Header, stored: &[u8]) -> Option<(usize, usize)> {
        let (_, start) = Front::read::<S::Aead>(header, stored)?;
        Some((start, stored.len().checked_sub(start)?.checked_sub(S::Aead::TAG_BYTES)?))
    }

    /// The head of the chain behind one event more.
    pub(crate) fn chain(&mut self, from: Anchor, header: &Header, stored: &[u8]) -> Result<Anchor, IntegrityError> {
        let id = KeyId::new(stored.first().copied().unwrap_or_default());
        let mac = self.derived(id)?.chain.clone();
        Ok(from.then(mac, header, stored))
    }

    /// The number of the session to begin when `stored` was the last, or more if the newest event tells so.
    pub(crate) fn session_after(stored: Position, told: u32) -> Result<u32, IntegrityError> {
        let last = u32::try_from(stored.0).map_err(|_| IntegrityError::KeyWornOut)?.max(told);
        last.checked_add(1).ok_or(IntegrityError::KeyWornOut)
    }
}
