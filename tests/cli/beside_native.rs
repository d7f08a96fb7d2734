//! The native program and the one under test with one cache: what either stores the other restores,
//! and neither damages what the other has stored.
//!
//! Natively both are the same program, and all of this is as true.

use crate::support::binary::native;
use crate::support::tree::assert_equal;
use crate::support::{OTHER_KEY, Rng, SUCCESS, Sandbox, Tree, TreeBuilder, assert_same, sandbox};

/// A sandbox with a tree of every kind in `src`: modes, links, chunks that compress and that do not.
fn with_a_tree() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .tree("src")
        .sample(1)
        .file("text", "been there, done that\n".repeat(60_000))
        .file("noise", Rng::new(7).bytes(5 << 20))
        .file("zeros", vec![0; 6 << 20])
        .mode("lib/part0", 0o750)
        .mode("lib/part0/f0.bin", 0o700);
    sandbox
}

/// Restores `key` with the native program; the result, without any allowance for the runtime.
#[track_caller]
fn restored_natively(sandbox: &Sandbox, key: &str, dest: &str) -> Tree {
    native(sandbox.root(), sandbox::restore_args("cache", key, dest)).expect(SUCCESS);
    sandbox.snapshot(dest)
}

#[test]
fn what_is_stored_natively_is_restored_here_but_for_what_is_documented() {
    let sandbox = with_a_tree();
    sandbox.store_natively("k", "src");
    sandbox.restore("k", "out").expect(SUCCESS);
    assert_same(&sandbox.snapshot("src"), &sandbox.snapshot("out"), "restored here");
    sandbox.run(["verify", "-c", "cache"]).expect(SUCCESS).says("all is intact");
}

#[test]
fn what_is_stored_here_is_restored_natively_but_for_what_is_documented() {
    let sandbox = with_a_tree();
    sandbox.store("k", "src").expect(SUCCESS);
    let out = restored_natively(&sandbox, "k", "out");
    assert_same(&sandbox.snapshot("src"), &out, "restored natively");
    native(sandbox.root(), ["verify", "-c", "cache"]).expect(SUCCESS).says("all is intact");
}

#[test]
fn both_make_the_same_chunks_of_the_same_content() {
    let sandbox = with_a_tree();
    sandbox.store_natively("native", "src");
    let chunks = |sandbox: &Sandbox| {
        let chunks = sandbox.view().objects(crate::support::Kind::Chunk);
        assert!(chunks.len() > 2, "several chunks");
        chunks
    };
    let before = chunks(&sandbox);
    sandbox.store("here", "src").expect(SUCCESS);
    assert_eq!(chunks(&sandbox), before, "nothing is stored twice");
}

#[test]
fn nothing_done_here_damages_what_was_stored_natively() {
    let sandbox = with_a_tree();
    let source = sandbox.snapshot("src");
    sandbox.store_natively("k,l", "src");
    sandbox.restore("k", "out").expect(SUCCESS);
    sandbox.store("other", "out").expect(SUCCESS);
    sandbox.run(["restore", "-c", "cache", "-k", "x,k", "--exact", "out"]).expect(OTHER_KEY);
    sandbox.run(["verify", "-c", "cache", "--repair"]).expect(SUCCESS);
    sandbox.run(["delete", "-c", "cache", "-k", "other"]).expect(SUCCESS);
    sandbox.clean_twice();
    sandbox.clean(&["--max-age", "7d", "--max-size", "10GiB"]).expect(SUCCESS);
    for key in ["k", "l"] {
        let out = restored_natively(&sandbox, key, &format!("out-{key}"));
        // Modes and all: not a bit of the entry has changed.
        assert_equal(&source, &out, key);
    }
}

#[test]
fn a_store_here_over_a_native_entry_keeps_the_modes_of_what_stayed() {
    let sandbox = with_a_tree();
    sandbox.store_natively("k", "src");
    TreeBuilder::at(sandbox.path("src")).file("more", "new").mode("more", 0o644);
    let source = sandbox.snapshot("src");
    sandbox.store("k", "src").expect(SUCCESS);
    let out = restored_natively(&sandbox, "k", "out");
    // The new file has the usual mode in both, so that this is exact too.
    assert_equal(&source, &out, "stored here over a native entry");
}

#[test]
fn a_restore_here_over_a_native_one_leaves_its_modes_alone() {
    let sandbox = with_a_tree();
    let source = sandbox.snapshot("src");
    sandbox.store_natively("k", "src");
    restored_natively(&sandbox, "k", "out");
    sandbox.restore("k", "out").expect(SUCCESS);
    assert_same(&source, &sandbox.snapshot("out"), "over a native restore");
    // And a native restore puts everything right, whatever was restored here before.
    sandbox.restore("k", "made-here").expect(SUCCESS);
    assert_equal(&source, &restored_natively(&sandbox, "k", "made-here"), "put right natively");
}
