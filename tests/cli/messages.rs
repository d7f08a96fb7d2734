//! What people see: help, errors and summaries, pinned by golden files in `snapshots/`.
//!
//! `INSTA_UPDATE=always cargo test -p btdt-cli messages` writes them anew; read the diff.

use std::fs;
use std::process::Stdio;

use crate::support::binary::btdt_command;
use crate::support::{ERROR, NOT_FOUND, OTHER_KEY, Outcome, SUCCESS, Sandbox, USAGE, runtime};

/// Pins the exit code and all that a command printed, with the place of the sandbox left out.
#[track_caller]
fn golden(name: &str, sandbox: &Sandbox, args: &[&str]) -> Outcome {
    let outcome = sandbox.run(args);
    let place = sandbox.root().display().to_string();
    let text = format!(
        "$ btdt {}\nexit code: {:?}\n--- stdout\n{}--- stderr\n{}",
        args.join(" "),
        outcome.code.expect("an exit code"),
        outcome.stdout,
        outcome.stderr
    );
    insta::assert_snapshot!(name, text.replace(&place, "[SANDBOX]"));
    outcome
}

fn with_an_entry() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "content").file("other", "x");
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox
}

#[test]
fn help_texts() {
    let sandbox = Sandbox::new();
    golden("help", &sandbox, &["--help"]).expect(SUCCESS);
    golden("help-short", &sandbox, &["-h"]).expect(SUCCESS);
    for command in ["hash", "store", "restore", "clean"] {
        let long = golden(&format!("help-{command}"), &sandbox, &[command, "--help"]);
        let long = long.expect(SUCCESS);
        let name = format!("help-{command}-short");
        let short = golden(&name, &sandbox, &[command, "-h"]).expect(SUCCESS);
        assert!(!short.stdout.is_empty() && short.stdout.len() <= long.stdout.len());
        let other_way = sandbox.run(["help", command]).expect(SUCCESS);
        assert_eq!(other_way.stdout, long.stdout);
    }
}

#[test]
fn the_help_names_every_exit_code_and_flag() {
    let sandbox = Sandbox::new();
    let help = |command| sandbox.run([command, "--help"]).expect(SUCCESS).stdout;
    let restore = help("restore");
    for word in ["0", "1", "2", "3", "4", "--success-rc-on-any-key", "--exact", "--prefix"] {
        assert!(restore.contains(word), "{word}");
    }
    assert!(help("store").contains(".btdtignore"));
    for word in ["--max-age", "--max-size", "--grace-period", "7d", "10GiB"] {
        assert!(help("clean").contains(word), "{word}");
    }
    assert!(help("hash").contains("blake3"));
}

#[test]
fn the_version() {
    let sandbox = Sandbox::new();
    let expected = format!("btdt {}", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-V"] {
        let outcome = sandbox.run([flag]).expect(SUCCESS);
        assert!(outcome.stdout.starts_with(&expected), "{outcome}");
        assert_eq!(outcome.stdout.lines().count(), 1);
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn a_cache_that_does_not_exist() {
    let sandbox = Sandbox::new();
    sandbox.tree("src");
    let start = "Error: Could not access cache: ./no-cache\n\nCaused by:\n    \
                 No such file or directory (os error 2)\n";
    for (name, args) in [
        ("no-cache-store", &["store", "-c", "./no-cache", "-k", "k", "src"][..]),
        ("no-cache-restore", &["restore", "-c", "./no-cache", "-k", "k", "out"]),
        ("no-cache-clean", &["clean", "-c", "./no-cache"]),
    ] {
        let outcome = golden(name, &sandbox, args).expect(ERROR);
        assert!(outcome.stderr.starts_with(start), "{outcome}");
        assert_eq!(outcome.stdout, "");
        outcome.says("mkdir -p ./no-cache");
        assert!(!sandbox.path("no-cache").exists(), "it is not made by accident");
    }
}

#[test]
fn a_cache_that_is_a_file() {
    let sandbox = Sandbox::new();
    sandbox.tree("src");
    fs::write(sandbox.path("file"), "x").unwrap();
    let args = ["store", "-c", "file", "-k", "k", "src"];
    golden("cache-is-a-file", &sandbox, &args)
        .expect(ERROR)
        .says("Error: Could not access cache: file\n");
}

#[test]
fn a_source_that_does_not_exist() {
    let sandbox = Sandbox::new();
    let args = ["store", "-c", "cache", "-k", "k", "source"];
    let outcome = golden("no-source", &sandbox, &args).expect(ERROR);
    let start = "Error: Could not cache: source\n\nCaused by:\n    ";
    assert!(outcome.stderr.starts_with(start), "{outcome}");
    outcome.says("No such file or directory (os error 2)");
}

#[test]
fn a_file_to_hash_that_does_not_exist() {
    let sandbox = Sandbox::new();
    let outcome = golden("no-file", &sandbox, &["hash", "package-lock.json"]).expect(ERROR);
    let start = "Error: Could not open: package-lock.json\n\nCaused by:\n    \
                 No such file or directory (os error 2)\n";
    assert!(outcome.stderr.starts_with(start), "{outcome}");
}

#[test]
fn a_destination_below_a_file() {
    let sandbox = with_an_entry();
    fs::write(sandbox.path("file"), "x").unwrap();
    let args = ["restore", "-c", "cache", "-k", "k", "file/out"];
    let outcome = golden("destination-below-a-file", &sandbox, &args).expect(ERROR);
    let start = "Error: Could not restore to: file/out\n\nCaused by:\n    ";
    assert!(outcome.stderr.starts_with(start), "{outcome}");
    assert_eq!(outcome.stdout, "", "nothing was restored");
}

#[test]
fn hits_and_misses() {
    let sandbox = with_an_entry();
    let hit = ["restore", "-c", "cache", "-k", "k", "out"];
    assert_eq!(sandbox.run(hit).expect(SUCCESS).stdout, "Restored key k\n");
    let other = ["restore", "-c", "cache", "-k", "x,k", "out"];
    assert_eq!(sandbox.run(other).expect(OTHER_KEY).stdout, "Restored key k\n");
    let miss = ["restore", "-c", "cache", "-k", "x", "out"];
    golden("miss", &sandbox, &miss).expect(NOT_FOUND);
    let quiet = ["restore", "-c", "cache", "-q", "-k", "k", "out2"];
    assert_eq!(sandbox.run(quiet).expect(SUCCESS).stderr, "");
}

#[test]
fn usage_errors() {
    let sandbox = Sandbox::new();
    sandbox.tree("src");
    for (name, args) in [
        ("usage-nothing", &[][..]),
        ("usage-unknown-command", &["stroe"]),
        ("usage-hash-nothing", &["hash"]),
        ("usage-store-no-cache", &["store", "-k", "k", "src"]),
        ("usage-store-no-path", &["store", "-c", "cache", "-k", "k"]),
        ("usage-store-no-key", &["store", "-c", "cache", "src"]),
        ("usage-store-empty-keys", &["store", "-c", "cache", "-k", ",", "src"]),
        ("usage-restore-two-paths", &["restore", "-c", "cache", "-k", "k", "a", "b"]),
        ("usage-restore-control-key", &["restore", "-c", "cache", "-k", "a\u{7}b", "a"]),
        ("usage-clean-size", &["clean", "-c", "cache", "--max-size", "10 parsecs"]),
        ("usage-clean-size-overflow", &["clean", "-c", "cache", "--max-size", "16EiB"]),
        ("usage-clean-age", &["clean", "-c", "cache", "--max-age", "soon"]),
        ("usage-clean-age-overflow", &["clean", "-c", "cache", "--max-age", "100000000000000y"]),
    ] {
        let outcome = golden(name, &sandbox, args).expect(USAGE);
        assert_eq!(outcome.stdout, "", "usage errors go to stderr");
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn summaries_are_one_line_and_can_be_silenced() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").sample(1);
    for args in [&["store", "-c", "cache", "-k", "k", "src"][..], &["clean", "-c", "cache"]] {
        let outcome = sandbox.run(args).expect(SUCCESS);
        assert_eq!(outcome.stdout, "");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        for quiet in ["-q", "--quiet"] {
            let mut args = args.to_vec();
            args.insert(1, quiet);
            let outcome = sandbox.run(args).expect(SUCCESS);
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        }
    }
}

#[test]
fn quiet_does_not_hide_errors_and_warnings() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").fifo("pipe");
    sandbox.run(["store", "-q", "-c", "cache", "-k", "k", "src"]).expect(SUCCESS).warns();
    sandbox
        .run(["store", "-q", "-c", "cache", "-k", "k", "gone"])
        .expect(ERROR)
        .says("Error: Could not cache: gone");
}

#[test]
fn a_closed_stdout_is_no_error() {
    if runtime().lacks("standard streams that report errors", runtime().stream_errors) {
        return;
    }
    let sandbox = with_an_entry();
    for args in [
        &["hash", "src/file"][..],
        &["restore", "-c", "cache", "-k", "k", "out"],
        &["--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().expect("make a pipe");
        drop(reader);
        let mut command = btdt_command(sandbox.root());
        command.args(args).stdout(writer).stderr(Stdio::piped());
        let output = command.output().expect("run btdt");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(SUCCESS), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        assert!(!stderr.contains("Broken pipe"), "{args:?}: {stderr}");
    }
    assert!(sandbox.path("out/file").is_file(), "the restore was done all the same");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    if runtime().lacks("standard streams that report errors", runtime().stream_errors) {
        return;
    }
    let sandbox = with_an_entry();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = btdt_command(sandbox.root());
    command.args(["hash", "src/file"]).stdout(full).stderr(Stdio::piped());
    let output = command.output().expect("run btdt");
    assert_eq!(output.status.code(), Some(ERROR));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("Error: Could not write to standard output\n"), "{stderr}");
}

#[test]
fn a_closed_stderr_is_no_error_either() {
    if runtime().lacks("standard streams that report errors", runtime().stream_errors) {
        return;
    }
    let sandbox = with_an_entry();
    let (reader, writer) = std::io::pipe().expect("make a pipe");
    drop(reader);
    let mut command = btdt_command(sandbox.root());
    command.args(["store", "-c", "cache", "-k", "again", "src"]);
    command.stdout(Stdio::null()).stderr(writer);
    let status = command.status().expect("run btdt");
    assert_eq!(status.code(), Some(SUCCESS));
    assert!(sandbox.has_key("again"));
}

#[test]
fn names_in_messages_cannot_forge_lines_or_colours() {
    let sandbox = Sandbox::new();
    let name = "pipe\u{1b}[31m\nError: forged";
    sandbox.tree("src").fifo(name);
    let outcome = sandbox.store("k", "src").expect(SUCCESS).warns();
    assert!(!outcome.stderr.contains('\u{1b}'), "{outcome:?}");
    assert!(!outcome.stderr.contains("\nError: forged"), "{outcome:?}");
}
