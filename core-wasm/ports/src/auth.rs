//! Authorization: what the bearer of a token may do.
//!
//! The core names the facts of a request; the host holds the keys, verifies signatures and
//! evaluates what the token says about those facts.

pub use crate::wit::types::{Access, Operation, TokenFault, Verdict};
use std::fmt;

impl Operation {
    /// The operation as tokens name it, in the fact `operation("…")`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::Put => "put",
            Operation::List => "list",
            Operation::Delete => "delete",
        }
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TokenFault::Malformed => "it is not a Biscuit token",
            TokenFault::Forged => "it is not signed by a key that is trusted here",
            TokenFault::Revoked => "it has been revoked",
        })
    }
}

impl std::error::Error for TokenFault {}

/// Verifies tokens.
pub trait Authority {
    /// Whether `token`, in the URL-safe base64 of Biscuit, allows each of `accesses`.
    fn authorize(&self, token: &str, accesses: &[Access]) -> Result<Vec<Verdict>, TokenFault>;
}
