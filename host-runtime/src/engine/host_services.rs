//! What a host gives an instance of the core: backends behind its handles, services, and limits.

use super::memory_budget::SharedMemory;
use crate::chunk_io::{Sink, Source, StoredForms, StoredObject};
use crate::http_native::HttpRemote;
use btdt_ports::{Authority, Environment, Objects, Records};
use std::sync::Arc;

/// The objects of a cache, for the core and for transfers that bypass it.
pub trait HostObjects: Objects<Sink = Sink, Source = Source> + StoredForms {}

impl<O: Objects<Sink = Sink, Source = Source> + StoredForms> HostObjects for O {}

/// The objects of any cache.
pub type SharedObjects = Arc<dyn HostObjects + Send + Sync>;

/// The records of any cache.
pub type SharedRecords = Arc<dyn Records + Send + Sync>;

/// An object that is open in its stored form.
pub type Opened = Arc<dyn StoredObject>;

/// Clock, randomness and messages, shared by all instances.
pub type SharedEnvironment = Arc<dyn Environment + Send + Sync>;

/// A cache that this process accesses directly.
#[derive(Clone)]
pub struct LocalCache {
    /// Its objects.
    pub objects: SharedObjects,
    /// Its records.
    pub records: SharedRecords,
}

impl LocalCache {
    /// A cache in one backend.
    pub fn new<S>(storage: S) -> Self
    where
        S: HostObjects + Records + Clone + Send + Sync + 'static,
    {
        LocalCache { objects: Arc::new(storage.clone()), records: Arc::new(storage) }
    }
}

/// A local or remote cache.
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

/// What this process provides to an instance.
#[derive(Clone)]
pub struct HostServices {
    /// Clock, randomness and messages.
    pub environment: SharedEnvironment,
    /// The caches of a server; `None` for a client.
    pub caches: Option<Arc<dyn NamedCaches>>,
    /// Verifies tokens; `None` for a client.
    pub authority: Option<Arc<dyn Authority + Send + Sync>>,
    /// The memory that it shares with other instances; `None` for a client, which has no limit.
    pub memory: Option<SharedMemory>,
}

impl HostServices {
    /// The services for a client.
    #[must_use]
    pub fn of_client(environment: SharedEnvironment) -> Self {
        HostServices { environment, caches: None, authority: None, memory: None }
    }
}

/// What one instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its memory.
    pub memory: usize,
    /// Ticks ([`super::Core::tick`]) of computing time. Time in the host does not count, except for
    /// the verification of tokens, which a token can make slow: each millisecond of it is a tick.
    pub ticks: u64,
}

impl Limits {
    /// No limits.
    pub const NONE: Limits = Limits { memory: usize::MAX, ticks: u64::MAX };
}
