//! The imports of the core, each passed on to the backend that its handle stands for.

use super::bindings::wit::{environment, objects, records, tree, types};
use super::memory::MemoryFault;
use super::resources::{HostState, Opened, SharedObjects, SharedRecords};
use crate::chunk_io::{Sink, Source};
use crate::tree::filesystem::{FilesystemMaterializer, FilesystemPacker, FilesystemTree};
use btdt_ports::{
    AsideObject, Digest, HeldLock, IoError, IoErrorKind, Materializer, ObjectName, Packer,
    Severity, SweepId, Tree,
};
use std::sync::Arc;
use wasmtime::component::Resource;

pub(super) type Outcome<T, E> = wasmtime::Result<Result<T, E>>;

impl types::Host for HostState {}

impl environment::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<types::Timestamp> {
        Ok(self.surroundings.environment.now().into())
    }

    fn random(&mut self) -> wasmtime::Result<u64> {
        Ok(self.surroundings.environment.random())
    }

    fn log(&mut self, severity: environment::Severity, message: String) -> wasmtime::Result<()> {
        let severity = match severity {
            environment::Severity::Debug => Severity::Debug,
            environment::Severity::Warning => Severity::Warning,
            environment::Severity::Error => Severity::Error,
        };
        self.surroundings.environment.log(severity, &message);
        Ok(())
    }
}

impl objects::Host for HostState {}

impl objects::HostSink for HostState {
    fn drop(&mut self, sink: Resource<Sink>) -> wasmtime::Result<()> {
        self.table.delete(sink)?;
        Ok(())
    }
}

impl objects::HostSource for HostState {
    fn drop(&mut self, source: Resource<Source>) -> wasmtime::Result<()> {
        self.table.delete(source)?;
        Ok(())
    }
}

impl objects::HostLock for HostState {
    fn drop(&mut self, lock: Resource<HeldLock>) -> wasmtime::Result<()> {
        self.table.delete(lock)?;
        Ok(())
    }
}

impl objects::HostOpened for HostState {
    fn drop(&mut self, opened: Resource<Opened>) -> wasmtime::Result<()> {
        self.table.delete(opened)?;
        Ok(())
    }
}

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
        mode: objects::LockMode,
    ) -> wasmtime::Result<Option<Resource<HeldLock>>> {
        match self.table.get(&store)?.lock(mode.into()) {
            None => Ok(None),
            Some(lock) => Ok(Some(self.table.push(lock)?)),
        }
    }

    fn missing(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        digests: Vec<types::Digest>,
    ) -> Outcome<Vec<types::Digest>, types::IoError> {
        let missing = self.table.get(&store)?.missing(kind.into(), &ported(digests));
        Ok(mirrored(missing))
    }

    fn get(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        digest: types::Digest,
        limit: u64,
    ) -> Outcome<Vec<u8>, types::ObjectFault> {
        let objects = Arc::clone(self.table.get(&store)?);
        let (kind, digest) = (kind.into(), digest.into());
        // It is in the memory of the host as well, until the core has got it.
        if self.surroundings.memory.is_some()
            && let Ok(opened) = objects.open_stored(kind, &digest)
            && !self.fetched.grow_to(opened.info().raw_size.min(limit) as usize)
        {
            self.limiter.refused = Some(MemoryFault::Busy);
            wasmtime::bail!("there is no memory for an object");
        }
        Ok(objects.get(kind, digest, limit).map_err(Into::into))
    }

    fn open(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        digest: types::Digest,
    ) -> Outcome<(Resource<Opened>, objects::StoredInfo), types::ObjectFault> {
        match self.table.get(&store)?.open_stored(kind.into(), &digest.into()) {
            Ok(opened) => {
                let info = opened.info().into();
                Ok(Ok((self.table.push(opened)?, info)))
            }
            Err(fault) => Ok(Err(fault.into())),
        }
    }

    fn put(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        raw: Vec<u8>,
    ) -> Outcome<objects::PutOutcome, types::IoError> {
        let put = self.table.get(&store)?.put(kind.into(), &raw);
        Ok(put.map(Into::into).map_err(Into::into))
    }

    fn check(
        &mut self,
        store: Resource<SharedObjects>,
        names: Vec<objects::ObjectName>,
    ) -> wasmtime::Result<Vec<Option<types::ObjectFault>>> {
        let names: Result<Vec<ObjectName>, IoError> =
            names.into_iter().map(TryInto::try_into).collect();
        let faults = self.table.get(&store)?.check(&names?);
        Ok(faults.into_iter().map(|fault| fault.map(Into::into)).collect())
    }

    fn enumerate(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        shard: u8,
    ) -> Outcome<Vec<objects::ObjectInfo>, types::IoError> {
        Ok(mirrored(self.table.get(&store)?.list(kind.into(), shard)))
    }

    fn touch(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        digests: Vec<types::Digest>,
    ) -> wasmtime::Result<()> {
        self.table.get(&store)?.touch(kind.into(), &ported(digests));
        Ok(())
    }

    fn set_aside(
        &mut self,
        store: Resource<SharedObjects>,
        kind: objects::ObjectKind,
        digests: Vec<types::Digest>,
        sweep: String,
    ) -> Outcome<u64, types::IoError> {
        let Some(sweep) = SweepId::parse(&sweep) else {
            return Ok(Err(IoError::new(IoErrorKind::Other).into()));
        };
        let moved = self.table.get(&store)?.set_aside(kind.into(), &ported(digests), &sweep);
        Ok(moved.map_err(Into::into))
    }

    fn enumerate_aside(
        &mut self,
        store: Resource<SharedObjects>,
    ) -> Outcome<Vec<objects::AsideObject>, types::IoError> {
        let listed = self.table.get(&store)?.list_aside();
        Ok(match listed {
            Ok(listed) => Ok(listed.iter().map(Into::into).collect()),
            Err(error) => Err(error.into()),
        })
    }

    fn recall(
        &mut self,
        store: Resource<SharedObjects>,
        names: Vec<objects::AsideObject>,
    ) -> Outcome<u64, types::IoError> {
        let recalled = aside(names).and_then(|names| Ok(self.table.get(&store)?.recall(&names)))?;
        Ok(recalled.map_err(Into::into))
    }

    fn discard(
        &mut self,
        store: Resource<SharedObjects>,
        names: Vec<objects::AsideObject>,
    ) -> Outcome<u64, types::IoError> {
        let gone = aside(names).and_then(|names| Ok(self.table.get(&store)?.discard(&names)))?;
        Ok(gone.map_err(Into::into))
    }

    fn clear_leftovers(
        &mut self,
        store: Resource<SharedObjects>,
        before: types::Timestamp,
    ) -> Outcome<objects::Leftovers, types::IoError> {
        let cleared = self.table.get(&store)?.clear_leftovers(before.into());
        Ok(cleared.map(Into::into).map_err(Into::into))
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
    ) -> wasmtime::Result<Vec<Result<Option<records::StoredRecord>, types::IoError>>> {
        let stored = self.table.get(&store)?.get(&names).into_iter();
        Ok(stored
            .map(|record| match record {
                Ok(record) => Ok(record.map(Into::into)),
                Err(error) => Err(error.into()),
            })
            .collect())
    }

    fn put(
        &mut self,
        store: Resource<SharedRecords>,
        name: String,
        value: Vec<u8>,
    ) -> Outcome<(), types::IoError> {
        Ok(self.table.get(&store)?.put(&name, &value).map_err(Into::into))
    }

    fn enumerate(
        &mut self,
        store: Resource<SharedRecords>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Outcome<Vec<String>, types::IoError> {
        let listed = self.table.get(&store)?.list(&prefix, after.as_deref(), limit);
        Ok(listed.map_err(Into::into))
    }

    fn touch(&mut self, store: Resource<SharedRecords>, name: String) -> wasmtime::Result<()> {
        self.table.get(&store)?.touch(&name);
        Ok(())
    }

    fn delete(
        &mut self,
        store: Resource<SharedRecords>,
        name: String,
        version: types::Digest,
    ) -> Outcome<bool, types::IoError> {
        let deleted = self.table.get(&store)?.delete(&name, &version.into());
        Ok(deleted.map_err(Into::into))
    }

    fn drop(&mut self, store: Resource<SharedRecords>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl tree::Host for HostState {}

impl tree::HostFileTree for HostState {
    fn root(
        &mut self,
        tree: Resource<FilesystemTree>,
    ) -> Outcome<Option<tree::Entry>, types::IoError> {
        let root = self.table.get(&tree)?.root();
        Ok(root.map(|entry| entry.map(Into::into)).map_err(Into::into))
    }

    fn read_directories(
        &mut self,
        tree: Resource<FilesystemTree>,
        paths: Vec<Vec<u8>>,
        follow: tree::FollowLinks,
    ) -> wasmtime::Result<Vec<Result<Vec<tree::Entry>, types::IoError>>> {
        let listed = self.table.get(&tree)?.read_directories(&paths, follow.into());
        Ok(listed.into_iter().map(mirrored).collect())
    }

    fn read_file(
        &mut self,
        tree: Resource<FilesystemTree>,
        path: Vec<u8>,
        limit: u64,
    ) -> Outcome<Vec<u8>, types::IoError> {
        Ok(self.table.get(&tree)?.read_file(&path, limit).map_err(Into::into))
    }

    fn digest_files(
        &mut self,
        tree: Resource<FilesystemTree>,
        paths: Vec<Vec<u8>>,
        algorithm: types::Algorithm,
        follow: tree::FollowLinks,
    ) -> wasmtime::Result<Vec<Result<types::Digest, types::IoError>>> {
        let tree = self.table.get(&tree)?;
        let digests = tree.digest_files(&paths, algorithm.into(), follow.into()).into_iter();
        Ok(digests.map(|digest| digest.map(Into::into).map_err(Into::into)).collect())
    }

    fn pack(
        &mut self,
        tree: Resource<FilesystemTree>,
        sink: Resource<Sink>,
        sizes: tree::CutSizes,
    ) -> Outcome<Resource<FilesystemPacker>, types::IoError> {
        match self.table.get(&tree)?.pack(self.table.get(&sink)?, sizes.into()) {
            Ok(packer) => Ok(Ok(self.table.push(packer)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn materialize(
        &mut self,
        tree: Resource<FilesystemTree>,
        sources: Vec<Resource<Source>>,
        placement: tree::Placement,
    ) -> Outcome<Resource<FilesystemMaterializer>, tree::MaterializeError> {
        let handles = sources.iter().map(|source| self.table.get(source));
        let sources: Vec<&Source> = handles.collect::<Result<_, _>>()?;
        match self.table.get(&tree)?.materialize(&sources, placement.into()) {
            Ok(materializer) => Ok(Ok(self.table.push(materializer)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn drop(&mut self, tree: Resource<FilesystemTree>) -> wasmtime::Result<()> {
        self.table.delete(tree)?;
        Ok(())
    }
}

impl tree::HostPacker for HostState {
    fn submit(
        &mut self,
        packer: Resource<FilesystemPacker>,
        batch: tree::PackBatch,
    ) -> Outcome<(), types::IoError> {
        let submitted = self.table.get_mut(&packer)?.submit(batch.into());
        Ok(submitted.map_err(|error| error.0.into()))
    }

    fn finish(
        &mut self,
        packer: Resource<FilesystemPacker>,
    ) -> Outcome<Vec<tree::Packed>, types::IoError> {
        match self.table.delete(packer)?.finish() {
            Ok(packed) => Ok(Ok(packed.into_iter().map(Into::into).collect())),
            Err(error) => Ok(Err(error.0.into())),
        }
    }

    fn drop(&mut self, packer: Resource<FilesystemPacker>) -> wasmtime::Result<()> {
        self.table.delete(packer)?;
        Ok(())
    }
}

impl tree::HostMaterializer for HostState {
    fn submit(
        &mut self,
        materializer: Resource<FilesystemMaterializer>,
        batch: tree::MaterializeBatch,
    ) -> Outcome<(), tree::MaterializeError> {
        let submitted = self.table.get_mut(&materializer)?.submit(batch.into());
        Ok(submitted.map_err(Into::into))
    }

    fn finish(
        &mut self,
        materializer: Resource<FilesystemMaterializer>,
    ) -> Outcome<tree::MaterializeSummary, tree::MaterializeError> {
        let finished = self.table.delete(materializer)?.finish();
        Ok(finished.map(Into::into).map_err(Into::into))
    }

    fn drop(&mut self, materializer: Resource<FilesystemMaterializer>) -> wasmtime::Result<()> {
        self.table.delete(materializer)?;
        Ok(())
    }
}

fn ported(digests: Vec<types::Digest>) -> Vec<Digest> {
    digests.into_iter().map(Into::into).collect()
}

fn aside(names: Vec<objects::AsideObject>) -> wasmtime::Result<Vec<AsideObject>> {
    let names: Result<_, IoError> = names.into_iter().map(TryInto::try_into).collect();
    Ok(names?)
}

fn mirrored<P, W: From<P>>(result: Result<Vec<P>, IoError>) -> Result<Vec<W>, types::IoError> {
    match result {
        Ok(values) => Ok(values.into_iter().map(Into::into).collect()),
        Err(error) => Err(error.into()),
    }
}
