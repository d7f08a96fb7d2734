//! Biscuit tokens: keys, verification, attenuation.
//!
//! A server asks a [`KeyRing`], which holds the public keys and the revocation list. A client reads
//! its [`Token`] from a file and attenuates it before sending it. Administrators create tokens with
//! [`issue`] and examine them with [`inspect()`].
//!
//! Nothing here knows what a request is: the core names the facts, and this module says whether a
//! token allows them.
//!
//! Blocks that holders add to a token may contain facts and checks, but no rules or expensive
//! expressions, because a server evaluates what it is sent. A token with more than that allows
//! nothing.
//!
//! Only Ed25519 keys are accepted. Revocation identifies tokens by signature, and anyone can turn
//! an ECDSA signature into another valid one, which would undo a revocation.

mod cost;
mod encoding;
mod evaluate;
mod generations;
pub mod inspect;
mod issue;
mod key_file;
mod key_ring;
mod keys;
mod restrictions;
mod revocation;
mod secret_file;
mod token;

#[cfg(test)]
mod tests;

pub use encoding::MAX_TOKEN_SIZE;
pub use inspect::{Inspection, inspect};
pub use issue::{IssueError, issue};
pub use key_file::{KeyFileError, KeyOrigin, create_key_files, load_or_create, read_public_keys};
pub use key_ring::{Clock, KeyRing};
pub use keys::{KeyFault, PrivateKey, PublicKey};
pub use restrictions::Restrictions;
pub use revocation::{RevocationError, RevocationList};
pub use secret_file::SecretFileError;
pub use token::{AttenuateError, Token, TokenFile, TokenFileError};
