//! The objects of a cache.

use super::Adapter;
use super::wit::objects;
use crate::http::GatheringSink;
use btdt_host_runtime::chunk_io::{Sink, Source, StoredForms, StoredObject};
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::wit::types;
use btdt_ports::{
    AsideObject, Digest, HeldLock, IoError, IoErrorKind, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, PutOutcome, StoredInfo, SweepId, Timestamp,
};
use std::sync::Arc;

impl objects::Guest for Adapter {
    type Sink = HeldSink;
    type Source = HeldSource;
    type Lock = Locked;
    type Opened = OpenedObject;
    type ObjectStore = ObjectsOfCache;
}

/// Where chunks go.
pub(super) struct HeldSink {
    pub(super) sink: Sink,
    /// The same, if it is a server: that gathers chunks, and has to be told when there are no more.
    pub(super) remote: Option<Arc<GatheringSink>>,
}

impl HeldSink {
    pub(super) fn local(sink: Sink) -> Self {
        HeldSink { sink, remote: None }
    }

    pub(super) fn remote(sink: GatheringSink) -> Self {
        let sink = Arc::new(sink);
        HeldSink { sink: Arc::clone(&sink) as Sink, remote: Some(sink) }
    }
}

impl objects::GuestSink for HeldSink {}

/// Where chunks come from.
pub(super) struct HeldSource(pub(super) Source);

impl objects::GuestSource for HeldSource {}

/// A lock that is held.
pub(super) struct Locked(#[expect(dead_code, reason = "held until it is dropped")] HeldLock);

impl objects::GuestLock for Locked {}

/// An object that is open in its stored form.
pub(super) struct OpenedObject(pub(super) Arc<dyn StoredObject>);

impl objects::GuestOpened for OpenedObject {}

/// The objects of a cache.
pub(super) struct ObjectsOfCache(pub(super) FilesystemStorage);

impl objects::GuestObjectStore for ObjectsOfCache {
    fn sink(&self) -> objects::Sink {
        objects::Sink::new(HeldSink::local(self.0.sink()))
    }

    fn source(&self) -> objects::Source {
        objects::Source::new(HeldSource(self.0.source()))
    }

    fn try_lock(&self, mode: LockMode) -> Option<objects::Lock> {
        self.0.lock(mode).map(|lock| objects::Lock::new(Locked(lock)))
    }

    fn missing(&self, kind: ObjectKind, digests: Vec<Digest>) -> Result<Vec<Digest>, IoError> {
        self.0.missing(kind, &digests)
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.0.get(kind, digest, limit)
    }

    fn open(
        &self,
        kind: ObjectKind,
        digest: Digest,
    ) -> Result<(objects::Opened, StoredInfo), ObjectFault> {
        let opened = self.0.open_stored(kind, &digest)?;
        let info = opened.info();
        Ok((objects::Opened::new(OpenedObject(opened)), info))
    }

    fn put(&self, kind: ObjectKind, raw: Vec<u8>) -> Result<PutOutcome, IoError> {
        self.0.put(kind, &raw)
    }

    fn check(&self, names: Vec<types::ObjectName>) -> Vec<Option<ObjectFault>> {
        let names: Vec<Result<ObjectName, IoError>> =
            names.into_iter().map(TryInto::try_into).collect();
        let valid: Vec<ObjectName> = names.iter().flatten().cloned().collect();
        let mut faults = self.0.check(&valid).into_iter();
        let fault = |name: Result<ObjectName, IoError>| match name {
            Ok(_) => faults.next().flatten(),
            Err(error) => Some(ObjectFault::Unreadable(error)),
        };
        names.into_iter().map(fault).collect()
    }

    fn enumerate(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        self.0.list(kind, shard)
    }

    fn touch(&self, kind: ObjectKind, digests: Vec<Digest>) {
        self.0.touch(kind, &digests);
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: Vec<Digest>,
        sweep: String,
    ) -> Result<u64, IoError> {
        let sweep = SweepId::parse(&sweep).ok_or(IoError::new(IoErrorKind::Other))?;
        self.0.set_aside(kind, &digests, &sweep)
    }

    fn enumerate_aside(&self) -> Result<Vec<types::AsideObject>, IoError> {
        Ok(self.0.list_aside()?.iter().map(Into::into).collect())
    }

    fn recall(&self, names: Vec<types::AsideObject>) -> Result<u64, IoError> {
        self.0.recall(&aside(names)?)
    }

    fn discard(&self, names: Vec<types::AsideObject>) -> Result<u64, IoError> {
        self.0.discard(&aside(names)?)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.0.clear_leftovers(before)
    }
}

fn aside(names: Vec<types::AsideObject>) -> Result<Vec<AsideObject>, IoError> {
    names.into_iter().map(TryInto::try_into).collect()
}
