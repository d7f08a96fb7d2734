//! Objects of a cache that count what the core writes towards the quota.

use crate::quota::Quota;
use btdt_host_runtime::chunk_io::{Sink, Source, StoredForms, StoredObject, StoredPutError};
use btdt_host_runtime::codec::{Codec, max_stored_size};
use btdt_ports::{
    AsideObject, Digest, HeldLock, IoError, IoErrorKind, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, PutOutcome, SweepId, Timestamp,
};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Keeps what the core writes itself, the manifests, within the quota. Chunks do not pass through
/// the core: room for them is reserved where they are received.
pub(crate) struct QuotaObjects<S> {
    storage: S,
    quota: Arc<Quota>,
}

impl<S: Objects> QuotaObjects<S> {
    pub(crate) fn new(storage: S, quota: Arc<Quota>) -> Self {
        QuotaObjects { storage, quota }
    }
}

impl<S: Objects<Sink = Sink, Source = Source>> Objects for QuotaObjects<S> {
    type Sink = Sink;
    type Source = Source;

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        // The size of its stored form is known only afterwards.
        let reserved = self.quota.reserve(max_stored_size(raw.len() as u64));
        if reserved.is_none() {
            // An object that is there takes no room: an entry gets another key even in a full cache.
            let digest = Digest::new(Sha256::digest(raw).into());
            if !self.storage.missing(kind, &[digest])?.is_empty() {
                return Err(IoError::new(IoErrorKind::NoSpace));
            }
        }
        let outcome = self.storage.put(kind, raw)?;
        let used = if outcome.new { outcome.stored_size } else { 0 };
        match reserved {
            Some(reservation) => reservation.used(used),
            None => self.quota.used_unreserved(used),
        }
        Ok(outcome)
    }

    fn sink(&self) -> Sink {
        self.storage.sink()
    }

    fn source(&self) -> Source {
        self.storage.source()
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        self.storage.lock(mode)
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        self.storage.missing(kind, digests)
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.storage.get(kind, digest, limit)
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        self.storage.check(names)
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        self.storage.list(kind, shard)
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        self.storage.touch(kind, digests);
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        self.storage.set_aside(kind, digests, sweep)
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        self.storage.list_aside()
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.storage.recall(objects)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.storage.discard(objects)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.storage.clear_leftovers(before)
    }
}

impl<S: StoredForms> StoredForms for QuotaObjects<S> {
    fn open_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Arc<dyn StoredObject>, ObjectFault> {
        self.storage.open_stored(kind, digest)
    }

    fn put_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        stored: &[u8],
        raw_limit: u64,
        codec: &mut Codec,
    ) -> Result<PutOutcome, StoredPutError> {
        self.storage.put_stored(kind, digest, stored, raw_limit, codec)
    }
}
