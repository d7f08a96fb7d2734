//! A cache as `ls` sees it: which objects there are, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The kinds of object that a cache is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Chunk,
    Manifest,
    Record,
    Format,
}

impl Kind {
    /// Those that hold what users stored.
    pub(crate) const DATA: [Self; 3] = [Self::Chunk, Self::Manifest, Self::Record];

    fn place(self) -> &'static str {
        match self {
            Self::Chunk => "chunks",
            Self::Manifest => "manifests",
            Self::Record => "keys",
            Self::Format => "format",
        }
    }
}

/// The files of a cache, by kind.
#[derive(Debug)]
pub(crate) struct CacheView {
    root: PathBuf,
    /// Sizes of files in bytes.
    files: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
}

impl CacheView {
    pub(crate) fn of(root: &Path) -> Self {
        let mut view =
            Self { root: root.to_owned(), files: BTreeMap::new(), directories: BTreeSet::new() };
        view.list(Path::new(""));
        view
    }

    fn list(&mut self, below: &Path) {
        // A cache in use changes under our eyes: what has gone is not there, that is all.
        let Ok(entries) = fs::read_dir(self.root.join(below)) else {
            return;
        };
        for entry in entries.flatten() {
            let path = below.join(entry.file_name());
            let Ok(metadata) = fs::symlink_metadata(self.root.join(&path)) else {
                continue;
            };
            if metadata.is_dir() {
                self.list(&path);
                self.directories.insert(path);
            } else {
                self.files.insert(path, metadata.size());
            }
        }
    }

    /// Full paths of the objects of one kind, in byte order.
    pub(crate) fn objects(&self, kind: Kind) -> Vec<PathBuf> {
        self.below(kind.place()).map(|path| self.root.join(path)).collect()
    }

    /// Paths of chunks and manifests relative to the cache: their names are their digests.
    pub(crate) fn content(&self) -> BTreeSet<PathBuf> {
        self.below("chunks").chain(self.below("manifests")).cloned().collect()
    }

    /// Files and directories in `tmp/` and `aside/`: what is being written or on its way out.
    pub(crate) fn transient(&self) -> BTreeSet<PathBuf> {
        let is_transient = |path: &&PathBuf| {
            path.components().count() > 1 && (path.starts_with("tmp") || path.starts_with("aside"))
        };
        self.files.keys().chain(&self.directories).filter(is_transient).cloned().collect()
    }

    fn below<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a PathBuf> {
        self.files.keys().filter(move |path| path.starts_with(place))
    }

    /// The largest file: whatever the layout, it holds content that somebody stored.
    #[track_caller]
    pub(crate) fn largest(&self) -> PathBuf {
        let largest = self.files.iter().max_by_key(|(_, size)| **size);
        self.root.join(largest.expect("a cache with files").0)
    }

    /// Bytes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// Number of files of any kind.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }
}

/// Fails the test unless `cache` holds the content of `fresh` and nothing that is on its way.
#[track_caller]
pub(crate) fn assert_no_leftovers(cache: &Path, fresh: &Path) {
    let (cache, fresh) = (CacheView::of(cache), CacheView::of(fresh));
    assert!(!fresh.content().is_empty(), "a cache with entries: {fresh:?}");
    assert_eq!(
        cache.content(),
        fresh.content(),
        "left: chunks and manifests of the cache; right: those of a fresh one with the same entries"
    );
    assert!(
        cache.transient().is_empty(),
        "tmp/ and aside/ should be empty: {:?}",
        cache.transient()
    );
}
