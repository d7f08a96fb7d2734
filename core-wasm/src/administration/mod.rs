//! What people do with the entries of a cache: list, inspect and delete them, and verify all of it.
//!
//! [`local`] works on a cache itself, [`remote`] asks a server. Both answer in the same words, page
//! by page, because a cache may have hundreds of thousands of entries. [`verify`] is for local
//! caches alone.

pub mod local;
pub mod remote;
pub mod verify;

use crate::entries::Entry;
use crate::error::Error;
use crate::key::{Key, Prefix};
use crate::manifest::{Content, Manifest};

/// A part of a list of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// Entries, in no order that means anything.
    pub entries: Vec<Entry>,
    /// Records that were passed over, because they cannot be read or are damaged.
    pub unusable: u64,
    /// Where the next part begins; `None` where there is none.
    pub next: Option<String>,
}

/// An entry and its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What is recorded of it.
    pub entry: Entry,
    /// Its tree; `None` where it is missing or damaged, which the log says.
    pub manifest: Option<Manifest>,
    /// How many of its chunks are missing.
    pub missing_chunks: u64,
}

/// What is in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files, hard links not counted.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Size of the files in bytes.
    pub raw_size: u64,
    /// Chunks, shared ones once.
    pub chunks: u64,
    /// Their raw size in bytes.
    pub chunks_size: u64,
}

impl Totals {
    /// Those of a manifest.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let chunks = manifest.chunks();
        let mut totals = Totals {
            chunks: chunks.len() as u64,
            chunks_size: chunks.iter().map(|chunk| u64::from(chunk.raw_size)).sum(),
            ..Totals::default()
        };
        for (_, node) in manifest.nodes() {
            match node.content {
                Content::Directory => totals.directories += 1,
                Content::File(_) => totals.files += 1,
                Content::Symlink(_) => totals.symlinks += 1,
                Content::HardLink(_) => totals.hard_links += 1,
            }
            totals.raw_size += node.size();
        }
        totals
    }
}

/// Which entries to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Their keys. Empty ones are dropped.
    pub keys: Vec<String>,
    /// Also those whose key begins with this.
    pub prefix: Option<String>,
    /// Where to go on with the prefix; the keys have been dealt with then.
    pub after: Option<String>,
}

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletePage {
    /// Keys whose entry is gone now.
    pub deleted: Vec<Key>,
    /// Keys that were asked for and had none.
    pub missing: Vec<Key>,
    /// Where to go on; `None` where all is done.
    pub next: Option<String>,
    /// Why not all was done.
    pub failure: Option<Error>,
}

/// Something with entries.
pub(crate) trait Entries {
    fn list(&self, prefix: &Prefix, after: Option<&str>) -> Result<EntryPage, Error>;

    /// Deletes an entry; false where there is none.
    fn delete(&self, key: &Key) -> Result<bool, Error>;
}

pub(crate) fn delete_entries(
    request: &DeleteRequest,
    entries: &impl Entries,
) -> Result<DeletePage, Error> {
    let keys = match (&request.prefix, &request.after) {
        (_, Some(_)) => Vec::new(),
        (Some(_), None) if request.keys.iter().all(String::is_empty) => Vec::new(),
        _ => crate::store::valid_keys(&request.keys)?,
    };
    let prefix = request.prefix.as_deref().map(self::prefix).transpose()?;
    let mut page = DeletePage::default();
    page.failure = page.delete(&keys, true, entries).err();
    let (Some(prefix), None) = (prefix, &page.failure) else { return Ok(page) };
    match entries.list(&prefix, request.after.as_deref()) {
        Ok(listed) => {
            let keys: Vec<Key> = listed.entries.into_iter().map(|entry| entry.record.key).collect();
            page.failure = page.delete(&keys, false, entries).err();
            page.next = listed.next.filter(|_| page.failure.is_none());
        }
        Err(error) => page.failure = Some(error),
    }
    Ok(page)
}

impl DeletePage {
    fn delete(&mut self, keys: &[Key], wanted: bool, entries: &impl Entries) -> Result<(), Error> {
        for key in keys {
            if entries.delete(key)? {
                self.deleted.push(key.clone());
            } else if wanted {
                self.missing.push(key.clone());
            }
        }
        Ok(())
    }
}

pub(crate) fn prefix(text: &str) -> Result<Prefix, Error> {
    Prefix::new(text).map_err(|fault| Error::InvalidKey { key: text.to_owned(), fault })
}

pub(crate) fn key(text: &str) -> Result<Key, Error> {
    Key::new(text).map_err(|fault| Error::InvalidKey { key: text.to_owned(), fault })
}
