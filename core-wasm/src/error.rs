//! Why an operation did not do what was asked. The wording is the front end's business.

use crate::key::KeyFault;
use btdt_ports::{HttpError, IoError};

/// What was being done to the cache when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheAction {
    /// Reading it.
    Read,
    /// Writing to it.
    Write,
    /// Deleting from it.
    Delete,
    /// Keeping chunks on this machine on their way to or from it.
    Spool,
}

/// Why a server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerFault {
    /// There was no answer.
    #[error("{0}")]
    NoAnswer(HttpError),
    /// It refused.
    #[error("the server answered {status}: {message}")]
    Refused {
        /// The status code.
        status: u16,
        /// What it said, or the meaning of the status.
        message: String,
    },
    /// Its answer is not one of this protocol.
    #[error("the server's answer is not that of a btdt server: {0}")]
    Unexpected(String),
}

/// An operation that failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No key was given that is not empty.
    #[error("no key was given")]
    NoKeys,
    /// A key or prefix is not allowed.
    #[error("invalid key {key:?}: {fault}")]
    InvalidKey {
        /// The text that was given.
        key: String,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// An exclude pattern does not parse.
    #[error("invalid exclude pattern {pattern:?}: {reason}")]
    InvalidExclude {
        /// The pattern that was given.
        pattern: String,
        /// What the pattern parser says.
        reason: String,
    },
    /// A file or directory of the user could not be read.
    #[error("could not read {}: {error}", String::from_utf8_lossy(.path))]
    Source {
        /// Path in the tree; empty for the root.
        path: Vec<u8>,
        /// What went wrong.
        error: IoError,
    },
    /// The root is a socket, FIFO or device.
    #[error("neither a file nor a directory")]
    SourceKind,
    /// Files changed each time they were read.
    #[error("{} files keep changing while they are read", .paths.len())]
    SourceUnstable {
        /// Their paths in the tree.
        paths: Vec<Vec<u8>>,
    },
    /// The tree has more entries than a manifest can have.
    #[error("the tree is too large for one entry")]
    SourceTooLarge,
    /// The cache could not be read or written.
    #[error("could not access the cache: {error}")]
    Cache {
        /// What was being done.
        action: CacheAction,
        /// What went wrong.
        error: IoError,
    },
    /// The server of a remote cache did not do what was asked.
    #[error("{url}: {fault}")]
    Server {
        /// The URL that was asked.
        url: String,
        /// Why.
        fault: ServerFault,
    },
    /// The operation cannot be done on a remote cache, or not on this one.
    #[error("{0}")]
    NotRemote(&'static str),
    /// What was written to the cache was gone again when it was committed, several times.
    #[error("the cache loses what is written to it")]
    CacheUnstable,
    /// The destination could not be written.
    #[error("could not write {}: {error}", String::from_utf8_lossy(.path))]
    Destination {
        /// Path in the tree; empty for the root.
        path: Vec<u8>,
        /// What went wrong.
        error: IoError,
    },
    /// Entries turned out to be damaged after the destination had been changed already.
    #[error("the destination was changed, but no entry could be restored completely")]
    Incomplete,
}

impl Error {
    /// Failed to read the cache.
    #[must_use]
    pub fn reading(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Read, error }
    }

    /// Failed to write to the cache.
    #[must_use]
    pub fn writing(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Write, error }
    }

    /// Failed to keep chunks on this machine on their way to or from a server.
    #[must_use]
    pub fn spooling(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Spool, error }
    }

    /// A server did not do what was asked at `url`.
    #[must_use]
    pub fn server(url: &str, fault: ServerFault) -> Self {
        Error::Server { url: url.to_owned(), fault }
    }

    /// Failed to delete from the cache.
    #[must_use]
    pub fn deleting(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Delete, error }
    }
}
