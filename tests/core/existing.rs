//! Restores to existing destinations (see `btdt_core::tree::comparison`).

use crate::support::{Cache, at, rich_tree, snapshot, tree};
use btdt_core::cache::LocalCache;
use btdt_core::operations::restore;
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::client::{RestoreRequest, Restored};
use btdt_ports::{MaterializeSummary, Timestamp, Tree};
use btdt_test_support::memory_tree::MemoryTree;
use proptest::prelude::*;

fn restore(cache: &Cache, tree: &MemoryTree, exact: bool) -> MaterializeSummary {
    let request = RestoreRequest { keys: vec!["k".into()], exact, ..RestoreRequest::default() };
    let outcome = restore::restore(
        &request,
        tree,
        &LocalCache::new(&cache.storage, &cache.storage, &cache.environment),
        &cache.environment,
    );
    match outcome.unwrap() {
        Some(Restored { summary, .. }) => summary,
        None => panic!("missed: {:?}", cache.environment.warnings()),
    }
}

/// A cache with a tree of one file.
fn cache_with(content: &[u8], mode: u32, modified: Timestamp) -> Cache {
    let cache = Cache::new();
    cache.store("k", &single(content, mode, modified));
    cache
}

fn single(content: &[u8], mode: u32, modified: Timestamp) -> MemoryTree {
    let tree = MemoryTree::new();
    tree.insert_directory(b"", 0o755, at(1)).unwrap();
    tree.insert_file(b"f", content, mode, modified).unwrap();
    tree
}

const WHOLE: Timestamp = Timestamp { seconds: 77, nanoseconds: 0 };

#[test]
fn an_identical_tree_is_left_alone() {
    let cache = Cache::new();
    cache.store("k", &rich_tree());
    let destination = rich_tree();
    assert_eq!(restore(&cache, &destination, true), MaterializeSummary::default());
    assert_eq!(snapshot(&destination), snapshot(&rich_tree()));
}

#[test]
fn a_file_of_the_same_size_and_time_of_a_clock_stays() {
    let cache = cache_with(b"aaaa", 0o644, at(77));
    let destination = single(b"bbbb", 0o644, at(77));
    assert_eq!(restore(&cache, &destination, false).files_written, 0);
    assert_eq!(destination.read_file(b"f", 10).unwrap(), b"bbbb", "the time is trusted");
}

#[test]
fn a_file_with_a_time_of_whole_seconds_is_compared_by_content() {
    let cache = cache_with(b"aaaa", 0o644, WHOLE);
    for content in [b"bbbb", b"aaaa"] {
        let destination = single(content, 0o644, WHOLE);
        let summary = restore(&cache, &destination, false);
        assert_eq!(summary.files_written, u64::from(content == b"bbbb"));
        assert_eq!(summary.files_kept, u64::from(content == b"aaaa"));
        assert_eq!(snapshot(&destination), snapshot(&single(b"aaaa", 0o644, WHOLE)));
    }
    // The same for a file of several chunks, which cannot be compared and is rewritten.
    let large = |byte| vec![byte; 9 << 20];
    let cache = cache_with(&large(1), 0o644, WHOLE);
    let destination = single(&large(2), 0o644, WHOLE);
    restore(&cache, &destination, false);
    assert!(destination.read_file(b"f", u64::MAX).unwrap() == large(1));
}

#[test]
fn size_time_and_mode_make_a_difference() {
    for modified in [at(77), WHOLE] {
        let cache = cache_with(b"aaaa", 0o755, modified);
        for destination in [
            single(b"aaaaa", 0o755, modified),
            single(b"bbbb", 0o755, at(78)),
            single(b"aaaa", 0o600, modified),
            single(b"aaaa", 0o755, at(78)),
            single(b"", 0o644, WHOLE),
        ] {
            restore(&cache, &destination, false);
            assert_eq!(snapshot(&destination), snapshot(&single(b"aaaa", 0o755, modified)));
        }
    }
    // If the content is known to be right, only the mode is set.
    let cache = cache_with(b"aaaa", 0o755, at(77));
    let destination = single(b"aaaa", 0o600, at(77));
    assert_eq!(restore(&cache, &destination, false).files_written, 0);
}

#[test]
fn exact_removes_what_is_not_in_the_entry_and_nothing_else_does() {
    let cache = Cache::new();
    let wanted = tree(&[("a", b"1"), ("d/", b""), ("d/b", b"2")]);
    cache.store("k", &wanted);
    let cluttered = || {
        let tree = tree(&[("a", b"1"), ("d/", b""), ("d/b", b"old"), ("d/x", b"3"), ("y/", b"")]);
        tree.insert_file(b"y/z", b"4", 0o600, at(4)).unwrap();
        tree.insert_symlink(b"zz", b"a", at(4)).unwrap();
        tree
    };
    let destination = cluttered();
    restore(&cache, &destination, false);
    for kept in ["d/x", "y/z"] {
        assert!(destination.read_file(kept.as_bytes(), 9).is_ok());
    }
    assert_eq!(destination.read_file(b"d/b", 9).unwrap(), b"2");
    let destination = cluttered();
    restore(&cache, &destination, true);
    assert_eq!(snapshot(&destination), snapshot(&wanted));
}

#[test]
fn another_kind_is_replaced() {
    let cache = Cache::new();
    cache.store("k", &rich_tree());
    let destination = tree(&[("a/", b""), ("a/deep", b"x"), ("d", b"a file"), ("s/", b"")]);
    destination.insert_symlink(b"empty", b"d", at(5)).unwrap();
    destination.insert_symlink(b"large", b"nowhere", at(5)).unwrap();
    restore(&cache, &destination, false);
    assert_eq!(snapshot(&destination), snapshot(&rich_tree()));
}

#[test]
fn hard_links_are_made_kept_and_cut() {
    let cache = Cache::new();
    let linked = tree(&[("a", b"one"), ("c", b"two")]);
    linked.insert_hard_link(b"b", b"a").unwrap();
    cache.store("k", &linked);
    let apart = || {
        let tree = tree(&[("a", b"one"), ("c", b"two")]);
        tree.insert_file(b"b", b"one", 0o644, at(10)).unwrap();
        tree
    };
    let destination = apart();
    restore(&cache, &destination, false);
    assert_eq!(snapshot(&destination), snapshot(&linked));
    assert_eq!(restore(&cache, &destination, false), MaterializeSummary::default());

    // A link in the place of a file is not followed.
    cache.store("k", &apart());
    let outside = tree(&[("a", b"one"), ("other", b"?")]);
    outside.insert_hard_link(b"b", b"other").unwrap();
    outside.insert_hard_link(b"c", b"other").unwrap();
    restore(&cache, &outside, false);
    assert_eq!(outside.read_file(b"other", 9).unwrap(), b"?");
    assert_eq!(outside.read_file(b"c", 9).unwrap(), b"two");
}

/// A small tree, with frequent repetitions of names and contents.
fn any_tree() -> impl Strategy<Value = MemoryTree> {
    let entry = (0..3_u8, 0..3_u8, 0..7_u8, 0..3_i64, any::<bool>());
    prop::collection::vec(entry, 0..12).prop_map(|entries| {
        let tree = MemoryTree::new();
        tree.insert_directory(b"", 0o755, at(1)).unwrap();
        for (parent, name, kind, time, whole) in entries {
            let parent = ["", "x/", "x/y/"][parent as usize];
            let path = format!("{parent}{}", ["x", "y", "z"][name as usize]).into_bytes();
            let modified =
                if whole { Timestamp { seconds: time, nanoseconds: 0 } } else { at(time) };
            // Size and time determine the content, as with a real clock.
            let content = vec![b'0' + time as u8; kind as usize];
            let mode = if kind % 2 == 0 { 0o644 } else { 0o755 };
            // Paths that conflict with existing ones are left out.
            let _ = match kind {
                0..3 => tree.insert_directory(&path, 0o700 + u32::from(kind), modified),
                3 => tree.insert_symlink(&path, &content, modified),
                4 => tree.insert_hard_link(&path, b"z"),
                _ => tree.insert_file(&path, &content, mode, modified),
            };
        }
        tree
    })
}

proptest! {
    #[test]
    fn any_tree_can_be_restored_over_any_other(wanted in any_tree(), there in any_tree()) {
        let cache = Cache::new();
        cache.store("k", &wanted);
        let exact = restore(&cache, &there, true);
        prop_assert_eq!(snapshot(&there), snapshot(&wanted), "{:?}", exact);
    }
}

#[test]
fn the_same_on_a_file_system() {
    let cache = Cache::new();
    cache.store("k", &rich_tree());
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("there");
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("d"), "a file").unwrap();
    std::os::unix::fs::symlink(directory.path(), root.join("large")).unwrap();
    let destination = FilesystemTree::new(root);
    let request = RestoreRequest {
        keys: vec!["k".into()],
        prefixes: Vec::new(),
        exact: true,
        checksum: false,
    };
    let storage = &cache.storage;
    for _ in 0..2 {
        restore::restore(
            &request,
            &destination,
            &LocalCache::new(storage, storage, &cache.environment),
            &cache.environment,
        )
        .unwrap();
        assert_eq!(snapshot(&destination), snapshot(&rich_tree()));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
