//! Digests that the core computes itself: of small data. The host hashes bulk content.

use btdt_ports::{Algorithm, Digest};
use sha2::Digest as _;

/// A running digest.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// BLAKE3, boxed because its state takes two kilobytes.
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher without input.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            Algorithm::Blake3 => Hasher::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    /// Appends input.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    /// The digest of the input.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(hasher) => Digest::new(hasher.finalize().into()),
            Hasher::Blake3(hasher) => Digest::new(*hasher.finalize().as_bytes()),
        }
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::new(sha2::Sha256::digest(bytes).into())
}
