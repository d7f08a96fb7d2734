//! The entries of a cache that this process works on itself.

use super::{DeletePage, DeleteRequest, Entries, EntryPage, Inspection, delete_entries};
use crate::cache::{LocalCache, warn_unusable};
use crate::entries::{self, Entry, EntryFault, read_manifest};
use crate::error::Error;
use crate::key::{Key, Prefix};
use crate::manifest::Manifest;
use crate::record::Record;
use btdt_ports::{Digest, IoError, IoErrorKind, ObjectKind, Objects, Records};
use std::collections::BTreeSet;

/// Records that are read with one call.
const BATCH: u32 = 1024;

/// How often an entry is looked at that is replaced meanwhile.
const ATTEMPTS: u32 = 5;

/// A part of the entries whose key begins with `prefix`, from `after` on.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Cache`].
pub fn list<O, R: Records>(
    prefix: &str,
    after: Option<&str>,
    cache: &LocalCache<'_, O, R>,
) -> Result<EntryPage, Error> {
    LocalEntries(cache.records).list(&super::prefix(prefix)?, after)
}

/// Deletes entries: those of the keys, and a part of those with the prefix.
///
/// # Errors
/// [`Error::NoKeys`], [`Error::InvalidKey`]. What goes wrong after that is in the page.
pub fn delete_some<O, R: Records>(
    request: &DeleteRequest,
    cache: &LocalCache<'_, O, R>,
) -> Result<DeletePage, Error> {
    delete_entries(request, &LocalEntries(cache.records))
}

/// The entry of a key; `None` where there is none. Changes nothing.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Cache`].
pub fn inspect<O: Objects, R: Records>(
    key: &str,
    cache: &LocalCache<'_, O, R>,
) -> Result<Option<Inspection>, Error> {
    let key = super::key(key)?;
    let mut last = None;
    loop {
        let entry = match entries::find(cache.records, &key) {
            Ok(entry) => entry,
            Err(EntryFault::Absent) => return Ok(None),
            Err(EntryFault::Unreadable(error)) => return Err(Error::reading(error)),
            Err(fault) => {
                warn_unusable(cache.environment, &key, &fault);
                return Ok(None);
            }
        };
        let digest = entry.record.manifest;
        match read_manifest(cache.objects, digest) {
            Ok(manifest) => {
                let missing_chunks = missing_chunks(cache.objects, &manifest)?;
                return Ok(Some(Inspection { entry, manifest: Some(manifest), missing_chunks }));
            }
            // What was replaced while it was read is worth another look, and nothing else.
            Err(fault) if last == Some(digest) => {
                warn_unusable(cache.environment, &key, &fault);
                return Ok(Some(Inspection { entry, manifest: None, missing_chunks: 0 }));
            }
            Err(_) => last = Some(digest),
        }
    }
}

fn missing_chunks<O: Objects>(objects: &O, manifest: &Manifest) -> Result<u64, Error> {
    let kind = ObjectKind::Chunk;
    let chunks: Vec<Digest> = manifest.chunks().iter().map(|chunk| chunk.digest).collect();
    let missing = objects.missing(kind, &chunks).map_err(Error::reading)?;
    if missing.is_empty() {
        return Ok(0);
    }
    let aside = objects.list_aside().map_err(Error::reading)?;
    let aside = aside.iter().filter(|object| object.kind == kind).map(|object| object.digest);
    let aside: BTreeSet<Digest> = aside.collect();
    let missing: Vec<Digest> =
        missing.into_iter().filter(|digest| !aside.contains(digest)).collect();
    // One of them may have been brought back while the others were looked for.
    let missing = objects.missing(kind, &missing).map_err(Error::reading)?;
    Ok(missing.len() as u64)
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// The entry is gone.
    Done,
    /// There was none.
    Absent,
    /// It was replaced each time.
    Replaced,
}

/// Deletes what is under a key, whatever it is: a damaged record is nothing anybody can use.
pub(crate) fn delete<R: Records>(records: &R, key: &Key) -> Result<Deleted, IoError> {
    let name = key.record_name();
    for _ in 0..ATTEMPTS {
        let stored = match records.get(std::slice::from_ref(&name)).pop() {
            None | Some(Ok(None)) => return Ok(Deleted::Absent),
            Some(Err(error)) => return Err(error),
            Some(Ok(Some(stored))) => stored,
        };
        // The names of two keys that are too long for a file name could in theory be equal.
        if Record::decode(&stored.value).is_ok_and(|record| record.key != *key) {
            return Ok(Deleted::Absent);
        }
        if records.delete(&name, &stored.version)? {
            return Ok(Deleted::Done);
        }
    }
    Ok(Deleted::Replaced)
}

struct LocalEntries<'records, R>(&'records R);

impl<R: Records> Entries for LocalEntries<'_, R> {
    fn list(&self, prefix: &Prefix, after: Option<&str>) -> Result<EntryPage, Error> {
        let listed = self.0.list(&prefix.record_name_prefix(), after, BATCH);
        let names = listed.map_err(Error::reading)?;
        let mut page = EntryPage { next: names.last().cloned(), ..EntryPage::default() };
        for stored in self.0.get(&names) {
            let Some(stored) = stored.transpose() else { continue };
            match stored.ok().and_then(|stored| Entry::decode(&stored).ok()) {
                None => page.unusable += 1,
                Some(entry) if prefix.matches(&entry.record.key) => page.entries.push(entry),
                Some(_) => {}
            }
        }
        Ok(page)
    }

    fn delete(&self, key: &Key) -> Result<bool, Error> {
        match delete(self.0, key).map_err(Error::deleting)? {
            Deleted::Done => Ok(true),
            Deleted::Absent => Ok(false),
            // Somebody stores under this key again and again.
            Deleted::Replaced => Err(Error::deleting(IoError::new(IoErrorKind::AlreadyExists))),
        }
    }
}
