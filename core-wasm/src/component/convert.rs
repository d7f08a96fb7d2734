//! Values on their way between the generated bindings and the core.

use super::bindings::btdt::cache as wit;
use super::bindings::exports::btdt::cache::client;
use crate::error::{CacheAction, Error, ServerFault};
use crate::key::KeyFault;
use crate::{clean, restore, store};

btdt_ports::mirror!(wit);

impl From<store::Summary> for client::StoreSummary {
    fn from(summary: store::Summary) -> Self {
        client::StoreSummary {
            files: summary.files,
            raw_size: summary.raw_size,
            keys: summary.keys,
            chunks: summary.chunks.chunks,
            stored_size: summary.chunks.stored_size,
            new_chunks: summary.chunks.new_chunks,
            new_raw_size: summary.chunks.new_raw_size,
            new_stored_size: summary.chunks.new_stored_size,
            manifest: summary.manifest.into(),
        }
    }
}

impl From<restore::Outcome> for Option<client::Restored> {
    fn from(outcome: restore::Outcome) -> Self {
        match outcome {
            restore::Outcome::Missed => None,
            restore::Outcome::Restored { key, primary, files, raw_size, summary } => {
                Some(client::Restored {
                    key: key.as_str().to_owned(),
                    primary,
                    files,
                    raw_size,
                    summary: summary.into(),
                })
            }
        }
    }
}

impl From<clean::Summary> for client::CleanSummary {
    fn from(summary: clean::Summary) -> Self {
        client::CleanSummary {
            removed: summary.removed,
            kept: summary.kept,
            kept_bytes: summary.kept_bytes,
            damaged: summary.damaged,
            swept: summary.swept.map(|swept| client::Swept {
                set_aside: swept.set_aside,
                set_aside_bytes: swept.set_aside_bytes,
                deleted: swept.deleted,
                deleted_bytes: swept.deleted_bytes,
                recalled: swept.recalled,
            }),
            leftovers: summary.leftovers.into(),
        }
    }
}

impl From<Error> for client::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NoKeys => Self::NoKeys,
            Error::InvalidKey { key, fault } => {
                Self::InvalidKey(client::InvalidKey { key, fault: fault.into() })
            }
            Error::InvalidExclude { pattern, reason } => {
                Self::InvalidExclude(client::InvalidExclude { pattern, reason })
            }
            Error::Source { path, error } => {
                Self::Source(client::PathFailure { path, error: error.into() })
            }
            Error::SourceKind => Self::SourceKind,
            Error::SourceUnstable { paths } => Self::SourceUnstable(paths),
            Error::SourceTooLarge => Self::SourceTooLarge,
            Error::Cache { action, error } => {
                Self::Cache(client::CacheFailure { action: action.into(), error: error.into() })
            }
            Error::Server { url, fault } => {
                Self::Server(client::ServerFailure { url, fault: fault.into() })
            }
            Error::NotRemote(reason) => Self::NotRemote(reason.to_owned()),
            Error::CacheUnstable => Self::CacheUnstable,
            Error::Destination { path, error } => {
                Self::Destination(client::PathFailure { path, error: error.into() })
            }
            Error::Incomplete => Self::Incomplete,
        }
    }
}

impl From<KeyFault> for client::KeyFault {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Empty => Self::Empty,
            KeyFault::TooLong => Self::TooLong,
            KeyFault::Control => Self::Control,
            KeyFault::Comma => Self::Comma,
        }
    }
}

impl From<CacheAction> for client::CacheAction {
    fn from(action: CacheAction) -> Self {
        match action {
            CacheAction::Read => Self::Read,
            CacheAction::Write => Self::Write,
            CacheAction::Delete => Self::Delete,
            CacheAction::Spool => Self::Spool,
        }
    }
}

impl From<ServerFault> for client::ServerFault {
    fn from(fault: ServerFault) -> Self {
        match fault {
            ServerFault::NoAnswer(error) => Self::NoAnswer(error.into()),
            ServerFault::Refused { status, message } => {
                Self::Refused(client::ServerRefusal { status, message })
            }
            ServerFault::Unexpected(what) => Self::Unexpected(what),
        }
    }
}
