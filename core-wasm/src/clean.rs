//! Cleans a cache: entries that are too old or too many, then objects that nothing refers to.
//!
//! Works beside any number of stores, restores and other cleans. One damaged object is reported
//! and passed over; only what makes it impossible to know what is needed stops the collection.

use crate::collect::{self, Inventory, References, Rules, Swept};
use crate::error::Error;
use crate::manifest;
use crate::record::Record;
use crate::retention::{self, Entry, Limits, Usage};
use btdt_ports::{
    Digest, Environment, IoError, IoErrorKind, Leftovers, LockMode, ObjectFault, ObjectKind,
    Objects, RecordVersion, Records, Severity,
};
use std::collections::BTreeMap;

/// Records that are read with one call.
const PAGE: u32 = 1024;

/// What to clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Limits for the entries.
    pub limits: Limits,
    /// Seconds that objects which nothing refers to are kept (see [`collect`]).
    pub grace_period: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries that were removed.
    pub removed: u64,
    /// Entries that are left.
    pub kept: u64,
    /// Stored size in bytes of what is left, shared objects counted once.
    pub kept_bytes: u64,
    /// Entries that were removed because they are damaged; not among `removed`.
    pub damaged: u64,
    /// The collection of objects that nothing refers to; `None` where it was not safe.
    pub swept: Option<Swept>,
    /// Temporary files of processes that died.
    pub leftovers: Leftovers,
}

/// Cleans a cache.
///
/// # Errors
/// [`Error::Cache`] when it cannot be read or nothing can be deleted.
pub fn clean<O: Objects, R: Records>(
    request: &Request,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Summary, Error> {
    let began = environment.now();
    // Held for an instant only: whoever comes now shall find the lock free, so that the next clean
    // knows of them.
    let alone = objects.lock(LockMode::Exclusive).is_some();
    let _in_use = objects.lock(LockMode::Shared);
    let rules = Rules { grace_period: request.grace_period, alone_since: alone.then_some(began) };
    // First of all, because it also brings back records that a dead process was about to delete.
    let mut before = began;
    before.seconds = began.seconds.saturating_sub_unsigned(request.grace_period);
    let leftovers = objects.clear_leftovers(before).map_err(Error::deleting)?;
    // The order of these three is the second half of the collection protocol: what is set aside
    // is listed before the records are read.
    let aside = objects.list_aside().map_err(Error::reading)?;
    let mut survey = Survey::read(objects, records, environment)?;
    let live = collect::inventory(objects)?;

    let mut summary = Summary { leftovers, ..Summary::default() };
    summary.damaged = survey.remove_damaged(records)?;
    let (usage, entries) = survey.usage(&live);
    let (goes, kept_bytes) = retention::select(&entries, &usage, request.limits, began);
    summary.kept_bytes = kept_bytes;
    let mut references = References::default();
    for (found, goes) in survey.entries.iter().zip(goes) {
        // An entry that was stored anew in this moment stays, and so does what it referred to.
        if goes && records.delete(&found.name, &found.version).map_err(Error::deleting)? {
            summary.removed += 1;
            continue;
        }
        summary.kept += 1;
        references.manifests.insert(found.manifest);
        references.chunks.extend(&survey.manifests[&found.manifest]);
    }
    if survey.complete {
        let swept = collect::sweep(objects, &aside, &references, &live, rules, environment)?;
        summary.swept = Some(swept);
    }
    Ok(summary)
}

struct Found {
    name: String,
    version: RecordVersion,
    last_access: btdt_ports::Timestamp,
    manifest: Digest,
}

/// All that the records say and refer to.
#[derive(Default)]
struct Survey {
    entries: Vec<Found>,
    /// The chunks of each manifest.
    manifests: BTreeMap<Digest, Vec<Digest>>,
    /// Records that can never be restored.
    damaged: Vec<(String, RecordVersion)>,
    /// Whether everything that may be needed is known.
    complete: bool,
}

impl Survey {
    fn read<O: Objects, R: Records>(
        objects: &O,
        records: &R,
        environment: &dyn Environment,
    ) -> Result<Self, Error> {
        let mut survey = Survey { complete: true, ..Survey::default() };
        let warn = |message: String| environment.log(Severity::Warning, &message);
        let mut after: Option<String> = None;
        loop {
            let names = records.list("", after.as_deref(), PAGE).map_err(Error::reading)?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for (name, stored) in names.iter().zip(records.get(&names)) {
                let stored = match stored {
                    // Deleted meanwhile.
                    Ok(None) => continue,
                    Ok(Some(stored)) => stored,
                    Err(error) => {
                        warn(format!("the record {name} could not be read: {error}"));
                        survey.complete &= is_foreign(&error);
                        continue;
                    }
                };
                let Ok(record) = Record::decode(&stored.value) else {
                    warn(format!("removing the record {name}: it is damaged"));
                    survey.damaged.push((name.clone(), stored.version));
                    continue;
                };
                match survey.read_manifest(objects, record.manifest) {
                    Ok(()) => survey.entries.push(Found {
                        name: name.clone(),
                        version: stored.version,
                        last_access: stored.last_access,
                        manifest: record.manifest,
                    }),
                    Err(ManifestProblem::Unreadable(problem)) => {
                        warn(format!("the entry of key {} was passed over: {problem}", record.key));
                        survey.complete = false;
                    }
                    Err(ManifestProblem::Unusable(problem)) => {
                        warn(format!("removing the entry of key {}: {problem}", record.key));
                        survey.damaged.push((name.clone(), stored.version));
                    }
                }
            }
        }
        if !survey.complete {
            warn("unused objects are not collected, since not all entries could be read".into());
        }
        Ok(survey)
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
                    _ => ManifestProblem::Unusable(describe(&fault)),
                }
            })?;
        let chunks = manifest::decode_chunks(&encoded).map_err(|fault| match fault {
            // A later version of this tool has written it, and needs its chunks.
            manifest::ManifestFault::Version(_) => ManifestProblem::Unreadable(describe(&fault)),
            _ => ManifestProblem::Unusable(describe(&fault)),
        })?;
        self.manifests.insert(digest, chunks.into_iter().map(|chunk| chunk.digest).collect());
        Ok(())
    }

    fn remove_damaged<R: Records>(&self, records: &R) -> Result<u64, Error> {
        let mut removed = 0;
        for (name, version) in &self.damaged {
            removed += u64::from(records.delete(name, version).map_err(Error::deleting)?);
        }
        Ok(removed)
    }

    /// What the entries take, for the choice of those that go.
    fn usage(&mut self, live: &Inventory) -> (Usage, Vec<Entry>) {
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

/// Whether something can never have been written by this tool, and so refers to nothing.
fn is_foreign(error: &IoError) -> bool {
    matches!(error.kind, IoErrorKind::IsADirectory | IoErrorKind::TooLarge)
}

enum ManifestProblem {
    /// What it refers to is not known.
    Unreadable(String),
    /// It can never be restored.
    Unusable(String),
}
