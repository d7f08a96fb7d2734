//! What front ends ask of the core, and why it fails.

pub use crate::wit::client_types::{
    CacheAction, CacheFailure, CleanRequest, CleanSummary, DeletePage, DeleteRequest, EntryInfo,
    EntryPage, Error, Finding, HashFailure, InvalidExclude, InvalidKey, KeyFault, ListRequest,
    NodeContent, Part, PathFailure, RestoreRequest, Restored, ServerFailure, ServerFault,
    ServerRefusal, StoreRequest, StoreSummary, Swept, TreeNode, TreeTotals, VerifySummary,
};

use crate::IoError;
use std::fmt;

/// Longest key in bytes of UTF-8.
pub const MAX_KEY_LENGTH: usize = 512;

impl Error {
    /// A text that is not a key or prefix.
    #[must_use]
    pub fn invalid_key(key: &str, fault: KeyFault) -> Self {
        Error::InvalidKey(InvalidKey { key: key.to_owned(), fault })
    }

    /// Failed to read a path of the user's; the empty path is the root of the tree.
    #[must_use]
    pub fn source(path: &[u8], error: IoError) -> Self {
        Error::Source(PathFailure { path: path.to_owned(), error })
    }

    /// Failed to write a path of the destination; the empty path is its root.
    #[must_use]
    pub fn destination(path: &[u8], error: IoError) -> Self {
        Error::Destination(PathFailure { path: path.to_owned(), error })
    }

    /// Failed to read the cache.
    #[must_use]
    pub fn reading(error: IoError) -> Self {
        Error::Cache(CacheFailure { action: CacheAction::Read, error })
    }

    /// Failed to write to the cache.
    #[must_use]
    pub fn writing(error: IoError) -> Self {
        Error::Cache(CacheFailure { action: CacheAction::Write, error })
    }

    /// Failed to delete from the cache.
    #[must_use]
    pub fn deleting(error: IoError) -> Self {
        Error::Cache(CacheFailure { action: CacheAction::Delete, error })
    }

    /// Failed to keep chunks on this machine on their way to or from a server.
    #[must_use]
    pub fn spooling(error: IoError) -> Self {
        Error::Cache(CacheFailure { action: CacheAction::Spool, error })
    }

    /// A server did not do what was asked at `url`.
    #[must_use]
    pub fn server(url: &str, fault: ServerFault) -> Self {
        Error::Server(ServerFailure { url: url.to_owned(), fault })
    }
}

impl fmt::Display for Error {
    /// For logs: front ends have their own words for users.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoKeys => formatter.write_str("no key was given"),
            Error::InvalidKey(InvalidKey { key, fault }) => {
                write!(formatter, "invalid key {key:?}: {fault}")
            }
            Error::InvalidExclude(InvalidExclude { pattern, reason }) => {
                write!(formatter, "invalid exclude pattern {pattern:?}: {reason}")
            }
            Error::Source(PathFailure { path, error }) => {
                write!(formatter, "could not read {}: {error}", String::from_utf8_lossy(path))
            }
            Error::SourceKind => formatter.write_str("neither a file nor a directory"),
            Error::SourceUnstable(paths) => {
                write!(formatter, "{} files keep changing while they are read", paths.len())
            }
            Error::SourceTooLarge => formatter.write_str("the tree is too large for one entry"),
            Error::Cache(CacheFailure { error, .. }) => {
                write!(formatter, "could not access the cache: {error}")
            }
            Error::Server(ServerFailure { url, fault }) => write!(formatter, "{url}: {fault}"),
            Error::NotRemote(reason) => formatter.write_str(reason),
            Error::CacheUnstable => formatter.write_str("the cache loses what is written to it"),
            Error::Destination(PathFailure { path, error }) => {
                write!(formatter, "could not write {}: {error}", String::from_utf8_lossy(path))
            }
            Error::Incomplete => formatter.write_str(
                "the destination was changed, but no entry could be restored completely",
            ),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for KeyFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFault::Empty => formatter.write_str("a key must not be empty"),
            KeyFault::TooLong => {
                write!(formatter, "a key must not be longer than {MAX_KEY_LENGTH} bytes")
            }
            KeyFault::Control => formatter.write_str("a key must not contain control characters"),
            KeyFault::Comma => formatter.write_str("a key must not contain a comma"),
        }
    }
}

impl std::error::Error for KeyFault {}

impl fmt::Display for ServerFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerFault::NoAnswer(error) => error.fmt(formatter),
            ServerFault::Refused(ServerRefusal { status, message }) => {
                write!(formatter, "the server answered {status}: {message}")
            }
            ServerFault::Unexpected(what) => {
                write!(formatter, "the server's answer is not that of a btdt server: {what}")
            }
        }
    }
}
