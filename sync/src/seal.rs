//! What authenticates frames, and what a commit proves.

use crc::{CRC_32_ISCSI, Crc, Digest};
use evenkeel_core::bytes::{ByteWriter, copy};
use evenkeel_core::{Position, Record};

use crate::SourceIdentity;

/// CRC-32C (Castagnoli).
pub(crate) const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The most bytes that a seal adds to a section.
pub const SEAL_BYTES_AT_MOST: usize = 16;

/// How sections are sealed and commits proven: [`Plain`] against accidents, `Keyed` (feature `integrity`) against attackers.
///
/// Source and sink of one log have the same; the relay between them needs none.
pub trait Seal {
    /// The number of the suite, as a HEAD tells it.
    const SUITE: u8;
    /// The bytes that it adds to a section: at most [`SEAL_BYTES_AT_MOST`].
    const SECTION_BYTES: usize;
    /// The bytes of a proof: at most 8.
    const PROOF_BYTES: usize;
    /// Takes in what is to be proven.
    type Prover: Prover;

    /// Encrypts the events of a section in place, if it encrypts, and answers the seal, of which the first
    /// [`SECTION_BYTES`](Self::SECTION_BYTES) are sent. `header` is what stands before the events. `None` if that
    /// cannot be done.
    fn close(
        &self,
        identity: &SourceIdentity,
        place: SectionPlace,
        header: &[u8],
        events: &mut [u8],
    ) -> Option<[u8; SEAL_BYTES_AT_MOST]>;

    /// Decrypts the events of a section in place; `false` if the seal does not fit.
    fn open(
        &self,
        identity: &SourceIdentity,
        place: SectionPlace,
        header: &[u8],
        events: &mut [u8],
        seal: &[u8],
    ) -> bool;

    /// Begins a proof for this purpose about this life of the log.
    fn prover(&self, identity: &SourceIdentity, purpose: Purpose) -> Self::Prover;
}

/// Which section it is: names its content for ever, so it serves as nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SectionPlace {
    /// The position of the first event.
    pub first: Position,
    /// How many events there are.
    pub count: u32,
}

impl SectionPlace {
    /// The first position in little-endian order, and the count.
    #[must_use]
    pub fn nonce(self) -> [u8; 12] {
        let mut nonce = [0; 12];
        let mut out = ByteWriter::new(&mut nonce);
        let _ = out.u64(self.first.0).and_then(|()| out.u32(self.count));
        nonce
    }
}

/// What a proof is for: proofs for different purposes are never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Purpose {
    /// That positions hold nothing any more.
    Gap = 2,
    /// That the sink has what it says.
    Commit = 3,
    /// That the source knows it.
    Committed = 4,
    /// That a relay has what it says.
    Custody = 5,
    /// That the sink has a cursor, in a READ.
    Read = 6,
}

/// Takes in bytes and answers a proof.
pub trait Prover {
    /// Takes in more bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The proof, of which the first [`PROOF_BYTES`](Seal::PROOF_BYTES) are sent.
    fn finish(self) -> [u8; 8];
}

/// The proof that goes with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Proof {
    bytes: [u8; 8],
    len: u8,
}

impl Proof {
    /// The proof with these bytes; `None` if they are more than 8.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; 8];
        copy(bytes, all.get_mut(..bytes.len())?);
        Some(Self { bytes: all, len: u8::try_from(bytes.len()).ok()? })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// What a prover has come to.
    #[must_use]
    pub fn of<S: Seal>(prover: S::Prover) -> Self {
        let bytes = prover.finish();
        Self::new(bytes.get(..S::PROOF_BYTES).unwrap_or_default()).unwrap_or_default()
    }

    /// Whether they are the same, in a time that does not tell where they differ.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        same(self.bytes(), other.bytes())
    }
}

/// Compares in a time that tells nothing but the lengths.
pub(crate) fn same(ours: &[u8], theirs: &[u8]) -> bool {
    let differs = ours.iter().zip(theirs).fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs));
    core::hint::black_box(differs) == 0 && ours.len() == theirs.len()
}

/// Begins the proof of a commit: that the sink has some events. Take them in with [`prove_event`], and end it with
/// [`commit_proof`].
pub fn commit_prover<S: Seal>(seal: &S, identity: &SourceIdentity) -> S::Prover {
    seal.prover(identity, Purpose::Commit)
}

/// The proof that the sink has the events after `from`, up to `to`, which this prover has taken in.
pub fn commit_proof<S: Seal>(mut prover: S::Prover, from: Position, to: Position) -> Proof {
    prover.update(&from.0.to_le_bytes());
    prover.update(&to.0.to_le_bytes());
    Proof::of::<S>(prover)
}

/// Takes one event into the proof of a commit: its position, stream, version, kind, schema, and its payload with the
/// length of that.
pub fn prove_event(prover: &mut impl Prover, event: &Record<'_>) {
    let mut head = [0; 26];
    let mut out = ByteWriter::new(&mut head);
    let _ = out
        .u64(event.position.unwrap_or_default().0)
        .and_then(|()| out.u64(event.stream.0))
        .and_then(|()| out.u32(event.version.0))
        .and_then(|()| out.slice(&[event.kind.0, event.schema]))
        .and_then(|()| out.u32(u32::try_from(event.payload.len()).unwrap_or(u32::MAX)));
    prover.update(&head);
    prover.update(event.payload);
}

/// The proof of a message that is about one position: of COMMITTED, of READ, and of CUSTODY with the number of the relay.
pub(crate) fn prove_position<S: Seal>(
    seal: &S,
    identity: &SourceIdentity,
    purpose: Purpose,
    relay: u64,
    position: Position,
) -> Proof {
    let mut prover = seal.prover(identity, purpose);
    prover.update(&relay.to_le_bytes());
    prover.update(&position.0.to_le_bytes());
    Proof::of::<S>(prover)
}

/// No keys: CRC-32C keeps accidents out, also frames and commits meant for another device, log or epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Plain;

/// A CRC-32C that is being computed.
#[derive(Clone)]
pub struct PlainProver(Digest<'static, u32>);

static SHARED_CRC: Crc<u32> = CRC;

pub(crate) fn address(digest: &mut Digest<'_, u32>, identity: &SourceIdentity, with_epoch: bool) {
    digest.update(&identity.device.to_le_bytes());
    digest.update(&identity.log.0.to_le_bytes());
    if with_epoch {
        digest.update(&identity.epoch.0.to_le_bytes());
    }
}

fn check(identity: &SourceIdentity, header: &[u8], events: &[u8]) -> [u8; 4] {
    let mut digest = SHARED_CRC.digest();
    address(&mut digest, identity, true);
    digest.update(header);
    digest.update(events);
    digest.finalize().to_le_bytes()
}

impl Seal for Plain {
    const SUITE: u8 = 0;
    const SECTION_BYTES: usize = 4;
    const PROOF_BYTES: usize = 4;
    type Prover = PlainProver;

    fn close(
        &self,
        identity: &SourceIdentity,
        _: SectionPlace,
        header: &[u8],
        events: &mut [u8],
    ) -> Option<[u8; SEAL_BYTES_AT_MOST]> {
        let mut seal = [0; SEAL_BYTES_AT_MOST];
        copy(&check(identity, header, events), &mut seal);
        Some(seal)
    }

    fn open(&self, identity: &SourceIdentity, _: SectionPlace, header: &[u8], events: &mut [u8], seal: &[u8]) -> bool {
        check(identity, header, events) == seal
    }

    fn prover(&self, identity: &SourceIdentity, purpose: Purpose) -> PlainProver {
        let mut digest = SHARED_CRC.digest();
        address(&mut digest, identity, true);
        digest.update(&[purpose as u8]);
        PlainProver(digest)
    }
}

impl Prover for PlainProver {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 8] {
        u64::from(self.0.finalize()).to_le_bytes()
    }
}
