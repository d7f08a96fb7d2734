//! Hosts like those on WASI, which know neither permission bits nor the targets of absolute links:
//! they keep what another host stored, and warn about what they cannot see.

use crate::support::{Cache, TestEnvironment, at, snapshot, tree};
use btdt_core::operations::hash::hash;
use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_ports::client::{Error, Restored};
use btdt_ports::{
    Algorithm, CutSizes, Digest, Entry, FollowLinks, IoError, MaterializeError, Placement, Tree,
};
use btdt_test_support::memory_tree::{MemoryMaterializer, MemoryPacker, MemoryTree};

/// A tree as seen through WASI.
struct Modeless<'tree>(&'tree MemoryTree);

fn as_seen(entry: Entry) -> Entry {
    let target = entry.target.filter(|target| !target.starts_with(b"/"));
    Entry { mode: None, target, ..entry }
}

impl Tree for Modeless<'_> {
    type Sink = Sink;
    type Source = Source;
    type Packer = MemoryPacker;
    type Materializer = MemoryMaterializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        Ok(self.0.root()?.map(as_seen))
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        let listed = self.0.read_directories(paths, follow).into_iter();
        listed.map(|entries| Ok(entries?.into_iter().map(as_seen).collect())).collect()
    }

    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
        self.0.read_file(path, limit)
    }

    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        self.0.digest_files(paths, algorithm, follow)
    }

    fn pack(&self, sink: &Sink, sizes: CutSizes) -> Result<MemoryPacker, IoError> {
        self.0.pack(sink, sizes)
    }

    fn materialize(
        &self,
        sources: &[&Source],
        placement: Placement,
    ) -> Result<MemoryMaterializer, MaterializeError> {
        self.0.materialize(sources, placement)
    }
}

fn modes(tree: &impl Tree, directory: &str) -> Vec<(String, Option<u32>)> {
    let listed = tree.read_directories(&[directory.as_bytes().to_vec()], FollowLinks::Never);
    let entries = listed.into_iter().flat_map(|entries| entries.unwrap());
    entries.map(|entry| (String::from_utf8(entry.name).unwrap(), entry.mode)).collect()
}

#[test]
fn a_round_trip_keeps_the_modes_of_the_entry() {
    let cache = Cache::new();
    let source = tree(&[("bin/", b""), ("data", b"1")]);
    source.insert_file(b"bin/run", b"#!/bin/sh", 0o750, at(50)).unwrap();
    cache.store("k", &source);

    // What such a host stores after one file was changed and another added.
    let (_, copy) = cache.restore("k").unwrap();
    copy.remove(b"data");
    copy.insert_file(b"data", b"2", 0o600, at(60)).unwrap();
    copy.insert_file(b"new", b"", 0o600, at(61)).unwrap();
    cache.store("k", &Modeless(&copy));

    let (_, restored) = cache.restore("k").unwrap();
    assert_eq!(modes(&restored, "bin"), [("run".to_owned(), Some(0o750))]);
    let [bin, data, new] = ["bin", "data", "new"].map(str::to_owned);
    let default = modes(&restored, "").pop().unwrap().1;
    let expected = [(bin, Some(0o700)), (data, Some(0o644)), (new, default)];
    assert_eq!(modes(&restored, ""), expected);
    assert_eq!(restored.read_file(b"data", 10), Ok(b"2".to_vec()));
}

#[test]
fn a_first_store_and_a_damaged_entry_give_no_modes_and_do_no_harm() {
    let cache = Cache::new();
    let source = tree(&[("a", b"alpha")]);
    let summary = cache.store("k", &Modeless(&source));
    assert!(cache.manifest(summary.manifest).lacks_modes());

    let native = cache.store("k", &source);
    assert!(!cache.manifest(native.manifest).lacks_modes());
    cache.remove(btdt_ports::ObjectKind::Manifest, native.manifest);
    let again = cache.store("k", &Modeless(&source));
    assert_eq!(again.manifest, summary.manifest);
}

#[test]
fn what_is_there_is_not_written_again_for_modes_that_nobody_can_see() {
    let cache = Cache::new();
    let source = tree(&[("bin/", b""), ("bin/run", b"#!/bin/sh"), ("data", b"1")]);
    cache.store("k", &source);
    let copy = tree(&[("bin/", b""), ("bin/run", b"#!/bin/sh"), ("data", b"1")]);
    let outcome = cache.try_restore("k", &Modeless(&copy)).unwrap();
    let Some(Restored { summary, .. }) = outcome else { panic!("a miss") };
    assert_eq!((summary.files_written, summary.bytes_written), (0, 0));
    assert_eq!(snapshot(&copy), snapshot(&source));
}

#[test]
fn a_hash_says_where_it_does_not_know_what_is_executable() {
    let environment = TestEnvironment::new();
    let files: &[(&str, &[u8])] = &[("bin/", b""), ("bin/run", b"#!/bin/sh")];
    let (source, empty) = (tree(files), tree(&[]));
    let file = MemoryTree::new();
    file.insert_file(b"", b"content", 0o644, at(1)).unwrap();
    let hashed = |trees: &[&Modeless<'_>], algorithm| hash(trees, algorithm, &environment).unwrap();
    let (modeless, empty, file) = (Modeless(&source), Modeless(&empty), Modeless(&file));

    let known = hash(&[&source], Algorithm::Sha256, &environment).unwrap();
    assert_eq!(environment.warnings(), [""; 0]);
    assert_eq!(hashed(&[&modeless], Algorithm::Sha256), known);
    environment.expect_warning(&["executable"]);
    hashed(&[&file, &empty], Algorithm::Sha256);
    environment.expect_warning(&["executable"]);
    // In these cases executable bits do not count.
    hashed(&[&file], Algorithm::Sha256);
    hashed(&[&empty], Algorithm::Sha256);
    hashed(&[&modeless], Algorithm::Blake3);
    assert_eq!(environment.warnings(), [""; 0]);
}

#[test]
fn links_that_cannot_be_read_are_left_out_and_named() {
    let cache = Cache::new();
    let source = tree(&[("a", b"alpha")]);
    for (name, target) in [("l1", "/etc"), ("l2", "/"), ("near", "a"), ("l3", "/x"), ("l4", "/y")] {
        source.insert_symlink(name.as_bytes(), target.as_bytes(), at(70)).unwrap();
    }
    cache.store("k", &Modeless(&source));
    cache.environment.expect_warning(&["4 are not stored", "(l1, l2, l3, …)", "docs/wasi.md"]);
    let (_, restored) = cache.restore("k").unwrap();
    let names: Vec<String> = modes(&restored, "").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "near"]);

    // A hash without the link would be a wrong key.
    let failed = hash(&[&Modeless(&source)], Algorithm::Sha256, &cache.environment).unwrap_err();
    let expected = IoError::new(btdt_ports::IoErrorKind::Unsupported);
    assert_eq!(failed, (0, Error::source(b"l1", expected)));
    cache.environment.expect_warning(&["l1", "docs/wasi.md"]);
}

#[test]
fn links_that_cannot_be_read_are_those_of_the_entry_that_is_replaced() {
    let cache = Cache::new();
    let source = tree(&[("a", b"alpha")]);
    source.insert_symlink(b"old", b"/usr/bin/old", at(70)).unwrap();
    source.insert_symlink(b"moved", b"/usr/bin/moved", at(71)).unwrap();
    cache.store("k", &source);
    let [before, now] = [cache.restore("k").unwrap().1, tree(&[("a", b"alpha")])];
    now.insert_symlink(b"old", b"/usr/bin/old", at(70)).unwrap();
    now.insert_symlink(b"moved", b"/usr/bin/other", at(80)).unwrap();
    now.insert_symlink(b"new", b"/usr/bin/new", at(81)).unwrap();

    cache.store("k", &Modeless(&before));
    assert_eq!(snapshot(&cache.restore("k").unwrap().1), snapshot(&source));
    assert_eq!(cache.environment.warnings(), [""; 0]);

    cache.store("k", &Modeless(&now));
    cache.environment.expect_warning(&["2 are not stored (moved, new)"]);
    let (_, restored) = cache.restore("k").unwrap();
    let listed = restored.read_directories(&[Vec::new()], FollowLinks::Never).remove(0).unwrap();
    let found: Vec<_> = listed.into_iter().map(|entry| (entry.name, entry.target)).collect();
    assert_eq!(found, [(b"a".to_vec(), None), (b"old".to_vec(), Some(b"/usr/bin/old".to_vec()))]);
}

#[test]
fn a_store_of_what_could_not_be_restored_says_what_is_missing() {
    let cache = Cache::new();
    let source = tree(&[("bin/", b""), ("a", b"alpha")]);
    source.insert_symlink(b"bin/python", b"/usr/bin/python3", at(70)).unwrap();
    cache.store("k", &source);
    let (_, copy) = cache.restore("k").unwrap();
    copy.remove(b"bin/python");
    cache.store("k", &Modeless(&copy));
    cache.environment.expect_warning(&["1 symbolic link (bin/python)", "docs/wasi.md"]);
    cache.store("k", &Modeless(&copy));
    assert_eq!(cache.environment.warnings(), [""; 0]);
}

#[test]
fn modes_are_those_of_the_first_key_that_knows_them() {
    let cache = Cache::new();
    let source = tree(&[]);
    source.insert_file(b"run", b"1", 0o755, at(50)).unwrap();
    source.insert_file(b"other", b"2", 0o600, at(51)).unwrap();
    cache.store("latest", &source);
    let (_, copy) = cache.restore("latest").unwrap();
    cache.store("new,latest", &Modeless(&copy));
    for key in ["new", "latest"] {
        let expected = [("other".to_owned(), Some(0o600)), ("run".to_owned(), Some(0o755))];
        assert_eq!(modes(&cache.restore(key).unwrap().1, ""), expected, "{key}");
    }
}

#[test]
fn every_name_of_a_file_keeps_its_mode() {
    let cache = Cache::new();
    let source = tree(&[]);
    source.insert_file(b"run", b"1", 0o755, at(50)).unwrap();
    source.insert_hard_link(b"run2", b"run").unwrap();
    cache.store("k", &source);
    let copy = tree(&[("run2", b"1")]);
    cache.store("k", &Modeless(&copy));
    let expected = [("run2".to_owned(), Some(0o755))];
    assert_eq!(modes(&cache.restore("k").unwrap().1, ""), expected);
}
