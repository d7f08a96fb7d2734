//! Finds what is stored under keys.

use crate::collect;
use crate::error::Error;
use crate::key::{Key, Prefix};
use crate::manifest::{self, Manifest, ManifestFault};
use crate::record::{Record, RecordFault};
use btdt_ports::{
    Digest, Environment, IoError, ObjectFault, ObjectKind, Objects, Records, Timestamp,
};

/// Names that are listed with one call.
const PAGE: u32 = 4096;

/// An entry, and when it was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is recorded of it.
    pub record: Record,
    /// When it was last stored or restored.
    pub last_access: Timestamp,
}

/// Why a key has no entry that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Nothing is stored under it.
    #[error("there is none")]
    Absent,
    /// Its record cannot be read.
    #[error("its record could not be read: {0}")]
    Unreadable(IoError),
    /// Its record is damaged.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// Its manifest is missing or damaged.
    #[error("manifest {0}: {1}")]
    Manifest(Digest, ObjectFault),
    /// Its manifest is intact and still none.
    #[error("manifest {0}: {1}")]
    Content(Digest, ManifestFault),
}

/// The entry of a key, of which the manifest has not been looked at.
///
/// # Errors
/// See [`EntryFault`].
pub fn find<R: Records>(records: &R, key: &Key) -> Result<Entry, EntryFault> {
    match records.get(&[key.record_name()]).pop() {
        None | Some(Ok(None)) => Err(EntryFault::Absent),
        Some(Err(error)) => Err(EntryFault::Unreadable(error)),
        Some(Ok(Some(stored))) => {
            let record = Record::decode(&stored.value)?;
            // The names of two keys that are too long for a file name could in theory be equal.
            let own = record.key == *key;
            let entry = Entry { record, last_access: stored.last_access };
            if own { Ok(entry) } else { Err(EntryFault::Absent) }
        }
    }
}

/// The entry of a key and its manifest.
///
/// # Errors
/// See [`EntryFault`].
pub fn load<O: Objects, R: Records>(
    objects: &O,
    records: &R,
    key: &Key,
    environment: &dyn Environment,
) -> Result<(Entry, Manifest), EntryFault> {
    let entry = find(records, key)?;
    match manifest(objects, entry.record.manifest, environment) {
        Ok(manifest) => Ok((entry, manifest)),
        // The entry may have been replaced, and its old manifest collected, in between.
        Err(fault) => match find(records, key) {
            Ok(newer) if newer.record.manifest != entry.record.manifest => {
                let manifest = manifest(objects, newer.record.manifest, environment)?;
                Ok((newer, manifest))
            }
            _ => Err(fault),
        },
    }
}

/// The manifest of that digest. A damaged one is taken out of the cache.
///
/// # Errors
/// [`EntryFault::Manifest`] or [`EntryFault::Content`].
pub fn manifest<O: Objects>(
    objects: &O,
    digest: Digest,
    environment: &dyn Environment,
) -> Result<Manifest, EntryFault> {
    let kind = ObjectKind::Manifest;
    let encoded = objects.get(kind, digest, manifest::MAX_ENCODED).map_err(|fault| {
        if let ObjectFault::Damaged(_) = fault {
            collect::drop_damaged(objects, kind, digest, environment);
        }
        EntryFault::Manifest(digest, fault)
    })?;
    manifest::decode(&encoded).map_err(|fault| EntryFault::Content(digest, fault))
}

/// The entries whose key begins with `prefix`, in the order of their names. A record that is
/// unreadable or damaged is passed over; asked for by its key, it is warned about.
///
/// # Errors
/// [`Error::Cache`].
pub fn matching<R: Records>(records: &R, prefix: &Prefix) -> Result<Vec<Entry>, Error> {
    let mut found = Vec::new();
    let name_prefix = prefix.record_name_prefix();
    let mut after: Option<String> = None;
    loop {
        let names = records.list(&name_prefix, after.as_deref(), PAGE).map_err(Error::reading)?;
        let Some(last) = names.last() else { break };
        after = Some(last.clone());
        let entries = records.get(&names).into_iter().filter_map(|stored| {
            let stored = stored.ok()??;
            let record = Record::decode(&stored.value).ok()?;
            Some(Entry { record, last_access: stored.last_access })
        });
        found.extend(entries.filter(|entry| prefix.matches(&entry.record.key)));
    }
    Ok(found)
}

/// The keys that begin with `prefix`, those stored last first.
///
/// # Errors
/// [`Error::Cache`].
pub fn newest<R: Records>(records: &R, prefix: &Prefix) -> Result<Vec<Key>, Error> {
    let mut found = matching(records, prefix)?;
    found.sort_by(|a, b| {
        let (a, b) = (&a.record, &b.record);
        b.created.cmp(&a.created).then_with(|| a.key.cmp(&b.key))
    });
    Ok(found.into_iter().map(|entry| entry.record.key).collect())
}
