//! What administering a local and a remote cache have in common.
//!
//! Lists come page by page, because a cache may have hundreds of thousands of entries.

use crate::key::{Key, Prefix};
use crate::manifest::{Content, Manifest};
use crate::operations::key_arguments::{valid_key, valid_keys, valid_prefix};
use crate::storage::record_lookup::Entry;
use btdt_ports::client::{DeletePage, DeleteRequest, Error, TreeTotals};

/// One page of a list of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// Entries in no particular order.
    pub entries: Vec<Entry>,
    /// Number of records that were skipped because they are unreadable or damaged.
    pub unusable: u64,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// An entry and its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The record, and its last access.
    pub entry: Entry,
    /// The tree; `None` if the manifest is missing or damaged, in which case the log has a warning.
    pub manifest: Option<Manifest>,
    /// Number of its chunks that are missing.
    pub missing_chunks: u64,
}

impl Inspection {
    /// Counts of what is in the tree; `None` if the manifest is missing or damaged.
    #[must_use]
    pub fn totals(&self) -> Option<TreeTotals> {
        let manifest = self.manifest.as_ref()?;
        let chunks = manifest.chunks();
        let mut totals = TreeTotals {
            chunks: chunks.len() as u64,
            chunks_size: chunks.iter().map(|chunk| u64::from(chunk.raw_size)).sum(),
            missing_chunks: self.missing_chunks,
            ..TreeTotals::default()
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
        Some(totals)
    }
}

/// A cache whose entries can be listed, inspected and deleted.
pub trait Entries {
    /// One page of the entries whose keys begin with `prefix`, starting at `after`.
    ///
    /// # Errors
    /// [`Error::Cache`] for a local cache; [`Error::Server`] or [`Error::NotRemote`] for a remote
    /// one.
    fn list(&self, prefix: &Prefix, after: Option<&str>) -> Result<EntryPage, Error>;

    /// The entry of a key and its tree; `None` if there is no entry.
    ///
    /// # Errors
    /// As for [`Entries::list`].
    fn inspect(&self, key: &Key) -> Result<Option<Inspection>, Error>;

    /// Deletes an entry; false if there was none.
    ///
    /// # Errors
    /// As for [`Entries::list`].
    fn delete(&self, key: &Key) -> Result<bool, Error>;
}

/// [`Entries::list`] for a prefix as the user gave it.
///
/// # Errors
/// [`Error::InvalidKey`], and those of [`Entries::list`].
pub fn list(prefix: &str, after: Option<&str>, cache: &impl Entries) -> Result<EntryPage, Error> {
    cache.list(&valid_prefix(prefix)?, after)
}

/// [`Entries::inspect`] for a key as the user gave it.
///
/// # Errors
/// [`Error::InvalidKey`], and those of [`Entries::inspect`].
pub fn inspect(key: &str, cache: &impl Entries) -> Result<Option<Inspection>, Error> {
    cache.inspect(&valid_key(key)?)
}

/// Deletes the entries of all keys, and one page of those with the prefix.
///
/// # Errors
/// [`Error::NoKeys`], [`Error::InvalidKey`]. Later failures are in [`DeletePage::failure`].
pub fn delete(request: &DeleteRequest, cache: &impl Entries) -> Result<DeletePage, Error> {
    let keys = match (&request.prefix, &request.after) {
        (_, Some(_)) => Vec::new(),
        (Some(_), None) if request.keys.iter().all(String::is_empty) => Vec::new(),
        _ => valid_keys(&request.keys)?,
    };
    let prefix = request.prefix.as_deref().map(valid_prefix).transpose()?;
    let mut page = DeletePage::default();
    page.failure = delete_keys(&mut page, &keys, true, cache).err();
    let (Some(prefix), None) = (prefix, &page.failure) else { return Ok(page) };
    match cache.list(&prefix, request.after.as_deref()) {
        Ok(listed) => {
            let keys: Vec<Key> = listed.entries.into_iter().map(|entry| entry.record.key).collect();
            page.failure = delete_keys(&mut page, &keys, false, cache).err();
            page.next = listed.next.filter(|_| page.failure.is_none());
        }
        Err(error) => page.failure = Some(error),
    }
    Ok(page)
}

/// Deletes entries; absent ones are reported only if they were `requested`.
fn delete_keys(
    page: &mut DeletePage,
    keys: &[Key],
    requested: bool,
    cache: &impl Entries,
) -> Result<(), Error> {
    for key in keys {
        if cache.delete(key)? {
            page.deleted.push(key.as_str().to_owned());
        } else if requested {
            page.missing.push(key.as_str().to_owned());
        }
    }
    Ok(())
}
