//! A cache that lies in the tree that is stored or restored.

use crate::support::{ERROR, SUCCESS, Sandbox};

#[test]
fn a_cache_in_the_source_is_left_out() {
    let sandbox = Sandbox::new();
    sandbox.tree("work").file("file", "content").file("a [b]! c/other", "x");
    std::fs::create_dir(sandbox.path("work/a [b]! c/cache")).unwrap();
    for _ in 0..2 {
        sandbox
            .run(["store", "-c", "work/a [b]! c/cache", "-k", "k", "work"])
            .expect(SUCCESS)
            .says("Stored 2 files");
    }
    sandbox.run(["restore", "-c", "work/a [b]! c/cache", "-k", "k", "out"]).expect(SUCCESS);
    assert_eq!(sandbox.snapshot("out").names(), ["a [b]! c", "a [b]! c/other", "file"]);
}

#[test]
fn a_cache_is_not_stored_in_itself() {
    let sandbox = Sandbox::new();
    let stored = sandbox.run(["store", "-c", "cache", "-k", "k", "cache"]);
    stored.expect(ERROR).says("This is the cache itself");
}

#[test]
fn an_exact_restore_does_not_delete_its_own_cache() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "content");
    sandbox.store("k", "src").expect(SUCCESS);
    let exact = sandbox.run(["restore", "-c", "cache", "-k", "k", "--exact", "."]);
    exact.expect(ERROR).says("--exact would delete from the cache");
    let inside = sandbox.run(["restore", "-c", "cache", "-k", "k", "--exact", "cache/chunks"]);
    inside.expect(ERROR).says("--exact would delete from the cache");
    assert!(sandbox.has_key("k"));
    sandbox.run(["restore", "-c", "cache", "-k", "k", "."]).expect(SUCCESS);
    assert!(sandbox.has_key("k"));
}
