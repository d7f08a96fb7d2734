//! A store in memory, two kinds of trees, and plans made from what a tree contains.

use btdt_host_runtime::chunk_io::{ChunkSink, ChunkSource, Sink, Source};
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::*;
use btdt_test_support::memory_tree::MemoryTree;
use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(super) const SIZES: CutSizes = CutSizes { minimum: 64, average: 256, maximum: 1024 };

pub(super) fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp { seconds, nanoseconds }
}

/// Keeps chunks as they are.
#[derive(Default)]
pub(super) struct TestStore {
    pub(super) chunks: Mutex<HashMap<Digest, Vec<u8>>>,
    /// Chunks that are still taken before the disk is full.
    pub(super) room: Mutex<Option<u32>>,
}

impl ChunkSink for TestStore {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let chunks = self.chunks.lock().unwrap();
        Ok(chunks.get(digest).map(|raw| PutOutcome {
            digest: *digest,
            stored_size: raw.len() as u64,
            new: false,
        }))
    }

    fn put(&self, digest: &Digest, raw: &[u8], _: &mut Codec) -> Result<PutOutcome, IoError> {
        if let Some(room) = &mut *self.room.lock().unwrap() {
            *room = room.checked_sub(1).ok_or(IoError::new(IoErrorKind::NoSpace))?;
        }
        self.chunks.lock().unwrap().insert(*digest, raw.to_vec());
        Ok(PutOutcome { digest: *digest, stored_size: raw.len() as u64, new: true })
    }
}

impl ChunkSource for TestStore {
    fn read<'codec>(
        &self,
        digest: &Digest,
        _: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let raw = self.chunks.lock().unwrap().get(digest).cloned().ok_or(ObjectFault::Missing)?;
        if btdt_host_runtime::codec::sha256(&raw) != *digest {
            return Err(ObjectFault::Damaged(Damage::Content));
        }
        // Through the stored form, because the answer lies in the codec.
        let stored = codec.encode(&raw).map_err(ObjectFault::Unreadable)?.to_vec();
        *codec.load() = stored;
        codec.decode_loaded(digest, raw.len() as u64)
    }
}

impl TestStore {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn add(&self, raw: &[u8]) -> Digest {
        let digest = btdt_host_runtime::codec::sha256(raw);
        self.chunks.lock().unwrap().insert(digest, raw.to_vec());
        digest
    }
}

/// A place for a tree, and how to put something there without the code under test.
pub(super) trait Fixture {
    type Tree: Tree<Sink = Sink, Source = Source>;
    fn new() -> Self;
    fn tree(&self) -> Self::Tree;
    fn directory(&self, path: &str, mode: u32, modified: Timestamp);
    fn file(&self, path: &str, content: &[u8], mode: u32, modified: Timestamp);
    fn symlink(&self, path: &str, target: &str);
    fn hard_link(&self, path: &str, target: &str);
    fn remove(&self, path: &str);
}

pub(super) struct OnDisk {
    pub(super) scratch: tempfile::TempDir,
}

impl OnDisk {
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let root = self.scratch.path().join("tree");
        if path.is_empty() { root } else { root.join(path) }
    }
}

pub(super) fn set_time(path: &Path, modified: Timestamp) {
    let time =
        rustix::fs::Timespec { tv_sec: modified.seconds, tv_nsec: i64::from(modified.nanoseconds) };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

impl Fixture for OnDisk {
    type Tree = FilesystemTree;

    fn new() -> Self {
        OnDisk { scratch: tempfile::tempdir().unwrap() }
    }

    fn tree(&self) -> FilesystemTree {
        FilesystemTree::new(self.path(""))
    }

    fn directory(&self, path: &str, mode: u32, modified: Timestamp) {
        std::fs::create_dir(self.path(path)).unwrap();
        set_mode(&self.path(path), mode);
        set_time(&self.path(path), modified);
    }

    fn file(&self, path: &str, content: &[u8], mode: u32, modified: Timestamp) {
        std::fs::write(self.path(path), content).unwrap();
        set_mode(&self.path(path), mode);
        set_time(&self.path(path), modified);
    }

    fn symlink(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    fn hard_link(&self, path: &str, target: &str) {
        std::fs::hard_link(self.path(target), self.path(path)).unwrap();
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.path(path)).unwrap();
    }
}

pub(super) struct InMemory(MemoryTree);

impl Fixture for InMemory {
    type Tree = MemoryTree;

    fn new() -> Self {
        InMemory(MemoryTree::new())
    }

    fn tree(&self) -> MemoryTree {
        self.0.clone()
    }

    fn directory(&self, path: &str, mode: u32, modified: Timestamp) {
        self.0.insert_directory(path.as_bytes(), mode, modified).unwrap();
    }

    fn file(&self, path: &str, content: &[u8], mode: u32, modified: Timestamp) {
        self.0.insert_file(path.as_bytes(), content, mode, modified).unwrap();
    }

    fn symlink(&self, path: &str, target: &str) {
        self.0.insert_symlink(path.as_bytes(), target.as_bytes(), at(0, 0)).unwrap();
    }

    fn hard_link(&self, path: &str, target: &str) {
        self.0.insert_hard_link(path.as_bytes(), target.as_bytes()).unwrap();
    }

    fn remove(&self, path: &str) {
        self.0.remove(path.as_bytes());
    }
}

/// What is at a path, with a link named by the first path of the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) entry: Entry,
    pub(super) content: Vec<u8>,
    pub(super) first_name: Option<Vec<u8>>,
}

/// Everything in a tree, by path.
pub(super) fn contents<T: Tree>(tree: &T) -> BTreeMap<Vec<u8>, Item> {
    let mut items = BTreeMap::new();
    let Some(root) = tree.root().unwrap() else {
        return items;
    };
    let mut pending = Vec::new();
    if root.kind == EntryKind::Directory {
        pending.push(Vec::new());
    }
    items.insert(Vec::new(), Item { entry: root, content: Vec::new(), first_name: None });
    while !pending.is_empty() {
        let lists = tree.read_directories(&pending, FollowLinks::Never);
        for (directory, list) in std::mem::take(&mut pending).into_iter().zip(lists) {
            for entry in list.unwrap() {
                let path = btdt_host_runtime::tree::plan_checks::join(&directory, &entry.name);
                if entry.kind == EntryKind::Directory {
                    pending.push(path.clone());
                }
                items.insert(path, Item { entry, content: Vec::new(), first_name: None });
            }
        }
    }
    let mut names = HashMap::new();
    for (path, item) in &mut items {
        if item.entry.kind == EntryKind::File {
            item.content = tree.read_file(path, u64::MAX).unwrap();
        }
        if let Some(link) = item.entry.link.take() {
            item.first_name = Some(names.entry(link).or_insert_with(|| path.clone()).clone());
        }
    }
    items
}

fn split(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path[..slash].to_vec(), path[slash + 1..].to_vec()),
        None => (Vec::new(), path.to_vec()),
    }
}

/// Packs all files of a tree, each large one cut and the others in bundles of three, and makes
/// the plan that writes the tree anew.
pub(super) fn pack_and_plan<T>(tree: &T, sink: &Sink) -> MaterializeBatch
where
    T: Tree<Sink = Sink, Source = Source>,
{
    let items = contents(tree);
    let mut numbers = HashMap::new();
    let mut plan = MaterializeBatch::default();
    let mut pack = PackBatch::default();
    for (path, Item { entry, first_name, .. }) in &items {
        let (parent, name) = split(path);
        let directory: u32 = numbers.get(&parent).copied().unwrap_or(0);
        let Entry { mode, modified, .. } = *entry;
        match entry.kind {
            EntryKind::Directory => {
                let number = u32::try_from(plan.directories.len()).unwrap();
                numbers.insert(path.clone(), number);
                plan.directories.push(DirectoryPlan {
                    parent: directory,
                    name,
                    state: DirectoryState::Absent,
                    mode,
                    modified,
                });
                pack.directories.push(path.clone());
            }
            EntryKind::Symlink => plan.symlinks.push(SymlinkPlan {
                directory,
                name,
                replace: false,
                target: entry.target.clone().unwrap(),
                modified,
            }),
            EntryKind::File if first_name.as_ref().is_some_and(|first| first != path) => {
                let (parent, target_name) = split(first_name.as_ref().unwrap());
                plan.hard_links.push(HardLinkPlan {
                    directory,
                    name,
                    replace: false,
                    target_directory: numbers[&parent],
                    target_name,
                });
            }
            EntryKind::File => {
                let directory = (!path.is_empty()).then_some(directory);
                let size = entry.size;
                pack.files.push(PackFile { directory, name: name.clone(), size, modified });
                let existing = Existing::Absent;
                plan.files.push(FilePlan { directory, name, existing, mode, modified, size });
            }
            EntryKind::Special => {}
        }
    }
    pack.groups = groups(&pack.files);
    let mut packer = tree.pack(sink, SIZES).unwrap();
    packer.submit(pack.clone()).unwrap();
    let packed = packer.finish().unwrap();
    assert_eq!(packed.len(), pack.groups.len());
    for (group, packed) in pack.groups.iter().zip(packed) {
        let Packed::Chunks(chunks) = packed else { panic!("{packed:?}") };
        plan.chunks.extend(chunk_plans(&pack.files, *group, &chunks));
    }
    plan
}

fn groups(files: &[PackFile]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut first = 0;
    for (index, file) in (0..).zip(files) {
        if file.size > 2048 {
            if index > first {
                groups.push(Group::Bundle(Bundle { first, count: index - first }));
            }
            let half = file.size / 2;
            groups.push(Group::Cut(Cut { file: index, offset: 0, length: half }));
            groups.push(Group::Cut(Cut { file: index, offset: half, length: file.size - half }));
            first = index + 1;
        } else if index + 1 - first == 3 {
            groups.push(Group::Bundle(Bundle { first, count: 3 }));
            first = index + 1;
        }
    }
    let count = u32::try_from(files.len()).unwrap() - first;
    if count > 0 {
        groups.push(Group::Bundle(Bundle { first, count }));
    }
    groups
}

fn chunk_plans(files: &[PackFile], group: Group, chunks: &[PackedChunk]) -> Vec<ChunkPlan> {
    let plan = |chunk: &PackedChunk, segments| ChunkPlan {
        digest: chunk.digest,
        raw_size: chunk.raw_size,
        source: 0,
        segments,
    };
    match group {
        Group::Bundle(Bundle { first, count }) => {
            let mut chunk_offset = 0;
            let mut segments = Vec::new();
            for file in first..first + count {
                let length = u32::try_from(files[file as usize].size).unwrap();
                if length > 0 {
                    segments.push(Segment { file, file_offset: 0, chunk_offset, length });
                }
                chunk_offset += length;
            }
            vec![plan(&chunks[0], segments)]
        }
        Group::Cut(Cut { file, offset, .. }) => {
            let mut file_offset = offset;
            let mut plans = Vec::new();
            for chunk in chunks {
                let length = chunk.raw_size;
                let segment = Segment { file, file_offset, chunk_offset: 0, length };
                plans.push(plan(chunk, vec![segment]));
                file_offset += u64::from(length);
            }
            plans
        }
    }
}

/// Carries out batches on a tree.
pub(super) fn carry_out<T>(
    tree: &T,
    store: &Arc<TestStore>,
    placement: Placement,
    batches: Vec<MaterializeBatch>,
) -> Result<MaterializeSummary, MaterializeError>
where
    T: Tree<Sink = Sink, Source = Source>,
{
    let source: Source = store.clone();
    let mut materializer = tree.materialize(&[&source], placement)?;
    for batch in batches {
        materializer.submit(batch)?;
    }
    materializer.finish()
}

/// The root, as it is when it is there already.
pub(super) fn present_root() -> DirectoryPlan {
    DirectoryPlan {
        parent: 0,
        name: Vec::new(),
        state: DirectoryState::Outdated,
        mode: Some(0o755),
        modified: at(77, 7),
    }
}

/// A file in the root, and the chunk that is its content.
pub(super) fn one_file(
    store: &TestStore,
    name: &[u8],
    content: &[u8],
    existing: Existing,
) -> (FilePlan, ChunkPlan) {
    let length = u32::try_from(content.len()).unwrap();
    let file = FilePlan {
        directory: Some(0),
        name: name.to_vec(),
        existing,
        mode: Some(0o640),
        modified: at(1_000_000, 123_456_789),
        size: u64::from(length),
    };
    let segments = vec![Segment { file: 0, file_offset: 0, chunk_offset: 0, length }];
    (file, ChunkPlan { digest: store.add(content), raw_size: length, source: 0, segments })
}

/// A batch with one file in a root that is there.
pub(super) fn one_file_batch(
    store: &TestStore,
    name: &[u8],
    content: &[u8],
    existing: Existing,
) -> MaterializeBatch {
    let (file, chunk) = one_file(store, name, content, existing);
    MaterializeBatch {
        directories: vec![present_root()],
        files: vec![file],
        chunks: vec![chunk],
        ..MaterializeBatch::default()
    }
}

/// The names in a directory of the host, sorted.
pub(super) fn names_in(path: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<Vec<u8>> =
        entries.map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect();
    names.sort();
    names
}
