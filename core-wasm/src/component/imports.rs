//! What the host offers, as the traits that the core is written against.

use super::bindings::btdt::cache::{auth, caches, environment, objects, records, tree};
use btdt_ports::{
    Access, Algorithm, AsideObject, Authority, Caches, CutSizes, Digest, Entry, Environment,
    FollowLinks, HeldLock, IoError, Leftovers, LockMode, MaterializeBatch, MaterializeError,
    MaterializeSummary, Materializer, ObjectFault, ObjectInfo, ObjectKind, ObjectName, Objects,
    OpenObjects, PackBatch, PackError, Packed, Packer, Placement, PutOutcome, RecordVersion,
    Records, Severity, StoredInfo, StoredRecord, SweepId, Timestamp, TokenFault, Tree, Verdict,
};
use std::borrow::Borrow;

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
        tree::Materializer::finish(self.0).map(Into::into).map_err(Into::into)
    }
}

/// The objects of a cache.
pub(super) struct HostObjects<H>(pub(super) H);

impl<H: Borrow<objects::ObjectStore>> HostObjects<H> {
    fn handle(&self) -> &objects::ObjectStore {
        self.0.borrow()
    }
}

impl<H: Borrow<objects::ObjectStore>> Objects for HostObjects<H> {
    type Sink = objects::Sink;
    type Source = objects::Source;

    fn sink(&self) -> objects::Sink {
        self.handle().sink()
    }

    fn source(&self) -> objects::Source {
        self.handle().source()
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        self.handle().try_lock(mode.into()).map(HeldLock::new)
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        match self.handle().missing(kind.into(), &words(digests)) {
            Ok(missing) => Ok(missing.into_iter().map(Into::into).collect()),
            Err(error) => Err(error.into()),
        }
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.handle().get(kind.into(), digest.into(), limit).map_err(Into::into)
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        self.handle().put(kind.into(), raw).map(Into::into).map_err(Into::into)
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        let names: Vec<objects::ObjectName> = names.iter().map(Into::into).collect();
        self.handle().check(&names).into_iter().map(|fault| fault.map(Into::into)).collect()
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        match self.handle().enumerate(kind.into(), shard) {
            Ok(listed) => Ok(listed.into_iter().map(Into::into).collect()),
            Err(error) => Err(error.into()),
        }
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        self.handle().touch(kind.into(), &words(digests));
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        self.handle().set_aside(kind.into(), &words(digests), sweep.as_str()).map_err(Into::into)
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        let listed = self.handle().enumerate_aside().map_err(IoError::from)?;
        // A name of another form is none of a sweep's, and nothing here may touch it.
        Ok(listed.into_iter().filter_map(|object| object.try_into().ok()).collect())
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.handle().recall(&aside(objects)).map_err(Into::into)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.handle().discard(&aside(objects)).map_err(Into::into)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.handle().clear_leftovers(before.into()).map(Into::into).map_err(Into::into)
    }
}

impl<H: Borrow<objects::ObjectStore>> OpenObjects for HostObjects<H> {
    type Opened = objects::Opened;

    fn open(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<(objects::Opened, StoredInfo), ObjectFault> {
        match self.handle().open(kind.into(), (*digest).into()) {
            Ok((opened, info)) => Ok((opened, info.into())),
            Err(fault) => Err(fault.into()),
        }
    }
}

/// The caches of a server.
pub(super) struct HostCaches;

impl Caches for HostCaches {
    type Objects = HostObjects<objects::ObjectStore>;
    type Records = HostRecords<records::RecordStore>;

    fn find(&self, name: &str) -> Option<(Self::Objects, Self::Records)> {
        let cache = caches::find(name)?;
        Some((HostObjects(cache.objects), HostRecords(cache.records)))
    }
}

/// Who decides about tokens.
pub(super) struct HostAuthority;

impl Authority for HostAuthority {
    fn authorize(&self, token: &str, accesses: &[Access]) -> Result<Vec<Verdict>, TokenFault> {
        let accesses: Vec<auth::Access> = accesses.iter().cloned().map(Into::into).collect();
        match auth::authorize(token, &accesses) {
            Ok(verdicts) => Ok(verdicts.into_iter().map(Into::into).collect()),
            Err(fault) => Err(fault.into()),
        }
    }
}

fn words(digests: &[Digest]) -> Vec<objects::Digest> {
    digests.iter().map(|digest| (*digest).into()).collect()
}

fn aside(objects: &[AsideObject]) -> Vec<objects::AsideObject> {
    objects.iter().map(Into::into).collect()
}

/// The records of a cache.
pub(super) struct HostRecords<H>(pub(super) H);

impl<H: Borrow<records::RecordStore>> HostRecords<H> {
    fn handle(&self) -> &records::RecordStore {
        self.0.borrow()
    }
}

impl<H: Borrow<records::RecordStore>> Records for HostRecords<H> {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let records = self.handle().get(names).into_iter();
        records
            .map(|record| match record {
                Ok(record) => Ok(record.map(Into::into)),
                Err(error) => Err(error.into()),
            })
            .collect()
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        self.handle().put(name, value).map_err(Into::into)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        self.handle().enumerate(prefix, after, limit).map_err(Into::into)
    }

    fn touch(&self, name: &str) {
        self.handle().touch(name);
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        self.handle().delete(name, (*version).into()).map_err(Into::into)
    }
}
