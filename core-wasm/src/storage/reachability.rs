//! Reads all records of a cache and what they refer to.

use crate::manifest::{self, MAX_CHUNK};
use crate::storage::collect::Inventory;
use crate::storage::record::Record;
use crate::storage::record_lookup;
use crate::storage::retention::{self, Entry, Usage};
use btdt_ports::client::Error;
use btdt_ports::{
    AsideObject, Digest, Environment, IoError, IoErrorKind, ObjectFault, ObjectKind, Objects,
    RecordVersion, Records, Severity, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds for which an incomplete entry is left alone. Its store may be about to check for the
/// missing objects, and another store may write them in between: then the entry is valid, with the
/// very record that was found incomplete. This is the only deletion whose safety depends on time.
const COMMIT_TIME: u64 = 24 * 3600;

/// An entry that can be restored, as far as is known.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) version: RecordVersion,
    pub(crate) last_access: Timestamp,
    pub(crate) manifest: Digest,
}

/// The entries of a cache and what they refer to.
#[derive(Default)]
pub(crate) struct Reachability {
    /// The restorable entries.
    pub(crate) entries: Vec<Found>,
    /// The chunks of each manifest.
    pub(crate) manifests: BTreeMap<Digest, Vec<Digest>>,
    /// Records of entries that can never be restored.
    pub(crate) damaged: Vec<(String, RecordVersion)>,
    /// Whether all references are known: if not, nothing may be collected.
    pub(crate) complete: bool,
}

impl Reachability {
    /// Reads all records, and the chunks of their manifests.
    ///
    /// # Errors
    /// [`Error::Cache`] if the records cannot be listed.
    pub(crate) fn read<O: Objects, R: Records>(
        objects: &O,
        records: &R,
        environment: &dyn Environment,
    ) -> Result<Self, Error> {
        let mut reachability = Reachability { complete: true, ..Reachability::default() };
        let warn = |message: String| environment.log(Severity::Warning, &message);
        record_lookup::each_record(records, "", |name, stored| {
            let stored = match stored {
                Ok(stored) => stored,
                Err(error) => {
                    warn(format!("the record {name} could not be read: {error}"));
                    reachability.complete &= is_foreign(&error);
                    return;
                }
            };
            let Ok(record) = Record::decode(&stored.value) else {
                warn(format!("removing the record {name}: it is damaged"));
                reachability.damaged.push((name.to_owned(), stored.version));
                return;
            };
            match reachability.read_manifest(objects, record.manifest) {
                Ok(()) => reachability.entries.push(Found {
                    name: name.to_owned(),
                    version: stored.version,
                    last_access: stored.last_access,
                    manifest: record.manifest,
                }),
                Err(ManifestProblem::Unreadable(problem)) => {
                    warn(format!("the entry of key {} was passed over: {problem}", record.key));
                    reachability.complete = false;
                }
                Err(ManifestProblem::Missing(problem))
                    if may_be_in_commit(stored.last_access, environment) =>
                {
                    warn(format!("the entry of key {} is left alone: {problem}", record.key));
                }
                Err(ManifestProblem::Missing(problem) | ManifestProblem::Unusable(problem)) => {
                    warn(format!("removing the entry of key {}: {problem}", record.key));
                    reachability.damaged.push((name.to_owned(), stored.version));
                }
            }
        })?;
        if !reachability.complete {
            warn("unused objects are not collected, since not all entries could be read".into());
        }
        Ok(reachability)
    }

    fn read_manifest<O: Objects>(
        &mut self,
        objects: &O,
        digest: Digest,
    ) -> Result<(), ManifestProblem> {
        if self.manifests.contains_key(&digest) {
            return Ok(());
        }
        let describe = |problem: &dyn std::fmt::Display| format!("manifest {digest}: {problem}");
        let encoded =
            objects.get(ObjectKind::Manifest, digest, manifest::MAX_ENCODED).map_err(|fault| {
                match fault {
                    ObjectFault::Unreadable(error) if !is_foreign(&error) => {
                        ManifestProblem::Unreadable(describe(&fault))
                    }
                    ObjectFault::Missing => ManifestProblem::Missing(describe(&fault)),
                    _ => ManifestProblem::Unusable(describe(&fault)),
                }
            })?;
        let chunks = manifest::decode_chunks(&encoded).map_err(|fault| match fault {
            // A later version of this tool wrote it and needs its chunks.
            manifest::ManifestFault::Version(_) => ManifestProblem::Unreadable(describe(&fault)),
            _ => ManifestProblem::Unusable(describe(&fault)),
        })?;
        self.manifests.insert(digest, chunks.into_iter().map(|chunk| chunk.digest).collect());
        Ok(())
    }

    /// Moves entries with missing chunks to the damaged ones: every restore of them would fail.
    pub(crate) fn find_incomplete<O: Objects>(
        &mut self,
        objects: &O,
        live: &Inventory,
        aside: &[AsideObject],
        environment: &dyn Environment,
    ) {
        let aside: BTreeSet<Digest> = aside.iter().map(|object| object.digest).collect();
        let unseen = |digest: &Digest| {
            !live.contains_key(&(ObjectKind::Chunk, *digest)) && !aside.contains(digest)
        };
        // It may have moved from one listing to the other in between.
        let gone = |digest: &Digest| {
            let limit = u64::from(MAX_CHUNK);
            unseen(digest)
                && objects.get(ObjectKind::Chunk, *digest, limit) == Err(ObjectFault::Missing)
        };
        let incomplete: BTreeSet<Digest> = self
            .manifests
            .iter()
            .filter(|(_, chunks)| chunks.iter().any(gone))
            .map(|(manifest, _)| *manifest)
            .collect();
        let (damaged, entries) =
            std::mem::take(&mut self.entries).into_iter().partition(|found: &Found| {
                incomplete.contains(&found.manifest)
                    && !may_be_in_commit(found.last_access, environment)
            });
        self.entries = entries;
        for Found { name, version, .. } in damaged {
            let message = format!("removing the record {name}: a part of its content is gone");
            environment.log(Severity::Warning, &message);
            self.damaged.push((name, version));
        }
        let needed: BTreeSet<Digest> = self.entries.iter().map(|found| found.manifest).collect();
        self.manifests.retain(|digest, _| needed.contains(digest));
    }

    /// The sizes that evictions are decided by.
    pub(crate) fn usage(&self, live: &Inventory) -> (Usage, Vec<Entry>) {
        let size = |kind, digest: &Digest| {
            live.get(&(kind, *digest)).map_or(0, |object| object.stored_size)
        };
        let mut usage = Usage::default();
        let mut chunk_numbers = BTreeMap::new();
        let mut manifest_numbers = BTreeMap::new();
        for (digest, chunks) in &self.manifests {
            let mut numbers = Vec::with_capacity(chunks.len());
            for chunk in chunks {
                let next = usage.chunks.len() as u32;
                let number = *chunk_numbers.entry(chunk).or_insert(next);
                if number == next {
                    usage.chunks.push(size(ObjectKind::Chunk, chunk));
                }
                numbers.push(number);
            }
            numbers.sort_unstable();
            numbers.dedup();
            manifest_numbers.insert(*digest, usage.manifests.len() as u32);
            let size = size(ObjectKind::Manifest, digest);
            usage.manifests.push(retention::Manifest { size, chunks: numbers });
        }
        let entries = self.entries.iter().map(|found| Entry {
            last_access: found.last_access,
            manifest: manifest_numbers[&found.manifest],
        });
        (usage, entries.collect())
    }
}

/// Whether the error shows that this tool did not write the file, so that it refers to nothing.
fn is_foreign(error: &IoError) -> bool {
    use IoErrorKind::{IsADirectory, SymlinkLoop, TooLarge, Unsupported};
    matches!(error.kind, IsADirectory | SymlinkLoop | TooLarge | Unsupported)
}

/// Whether the record may belong to a store that has not succeeded yet.
fn may_be_in_commit(put: Timestamp, environment: &dyn Environment) -> bool {
    environment.now().seconds_since(put) < COMMIT_TIME
}

enum ManifestProblem {
    /// It could not be read, so its references are unknown.
    Unreadable(String),
    /// It is missing.
    Missing(String),
    /// It can never be restored.
    Unusable(String),
}
