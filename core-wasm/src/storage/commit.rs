//! The last step of every store: puts the manifest and the records of a tree whose chunks are in
//! the cache.

use crate::key::Key;
use crate::manifest::{self, ChunkRef, Manifest};
use crate::storage::collect;
use crate::storage::record::Record;
use btdt_ports::client::Error;
use btdt_ports::{Digest, Environment, ObjectKind, Objects, Records};
use std::collections::BTreeMap;

/// An entry to store.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'entry> {
    /// The keys.
    pub keys: &'entry [Key],
    /// The tree.
    pub manifest: &'entry Manifest,
    /// Stored size of its chunks in bytes; 0 if unknown.
    pub stored_size: u64,
    /// Name and version of the tool.
    pub tool: &'entry str,
    /// Free labels of the entry.
    pub labels: &'entry BTreeMap<String, String>,
}

/// The outcome of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The keys now refer to this manifest.
    Done(Digest),
    /// These chunks are not, or no longer, in the cache; none if the manifest is gone. They have to
    /// be written, and the entry committed again.
    Missing(Vec<Digest>),
}

/// Writes the manifest and the records. Checks that everything they refer to exists: before, so that
/// a key never refers to an incomplete entry, and after, as the collection protocol requires (see
/// [`crate::storage::collect`]).
///
/// # Errors
/// [`Error::SourceTooLarge`], or [`Error::Cache`].
pub fn commit<O: Objects, R: Records>(
    entry: &NewEntry<'_>,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Committed, Error> {
    let chunks: Vec<Digest> =
        entry.manifest.chunks().iter().map(|ChunkRef { digest, .. }| *digest).collect();
    let (files, raw_size) = entry.manifest.totals();
    let encoded = manifest::encode(entry.manifest).map_err(|_| Error::SourceTooLarge)?;
    if encoded.len() as u64 > manifest::MAX_ENCODED {
        return Err(Error::SourceTooLarge);
    }
    let missing = collect::revive(objects, ObjectKind::Chunk, &chunks, environment)?;
    if !missing.is_empty() {
        return Ok(Committed::Missing(missing));
    }
    let put = objects.put(ObjectKind::Manifest, &encoded).map_err(Error::writing)?;
    drop(encoded);
    let created = environment.now();
    for key in entry.keys {
        let record = Record {
            key: key.clone(),
            manifest: put.digest,
            created,
            raw_size,
            stored_size: entry.stored_size,
            files,
            tool: entry.tool.to_owned(),
            labels: entry.labels.clone(),
            nonce: environment.random(),
        };
        records.put(&key.record_name(), &record.encode()).map_err(Error::writing)?;
    }
    let manifest_is_live =
        collect::revive(objects, ObjectKind::Manifest, &[put.digest], environment)?.is_empty();
    let missing = collect::revive(objects, ObjectKind::Chunk, &chunks, environment)?;
    let complete = manifest_is_live && missing.is_empty();
    Ok(if complete { Committed::Done(put.digest) } else { Committed::Missing(missing) })
}
