//! The backends, and access for tests that users do not have.

use btdt_host_runtime::chunk_io::{Sink, Source, StoredForms};
use btdt_host_runtime::codec::sha256;
use btdt_host_runtime::storage::{FilesystemStorage, MemoryStorage};
use btdt_ports::{Digest, ObjectKind, Objects, Records, SweepId, Timestamp};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

pub(crate) const HOUR: u64 = 3600;

pub(crate) trait Backend: Sync {
    type Storage: Objects<Sink = Sink, Source = Source> + Records + StoredForms + Sync;

    fn storage(&self) -> &Self::Storage;

    /// The time as the backend sees it.
    fn now(&self) -> Timestamp;

    /// Makes everything an hour older.
    fn pass_an_hour(&self);

    /// The stored form of a live object.
    fn stored(&self, kind: ObjectKind, digest: Digest) -> Vec<u8>;

    /// Replaces the stored form of a live object by any bytes.
    fn replace_stored(&self, kind: ObjectKind, digest: Digest, stored: &[u8]);
}

pub(crate) struct MemoryBackend {
    seconds: Arc<AtomicI64>,
    storage: MemoryStorage,
}

impl MemoryBackend {
    pub(crate) fn new() -> Self {
        let seconds = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&seconds);
        let now = move || Timestamp { seconds: clock.load(Ordering::Relaxed), nanoseconds: 0 };
        MemoryBackend { seconds, storage: MemoryStorage::new(now) }
    }
}

impl Backend for MemoryBackend {
    type Storage = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.seconds.load(Ordering::Relaxed), nanoseconds: 0 }
    }

    fn pass_an_hour(&self) {
        self.seconds.fetch_add(HOUR as i64, Ordering::Relaxed);
    }

    fn stored(&self, kind: ObjectKind, digest: Digest) -> Vec<u8> {
        self.storage.stored(kind, digest).unwrap().to_vec()
    }

    fn replace_stored(&self, kind: ObjectKind, digest: Digest, stored: &[u8]) {
        self.storage.replace_stored(kind, digest, stored);
    }
}

pub(crate) struct FilesystemBackend {
    directory: TempDir,
    storage: FilesystemStorage,
}

impl FilesystemBackend {
    pub(crate) fn new() -> Self {
        // WASI has no temporary directory: the runtime opens one as the current directory.
        let directory = match cfg!(target_os = "wasi") {
            true => tempfile::tempdir_in(".").unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let storage = FilesystemStorage::open(directory.path()).unwrap();
        FilesystemBackend { directory, storage }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// The path of a live object in the layout.
    pub(crate) fn object_path(&self, kind: ObjectKind, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        let kind = match kind {
            ObjectKind::Chunk => "chunks",
            ObjectKind::Manifest => "manifests",
        };
        self.path(&format!("{kind}/{}/{hex}", &hex[..2]))
    }

    /// All files and directories, relative to the root, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let paths = walk(self.directory.path());
        let relative = |path: &PathBuf| {
            path.strip_prefix(self.directory.path()).unwrap().to_str().unwrap().to_owned()
        };
        let mut files: Vec<_> = paths.iter().map(relative).collect();
        files.sort_unstable();
        files
    }
}

impl Backend for FilesystemBackend {
    type Storage = FilesystemStorage;

    fn storage(&self) -> &FilesystemStorage {
        &self.storage
    }

    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp { seconds: now.as_secs() as i64, nanoseconds: now.subsec_nanos() }
    }

    fn pass_an_hour(&self) {
        walk(self.directory.path()).iter().for_each(|path| make_older(path));
    }

    fn stored(&self, kind: ObjectKind, digest: Digest) -> Vec<u8> {
        fs::read(self.object_path(kind, digest)).unwrap()
    }

    fn replace_stored(&self, kind: ObjectKind, digest: Digest, stored: &[u8]) {
        fs::write(self.object_path(kind, digest), stored).unwrap();
    }
}

/// Sets the modification time of a file or directory back by an hour.
pub(crate) fn make_older(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::open(path).unwrap();
    file.set_modified(modified - Duration::from_secs(HOUR)).unwrap();
}

/// All files and directories beneath a directory.
pub(crate) fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let beneath = |path: PathBuf| match path.is_dir() {
        true => [walk(&path), vec![path]].concat(),
        false => vec![path],
    };
    entries.flat_map(beneath).collect()
}

/// A sweep that is unique for each number.
pub(crate) fn sweep(number: u64) -> SweepId {
    SweepId::new(Timestamp { seconds: 1_800_000_000, nanoseconds: 0 }, number)
}

/// Compressible content, and its digest.
pub(crate) fn content(seed: u32) -> (Vec<u8>, Digest) {
    let raw = format!("This is the content with the number {seed}. ").repeat(100).into_bytes();
    let digest = sha256(&raw);
    (raw, digest)
}

/// Incompressible content.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Whether a time is less than half an hour before `now`.
pub(crate) fn is_young(time: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(time) < HOUR / 2
}
