//! Values on their way between the generated bindings and the core.

use super::bindings::btdt::cache as wit;
use super::bindings::exports::btdt::cache::client;
use crate::error::{CacheAction, Error, ServerFault};
use crate::key::{Key, KeyFault};
use crate::manifest::{Content, Manifest};
use crate::operations::administration::{DeletePage, EntryPage, TreeTotals, verify};
use crate::operations::{clean, restore, store};
use crate::storage::record_lookup::Entry;

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
            occupied_bytes: summary.occupied_bytes,
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

impl From<Entry> for client::EntryInfo {
    fn from(entry: Entry) -> Self {
        let Entry { record, last_access } = entry;
        client::EntryInfo {
            key: text(record.key),
            manifest: record.manifest.into(),
            created: record.created.into(),
            last_access: last_access.into(),
            raw_size: record.raw_size,
            stored_size: record.stored_size,
            files: record.files,
            tool: record.tool,
            labels: record.labels.into_iter().collect(),
        }
    }
}

impl From<EntryPage> for client::EntryPage {
    fn from(page: EntryPage) -> Self {
        client::EntryPage {
            entries: page.entries.into_iter().map(Into::into).collect(),
            unusable: page.unusable,
            next: page.next,
        }
    }
}

impl From<TreeTotals> for client::TreeTotals {
    fn from(totals: TreeTotals) -> Self {
        client::TreeTotals {
            files: totals.files,
            directories: totals.directories,
            symlinks: totals.symlinks,
            hard_links: totals.hard_links,
            raw_size: totals.raw_size,
            chunks: totals.chunks,
            chunks_size: totals.chunks_size,
            missing_chunks: 0,
        }
    }
}

/// The node of that number, which there must be.
pub(super) fn tree_node(manifest: &Manifest, number: u32) -> client::TreeNode {
    let node = manifest.node(number);
    let file = match node.content {
        Content::HardLink(file) => manifest.node(file),
        _ => node,
    };
    client::TreeNode {
        path: manifest.path(number),
        content: match node.content {
            Content::Directory => client::NodeContent::Directory,
            Content::File(_) => client::NodeContent::File(node.size()),
            Content::Symlink(target) => client::NodeContent::Symlink(target.to_vec()),
            Content::HardLink(file) => client::NodeContent::HardLink(manifest.path(file)),
        },
        mode: file.mode,
        modified: file.modified.into(),
    }
}

impl From<DeletePage> for client::DeletePage {
    fn from(page: DeletePage) -> Self {
        client::DeletePage {
            deleted: page.deleted.into_iter().map(text).collect(),
            missing: page.missing.into_iter().map(text).collect(),
            next: page.next,
            failure: page.failure.map(Into::into),
        }
    }
}

impl From<verify::Finding> for client::Finding {
    fn from(finding: verify::Finding) -> Self {
        client::Finding {
            part: match finding.part {
                verify::Part::Record => client::Part::Entry,
                verify::Part::Manifest => client::Part::Manifest,
                verify::Part::Chunk => client::Part::Chunk,
            },
            name: finding.name,
            problem: finding.problem,
            keys: finding.keys.into_iter().map(text).collect(),
            affected: finding.affected,
            repaired: finding.repaired,
        }
    }
}

impl From<verify::Summary> for client::VerifySummary {
    fn from(summary: verify::Summary) -> Self {
        client::VerifySummary {
            entries: summary.entries,
            manifests: summary.manifests,
            chunks: summary.chunks,
            stored_size: summary.stored_size,
            findings: summary.findings.into_iter().map(Into::into).collect(),
            faults: summary.faults,
            affected: summary.affected,
        }
    }
}

fn text(key: Key) -> String {
    key.as_str().to_owned()
}
