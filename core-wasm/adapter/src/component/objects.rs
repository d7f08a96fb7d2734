//! The objects of a cache.

use super::wit::{objects, types};
use super::{Adapter, all, mirrored, mirrored_all};
use crate::http::RemoteSink;
use btdt_host_runtime::chunk_io::{Sink, Source, StoredForms, StoredObject};
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::{AsideObject, HeldLock, IoError, IoErrorKind, ObjectName, Objects, SweepId};
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
    pub(super) remote: Option<Arc<RemoteSink>>,
}

impl HeldSink {
    pub(super) fn local(sink: Sink) -> Self {
        HeldSink { sink, remote: None }
    }

    pub(super) fn remote(sink: RemoteSink) -> Self {
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

    fn try_lock(&self, mode: objects::LockMode) -> Option<objects::Lock> {
        self.0.lock(mode.into()).map(|lock| objects::Lock::new(Locked(lock)))
    }

    fn missing(
        &self,
        kind: objects::ObjectKind,
        digests: Vec<types::Digest>,
    ) -> Result<Vec<types::Digest>, types::IoError> {
        mirrored_all(self.0.missing(kind.into(), &all(digests)))
    }

    fn get(
        &self,
        kind: objects::ObjectKind,
        digest: types::Digest,
        limit: u64,
    ) -> Result<Vec<u8>, types::ObjectFault> {
        self.0.get(kind.into(), digest.into(), limit).map_err(Into::into)
    }

    fn open(
        &self,
        kind: objects::ObjectKind,
        digest: types::Digest,
    ) -> Result<(objects::Opened, objects::StoredInfo), types::ObjectFault> {
        let opened = self.0.open_stored(kind.into(), &digest.into())?;
        let info = opened.info().into();
        Ok((objects::Opened::new(OpenedObject(opened)), info))
    }

    fn put(
        &self,
        kind: objects::ObjectKind,
        raw: Vec<u8>,
    ) -> Result<objects::PutOutcome, types::IoError> {
        mirrored(self.0.put(kind.into(), &raw))
    }

    fn check(&self, names: Vec<objects::ObjectName>) -> Vec<Option<types::ObjectFault>> {
        let unreadable = |error: IoError| types::ObjectFault::Unreadable(error.into());
        let names: Vec<Result<ObjectName, IoError>> =
            names.into_iter().map(TryInto::try_into).collect();
        let valid: Vec<ObjectName> = names.iter().flatten().cloned().collect();
        let mut faults = self.0.check(&valid).into_iter();
        let fault = |name: Result<ObjectName, IoError>| match name {
            Ok(_) => faults.next().flatten().map(Into::into),
            Err(error) => Some(unreadable(error)),
        };
        names.into_iter().map(fault).collect()
    }

    fn enumerate(
        &self,
        kind: objects::ObjectKind,
        shard: u8,
    ) -> Result<Vec<objects::ObjectInfo>, types::IoError> {
        mirrored_all(self.0.list(kind.into(), shard))
    }

    fn touch(&self, kind: objects::ObjectKind, digests: Vec<types::Digest>) {
        self.0.touch(kind.into(), &all(digests));
    }

    fn set_aside(
        &self,
        kind: objects::ObjectKind,
        digests: Vec<types::Digest>,
        sweep: String,
    ) -> Result<u64, types::IoError> {
        let sweep = SweepId::parse(&sweep).ok_or(IoError::new(IoErrorKind::Other))?;
        Ok(self.0.set_aside(kind.into(), &all(digests), &sweep)?)
    }

    fn enumerate_aside(&self) -> Result<Vec<objects::AsideObject>, types::IoError> {
        Ok(self.0.list_aside()?.iter().map(Into::into).collect())
    }

    fn recall(&self, names: Vec<objects::AsideObject>) -> Result<u64, types::IoError> {
        Ok(self.0.recall(&aside(names)?)?)
    }

    fn discard(&self, names: Vec<objects::AsideObject>) -> Result<u64, types::IoError> {
        Ok(self.0.discard(&aside(names)?)?)
    }

    fn clear_leftovers(
        &self,
        before: types::Timestamp,
    ) -> Result<objects::Leftovers, types::IoError> {
        mirrored(self.0.clear_leftovers(before.into()))
    }
}

fn aside(names: Vec<objects::AsideObject>) -> Result<Vec<AsideObject>, IoError> {
    names.into_iter().map(TryInto::try_into).collect()
}
