//! The host's side of one instance: its table of handles, and what it may still use.

use super::bindings::client;
use super::bindings::wit::caches;
use super::host_services::{Cache, HostServices, Limits, LocalCache};
use super::memory_budget::{MemoryLimiter, Share};
use crate::tree::filesystem::FilesystemTree;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable};

/// The result of an import: an error outside is a trap, one inside is for the core.
pub(super) type Outcome<T, E> = wasmtime::Result<Result<T, E>>;

/// The host's side of one instance.
pub(super) struct HostState {
    pub(super) table: ResourceTable,
    pub(super) services: HostServices,
    pub(super) limiter: MemoryLimiter,
    /// The memory of the largest object that it has read.
    pub(super) fetched: Share,
    /// The memory of the archives that it has planned.
    pub(super) planned: Share,
    pub(super) ticks_left: u64,
}

impl HostState {
    pub(super) fn new(services: HostServices, limits: Limits) -> Self {
        let shared = services.memory.as_ref();
        let host = || Share::of(shared.map(|shared| Arc::clone(&shared.host)));
        HostState {
            table: ResourceTable::new(),
            limiter: MemoryLimiter::new(limits.memory, shared),
            fetched: host(),
            planned: host(),
            services,
            ticks_left: limits.ticks,
        }
    }

    pub(super) fn add_tree(
        &mut self,
        tree: FilesystemTree,
    ) -> wasmtime::Result<Resource<FilesystemTree>> {
        Ok(self.table.push(tree)?)
    }

    pub(super) fn add_local(&mut self, cache: LocalCache) -> wasmtime::Result<caches::LocalCache> {
        Ok(caches::LocalCache {
            objects: self.table.push(cache.objects)?,
            records: self.table.push(cache.records)?,
        })
    }

    pub(super) fn add_cache(&mut self, cache: Cache) -> wasmtime::Result<client::Cache> {
        Ok(match cache {
            Cache::Local(cache) => client::Cache::Local(self.add_local(cache)?),
            Cache::Remote { server, url } => {
                let server = self.table.push(server)?;
                client::Cache::Remote(client::RemoteCache { server, url })
            }
        })
    }
}
