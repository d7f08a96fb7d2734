//! The imports of the component as the traits that the core is written against.
//!
//! The generated functions have the same names as those of the traits, and the same types. Where a
//! call names the type (`tree::Packer::submit(self, …)`), it is the generated function that is
//! meant: a method call would find the trait's and never end.

use super::bindings::btdt::cache::{
    archive, auth, caches, environment, http, objects, records, tree,
};
use btdt_ports::{
    Access, Algorithm, ArchiveBatch, ArchiveEntry, ArchiveFault, ArchivePlan, ArchiveReader,
    Archives, AsideObject, Authority, Caches, ChunkEndpoint, CutSizes, Digest, Entry, Environment,
    FollowLinks, HeldLock, HttpError, HttpRequest, HttpResponse, IncomingBody, IoError, Leftovers,
    LockMode, MaterializeBatch, MaterializeError, MaterializeSummary, Materializer, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, OpenObjects, PackBatch, PackError, Packed,
    PackedChunk, Packer, Placement, PutOutcome, RecordVersion, Records, Remote, Scope, Severity,
    StoredInfo, StoredRecord, SweepId, Timestamp, TokenFault, TransferFailure, Tree, Verdict,
};

/// The functions of the host that belong to no handle.
pub(super) struct Host;

impl Environment for Host {
    fn now(&self) -> Timestamp {
        environment::now()
    }

    fn random(&self) -> u64 {
        environment::random()
    }

    fn log(&self, severity: Severity, message: &str) {
        environment::log(severity, message);
    }
}

impl Authority for Host {
    fn authorize(&self, token: &str, accesses: &[Access]) -> Result<Vec<Verdict>, TokenFault> {
        auth::authorize(token, accesses)
    }
}

impl Caches for Host {
    type Objects = objects::ObjectStore;
    type Records = records::RecordStore;

    fn find(&self, name: &str) -> Option<(objects::ObjectStore, records::RecordStore)> {
        caches::find(name).map(|cache| (cache.objects, cache.records))
    }
}

impl Archives for Host {
    type Source = objects::Source;
    type Plan = archive::ArchivePlan;

    fn plan(&self, source: &objects::Source) -> archive::ArchivePlan {
        archive::ArchivePlan::new(source)
    }
}

impl Tree for tree::FileTree {
    type Sink = objects::Sink;
    type Source = objects::Source;
    type Packer = tree::Packer;
    type Materializer = tree::Materializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        tree::FileTree::root(self)
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        tree::FileTree::read_directories(self, paths, follow)
    }

    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
        tree::FileTree::read_file(self, path, limit)
    }

    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        tree::FileTree::digest_files(self, paths, algorithm, follow)
    }

    fn pack(&self, sink: &objects::Sink, sizes: CutSizes) -> Result<tree::Packer, IoError> {
        tree::FileTree::pack(self, sink, sizes)
    }

    fn materialize(
        &self,
        sources: &[&objects::Source],
        placement: Placement,
    ) -> Result<tree::Materializer, MaterializeError> {
        tree::FileTree::materialize(self, sources, placement)
    }
}

impl Packer for tree::Packer {
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError> {
        tree::Packer::submit(self, &batch).map_err(PackError)
    }

    fn finish(self) -> Result<Vec<Packed>, PackError> {
        tree::Packer::finish(self).map_err(PackError)
    }
}

impl Materializer for tree::Materializer {
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError> {
        tree::Materializer::submit(self, &batch)
    }

    fn finish(self) -> Result<MaterializeSummary, MaterializeError> {
        tree::Materializer::finish(self)
    }
}

impl Objects for objects::ObjectStore {
    type Sink = objects::Sink;
    type Source = objects::Source;

    fn sink(&self) -> objects::Sink {
        objects::ObjectStore::sink(self)
    }

    fn source(&self) -> objects::Source {
        objects::ObjectStore::source(self)
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        self.try_lock(mode).map(HeldLock::new)
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        objects::ObjectStore::missing(self, kind, digests)
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        objects::ObjectStore::get(self, kind, digest, limit)
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        objects::ObjectStore::put(self, kind, raw)
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        let names: Vec<_> = names.iter().map(Into::into).collect();
        objects::ObjectStore::check(self, &names)
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        self.enumerate(kind, shard)
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        objects::ObjectStore::touch(self, kind, digests);
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        objects::ObjectStore::set_aside(self, kind, digests, sweep.as_str())
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        // A name that no sweep of this program could have is not ours to touch.
        let listed = self.enumerate_aside()?.into_iter();
        Ok(listed.filter_map(|object| object.try_into().ok()).collect())
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let objects: Vec<_> = objects.iter().map(Into::into).collect();
        objects::ObjectStore::recall(self, &objects)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let objects: Vec<_> = objects.iter().map(Into::into).collect();
        objects::ObjectStore::discard(self, &objects)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        objects::ObjectStore::clear_leftovers(self, before)
    }
}

impl OpenObjects for objects::ObjectStore {
    type Opened = objects::Opened;

    fn open(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<(objects::Opened, StoredInfo), ObjectFault> {
        objects::ObjectStore::open(self, kind, *digest)
    }
}

impl Records for records::RecordStore {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        records::RecordStore::get(self, names)
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        records::RecordStore::put(self, name, value)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        self.enumerate(prefix, after, limit)
    }

    fn touch(&self, name: &str) {
        records::RecordStore::touch(self, name);
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        records::RecordStore::delete(self, name, *version)
    }
}

impl ArchiveReader for archive::ArchiveReader {
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault> {
        archive::ArchiveReader::next(self)
    }

    fn append(&mut self) -> Result<(), ArchiveFault> {
        archive::ArchiveReader::append(self)
    }

    fn seal(&mut self) -> Result<(), ArchiveFault> {
        archive::ArchiveReader::seal(self)
    }

    fn cut(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault> {
        archive::ArchiveReader::cut(self, length, sizes)
    }

    fn finish(self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        archive::ArchiveReader::finish(self)
    }
}

impl ArchivePlan for archive::ArchivePlan {
    fn submit(&mut self, batch: ArchiveBatch) {
        archive::ArchivePlan::submit(self, &batch);
    }
}

impl IncomingBody for http::IncomingBody {
    type Reader = archive::ArchiveReader;
    type Sink = objects::Sink;

    fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError> {
        http::IncomingBody::bytes(self, limit)
    }

    fn unarchive(self, sink: &objects::Sink) -> Result<archive::ArchiveReader, ArchiveFault> {
        http::IncomingBody::unarchive(self, sink)
    }
}

impl Archives for http::Remote {
    type Source = objects::Source;
    type Plan = archive::ArchivePlan;

    fn plan(&self, source: &objects::Source) -> archive::ArchivePlan {
        Host.plan(source)
    }
}

impl Remote for http::Remote {
    type Sink = objects::Sink;
    type Body = http::IncomingBody;

    fn restrict(&self, scope: &Scope) {
        http::Remote::restrict(self, scope);
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse<http::IncomingBody>, HttpError> {
        http::Remote::send(self, request).map(response)
    }

    fn upload(
        &self,
        request: &HttpRequest,
        plan: archive::ArchivePlan,
    ) -> Result<HttpResponse<http::IncomingBody>, HttpError> {
        http::Remote::upload(self, request, plan).map(response)
    }

    fn sink(&self, endpoint: &ChunkEndpoint) -> objects::Sink {
        http::Remote::sink(self, endpoint)
    }

    fn source(&self, endpoint: &ChunkEndpoint) -> objects::Source {
        http::Remote::source(self, endpoint)
    }

    fn spool(&self) -> Result<(objects::Sink, objects::Source), IoError> {
        http::Remote::spool(self).map(|ends| (ends.sink, ends.source))
    }

    fn failure(&self) -> Option<TransferFailure> {
        http::Remote::failure(self)
    }
}

fn response(response: http::HttpResponse) -> HttpResponse<http::IncomingBody> {
    let http::HttpResponse { status, headers, body } = response;
    HttpResponse { status, headers, body }
}
