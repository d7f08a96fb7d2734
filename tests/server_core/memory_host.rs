//! A server's host in memory: caches, tokens that list their own permissions, and archives.

use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_host_runtime::codec::{Codec, max_stored_size};
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::{
    Access, ArchiveBatch, ArchiveContent, ArchiveEntry, ArchiveFault, ArchiveNodeContent,
    ArchivePlan, ArchiveReader, Archives, AsideObject, Authority, Bundle, Caches, Cut, CutSizes,
    Damage, Digest, Environment, Group, HeldLock, IoError, IoErrorKind, Leftovers, LockMode,
    ObjectFault, ObjectInfo, ObjectKind, ObjectName, Objects, OpenObjects, PackBatch, PackFile,
    Packed, PackedChunk, Packer, PutOutcome, Severity, StoredCodec, StoredInfo, SweepId, Timestamp,
    TokenFault, Tree, Verdict,
};
use btdt_test_support::memory_tree::MemoryTree;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A simulated clock, repeatable randomness, and the messages so far.
pub(crate) struct TestEnvironment {
    pub(crate) clock: Arc<AtomicI64>,
    random: Cell<u64>,
    pub(crate) log: RefCell<Vec<String>>,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        TestEnvironment { clock, random: Cell::new(1), log: RefCell::default() }
    }
}

impl Environment for TestEnvironment {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.clock.load(Ordering::Relaxed), nanoseconds: 1 }
    }

    fn random(&self) -> u64 {
        self.random.set(self.random.get() + 1);
        self.random.get()
    }

    fn log(&self, severity: Severity, message: &str) {
        if severity >= Severity::Warning {
            self.log.borrow_mut().push(message.to_owned());
        }
    }
}

/// Objects that can be opened and that fail on demand.
#[derive(Clone)]
pub(crate) struct Shelf {
    pub(crate) storage: MemoryStorage,
    /// The error of every write, and of every read as well unless the disk is just full.
    pub(crate) fault: Rc<Cell<Option<IoErrorKind>>>,
}

impl Shelf {
    fn check_fault(&self) -> Result<(), IoError> {
        self.fault.get().map_or(Ok(()), |kind| Err(IoError::new(kind)))
    }
}

impl Objects for Shelf {
    type Sink = Sink;
    type Source = Source;

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
        // A full disk is still readable.
        if self.fault.get() != Some(IoErrorKind::NoSpace) {
            self.check_fault()?;
        }
        self.storage.missing(kind, digests)
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        Objects::get(&self.storage, kind, digest, limit)
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        self.check_fault()?;
        Objects::put(&self.storage, kind, raw)
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        self.storage.check(names)
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        Objects::list(&self.storage, kind, shard)
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        Objects::touch(&self.storage, kind, digests);
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

/// Length of the header of a stored object.
pub(crate) const HEADER: usize = 16;

impl OpenObjects for Shelf {
    type Opened = Arc<[u8]>;

    fn open(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<(Arc<[u8]>, StoredInfo), ObjectFault> {
        if let Some(kind) = self.fault.get() {
            return Err(ObjectFault::Unreadable(IoError::new(kind)));
        }
        // The backend in memory cannot open objects that are set aside, so write the object again.
        let stored = match self.storage.stored(kind, *digest) {
            Some(stored) => stored,
            None => {
                Codec::new().encode(&Objects::get(self, kind, *digest, u64::MAX)?).unwrap().into()
            }
        };
        let number = |at: usize| u32::from_le_bytes(stored[at..at + 4].try_into().unwrap());
        if stored.len() <= HEADER || &stored[..4] != b"BTDT" {
            return Err(ObjectFault::Damaged(Damage::Header));
        }
        let info = StoredInfo {
            size: stored.len() as u64,
            header_size: HEADER as u32,
            raw_size: number(8).into(),
            codec: match stored[5] {
                0 => StoredCodec::None,
                1 => StoredCodec::Zstd,
                _ => StoredCodec::Gzip,
            },
        };
        Ok((stored, info))
    }
}

/// One cache, `main`.
pub(crate) struct OneCache(pub(crate) Shelf);

impl Caches for OneCache {
    type Objects = Shelf;
    type Records = MemoryStorage;

    fn find(&self, name: &str) -> Option<(Shelf, MemoryStorage)> {
        (name == "main").then(|| (self.0.clone(), self.0.storage.clone()))
    }
}

/// Stores a chunk from a client, as a host does.
pub(crate) fn receive_chunk(
    objects: &Shelf,
    digest: Digest,
    limit: u64,
    body: &[u8],
) -> Result<PutOutcome, btdt_core::http_api::UploadFault> {
    use btdt_core::http_api::UploadFault;
    if body.len() as u64 > max_stored_size(limit) {
        return Err(UploadFault::TooLarge);
    }
    objects.check_fault().map_err(UploadFault::Storage)?;
    let mut codec = Codec::new();
    codec.decode_verified(&digest, body, limit).map_err(UploadFault::Damaged)?;
    let new = objects.storage.stored(ObjectKind::Chunk, digest).is_none();
    objects.storage.replace_stored(ObjectKind::Chunk, digest, body);
    Ok(PutOutcome { digest, stored_size: body.len() as u64, new })
}

/// Tokens list their permissions, separated by `;`: `all`, `op=…`, `cache=…`, `key=…` for a prefix of
/// keys, `expired`, or one of the faults.
#[derive(Default)]
pub(crate) struct Plain {
    /// The keys of all accesses so far.
    pub(crate) asked: RefCell<Vec<Option<String>>>,
}

impl Authority for Plain {
    fn authorize(&self, token: &str, accesses: &[Access]) -> Result<Vec<Verdict>, TokenFault> {
        self.asked.borrow_mut().extend(accesses.iter().map(|access| access.key.clone()));
        match token {
            "malformed" => return Err(TokenFault::Malformed),
            "forged" => return Err(TokenFault::Forged),
            "revoked" => return Err(TokenFault::Revoked),
            _ => {}
        }
        let verdict = |access: &Access| {
            let mut allowed = Verdict::Allowed;
            for part in token.split(';') {
                let holds = match part.split_once('=') {
                    Some(("op", operation)) => access.operation.name() == operation,
                    Some(("cache", cache)) => access.cache == cache,
                    Some(("key", prefix)) => {
                        access.key.as_ref().is_some_and(|key| key.starts_with(prefix))
                    }
                    None if part == "expired" => {
                        allowed = Verdict::Expired;
                        true
                    }
                    None if part == "all" => true,
                    _ => return Verdict::Denied,
                };
                if !holds {
                    return Verdict::Denied;
                }
            }
            allowed
        };
        Ok(accesses.iter().map(verdict).collect())
    }
}

/// Plans that record what is submitted.
pub(crate) struct Plans;

/// A recorded plan.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) batches: Vec<ArchiveBatch>,
}

impl ArchivePlan for Plan {
    fn submit(&mut self, batch: ArchiveBatch) {
        self.batches.push(batch);
    }
}

impl Archives for Plans {
    type Source = Source;
    type Plan = Plan;

    fn plan(&self, _source: &Source) -> Plan {
        Plan::default()
    }
}

/// An entry of an archive, and its content.
pub(crate) type Member = (ArchiveEntry, Vec<u8>);

impl Plan {
    /// The archive that the plan describes.
    pub(crate) fn expand(&self, storage: &MemoryStorage) -> Vec<Member> {
        let (mut members, mut chunks): (Vec<Member>, Vec<Vec<u8>>) = Default::default();
        for batch in &self.batches {
            assert!(batch.nodes.len() <= 4096);
            for chunk in &batch.chunks {
                let limit = chunk.raw_size.into();
                let raw = Objects::get(storage, ObjectKind::Chunk, chunk.digest, limit).unwrap();
                assert_eq!(raw.len(), chunk.raw_size as usize);
                chunks.push(raw);
            }
            let mut extents = batch.extents.iter();
            for node in &batch.nodes {
                let mut path = match members.get(node.parent as usize) {
                    Some((parent, _)) => [&parent.path[..], b"/"].concat(),
                    None => b".".to_vec(),
                };
                path.extend_from_slice(&node.name);
                let mut bytes = Vec::new();
                let content = match &node.content {
                    ArchiveNodeContent::Directory => ArchiveContent::Directory,
                    ArchiveNodeContent::Symlink(target) => ArchiveContent::Symlink(target.clone()),
                    ArchiveNodeContent::HardLink(number) => {
                        ArchiveContent::HardLink(members[*number as usize].0.path.clone())
                    }
                    ArchiveNodeContent::File(count) => {
                        for extent in extents.by_ref().take(*count as usize) {
                            let chunk = &chunks[extent.chunk as usize][extent.offset as usize..];
                            bytes.extend_from_slice(&chunk[..extent.length as usize]);
                        }
                        ArchiveContent::File(bytes.len() as u64)
                    }
                };
                let (mode, modified) = (node.mode, node.modified);
                members.push((ArchiveEntry { path, content, mode, modified }, bytes));
            }
            assert_eq!(extents.next(), None);
        }
        members
    }
}

/// An incoming archive.
pub(crate) struct Reader {
    members: std::vec::IntoIter<Member>,
    /// The fault to report instead of the end.
    end: Option<ArchiveFault>,
    sink: Sink,
    current: Vec<u8>,
    cut: usize,
    bundle: Vec<u8>,
    groups: Vec<Vec<PackedChunk>>,
}

impl Reader {
    pub(crate) fn new(members: Vec<Member>, end: Option<ArchiveFault>, sink: Sink) -> Self {
        let members = members.into_iter();
        Reader { members, end, sink, current: vec![], cut: 0, bundle: vec![], groups: vec![] }
    }

    /// Packs `content` like the tree backend.
    fn pack(&mut self, content: &[u8], sizes: CutSizes, cut: bool) {
        let tree = MemoryTree::new();
        let modified = Timestamp::default();
        tree.insert_file(b"", content, 0o644, modified).unwrap();
        let mut packer = tree.pack(&self.sink, sizes).unwrap();
        let size = content.len() as u64;
        let file = PackFile { directory: None, name: vec![], size, modified };
        let group = if cut {
            Group::Cut(Cut { file: 0, offset: 0, length: size })
        } else {
            Group::Bundle(Bundle { first: 0, count: 1 })
        };
        packer
            .submit(PackBatch { files: vec![file], groups: vec![group], ..PackBatch::default() })
            .unwrap();
        let Packed::Chunks(chunks) = packer.finish().unwrap().remove(0) else { panic!("a fault") };
        self.groups.push(chunks);
    }
}

impl ArchiveReader for Reader {
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault> {
        match self.members.next() {
            Some((entry, content)) => {
                (self.current, self.cut) = (content, 0);
                Ok(Some(entry))
            }
            None => self.end.clone().map_or(Ok(None), Err),
        }
    }

    fn append(&mut self) -> Result<(), ArchiveFault> {
        assert_eq!(self.cut, 0);
        self.bundle.append(&mut self.current);
        assert!(self.bundle.len() <= 4 << 20);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), ArchiveFault> {
        let bundle = std::mem::take(&mut self.bundle);
        assert!(!bundle.is_empty());
        self.pack(&bundle, btdt_core::chunking::CUT_SIZES, false);
        Ok(())
    }

    fn cut(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault> {
        let end = self.cut + length as usize;
        let Some(part) = self.current.get(self.cut..end).map(<[u8]>::to_vec) else {
            return Err(ArchiveFault::Truncated);
        };
        self.cut = end;
        self.pack(&part, sizes, true);
        Ok(())
    }

    fn finish(self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        assert!(self.bundle.is_empty(), "a bundle was not sealed");
        Ok(self.groups)
    }
}
