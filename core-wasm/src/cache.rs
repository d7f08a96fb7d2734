//! A cache as a store and a restore see it, wherever it is.

use crate::collect;
use crate::commit::{self, Committed, NewEntry};
use crate::entries::{self, EntryFault};
use crate::error::Error;
use crate::key::{Key, Prefix};
use crate::manifest::Manifest;
use btdt_ports::{
    Digest, Environment, HeldLock, LockMode, ObjectFault, ObjectKind, Objects, Records, Severity,
};
use std::collections::BTreeSet;

/// The entries that would do, in order of preference.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'wanted> {
    /// Keys.
    pub keys: &'wanted [Key],
    /// Prefixes: of the keys that have one, the entry stored last.
    pub prefixes: &'wanted [Prefix],
}

/// An entry that can be restored, as far as that can be told before its chunks are read.
#[derive(Debug)]
pub struct Candidate<S> {
    /// Its key.
    pub key: Key,
    /// Its tree.
    pub manifest: Manifest,
    /// Where its chunks come from.
    pub source: S,
}

/// A cache.
pub trait Cache {
    /// Where a packer puts chunks.
    type Sink;
    /// Where a materializer takes chunks from.
    type Source;

    /// Tells others, as long as it is held, that the cache is in use.
    fn in_use(&self) -> Option<HeldLock>;

    /// A sink that keeps chunks in the cache.
    ///
    /// # Errors
    /// When the cache cannot be reached.
    fn sink(&self) -> Result<Self::Sink, Error>;

    /// Makes a tree whose chunks went to [`Cache::sink`] the entry of its keys.
    ///
    /// # Errors
    /// When the cache does not take it.
    fn commit(&self, entry: &NewEntry<'_>) -> Result<Committed, Error>;

    /// The first entry of those that are `wanted` whose key has not been `tried`. Warns about
    /// those that cannot be used.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn candidate(
        &self,
        wanted: Wanted<'_>,
        tried: &mut BTreeSet<Key>,
    ) -> Result<Option<Candidate<Self::Source>>, Error>;

    /// The tree of the entry that `key` has so far, for a store that is about to replace it. `None`
    /// where there is none that can be used, or where it would have to be unpacked first.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn replaced(&self, key: &Key) -> Result<Option<Manifest>, Error>;

    /// A chunk among `chunks` that is missing, as far as that is cheap to find out.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn missing_chunk(&self, chunks: &[Digest]) -> Result<Option<Digest>, Error>;

    /// Notes that one of these chunks turned out to be damaged.
    fn found_damaged(&self, chunks: &[Digest]);

    /// Notes that an entry was restored.
    fn used(&self, key: &Key);

    /// Why a transfer failed that was reported as no more than that.
    fn explain(&self, error: Error) -> Error;
}

/// A cache in a directory, or anything else that this process works on itself.
#[derive(Clone, Copy)]
pub struct LocalCache<'cache, O, R> {
    /// Its objects.
    pub objects: &'cache O,
    /// Its records.
    pub records: &'cache R,
    /// Clock, randomness and messages.
    pub environment: &'cache dyn Environment,
}

impl<'cache, O, R> LocalCache<'cache, O, R> {
    /// A cache of these parts.
    pub fn new(
        objects: &'cache O,
        records: &'cache R,
        environment: &'cache dyn Environment,
    ) -> Self {
        LocalCache { objects, records, environment }
    }
}

impl<O: Objects, R: Records> Cache for LocalCache<'_, O, R> {
    type Sink = O::Sink;
    type Source = O::Source;

    fn in_use(&self) -> Option<HeldLock> {
        self.objects.lock(LockMode::Shared)
    }

    fn sink(&self) -> Result<O::Sink, Error> {
        Ok(self.objects.sink())
    }

    fn commit(&self, entry: &NewEntry<'_>) -> Result<Committed, Error> {
        commit::commit(entry, self.objects, self.records, self.environment)
    }

    fn candidate(
        &self,
        wanted: Wanted<'_>,
        tried: &mut BTreeSet<Key>,
    ) -> Result<Option<Candidate<O::Source>>, Error> {
        for key in wanted.keys {
            if let Some(candidate) = self.attempt(key, tried) {
                return Ok(Some(candidate));
            }
        }
        for prefix in wanted.prefixes {
            for key in entries::newest(self.records, prefix)? {
                if let Some(candidate) = self.attempt(&key, tried) {
                    return Ok(Some(candidate));
                }
            }
        }
        Ok(None)
    }

    fn replaced(&self, key: &Key) -> Result<Option<Manifest>, Error> {
        // One that is damaged is not worth a word: it is going to be replaced.
        let loaded = entries::load(self.objects, self.records, key, self.environment);
        Ok(loaded.ok().map(|(_, manifest)| manifest))
    }

    fn missing_chunk(&self, chunks: &[Digest]) -> Result<Option<Digest>, Error> {
        let kind = ObjectKind::Chunk;
        let mut missing = self.objects.missing(kind, chunks).map_err(Error::reading)?;
        if !missing.is_empty() {
            let aside = self.objects.list_aside().map_err(Error::reading)?;
            missing.retain(|digest| !aside.iter().any(|object| object.digest == *digest));
        }
        Ok(missing.first().copied())
    }

    fn found_damaged(&self, chunks: &[Digest]) {
        collect::drop_all_damaged(self.objects, ObjectKind::Chunk, chunks, self.environment);
    }

    fn used(&self, key: &Key) {
        self.records.touch(&key.record_name());
    }

    fn explain(&self, error: Error) -> Error {
        error
    }
}

impl<O: Objects, R: Records> LocalCache<'_, O, R> {
    fn attempt(&self, key: &Key, tried: &mut BTreeSet<Key>) -> Option<Candidate<O::Source>> {
        if !tried.insert(key.clone()) {
            return None;
        }
        match entries::load(self.objects, self.records, key, self.environment) {
            Ok((_, manifest)) => {
                let source = self.objects.source();
                Some(Candidate { key: key.clone(), manifest, source })
            }
            Err(EntryFault::Absent) => None,
            Err(fault) => {
                warn_unusable(self.environment, key, &fault);
                None
            }
        }
    }
}

/// Tells the user why an entry was passed over.
pub fn warn_unusable(environment: &dyn Environment, key: &Key, reason: &dyn std::fmt::Display) {
    let message = format!("the entry of key {key} cannot be used: {reason}");
    environment.log(Severity::Warning, &message);
}

/// The reason why an entry with such a chunk is passed over.
#[must_use]
pub fn chunk_reason(digest: &Digest, fault: &ObjectFault) -> String {
    format!("chunk {digest}: {fault}")
}
