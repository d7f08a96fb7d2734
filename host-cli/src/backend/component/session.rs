//! The operations of the core, as the commands call them.

use super::bindings::client;
use super::bindings::tree::FileTree as Tree;
use super::cache::Cache;
use btdt_ports::{Algorithm, Digest};
use std::convert::Infallible as CoreError;

/// The core: it keeps nothing between two operations.
pub(crate) struct Session;

/// What the core answers. The outer result is never an error; natively it can be.
type Answer<T> = Result<Result<T, client::Error>, CoreError>;

impl Session {
    /// Stores a tree under keys.
    pub(crate) fn store(
        self,
        request: &client::StoreRequest,
        tree: Tree,
        cache: Cache,
    ) -> Answer<client::StoreSummary> {
        Ok(cache.handle().and_then(|cache| client::store_tree(request, tree, cache)))
    }

    /// Restores the first entry that is there and intact; `None` where there is none.
    pub(crate) fn restore(
        self,
        request: &client::RestoreRequest,
        tree: Tree,
        cache: Cache,
    ) -> Answer<Option<client::Restored>> {
        Ok(cache.handle().and_then(|cache| client::restore_tree(request, tree, cache)))
    }

    /// Removes entries that are too old or too many, and objects that nothing refers to.
    pub(crate) fn clean(
        self,
        request: client::CleanRequest,
        cache: Cache,
    ) -> Answer<client::CleanSummary> {
        Ok(cache.handle().and_then(|cache| client::clean_cache(request, cache)))
    }

    /// Lists entries, part by part.
    pub(crate) fn list(
        &mut self,
        request: &client::ListRequest,
        cache: &Cache,
    ) -> Answer<client::EntryPage> {
        Ok(cache.handle().and_then(|cache| client::list_entries(request, cache)))
    }

    /// The entry of a key; `None` where there is none.
    pub(crate) fn inspect(self, key: &str, cache: Cache) -> Answer<Option<Inspection>> {
        let found = cache.handle().and_then(|cache| client::inspect_entry(key, cache));
        Ok(found.map(|found| found.map(Inspection)))
    }

    /// Deletes entries: those of the keys, and part by part those with the prefix.
    pub(crate) fn delete(
        &mut self,
        request: &client::DeleteRequest,
        cache: &Cache,
    ) -> Answer<client::DeletePage> {
        Ok(cache.handle().and_then(|cache| client::delete_entries(request, cache)))
    }

    /// Reads all of a local cache and says what is damaged or missing; with `repair`, what is
    /// damaged is taken out.
    pub(crate) fn verify(self, repair: bool, cache: Cache) -> Answer<client::VerifySummary> {
        Ok(cache.handle().and_then(|cache| client::verify_cache(repair, cache)))
    }

    /// The digest of files and directories.
    pub(crate) fn hash(
        self,
        trees: Vec<Tree>,
        algorithm: Algorithm,
    ) -> Result<Result<Digest, client::HashFailure>, CoreError> {
        Ok(client::hash_trees(trees, algorithm))
    }
}

/// An entry and its tree, kept by the core.
pub(crate) struct Inspection(client::Inspection);

impl Inspection {
    /// What is recorded of the entry.
    pub(crate) fn entry(&mut self) -> Result<client::EntryInfo, CoreError> {
        Ok(self.0.entry())
    }

    /// What its tree holds; `None` where its manifest is missing or damaged.
    pub(crate) fn totals(&mut self) -> Result<Option<client::TreeTotals>, CoreError> {
        Ok(self.0.totals())
    }

    /// At most `count` paths of its tree, in order, of which the first has the number `first`.
    pub(crate) fn nodes(
        &mut self,
        first: u32,
        count: u32,
    ) -> Result<Vec<client::TreeNode>, CoreError> {
        Ok(self.0.nodes(first, count))
    }
}
