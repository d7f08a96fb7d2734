//! The caches that the configuration names, opened.

use crate::config::{CacheConfig, CacheLocation, CleanupConfig};
use crate::quota::Quota;
use crate::quota_objects::QuotaObjects;
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{HostObjects, LocalCache, NamedCaches, SharedObjects};
use btdt_host_runtime::storage::{FilesystemStorage, MemoryStorage, OpenError};
use btdt_ports::{HeldLock, IoError, LockMode, ObjectKind, Records};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A cache that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("Could not open cache {name:?} at {place}: {error}")]
pub(crate) struct CacheError {
    /// Its name.
    name: String,
    /// Its directory.
    place: String,
    /// Why.
    error: OpenError,
}

/// One cache and what the configuration says about it.
pub(crate) struct Cache {
    /// Its backend.
    pub(crate) local: LocalCache,
    /// What a cleanup removes.
    pub(crate) cleanup: CleanupConfig,
    pub(crate) quota: Arc<Quota>,
    /// Held as long as the server runs: clients store with many requests, between which no lock
    /// would be held, and a cleanup has to know that others are at work.
    _in_use: Option<Mutex<HeldLock>>,
}

impl Cache {
    fn new<S>(storage: S, config: &CacheConfig) -> Self
    where
        S: HostObjects + Records + Clone + Send + Sync + 'static,
    {
        let quota = Arc::new(Quota::new(config.quota));
        let objects = QuotaObjects::new(storage.clone(), Arc::clone(&quota));
        let local = LocalCache { objects: Arc::new(objects), records: Arc::new(storage) };
        let in_use = local.objects.lock(LockMode::Shared).map(Mutex::new);
        Cache { local, cleanup: config.cleanup.clone(), quota, _in_use: in_use }
    }

    /// Counts what the cache has already, if there is a quota: the first cleanup may take long, and
    /// what is stored before it ends counts as well.
    fn measure(&self) -> Result<(), IoError> {
        if self.quota.is_limited() {
            let count = self.quota.begin_count();
            self.quota.counted(count, size(&self.local.objects)?);
        }
        Ok(())
    }
}

/// Stored size of all objects, in bytes, whether they are live or set aside.
fn size(objects: &SharedObjects) -> Result<u64, IoError> {
    // Those set aside come first: an object that is brought back meanwhile is counted twice, but
    // not missed.
    let mut size = objects.list_aside()?.iter().map(|object| object.stored_size).sum::<u64>();
    for kind in [ObjectKind::Manifest, ObjectKind::Chunk] {
        for shard in 0..=u8::MAX {
            size += objects.list(kind, shard)?.iter().map(|object| object.stored_size).sum::<u64>();
        }
    }
    Ok(size)
}

/// All caches by their names.
pub(crate) struct Caches(BTreeMap<String, Cache>);

impl Caches {
    /// Opens them all, or says why the first that cannot be opened is not.
    pub(crate) fn open(configured: &BTreeMap<String, CacheConfig>) -> Result<Self, CacheError> {
        let mut caches = BTreeMap::new();
        for (name, config) in configured {
            let cache = match &config.location {
                CacheLocation::InMemory => Cache::new(MemoryStorage::new(clock::now), config),
                CacheLocation::Filesystem(path) => {
                    let storage = FilesystemStorage::open(path).map_err(|error| CacheError {
                        name: name.clone(),
                        place: path.display().to_string(),
                        error,
                    })?;
                    Cache::new(storage, config)
                }
            };
            // The cache can still be read.
            if let Err(error) = cache.measure() {
                let what = "Nothing is stored until a cleanup has found out the size of the cache";
                tracing::error!(cache = name, %error, "{what}");
            }
            caches.insert(name.clone(), cache);
        }
        Ok(Caches(caches))
    }

    /// The cache that has these objects, and its name.
    pub(crate) fn owner(&self, objects: &SharedObjects) -> Option<(&str, &Cache)> {
        self.iter().find(|(_, cache)| Arc::ptr_eq(&cache.local.objects, objects))
    }

    /// All caches with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Cache)> {
        self.0.iter().map(|(name, cache)| (name.as_str(), cache))
    }
}

impl NamedCaches for Caches {
    fn find(&self, name: &str) -> Option<LocalCache> {
        self.0.get(name).map(|cache| cache.local.clone())
    }
}
