//! The caches of the configuration, opened.

use crate::config::{CacheConfig, CacheLocation, CleanupConfig};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{LocalCache, NamedCaches, SharedObjects};
use btdt_host_runtime::storage::{FilesystemStorage, MemoryStorage, OpenError};
use btdt_ports::{HeldLock, LockMode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
    pub local: LocalCache,
    /// What a cleanup removes.
    pub cleanup: CleanupConfig,
    /// Largest size in bytes.
    quota: Option<u64>,
    /// Size in bytes: as it was at the last cleanup, and what has been stored since.
    size: AtomicU64,
    /// Held as long as the server runs: clients store with many requests, between which no lock
    /// would be held, and whoever cleans has to know that others are at work.
    _in_use: Option<Mutex<HeldLock>>,
}

impl Cache {
    /// Whether nothing more is taken until a cleanup has made room.
    pub(crate) fn is_full(&self) -> bool {
        self.quota.is_some_and(|quota| self.size() >= quota)
    }

    /// Size in bytes, as far as it is known.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Whether there is room for so many bytes more, which then counts as used.
    fn reserve(&self, bytes: u64) -> bool {
        let quota = self.quota.unwrap_or(u64::MAX);
        let grown = |size: u64| Some(size.saturating_add(bytes)).filter(|size| *size <= quota);
        self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    /// Notes that of room that was reserved so much has been used.
    pub(crate) fn use_room(&self, reserved: u64, used: u64) {
        let settle = |size: u64| Some(size.saturating_sub(reserved).saturating_add(used));
        let _ = self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, settle);
    }

    /// Notes the size that a cleanup found. What was stored since it began, when the size was
    /// `before`, it may not have seen.
    pub(crate) fn measured(&self, before: u64, found: u64) {
        let settle = |size: u64| Some(found.saturating_add(size.saturating_sub(before)));
        let _ = self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, settle);
    }
}

/// All caches by their names.
pub(crate) struct Caches(BTreeMap<String, Cache>);

impl Caches {
    /// Opens them all.
    ///
    /// # Errors
    /// [`CacheError`] of the first one that cannot be opened.
    pub(crate) fn open(configured: &BTreeMap<String, CacheConfig>) -> Result<Self, CacheError> {
        let mut caches = BTreeMap::new();
        for (name, config) in configured {
            let local = match &config.location {
                CacheLocation::InMemory => LocalCache::new(MemoryStorage::new(clock::now)),
                CacheLocation::Filesystem(path) => {
                    let storage = FilesystemStorage::open(path).map_err(|error| CacheError {
                        name: name.clone(),
                        place: path.display().to_string(),
                        error,
                    })?;
                    LocalCache::new(storage)
                }
            };
            let in_use = local.objects.lock(LockMode::Shared).map(Mutex::new);
            let cleanup = config.cleanup.clone();
            let cache = Cache {
                local,
                cleanup,
                quota: config.quota,
                size: AtomicU64::new(0),
                _in_use: in_use,
            };
            caches.insert(name.clone(), cache);
        }
        Ok(Caches(caches))
    }

    /// The cache that has these objects, and its name.
    pub(crate) fn owner(&self, objects: &SharedObjects) -> Option<(&str, &Cache)> {
        self.iter().find(|(_, cache)| Arc::ptr_eq(&cache.local.objects, objects))
    }

    /// Reserves room in the cache that has these objects, in bytes; `None` where its quota does
    /// not allow it.
    pub(crate) fn reserve(&self, objects: &SharedObjects, bytes: u64) -> Option<u64> {
        match self.owner(objects) {
            Some((_, cache)) => cache.reserve(bytes).then_some(bytes),
            None => Some(0),
        }
    }

    /// Gives back room that was reserved.
    pub(crate) fn give_back(&self, objects: &SharedObjects, room: u64) {
        if let Some((_, cache)) = self.owner(objects) {
            cache.use_room(room, 0);
        }
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
