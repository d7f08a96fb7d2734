//! Why an operation failed. Front ends choose the wording.

use crate::key::KeyFault;
use btdt_ports::{HttpError, IoError};

/// What the core was doing to the cache when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheAction {
    /// Reading it.
    Read,
    /// Writing to it.
    Write,
    /// Deleting from it.
    Delete,
    /// Spooling chunks on this machine on their way to or from it.
    Spool,
}

/// Why a request to a server failed.
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
        /// Its own message, or the meaning of the status.
        message: String,
    },
    /// Its answer does not follow the protocol.
    #[error("the server's answer is not that of a btdt server: {0}")]
    Unexpected(String),
}

/// Why an operation failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No key was given, or only empty ones.
    #[error("no key was given")]
    NoKeys,
    /// A key or prefix is invalid.
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
        /// The parser's message.
        reason: String,
    },
    /// The user's tree could not be read.
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
    /// A request to the server of a remote cache failed.
    #[error("{url}: {fault}")]
    Server {
        /// URL of the request.
        url: String,
        /// Why it failed.
        fault: ServerFault,
    },
    /// Remote caches, or this one, do not support the operation.
    #[error("{0}")]
    NotRemote(&'static str),
    /// In several attempts, objects were gone from the cache before the entry was committed.
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
    /// All entries turned out to be damaged, one of them after the destination had been changed.
    #[error("the destination was changed, but no entry could be restored completely")]
    Incomplete,
}

impl Error {
    /// The cache could not be read.
    #[must_use]
    pub fn reading(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Read, error }
    }

    /// The cache could not be written.
    #[must_use]
    pub fn writing(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Write, error }
    }

    /// Chunks on their way to or from a server could not be spooled.
    #[must_use]
    pub fn spooling(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Spool, error }
    }

    /// A request to `url` failed.
    #[must_use]
    pub fn server(url: &str, fault: ServerFault) -> Self {
        Error::Server { url: url.to_owned(), fault }
    }

    /// Something could not be deleted from the cache.
    #[must_use]
    pub fn deleting(error: IoError) -> Self {
        Error::Cache { action: CacheAction::Delete, error }
    }
}
