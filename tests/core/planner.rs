//! Every byte of every file is in exactly one place, in order.

use crate::support::{Cache, at, noise};
use btdt_core::chunking::LARGE;
use btdt_core::manifest::Content;
use btdt_ports::{Digest, ObjectKind, Objects, Tree};
use btdt_test_support::memory_tree::MemoryTree;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Files by name, with their size and the seed of their content.
type Files = Vec<(Vec<u8>, usize, u64)>;

fn files() -> impl Strategy<Value = Files> {
    let large = LARGE as usize;
    let size = prop_oneof![
        4 => 0..4_usize,
        8 => 1..50_000_usize,
        2 => 100_000..400_000_usize,
        1 => Just(large - 1),
        1 => Just(large),
        1 => Just(large + 1),
        1 => large..6 * large,
    ];
    // With few seeds, contents repeat.
    prop::collection::vec((0..12_u8, 0..12_u8, size, 0..4_u64), 0..14).prop_map(|files| {
        let mut names = BTreeSet::new();
        let named = files.into_iter().map(|(directory, name, size, seed)| {
            let directory = if directory < 6 { String::new() } else { format!("d{directory}/") };
            (format!("{directory}f{name}").into_bytes(), size, seed)
        });
        named.filter(|(name, ..)| names.insert(name.clone())).collect()
    })
}

fn build(files: &Files) -> MemoryTree {
    let tree = MemoryTree::new();
    tree.insert_directory(b"", 0o755, at(1)).unwrap();
    for (path, size, seed) in files {
        if let Some(slash) = path.iter().position(|byte| *byte == b'/') {
            // It may exist already.
            let _ = tree.insert_directory(&path[..slash], 0o755, at(2));
        }
        tree.insert_file(path, &noise(*seed, *size), 0o644, at(3)).unwrap();
    }
    tree
}

fn check_extents(cache: &Cache, digest: Digest, tree: &MemoryTree) -> usize {
    let manifest = cache.manifest(digest);
    let chunks: Vec<Vec<u8>> = manifest
        .chunks()
        .iter()
        .map(|chunk| {
            let limit = u64::from(chunk.raw_size);
            let raw = Objects::get(&cache.storage, ObjectKind::Chunk, chunk.digest, limit).unwrap();
            assert_eq!(raw.len() as u64, limit);
            raw
        })
        .collect();
    let mut used = vec![false; chunks.len()];
    let mut files = 0;
    for (number, node) in manifest.nodes() {
        let Content::File(extents) = node.content else { continue };
        files += 1;
        let mut content = Vec::new();
        for extent in extents {
            used[extent.chunk as usize] = true;
            let chunk = &chunks[extent.chunk as usize];
            content.extend_from_slice(&chunk[extent.offset as usize..][..extent.length as usize]);
        }
        let path = manifest.path(number);
        assert!(content == tree.read_file(&path, u64::MAX).unwrap(), "{path:?}");
    }
    assert!(used.iter().all(|used| *used), "no chunk is there for nothing");
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 64, ..Default::default() })]

    #[test]
    fn every_byte_is_stored_once_and_in_order(files in files()) {
        let tree = build(&files);
        let cache = Cache::new();
        let summary = cache.store("k", &tree);
        let found = check_extents(&cache, summary.manifest, &tree);
        prop_assert_eq!(found, files.len());
        prop_assert_eq!(summary.files, files.len() as u64);
        prop_assert_eq!(summary.raw_size, files.iter().map(|(_, size, _)| *size as u64).sum::<u64>());
        cache.expect("k", &tree);

        // Equal trees have equal manifests, regardless of where and in which order they were created.
        let again: Files = files.iter().rev().cloned().collect();
        let elsewhere = Cache::new().store("other", &build(&again));
        prop_assert_eq!(elsewhere.manifest, summary.manifest);
        prop_assert_eq!(elsewhere.chunks, summary.chunks);
    }
}

#[test]
fn what_is_there_is_not_stored_again() {
    let cache = Cache::new();
    let files: Files = (0..40).map(|n| (format!("f{n:02}").into_bytes(), 90_000, n)).collect();
    let first = cache.store("one", &build(&files));
    assert!(first.chunks > 2, "{first:?}");
    assert_eq!(first.new_chunks, first.chunks);
    let again = cache.store("two", &build(&files));
    assert_eq!((again.manifest, again.new_chunks), (first.manifest, 0));

    let mut changed = files;
    changed[20].2 = 1000;
    let changed = cache.store("three", &build(&changed));
    assert_eq!(changed.new_chunks, 1, "one file changed, and so one bundle");
}

#[test]
fn a_file_is_stored_and_restored_as_a_file() {
    for size in [0, 1, 5_000_000] {
        let cache = Cache::new();
        let tree = MemoryTree::new();
        tree.insert_file(b"", &noise(1, size), 0o600, at(5)).unwrap();
        cache.store("k", &tree);
        cache.expect("k", &tree);
    }
}
