//! Stores a tree under keys: lists it, packs it, and commits it.
//!
//! Nothing is visible before the records are put, so a store that fails or dies leaves every key
//! as it was (see [`crate::storage::commit`]).

use super::key_arguments::valid_keys;
use super::previous_entry::PreviousEntries;
use crate::cache::Cache;
use crate::chunking::CUT_SIZES;
use crate::storage::commit::{Committed, NewEntry};
use crate::tree::listing::Listing;
use crate::tree::packing::{Outcome, PackPlan, PackedGroups};
use btdt_ports::client::{Error, PathFailure, StoreRequest, StoreSummary};
use btdt_ports::{Environment, FileFault, Tree};
use std::collections::BTreeSet;

/// Attempts in total, for trees that change meanwhile and caches that lose objects.
const ATTEMPTS: u32 = 5;

/// Stores `tree` in a cache.
///
/// # Errors
/// See [`Error`]. All keys are as before, unless the cache failed during the commit.
pub fn store<T, C>(
    request: &StoreRequest,
    tree: &T,
    cache: &C,
    environment: &dyn Environment,
) -> Result<StoreSummary, Error>
where
    T: Tree,
    C: Cache<Sink = T::Sink>,
{
    let keys = valid_keys(&request.keys)?;
    let labels = request.labels.iter().cloned().collect();
    let _in_use = cache.in_use();
    let sink = cache.sink()?;
    let mut changes = Changes::default();
    let previous = PreviousEntries::new(&keys, cache, environment);
    let hidden_target = |path: &[u8], modified| previous.target(path, modified);
    for _ in 0..ATTEMPTS {
        let listing = match Listing::read(tree, &request.excludes, &hidden_target, environment) {
            // A directory that vanished after its parent was read.
            Err(Error::Source(PathFailure { path, error }))
                if !path.is_empty() && error.is_change() =>
            {
                changes.paths = BTreeSet::from([path]);
                continue;
            }
            listing => listing?,
        };
        let items = listing.in_path_order();
        let plan = PackPlan::new(&listing, &items);
        let packer = tree.pack(&sink, CUT_SIZES).map_err(|error| Error::source(b"", error))?;
        let packed =
            match plan.run(packer, &changes.packed).map_err(|error| cache.explain(error))? {
                Outcome::Complete(packed) => packed,
                Outcome::Faulty { files, packed } => {
                    changes.note(files, packed)?;
                    continue;
                }
            };
        let (mut manifest, totals) = plan.manifest(&packed).map_err(|_| Error::SourceTooLarge)?;
        // For a large tree, these take much of the memory.
        drop((packed, items, listing));
        if manifest.lacks_modes() {
            previous.complete(&mut manifest);
        }
        let entry = NewEntry {
            keys: &keys,
            manifest: &manifest,
            stored_size: totals.stored_size,
            tool: &request.tool,
            labels: &labels,
        };
        if let Committed::Done(digest) = cache.commit(&entry)? {
            let (files, raw_size) = manifest.totals();
            return Ok(StoreSummary {
                files,
                raw_size,
                keys: keys.len() as u64,
                chunks: totals.chunks,
                stored_size: totals.stored_size,
                new_chunks: totals.new_chunks,
                new_raw_size: totals.new_raw_size,
                new_stored_size: totals.new_stored_size,
                manifest: digest,
            });
        }
        // Missing chunks have to be written again.
        changes = Changes::default();
    }
    if changes.paths.is_empty() {
        return Err(Error::CacheUnstable);
    }
    Err(Error::SourceUnstable(changes.paths.into_iter().collect()))
}

/// What the last attempt came to.
#[derive(Default)]
struct Changes {
    /// Files that changed meanwhile.
    paths: BTreeSet<Vec<u8>>,
    /// What need not be packed again.
    packed: PackedGroups,
}

impl Changes {
    fn note(
        &mut self,
        files: Vec<(Vec<u8>, FileFault)>,
        packed: PackedGroups,
    ) -> Result<(), Error> {
        self.paths.clear();
        for (path, fault) in files {
            match fault {
                FileFault::Unreadable(error) if !error.is_change() => {
                    return Err(Error::Source(PathFailure { path, error }));
                }
                // Including files that are gone.
                FileFault::Unreadable(_) | FileFault::Changed => self.paths.insert(path),
            };
        }
        self.packed = packed;
        Ok(())
    }
}
