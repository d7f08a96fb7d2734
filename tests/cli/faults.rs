//! The faults of the original 0.4.4, as section 8 of the design numbers them: one test each.
//!
//! Faults 1 to 5 are in `faults_safety`, 9 in `unprivileged`; 11, 12, 15 and 16 and half of 13 are
//! about the server and a remote cache.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::cache_view::assert_no_leftovers;
use crate::support::{
    CacheView, ERROR, NOT_FOUND, Rng, SUCCESS, Sandbox, USAGE, runtime, same_content, sandbox,
    vandal,
};

#[test]
fn fault_06_a_size_that_overflows_does_not_empty_the_cache() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.clean(&["--max-size", "16EiB"]).expect(USAGE).says("--max-size");
    assert!(sandbox.has_key("k"));
}

#[test]
fn fault_06_a_huge_age_is_an_error_and_no_panic() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1);
    sandbox.store("k", "src").expect(SUCCESS);
    let outcome = sandbox.clean(&["--max-age", "100000000000000y"]).expect(USAGE).says("--max-age");
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    // The longest age that can be written: either too long, or no entry is that old.
    let outcome =
        sandbox.clean(&["--max-age", "18446744073709551615s"]).expect_one_of(&[SUCCESS, USAGE]);
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    assert!(sandbox.has_key("k"));
}

/// Damages the largest object; a restore must never end with success and other content.
#[track_caller]
fn damaged_content_is_noticed(damage: impl Fn(&Path, u64)) {
    let sandbox = Sandbox::new();
    // Bytes that look the same everywhere: damage shows in the content, not in a file's header.
    sandbox.tree("src").sample(1).file("data", Rng::new(1).bytes(900_000));
    sandbox.store("k", "src").expect(SUCCESS);
    let object = sandbox.view().largest();
    damage(&object, fs::metadata(&object).unwrap().size());
    sandbox.restore("k", "out").expect_one_of(&[ERROR, NOT_FOUND]).warns();
    assert!(!sandbox.path("out").exists(), "no half of a destination");
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    same_content(&sandbox.snapshot("src"), &sandbox.snapshot("out"), "repaired");
}

#[test]
fn fault_07_a_bit_flip_is_noticed() {
    damaged_content_is_noticed(|object, size| vandal::flip(object, size / 2, 0x10));
}

#[test]
fn fault_07_a_truncated_object_is_noticed() {
    for cut in [1, 512, 1024, 10_000] {
        damaged_content_is_noticed(|object, size| vandal::truncate(object, size - cut));
    }
}

#[test]
fn fault_08_a_single_file_is_no_empty_archive() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("tool", "content of the tool");
    sandbox.store("k", "src/tool").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    assert_eq!(fs::read_to_string(sandbox.path("out")).unwrap(), "content of the tool");
}

#[test]
fn fault_08_hash_without_arguments_is_a_usage_error() {
    let outcome = Sandbox::new().run(["hash"]).expect(USAGE);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn fault_10_hard_links_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("one", "x").hard_link("two", "one");
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    let inode = |name| fs::metadata(sandbox.path(name)).unwrap().ino();
    assert_eq!(inode("out/one"), inode("out/two"));
}

#[test]
fn fault_10_times_of_symlinks_and_directories_and_nanoseconds_are_kept() {
    let sandbox = Sandbox::new();
    sandbox
        .tree("src")
        .file("dir/file", "x")
        .link("link", "dir")
        .time("dir/file", 1_600_000_000, 123_456_789)
        .time("link", 1_500_000_000, 1)
        .time("dir", 1_400_000_000, 999_999_999);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    let time = |name: &str| {
        let metadata = fs::symlink_metadata(sandbox.path(name)).unwrap();
        (metadata.mtime(), metadata.mtime_nsec())
    };
    let mut expected = vec![("dir/file", (1_600_000_000, 123_456_789))];
    expected.push(("dir", (1_400_000_000, 999_999_999)));
    if runtime().link_times {
        expected.push(("link", (1_500_000_000, 1)));
    }
    for (name, wanted) in expected {
        let actual = time(&format!("out/{name}"));
        assert!(runtime().is_time(wanted, actual), "{name}: {actual:?} instead of {wanted:?}");
    }
}

#[test]
fn fault_13_the_first_key_that_is_not_empty_is_the_primary() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1);
    sandbox.store("k", "src").expect(SUCCESS);
    let outcome = sandbox.restore(",k", "out").expect(SUCCESS);
    assert_eq!(outcome.stdout, "Restored key k\n");
}

#[test]
fn fault_14_clean_works_on_a_fresh_cache() {
    let sandbox = Sandbox::new();
    sandbox.clean(&[]).expect(SUCCESS);
    let limits = ["--max-age", "7d", "--max-size", "10GiB"];
    sandbox.make_cache("other");
    let mut args = vec!["clean", "-c", "other"];
    args.extend(limits);
    sandbox.run(args).expect(SUCCESS);
    sandbox.clean(&limits).expect(SUCCESS);
}

#[test]
fn fault_14_clean_without_limits_collects_what_leaked() {
    let sandbox = Sandbox::new();
    sandbox.make_cache("fresh");
    for seed in 0..4 {
        let name = format!("src{seed}");
        sandbox.tree(&name).bulky(seed, 2);
        sandbox.store("k", &name).expect(SUCCESS);
    }
    sandbox.run(sandbox::store_args("fresh", "k", "src3")).expect(SUCCESS);
    sandbox.clean_twice();
    let fresh = CacheView::of(&sandbox.path("fresh")).bytes();
    let bytes = sandbox.view().bytes();
    assert!(bytes < fresh + 100_000, "{bytes} bytes, a fresh cache has {fresh}");
    assert_no_leftovers(&sandbox.cache(), &sandbox.path("fresh"));
}
