//! Stores a tree under keys: list, pack, write the manifest, commit the records.
//!
//! Nothing is visible before the records are put, so a store that fails or dies leaves every key
//! as it was (see [`crate::commit`]).

use crate::cache::Cache;
use crate::chunking::CUT_SIZES;
use crate::commit::{Committed, NewEntry};
use crate::earlier::Earlier;
use crate::error::Error;
use crate::key::Key;
use crate::listing::Listing;
use crate::packing::{Memory, Outcome, Plan, Totals};
use btdt_ports::{Digest, Environment, FileFault, Tree};
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
pub fn store<T, C>(
    request: &Request,
    tree: &T,
    cache: &C,
    environment: &dyn Environment,
) -> Result<Summary, Error>
where
    T: Tree,
    C: Cache<Sink = T::Sink>,
{
    let keys = valid_keys(&request.keys)?;
    let _in_use = cache.in_use();
    let sink = cache.sink()?;
    let mut changes = Changes::default();
    let earlier = Earlier::new(&keys, cache, environment);
    let hidden_target = |path: &[u8], modified| earlier.target(path, modified);
    for _ in 0..ATTEMPTS {
        let listing = match Listing::read(tree, &request.excludes, &hidden_target, environment) {
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
            .pack(&sink, CUT_SIZES)
            .map_err(|error| Error::Source { path: Vec::new(), error })?;
        let packed =
            match plan.run(packer, &changes.memory).map_err(|error| cache.explain(error))? {
                Outcome::Complete(packed) => packed,
                Outcome::Faulty { files, memory } => {
                    changes.note(files, memory)?;
                    continue;
                }
            };
        let (mut manifest, totals) = plan.manifest(&packed).map_err(|_| Error::SourceTooLarge)?;
        // Both hold a good part of the memory that a large tree needs.
        drop((packed, items, listing));
        if manifest.lacks_modes() {
            earlier.complete(&mut manifest);
        }
        let entry = NewEntry {
            keys: &keys,
            manifest: &manifest,
            stored_size: totals.stored_size,
            tool: &request.tool,
            labels: &request.labels,
        };
        if let Committed::Done(digest) = cache.commit(&entry)? {
            let (files, raw_size) = manifest.totals();
            let keys = keys.len() as u64;
            return Ok(Summary { files, raw_size, keys, chunks: totals, manifest: digest });
        }
        // What is gone has to be written once more.
        changes = Changes::default();
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
