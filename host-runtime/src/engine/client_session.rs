//! What front ends ask of the core. In the results, the outer error is a trap of the core, and the
//! inner one is what the core reports.

use super::host_services::Cache;
use super::session::{CoreError, Session, trap};
use crate::tree::filesystem::FilesystemTree;
use btdt_ports::{Algorithm, Digest, client};
use wasmtime::component::ResourceAny;

impl Session {
    /// Stores a tree under keys.
    pub fn store(
        mut self,
        request: &client::StoreRequest,
        tree: FilesystemTree,
        cache: Cache,
    ) -> Result<Result<client::StoreSummary, client::Error>, CoreError> {
        let tree = self.store.data_mut().add_tree(tree).map_err(trap)?;
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_store_tree(&mut self.store, request, tree, &cache).map_err(trap)
    }

    /// Restores the first entry that is there and intact; `None` where there is none.
    pub fn restore(
        mut self,
        request: &client::RestoreRequest,
        tree: FilesystemTree,
        cache: Cache,
    ) -> Result<Result<Option<client::Restored>, client::Error>, CoreError> {
        let tree = self.store.data_mut().add_tree(tree).map_err(trap)?;
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_restore_tree(&mut self.store, request, tree, &cache).map_err(trap)
    }

    /// Removes entries that are too old or too many, and objects that nothing refers to.
    pub fn clean(
        mut self,
        request: client::CleanRequest,
        cache: Cache,
    ) -> Result<Result<client::CleanSummary, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_clean_cache(&mut self.store, request, &cache).map_err(trap)
    }

    /// Lists entries, part by part.
    pub fn list(
        &mut self,
        request: &client::ListRequest,
        cache: &Cache,
    ) -> Result<Result<client::EntryPage, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache.clone()).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_list_entries(&mut self.store, request, &cache).map_err(trap)
    }

    /// The entry of a key; `None` where there is none.
    pub fn inspect(
        mut self,
        key: &str,
        cache: Cache,
    ) -> Result<Result<Option<Inspection>, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        let found = client.call_inspect_entry(&mut self.store, key, &cache).map_err(trap)?;
        Ok(found.map(|handle| handle.map(|handle| Inspection { session: self, handle })))
    }

    /// Deletes entries: those of the keys, and part by part those with the prefix.
    pub fn delete(
        &mut self,
        request: &client::DeleteRequest,
        cache: &Cache,
    ) -> Result<Result<client::DeletePage, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache.clone()).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_delete_entries(&mut self.store, request, &cache).map_err(trap)
    }

    /// Reads all of a local cache and says what is damaged or missing; with `repair`, what is
    /// damaged is taken out.
    pub fn verify(
        mut self,
        repair: bool,
        cache: Cache,
    ) -> Result<Result<client::VerifySummary, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_verify_cache(&mut self.store, repair, &cache).map_err(trap)
    }

    /// The digest of files and directories.
    pub fn hash(
        mut self,
        trees: Vec<FilesystemTree>,
        algorithm: Algorithm,
    ) -> Result<Result<Digest, client::HashFailure>, CoreError> {
        let mut handles = Vec::with_capacity(trees.len());
        for tree in trees {
            handles.push(self.store.data_mut().add_tree(tree).map_err(trap)?);
        }
        let client = self.core.btdt_cache_client();
        client.call_hash_trees(&mut self.store, &handles, algorithm).map_err(trap)
    }
}

/// An entry and its tree, kept by an instance of the core.
pub struct Inspection {
    session: Session,
    handle: ResourceAny,
}

impl Inspection {
    /// What is recorded of the entry.
    pub fn entry(&mut self) -> Result<client::EntryInfo, CoreError> {
        let Session { store, core } = &mut self.session;
        let inspection = core.btdt_cache_client().inspection();
        inspection.call_entry(store, self.handle).map_err(trap)
    }

    /// What its tree holds; `None` where its manifest is missing or damaged.
    pub fn totals(&mut self) -> Result<Option<client::TreeTotals>, CoreError> {
        let Session { store, core } = &mut self.session;
        let inspection = core.btdt_cache_client().inspection();
        inspection.call_totals(store, self.handle).map_err(trap)
    }

    /// At most `count` paths of its tree, in order, of which the first has the number `first`.
    pub fn nodes(&mut self, first: u32, count: u32) -> Result<Vec<client::TreeNode>, CoreError> {
        let Session { store, core } = &mut self.session;
        let inspection = core.btdt_cache_client().inspection();
        inspection.call_nodes(store, self.handle, first, count).map_err(trap)
    }
}
