//! A cache in a directory, or in any other storage that this process accesses itself.

use super::interface::{Cache, Candidate, Wanted, warn_unusable};
use crate::key::Key;
use crate::manifest::Manifest;
use crate::storage::collect;
use crate::storage::commit::{self, Committed, NewEntry};
use crate::storage::record_lookup::{self, EntryFault};
use btdt_ports::client::Error;
use btdt_ports::{Digest, Environment, HeldLock, LockMode, ObjectKind, Objects, Records};
use std::collections::BTreeSet;

/// A cache that this process accesses itself.
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
    /// Combines the parts of a cache.
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
            for key in record_lookup::newest(self.records, prefix)? {
                if let Some(candidate) = self.attempt(&key, tried) {
                    return Ok(Some(candidate));
                }
            }
        }
        Ok(None)
    }

    fn replaced(&self, key: &Key) -> Result<Option<Manifest>, Error> {
        // No warning if it is damaged: it is about to be replaced.
        let loaded = record_lookup::load(self.objects, self.records, key, self.environment);
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
        match record_lookup::load(self.objects, self.records, key, self.environment) {
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
