//! `btdt hash`: digests that scripts build keys from.

use crate::support::{ERROR, SUCCESS, Sandbox, TreeBuilder, USAGE, runtime};

/// `printf abc | sha256sum`.
const SHA256_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// `sha256sum < /dev/null`.
const SHA256_EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// BLAKE3 of `abc`, from its specification's reference implementation.
const BLAKE3_ABC: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";

fn fixture() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .tree("h")
        .file("a", "abc")
        .file("d/b", "def")
        .dir("d/e")
        .file("empty", "")
        .link("l", "a")
        .mode("a", 0o755);
    sandbox
}

#[track_caller]
fn digest(sandbox: &Sandbox, args: &[&str]) -> String {
    let mut all = vec!["hash"];
    all.extend_from_slice(args);
    let outcome = sandbox.run(all).expect(SUCCESS);
    assert_eq!(outcome.stderr, "");
    let line = outcome.stdout.strip_suffix('\n').expect("ends with a line break");
    assert_eq!(line.len(), 64, "{line}");
    assert!(line.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{line}");
    line.to_owned()
}

#[test]
fn one_file_is_what_sha256sum_says() {
    let sandbox = fixture();
    assert_eq!(digest(&sandbox, &["h/a"]), SHA256_ABC);
    assert_eq!(digest(&sandbox, &["h/l"]), SHA256_ABC, "a symlink to a file is followed");
    assert_eq!(digest(&sandbox, &["h/empty"]), SHA256_EMPTY);
    assert_eq!(digest(&sandbox, &["--algorithm", "sha256", "h/a"]), SHA256_ABC);
}

#[test]
fn a_large_file_is_what_sha256sum_says() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("zeros", vec![0; 8 << 20]);
    // head -c 8388608 /dev/zero | sha256sum
    assert_eq!(
        digest(&sandbox, &["src/zeros"]),
        "2daeb1f36095b44b318410b3f4e8b5d989dcc7bb023d1426c492dab0a3053e74"
    );
}

/// Results of the original 0.4.4 for the same tree: keys stay the same on migration.
#[test]
fn blake3_gives_the_results_of_the_original() {
    let sandbox = fixture();
    for (paths, expected) in [
        (&["h/a"][..], BLAKE3_ABC),
        (&["h/empty"], "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (&["h"], "1807f8c41e3ffe17eabac0b46110fe3aeb1f077f6eccc6b01d6468b4ce1880f3"),
        (&["h/"], "1807f8c41e3ffe17eabac0b46110fe3aeb1f077f6eccc6b01d6468b4ce1880f3"),
        (&["h/d"], "cd7aa64d521c8bb543a361a2731616c23b7fd382fb773c9cb953ea47b55d0088"),
        (&["h/a", "h/d/b"], "018425a4cc2b8047006aa6d377a11b6b6fb6d3c32c6ef43316ab8f337935cdca"),
        (&["h", "h/a"], "87cb237752c245811bc3973585961cb950794c59adf24d444dd1ecbe31aa5d98"),
    ] {
        let mut args = vec!["--algorithm", "blake3"];
        args.extend_from_slice(paths);
        assert_eq!(digest(&sandbox, &args), expected, "{paths:?}");
    }
}

#[test]
fn a_directory_depends_on_names_kinds_executable_bits_and_contents() {
    let sandbox = fixture();
    let tree = TreeBuilder::at(sandbox.path("h"));
    let mut seen = vec![digest(&sandbox, &["h"])];
    let expect_new = |what: &str, seen: &mut Vec<String>| {
        let now = digest(&sandbox, &["h"]);
        assert!(!seen.contains(&now), "{what} should change the digest");
        seen.push(now);
    };
    tree.file("d/b", "deg");
    expect_new("content", &mut seen);
    tree.mode("d/b", 0o755);
    if runtime().modes {
        expect_new("an executable bit", &mut seen);
    } else {
        let outcome = sandbox.run(["hash", "h"]).expect(SUCCESS);
        assert_eq!(outcome.notices.len(), 1, "the digest is another one than elsewhere: {outcome}");
        assert_eq!(seen.last().map(String::as_str), Some(outcome.stdout.trim_end()));
    }
    std::fs::rename(tree.path("d/b"), tree.path("d/c")).unwrap();
    expect_new("a name", &mut seen);
    tree.remove("d/e").file("d/e", "");
    expect_new("a kind", &mut seen);
    tree.remove("l").link("l", "empty");
    expect_new("the target of a symlink", &mut seen);
    tree.dir("d/f");
    expect_new("an empty directory", &mut seen);
    std::fs::rename(tree.path("d/f"), tree.path("f")).unwrap();
    expect_new("a place", &mut seen);
}

#[test]
fn a_directory_does_not_depend_on_times_or_other_mode_bits_or_its_own_name() {
    let sandbox = fixture();
    let tree = TreeBuilder::at(sandbox.path("h"));
    let before = digest(&sandbox, &["h"]);
    tree.time("a", 5, 6).time("d", 7, 8).mode("a", 0o700).mode("d/b", 0o600).mode("d", 0o700);
    assert_eq!(digest(&sandbox, &["h"]), before);
    assert_eq!(digest(&sandbox, &["./h/"]), before);
    std::fs::rename(sandbox.path("h"), sandbox.path("g")).unwrap();
    assert_eq!(digest(&sandbox, &["g"]), before);
}

#[test]
fn contents_cannot_move_across_file_boundaries() {
    let sandbox = Sandbox::new();
    sandbox.tree("one").file("a", "xy").file("b", "z");
    sandbox.tree("two").file("a", "x").file("b", "yz");
    assert_ne!(digest(&sandbox, &["one"]), digest(&sandbox, &["two"]));
    assert_ne!(digest(&sandbox, &["one/a", "one/b"]), digest(&sandbox, &["two/a", "two/b"]));
}

#[test]
fn several_paths_depend_on_their_order_and_are_not_their_parent() {
    let sandbox = fixture();
    let forwards = digest(&sandbox, &["h/a", "h/d"]);
    assert_ne!(forwards, digest(&sandbox, &["h/d", "h/a"]));
    assert_ne!(forwards, digest(&sandbox, &["h"]));
    assert_eq!(forwards, digest(&sandbox, &["h/a", "h/d"]));
}

#[test]
fn a_directory_with_a_dangling_symlink_still_has_a_digest() {
    let sandbox = fixture();
    TreeBuilder::at(sandbox.path("h")).link("dangling", "nowhere");
    digest(&sandbox, &["h"]);
}

#[test]
fn what_cannot_be_hashed() {
    let sandbox = fixture();
    sandbox.run(["hash"]).expect(USAGE);
    sandbox.run(["hash", "--algorithm", "md5", "h/a"]).expect(USAGE);
    for args in [&["hash", "gone"][..], &["hash", "h/a", "gone"], &["hash", "h", "gone"]] {
        let outcome = sandbox.run(args).expect(ERROR);
        assert_eq!(outcome.stdout, "", "no digest of half the paths");
        outcome.says(
            "Error: Could not open: gone\n\nCaused by:\n    No such file or directory (os error 2)",
        );
    }
}
