//! Damage is a miss with a warning, never wrong content, and the next store heals it.

use crate::support::{Cache, rich_tree, snapshot, tree};
use btdt_ports::client::{Error, Restored};
use btdt_ports::{Digest, ObjectKind, Objects, Records, Tree};
use btdt_test_support::memory_tree::MemoryTree;

/// Calls `test` with a new cache for each way of damaging an object.
fn for_each_damage(kind: ObjectKind, test: impl Fn(&Cache, Digest, &str)) {
    for damage in ["flip", "header", "cut", "empty", "longer", "another", "gone"] {
        let cache = Cache::new();
        cache.store("other", &tree(&[("z", b"another tree")]));
        let others = cache.live(kind);
        cache.store("k", &rich_tree());
        let mut mine = cache.live(kind);
        mine.retain(|digest| !others.contains(digest));
        let digest = mine[0];
        let mut stored = cache.storage.stored(kind, digest).unwrap().to_vec();
        match damage {
            "flip" => *stored.last_mut().unwrap() ^= 1,
            "header" => stored[0] ^= 1,
            "cut" => stored.truncate(stored.len() - 1),
            "empty" => stored.clear(),
            "longer" => stored.push(0),
            "another" => stored = cache.storage.stored(kind, others[0]).unwrap().to_vec(),
            _ => {}
        }
        if damage == "gone" {
            cache.remove(kind, digest);
        } else {
            cache.storage.replace_stored(kind, digest, &stored);
        }
        test(&cache, digest, damage);
    }
}

fn expect_healed(cache: &Cache, damage: &str) {
    cache.store("k", &rich_tree());
    assert_eq!(cache.environment.warnings(), Vec::<String>::new(), "{damage}");
    cache.expect("k", &rich_tree());
    assert!(cache.storage.list_aside().unwrap().is_empty(), "{damage}");
}

/// Any damage to an object of this kind is a miss, and the next store heals the entry.
fn is_a_miss_and_heals(kind: ObjectKind) {
    for_each_damage(kind, |cache, digest, damage| {
        assert!(cache.restore("k").is_none(), "{damage}");
        cache.environment.expect_warning(&["key k cannot be used", &digest.to_hex()]);
        let (key, _) = cache.restore("k,other").unwrap();
        assert_eq!(key, "other");
        cache.environment.warnings();
        expect_healed(cache, damage);
    });
}

#[test]
fn a_damaged_manifest_is_a_miss_and_heals() {
    is_a_miss_and_heals(ObjectKind::Manifest);
}

#[test]
fn a_damaged_chunk_is_a_miss_and_heals() {
    is_a_miss_and_heals(ObjectKind::Chunk);
}

#[test]
fn a_damaged_chunk_that_is_found_in_place_is_an_error_or_a_miss() {
    for_each_damage(ObjectKind::Chunk, |cache, _, damage| {
        let destination = tree(&[("mine", b"precious")]);
        let before = snapshot(&destination);
        match cache.try_restore("k", &destination) {
            // The destination is untouched.
            Ok(None) => assert_eq!(snapshot(&destination), before, "{damage}"),
            Err(Error::Incomplete) => {}
            other => panic!("{damage}: {other:?}"),
        }
        assert_eq!(destination.read_file(b"mine", 100).as_deref(), Ok(&b"precious"[..]));
        cache.environment.expect_warning(&["key k cannot be used"]);

        // The next candidate is tried, and restored.
        let (stale, request) = (tree(&[("mine", b"precious")]), "k,other");
        let outcome = cache.try_restore(request, &stale).unwrap();
        assert!(matches!(outcome, Some(Restored { primary: false, .. })), "{damage}");
        assert_eq!(stale.read_file(b"z", 100).as_deref(), Ok(&b"another tree"[..]));
        cache.environment.warnings();
        expect_healed(cache, damage);
    });
}

#[test]
fn a_store_replaces_a_damaged_manifest_that_nobody_has_read() {
    for_each_damage(ObjectKind::Manifest, |cache, _, damage| expect_healed(cache, damage));
}

#[test]
fn a_damaged_record_is_a_miss_and_heals() {
    let cache = Cache::new();
    let entry = rich_tree();
    cache.store("k,other", &entry);
    let get = |name: &str| {
        let record = Records::get(&cache.storage, &[name.to_owned()]).remove(0);
        record.unwrap().unwrap().value
    };
    let good = get("k");
    let mut flipped = good.clone();
    flipped[50] ^= 4;
    for bad in [&b""[..], b"garbage", &good[..good.len() - 1], &flipped] {
        Records::put(&cache.storage, "k", bad).unwrap();
        assert!(cache.restore("k").is_none());
        cache.environment.expect_warning(&["key k cannot be used", "damaged"]);
        assert_eq!(cache.restore("k,other").unwrap().0, "other");
        cache.environment.warnings();
        cache.store("k", &entry);
        cache.expect("k", &entry);
    }
    // A record answers only for its own key.
    Records::put(&cache.storage, "k", &get("other")).unwrap();
    assert!(cache.restore("k").is_none());
}

#[test]
fn objects_that_are_set_aside_are_found() {
    let cache = Cache::new();
    cache.store("k", &rich_tree());
    let sweep = btdt_ports::SweepId::new(crate::support::at(0), 1);
    for kind in [ObjectKind::Manifest, ObjectKind::Chunk] {
        let live = cache.live(kind);
        assert_eq!(cache.storage.set_aside(kind, &live, &sweep), Ok(live.len() as u64));
    }
    cache.expect("k", &rich_tree());
    let destination = tree(&[("mine", b"")]);
    cache.try_restore("k", &destination).unwrap();
    assert_eq!(cache.environment.warnings(), Vec::<String>::new());
    // A store brings them back instead of writing them.
    let summary = cache.store("again", &rich_tree());
    cache.expect("again", &rich_tree());
    assert!(summary.chunks > 0);
    assert!(MemoryTree::new().root().unwrap().is_none());
}
