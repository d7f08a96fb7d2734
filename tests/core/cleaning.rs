//! What `clean` removes, and what it keeps.

use crate::support::{Cache, TestEnvironment, noise, rich_tree, store_in, tree};
use btdt_core::operations::clean;
use btdt_core::storage::record::Record;
use btdt_core::storage::retention::Limits;
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::client::{CleanRequest, Swept};
use btdt_ports::{Digest, Leftovers, ObjectKind, Objects, Records};
use btdt_test_support::memory_tree::MemoryTree;
use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};

fn max_age(seconds: u64) -> Limits {
    Limits { max_age: Some(seconds), max_size: None }
}

fn max_size(bytes: u64) -> Limits {
    Limits { max_age: None, max_size: Some(bytes) }
}

/// A tree with a stored size of about so many bytes.
fn sized(seed: u64, bytes: usize) -> MemoryTree {
    tree(&[("f", &noise(seed, bytes))])
}

fn keys(cache: &Cache) -> Vec<String> {
    Records::list(&cache.storage, "", None, u32::MAX).unwrap()
}

fn stored_bytes(cache: &Cache) -> u64 {
    let kinds = [ObjectKind::Chunk, ObjectKind::Manifest];
    let size = |kind| {
        let live = cache.live(kind).into_iter();
        live.map(|digest| cache.storage.stored(kind, digest).unwrap().len() as u64).sum::<u64>()
    };
    kinds.into_iter().map(size).sum()
}

#[test]
fn an_empty_cache_is_clean() {
    let cache = Cache::new();
    let summary = cache.clean(max_age(0), 0);
    assert_eq!(summary.swept, Some(Swept::default()));
    assert_eq!((summary.removed, summary.kept), (0, 0));
}

#[test]
fn what_was_not_used_for_too_long_goes() {
    let cache = Cache::new();
    cache.store("stored", &sized(1, 10));
    cache.store("restored", &sized(2, 10));
    cache.environment.pass(100);
    cache.restore("restored").unwrap();
    cache.store("new", &sized(3, 10));
    cache.environment.pass(50);
    let summary = cache.clean(max_age(60), 0);
    assert_eq!((summary.removed, summary.kept), (1, 2));
    assert_eq!(keys(&cache), ["new", "restored"]);
    assert_eq!(cache.clean(max_age(u64::MAX), 0).removed, 0);
    assert_eq!(cache.clean(max_age(51), 0).removed, 0);
    assert_eq!(cache.clean(max_age(0), 0).removed, 2);
}

#[test]
fn the_least_recently_used_go_until_the_rest_fits() {
    let cache = Cache::new();
    for (key, seed) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        cache.store(key, &sized(seed, 10_000));
    }
    cache.environment.pass(1);
    cache.restore("a").unwrap();
    let all = cache.clean(Limits::default(), 0);
    assert_eq!(all.kept_bytes, stored_bytes(&cache));
    assert_eq!(cache.clean(max_size(all.kept_bytes), 0).removed, 0);
    let summary = cache.clean(max_size(all.kept_bytes - 1), 0);
    assert_eq!((summary.removed, keys(&cache)), (1, vec!["a".into(), "c".into(), "d".into()]));
    let summary = cache.clean(max_size(11_000), 0);
    assert_eq!((summary.removed, keys(&cache)), (2, vec!["a".to_owned()]));
    assert!(summary.kept_bytes <= 11_000);
    cache.expect("a", &sized(1, 10_000));
    cache.clean(max_size(11_000), 0);
    assert_eq!(stored_bytes(&cache), summary.kept_bytes);
    assert_eq!(cache.clean(max_size(0), 0).removed, 1);
}

#[test]
fn what_is_shared_counts_once_and_stays_while_one_needs_it() {
    let cache = Cache::new();
    cache.store("one,two", &sized(1, 50_000));
    // The same chunk in another manifest.
    let other = tree(&[("g", &noise(1, 50_000))]);
    cache.environment.pass(10);
    cache.store("three", &other);
    assert_eq!(cache.live(ObjectKind::Chunk).len(), 1);
    assert_eq!(cache.clean(max_size(51_000), 0).removed, 0);
    // Evicting the two old keys frees only their manifest; the chunk stays.
    let summary = cache.clean(max_age(5), 0);
    assert_eq!((summary.removed, summary.kept), (2, 1));
    cache.clean(Limits::default(), 0);
    assert_eq!(cache.live(ObjectKind::Manifest).len(), 1);
    cache.expect("three", &other);
}

#[test]
fn garbage_goes_in_two_steps() {
    let cache = Cache::new();
    cache.store("k", &sized(1, 1000));
    cache.store("k", &sized(2, 1000));
    let first = cache.clean(Limits::default(), 1).swept.unwrap();
    assert_eq!((first.set_aside, first.deleted), (2, 0));
    cache.environment.pass(1);
    let second = cache.clean(Limits::default(), 1).swept.unwrap();
    assert_eq!((second.set_aside, second.deleted), (0, 2));
    assert_eq!(second.deleted_bytes, first.set_aside_bytes);
    cache.expect("k", &sized(2, 1000));

    // Without a grace period, one clean does both steps.
    cache.store("k", &sized(3, 1000));
    let both = cache.clean(Limits::default(), 0).swept.unwrap();
    assert_eq!((both.set_aside, both.deleted), (0, 2));
    assert!(both.deleted_bytes > 1000 && both.set_aside_bytes == 0);
    cache.expect("k", &sized(3, 1000));
}

#[test]
fn the_grace_period_is_kept() {
    let cache = Cache::new();
    cache.store("k", &sized(1, 1000));
    cache.store("k", &sized(2, 1000));
    // Another process is active, so young objects may belong to a store.
    let held = cache.storage.lock(btdt_ports::LockMode::Shared).unwrap();
    assert_eq!(cache.clean(Limits::default(), 3600).swept.unwrap().set_aside, 0);
    cache.environment.pass(3601);
    assert_eq!(cache.clean(Limits::default(), 3600).swept.unwrap().set_aside, 2);
    drop(held);
    cache.environment.pass(3599);
    assert_eq!(cache.clean(Limits::default(), 3600).swept.unwrap().deleted, 0);
    // An object that was set aside is needed again.
    cache.store("k", &sized(1, 1000));
    cache.environment.pass(2);
    let swept = cache.clean(Limits::default(), 3600).swept.unwrap();
    assert_eq!(swept.deleted, 0);
    cache.expect("k", &sized(1, 1000));
}

#[test]
fn damaged_entries_are_removed_and_the_rest_is_cleaned() {
    let cache = Cache::new();
    cache.store("gone", &sized(1, 10));
    let gone = cache.live(ObjectKind::Manifest)[0];
    cache.store("flipped", &sized(2, 10));
    let flipped = cache.live(ObjectKind::Manifest).into_iter().find(|digest| *digest != gone);
    cache.store("well", &rich_tree());
    cache.store("garbage", &sized(3, 10));
    cache.remove(ObjectKind::Manifest, gone);
    cache.storage.replace_stored(ObjectKind::Manifest, flipped.unwrap(), b"BTDT and then nothing");
    Records::put(&cache.storage, "record", b"garbage").unwrap();
    let garbage = Records::get(&cache.storage, &["garbage".into()]).remove(0).unwrap().unwrap();
    assert_eq!(cache.storage.delete("garbage", &garbage.version), Ok(true));

    // The store may be in the middle of its commit and about to write the missing part.
    let summary = cache.clean(Limits::default(), 0);
    assert_eq!((summary.removed, summary.damaged, summary.kept), (0, 2, 1));
    // One of them twice, because a clean without a grace period has two passes.
    assert_eq!(cache.environment.warnings().len(), 4);
    assert_eq!(keys(&cache), ["gone", "well"]);
    cache.environment.pass(24 * 3600);
    let summary = cache.clean(Limits::default(), 0);
    assert_eq!((summary.removed, summary.damaged, summary.kept), (0, 1, 1));
    cache.environment.expect_warning(&["removing the entry of key gone"]);
    assert_eq!(keys(&cache), ["well"]);
    cache.clean(Limits::default(), 0);
    assert_eq!(cache.live(ObjectKind::Manifest).len(), 1);
    cache.expect("well", &rich_tree());
    assert_eq!(cache.environment.warnings(), Vec::<String>::new());
}

#[test]
fn a_manifest_of_a_later_version_keeps_everything() {
    let cache = Cache::new();
    let summary = cache.store("later", &rich_tree());
    let kind = ObjectKind::Manifest;
    let mut encoded = Objects::get(&cache.storage, kind, summary.manifest, u64::MAX).unwrap();
    let place = encoded.windows(8).position(|bytes| bytes == b"version\x01").unwrap();
    encoded[place + 7] = 2;
    let later = Objects::put(&cache.storage, kind, &encoded).unwrap();
    let mut record = record(&cache, "later");
    record.manifest = later.digest;
    Records::put(&cache.storage, "later", &record.encode()).unwrap();
    let chunks = cache.live(ObjectKind::Chunk);
    for _ in 0..3 {
        cache.environment.pass(100_000);
        let summary = cache.clean(Limits::default(), 0);
        assert_eq!((summary.removed, summary.damaged, summary.swept), (0, 0, None));
        assert_eq!(cache.environment.warnings().len(), 2);
    }
    assert_eq!(cache.live(ObjectKind::Chunk), chunks);
    assert_eq!(keys(&cache), ["later"]);
    assert!(cache.restore("later").is_none());
    cache.environment.expect_warning(&["version 2"]);
}

fn record(cache: &Cache, name: &str) -> Record {
    let stored = Records::get(&cache.storage, &[name.to_owned()]).remove(0).unwrap().unwrap();
    Record::decode(&stored.value).unwrap()
}

#[test]
fn a_damaged_chunk_does_not_stop_a_clean() {
    let cache = Cache::new();
    cache.store("k", &rich_tree());
    let chunk: Digest = cache.live(ObjectKind::Chunk)[0];
    cache.storage.replace_stored(ObjectKind::Chunk, chunk, b"");
    cache.store("other", &sized(1, 10));
    let summary = cache.clean(max_size(u64::MAX), 0);
    assert_eq!((summary.kept, summary.damaged), (2, 0));
    assert!(summary.swept.is_some());
}

#[test]
fn leftovers_of_dead_processes_go_after_the_grace_period() {
    let directory = tempfile::tempdir().unwrap();
    let storage = FilesystemStorage::open(directory.path()).unwrap();
    let environment = TestEnvironment::new();
    store_in(&storage, &environment, "k", &rich_tree()).unwrap();
    let leave = |name: &str, seconds: u64| {
        let path = directory.path().join("tmp").join(name);
        fs::write(&path, b"12345").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        path
    };
    // The environment's clock starts at 1,000,000 seconds.
    let (old, young) = (leave("old", 900_000), leave("young", 999_000));
    let request = CleanRequest { max_age: None, max_size: None, grace_period: 3600 };
    let summary = clean::clean(&request, &storage, &storage, &environment).unwrap();
    assert_eq!(summary.leftovers, Leftovers { files: 1, bytes: 5 });
    assert!(!old.exists() && young.exists());
    assert_eq!(summary.kept, 1);
}
