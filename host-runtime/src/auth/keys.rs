//! Keys as text: PEM, and the short form that the `biscuit` tool prints.

use biscuit_auth::{Algorithm, KeyPair};
use std::fmt;
use std::str::FromStr;

/// The prefix of a key of the `biscuit` tool that is not PEM.
const ED25519_PREFIX: &str = "ed25519/";

/// Why a text is not a usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It contains no private key.
    #[error("it is not an Ed25519 private key in PEM form (BEGIN PRIVATE KEY)")]
    NotPrivate,
    /// It contains no public key.
    #[error(
        "it is not an Ed25519 public key, neither in PEM form (BEGIN PUBLIC KEY) nor as ed25519/HEX"
    )]
    NotPublic,
    /// A private key instead of a public one.
    #[error("it is a private key, and a public key is needed")]
    PrivateInstead,
    /// A public key instead of a private one.
    #[error("it is a public key, and a private key is needed")]
    PublicInstead,
    /// A key for another kind of signature.
    #[error("it is a key of another kind than Ed25519")]
    OtherAlgorithm,
}

/// A key that verifies tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub(super) biscuit_auth::PublicKey);

impl PublicKey {
    /// The key in PEM form.
    #[must_use]
    pub fn to_pem(&self) -> Option<String> {
        self.0.to_pem().ok()
    }

    /// The first digits of the key, which identify it.
    pub(super) fn short_name(&self) -> String {
        self.0.to_bytes_hex().chars().take(16).collect()
    }

    /// All keys in a text: PEM blocks and lines such as `ed25519/…`. Lines that begin with `#` are
    /// comments.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, KeyFault> {
        let mut keys = Vec::new();
        let mut block = String::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with("-----BEGIN") || !block.is_empty() {
                block.push_str(line);
                block.push('\n');
                if line.starts_with("-----END") {
                    keys.push(Self::from_pem(&block)?);
                    block.clear();
                }
            } else if !line.is_empty() && !line.starts_with('#') {
                keys.push(line.parse()?);
            }
        }
        if keys.is_empty() || !block.is_empty() {
            return Err(KeyFault::NotPublic);
        }
        Ok(keys)
    }

    fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyFault::PrivateInstead);
        }
        if let Ok(key) = biscuit_auth::PublicKey::from_pem_with_algorithm(pem, Algorithm::Ed25519) {
            return Ok(PublicKey(key));
        }
        Err(match biscuit_auth::PublicKey::from_pem_with_algorithm(pem, Algorithm::Secp256r1) {
            Ok(_) => KeyFault::OtherAlgorithm,
            Err(_) => KeyFault::NotPublic,
        })
    }
}

impl FromStr for PublicKey {
    type Err = KeyFault;

    /// Reads `ed25519/` and 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, KeyFault> {
        if text.starts_with("ed25519-private/") {
            return Err(KeyFault::PrivateInstead);
        }
        if text.starts_with("secp256r1/") {
            return Err(KeyFault::OtherAlgorithm);
        }
        let digits = text.strip_prefix(ED25519_PREFIX).ok_or(KeyFault::NotPublic)?;
        biscuit_auth::PublicKey::from_bytes_hex(digits, Algorithm::Ed25519)
            .map(PublicKey)
            .map_err(|_| KeyFault::NotPublic)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{ED25519_PREFIX}{}", self.0.to_bytes_hex())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A key that signs tokens. It is never shown.
pub struct PrivateKey(KeyPair);

impl PrivateKey {
    /// A new key, from the random numbers of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        PrivateKey(KeyPair::new_with_algorithm(Algorithm::Ed25519))
    }

    /// Reads PEM, as `biscuit keypair --key-output-format pem` prints it; surrounding white space
    /// is ignored, and the final line break may be missing.
    pub fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        let pem = pem.trim();
        if pem.contains("BEGIN PUBLIC KEY") || pem.starts_with(ED25519_PREFIX) {
            return Err(KeyFault::PublicInstead);
        }
        if let Ok(pair) = KeyPair::from_private_key_pem_with_algorithm(pem, Algorithm::Ed25519) {
            return Ok(PrivateKey(pair));
        }
        Err(match KeyPair::from_private_key_pem_with_algorithm(pem, Algorithm::Secp256r1) {
            Ok(_) => KeyFault::OtherAlgorithm,
            Err(_) => KeyFault::NotPrivate,
        })
    }

    /// The key in PEM form, for its file. Never `None` for a key that was read or generated.
    #[must_use]
    pub fn to_pem(&self) -> Option<String> {
        self.0.to_private_key_pem().ok().map(|pem| pem.to_string())
    }

    /// The public key that belongs to this one.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey(of {})", self.public())
    }
}
