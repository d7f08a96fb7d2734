//! Finds records, and the manifests that they refer to.

use crate::key::{Key, Prefix};
use crate::manifest::{self, Manifest, ManifestFault};
use crate::storage::collect;
use crate::storage::record::{Record, RecordFault};
use btdt_ports::client::Error;
use btdt_ports::{
    Digest, Environment, IoError, ObjectFault, ObjectKind, Objects, Records, StoredRecord,
    Timestamp,
};

/// Records to list and read per call.
const PAGE: u32 = 1024;

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// When the entry was last stored or restored.
    pub last_access: Timestamp,
}

impl Entry {
    /// Decodes a record.
    pub fn decode(stored: &StoredRecord) -> Result<Self, RecordFault> {
        let record = Record::decode(&stored.value)?;
        Ok(Entry { record, last_access: stored.last_access })
    }
}

/// Why a key has no usable entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// It has no entry.
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
    /// Its manifest is intact as an object, but not valid.
    #[error("manifest {0}: {1}")]
    Content(Digest, ManifestFault),
}

/// The entry of a key. Does not look at its manifest.
pub fn find<R: Records>(records: &R, key: &Key) -> Result<Entry, EntryFault> {
    match records.get(&[key.record_name()]).pop() {
        None | Some(Ok(None)) => Err(EntryFault::Absent),
        Some(Err(error)) => Err(EntryFault::Unreadable(error)),
        Some(Ok(Some(stored))) => {
            let entry = Entry::decode(&stored)?;
            // Two keys that are too long for a file name could share a record name.
            if entry.record.key == *key { Ok(entry) } else { Err(EntryFault::Absent) }
        }
    }
}

/// The entry of a key and its manifest.
pub fn load<O: Objects, R: Records>(
    objects: &O,
    records: &R,
    key: &Key,
    environment: &dyn Environment,
) -> Result<(Entry, Manifest), EntryFault> {
    let entry = find(records, key)?;
    match manifest(objects, entry.record.manifest, environment) {
        Ok(manifest) => Ok((entry, manifest)),
        // The entry may have been replaced in between, and its old manifest collected.
        Err(fault) => match find(records, key) {
            Ok(newer) if newer.record.manifest != entry.record.manifest => {
                let manifest = manifest(objects, newer.record.manifest, environment)?;
                Ok((newer, manifest))
            }
            _ => Err(fault),
        },
    }
}

/// Reads a manifest. A damaged one is removed from the cache.
///
/// # Errors
/// [`EntryFault::Manifest`] or [`EntryFault::Content`].
pub fn manifest<O: Objects>(
    objects: &O,
    digest: Digest,
    environment: &dyn Environment,
) -> Result<Manifest, EntryFault> {
    read_manifest(objects, digest).inspect_err(|fault| {
        if let EntryFault::Manifest(_, ObjectFault::Damaged(_)) = fault {
            collect::drop_damaged(objects, ObjectKind::Manifest, digest, environment);
        }
    })
}

/// Reads a manifest. A damaged one is left alone.
///
/// # Errors
/// [`EntryFault::Manifest`] or [`EntryFault::Content`].
pub fn read_manifest<O: Objects>(objects: &O, digest: Digest) -> Result<Manifest, EntryFault> {
    let encoded = objects
        .get(ObjectKind::Manifest, digest, manifest::MAX_ENCODED)
        .map_err(|fault| EntryFault::Manifest(digest, fault))?;
    manifest::decode(&encoded).map_err(|fault| EntryFault::Content(digest, fault))
}

/// Calls `seen` for each record whose name begins with `prefix`, in order of their names. Records
/// that are deleted meanwhile are skipped.
///
/// # Errors
/// [`Error::Cache`] if the records cannot be listed.
pub fn each_record<R: Records>(
    records: &R,
    prefix: &str,
    mut seen: impl FnMut(&str, Result<StoredRecord, IoError>),
) -> Result<(), Error> {
    let mut after: Option<String> = None;
    loop {
        let names = records.list(prefix, after.as_deref(), PAGE).map_err(Error::reading)?;
        for (name, stored) in names.iter().zip(records.get(&names)) {
            if let Some(stored) = stored.transpose() {
                seen(name, stored);
            }
        }
        let Some(last) = names.last() else { return Ok(()) };
        after = Some(last.clone());
    }
}

/// The keys that begin with `prefix`, most recently stored first. Unreadable and damaged records
/// are skipped without a warning.
pub fn newest<R: Records>(records: &R, prefix: &Prefix) -> Result<Vec<Key>, Error> {
    let mut found = Vec::new();
    each_record(records, &prefix.record_name_prefix(), |_, stored| {
        let entry = stored.ok().and_then(|stored| Entry::decode(&stored).ok());
        found.extend(entry.filter(|entry| prefix.matches(&entry.record.key)));
    })?;
    found.sort_by(|a: &Entry, b| {
        let (a, b) = (&a.record, &b.record);
        b.created.cmp(&a.created).then_with(|| a.key.cmp(&b.key))
    });
    Ok(found.into_iter().map(|entry| entry.record.key).collect())
}
