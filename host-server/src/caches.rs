//! The caches of the configuration, opened.

use crate::config::{CacheConfig, CacheLocation, CleanupConfig};
use crate::metered::Metered;
use crate::room::{Reservation, Room};
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
    pub local: LocalCache,
    /// What a cleanup removes.
    pub cleanup: CleanupConfig,
    /// What of its quota is taken.
    pub room: Arc<Room>,
    /// Held as long as the server runs: clients store with many requests, between which no lock
    /// would be held, and whoever cleans has to know that others are at work.
    _in_use: Option<Mutex<HeldLock>>,
}

impl Cache {
    fn new<S>(storage: S, config: &CacheConfig) -> Self
    where
        S: HostObjects + Records + Clone + Send + Sync + 'static,
    {
        let room = Arc::new(Room::new(config.quota));
        let objects = Metered::new(storage.clone(), Arc::clone(&room));
        let local = LocalCache { objects: Arc::new(objects), records: Arc::new(storage) };
        let in_use = local.objects.lock(LockMode::Shared).map(Mutex::new);
        Cache { local, cleanup: config.cleanup.clone(), room, _in_use: in_use }
    }

    /// Whether nothing more is taken until a cleanup has made room.
    pub(crate) fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// Notes that of room that was reserved so much has been used.
    pub(crate) fn use_room(&self, reserved: u64, used: u64) {
        self.room.use_room(reserved, used);
    }

    /// Finds out how much there is already, where that matters: the first cleanup may take long,
    /// and what is stored before it ends counts as well.
    fn measure(&self) -> Result<(), IoError> {
        if self.room.is_limited() {
            let count = self.room.begin_count();
            self.room.counted(count, size(&self.local.objects)?);
        }
        Ok(())
    }
}

/// Stored size of all objects, in bytes, whether they are live or set aside.
fn size(objects: &SharedObjects) -> Result<u64, IoError> {
    // Set aside first: what is brought back in between is counted twice and not left out.
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
    /// Opens them all.
    ///
    /// # Errors
    /// [`CacheError`] of the first one that cannot be opened.
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
            // It can still be read as far as it goes.
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

    /// Reserves room in the cache that has these objects, in bytes; `None` where its quota does
    /// not allow it.
    pub(crate) fn reserve(&self, objects: &SharedObjects, bytes: u64) -> Option<u64> {
        match self.owner(objects) {
            Some((_, cache)) => cache.room.reserve(bytes).then_some(bytes),
            None => Some(0),
        }
    }

    /// The same, but the room is free again unless it is [released](Reservation::release) for use.
    pub(crate) fn hold(&self, objects: &SharedObjects, bytes: u64) -> Option<Reservation> {
        self.owner(objects)?.1.room.hold(bytes)
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
