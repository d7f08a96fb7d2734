//! Whether the bearer of a token may do something.
//!
//! The core names the facts of a request; the host holds the keys, verifies signatures and
//! evaluates what the token says about those facts.

/// What somebody wants to do with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Read an entry.
    Get,
    /// Write an entry.
    Put,
    /// List the entries.
    List,
    /// Delete an entry.
    Delete,
}

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

/// One thing that may be allowed or not: the facts `operation`, `cache` and, if there is one, `key`.
/// A request for several keys is as many of these, because a check such as "some key begins with
/// `ci/`" would hold for all keys as soon as it held for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// What is to be done.
    pub operation: Operation,
    /// Name of the cache.
    pub cache: String,
    /// The key that it is done to.
    pub key: Option<String>,
}

/// What a token says about an [`Access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It allows it.
    Allowed,
    /// It does not.
    Denied,
    /// It would, were it not for the time of day: every check that fails is one about `time`.
    Expired,
}

/// Why a text is no token that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is not a token at all.
    #[error("it is not a Biscuit token")]
    Malformed,
    /// Its signatures are not those of a key that is trusted here.
    #[error("it is not signed by a key that is trusted here")]
    Forged,
    /// It, or a token that it was derived from, has been revoked.
    #[error("it has been revoked")]
    Revoked,
}

/// Who decides about tokens.
pub trait Authority {
    /// What `token`, in the URL-safe base64 of Biscuit, says about each of `accesses`.
    ///
    /// # Errors
    /// See [`TokenFault`].
    fn authorize(&self, token: &str, accesses: &[Access]) -> Result<Vec<Verdict>, TokenFault>;
}
