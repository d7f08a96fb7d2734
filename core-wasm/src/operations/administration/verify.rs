//! Reads a whole cache, and reports what is damaged or missing and which keys are affected.
//!
//! Other processes may store and clean meanwhile. So every fault is checked again, and then all
//! records are read once more: objects that are intact by then were only being moved, and missing
//! ones that no record needs any more were collected.

use crate::cache::LocalCache;
use crate::key::Key;
use crate::storage::collect;
use crate::storage::record::{Record, RecordFault};
use crate::storage::record_lookup::{self, EntryFault, read_manifest};
use btdt_ports::client::{Error, Finding, Part, VerifySummary};
use btdt_ports::{Digest, ObjectFault, ObjectKind, ObjectName, Objects, RecordVersion, Records};
use std::collections::{BTreeMap, BTreeSet};

/// Objects to check per call; the host reads several in parallel.
const OBJECTS: usize = 512;

/// Most findings that are reported; the rest are only counted.
pub const MAX_FINDINGS: usize = 10_000;

/// Most keys that are reported with a finding; the rest are only counted.
pub const MAX_KEYS: usize = 100;

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// It is missing, damaged or unreadable.
    Object(ObjectFault),
    /// It is intact, but its content is invalid.
    Content(String),
}

type Faults = BTreeMap<(ObjectKind, Digest), Fault>;

/// A bad record: its name, its version, and what is wrong with it.
type BadRecord = (String, Option<RecordVersion>, String);

/// The keys that need faulty objects.
#[derive(Default)]
struct Affected {
    of: BTreeMap<(ObjectKind, Digest), Keys>,
    /// Number of entries that need any faulty object.
    entries: u64,
}

#[derive(Default)]
struct Keys {
    first: Vec<Key>,
    count: u64,
}

/// Verifies a whole cache. With `repair`, removes what is damaged, so that the next store writes it
/// again; otherwise changes nothing.
///
/// # Errors
/// [`Error::Cache`] if records or objects cannot be listed.
pub fn verify<O: Objects, R: Records>(
    repair: bool,
    cache: &LocalCache<'_, O, R>,
) -> Result<VerifySummary, Error> {
    let mut verifier = Verifier { cache, summary: VerifySummary::default(), faults: Faults::new() };
    let mut bad_records = Vec::new();
    let mut manifests = BTreeSet::new();
    each_record(cache.records, |name, seen| {
        verifier.summary.entries += 1;
        match seen {
            Ok((record, _)) => drop(manifests.insert(record.manifest)),
            Err((version, problem)) => bad_records.push((name.to_owned(), version, problem)),
        }
    })?;
    let chunks = verifier.read_manifests(&manifests);
    verifier.read_objects(ObjectKind::Manifest, &manifests)?;
    verifier.read_objects(ObjectKind::Chunk, &chunks)?;
    drop((manifests, chunks));
    verifier.recheck()?;
    let affected = verifier.affected()?;
    verifier.report_records(bad_records, repair);
    verifier.report_objects(affected, repair);
    Ok(verifier.summary)
}

/// Calls `seen` with each record, or with what is wrong with it.
fn each_record<R: Records>(
    records: &R,
    mut seen: impl FnMut(&str, Result<(Record, RecordVersion), (Option<RecordVersion>, String)>),
) -> Result<(), Error> {
    record_lookup::each_record(records, "", |name, stored| {
        let read = match stored {
            Err(error) => Err((None, format!("it could not be read: {error}"))),
            Ok(stored) => match Record::decode(&stored.value) {
                Err(RecordFault) => Err((Some(stored.version), RecordFault.to_string())),
                Ok(record) if record.key.record_name() != *name => {
                    Err((Some(stored.version), format!("it is that of the key {}", record.key)))
                }
                Ok(record) => Ok((record, stored.version)),
            },
        };
        seen(name, read);
    })
}

struct Verifier<'cache, O, R> {
    cache: &'cache LocalCache<'cache, O, R>,
    summary: VerifySummary,
    faults: Faults,
}

impl<O: Objects, R: Records> Verifier<'_, O, R> {
    /// Reads the manifests that records refer to. Returns the chunks that these refer to.
    fn read_manifests(&mut self, manifests: &BTreeSet<Digest>) -> BTreeSet<Digest> {
        let mut chunks = BTreeSet::new();
        for digest in manifests {
            let fault = match read_manifest(self.cache.objects, *digest) {
                Ok(manifest) => {
                    chunks.extend(manifest.chunks().iter().map(|chunk| chunk.digest));
                    continue;
                }
                // The object itself is intact.
                Err(EntryFault::Manifest(_, fault @ ObjectFault::TooLarge)) => {
                    Fault::Content(fault.to_string())
                }
                Err(EntryFault::Manifest(_, fault)) => Fault::Object(fault),
                Err(EntryFault::Content(_, fault)) => Fault::Content(fault.to_string()),
                Err(fault) => Fault::Content(fault.to_string()),
            };
            self.faults.insert((ObjectKind::Manifest, *digest), fault);
        }
        chunks
    }

    /// Checks all live objects of a kind, and all that are needed. Unreferenced ones count too: a
    /// store would find and reuse them.
    fn read_objects(&mut self, kind: ObjectKind, needed: &BTreeSet<Digest>) -> Result<(), Error> {
        for shard in 0..=u8::MAX {
            let listed = self.cache.objects.list(kind, shard).map_err(Error::reading)?;
            let count = match kind {
                ObjectKind::Manifest => &mut self.summary.manifests,
                ObjectKind::Chunk => &mut self.summary.chunks,
            };
            *count += listed.len() as u64;
            self.summary.stored_size += listed.iter().map(|object| object.stored_size).sum::<u64>();
            let mut digests: BTreeSet<Digest> =
                listed.into_iter().map(|object| object.digest).collect();
            let mut bytes = [0; Digest::LENGTH];
            bytes[0] = shard;
            let first = Digest::new(bytes);
            let of_shard = needed.range(first..).take_while(|one| one.to_bytes()[0] == shard);
            digests.extend(of_shard);
            let digests: Vec<Digest> = digests.into_iter().collect();
            for digests in digests.chunks(OBJECTS) {
                for (digest, fault) in digests.iter().zip(self.check(kind, digests)) {
                    if let Some(fault) = fault {
                        self.faults.entry((kind, *digest)).or_insert(Fault::Object(fault));
                    }
                }
            }
        }
        Ok(())
    }

    fn check(&self, kind: ObjectKind, digests: &[Digest]) -> Vec<Option<ObjectFault>> {
        let name = |digest: &Digest| ObjectName { kind, digest: *digest, sweep: None };
        let names: Vec<ObjectName> = digests.iter().map(name).collect();
        self.cache.objects.check(&names)
    }

    /// Finds the keys that need faulty objects, from the current records.
    fn affected(&self) -> Result<Affected, Error> {
        let mut affected = Affected::default();
        if self.faults.is_empty() {
            return Ok(affected);
        }
        // The faulty objects of each manifest.
        let mut known: BTreeMap<Digest, Vec<(ObjectKind, Digest)>> = BTreeMap::new();
        each_record(self.cache.records, |_, seen| {
            let Ok((record, _)) = seen else { return };
            let digest = record.manifest;
            let wrong = known.entry(digest).or_insert_with(|| self.wrong_in(digest));
            affected.entries += u64::from(!wrong.is_empty());
            for name in wrong.iter() {
                let keys = affected.of.entry(*name).or_default();
                keys.count += 1;
                if keys.first.len() < MAX_KEYS {
                    keys.first.push(record.key.clone());
                }
            }
        })?;
        Ok(affected)
    }

    fn wrong_in(&self, manifest: Digest) -> Vec<(ObjectKind, Digest)> {
        let own = (ObjectKind::Manifest, manifest);
        let mut wrong: Vec<_> = self.faults.contains_key(&own).then_some(own).into_iter().collect();
        if let Ok(manifest) = read_manifest(self.cache.objects, manifest) {
            let chunks = manifest.chunks().iter().map(|chunk| (ObjectKind::Chunk, chunk.digest));
            wrong.extend(chunks.filter(|name| self.faults.contains_key(name)));
        }
        wrong
    }

    /// Checks every fault again, and drops those that are gone.
    fn recheck(&mut self) -> Result<(), Error> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let mut aside: BTreeMap<(ObjectKind, Digest), Vec<ObjectName>> = BTreeMap::new();
        for object in self.cache.objects.list_aside().map_err(Error::reading)? {
            let (kind, digest) = (object.kind, object.digest);
            if self.faults.contains_key(&(kind, digest)) {
                let name = ObjectName { kind, digest, sweep: Some(object.sweep) };
                aside.entry((kind, digest)).or_default().push(name);
            }
        }
        let faults = std::mem::take(&mut self.faults);
        for ((kind, digest), fault) in faults {
            let live = || self.check(kind, &[digest]).pop().flatten();
            let set_aside = || {
                let names = aside.get(&(kind, digest)).map_or(&[][..], Vec::as_slice);
                self.cache.objects.check(names).contains(&None)
            };
            let now = match live() {
                Some(ObjectFault::Missing) if set_aside() => None,
                // It may have been recalled in between.
                Some(ObjectFault::Missing) => live(),
                now => now,
            };
            match (now, fault) {
                (None, fault @ Fault::Content(_)) => self.faults.insert((kind, digest), fault),
                (None, Fault::Object(_)) => None,
                (Some(now), _) => self.faults.insert((kind, digest), Fault::Object(now)),
            };
        }
        Ok(())
    }

    fn report(&mut self, finding: Finding) {
        self.summary.faults += 1;
        if self.summary.findings.len() < MAX_FINDINGS {
            self.summary.findings.push(finding);
        }
    }

    fn report_records(&mut self, records: Vec<BadRecord>, repair: bool) {
        for (name, version, problem) in records {
            let stored = self.cache.records.get(std::slice::from_ref(&name)).pop();
            // False if it was replaced or deleted meanwhile.
            let same = match stored {
                None | Some(Ok(None)) => false,
                Some(Ok(Some(stored))) => Some(stored.version) == version,
                Some(Err(_)) => version.is_none(),
            };
            if !same {
                continue;
            }
            let repaired = repair
                && version.is_some_and(|version| {
                    self.cache.records.delete(&name, &version).is_ok_and(|deleted| deleted)
                });
            self.report(Finding {
                part: Part::Entry,
                name,
                problem,
                keys: Vec::new(),
                affected: 0,
                repaired,
            });
        }
    }

    fn report_objects(&mut self, mut affected: Affected, repair: bool) {
        for ((kind, digest), fault) in std::mem::take(&mut self.faults) {
            let keys = affected.of.remove(&(kind, digest)).unwrap_or_default();
            // Objects that no record refers to (any more) may be missing.
            let harmless = matches!(fault, Fault::Object(ObjectFault::Missing) | Fault::Content(_));
            if keys.count == 0 && harmless {
                continue;
            }
            let damaged = matches!(fault, Fault::Object(ObjectFault::Damaged(_)));
            let repaired = repair && damaged && self.take_out(kind, digest);
            self.report(Finding {
                part: match kind {
                    ObjectKind::Manifest => Part::Manifest,
                    ObjectKind::Chunk => Part::Chunk,
                },
                name: digest.to_hex(),
                problem: match fault {
                    Fault::Object(fault) => fault.to_string(),
                    Fault::Content(problem) => problem,
                },
                keys: keys.first.iter().map(|key| key.as_str().to_owned()).collect(),
                affected: keys.count,
                repaired,
            });
        }
        self.summary.affected = affected.entries;
    }

    fn take_out(&self, kind: ObjectKind, digest: Digest) -> bool {
        collect::drop_damaged(self.cache.objects, kind, digest, self.cache.environment);
        let left = self.check(kind, &[digest]).pop().flatten();
        !matches!(left, Some(ObjectFault::Damaged(_)))
    }
}
