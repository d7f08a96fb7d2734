//! Restores the first requested entry that exists and is intact.
//!
//! A damaged or vanished entry is a miss: it causes a warning, and the next candidate is tried. It
//! is an error only if something fails at the destination, or after the destination was changed.

use super::key_arguments::{valid_keys, valid_prefixes};
use crate::cache::{self, Cache, Candidate, Wanted};
use crate::manifest::{Content, Manifest};
use crate::tree::comparison::{CompareOptions, Comparison};
use crate::tree::materializing::MaterializePlan;
use btdt_ports::client::{Error, PathFailure, RestoreRequest, Restored};

use btdt_ports::{
    ChunkFailure, DestinationFailure, Digest, EntryKind, Environment, IoError, IoErrorKind,
    MaterializeError, MaterializeSummary, ObjectFault, Placement, Tree,
};
use std::collections::BTreeSet;

/// Why a candidate was not restored.
enum Fault {
    /// The entry is unusable. `changed` says whether the destination was changed.
    Unusable { reason: String, changed: bool },
    /// The restore as a whole fails.
    Fatal(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Fatal(error)
    }
}

/// Restores from a cache to `tree`; `None` if no requested key has a usable entry.
pub fn restore<T, C>(
    request: &RestoreRequest,
    tree: &T,
    cache: &C,
    environment: &dyn Environment,
) -> Result<Option<Restored>, Error>
where
    T: Tree,
    C: Cache<Source = T::Source>,
{
    let keys = if request.prefixes.is_empty() || request.keys.iter().any(|key| !key.is_empty()) {
        valid_keys(&request.keys)?
    } else {
        Vec::new()
    };
    let prefixes = valid_prefixes(&request.prefixes)?;
    let _in_use = cache.in_use();
    let options = CompareOptions { exact: request.exact, checksum: request.checksum };
    let restorer = Restorer { tree, cache, options };
    let wanted = Wanted { keys: &keys, prefixes: &prefixes };
    let mut tried = BTreeSet::new();
    // Whether a failed attempt has changed the destination.
    let mut changed = false;
    while let Some(candidate) = cache.candidate(wanted, &mut tried)? {
        match restorer.restore(&candidate) {
            Ok(summary) => {
                let Candidate { key, manifest, .. } = candidate;
                cache.used(&key);
                let (files, raw_size) = manifest.totals();
                let primary = keys.first() == Some(&key);
                let key = key.as_str().to_owned();
                return Ok(Some(Restored { key, primary, files, raw_size, summary }));
            }
            Err(Fault::Unusable { reason, changed: now }) => {
                changed |= now;
                cache::warn_unusable(environment, &candidate.key, &reason);
                tried.insert(candidate.key);
            }
            Err(Fault::Fatal(error)) => return Err(cache.explain(error)),
        }
    }
    if changed { Err(Error::Incomplete) } else { Ok(None) }
}

struct Restorer<'restore, T, C> {
    tree: &'restore T,
    cache: &'restore C,
    options: CompareOptions,
}

impl<T, C> Restorer<'_, T, C>
where
    T: Tree,
    C: Cache<Source = T::Source>,
{
    fn restore(&self, candidate: &Candidate<T::Source>) -> Result<MaterializeSummary, Fault> {
        let Candidate { manifest, source, .. } = candidate;
        match self.write(manifest, source) {
            // Another restore was faster: compare with what it wrote.
            Err(Fault::Fatal(Error::Destination(PathFailure { path, error })))
                if path.is_empty() && error.kind == IoErrorKind::AlreadyExists =>
            {
                self.write(manifest, source)
            }
            written => written,
        }
    }

    /// Makes the destination match the manifest.
    fn write(&self, manifest: &Manifest, source: &T::Source) -> Result<MaterializeSummary, Fault> {
        let at_root = |error| Error::destination(b"", error);
        let root = self.tree.root().map_err(at_root)?;
        let is_file = matches!(manifest.node(0).content, Content::File(_));
        let (placement, comparison) = match root {
            None => (Placement::Staged, Comparison::with_nothing(manifest)),
            Some(root) => match (is_file, root.kind) {
                (true, EntryKind::File) => (Placement::Staged, Comparison::with_nothing(manifest)),
                (false, EntryKind::Directory) => {
                    let compared =
                        Comparison::with_directory(manifest, self.tree, &root, self.options)?;
                    (Placement::InPlace, compared)
                }
                (true, EntryKind::Directory) => {
                    return Err(at_root(IoError::new(IoErrorKind::IsADirectory)).into());
                }
                (true, _) => return Err(at_root(IoError::new(IoErrorKind::AlreadyExists)).into()),
                (false, _) => return Err(at_root(IoError::new(IoErrorKind::NotADirectory)).into()),
            },
        };
        if placement == Placement::InPlace && comparison.is_same() {
            return Ok(MaterializeSummary::default());
        }
        let plan = MaterializePlan::new(manifest, &comparison);
        // As far as this is cheap, check that the entry is complete before touching an existing
        // destination.
        if placement == Placement::InPlace
            && let Some(digest) = self.cache.missing_chunk(&plan.chunks())?
        {
            let reason = cache::chunk_reason(&digest, &ObjectFault::Missing);
            return Err(Fault::Unusable { reason, changed: false });
        }
        let materializer = self.tree.materialize(&[source], placement);
        let written = materializer.and_then(|materializer| plan.run(materializer));
        written.map_err(|error| match error {
            MaterializeError::Destination(DestinationFailure { path, error }) => {
                Fault::Fatal(Error::Destination(PathFailure { path, error }))
            }
            MaterializeError::Chunk(ChunkFailure { digest, fault }) => {
                if let ObjectFault::Damaged(_) = fault {
                    let chunks: Vec<Digest> =
                        manifest.chunks().iter().map(|chunk| chunk.digest).collect();
                    self.cache.found_damaged(&chunks);
                }
                if let ObjectFault::Unreadable(error) = fault
                    && error.kind == IoErrorKind::Transfer
                {
                    return Fault::Fatal(Error::reading(error));
                }
                let reason = cache::chunk_reason(&digest, &fault);
                Fault::Unusable { reason, changed: placement == Placement::InPlace }
            }
        })
    }
}
