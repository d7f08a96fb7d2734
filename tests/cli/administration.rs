//! `list`, `inspect`, `delete` and `verify`, as people and scripts see them.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::support::binary::btdt_command;
use crate::support::{ERROR, Kind, NOT_FOUND, Outcome, SUCCESS, Sandbox, USAGE, runtime, vandal};

/// Pins the exit code and all that a command printed, but for places, times and digests.
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
    insta::assert_snapshot!(name, neutral(&text.replace(&place, "[SANDBOX]")));
    outcome
}

/// The text without digests and times of this run.
fn neutral(text: &str) -> String {
    let is_time = |text: &str| {
        let shape = b"0000-00-00T00:00:00.000Z";
        text.bytes().zip(shape).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
    };
    let is_digest = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut neutral = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if rest.get(..24).is_some_and(|time| is_time(time) && !time.starts_with("2001")) {
            neutral.push_str("[TIME]");
            rest = &rest[24..];
        } else if rest.get(..64).is_some_and(is_digest) {
            neutral.push_str("[DIGEST]");
            rest = &rest[64..];
        } else {
            neutral.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    neutral
}

/// Makes the last use of a key so many seconds old.
fn used_ago(sandbox: &Sandbox, record: &str, seconds: u64) {
    let file = File::options().write(true).open(sandbox.cache().join("keys").join(record));
    let time = SystemTime::now() - Duration::from_secs(seconds);
    file.unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

/// A cache with three entries: `big`, `ci/a` and `ci/é b`. The native program stores them, because
/// sizes in the golden files depend on modes and on the encoder.
fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "content").file("other", "x");
    sandbox.store_natively("ci/a,ci/é b", "src");
    sandbox.tree("big").file("zeros", vec![0; 5 << 20]);
    sandbox.store_natively("big", "big");
    used_ago(&sandbox, "big", 3 * 86_400 + 7);
    used_ago(&sandbox, "ci%2Fa", 5 * 3600 + 7);
    used_ago(&sandbox, "ci%2F%C3%A9%20b", 11 * 60 + 7);
    sandbox
}

/// A cache with a tree that has everything, and times of the year 2001; stored by the native
/// program, because not every runtime sees everything.
fn everything() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("a", "alpha").file("d/run.sh", "#!").file("empty", "");
    let path = |name: &str| sandbox.path("src").join(name);
    fs::write(sandbox.path("src").join(OsStr::from_bytes(b"odd\xff\x1b\n")), "odd").unwrap();
    std::os::unix::fs::symlink("../out\x1bside", path("link")).unwrap();
    fs::hard_link(path("a"), path("z")).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (name, mode) in
        [("a", 0o644), ("d/run.sh", 0o755), ("empty", 0o600), ("d", 0o700), ("", 0o755)]
    {
        set(&path(name), mode, time);
    }
    set(&sandbox.path("src").join(OsStr::from_bytes(b"odd\xff\x1b\n")), 0o444, time);
    set(&path(""), 0o755, time);
    sandbox.store_natively("k", "src");
    sandbox
}

fn set(path: &std::path::Path, mode: u32, time: SystemTime) {
    use std::os::unix::fs::PermissionsExt;
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn help_texts() {
    let sandbox = Sandbox::new();
    for command in ["list", "inspect", "delete", "verify"] {
        golden(&format!("help-{command}"), &sandbox, &[command, "--help"]).expect(SUCCESS);
    }
}

#[test]
fn lists() {
    let sandbox = filled();
    golden("list", &sandbox, &["list", "-c", "cache"]).expect(SUCCESS);
    let some = golden("list-prefix", &sandbox, &["list", "-c", "cache", "--prefix", "ci/"]);
    assert_eq!(some.expect(SUCCESS).stdout.lines().count(), 2);
    golden("list-json", &sandbox, &["list", "-c", "cache", "--format", "json"]).expect(SUCCESS);
    let none = ["list", "-c", "cache", "--prefix", "x", "--format"];
    let none = |format| sandbox.run(none.iter().copied().chain([format])).expect(SUCCESS);
    assert_eq!((none("text").stdout, none("text").stderr), (String::new(), "No entries.\n".into()));
    assert_eq!((none("json").stdout, none("json").stderr), ("[]\n".into(), String::new()));
    vandal::replace(&sandbox.cache().join("keys/big"), b"no record");
    let rest = sandbox.run(["list", "-c", "cache"]).expect(SUCCESS).warns();
    assert_eq!(rest.stdout.lines().count(), 2);
    rest.says("1 record was passed over");
    assert!(sandbox.cache().join("keys/big").exists(), "nothing is deleted");
}

#[test]
fn a_list_of_thousands_is_complete_and_sorted() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "content");
    let mut keys: Vec<String> = (0..3000).map(|number| format!("k{number}/%é")).collect();
    sandbox.store(keys.join(","), "src").expect(SUCCESS);
    keys.sort();
    let listed = sandbox.run(["list", "-c", "cache"]).expect(SUCCESS);
    let found: Vec<&str> =
        listed.stdout.lines().map(|line| line.rsplit_once(' ').expect("columns").1).collect();
    assert_eq!(found, keys);
    let deleted = sandbox.run(["delete", "-c", "cache", "--prefix", "k1"]).expect(SUCCESS);
    assert_eq!(deleted.stdout.lines().count(), 1111);
    assert!(deleted.stdout.lines().all(|line| line.starts_with("Deleted key k1")));
    let listed = sandbox.run(["list", "-c", "cache"]).expect(SUCCESS);
    assert_eq!(listed.stdout.lines().count(), 3000 - 1111);
}

#[test]
fn entries_are_inspected() {
    let sandbox = everything();
    golden("inspect", &sandbox, &["inspect", "-c", "cache", "k"]).expect(SUCCESS);
    let files = golden("inspect-files", &sandbox, &["inspect", "-c", "cache", "--files", "k"]);
    assert!(!files.expect(SUCCESS).stdout.contains('\u{1b}'), "names cannot colour anything");
    let args = ["inspect", "-c", "cache", "--files", "--format", "json", "k"];
    let json = golden("inspect-json", &sandbox, &args).expect(SUCCESS);
    assert!(!json.stdout.contains('\u{1b}'));
    golden("inspect-missing", &sandbox, &["inspect", "-c", "cache", "x"]).expect(NOT_FOUND);
    sandbox.run(["inspect", "-c", "cache", "a,b"]).expect(USAGE);
    for chunk in sandbox.view().objects(Kind::Chunk) {
        vandal::remove(&chunk);
    }
    let broken = sandbox.run(["inspect", "-c", "cache", "k"]).expect(ERROR);
    assert!(broken.stdout.contains("MISSING"), "{broken}");
    vandal::remove(&sandbox.view().objects(Kind::Manifest)[0]);
    let broken = sandbox.run(["inspect", "-c", "cache", "k"]).expect(ERROR).warns();
    assert!(broken.stdout.contains("cannot be read"), "{broken}");
}

#[test]
fn entries_are_deleted() {
    let sandbox = filled();
    let args = ["delete", "-c", "cache", "-k", "ci/a,gone"];
    golden("delete", &sandbox, &args).expect(SUCCESS);
    golden("delete-again", &sandbox, &args).expect(NOT_FOUND);
    assert!(!sandbox.has_key("ci/a") && sandbox.has_key("ci/é b") && sandbox.has_key("big"));
    let args = ["delete", "-c", "cache", "--prefix", "ci/"];
    let deleted = sandbox.run(args).expect(SUCCESS);
    assert_eq!((&*deleted.stdout, &*deleted.stderr), ("Deleted key ci/é b\n", ""));
    sandbox.run(args).expect(NOT_FOUND);
    for (name, args) in [
        ("delete-nothing", &["delete", "-c", "cache"][..]),
        ("delete-both", &["delete", "-c", "cache", "-k", "big", "--prefix", "b"]),
        ("delete-all", &["delete", "-c", "cache", "--prefix", ""]),
        ("delete-no-key", &["delete", "-c", "cache", "-k", ","]),
        ("delete-invalid", &["delete", "-c", "cache", "-k", "big,a\u{1b}b"]),
    ] {
        golden(name, &sandbox, args).expect(USAGE);
    }
    assert!(sandbox.has_key("big"));
}

#[test]
fn caches_are_verified() {
    let sandbox = filled();
    golden("verify", &sandbox, &["verify", "-c", "cache"]).expect(SUCCESS);
    let quiet = sandbox.run(["verify", "-q", "-c", "cache"]).expect(SUCCESS);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
}

#[test]
fn damage_is_found_and_healed() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("file", "content");
    sandbox.store_natively("a,b", "src");
    fs::write(sandbox.cache().join("keys/junk"), "no record").unwrap();
    let chunk = sandbox.view().objects(Kind::Chunk).remove(0);
    vandal::flip(&chunk, 1_000_000_006, 1);
    let before = fs::read(&chunk).unwrap();
    golden("verify-damage", &sandbox, &["verify", "-c", "cache"]).expect(ERROR);
    assert_eq!(fs::read(&chunk).unwrap(), before, "nothing is changed");
    golden("verify-repair", &sandbox, &["verify", "-c", "cache", "--repair"]).expect(ERROR);
    assert!(!chunk.exists() && !sandbox.cache().join("keys/junk").exists());
    golden("verify-missing", &sandbox, &["verify", "-c", "cache"]).expect(ERROR);
    sandbox.store("a,b", "src").expect(SUCCESS);
    sandbox.run(["verify", "-c", "cache"]).expect(SUCCESS).says("all is intact");
}

#[test]
fn verifying_beside_stores_and_cleans_finds_nothing() {
    let sandbox = Sandbox::new();
    for number in 0..12 {
        let name = format!("src{number}");
        sandbox.tree(&name).file("same", "same").file("own", vec![number; 40_000]);
        let store = sandbox.start(["store", "-q", "-c", "cache", "-k", "k,l", &name]);
        let clean = sandbox.start(["clean", "-q", "-c", "cache", "--grace-period", "0s"]);
        sandbox.run(["verify", "-c", "cache"]).expect(SUCCESS);
        store.finish().expect(SUCCESS);
        clean.finish().expect(SUCCESS);
    }
    sandbox.run(["verify", "-c", "cache"]).expect(SUCCESS).says("2 records");
}

#[test]
fn a_closed_or_full_stdout() {
    if runtime().lacks("standard streams that report errors", runtime().stream_errors) {
        return;
    }
    let sandbox = everything();
    for args in [
        &["list", "-c", "cache"][..],
        &["list", "-c", "cache", "--format", "json"],
        &["inspect", "-c", "cache", "--files", "k"],
        &["delete", "-c", "cache", "-k", "k"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = btdt_command(sandbox.root());
        let output = command.args(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(ERROR), "{args:?}: {stderr}");
        assert!(stderr.starts_with("Error: Could not write to standard output\n"), "{stderr}");
        sandbox.store_natively("k", "src");
        let (reader, writer) = std::io::pipe().expect("make a pipe");
        drop(reader);
        let mut command = btdt_command(sandbox.root());
        let output = command.args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(SUCCESS), "{args:?}: {stderr}");
        assert_eq!(stderr, "", "{args:?}");
    }
}

#[test]
fn a_cache_that_does_not_exist() {
    let sandbox = Sandbox::new();
    for args in [
        &["list", "-c", "none"][..],
        &["inspect", "-c", "none", "k"],
        &["delete", "-c", "none", "-k", "k"],
        &["verify", "-c", "none"],
    ] {
        let outcome = sandbox.run(args).expect(ERROR).says("Error: Could not access cache: none\n");
        assert_eq!(outcome.stdout, "");
    }
    golden("verify-server", &sandbox, &["verify", "-c", "http://127.0.0.1:1/api/caches/c"])
        .expect(ERROR);
}
