//! A cache in memory, for tests, simulations and servers that keep nothing.
//!
//! It behaves like the filesystem backend in everything that the ports promise; objects are kept
//! in their stored form, so that sizes agree too. Time comes from the caller.

use super::codec_pool::CodecPool;
use super::fault::first_success;
use super::record_name;
use crate::chunk_io::{
    ChunkSink, ChunkSource, Sink, Source, StoredForms, StoredObject, StoredPutError,
};
use crate::codec::{Codec, HEADER_SIZE, MAX_RAW_SIZE, StoredHeader, sha256};
use btdt_ports::{
    AsideObject, Digest, HeldLock, IoError, IoErrorKind, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, PutOutcome, RecordVersion, Records, StoredRecord,
    SweepId, Timestamp,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cache in memory. Clones are handles of the same cache.
#[derive(Clone)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    codecs: CodecPool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: BTreeMap<(ObjectKind, Digest), LiveObject>,
    aside: BTreeMap<(SweepId, ObjectKind, Digest), Arc<[u8]>>,
    records: BTreeMap<String, Record>,
    shared_locks: usize,
    exclusive_lock: bool,
}

struct LiveObject {
    stored: Arc<[u8]>,
    modified: Timestamp,
}

struct Record {
    value: Vec<u8>,
    last_access: Timestamp,
}

impl MemoryStorage {
    /// An empty cache whose times come from `clock`.
    #[must_use]
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let shared = Shared {
            clock: Box::new(clock),
            codecs: CodecPool::default(),
            state: Mutex::default(),
        };
        MemoryStorage { shared: Arc::new(shared) }
    }

    /// The stored form of a live object.
    #[must_use]
    pub fn stored(&self, kind: ObjectKind, digest: Digest) -> Option<Arc<[u8]>> {
        self.state().live.get(&(kind, digest)).map(|object| Arc::clone(&object.stored))
    }

    /// Puts `stored` in place of a live object, whatever it is: the way to damage one.
    pub fn replace_stored(&self, kind: ObjectKind, digest: Digest, stored: &[u8]) {
        self.keep(kind, digest, stored);
    }

    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No operation leaves the state half changed when it panics.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, kind: ObjectKind, digest: Digest, stored: &[u8]) -> PutOutcome {
        let object = LiveObject { stored: stored.into(), modified: self.now() };
        let replaced = self.state().live.insert((kind, digest), object);
        let new = !replaced.is_some_and(|object| is_whole(&object.stored));
        PutOutcome { digest, stored_size: stored.len() as u64, new }
    }

    fn existing(&self, kind: ObjectKind, digest: &Digest) -> Option<PutOutcome> {
        let now = self.now();
        let mut state = self.state();
        let object = state.live.get_mut(&(kind, *digest))?;
        if !is_whole(&object.stored) {
            return None;
        }
        object.modified = now;
        let stored_size = object.stored.len() as u64;
        Some(PutOutcome { digest: *digest, stored_size, new: false })
    }

    /// What is there of an object that is intact, marked as just used. One that is damaged is to
    /// be replaced, or it would never get well again.
    fn intact(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        limit: u64,
        codec: &mut Codec,
    ) -> Option<PutOutcome> {
        let live = self.stored(kind, *digest)?;
        verify(&live, digest, limit, codec).ok()?;
        self.existing(kind, digest)
    }

    /// The forms of an object that sweeps have set aside.
    fn set_aside_forms(&self, kind: ObjectKind, digest: &Digest) -> Vec<Arc<[u8]>> {
        let state = self.state();
        let forms = state.aside.iter().filter(|((_, other_kind, other), stored)| {
            (*other_kind, other) == (kind, digest) && is_whole(stored)
        });
        forms.map(|(_, stored)| Arc::clone(stored)).collect()
    }

    /// Leaves the content in `codec`.
    fn load(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        limit: u64,
        codec: &mut Codec,
    ) -> Result<(), ObjectFault> {
        let live = self.stored(kind, *digest).filter(|stored| is_whole(stored));
        let live =
            live.map_or(Err(ObjectFault::Missing), |stored| verify(&stored, digest, limit, codec));
        live.or_else(|fault| {
            let aside = self.set_aside_forms(kind, digest);
            let faults = aside.iter().map(|stored| verify(stored, digest, limit, codec));
            first_success(fault, faults)
        })
    }
}

/// Whether a stored form is more than what a power failure may leave of it.
fn is_whole(stored: &[u8]) -> bool {
    stored.len() > HEADER_SIZE
}

fn verify(
    stored: &[u8],
    digest: &Digest,
    limit: u64,
    codec: &mut Codec,
) -> Result<(), ObjectFault> {
    codec.load().extend_from_slice(stored);
    codec.verify_loaded(digest, limit)
}

impl ChunkSink for MemoryStorage {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        Ok(MemoryStorage::existing(self, ObjectKind::Chunk, digest))
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        Ok(self.keep(ObjectKind::Chunk, *digest, codec.encode(raw)?))
    }
}

impl ChunkSource for MemoryStorage {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        self.load(ObjectKind::Chunk, digest, u64::from(raw_size), codec)?;
        codec.loaded_of_size(raw_size)
    }
}

/// An object in memory.
struct StoredBytes {
    stored: Arc<[u8]>,
    header: StoredHeader,
}

impl StoredObject for StoredBytes {
    fn size(&self) -> u64 {
        self.stored.len() as u64
    }

    fn header(&self) -> StoredHeader {
        self.header
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.stored.get(offset..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

fn open_form(stored: Arc<[u8]>) -> Result<Arc<dyn StoredObject>, ObjectFault> {
    let header = StoredHeader::of(&stored, stored.len() as u64)?;
    Ok(Arc::new(StoredBytes { stored, header }))
}

impl StoredForms for MemoryStorage {
    fn open_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Arc<dyn StoredObject>, ObjectFault> {
        let live = self.stored(kind, *digest).filter(|stored| is_whole(stored));
        live.map_or(Err(ObjectFault::Missing), open_form).or_else(|fault| {
            let aside = self.set_aside_forms(kind, digest);
            first_success(fault, aside.into_iter().map(open_form))
        })
    }

    fn put_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        stored: &[u8],
        raw_limit: u64,
        codec: &mut Codec,
    ) -> Result<PutOutcome, StoredPutError> {
        codec.check_stored(digest, stored, raw_limit)?;
        if let Some(outcome) = self.intact(kind, digest, raw_limit, codec) {
            return Ok(outcome);
        }
        Ok(PutOutcome { new: true, ..self.keep(kind, *digest, stored) })
    }
}

/// A lock of a cache in memory.
struct MemoryLock {
    shared: Arc<Shared>,
    mode: LockMode,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.mode {
            LockMode::Shared => state.shared_locks -= 1,
            LockMode::Exclusive => state.exclusive_lock = false,
        }
    }
}

impl Objects for MemoryStorage {
    type Sink = Sink;
    type Source = Source;

    fn sink(&self) -> Sink {
        Arc::new(self.clone())
    }

    fn source(&self) -> Source {
        Arc::new(self.clone())
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        let mut state = self.state();
        match mode {
            LockMode::Shared if !state.exclusive_lock => state.shared_locks += 1,
            LockMode::Exclusive if !state.exclusive_lock && state.shared_locks == 0 => {
                state.exclusive_lock = true;
            }
            _ => return None,
        }
        Some(HeldLock::new(MemoryLock { shared: Arc::clone(&self.shared), mode }))
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        let state = self.state();
        let is_missing = |digest: &&Digest| {
            !state.live.get(&(kind, **digest)).is_some_and(|object| is_whole(&object.stored))
        };
        Ok(digests.iter().filter(is_missing).copied().collect())
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.shared.codecs.with(|codec| {
            self.load(kind, &digest, limit, codec)?;
            Ok(codec.loaded().to_vec())
        })
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        let digest = sha256(raw);
        self.shared.codecs.with(|codec| {
            if let Some(outcome) = self.intact(kind, &digest, raw.len() as u64, codec) {
                return Ok(outcome);
            }
            let outcome = self.keep(kind, digest, codec.encode(raw)?);
            Ok(PutOutcome { new: true, ..outcome })
        })
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        self.shared.codecs.map(names, |name, codec| {
            let stored = match &name.sweep {
                None => self.stored(name.kind, name.digest),
                Some(sweep) => {
                    let key = (sweep.clone(), name.kind, name.digest);
                    self.state().aside.get(&key).map(Arc::clone)
                }
            };
            match stored.filter(|stored| is_whole(stored)) {
                Some(stored) => verify(&stored, &name.digest, MAX_RAW_SIZE, codec).err(),
                None => Some(ObjectFault::Missing),
            }
        })
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        let end = |fill: u8| {
            let mut bytes = [fill; Digest::LENGTH];
            bytes[0] = shard;
            (kind, Digest::new(bytes))
        };
        let info = |((_, digest), object): (&(ObjectKind, Digest), &LiveObject)| ObjectInfo {
            digest: *digest,
            stored_size: object.stored.len() as u64,
            modified: object.modified,
        };
        Ok(self.state().live.range(end(0)..=end(0xff)).map(info).collect())
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        let now = self.now();
        let mut state = self.state();
        for digest in digests {
            if let Some(object) = state.live.get_mut(&(kind, *digest)) {
                object.modified = now;
            }
        }
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        let mut state = self.state();
        let mut moved = 0;
        for digest in digests {
            if let Some(object) = state.live.remove(&(kind, *digest)) {
                state.aside.insert((sweep.clone(), kind, *digest), object.stored);
                moved += 1;
            }
        }
        Ok(moved)
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        let object = |((sweep, kind, digest), stored): (&AsideKey, &Arc<[u8]>)| AsideObject {
            kind: *kind,
            digest: *digest,
            sweep: sweep.clone(),
            stored_size: stored.len() as u64,
        };
        Ok(self.state().aside.iter().map(object).collect())
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let now = self.now();
        let mut state = self.state();
        let mut recalled = 0;
        for object in objects {
            let Some(stored) = state.aside.remove(&aside_key(object)) else { continue };
            let name = (object.kind, object.digest);
            if !state.live.get(&name).is_some_and(|live| is_whole(&live.stored)) {
                state.live.insert(name, LiveObject { stored, modified: now });
                recalled += 1;
            }
        }
        Ok(recalled)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let mut state = self.state();
        let removed = objects.iter().filter_map(|object| state.aside.remove(&aside_key(object)));
        Ok(removed.count() as u64)
    }

    fn clear_leftovers(&self, _before: Timestamp) -> Result<Leftovers, IoError> {
        Ok(Leftovers::default())
    }
}

type AsideKey = (SweepId, ObjectKind, Digest);

fn aside_key(object: &AsideObject) -> AsideKey {
    (object.sweep.clone(), object.kind, object.digest)
}

impl Records for MemoryStorage {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let state = self.state();
        let get = |name: &String| {
            record_name::check(name)?;
            Ok(state.records.get(name).map(|record| StoredRecord {
                version: sha256(&record.value),
                value: record.value.clone(),
                last_access: record.last_access,
            }))
        };
        names.iter().map(get).collect()
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        record_name::check(name)?;
        if value.len() > btdt_ports::MAX_RECORD_SIZE {
            return Err(IoError::new(IoErrorKind::TooLarge));
        }
        let record = Record { value: value.to_vec(), last_access: self.now() };
        self.state().records.insert(name.to_owned(), record);
        Ok(())
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        let after = after.filter(|after| *after >= prefix);
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let state = self.state();
        let names = state.records.range::<str, _>((start, Bound::Unbounded)).map(|(name, _)| name);
        let matching = names.take_while(|name| name.starts_with(prefix));
        Ok(matching.take(limit as usize).cloned().collect())
    }

    fn touch(&self, name: &str) {
        let now = self.now();
        if let Some(record) = self.state().records.get_mut(name) {
            record.last_access = now;
        }
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        record_name::check(name)?;
        let mut state = self.state();
        let same = state.records.get(name).is_some_and(|record| sha256(&record.value) == *version);
        if same {
            state.records.remove(name);
        }
        Ok(same)
    }
}
