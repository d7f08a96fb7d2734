//! Biscuit tokens: keys, verification, attenuation.
//!
//! A server asks a [`KeyRing`], which knows the public keys and what has been revoked. A client
//! reads its [`Token`] from a file and narrows it down before it sends it anywhere. Whoever hands
//! out tokens makes them with [`issue`] and looks at them with [`inspect()`].
//!
//! What is absent: nothing here knows what a request is. The core names the facts; this module says
//! whether a token allows them.
//!
//! Blocks that holders of a token add may have facts and checks, but no rules, and no expressions that
//! take long: a server evaluates whatever it is sent. A token with more allows nothing.
//!
//! Only Ed25519 keys are taken. Revocation goes by signatures, and an ECDSA signature can be turned
//! into another valid one by anybody, so a revoked token could be brought back.

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
