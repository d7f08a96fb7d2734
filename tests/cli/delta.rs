//! Restoring over something: only what differs is rewritten, and nothing outside is touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::support::build::set_time;
use crate::support::{Rng, SUCCESS, Sandbox, Tree, TreeBuilder, assert_same, runtime};

/// Inode number and change time of every entry: any write, chmod or utimens moves the latter.
type Identities = BTreeMap<Vec<u8>, (u64, i64, i64)>;

fn identities(root: &Path) -> Identities {
    let tree = Tree::of(root);
    tree.nodes
        .keys()
        .map(|name| {
            let path = root.join(std::str::from_utf8(name).unwrap());
            let metadata = fs::symlink_metadata(path).unwrap();
            let identity = (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
            (name.clone(), identity)
        })
        .collect()
}

/// The names whose identity changed or which are new.
fn touched(before: &Identities, after: &Identities) -> Vec<String> {
    after
        .iter()
        .filter(|(name, identity)| before.get(*name) != Some(identity))
        // Whether symlinks have times is tried with one, there.
        .filter(|(name, _)| runtime().link_times || !name.is_empty())
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// A sandbox with the sample tree in `src`, stored under `k` and restored to `out`.
fn restored_once() -> (Sandbox, TreeBuilder) {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1).times_as_the_runtime_sets_them();
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    sandbox.tick();
    let out = TreeBuilder::at(sandbox.path("out"));
    (sandbox, out)
}

/// Restores again and compares the whole destination with the source.
#[track_caller]
fn made_identical(sandbox: &Sandbox, flags: &[&str]) {
    let mut args = vec!["restore", "-c", "cache", "-k", "k"];
    args.extend_from_slice(flags);
    args.push("out");
    let outcome = sandbox.run(args).expect(SUCCESS);
    assert_eq!(outcome.stdout, "Restored key k\n");
    assert_same(&sandbox.snapshot("src"), &sandbox.snapshot("out"), "restored over");
}

#[test]
fn over_an_identical_tree_nothing_is_touched() {
    let (sandbox, _) = restored_once();
    let before = identities(&sandbox.path("out"));
    made_identical(&sandbox, &[]);
    let after = identities(&sandbox.path("out"));
    assert_eq!(touched(&before, &after), Vec::<String>::new());
    made_identical(&sandbox, &["--exact"]);
    assert_eq!(touched(&before, &identities(&sandbox.path("out"))), Vec::<String>::new());
}

#[test]
fn over_the_source_itself_nothing_is_touched() {
    let (sandbox, _) = restored_once();
    let before = identities(&sandbox.path("src"));
    sandbox.restore("k", "src").expect(SUCCESS);
    assert_eq!(touched(&before, &identities(&sandbox.path("src"))), Vec::<String>::new());
}

#[test]
fn only_different_files_are_rewritten() {
    let (sandbox, out) = restored_once();
    out.file("lib/part0/f0.bin", "different");
    let before = identities(&sandbox.path("out"));
    made_identical(&sandbox, &[]);
    let mut changed = touched(&before, &identities(&sandbox.path("out")));
    // The directory got its time back; whether a rename in it shows elsewhere is not our business.
    changed.retain(|name| name != "lib/part0");
    assert_eq!(changed, ["lib/part0/f0.bin"]);
}

#[test]
fn missing_entries_come_back() {
    let (sandbox, out) = restored_once();
    out.remove("lib/part0").remove("empty").remove("void").remove("dangling").remove("run-too.sh");
    made_identical(&sandbox, &[]);
}

#[test]
fn modes_and_times_alone_are_put_right() {
    let (sandbox, out) = restored_once();
    out.mode("run.sh", 0o600)
        .mode("lib/part0", 0o700)
        .time("version", 5, 6)
        .time("lib/part1", 7, 8)
        .time("current", 9, 10);
    made_identical(&sandbox, &[]);
}

#[test]
fn symlink_targets_are_put_right() {
    let (sandbox, out) = restored_once();
    out.remove("current").link("current", "elsewhere");
    made_identical(&sandbox, &[]);
}

#[test]
fn extra_files_stay_unless_exact() {
    let (sandbox, out) = restored_once();
    out.file("extra", "mine")
        .file("lib/extra/deep", "mine")
        .link("lib/extra/link", "/etc")
        .dir("extra-dir")
        .hard_link("extra-link", "run.sh");
    sandbox.restore("k", "out").expect(SUCCESS);
    for name in ["extra", "lib/extra/deep", "lib/extra/link", "extra-dir", "extra-link"] {
        assert!(sandbox.snapshot("out").nodes.contains_key(name.as_bytes()), "{name}");
    }
    made_identical(&sandbox, &["--exact"]);
}

#[test]
fn exact_on_a_new_destination() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1);
    sandbox.store("k", "src").expect(SUCCESS);
    made_identical(&sandbox, &["--exact"]);
}

#[test]
fn exact_does_not_follow_a_symlink_when_it_deletes() {
    let (sandbox, out) = restored_once();
    sandbox.tree("outside").file("precious", "mine");
    out.link("lib/trap", sandbox.path("outside"));
    made_identical(&sandbox, &["--exact"]);
    assert!(sandbox.path("outside/precious").is_file());
}

#[test]
fn a_miss_leaves_the_destination_alone() {
    let (sandbox, out) = restored_once();
    out.file("extra", "mine");
    let before = identities(&sandbox.path("out"));
    sandbox
        .run(["restore", "-c", "cache", "-k", "nope", "--exact", "out"])
        .expect(crate::support::NOT_FOUND);
    assert_eq!(touched(&before, &identities(&sandbox.path("out"))), Vec::<String>::new());
}

#[test]
fn entries_change_their_kind() {
    let (sandbox, out) = restored_once();
    // A directory where a file is wanted, and so on for every pair of kinds.
    out.remove("version").dir("version/full/of").file("version/things", "x");
    out.remove("empty").link("empty", "version");
    out.remove("void").file("void", "a file now");
    out.remove("lib/part0").link("lib/part0", "../version");
    out.remove("current").dir("current/is/a/dir");
    out.remove("dangling").file("dangling", "not a link any more");
    out.remove("run-too.sh").fifo("run-too.sh");
    made_identical(&sandbox, &[]);
}

#[test]
fn hard_links_are_made_and_cut_as_the_entry_says() {
    let (sandbox, out) = restored_once();
    out.remove("run-too.sh").file("run-too.sh", "#!/bin/sh\nexit 0\n");
    out.remove("lib/part0/f0.bin");
    out.hard_link("lib/part0/f0.bin", "lib/part1/f1.bin");
    made_identical(&sandbox, &[]);
}

#[test]
fn a_hard_link_to_a_file_outside_is_not_written_through() {
    let (sandbox, out) = restored_once();
    let outside = sandbox.path("outside");
    fs::write(&outside, "precious").unwrap();
    out.remove("version");
    fs::hard_link(&outside, out.path("version")).unwrap();
    let mode = fs::metadata(&outside).unwrap().mode();
    made_identical(&sandbox, &[]);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    assert_eq!(fs::metadata(&outside).unwrap().mode(), mode);
}

#[test]
fn modes_are_not_changed_through_a_hard_link_either() {
    let (sandbox, out) = restored_once();
    let outside = sandbox.path("outside");
    fs::hard_link(out.path("empty"), &outside).unwrap();
    out.mode("empty", 0o644);
    // Content and time are right, the mode is not, and the file has a name outside.
    made_identical(&sandbox, &[]);
    assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn symlinks_to_places_outside_are_never_followed() {
    let (sandbox, out) = restored_once();
    sandbox
        .tree("outside")
        .file("f0.bin", "precious")
        .file("part0/f0.bin", "precious")
        .file("file", "precious");
    let before = sandbox.snapshot("outside");
    fs::remove_dir_all(out.path("lib")).unwrap();
    symlink(sandbox.path("outside"), out.path("lib")).unwrap();
    out.remove("version");
    symlink(sandbox.path("outside/file"), out.path("version")).unwrap();
    out.remove("empty");
    symlink(sandbox.path("outside/made"), out.path("empty")).unwrap();
    out.remove("void");
    symlink(sandbox.path("outside"), out.path("void")).unwrap();
    made_identical(&sandbox, &[]);
    assert_same(&before, &sandbox.snapshot("outside"), "outside the destination");
}

#[test]
fn the_same_size_and_second_are_not_enough() {
    let (sandbox, out) = restored_once();
    // The same length and the same whole second, but another nanosecond: not the same file.
    let path = out.path("version");
    let before = fs::metadata(&path).unwrap();
    let mut content = fs::read(&path).unwrap();
    content[0] ^= 1;
    fs::write(&path, content).unwrap();
    out.time("version", before.mtime(), before.mtime_nsec() + 1);
    made_identical(&sandbox, &[]);
}

#[test]
fn whole_seconds_in_the_entry_are_no_excuse() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("f", "aaaa").time("f", 1_600_000_000, 0);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.tree("out").file("f", "bbbb").time("f", 1_600_000_000, 1);
    sandbox.restore("k", "out").expect(SUCCESS);
    assert_eq!(fs::read_to_string(sandbox.path("out/f")).unwrap(), "aaaa");
}

#[test]
fn a_large_file_is_rewritten_when_it_differs() {
    let sandbox = Sandbox::new();
    let bytes = Rng::new(9).bytes(10 << 20);
    let tree = sandbox.tree("src");
    tree.file("large", &bytes);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    for changed in [&bytes[..5 << 20], &[], &[bytes.as_slice(), b"more"].concat()] {
        sandbox.tree("out").file("large", changed);
        made_identical(&sandbox, &[]);
    }
}

#[test]
fn over_the_tree_of_another_version() {
    let sandbox = Sandbox::new();
    sandbox.tree("old").sample(1);
    sandbox.tree("src").sample(2).remove("void").file("void", "a file");
    sandbox.store("old", "old").expect(SUCCESS);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("old", "out").expect(SUCCESS);
    made_identical(&sandbox, &["--exact"]);
}

#[test]
fn the_entry_may_be_a_file_where_a_directory_is_and_the_reverse() {
    let sandbox = Sandbox::new();
    sandbox.tree("dir").file("x", "x");
    fs::write(sandbox.path("file"), "content").unwrap();
    sandbox.store("dir", "dir").expect(SUCCESS);
    sandbox.store("file", "file").expect(SUCCESS);
    // A whole tree is not deleted for a file without being asked; nor is it half overwritten.
    sandbox.restore("dir", "out").expect(SUCCESS);
    let outcome = sandbox.restore("file", "out");
    let outcome = outcome.expect_one_of(&[SUCCESS, crate::support::ERROR]);
    if outcome.code == Some(SUCCESS) {
        assert_eq!(fs::read_to_string(sandbox.path("out")).unwrap(), "content");
    } else {
        assert_same(&sandbox.snapshot("dir"), &sandbox.snapshot("out"), "left alone");
        outcome.says("Error: Could not restore to: out");
    }
}

#[test]
fn unchanged_content_is_not_stored_again() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tree("src");
    tree.bulky(1, 8);
    sandbox.store("one", "src").expect(SUCCESS);
    let first = sandbox.view();
    sandbox.store("two", "src").expect(SUCCESS);
    let second = sandbox.view();
    assert_eq!(first.content(), second.content(), "the same tree, the same objects");
    tree.file("bulk/0.dat", Rng::new(99).bytes(1 << 20));
    sandbox.store("three", "src").expect(SUCCESS);
    let grown = sandbox.view().bytes() - second.bytes();
    assert!(grown < 3 << 20, "one changed file of 1 MiB cost {grown} bytes");
}

#[test]
fn checksum_tells_versions_apart_that_agree_in_size_and_time() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "release");
    set_time(&sandbox.path("src/file"), 1_700_000_000, 123_456_789);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    std::fs::write(sandbox.path("out/file"), "debug!!").unwrap();
    set_time(&sandbox.path("out/file"), 1_700_000_000, 123_456_789);
    sandbox.run(["restore", "-c", "cache", "-k", "k", "--checksum", "out"]).expect(SUCCESS);
    assert_eq!(std::fs::read(sandbox.path("out/file")).unwrap(), b"release");
}
