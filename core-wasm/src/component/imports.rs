//! What the host offers, as the traits that the core is written against.

use super::bindings::btdt::cache::{environment, objects, records, tree};
use btdt_ports::{
    Algorithm, AsideObject, CutSizes, Digest, Entry, Environment, FollowLinks, HeldLock, IoError,
    Leftovers, LockMode, MaterializeBatch, MaterializeError, MaterializeSummary, Materializer,
    ObjectFault, ObjectInfo, ObjectKind, ObjectName, Objects, PackBatch, PackError, Packed, Packer,
    Placement, PutOutcome, RecordVersion, Records, Severity, StoredRecord, SweepId, Timestamp,
    Tree,
};

/// Clock, randomness and messages.
pub(super) struct HostEnvironment;

impl Environment for HostEnvironment {
    fn now(&self) -> Timestamp {
        environment::now().into()
    }

    fn random(&self) -> u64 {
        environment::random()
    }

    fn log(&self, severity: Severity, message: &str) {
        let severity = match severity {
            Severity::Debug => environment::Severity::Debug,
            Severity::Warning => environment::Severity::Warning,
            Severity::Error => environment::Severity::Error,
        };
        environment::log(severity, message);
    }
}

/// A file or directory of the user.
pub(super) struct HostTree<'tree>(pub(super) &'tree tree::FileTree);

impl Tree for HostTree<'_> {
    type Sink = objects::Sink;
    type Source = objects::Source;
    type Packer = HostPacker;
    type Materializer = HostMaterializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        self.0.root().map(|entry| entry.map(Into::into)).map_err(Into::into)
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        let listed = self.0.read_directories(paths, follow.into()).into_iter();
        listed
            .map(|entries| match entries {
                Ok(entries) => Ok(entries.into_iter().map(Into::into).collect()),
                Err(error) => Err(error.into()),
            })
            .collect()
    }

    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
        self.0.read_file(path, limit).map_err(Into::into)
    }

    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        let digests = self.0.digest_files(paths, algorithm.into(), follow.into()).into_iter();
        digests.map(|digest| digest.map(Into::into).map_err(Into::into)).collect()
    }

    fn pack(&self, sink: &Self::Sink, sizes: CutSizes) -> Result<HostPacker, IoError> {
        self.0.pack(sink, sizes.into()).map(HostPacker).map_err(Into::into)
    }

    fn materialize(
        &self,
        sources: &[&Self::Source],
        placement: Placement,
    ) -> Result<HostMaterializer, MaterializeError> {
        let materializer = self.0.materialize(sources, placement.into());
        materializer.map(HostMaterializer).map_err(Into::into)
    }
}

/// A running pack.
pub(super) struct HostPacker(tree::Packer);

impl Packer for HostPacker {
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError> {
        self.0.submit(&batch.into()).map_err(|error| PackError(error.into()))
    }

    fn finish(self) -> Result<Vec<Packed>, PackError> {
        match tree::Packer::finish(self.0) {
            Ok(packed) => Ok(packed.into_iter().map(Into::into).collect()),
            Err(error) => Err(PackError(error.into())),
        }
    }
}

/// A running restore.
pub(super) struct HostMaterializer(tree::Materializer);

impl Materializer for HostMaterializer {
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError> {
        self.0.submit(&batch.into()).map_err(Into::into)
    }

    fn finish(self) -> Result<MaterializeSummary, MaterializeError> {
        if cfg!(feature = "broken") {
            panic!("deliberately broken before the tree is published");
        }
        tree::Materializer::finish(self.0).map(Into::into).map_err(Into::into)
    }
}

/// The objects of a cache.
pub(super) struct HostObjects<'cache>(pub(super) &'cache objects::ObjectStore);

impl Objects for HostObjects<'_> {
    type Sink = objects::Sink;
    type Source = objects::Source;

    fn sink(&self) -> objects::Sink {
        self.0.sink()
    }

    fn source(&self) -> objects::Source {
        self.0.source()
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        self.0.try_lock(mode.into()).map(HeldLock::new)
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        match self.0.missing(kind.into(), &words(digests)) {
            Ok(missing) => Ok(missing.into_iter().map(Into::into).collect()),
            Err(error) => Err(error.into()),
        }
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.0.get(kind.into(), digest.into(), limit).map_err(Into::into)
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        self.0.put(kind.into(), raw).map(Into::into).map_err(Into::into)
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        let names: Vec<objects::ObjectName> = names.iter().map(Into::into).collect();
        self.0.check(&names).into_iter().map(|fault| fault.map(Into::into)).collect()
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        match self.0.enumerate(kind.into(), shard) {
            Ok(listed) => Ok(listed.into_iter().map(Into::into).collect()),
            Err(error) => Err(error.into()),
        }
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        self.0.touch(kind.into(), &words(digests));
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        self.0.set_aside(kind.into(), &words(digests), sweep.as_str()).map_err(Into::into)
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        let listed = self.0.enumerate_aside().map_err(IoError::from)?;
        // A name of another form is none of a sweep's, and nothing here may touch it.
        Ok(listed.into_iter().filter_map(|object| object.try_into().ok()).collect())
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.0.recall(&aside(objects)).map_err(Into::into)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.0.discard(&aside(objects)).map_err(Into::into)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.0.clear_leftovers(before.into()).map(Into::into).map_err(Into::into)
    }
}

fn words(digests: &[Digest]) -> Vec<objects::Digest> {
    digests.iter().map(|digest| (*digest).into()).collect()
}

fn aside(objects: &[AsideObject]) -> Vec<objects::AsideObject> {
    objects.iter().map(Into::into).collect()
}

/// The records of a cache.
pub(super) struct HostRecords<'cache>(pub(super) &'cache records::RecordStore);

impl Records for HostRecords<'_> {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let records = self.0.get(names).into_iter();
        records
            .map(|record| match record {
                Ok(record) => Ok(record.map(Into::into)),
                Err(error) => Err(error.into()),
            })
            .collect()
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        if cfg!(feature = "broken") {
            panic!("deliberately broken before a record is put");
        }
        self.0.put(name, value).map_err(Into::into)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        self.0.enumerate(prefix, after, limit).map_err(Into::into)
    }

    fn touch(&self, name: &str) {
        self.0.touch(name);
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        self.0.delete(name, (*version).into()).map_err(Into::into)
    }
}
