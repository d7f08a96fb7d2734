//! What is restored is what was stored: contents, kinds, names, modes, times and links.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, readlinkat, symlinkat};

use crate::support::tree::Node;
use crate::support::{ERROR, Rng, SUCCESS, Sandbox, TreeBuilder, assert_same, runtime};

/// Stores the tree `src` of the sandbox, restores it to a new place, and compares.
#[track_caller]
fn comes_back_identical(sandbox: &Sandbox) {
    let expected = sandbox.snapshot("src");
    sandbox.store("k", "src").expect(SUCCESS);
    let outcome = sandbox.restore("k", "out").expect(SUCCESS);
    assert_eq!(outcome.stdout, "Restored key k\n");
    assert_same(&expected, &sandbox.snapshot("out"), "after a restore");
    assert_same(&expected, &sandbox.snapshot("src"), "the source");
}

#[track_caller]
fn round_trip(fill: impl FnOnce(&TreeBuilder)) {
    let sandbox = Sandbox::new();
    fill(&sandbox.tree("src"));
    comes_back_identical(&sandbox);
}

#[test]
fn files_of_all_small_sizes() {
    round_trip(|tree| {
        let mut rng = Rng::new(1);
        for length in [0, 1, 2, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537] {
            tree.file(format!("f{length}"), rng.bytes(length));
        }
    });
}

#[test]
fn many_small_files_that_share_chunks() {
    round_trip(|tree| {
        let mut rng = Rng::new(2);
        for index in 0..2_000 {
            let length = rng.below(3_000) as usize;
            let name = format!("pkg{}/src/file-{index}.js", index % 40);
            tree.file(name, rng.bytes(length));
        }
    });
}

#[test]
fn an_empty_tree() {
    round_trip(|_| {});
}

#[test]
fn empty_files_and_empty_directories() {
    round_trip(|tree| {
        tree.file("empty", "").dir("void").dir("outer/inner/innermost").file("beside/empty", "");
    });
}

#[test]
fn symlinks_of_every_sort() {
    round_trip(|tree| {
        tree.file("dir/file", "x")
            .link("to-file", "dir/file")
            .link("to-dir", "dir")
            .link("dir/up", "..")
            .link("to-itself", "to-itself")
            .link("dangling", "not/there")
            .link("absolute", "/etc/hostname")
            .link("outside", "../../../../etc/passwd")
            .link("not-normal", ".//dir/.././dir//file")
            .link("long", "x/".repeat(1_000));
    });
}

#[test]
fn symlinks_keep_their_own_times() {
    round_trip(|tree| {
        tree.file("file", "x")
            .link("link", "file")
            .link("dangling", "nowhere")
            .time("link", 1_234_567_890, 987_654_321)
            .time("dangling", 1_000_000_000, 1);
    });
}

#[test]
fn hard_links_stay_one_file() {
    round_trip(|tree| {
        tree.file("a/first", "shared content")
            .hard_link("b/second", "a/first")
            .hard_link("third", "a/first")
            .file("twin", "shared content")
            .file("empty", "")
            .hard_link("empty-too", "empty")
            .mode("a/first", 0o750)
            .time("third", 1_700_000_000, 42);
    });
}

#[test]
fn a_hard_link_to_a_file_outside_the_tree_is_a_file() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tree("src");
    fs::write(sandbox.path("outside"), "shared").unwrap();
    fs::hard_link(sandbox.path("outside"), tree.path("inside")).unwrap();
    comes_back_identical(&sandbox);
}

#[test]
fn hard_links_of_a_symlink() {
    round_trip(|tree| {
        tree.link("one", "target").time("one", 1_600_000_000, 7);
        // Restored as two symlinks is right as well: both have the same target and time.
        fs::hard_link(tree.path("one"), tree.path("two")).unwrap();
    });
}

#[test]
fn modes_of_files_and_directories() {
    round_trip(|tree| {
        for mode in [0o400, 0o444, 0o600, 0o644, 0o664, 0o666, 0o700, 0o755, 0o775, 0o777] {
            tree.file(format!("file-{mode:o}"), format!("{mode:o}"))
                .mode(format!("file-{mode:o}"), mode);
        }
        for mode in [0o500, 0o555, 0o700, 0o711, 0o750, 0o755, 0o775, 0o777] {
            tree.file(format!("dir-{mode:o}/file"), "x")
                .dir(format!("dir-{mode:o}/below"))
                .mode(format!("dir-{mode:o}"), mode);
        }
    });
}

#[test]
fn what_the_runtime_cannot_keep_is_said_once() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1).file("lib/tool", "x").mode("lib/tool", 0o755);
    sandbox.store_natively("native", "src");
    let stored = sandbox.store("k", "src").expect(SUCCESS);
    let restored = sandbox.restore("native", "out").expect(SUCCESS);
    for outcome in [&stored, &restored] {
        let about_modes = outcome.notices.iter().filter(|line| line.contains("permission bits"));
        let expected = usize::from(!runtime().modes);
        assert_eq!(about_modes.count(), expected, "{outcome}");
        assert!(outcome.notices.iter().all(|line| line.contains("docs/wasi.md")), "{outcome}");
    }
    assert_same(&sandbox.snapshot("src"), &sandbox.snapshot("out"), "all but modes");
    // Nothing more is lost of an entry that has no modes.
    let again = sandbox.restore("k", "again").expect(SUCCESS);
    assert_eq!(again.notices, Vec::<String>::new());
}

#[test]
fn modes_are_kept_whatever_the_umask() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("open", "x").mode("open", 0o666).dir("shared").mode("shared", 0o777);
    let expected = sandbox.snapshot("src");
    sandbox.store("k", "src").expect(SUCCESS);
    let script = "umask 077; exec \"$0\" restore -c cache -k k out";
    let binary = crate::support::binary::btdt_path();
    let mut shell = crate::support::process::clean_command("/bin/sh".as_ref(), sandbox.root());
    shell.arg("-c").arg(script).arg(binary);
    crate::support::Running::start(shell).finish().expect(SUCCESS);
    assert_same(&expected, &sandbox.snapshot("out"), "with umask 077");
}

#[test]
fn set_id_and_sticky_bits_are_dropped() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("suid", "x").mode("suid", 0o6755).dir("sticky").mode("sticky", 0o1777);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    let out = sandbox.snapshot("out");
    let (Node::File { mode: file, .. }, Node::Dir { mode: dir, .. }) =
        (out.get("suid"), out.get("sticky"))
    else {
        panic!("a file and a directory");
    };
    assert_eq!((file & 0o7000, dir & 0o7000), (0, 0));
    if runtime().modes {
        assert_eq!((*file, *dir), (0o755, 0o777));
    }
}

#[test]
fn times_with_nanoseconds_of_everything() {
    round_trip(|tree| {
        tree.file("now", "x")
            .file("old", "x")
            .file("first-nanosecond", "x")
            .file("last-nanosecond", "x")
            .file("before-the-epoch", "x")
            .file("after-2038", "x")
            .file("dir/child", "x")
            .dir("empty-dir")
            .time("old", 1, 0)
            .time("first-nanosecond", 1_600_000_000, 1)
            .time("last-nanosecond", 1_600_000_000, 999_999_999)
            .time("before-the-epoch", -1_000_000, 500_000_000)
            .time("after-2038", 5_000_000_000, 123)
            .time("dir/child", 1_300_000_000, 2)
            .time("dir", 1_200_000_000, 3)
            .time("empty-dir", 1_100_000_000, 4);
    });
}

#[test]
fn the_root_keeps_its_mode_and_time() {
    round_trip(|tree| {
        tree.file("file", "x").mode("", 0o750).time("", 1_450_000_000, 55);
    });
}

#[test]
fn names_that_are_not_utf8() {
    let fill = |tree: &TreeBuilder| {
        let latin1 = std::ffi::OsStr::from_bytes(b"caf\xe9");
        let broken = std::ffi::OsStr::from_bytes(b"\xff\xfe\x80");
        tree.file(latin1, "x").file(broken, "y").link("link", latin1);
        fs::create_dir(tree.path(std::ffi::OsStr::from_bytes(b"dir\xc3"))).unwrap();
    };
    if runtime().any_bytes {
        return round_trip(fill);
    }
    // Nothing is left out in silence.
    let sandbox = Sandbox::new();
    fill(&sandbox.tree("src"));
    sandbox.store("k", "src").expect(ERROR).says("Error: Could not cache: src");
    assert!(!sandbox.has_key("k"));
}

#[test]
fn names_with_awkward_characters() {
    round_trip(|tree| {
        for name in [
            " ",
            "  lead",
            "trail ",
            "tab\there",
            "new\nline",
            "back\\slash",
            "per%2Fcent",
            "*",
            "?",
            "[a]",
            "!x",
            "#x",
            "-rf",
            "--help",
            "~",
            "...",
            ".hidden",
            "..hidden",
            "a:b",
            "c|d",
            "\"",
            "'",
            "$(x)",
            "\u{1}",
            "\u{7f}",
            "ünïcödé",
            "日本語",
            "e\u{301}",
            "é",
            "A",
            "a",
            "CON",
        ] {
            if name.contains('\\') && !runtime().backslashes {
                continue;
            }
            tree.file(name, name);
            tree.file(format!("in/{name}/x"), name);
        }
    });
}

#[test]
fn a_backslash_in_a_name_is_stored_or_refused() {
    if runtime().backslashes {
        return round_trip(|tree| {
            tree.file("back\\slash", "x").file("in/a\\b/x", "y");
        });
    }
    // To such a runtime, this name stands for the other file.
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("back\\slash", "x").file("back/slash", "y");
    sandbox.store("k", "src").expect(ERROR).says("Error: Could not cache: src");
    assert!(!sandbox.has_key("k"));
}

#[test]
fn the_longest_names_and_deep_trees() {
    round_trip(|tree| {
        tree.file("n".repeat(255), "x")
            .file(format!("{}/{}", "d".repeat(255), "f".repeat(255)), "y")
            .link("l".repeat(255), "t".repeat(255));
        tree.file(vec!["level"; 300].join("/"), "deep");
    });
}

#[test]
fn paths_longer_than_one_system_call_takes() {
    let sandbox = Sandbox::new();
    sandbox.tree("src");
    // 30 levels of 200 bytes are more than PATH_MAX: made and read step by step, as careful tools do.
    let names: Vec<String> = (0..30).map(|level| format!("{level:0200}")).collect();
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut here = openat(CWD, sandbox.path("src"), flags, Mode::empty()).unwrap();
    for name in &names {
        mkdirat(&here, name, Mode::RWXU).unwrap();
        here = openat(&here, name, flags, Mode::empty()).unwrap();
    }
    symlinkat("deep down", &here, "link").unwrap();
    if !runtime().long_paths {
        sandbox.store("k", "src").expect(ERROR).says("Error: Could not cache: src");
        assert!(!sandbox.has_key("k"));
        return;
    }
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    here = openat(CWD, sandbox.path("out"), flags, Mode::empty()).unwrap();
    for name in &names {
        here = openat(&here, name, flags, Mode::empty()).unwrap();
    }
    let target = readlinkat(&here, "link", Vec::new()).unwrap();
    assert_eq!(target.as_bytes(), b"deep down");
}

#[test]
fn a_large_file_of_several_chunks() {
    round_trip(|tree| {
        tree.file("large.bin", Rng::new(3).bytes(20 << 20)).file("small", "beside it");
    });
}

#[test]
fn large_files_of_zeros_and_repetition() {
    round_trip(|tree| {
        let mut mixed = vec![0; 9 << 20];
        mixed[5 << 20] = 1;
        let repeated = b"0123456789abcdef".repeat(300_000);
        tree.file("zeros", vec![0; 12 << 20])
            .file("nearly-zeros", mixed)
            .file("repeated", repeated);
    });
}

#[test]
fn compressible_content_takes_less_room() {
    let sandbox = Sandbox::new();
    let text = "been there, done that\n".repeat(100_000);
    sandbox.tree("src").file("text", &text);
    comes_back_identical(&sandbox);
    assert!(sandbox.view().bytes() < text.len() as u64 / 10);
}

#[test]
fn equal_content_is_stored_once() {
    let sandbox = Sandbox::new();
    let bytes = Rng::new(4).bytes(6 << 20);
    sandbox.tree("src").file("one", &bytes).file("two", &bytes).file("sub/three", &bytes);
    comes_back_identical(&sandbox);
    sandbox.store("other", "src").expect(SUCCESS);
    assert!(sandbox.view().bytes() < bytes.len() as u64 * 3 / 2);
}

#[test]
fn fifos_and_sockets_are_skipped_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "x").fifo("pipe");
    let _listener = UnixListener::bind(sandbox.path("src/socket")).unwrap();
    let outcome = sandbox.store("k", "src").expect(SUCCESS).warns();
    let outcome = outcome.says("pipe").says("socket");
    assert_eq!(outcome.stdout, "");
    sandbox.restore("k", "out").expect(SUCCESS);
    let expected = sandbox.snapshot("src").without("pipe").without("socket");
    assert_same(&expected, &sandbox.snapshot("out"), "without special files");
}

#[test]
fn a_single_file_is_restored_as_a_file() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("tool", Rng::new(5).bytes(100_000)).mode("tool", 0o755).time(
        "tool",
        1_600_000_000,
        77,
    );
    sandbox.store("k", "src/tool").expect(SUCCESS);
    sandbox.restore("k", "tool-again").expect(SUCCESS);
    assert_same(&sandbox.snapshot("src/tool"), &sandbox.snapshot("tool-again"), "a single file");
    // And over what is there already.
    fs::write(sandbox.path("tool-again"), "changed").unwrap();
    sandbox.restore("k", "tool-again").expect(SUCCESS);
    assert_same(
        &sandbox.snapshot("src/tool"),
        &sandbox.snapshot("tool-again"),
        "a single file, again",
    );
}

#[test]
fn a_special_file_as_the_source_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").fifo("pipe");
    sandbox.store("k", "src/pipe").expect(ERROR).says("Error: Could not cache: src/pipe");
    assert!(!sandbox.has_key("k"));
}

#[test]
fn a_source_with_a_trailing_slash_and_dots() {
    let sandbox = Sandbox::new();
    sandbox.tree("a/src").sample(1);
    for (key, path) in [("k1", "a/src/"), ("k2", "./a/src/."), ("k3", "a/../a/src")] {
        sandbox.store(key, path).expect(SUCCESS);
        sandbox.restore(key, format!("out-{key}/")).expect(SUCCESS);
        assert_same(&sandbox.snapshot("a/src"), &sandbox.snapshot(format!("out-{key}")), path);
    }
}

#[test]
fn the_parent_of_a_new_destination_may_be_missing() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(2);
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "not/yet/there").expect(SUCCESS);
    assert_same(&sandbox.snapshot("src"), &sandbox.snapshot("not/yet/there"), "below new parents");
}

#[test]
fn a_symlink_as_the_source_is_followed() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(3);
    TreeBuilder::at(sandbox.root()).link("alias", "src");
    sandbox.store("k", "alias").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    assert_same(&sandbox.snapshot("src"), &sandbox.snapshot("out"), "through a symlink");
}

#[test]
fn a_cache_inside_its_own_source_does_not_eat_itself() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tree("src");
    tree.file("file", "x").dir("cache");
    // Whether a cache inside its own source is refused or skipped: it must not eat itself.
    let outcome = sandbox
        .run(["store", "-c", "src/cache", "-k", "k", "src"])
        .expect_one_of(&[SUCCESS, ERROR]);
    if outcome.code == Some(SUCCESS) {
        sandbox.run(["restore", "-c", "src/cache", "-k", "k", "out"]).expect(SUCCESS);
        assert!(sandbox.path("out/file").is_file());
        assert!(!sandbox.path("out/cache/chunks").exists());
    }
}
