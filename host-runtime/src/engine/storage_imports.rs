//! The imports of the core for caches: objects and records.

use super::bindings::wit::{caches, objects, records};
use super::host_services::{Opened, SharedObjects, SharedRecords};
use super::instance_state::{HostState, Outcome};
use super::memory_budget::MemoryFault;
use crate::chunk_io::{Sink, Source};
use btdt_ports::wit::types;
use btdt_ports::{
    AsideObject, Digest, HeldLock, IoError, IoErrorKind, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, PutOutcome, StoredInfo, StoredRecord, SweepId, Timestamp,
};
use std::sync::Arc;
use wasmtime::component::Resource;

impl caches::Host for HostState {
    fn find(&mut self, name: String) -> wasmtime::Result<Option<caches::LocalCache>> {
        let found = self.services.caches.as_ref().and_then(|caches| caches.find(&name));
        found.map(|cache| self.add_local(cache)).transpose()
    }
}

impl objects::Host for HostState {}

/// Handles that the core can only pass on and drop.
macro_rules! droppable {
    ($($interface:path => $resource:ty,)*) => {$(
        impl $interface for HostState {
            fn drop(&mut self, handle: Resource<$resource>) -> wasmtime::Result<()> {
                self.table.delete(handle)?;
                Ok(())
            }
        }
    )*};
}

droppable!(
    objects::HostSink => Sink,
    objects::HostSource => Source,
    objects::HostLock => HeldLock,
    objects::HostOpened => Opened,
);

impl objects::HostObjectStore for HostState {
    fn sink(&mut self, store: Resource<SharedObjects>) -> wasmtime::Result<Resource<Sink>> {
        let sink = self.table.get(&store)?.sink();
        Ok(self.table.push(sink)?)
    }

    fn source(&mut self, store: Resource<SharedObjects>) -> wasmtime::Result<Resource<Source>> {
        let source = self.table.get(&store)?.source();
        Ok(self.table.push(source)?)
    }

    fn try_lock(
        &mut self,
        store: Resource<SharedObjects>,
        mode: LockMode,
    ) -> wasmtime::Result<Option<Resource<HeldLock>>> {
        match self.table.get(&store)?.lock(mode) {
            None => Ok(None),
            Some(lock) => Ok(Some(self.table.push(lock)?)),
        }
    }

    fn missing(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        digests: Vec<Digest>,
    ) -> Outcome<Vec<Digest>, IoError> {
        Ok(self.table.get(&store)?.missing(kind, &digests))
    }

    fn get(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        digest: Digest,
        limit: u64,
    ) -> Outcome<Vec<u8>, ObjectFault> {
        let objects = Arc::clone(self.table.get(&store)?);
        // The host holds a copy until the core has its own.
        if self.services.memory.is_some()
            && let Ok(opened) = objects.open_stored(kind, &digest)
            && !self.fetched.grow_to(opened.info().raw_size.min(limit) as usize)
        {
            self.limiter.refused = Some(MemoryFault::Busy);
            wasmtime::bail!("there is no memory for an object");
        }
        Ok(objects.get(kind, digest, limit))
    }

    fn open(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        digest: Digest,
    ) -> Outcome<(Resource<Opened>, StoredInfo), ObjectFault> {
        match self.table.get(&store)?.open_stored(kind, &digest) {
            Ok(opened) => {
                let info = opened.info();
                Ok(Ok((self.table.push(opened)?, info)))
            }
            Err(fault) => Ok(Err(fault)),
        }
    }

    fn put(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        raw: Vec<u8>,
    ) -> Outcome<PutOutcome, IoError> {
        Ok(self.table.get(&store)?.put(kind, &raw))
    }

    fn check(
        &mut self,
        store: Resource<SharedObjects>,
        names: Vec<types::ObjectName>,
    ) -> wasmtime::Result<Vec<Option<ObjectFault>>> {
        let names: Result<Vec<ObjectName>, IoError> =
            names.into_iter().map(TryInto::try_into).collect();
        Ok(self.table.get(&store)?.check(&names?))
    }

    fn enumerate(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        shard: u8,
    ) -> Outcome<Vec<ObjectInfo>, IoError> {
        Ok(self.table.get(&store)?.list(kind, shard))
    }

    fn touch(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        digests: Vec<Digest>,
    ) -> wasmtime::Result<()> {
        self.table.get(&store)?.touch(kind, &digests);
        Ok(())
    }

    fn set_aside(
        &mut self,
        store: Resource<SharedObjects>,
        kind: ObjectKind,
        digests: Vec<Digest>,
        sweep: String,
    ) -> Outcome<u64, IoError> {
        let Some(sweep) = SweepId::parse(&sweep) else {
            return Ok(Err(IoError::new(IoErrorKind::Other)));
        };
        Ok(self.table.get(&store)?.set_aside(kind, &digests, &sweep))
    }

    fn enumerate_aside(
        &mut self,
        store: Resource<SharedObjects>,
    ) -> Outcome<Vec<types::AsideObject>, IoError> {
        let listed = self.table.get(&store)?.list_aside();
        Ok(listed.map(|listed| listed.iter().map(Into::into).collect()))
    }

    fn recall(
        &mut self,
        store: Resource<SharedObjects>,
        names: Vec<types::AsideObject>,
    ) -> Outcome<u64, IoError> {
        Ok(self.table.get(&store)?.recall(&aside(names)?))
    }

    fn discard(
        &mut self,
        store: Resource<SharedObjects>,
        names: Vec<types::AsideObject>,
    ) -> Outcome<u64, IoError> {
        Ok(self.table.get(&store)?.discard(&aside(names)?))
    }

    fn clear_leftovers(
        &mut self,
        store: Resource<SharedObjects>,
        before: Timestamp,
    ) -> Outcome<Leftovers, IoError> {
        Ok(self.table.get(&store)?.clear_leftovers(before))
    }

    fn drop(&mut self, store: Resource<SharedObjects>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl records::Host for HostState {}

impl records::HostRecordStore for HostState {
    fn get(
        &mut self,
        store: Resource<SharedRecords>,
        names: Vec<String>,
    ) -> wasmtime::Result<Vec<Result<Option<StoredRecord>, IoError>>> {
        Ok(self.table.get(&store)?.get(&names))
    }

    fn put(
        &mut self,
        store: Resource<SharedRecords>,
        name: String,
        value: Vec<u8>,
    ) -> Outcome<(), IoError> {
        Ok(self.table.get(&store)?.put(&name, &value))
    }

    fn enumerate(
        &mut self,
        store: Resource<SharedRecords>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Outcome<Vec<String>, IoError> {
        Ok(self.table.get(&store)?.list(&prefix, after.as_deref(), limit))
    }

    fn touch(&mut self, store: Resource<SharedRecords>, name: String) -> wasmtime::Result<()> {
        self.table.get(&store)?.touch(&name);
        Ok(())
    }

    fn delete(
        &mut self,
        store: Resource<SharedRecords>,
        name: String,
        version: Digest,
    ) -> Outcome<bool, IoError> {
        Ok(self.table.get(&store)?.delete(&name, &version))
    }

    fn drop(&mut self, store: Resource<SharedRecords>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

fn aside(names: Vec<types::AsideObject>) -> wasmtime::Result<Vec<AsideObject>> {
    let names: Result<_, IoError> = names.into_iter().map(TryInto::try_into).collect();
    Ok(names?)
}
