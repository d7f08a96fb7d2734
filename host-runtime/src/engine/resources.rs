//! What the handles of an instance stand for.

use super::bindings::client;
use super::bindings::wit::caches;
use super::memory::{MemoryLimiter, Share, SharedMemory};
use crate::chunk_io::{Sink, Source, StoredForms, StoredObject};
use crate::http::HttpRemote;
use crate::tree::filesystem::FilesystemTree;
use btdt_ports::{Authority, Environment, Objects, Records};
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable};

/// The objects of a cache, for the core and for transfers that pass it by.
pub trait HostObjects: Objects<Sink = Sink, Source = Source> + StoredForms {}

impl<O: Objects<Sink = Sink, Source = Source> + StoredForms> HostObjects for O {}

/// The objects of any cache.
pub type SharedObjects = Arc<dyn HostObjects + Send + Sync>;

/// The records of any cache.
pub type SharedRecords = Arc<dyn Records + Send + Sync>;

/// An object that is open in its stored form.
pub type Opened = Arc<dyn StoredObject>;

/// What the core needs of its surroundings, besides files and caches.
pub type SharedEnvironment = Arc<dyn Environment + Send + Sync>;

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
        S: HostObjects + Records + Clone + Send + Sync + 'static,
    {
        LocalCache { objects: Arc::new(storage.clone()), records: Arc::new(storage) }
    }
}

/// A cache, wherever it is.
#[derive(Clone)]
pub enum Cache {
    /// In this process.
    Local(LocalCache),
    /// On a server.
    Remote {
        /// The server.
        server: HttpRemote,
        /// URL of the cache.
        url: String,
    },
}

/// The caches of a server by their names.
pub trait NamedCaches: Send + Sync {
    /// The cache of that name.
    fn find(&self, name: &str) -> Option<LocalCache>;
}

/// What an instance is given of this process.
#[derive(Clone)]
pub struct Surroundings {
    /// Clock, randomness and messages.
    pub environment: SharedEnvironment,
    /// The caches that it serves; none for a client.
    pub caches: Option<Arc<dyn NamedCaches>>,
    /// Who decides about tokens; none for a client.
    pub authority: Option<Arc<dyn Authority + Send + Sync>>,
    /// Memory that it shares with other instances; none for a client, which has what it wants.
    pub memory: Option<SharedMemory>,
}

impl Surroundings {
    /// Those of a client.
    #[must_use]
    pub fn of_client(environment: SharedEnvironment) -> Self {
        Surroundings { environment, caches: None, authority: None, memory: None }
    }
}

/// What one instance may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its memory.
    pub memory: usize,
    /// How many ticks of the clock ([`super::Core::tick`]) it may compute for. Time that passes
    /// inside the host does not count, except where tokens are judged: how long that takes is up to
    /// the token, so a millisecond of it counts as a tick.
    pub ticks: u64,
}

impl Limits {
    /// As much as it wants.
    pub const NONE: Limits = Limits { memory: usize::MAX, ticks: u64::MAX };
}

/// The host's side of one instance.
pub(super) struct HostState {
    pub(super) table: ResourceTable,
    pub(super) surroundings: Surroundings,
    pub(super) limiter: MemoryLimiter,
    /// For the largest object that it asks for.
    pub(super) fetched: Share,
    /// For the archives that it plans.
    pub(super) planned: Share,
    pub(super) ticks_left: u64,
}

impl HostState {
    pub(super) fn new(surroundings: Surroundings, limits: Limits) -> Self {
        let shared = surroundings.memory.as_ref();
        let host = || Share::of(shared.map(|shared| Arc::clone(&shared.host)));
        HostState {
            table: ResourceTable::new(),
            limiter: MemoryLimiter::new(limits.memory, shared),
            fetched: host(),
            planned: host(),
            surroundings,
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
