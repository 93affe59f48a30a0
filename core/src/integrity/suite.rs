//! What seals and chains: two small traits, and implementations out of RustCrypto.

use super::Key;

/// A keyed hash: HMAC, keyed BLAKE2s, or what a chip has.
pub trait Mac: Clone {
    /// With this key, having taken in nothing yet.
    fn new(key: &Key) -> Self;
    /// Takes in more bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The hash of all that was taken in.
    fn finish(self) -> [u8; 32];
}

/// Authenticated encryption with associated data, or authentication alone.
pub trait Aead {
    /// How many bytes of a tag are stored with each record: 4 to 16.
    const TAG_BYTES: usize;
    /// Whether it encrypts: then each nonce is used once only, else there are none.
    const ENCRYPTS: bool;

    /// With this key.
    fn new(key: &Key) -> Self;

    /// Encrypts `data` in place, if it encrypts, and answers the tag, of which the first [`TAG_BYTES`](Self::TAG_BYTES)
    /// are stored. `None` if `data` is longer than it can take.
    fn seal(&self, nonce: &[u8; 12], header: &[u8], data: &mut [u8]) -> Option<[u8; 16]>;

    /// Decrypts `data` in place; `false` if the tag does not fit, and then what is in `data` means nothing.
    fn open(&self, nonce: &[u8; 12], header: &[u8], data: &mut [u8], tag: &[u8]) -> bool;
}

/// Which cryptography a sealed log uses.
pub trait Suite {
    /// Seals records.
    type Aead: Aead;
    /// Derives keys and chains records.
    type Mac: Mac;
}

/// Authentication without encryption: the first `TAG` bytes of a keyed hash.
#[derive(Clone)]
pub struct TagOnly<M, const TAG: usize = 8>(M);

impl<M: Mac, const TAG: usize> TagOnly<M, TAG> {
    fn tag(&self, header: &[u8], data: &[u8]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(header);
        mac.update(data);
        let hash = mac.finish();
        *hash.first_chunk().unwrap_or(&[0; 16])
    }

    /// Whether this is the tag of unencrypted data.
    pub(super) fn fits(&self, header: &[u8], data: &[u8], tag: &[u8]) -> bool {
        equal(self.tag(header, data).get(..TAG).unwrap_or_default(), tag)
    }
}

impl<M: Mac, const TAG: usize> Aead for TagOnly<M, TAG> {
    const TAG_BYTES: usize = TAG;
    const ENCRYPTS: bool = false;

    fn new(key: &Key) -> Self {
        const { assert!(TAG >= 4 && TAG <= 16, "a tag has 4 to 16 bytes") };
        Self(M::new(key))
    }

    fn seal(&self, _: &[u8; 12], header: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
        Some(self.tag(header, data))
    }

    fn open(&self, _: &[u8; 12], header: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
        self.fits(header, data, tag)
    }
}

/// Compares two tags in a time that tells nothing but their lengths.
fn equal(ours: &[u8], theirs: &[u8]) -> bool {
    let differs = ours.iter().zip(theirs).fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs));
    core::hint::black_box(differs) == 0 && ours.len() == theirs.len() && !ours.is_empty()
}

#[cfg(feature = "hmac-sha256")]
mod sha256 {
    use hmac::{Hmac, KeyInit, Mac as _};
    use sha2::Sha256;

    use super::{Key, Mac, Suite, TagOnly};

    /// HMAC-SHA-256.
    #[derive(Clone)]
    pub struct HmacSha256(Hmac<Sha256>);

    impl Mac for HmacSha256 {
        fn new(key: &Key) -> Self {
            let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
            block.iter_mut().zip(key.bytes()).for_each(|(place, byte)| *place = *byte);
            Self(Hmac::new(&block))
        }

        fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(self) -> [u8; 32] {
            self.0.finalize().into_bytes().into()
        }
    }

    /// Records are authenticated with 8 bytes of HMAC-SHA-256 each, and can be read by everybody.
    #[derive(Debug, Clone, Copy)]
    pub struct SignedSha256;

    impl Suite for SignedSha256 {
        type Aead = TagOnly<HmacSha256>;
        type Mac = HmacSha256;
    }
}
#[cfg(feature = "hmac-sha256")]
pub use sha256::{HmacSha256, SignedSha256};

#[cfg(feature = "blake2s")]
mod blake2s {
    use blake2::Blake2sMac256;
    use blake2::digest::{KeyInit, Mac as _};

    use super::{Key, Mac, Suite, TagOnly};

    /// Keyed BLAKE2s: about half the work of HMAC-SHA-256 where there is no hardware for that.
    #[derive(Clone)]
    pub struct Blake2s(Blake2sMac256);

    impl Mac for Blake2s {
        fn new(key: &Key) -> Self {
            Self(Blake2sMac256::new(&(*key.bytes()).into()))
        }

        fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(self) -> [u8; 32] {
            self.0.finalize().into_bytes().into()
        }
    }

    /// Records are authenticated with 8 bytes of keyed BLAKE2s each, and can be read by everybody.
    #[derive(Debug, Clone, Copy)]
    pub struct SignedBlake2s;

    impl Suite for SignedBlake2s {
        type Aead = TagOnly<Blake2s>;
        type Mac = Blake2s;
    }
}
#[cfg(feature = "blake2s")]
pub use blake2s::{Blake2s, SignedBlake2s};

/// Implements [`Aead`] with one of RustCrypto's, with a nonce of 12 bytes.
#[cfg(any(feature = "aes-ccm", feature = "chacha20poly1305"))]
macro_rules! rust_crypto {
    ($name:ident, $cipher:ty, $key:literal, $tag:literal) => {
        impl super::Aead for $name {
            const TAG_BYTES: usize = $tag;
            const ENCRYPTS: bool = true;

            fn new(key: &super::Key) -> Self {
                let key: [u8; $key] = *key.bytes().first_chunk().unwrap_or(&[0; $key]);
                Self(<$cipher>::new(&key.into()))
            }

            fn seal(&self, nonce: &[u8; 12], header: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
                let tag = self.0.encrypt_inout_detached(nonce.into(), header, data.into()).ok()?;
                let mut all = [0; 16];
                all.iter_mut().zip(tag).for_each(|(place, byte)| *place = byte);
                Some(all)
            }

            fn open(&self, nonce: &[u8; 12], header: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
                let Ok(tag) = <&[u8; $tag]>::try_from(tag) else { return false };
                self.0.decrypt_inout_detached(nonce.into(), header, data.into(), tag.into()).is_ok()
            }
        }
    };
}

#[cfg(feature = "aes-ccm")]
mod aes_ccm {
    use aes::Aes128;
    use ccm::Ccm;
    use ccm::aead::{AeadInOut, KeyInit};
    use ccm::consts::{U8, U12};

    use super::{HmacSha256, Suite};

    /// AES-128-CCM with a tag of 8 bytes.
    pub struct AesCcm8(Ccm<Aes128, U8, U12>);
    rust_crypto!(AesCcm8, Ccm<Aes128, U8, U12>, 16, 8);

    /// Records are encrypted with AES-128-CCM (8 bytes of a tag each) and chained with HMAC-SHA-256.
    #[derive(Debug, Clone, Copy)]
    pub struct SealedAes;

    impl Suite for SealedAes {
        type Aead = AesCcm8;
        type Mac = HmacSha256;
    }
}
#[cfg(feature = "aes-ccm")]
pub use aes_ccm::{AesCcm8, SealedAes};

#[cfg(feature = "chacha20poly1305")]
mod chacha {
    use chacha20poly1305::aead::{AeadInOut, KeyInit};

    use super::{Blake2s, Suite};

    /// ChaCha20-Poly1305 with a tag of 16 bytes.
    pub struct ChaCha20Poly1305(chacha20poly1305::ChaCha20Poly1305);
    rust_crypto!(ChaCha20Poly1305, chacha20poly1305::ChaCha20Poly1305, 32, 16);

    /// Records are encrypted with ChaCha20-Poly1305 (16 bytes of a tag each) and chained with keyed BLAKE2s.
    #[derive(Debug, Clone, Copy)]
    pub struct SealedChaCha;

    impl Suite for SealedChaCha {
        type Aead = ChaCha20Poly1305;
        type Mac = Blake2s;
    }
}
#[cfg(feature = "chacha20poly1305")]
pub use chacha::{ChaCha20Poly1305, SealedChaCha};
