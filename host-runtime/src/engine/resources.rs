//! What the handles of an instance stand for.

use super::{SharedEnvironment, bindings::client};
use crate::transfer::{Sink, Source};
use crate::tree::filesystem::FilesystemTree;
use btdt_ports::{Objects, Records};
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable};

/// The objects of any cache.
pub type SharedObjects = Arc<dyn Objects<Sink = Sink, Source = Source> + Send + Sync>;

/// The records of any cache.
pub type SharedRecords = Arc<dyn Records + Send + Sync>;

/// A cache that this process works on itself.
#[derive(Clone)]
pub struct LocalCache {
    /// Its objects.
    pub objects: SharedObjects,
    /// Its records.
    pub records: SharedRecords,
}

impl LocalCache {
    /// A cache that one backend keeps.
    pub fn new<S>(storage: S) -> Self
    where
        S: Objects<Sink = Sink, Source = Source> + Records + Clone + Send + Sync + 'static,
    {
        LocalCache { objects: Arc::new(storage.clone()), records: Arc::new(storage) }
    }
}

/// The host's side of one instance.
pub(super) struct HostState {
    pub(super) table: ResourceTable,
    pub(super) environment: SharedEnvironment,
}

impl HostState {
    pub(super) fn new(environment: SharedEnvironment) -> Self {
        HostState { table: ResourceTable::new(), environment }
    }

    pub(super) fn add_tree(
        &mut self,
        tree: FilesystemTree,
    ) -> wasmtime::Result<Resource<FilesystemTree>> {
        Ok(self.table.push(tree)?)
    }

    pub(super) fn add_cache(&mut self, cache: LocalCache) -> wasmtime::Result<client::LocalCache> {
        Ok(client::LocalCache {
            objects: self.table.push(cache.objects)?,
            records: self.table.push(cache.records)?,
        })
    }
}
