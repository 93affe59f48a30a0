//! Seals with keys.

use core::marker::PhantomData;

use evenkeel_core::integrity::{Aead, Key, Mac, Suite};

use crate::SourceIdentity;
use crate::seal::{Proof, Prover, Purpose, SEAL_BYTES_AT_MOST, Seal, SectionPlace};

/// Seals with a key that device and collector share: sections are authenticated (and secret, if the suite encrypts),
/// gaps and commits authenticated with 8 bytes.
///
/// The key is never used as it is: for each log, epoch and purpose another one is derived from it. The nonce of a section
/// is its first position and its count, which name its content for ever; so an epoch must never name two lives of a log.
pub struct Keyed<S> {
    key: Key,
    suite: PhantomData<fn() -> S>,
}

const SECTION: u8 = 1;

impl<S: KeyedSuite> Keyed<S> {
    /// Seals with this key.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key, suite: PhantomData }
    }

    fn derived(&self, identity: &SourceIdentity, purpose: u8) -> Key {
        let mut mac = S::Mac::new(&self.key);
        mac.update(b"evenkeel-sync 1");
        mac.update(&[S::NUMBER, purpose]);
        mac.update(&identity.device.to_le_bytes());
        mac.update(&identity.log.0.to_le_bytes());
        mac.update(&identity.epoch.0.to_le_bytes());
        Key::from(mac.finish())
    }
}

impl<S> Clone for Keyed<S> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), suite: PhantomData }
    }
}

impl<S> core::fmt::Debug for Keyed<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keyed(..)")
    }
}

#[cfg(feature = "defmt")]
impl<S> defmt::Format for Keyed<S> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Keyed(..)");
    }
}

/// A suite that has a number on the wire.
pub trait KeyedSuite: Suite {
    /// The number: 1 to 63 are this crate's, 64 to 255 yours.
    const NUMBER: u8;
}

#[cfg(feature = "aes-ccm")]
impl KeyedSuite for evenkeel_core::integrity::SealedAes {
    const NUMBER: u8 = 1;
}

#[cfg(feature = "chacha20poly1305")]
impl KeyedSuite for evenkeel_core::integrity::SealedChaCha {
    const NUMBER: u8 = 2;
}

#[cfg(feature = "hmac-sha256")]
impl KeyedSuite for evenkeel_core::integrity::SignedSha256 {
    const NUMBER: u8 = 3;
}

#[cfg(feature = "blake2s")]
impl KeyedSuite for evenkeel_core::integrity::SignedBlake2s {
    const NUMBER: u8 = 4;
}

/// A keyed hash that is being computed.
#[derive(Clone)]
pub struct KeyedProver<M>(M);

impl<M: Mac> Prover for KeyedProver<M> {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 8] {
        let hash = self.0.finish();
        *hash.first_chunk().unwrap_or(&[0; 8])
    }
}

impl<S: KeyedSuite> Seal for Keyed<S> {
    const SUITE: u8 = S::NUMBER;
    const SECTION_BYTES: usize = S::Aead::TAG_BYTES;
    const PROOF_BYTES: usize = 8;
    type Prover = KeyedProver<S::Mac>;

    fn close(
        &self,
        identity: &SourceIdentity,
        place: SectionPlace,
        header: &[u8],
        events: &mut [u8],
    ) -> Option<[u8; SEAL_BYTES_AT_MOST]> {
        S::Aead::new(&self.derived(identity, SECTION)).seal(&place.nonce(), header, events)
    }

    fn open(
        &self,
        identity: &SourceIdentity,
        place: SectionPlace,
        header: &[u8],
        events: &mut [u8],
        seal: &[u8],
    ) -> bool {
        S::Aead::new(&self.derived(identity, SECTION)).open(&place.nonce(), header, events, seal)
    }

    fn prover(&self, identity: &SourceIdentity, purpose: Purpose) -> KeyedProver<S::Mac> {
        KeyedProver(S::Mac::new(&self.derived(identity, purpose as u8)))
    }
}

impl Proof {
    /// The bytes of proofs with a key.
    pub const KEYED_BYTES: usize = 8;
}
