//! Faults 1 to 5 of section 8 of the design: what the original does to entries that exist.

use std::fs;
use std::path::Path;
use std::thread;

use rustix::process::Signal;

use crate::support::cache_view::assert_no_leftovers;
use crate::support::{
    CacheView, ERROR, Kind, NOT_FOUND, Running, SUCCESS, Sandbox, TreeBuilder, number_from_env,
    runtime, same_content, sandbox, vandal,
};

/// The limits of the guide's task, which no entry here reaches.
const LIMITS: [&str; 4] = ["--max-age", "7d", "--max-size", "10GiB"];

/// A sandbox with the sample tree of seed 1 in `good`, stored under `k`.
fn with_a_good_entry() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("good").sample(1);
    sandbox.store("k", "good").expect(SUCCESS);
    sandbox
}

#[track_caller]
fn the_good_entry_is_whole(sandbox: &Sandbox, context: &str) {
    let _ = fs::remove_dir_all(sandbox.path("out"));
    sandbox.restore("k", "out").expect(SUCCESS);
    same_content(&sandbox.snapshot("good"), &sandbox.snapshot("out"), context);
}

/// A store of a large tree under `keys`, stopped by a signal after it began to write; and the tree.
///
/// Other seeds make other trees.
fn store_stopped_in_the_middle(sandbox: &Sandbox, keys: &str, seed: u64) -> (Running, String) {
    for attempt in 0..20 {
        let name = format!("bulk-{seed}-{attempt}");
        sandbox.tree(&name).bulky(1_000 * seed + attempt, 48);
        let before = sandbox.view().len();
        let mut store = sandbox.start(sandbox::store_args("cache", keys, &name));
        while store.is_running() && sandbox.view().len() <= before {
            thread::yield_now();
        }
        store.signal(Signal::STOP);
        if store.is_running() {
            return (store, name);
        }
        store.finish().expect(SUCCESS);
        // It was quicker than we were: back to the start, and another try.
        fs::remove_dir_all(sandbox.path(&name)).unwrap();
        sandbox.tick();
        sandbox.clean(&["--max-age", "0s"]).expect(SUCCESS);
        sandbox.store("k", "good").expect(SUCCESS);
    }
    panic!("a store of 48 MB was never caught in the middle");
}

#[test]
fn fault_01_a_store_of_a_missing_path_damages_nothing() {
    let sandbox = with_a_good_entry();
    sandbox.store("k", "no-such-path").expect(ERROR);
    the_good_entry_is_whole(&sandbox, "after a store of a missing path");
    sandbox.store("k,new", "good/version/not-a-directory").expect(ERROR);
    the_good_entry_is_whole(&sandbox, "after a store below a file");
    assert!(!sandbox.has_key("new"));
}

#[test]
fn fault_01_a_store_of_a_tree_with_a_fifo_damages_nothing() {
    let sandbox = with_a_good_entry();
    TreeBuilder::at(sandbox.path("good")).fifo("pipe");
    sandbox.store("k", "good").expect(SUCCESS).warns();
    TreeBuilder::at(sandbox.path("good")).remove("pipe");
    let _ = fs::remove_dir_all(sandbox.path("out"));
    sandbox.restore("k", "out").expect(SUCCESS);
    same_content(&sandbox.snapshot("good"), &sandbox.snapshot("out"), "a tree with a FIFO");
}

#[test]
fn fault_01_a_killed_store_damages_nothing() {
    let sandbox = with_a_good_entry();
    for seed in 1..4 {
        let (mut store, _) = store_stopped_in_the_middle(&sandbox, "k,new", seed);
        store.signal(Signal::KILL);
        store.finish();
        the_good_entry_is_whole(&sandbox, "after a killed store");
        sandbox.restore("new", "never").expect(NOT_FOUND);
    }
}

#[test]
fn fault_02_a_restore_never_brings_back_an_older_entry() {
    let sandbox = Sandbox::new();
    let versions = 12;
    for seed in 0..versions {
        sandbox.tree(format!("v{seed}")).sample(seed);
    }
    sandbox.store("k", "v0").expect(SUCCESS);
    for round in 1..number_from_env("BTDT_RESTORE_ROUNDS", 60) {
        // Restores that touch the entry's access time before, while and after it is replaced.
        let restores: Vec<_> = (0..4)
            .map(|index| {
                let dest = format!("out-{round}-{index}");
                sandbox.start(sandbox::restore_args("cache", "k", &dest))
            })
            .collect();
        let version = format!("v{}", round % versions);
        sandbox.store("k", &version).expect(SUCCESS);
        for restore in restores {
            restore.finish().expect(SUCCESS);
        }
        let dest = format!("final-{round}");
        sandbox.restore("k", &dest).expect(SUCCESS);
        same_content(&sandbox.snapshot(&version), &sandbox.snapshot(&dest), &version);
    }
}

#[test]
fn fault_03_overwritten_entries_are_collected() {
    let sandbox = Sandbox::new();
    sandbox.make_cache("fresh");
    sandbox.tree("old").bulky(1, 4);
    sandbox.tree("new").bulky(2, 4);
    sandbox.store("k", "old").expect(SUCCESS);
    sandbox.store("k", "new").expect(SUCCESS);
    let args = sandbox::store_args("fresh", "k", "new");
    sandbox.run(args).expect(SUCCESS);
    sandbox.clean_twice();
    let fresh = CacheView::of(&sandbox.path("fresh")).bytes();
    let bytes = sandbox.view().bytes();
    assert!(bytes < fresh + 100_000, "{bytes} bytes, a fresh cache has {fresh}");
    assert_no_leftovers(&sandbox.cache(), &sandbox.path("fresh"));
    sandbox.restore("k", "out").expect(SUCCESS);
    same_content(&sandbox.snapshot("new"), &sandbox.snapshot("out"), "what is left");
}

#[test]
fn fault_04_keys_with_slashes_are_cleaned() {
    let sandbox = with_a_good_entry();
    sandbox.store("feature/branch,a/b/c", "good").expect(SUCCESS);
    sandbox.tick();
    sandbox.clean(&["--max-age", "0s"]).expect(SUCCESS);
    for key in ["k", "feature/branch", "a/b/c"] {
        assert!(!sandbox.has_key(key), "{key}");
    }
    sandbox.clean_twice();
    let view = sandbox.view();
    assert!(view.content().is_empty(), "{view:?}");
}

#[test]
fn fault_04_dots_in_a_key_reveal_nothing() {
    let sandbox = with_a_good_entry();
    fs::write(sandbox.path("secret"), "x").unwrap();
    sandbox.tree("secret-dir");
    // Caches that spread their keys over directories have most of these directories now.
    let keys: Vec<_> = (0..300).map(|index| format!("key-{index}")).collect();
    sandbox.store(keys.join(","), "good").expect(SUCCESS);
    // Each is a start of the program.
    let (ups, detours) = if runtime().starts_slowly { (3, 3) } else { (5, 8) };
    for up in 1..ups {
        for detour in 0..detours {
            for name in ["secret", "secret-dir", "no-such-file"] {
                let key = format!("{}{}{name}", "../".repeat(up), "./".repeat(detour));
                let outcome = sandbox.restore(&key, "out").expect(NOT_FOUND);
                assert_eq!(outcome.stderr, "Keys not found in cache.\n", "{key}");
                assert_eq!(outcome.stdout, "");
            }
        }
    }
    let before = sandbox.snapshot("secret-dir");
    sandbox.store("../secret-dir/x,../../secret", "good").expect(SUCCESS);
    same_content(&before, &sandbox.snapshot("secret-dir"), "beside the cache");
    assert_eq!(fs::read_to_string(sandbox.path("secret")).unwrap(), "x");
}

#[test]
fn fault_05_clean_works_beside_a_store_that_stands_still() {
    let sandbox = with_a_good_entry();
    let (mut store, source) = store_stopped_in_the_middle(&sandbox, "big", 1);
    sandbox.clean(&LIMITS).expect(SUCCESS);
    sandbox.clean_twice();
    store.signal(Signal::CONT);
    store.finish().expect(SUCCESS);
    the_good_entry_is_whole(&sandbox, "beside a stopped store");
    sandbox.restore("big", "big-out").expect(SUCCESS);
    same_content(
        &sandbox.snapshot(source),
        &sandbox.snapshot("big-out"),
        "the store that was stopped",
    );
}

#[test]
fn fault_05_clean_works_after_a_killed_store_and_collects_its_remains() {
    let sandbox = with_a_good_entry();
    let (mut store, _) = store_stopped_in_the_middle(&sandbox, "big", 1);
    store.signal(Signal::KILL);
    store.finish();
    sandbox.clean(&LIMITS).expect(SUCCESS);
    sandbox.clean_twice();
    sandbox.make_cache("fresh");
    sandbox.run(sandbox::store_args("fresh", "k", "good")).expect(SUCCESS);
    assert_no_leftovers(&sandbox.cache(), &sandbox.path("fresh"));
    the_good_entry_is_whole(&sandbox, "after a killed store and three cleans");
}

#[test]
fn fault_05_one_damaged_object_does_not_stop_a_clean() {
    for kind in [Kind::Record, Kind::Manifest] {
        let sandbox = with_a_good_entry();
        let good = sandbox.view().objects(kind);
        sandbox.tree("bad").bulky(2, 2);
        sandbox.store("bad", "bad").expect(SUCCESS);
        sandbox.tree("gone").bulky(3, 4);
        sandbox.store("gone", "gone").expect(SUCCESS);
        sandbox.store("gone", "good").expect(SUCCESS);
        let full = sandbox.view().bytes();
        for object in sandbox.view().objects(kind) {
            if !good.contains(&object) && is_of_the_bad_entry(kind, &object) {
                vandal::replace(&object, b"not an object at all");
            }
        }
        sandbox.clean_twice();
        let left = sandbox.view().bytes();
        assert!(left < full - 3_000_000, "{kind:?}: only {full} - {left} bytes were freed");
        the_good_entry_is_whole(&sandbox, "beside a damaged object");
        sandbox.restore("bad", "bad-out").expect_one_of(&[ERROR, NOT_FOUND]);
    }
}

/// Records carry their key in their name; of manifests all but the good one are fair game.
fn is_of_the_bad_entry(kind: Kind, object: &Path) -> bool {
    match kind {
        Kind::Record => object.file_name().is_some_and(|name| name == "bad"),
        _ => true,
    }
}
