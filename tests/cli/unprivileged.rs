//! As an ordinary user: over read-only directories, and from a cache that is read-only.
//!
//! When the tests run as root, the binary runs as `nobody`; otherwise as whoever runs the tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::binary::btdt_path;
use crate::support::process::clean_command;
use crate::support::{
    ERROR, NOT_FOUND, Outcome, Running, SUCCESS, Sandbox, TreeBuilder, assert_same, runtime,
};

/// The user and group that run the binary when the tests run as root.
const NOBODY: u32 = 65_534;

/// A sandbox that belongs to an ordinary user, with a copy of the binary that they can reach.
struct Home {
    sandbox: Sandbox,
    binary: PathBuf,
    is_root: bool,
}

impl Home {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let (from, to, binary) = if runtime().is_native() {
            (btdt_path(), sandbox.path("btdt"), sandbox.path("btdt"))
        } else {
            // All that the program starts lies beside it.
            let directory = btdt_path().parent().expect("a program in a directory");
            (directory, sandbox.path("program"), sandbox.path("program/btdt"))
        };
        // By another process: a file that this one has open for writing cannot be run, and a child
        // of another test could hold it open for a moment longer.
        let status = Command::new("cp").arg("-R").arg(from).arg(&to).status();
        assert!(status.expect("copy the binary").success(), "cannot copy the binary");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
        let home = Self { sandbox, binary, is_root: rustix::process::geteuid().is_root() };
        home.is_reachable();
        home.give_away();
        home
    }

    /// A temporary directory below somebody's private one would fail every test without a reason.
    fn is_reachable(&self) {
        for above in self.sandbox.root().ancestors().skip(1) {
            let mode = fs::metadata(above).unwrap().permissions().mode();
            assert!(
                !self.is_root || mode & 0o001 != 0,
                "user {NOBODY} cannot pass {}: choose another TMPDIR",
                above.display()
            );
        }
    }

    /// Makes everything in the sandbox the ordinary user's.
    fn give_away(&self) {
        if self.is_root {
            give_away(self.sandbox.root());
        }
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Outcome {
        let mut command = clean_command(&self.binary, self.sandbox.root());
        command.args(args);
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        Running::start(command).finish()
    }

    #[track_caller]
    fn store(&self) -> Outcome {
        self.run(&["store", "-c", "cache", "-k", "k", "src"])
    }

    #[track_caller]
    fn restore(&self) -> Outcome {
        self.run(&["restore", "-c", "cache", "-k", "k", "out"])
    }

    #[track_caller]
    fn is_identical(&self, context: &str) {
        let source = self.sandbox.snapshot("src");
        assert_same(&source, &self.sandbox.snapshot("out"), context);
    }

    /// Takes all write permissions away from the cache, as a read-only volume does.
    fn make_cache_read_only(&self) {
        for_all(&self.sandbox.cache(), &|path, is_dir| {
            let mode = if is_dir { 0o555 } else { 0o444 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        });
    }
}

fn give_away(path: &Path) {
    for_all(path, &|path, _| {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    });
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// Calls `act` on every entry below `path` that is no symlink to somewhere, and on `path` itself.
fn for_all(path: &Path, act: &dyn Fn(&Path, bool)) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            for_all(&entry.path(), act);
        } else if kind.is_file() {
            act(&entry.path(), false);
        }
    }
    act(path, true);
}

/// A tree with directories and files that their owner may not write.
fn read_only_tree(home: &Home) {
    home.sandbox
        .tree("src")
        .file("locked/file", "content")
        .file("locked/deeper/file", "content")
        .file("locked/private", "content")
        .mode("locked/file", 0o444)
        .mode("locked/private", 0o400)
        .mode("locked/deeper", 0o555)
        .mode("locked", 0o555)
        .dir("empty-locked")
        .mode("empty-locked", 0o500)
        .file("free", "content");
    home.give_away();
}

#[test]
fn fault_09_read_only_directories_can_be_restored() {
    let home = Home::new();
    read_only_tree(&home);
    home.store().expect(SUCCESS);
    home.restore().expect(SUCCESS);
    home.is_identical("a new destination");
}

/// A runtime without modes cannot make a directory writable for a moment: then the error says so, and
/// what is there stays as it is. Tells whether that is how it went; fails the test unless it should.
#[track_caller]
fn is_kept_out(home: &Home, outcome: Outcome) -> bool {
    if runtime().modes {
        outcome.expect(SUCCESS);
        return false;
    }
    outcome.expect(ERROR).says("Error: Could not restore to: out").says("Permission denied");
    let left = home.sandbox.snapshot("out");
    assert!(!left.nodes.is_empty() && left.nodes.contains_key(&b"locked/file"[..]));
    true
}

#[test]
fn fault_09_a_restore_over_read_only_directories_works() {
    let home = Home::new();
    read_only_tree(&home);
    home.store().expect(SUCCESS);
    home.restore().expect(SUCCESS);
    home.restore().expect(SUCCESS);
    home.is_identical("over an identical tree");
    // Another content below directories that nobody may write.
    TreeBuilder::at(home.sandbox.path("out"))
        .mode("locked", 0o755)
        .mode("locked/deeper", 0o755)
        .file("locked/file", "something else")
        .mode("locked/file", 0o444)
        .remove("locked/deeper/file")
        .mode("locked/deeper", 0o555)
        .mode("locked", 0o555);
    home.give_away();
    if is_kept_out(&home, home.restore()) {
        return;
    }
    home.is_identical("over read-only directories");
}

#[test]
fn fault_09_exact_deletes_below_read_only_directories() {
    let home = Home::new();
    read_only_tree(&home);
    home.store().expect(SUCCESS);
    home.restore().expect(SUCCESS);
    TreeBuilder::at(home.sandbox.path("out"))
        .mode("locked", 0o755)
        .file("locked/extra", "mine")
        .file("locked/extra-dir/file", "mine")
        .mode("locked/extra-dir", 0o555)
        .mode("locked", 0o555);
    home.give_away();
    let outcome = home.run(&["restore", "-c", "cache", "-k", "k", "--exact", "out"]);
    if is_kept_out(&home, outcome) {
        return;
    }
    home.is_identical("exactly");
}

#[test]
fn fault_09_a_read_only_cache_can_be_restored_from() {
    let home = Home::new();
    home.sandbox.tree("src").sample(1);
    home.give_away();
    home.store().expect(SUCCESS);
    home.make_cache_read_only();
    let before = home.sandbox.snapshot("cache");
    home.restore().expect(SUCCESS);
    home.is_identical("from a read-only cache");
    home.run(&["restore", "-c", "cache", "-k", "nope", "miss"]).expect(NOT_FOUND);
    // The owner may note the access in spite of the mode, and nothing else.
    let mut after = home.sandbox.snapshot("cache");
    after.copy_time("keys/k", &before);
    assert_same(&before, &after, "the read-only cache");
}

#[test]
fn fault_09_a_cache_of_somebody_else_can_be_restored_from() {
    let home = Home::new();
    home.sandbox.tree("src").sample(1);
    home.give_away();
    home.store().expect(SUCCESS);
    home.make_cache_read_only();
    if home.is_root {
        // Owned by root and readable: what a volume filled by another pod looks like.
        for_all(&home.sandbox.cache(), &|path, _| {
            chown(path, Some(0), Some(0)).unwrap();
        });
    }
    home.restore().expect(SUCCESS);
    home.is_identical("from somebody else's cache");
}

#[test]
fn a_store_into_a_read_only_cache_is_a_clear_error() {
    let home = Home::new();
    home.sandbox.tree("src").sample(1);
    home.give_away();
    home.store().expect(SUCCESS);
    home.make_cache_read_only();
    let outcome = home.run(&["store", "-c", "cache", "-k", "new", "src"]);
    outcome.expect(ERROR).says("Permission denied");
    let outcome = home.run(&["clean", "-c", "cache", "--max-age", "7d"]);
    outcome.expect_one_of(&[SUCCESS, ERROR]);
}

#[test]
fn an_unreadable_file_fails_the_store_and_touches_no_key() {
    let home = Home::new();
    home.sandbox.tree("src").sample(1);
    home.give_away();
    home.store().expect(SUCCESS);
    let good = home.sandbox.snapshot("src");
    TreeBuilder::at(home.sandbox.path("src"))
        .file("unreadable", "secret")
        .mode("unreadable", 0o000);
    home.give_away();
    let outcome = home.store().expect(ERROR);
    outcome.says("Error: Could not cache: src").says("unreadable");
    home.restore().expect(SUCCESS);
    assert_same(&good, &home.sandbox.snapshot("out"), "the entry of before");
}

#[test]
fn an_unreadable_directory_fails_the_store_unless_excluded() {
    let home = Home::new();
    home.sandbox.tree("src").file("closed/file", "secret").file("open", "x").mode("closed", 0o000);
    // Not `give_away`: nobody but root can list a directory without permissions.
    if home.is_root {
        for name in ["src/closed", "src/open", "src"] {
            chown(home.sandbox.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    home.store().expect(ERROR).says("closed");
    home.run(&["store", "-c", "cache", "-k", "k", "--exclude", "closed", "src"]).expect(SUCCESS);
    home.restore().expect(SUCCESS);
    assert_eq!(home.sandbox.snapshot("out").names(), ["open"]);
}

#[test]
fn a_destination_that_cannot_be_written_is_a_clear_error() {
    let home = Home::new();
    home.sandbox.tree("src").sample(1);
    home.sandbox.tree("closed").mode("", 0o555);
    home.give_away();
    home.store().expect(SUCCESS);
    home.run(&["restore", "-c", "cache", "-k", "k", "closed/out"])
        .expect(ERROR)
        .says("Error: Could not restore to: closed/out")
        .says("Permission denied");
}
