//! Stores a tree under keys: list, pack, write the manifest, commit the records.
//!
//! Nothing is visible before the records are put, so a store that fails or dies leaves every key
//! as it was. What the new records refer to is looked for once more after they are visible; that
//! is the half of the collection protocol that a store has to keep (see [`crate::collect`]).

use crate::chunking::CUT_SIZES;
use crate::collect;
use crate::error::Error;
use crate::key::Key;
use crate::listing::Listing;
use crate::manifest::{self, ChunkRef, Manifest};
use crate::packing::{Memory, Outcome, Plan, Totals};
use crate::record::Record;
use btdt_ports::{Digest, Environment, FileFault, LockMode, ObjectKind, Objects, Records, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// How often a tree that changes meanwhile, or a cache that loses what was written, is tried.
const ATTEMPTS: u32 = 5;

/// What to store.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Keys to store under. Empty ones are dropped.
    pub keys: Vec<String>,
    /// Exclude patterns, a line of gitignore syntax each.
    pub excludes: Vec<String>,
    /// Free labels of the entry.
    pub labels: BTreeMap<String, String>,
    /// Name and version of the tool, for the records.
    pub tool: String,
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub raw_size: u64,
    /// Number of keys.
    pub keys: u64,
    /// Chunks of the entry and of what was new.
    pub chunks: Totals,
    /// Digest of the manifest.
    pub manifest: Digest,
}

/// The valid keys among `texts`, each once, empty ones dropped.
///
/// # Errors
/// [`Error::InvalidKey`], or [`Error::NoKeys`] when none is left.
pub fn valid_keys(texts: &[String]) -> Result<Vec<Key>, Error> {
    let mut keys: Vec<Key> = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let key = Key::new(text.as_str())
            .map_err(|fault| Error::InvalidKey { key: text.clone(), fault })?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err(Error::NoKeys) } else { Ok(keys) }
}

/// Stores `tree` in a cache.
///
/// # Errors
/// See [`Error`]. No key has then been touched, unless the cache itself failed in the middle of
/// the commit.
pub fn store<T, O, R>(
    request: &Request,
    tree: &T,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Summary, Error>
where
    T: Tree,
    O: Objects<Sink = T::Sink>,
    R: Records,
{
    let keys = valid_keys(&request.keys)?;
    let _in_use = objects.lock(LockMode::Shared);
    let mut changes = Changes::default();
    for _ in 0..ATTEMPTS {
        let listing = match Listing::read(tree, &request.excludes, environment) {
            // A directory that was there when its parent was read.
            Err(Error::Source { path, error }) if !path.is_empty() && error.is_change() => {
                changes.paths = BTreeSet::from([path]);
                continue;
            }
            listing => listing?,
        };
        let items = listing.in_path_order();
        let plan = Plan::new(&listing, &items);
        let packer = tree
            .pack(&objects.sink(), CUT_SIZES)
            .map_err(|error| Error::Source { path: Vec::new(), error })?;
        let packed = match plan.run(packer, &changes.memory)? {
            Outcome::Complete(packed) => packed,
            Outcome::Faulty { files, memory } => {
                changes.note(files, memory)?;
                continue;
            }
        };
        let (manifest, totals) = plan.manifest(&packed).map_err(|_| Error::SourceTooLarge)?;
        // Both hold a good part of the memory that a large tree needs.
        drop((packed, items, listing));
        match commit(request, &keys, &manifest, totals, objects, records, environment)? {
            Some(summary) => return Ok(summary),
            None => changes = Changes::default(),
        }
    }
    if changes.paths.is_empty() {
        return Err(Error::CacheUnstable);
    }
    Err(Error::SourceUnstable { paths: changes.paths.into_iter().collect() })
}

/// What the attempts so far have run into.
#[derive(Default)]
struct Changes {
    /// Files that changed in the last attempt.
    paths: BTreeSet<Vec<u8>>,
    memory: Memory,
}

impl Changes {
    fn note(&mut self, files: Vec<(Vec<u8>, FileFault)>, memory: Memory) -> Result<(), Error> {
        self.paths.clear();
        for (path, fault) in files {
            match fault {
                FileFault::Unreadable(error) if !error.is_change() => {
                    return Err(Error::Source { path, error });
                }
                // A file that is gone is a change of the tree like any other.
                FileFault::Unreadable(_) | FileFault::Changed => self.paths.insert(path),
            };
        }
        self.memory = memory;
        Ok(())
    }
}

/// Writes manifest and records. `None` when objects were gone again afterwards, so that they have
/// to be written once more.
fn commit<O: Objects, R: Records>(
    request: &Request,
    keys: &[Key],
    manifest: &Manifest,
    totals: Totals,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Option<Summary>, Error> {
    let chunks: Vec<Digest> =
        manifest.chunks().iter().map(|ChunkRef { digest, .. }| *digest).collect();
    let (files, raw_size) = manifest.totals();
    let encoded = manifest::encode(manifest).map_err(|_| Error::SourceTooLarge)?;
    if encoded.len() as u64 > manifest::MAX_ENCODED {
        return Err(Error::SourceTooLarge);
    }
    let put = objects.put(ObjectKind::Manifest, &encoded).map_err(Error::writing)?;
    drop(encoded);
    let complete = || -> Result<bool, Error> {
        Ok(collect::ensure_live(objects, ObjectKind::Manifest, &[put.digest], environment)?
            && collect::ensure_live(objects, ObjectKind::Chunk, &chunks, environment)?)
    };
    // Looked for before as well: a key should not come to point at something incomplete even for
    // a moment, if that can be helped.
    if !complete()? {
        return Ok(None);
    }
    let created = environment.now();
    for key in keys {
        let record = Record {
            key: key.clone(),
            manifest: put.digest,
            created,
            raw_size,
            stored_size: totals.stored_size,
            files,
            tool: request.tool.clone(),
            labels: request.labels.clone(),
            nonce: environment.random(),
        };
        records.put(&key.record_name(), &record.encode()).map_err(Error::writing)?;
    }
    let summary =
        Summary { files, raw_size, keys: keys.len() as u64, chunks: totals, manifest: put.digest };
    Ok(complete()?.then_some(summary))
}
