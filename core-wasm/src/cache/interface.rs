//! The interface between the operations and a cache, local or remote.

use crate::key::{Key, Prefix};
use crate::manifest::Manifest;
use crate::storage::commit::{Committed, NewEntry};
use btdt_ports::client::Error;
use btdt_ports::{Digest, Environment, HeldLock, ObjectFault, Severity};
use std::collections::BTreeSet;

/// The requested entries, in order of preference: first the keys, then the prefixes.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'wanted> {
    /// Exact keys.
    pub keys: &'wanted [Key],
    /// Prefixes, each standing for the most recently stored entry whose key begins with it.
    pub prefixes: &'wanted [Prefix],
}

/// An entry with a valid record and manifest. Its chunks have not been read yet.
#[derive(Debug)]
pub struct Candidate<S> {
    /// Its key.
    pub key: Key,
    /// Its tree.
    pub manifest: Manifest,
    /// Where its chunks come from.
    pub source: S,
}

/// What a store and a restore need of a cache.
pub trait Cache {
    /// Where a packer puts chunks.
    type Sink;
    /// Where a materializer takes chunks from.
    type Source;

    /// A lock that tells other processes that the cache is in use.
    fn in_use(&self) -> Option<HeldLock>;

    /// A sink that stores chunks in the cache.
    fn sink(&self) -> Result<Self::Sink, Error>;

    /// Stores a tree, whose chunks went to [`Cache::sink`], under its keys.
    fn commit(&self, entry: &NewEntry<'_>) -> Result<Committed, Error>;

    /// The first usable one of the `wanted` entries whose key has not been `tried`. Warns about
    /// unusable ones.
    fn candidate(
        &self,
        wanted: Wanted<'_>,
        tried: &mut BTreeSet<Key>,
    ) -> Result<Option<Candidate<Self::Source>>, Error>;

    /// The tree of the current entry of `key`, for a store that is about to replace it. `None` if
    /// there is no usable one, or if reading it would mean unpacking an archive.
    fn replaced(&self, key: &Key) -> Result<Option<Manifest>, Error>;

    /// One of these chunks that is missing, as far as that is cheap to find out.
    fn missing_chunk(&self, chunks: &[Digest]) -> Result<Option<Digest>, Error>;

    /// Called when one of these chunks turned out to be damaged.
    fn found_damaged(&self, chunks: &[Digest]);

    /// Updates the last access of an entry that was restored.
    fn used(&self, key: &Key);

    /// Adds the cause to an error that says no more than that a transfer failed.
    fn explain(&self, error: Error) -> Error;
}

/// Warns that an entry is skipped, and why.
pub fn warn_unusable(environment: &dyn Environment, key: &Key, reason: &dyn std::fmt::Display) {
    let message = format!("the entry of key {key} cannot be used: {reason}");
    environment.log(Severity::Warning, &message);
}

/// Why an entry with such a chunk is skipped.
#[must_use]
pub fn chunk_reason(digest: &Digest, fault: &ObjectFault) -> String {
    format!("chunk {digest}: {fault}")
}
