//! Trees that change while they are stored.

use crate::support::{Cache, at, snapshot, tree};
use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_ports::client::{Error, PathFailure};
use btdt_ports::{
    Algorithm, CutSizes, Digest, Entry, FollowLinks, IoError, MaterializeError, Placement, Records,
    Tree,
};
use btdt_test_support::memory_tree::{MemoryMaterializer, MemoryPacker, MemoryTree};
use std::cell::Cell;

/// Calls `change` between each listing and the following pack.
struct Changing<F: Fn(&MemoryTree, u32)> {
    tree: MemoryTree,
    packs: Cell<u32>,
    change: F,
}

impl<F: Fn(&MemoryTree, u32)> Changing<F> {
    fn new(tree: MemoryTree, change: F) -> Self {
        Changing { tree, packs: Cell::new(0), change }
    }
}

impl<F: Fn(&MemoryTree, u32)> Tree for Changing<F> {
    type Sink = Sink;
    type Source = Source;
    type Packer = MemoryPacker;
    type Materializer = MemoryMaterializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        self.tree.root()
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        self.tree.read_directories(paths, follow)
    }

    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
        self.tree.read_file(path, limit)
    }

    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        self.tree.digest_files(paths, algorithm, follow)
    }

    fn pack(&self, sink: &Sink, sizes: CutSizes) -> Result<MemoryPacker, IoError> {
        self.packs.set(self.packs.get() + 1);
        (self.change)(&self.tree, self.packs.get());
        self.tree.pack(sink, sizes)
    }

    fn materialize(
        &self,
        sources: &[&Source],
        placement: Placement,
    ) -> Result<MemoryMaterializer, MaterializeError> {
        self.tree.materialize(sources, placement)
    }
}

fn rewrite(tree: &MemoryTree, path: &[u8], content: &[u8], seconds: i64) {
    tree.remove(path);
    tree.insert_file(path, content, 0o644, at(seconds)).unwrap();
}

#[test]
fn a_file_that_changes_once_is_stored_as_it_is_then() {
    let cache = Cache::new();
    let source = tree(&[("a", b"before"), ("b", b"same")]);
    let changing = Changing::new(source, |tree, pack| {
        if pack == 1 {
            rewrite(tree, b"a", b"after!", 500);
        }
    });
    cache.store("k", &changing);
    assert_eq!(changing.packs.get(), 2);
    cache.expect("k", &changing.tree);
}

#[test]
fn a_large_file_that_grows_is_stored_as_it_is_then() {
    let cache = Cache::new();
    let source = tree(&[("a", &[1; 2 << 20]), ("b", b"same")]);
    let changing = Changing::new(source, |tree, pack| {
        if pack <= 3 {
            rewrite(tree, b"a", &vec![pack as u8; (2 << 20) + pack as usize], 500);
        }
    });
    cache.store("k", &changing);
    assert_eq!(changing.packs.get(), 4);
    cache.expect("k", &changing.tree);
}

#[test]
fn a_file_that_vanishes_is_left_out() {
    let cache = Cache::new();
    let changing = Changing::new(tree(&[("a", b"gone"), ("b", b"same")]), |tree, _| {
        tree.remove(b"a");
    });
    cache.store("k", &changing);
    let (_, restored) = cache.restore("k").unwrap();
    assert_eq!(snapshot(&restored).len(), 2, "the root and b");
}

#[test]
fn a_file_that_always_changes_is_an_error_that_touches_no_key() {
    let cache = Cache::new();
    let old = tree(&[("a", b"old")]);
    cache.store("k", &old);
    let version = Records::get(&cache.storage, &["k".into()]).remove(0).unwrap().unwrap().version;
    let changing = Changing::new(tree(&[("d/", b""), ("d/a", b"x"), ("b", b"y")]), |tree, pack| {
        rewrite(tree, b"d/a", &vec![b'x'; pack as usize + 1], i64::from(pack));
    });
    let error = cache.try_store("k,new", &changing).unwrap_err();
    assert_eq!(error, Error::SourceUnstable(vec![b"d/a".to_vec()]));
    cache.expect("k", &old);
    let now = Records::get(&cache.storage, &["k".into()]).remove(0).unwrap().unwrap().version;
    assert_eq!(now, version);
    assert!(cache.restore("new").is_none());
}

#[test]
fn a_tree_that_vanishes_is_an_error() {
    let cache = Cache::new();
    let changing = Changing::new(tree(&[("a", b"x")]), |tree, _| tree.remove(b""));
    let error = cache.try_store("k", &changing).unwrap_err();
    assert!(
        matches!(error, Error::Source(PathFailure { ref path, .. }) if path.is_empty()),
        "{error}"
    );
    assert!(cache.restore("k").is_none());
}
