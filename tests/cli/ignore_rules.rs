//! What a store leaves out: nested `.btdtignore` files and `--exclude`.

use crate::support::{SUCCESS, Sandbox, TreeBuilder, USAGE};

/// Stores a tree with these flags, restores it, and lists what came back.
#[track_caller]
fn kept(fill: impl FnOnce(&TreeBuilder), flags: &[&str]) -> Vec<String> {
    let sandbox = Sandbox::new();
    fill(&sandbox.tree("src"));
    let mut args = vec!["store", "-c", "cache", "-k", "k"];
    args.extend_from_slice(flags);
    args.push("src");
    sandbox.run(args).expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    sandbox.snapshot("out").names()
}

#[test]
fn patterns_of_an_ignore_file() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "# comment\n\n*.log\n/top\nbuild/\nd/*.o\n\\#odd\n")
                .file("a.log", "")
                .file("a.txt", "")
                .file("sub/b.log", "")
                .file("sub/top", "")
                .file("top", "")
                .file("build/out", "")
                .file("sub/build", "a file, not a directory")
                .file("d/x.o", "")
                .file("d/e/x.o", "")
                .file("#odd", "");
        },
        &[],
    );
    let expected = [".btdtignore", "a.txt", "d", "d/e", "d/e/x.o", "sub", "sub/build", "sub/top"];
    assert_eq!(names, expected);
}

#[test]
fn the_ignore_file_itself_is_stored() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "x\n").file("x", "");
        },
        &[],
    );
    assert_eq!(names, [".btdtignore"]);
}

#[test]
fn later_lines_can_include_again() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "*.bin\n!keep.bin\n")
                .file("drop.bin", "")
                .file("keep.bin", "")
                .file("sub/keep.bin", "")
                .file("sub/drop.bin", "");
        },
        &[],
    );
    assert_eq!(names, [".btdtignore", "keep.bin", "sub", "sub/keep.bin"]);
}

#[test]
fn nested_ignore_files_outrank_those_above() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "*.tmp\n")
                .file("a.tmp", "")
                .file("sub/.btdtignore", "!wanted.tmp\n/local\n")
                .file("sub/wanted.tmp", "")
                .file("sub/other.tmp", "")
                .file("sub/local", "")
                .file("sub/deep/wanted.tmp", "")
                .file("sub/deep/local", "")
                .file("local", "");
        },
        &[],
    );
    let expected = [
        ".btdtignore",
        "local",
        "sub",
        "sub/.btdtignore",
        "sub/deep",
        "sub/deep/local",
        "sub/deep/wanted.tmp",
        "sub/wanted.tmp",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_excluded_directory_cannot_be_included_again_below() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "cache/\n!cache/keep\n")
                .file("cache/keep", "")
                .file("other", "");
        },
        &[],
    );
    assert_eq!(names, [".btdtignore", "other"]);
    let names = kept(
        |tree| {
            tree.file("vendor/keep", "").file("other", "");
        },
        &["--exclude", "vendor", "--exclude", "!vendor/keep"],
    );
    assert_eq!(names, ["other"]);
}

#[test]
fn the_content_of_a_directory_can_be_excluded_but_for_some() {
    let names = kept(
        |tree| {
            tree.file("vendor/keep", "").file("vendor/drop", "");
        },
        &["--exclude", "vendor/*", "--exclude", "!vendor/keep"],
    );
    assert_eq!(names, ["vendor", "vendor/keep"]);
}

#[test]
fn excludes_on_the_command_line() {
    let fill = |tree: &TreeBuilder| {
        tree.file("a.log", "")
            .file("sub/b.log", "")
            .file("sub/c.txt", "")
            .file("sub/top", "")
            .file("top", "")
            .link("link.log", "a.log")
            .dir("empty.log");
    };
    assert_eq!(
        kept(fill, &["--exclude", "*.log", "--exclude=/top"]),
        ["sub", "sub/c.txt", "sub/top"]
    );
    assert_eq!(
        kept(fill, &["--exclude", "**/top", "--exclude", "*.log/"]),
        ["a.log", "link.log", "sub", "sub/b.log", "sub/c.txt"]
    );
    assert_eq!(kept(fill, &["--exclude", "*"]), Vec::<String>::new());
}

#[test]
fn flags_outrank_files_in_both_directions() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "*.bin\n!b.dat\n")
                .file("a.bin", "")
                .file("other.bin", "")
                .file("b.dat", "")
                .file("sub/.btdtignore", "!b.dat\na.bin\n")
                .file("sub/a.bin", "")
                .file("sub/b.dat", "");
        },
        &["--exclude", "!a.bin", "--exclude", "b.dat"],
    );
    let expected = [".btdtignore", "a.bin", "sub", "sub/.btdtignore", "sub/a.bin"];
    assert_eq!(names, expected);
}

#[test]
fn the_last_matching_flag_decides() {
    let fill = |tree: &TreeBuilder| {
        tree.file("x", "").file("y", "");
    };
    assert_eq!(kept(fill, &["--exclude", "!x", "--exclude", "x"]), ["y"]);
    assert_eq!(kept(fill, &["--exclude", "x", "--exclude", "!x"]), ["x", "y"]);
}

#[test]
fn an_ignore_file_can_be_excluded_and_still_counts() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", ".btdtignore\nx\n").file("x", "").file("y", "");
        },
        &[],
    );
    assert_eq!(names, ["y"]);
}

#[test]
fn other_ignore_files_and_hidden_files_are_data() {
    let names = kept(
        |tree| {
            tree.file(".gitignore", "x\n")
                .file(".ignore", "x\n")
                .file(".git/info/exclude", "x\n")
                .file(".hidden/x", "")
                .file("x", "");
        },
        &[],
    );
    let expected = [
        ".git",
        ".git/info",
        ".git/info/exclude",
        ".gitignore",
        ".hidden",
        ".hidden/x",
        ".ignore",
        "x",
    ];
    assert_eq!(names, expected);
}

#[test]
fn ignore_files_above_the_root_are_not_consulted() {
    let sandbox = Sandbox::new();
    TreeBuilder::at(sandbox.root()).file(".btdtignore", "*\n");
    sandbox.tree("src").file("x", "");
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox.restore("k", "out").expect(SUCCESS);
    assert_eq!(sandbox.snapshot("out").names(), ["x"]);
}

#[test]
fn an_ignore_file_that_is_a_directory_or_not_utf8_does_no_harm() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore/x", "")
                .file("sub/.btdtignore", b"caf\xe9\nz\n")
                .file("sub/z", "")
                .file("y", "");
        },
        &[],
    );
    let expected = [".btdtignore", ".btdtignore/x", "sub", "sub/.btdtignore", "y"];
    assert_eq!(names, expected);
}

#[test]
fn line_ends_and_trailing_spaces() {
    let names = kept(
        |tree| {
            tree.file(".btdtignore", "a\r\nb  \nc\\ \nd")
                .file("a", "")
                .file("b", "")
                .file("c ", "")
                .file("d", "")
                .file("e", "");
        },
        &[],
    );
    assert_eq!(names, [".btdtignore", "e"]);
}

#[test]
fn a_pattern_that_makes_no_sense_is_a_usage_error() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("x", "");
    let args = ["store", "-c", "cache", "-k", "k", "--exclude", "a{b", "src"];
    // Braces are no part of the syntax of gitignore: such a pattern is a name, or it is refused.
    sandbox.run(args).expect_one_of(&[SUCCESS, USAGE]);
    let args = ["store", "-c", "cache", "-k", "k", "--exclude", "[", "src"];
    sandbox.run(args).expect_one_of(&[SUCCESS, USAGE]);
}
