//! Restores the first entry that is there and intact.
//!
//! A damaged or vanished entry is a miss with a warning; the next candidate is tried. Only what
//! goes wrong at the destination, or after the destination was changed, is an error.

use crate::collect;
use crate::error::Error;
use crate::key::{Key, Prefix};
use crate::manifest::{self, Content, Manifest};
use crate::materializing::Plan;
use crate::reconcile::{Comparison, How};
use crate::record::Record;
use crate::store::valid_keys;
use btdt_ports::{
    Digest, EntryKind, Environment, IoError, IoErrorKind, LockMode, MaterializeError,
    MaterializeSummary, ObjectFault, ObjectKind, Objects, Placement, Records, Severity, Tree,
};
use std::collections::BTreeSet;

/// Names that are listed with one call.
const PAGE: u32 = 4096;

/// What to restore.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Keys, in order of preference. Empty ones are dropped.
    pub keys: Vec<String>,
    /// Prefixes, in order of preference: of the keys that have one, the entry stored last.
    pub prefixes: Vec<String>,
    /// Whether what is not in the entry is removed from the destination.
    pub exact: bool,
    /// Whether files that agree in size and time are compared by content all the same.
    pub checksum: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination holds the entry of a key.
    Restored {
        /// The key.
        key: Key,
        /// Whether that is the first key that was asked for.
        primary: bool,
        /// Number of files in the entry.
        files: u64,
        /// Their size in bytes.
        raw_size: u64,
        /// What had to be done.
        summary: MaterializeSummary,
    },
    /// No key has an entry that can be used.
    Missed,
}

/// Why one candidate did not do.
enum Fault {
    /// There is no entry under that key.
    NoEntry,
    /// The entry cannot be used.
    Unusable { reason: String, changed: bool },
    /// Nothing can be restored.
    Fatal(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Fatal(error)
    }
}

/// Restores to `tree` from a cache.
///
/// # Errors
/// See [`Error`].
pub fn restore<T, O, R>(
    request: &Request,
    tree: &T,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Outcome, Error>
where
    T: Tree,
    O: Objects<Source = T::Source>,
    R: Records,
{
    let keys = if request.prefixes.is_empty() || request.keys.iter().any(|key| !key.is_empty()) {
        valid_keys(&request.keys)?
    } else {
        Vec::new()
    };
    let prefixes = valid_prefixes(&request.prefixes)?;
    let _in_use = objects.lock(LockMode::Shared);
    let mut restorer = Restorer {
        tree,
        objects,
        records,
        environment,
        how: How { exact: request.exact, checksum: request.checksum },
        tried: BTreeSet::new(),
        changed: false,
    };
    for (place, key) in keys.into_iter().enumerate() {
        if let Some(outcome) = restorer.attempt(key, place == 0)? {
            return Ok(outcome);
        }
    }
    for prefix in prefixes {
        for key in restorer.matching(&prefix)? {
            if let Some(outcome) = restorer.attempt(key, false)? {
                return Ok(outcome);
            }
        }
    }
    if restorer.changed { Err(Error::Incomplete) } else { Ok(Outcome::Missed) }
}

fn valid_prefixes(texts: &[String]) -> Result<Vec<Prefix>, Error> {
    let given = texts.iter().filter(|text| !text.is_empty());
    given
        .map(|text| {
            Prefix::new(text.as_str())
                .map_err(|fault| Error::InvalidKey { key: text.clone(), fault })
        })
        .collect()
}

struct Restorer<'restore, T, O, R> {
    tree: &'restore T,
    objects: &'restore O,
    records: &'restore R,
    environment: &'restore dyn Environment,
    how: How,
    tried: BTreeSet<Key>,
    /// Whether a failed attempt has changed the destination.
    changed: bool,
}

impl<T, O, R> Restorer<'_, T, O, R>
where
    T: Tree,
    O: Objects<Source = T::Source>,
    R: Records,
{
    /// Tries one key. `None` where the next one has to be tried.
    fn attempt(&mut self, key: Key, primary: bool) -> Result<Option<Outcome>, Error> {
        if !self.tried.insert(key.clone()) {
            return Ok(None);
        }
        match self.restore_entry(&key) {
            Ok((files, raw_size, summary)) => {
                self.records.touch(&key.record_name());
                Ok(Some(Outcome::Restored { key, primary, files, raw_size, summary }))
            }
            Err(Fault::NoEntry) => Ok(None),
            Err(Fault::Unusable { reason, changed }) => {
                self.changed |= changed;
                let message = format!("the entry of key {key} cannot be used: {reason}");
                self.environment.log(Severity::Warning, &message);
                Ok(None)
            }
            Err(Fault::Fatal(error)) => Err(error),
        }
    }

    fn restore_entry(&self, key: &Key) -> Result<(u64, u64, MaterializeSummary), Fault> {
        let record = self.record(key)?;
        let manifest = match self.manifest(record.manifest) {
            // The entry may have been replaced, and its old manifest collected, in between.
            Err(reason) => match self.record(key) {
                Ok(newer) if newer.manifest != record.manifest => {
                    self.manifest(newer.manifest).map_err(unusable)?
                }
                _ => return Err(unusable(reason)),
            },
            Ok(manifest) => manifest,
        };
        let (files, raw_size) = manifest.totals();
        let written = match self.write(&manifest) {
            // Another restore has been quicker: what is there now is compared like any other.
            Err(Fault::Fatal(Error::Destination { path, error }))
                if path.is_empty() && error.kind == IoErrorKind::AlreadyExists =>
            {
                self.write(&manifest)
            }
            written => written,
        };
        Ok((files, raw_size, written?))
    }

    fn record(&self, key: &Key) -> Result<Record, Fault> {
        let stored = self.records.get(&[key.record_name()]).pop();
        match stored {
            None | Some(Ok(None)) => Err(Fault::NoEntry),
            Some(Err(error)) => Err(unusable(format!("its record could not be read: {error}"))),
            Some(Ok(Some(stored))) => match Record::decode(&stored.value) {
                Ok(record) if record.key == *key => Ok(record),
                Ok(_) => Err(Fault::NoEntry),
                Err(fault) => Err(unusable(fault.to_string())),
            },
        }
    }

    fn manifest(&self, digest: Digest) -> Result<Manifest, String> {
        let describe = |problem: &dyn std::fmt::Display| format!("manifest {digest}: {problem}");
        let encoded = self
            .objects
            .get(ObjectKind::Manifest, digest, manifest::MAX_ENCODED)
            .map_err(|fault| {
                if let ObjectFault::Damaged(_) = fault {
                    let kind = ObjectKind::Manifest;
                    collect::drop_damaged(self.objects, kind, digest, self.environment);
                }
                describe(&fault)
            })?;
        manifest::decode(&encoded).map_err(|fault| describe(&fault))
    }

    /// Brings the destination to what the manifest says.
    fn write(&self, manifest: &Manifest) -> Result<MaterializeSummary, Fault> {
        let at_root = |error| Error::Destination { path: Vec::new(), error };
        let root = self.tree.root().map_err(at_root)?;
        let is_file = matches!(manifest.node(0).content, Content::File(_));
        let (placement, comparison) = match root {
            None => (Placement::Staged, Comparison::with_nothing(manifest)),
            Some(root) => match (is_file, root.kind) {
                (true, EntryKind::File) => (Placement::Staged, Comparison::with_nothing(manifest)),
                (false, EntryKind::Directory) => {
                    let compared =
                        Comparison::with_directory(manifest, self.tree, &root, self.how)?;
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
        let plan = Plan::new(manifest, &comparison);
        if placement == Placement::InPlace {
            self.expect_chunks(&plan.chunks())?;
        }
        let source = self.objects.source();
        let materializer = self.tree.materialize(&[&source], placement);
        let written = materializer.and_then(|materializer| plan.run(materializer));
        written.map_err(|error| match error {
            MaterializeError::Destination { path, error } => {
                Fault::Fatal(Error::Destination { path, error })
            }
            MaterializeError::Chunk { digest, fault } => {
                if let ObjectFault::Damaged(_) = fault {
                    let chunks: Vec<Digest> =
                        manifest.chunks().iter().map(|chunk| chunk.digest).collect();
                    let kind = ObjectKind::Chunk;
                    collect::drop_all_damaged(self.objects, kind, &chunks, self.environment);
                }
                let reason = format!("chunk {digest}: {fault}");
                Fault::Unusable { reason, changed: placement == Placement::InPlace }
            }
        })
    }

    /// Makes sure, as far as that is cheap, that an entry is complete before a destination that
    /// exists is touched.
    fn expect_chunks(&self, needed: &[Digest]) -> Result<(), Fault> {
        let mut missing =
            self.objects.missing(ObjectKind::Chunk, needed).map_err(Error::reading)?;
        if !missing.is_empty() {
            let aside = self.objects.list_aside().map_err(Error::reading)?;
            missing.retain(|digest| !aside.iter().any(|object| object.digest == *digest));
        }
        match missing.first() {
            None => Ok(()),
            Some(digest) => Err(unusable(format!("chunk {digest}: {}", ObjectFault::Missing))),
        }
    }

    /// The keys that begin with `prefix`, those stored last first.
    fn matching(&self, prefix: &Prefix) -> Result<Vec<Key>, Error> {
        let mut found = Vec::new();
        let name_prefix = prefix.record_name_prefix();
        let mut after: Option<String> = None;
        loop {
            let names =
                self.records.list(&name_prefix, after.as_deref(), PAGE).map_err(Error::reading)?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            // A record that is unreadable or damaged is no match; asked for by its key, it is
            // warned about.
            let records = self.records.get(&names).into_iter();
            let records = records.filter_map(|record| Record::decode(&record.ok()??.value).ok());
            found.extend(records.filter(|record| prefix.matches(&record.key)));
        }
        found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.key.cmp(&b.key)));
        Ok(found.into_iter().map(|record| record.key).collect())
    }
}

fn unusable(reason: String) -> Fault {
    Fault::Unusable { reason, changed: false }
}
