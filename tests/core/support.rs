//! A cache with a simulated clock, and trees that can be compared.

use btdt_core::cache::LocalCache;
use btdt_core::manifest::{self, Manifest};
use btdt_core::operations::restore;
use btdt_core::operations::{clean, store};
use btdt_core::storage::retention::Limits;
use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::client::{
    CleanRequest, CleanSummary, Error, RestoreRequest, Restored, StoreRequest, StoreSummary,
};
use btdt_ports::{
    Digest, EntryKind, Environment, FollowLinks, ObjectKind, Objects, Records, Severity, SweepId,
    Timestamp, Tree,
};
use btdt_test_support::memory_tree::MemoryTree;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A time with nanoseconds, like those of a clock.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 1 }
}

/// A simulated clock, repeatable randomness, and the messages so far.
pub(crate) struct TestEnvironment {
    pub(crate) clock: Arc<AtomicI64>,
    random: Cell<u64>,
    log: RefCell<Vec<(Severity, String)>>,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        TestEnvironment { clock, random: Cell::new(1), log: RefCell::default() }
    }

    /// Advances the clock.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The warnings since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = self.log.take().into_iter();
        log.filter(|(severity, _)| *severity == Severity::Warning).map(|(_, line)| line).collect()
    }

    /// Expects exactly one warning since the last call, containing these parts.
    #[track_caller]
    pub(crate) fn expect_warning(&self, parts: &[&str]) {
        let warnings = self.warnings();
        let right = warnings.len() == 1 && parts.iter().all(|part| warnings[0].contains(part));
        assert!(right, "{parts:?} in {warnings:?}");
    }
}

impl Environment for TestEnvironment {
    fn now(&self) -> Timestamp {
        at(self.clock.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        self.random.set(self.random.get() + 1);
        self.random.get()
    }

    fn log(&self, severity: Severity, message: &str) {
        self.log.borrow_mut().push((severity, message.to_owned()));
    }
}

/// A cache in memory, with its environment.
pub(crate) struct Cache {
    pub(crate) storage: MemoryStorage,
    pub(crate) environment: TestEnvironment,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let environment = TestEnvironment::new();
        let clock = Arc::clone(&environment.clock);
        let storage = MemoryStorage::new(move || at(clock.load(Ordering::Relaxed)));
        Cache { storage, environment }
    }

    pub(crate) fn try_store<T>(&self, keys: &str, tree: &T) -> Result<StoreSummary, Error>
    where
        T: Tree<Sink = Sink>,
    {
        store_in(&self.storage, &self.environment, keys, tree)
    }

    /// Stores under a comma-separated list of keys.
    #[track_caller]
    pub(crate) fn store<T: Tree<Sink = Sink>>(&self, keys: &str, tree: &T) -> StoreSummary {
        self.environment.pass(1);
        self.try_store(keys, tree).unwrap()
    }

    pub(crate) fn try_restore<T>(&self, keys: &str, tree: &T) -> Result<Option<Restored>, Error>
    where
        T: Tree<Source = Source>,
    {
        restore_from(&self.storage, &self.environment, keys, tree)
    }

    /// Restores to a new tree; `None` for a miss.
    #[track_caller]
    pub(crate) fn restore(&self, keys: &str) -> Option<(String, MemoryTree)> {
        let tree = MemoryTree::new();
        match self.try_restore(keys, &tree).unwrap() {
            Some(Restored { key, .. }) => Some((key.as_str().to_owned(), tree)),
            None => {
                assert_eq!(tree.root(), Ok(None), "a miss leaves nothing");
                None
            }
        }
    }

    /// Expects that restoring a key yields `tree`.
    #[track_caller]
    pub(crate) fn expect(&self, key: &str, tree: &MemoryTree) {
        let (found, restored) = self.restore(key).unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(found, key);
        assert_eq!(snapshot(&restored), snapshot(tree));
    }

    pub(crate) fn clean(&self, limits: Limits, grace_period: u64) -> CleanSummary {
        let request =
            CleanRequest { max_age: limits.max_age, max_size: limits.max_size, grace_period };
        clean::clean(&request, &self.storage, &self.storage, &self.environment).unwrap()
    }

    pub(crate) fn manifest(&self, digest: Digest) -> Manifest {
        let encoded = Objects::get(&self.storage, ObjectKind::Manifest, digest, u64::MAX).unwrap();
        manifest::decode(&encoded).unwrap()
    }

    /// The digests of all live objects of a kind.
    pub(crate) fn live(&self, kind: ObjectKind) -> Vec<Digest> {
        let list = |shard| Objects::list(&self.storage, kind, shard).unwrap();
        (0..=u8::MAX).flat_map(list).map(|object| object.digest).collect()
    }

    /// Removes an object permanently.
    pub(crate) fn remove(&self, kind: ObjectKind, digest: Digest) {
        let sweep = SweepId::new(Timestamp::default(), 0);
        assert_eq!(self.storage.set_aside(kind, &[digest], &sweep), Ok(1));
        let aside = self.storage.list_aside().unwrap();
        let gone: Vec<_> = aside.into_iter().filter(|object| object.sweep == sweep).collect();
        assert_eq!(self.storage.discard(&gone), Ok(1));
    }
}

pub(crate) fn store_in<T, S>(
    storage: &S,
    environment: &TestEnvironment,
    keys: &str,
    tree: &T,
) -> Result<StoreSummary, Error>
where
    T: Tree<Sink = Sink>,
    S: Objects<Sink = Sink> + Records,
{
    let keys = keys.split(',').map(str::to_owned).collect();
    let request = StoreRequest { keys, ..StoreRequest::default() };
    store::store(&request, tree, &LocalCache::new(storage, storage, environment), environment)
}

pub(crate) fn restore_from<T, S>(
    storage: &S,
    environment: &TestEnvironment,
    keys: &str,
    tree: &T,
) -> Result<Option<Restored>, Error>
where
    T: Tree<Source = Source>,
    S: Objects<Source = Source> + Records,
{
    let keys = keys.split(',').map(str::to_owned).collect();
    let request = RestoreRequest { keys, ..RestoreRequest::default() };
    restore::restore(&request, tree, &LocalCache::new(storage, storage, environment), environment)
}

/// The entry at a path, apart from hard links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    kind: EntryKind,
    mode: Option<u32>,
    modified: Timestamp,
    content: Vec<u8>,
    target: Option<Vec<u8>>,
    /// For a file with several names, the path of the first one.
    same_as: Option<Vec<u8>>,
}

/// All entries of a tree, by path.
pub(crate) fn snapshot(tree: &impl Tree) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut open: Vec<_> =
        tree.root().unwrap().into_iter().map(|root| (Vec::new(), root)).collect();
    while let Some((path, entry)) = open.pop() {
        let is_file = entry.kind == EntryKind::File;
        if entry.kind == EntryKind::Directory {
            let listed =
                tree.read_directories(std::slice::from_ref(&path), FollowLinks::Never).remove(0);
            for child in listed.unwrap().into_iter().rev() {
                let names = [path.as_slice(), &child.name];
                let child_path = names[usize::from(path.is_empty())..].join(&b'/');
                open.push((child_path, child));
            }
        }
        let same_as = entry.link.map(|link| links.entry(link).or_insert(path.clone()).clone());
        let content = if is_file { tree.read_file(&path, u64::MAX).unwrap() } else { Vec::new() };
        let target = entry.target.clone();
        // Modes of links have no meaning.
        let mode = if entry.kind == EntryKind::Symlink { None } else { entry.mode };
        let (kind, modified) = (entry.kind, entry.modified);
        seen.insert(path, Seen { kind, mode, modified, content, target, same_as });
    }
    seen
}

/// A directory with these files; a name that ends in `/` is a directory.
pub(crate) fn tree(files: &[(&str, &[u8])]) -> MemoryTree {
    let tree = MemoryTree::new();
    tree.insert_directory(b"", 0o755, at(1)).unwrap();
    for (number, (path, content)) in files.iter().enumerate() {
        let modified = at(10 + number as i64);
        match path.strip_suffix('/') {
            Some(path) => tree.insert_directory(path.as_bytes(), 0o700, modified).unwrap(),
            None => tree.insert_file(path.as_bytes(), content, 0o644, modified).unwrap(),
        }
    }
    tree
}

/// A tree with all kinds of entries and at least two chunks.
pub(crate) fn rich_tree() -> MemoryTree {
    let large = noise(7, 1_500_000);
    let tree = tree(&[
        ("a", b"alpha"),
        ("d/", b""),
        ("d/b", b"beta"),
        ("d/e/", b""),
        ("empty", b""),
        ("large", &large),
    ]);
    tree.insert_symlink(b"s", b"../outside", at(30)).unwrap();
    tree.insert_hard_link(b"d/h", b"a").unwrap();
    tree
}

/// Incompressible bytes, derived from a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words = (0..length.div_ceil(8)).flat_map(|_| step().to_le_bytes());
    words.take(length).collect()
}
