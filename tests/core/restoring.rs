//! Which entry a restore chooses.

use crate::support::{Cache, rich_tree, snapshot, tree};
use btdt_core::cache::LocalCache;
use btdt_core::operations::restore;
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::Tree;
use btdt_ports::client::{Error, RestoreRequest, Restored};
use btdt_test_support::memory_tree::MemoryTree;

fn request(keys: &[&str], prefixes: &[&str]) -> RestoreRequest {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    RestoreRequest { keys: owned(keys), prefixes: owned(prefixes), exact: false, checksum: false }
}

/// The restored key, and whether it is the primary one.
fn found(cache: &Cache, keys: &[&str], prefixes: &[&str]) -> Option<(String, bool)> {
    let tree = MemoryTree::new();
    let request = request(keys, prefixes);
    let local = LocalCache::new(&cache.storage, &cache.storage, &cache.environment);
    let restored = restore::restore(&request, &tree, &local, &cache.environment).unwrap();
    restored.map(|Restored { key, primary, .. }| (key, primary))
}

#[test]
fn keys_are_tried_in_their_order_and_then_prefixes() {
    let cache = Cache::new();
    for key in ["p-old", "x", "q-1", "p-new"] {
        cache.store(key, &tree(&[("name", key.as_bytes())]));
    }
    let some = |key: &str, primary| Some((key.to_owned(), primary));
    assert_eq!(found(&cache, &["x", "p-old"], &["p"]), some("x", true));
    assert_eq!(found(&cache, &["none", "p-old", "x"], &["q"]), some("p-old", false));
    assert_eq!(found(&cache, &["", "x"], &[]), some("x", true));
    assert_eq!(found(&cache, &["none"], &["p-"]), some("p-new", false));
    assert_eq!(found(&cache, &["none"], &["none", "q", "p"]), some("q-1", false));
    assert_eq!(found(&cache, &[], &["p-"]), some("p-new", false));
    assert_eq!(found(&cache, &["none"], &["", "o"]), None);
    assert_eq!(found(&cache, &["none"], &[]), None);
    // The time of the last store counts, not that of the first one.
    cache.store("p-old", &tree(&[("name", b"again")]));
    assert_eq!(found(&cache, &["none"], &["p-"]), some("p-old", false));
    assert_eq!(cache.environment.warnings(), Vec::<String>::new());
}

#[test]
fn without_a_key_there_is_an_error() {
    let cache = Cache::new();
    let none = request(&["", ""], &[]);
    let outcome = restore::restore(
        &none,
        &MemoryTree::new(),
        &LocalCache::new(&cache.storage, &cache.storage, &cache.environment),
        &cache.environment,
    );
    assert_eq!(outcome, Err(Error::NoKeys));
    assert_eq!(cache.try_store("", &tree(&[])), Err(Error::NoKeys));
    let invalid = cache.try_store("fine,bad\u{7}", &tree(&[]));
    assert!(matches!(invalid, Err(Error::InvalidKey { .. })));
    assert!(cache.restore("fine").is_none(), "nothing is stored under only some of the keys");
}

#[test]
fn several_keys_are_one_entry() {
    let cache = Cache::new();
    let tree = rich_tree();
    cache.store("a,b/../c,,a,%2e ü", &tree);
    for key in ["a", "b/../c", "%2e ü"] {
        cache.expect(key, &tree);
    }
}

#[test]
fn everything_survives_on_every_backend() {
    let cache = Cache::new();
    let tree = rich_tree();
    cache.store("k", &tree);
    let directory = tempfile::tempdir().unwrap();
    let destination = FilesystemTree::new(directory.path().join("there"));
    cache.try_restore("k", &destination).unwrap();
    assert_eq!(snapshot(&destination), snapshot(&tree));

    cache.store("back", &destination);
    cache.expect("back", &tree);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside");
}

#[test]
fn what_stands_in_the_way_is_an_error_and_stays() {
    let cache = Cache::new();
    let file = MemoryTree::new();
    file.insert_file(b"", b"file", 0o644, crate::support::at(1)).unwrap();
    cache.store("file", &file);
    cache.store("directory", &tree(&[("a", b"x")]));
    let in_the_way = tree(&[("mine", b"precious")]);
    let before = snapshot(&in_the_way);
    assert!(matches!(cache.try_restore("file", &in_the_way), Err(Error::Destination { .. })));
    assert_eq!(snapshot(&in_the_way), before);
    let before = snapshot(&file);
    assert!(matches!(cache.try_restore("directory", &file), Err(Error::Destination { .. })));
    assert_eq!(snapshot(&file), before);
    assert!(file.root().unwrap().is_some());
}
