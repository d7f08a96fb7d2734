//! A directory of its own for every test, with shorthands for the commands that most tests run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::binary::{btdt, btdt_command, native};
use super::process::{Outcome, Running};
use super::{CacheView, Tree, TreeBuilder, runtime};

/// A temporary directory with an empty cache in `cache`; everything is removed at the end.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("btdt-test-")
            .tempdir()
            .expect("make a temporary directory");
        let sandbox = Self { dir };
        sandbox.make_cache("cache");
        sandbox
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// Makes one more empty directory for a cache.
    pub(crate) fn make_cache(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("make a directory for a cache");
        path
    }

    /// Starts a tree in a new directory of this name.
    pub(crate) fn tree(&self, name: impl AsRef<Path>) -> TreeBuilder {
        TreeBuilder::new(self.path(name))
    }

    /// A look at the default cache from outside.
    pub(crate) fn view(&self) -> CacheView {
        CacheView::of(&self.cache())
    }

    /// What is at `name` now.
    #[track_caller]
    pub(crate) fn snapshot(&self, name: impl AsRef<Path>) -> Tree {
        Tree::of(&self.path(name))
    }

    /// Runs any command in the sandbox.
    #[track_caller]
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Outcome {
        btdt(self.root(), args)
    }

    /// Waits until the clock of the file system has moved, so that "older" and "newer" mean something.
    pub(crate) fn tick(&self) {
        let stamp = || {
            let path = self.path(".tick");
            fs::write(&path, "").expect("write a file");
            let metadata = fs::metadata(&path).expect("look at a file");
            (metadata.mtime(), metadata.mtime_nsec())
        };
        let before = stamp();
        while stamp() == before {
            std::thread::yield_now();
        }
    }

    /// Starts any command in the sandbox.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        let mut command = btdt_command(self.root());
        command.args(args);
        Running::start(command)
    }

    /// `btdt store -c cache -k KEYS PATH`.
    #[track_caller]
    pub(crate) fn store(&self, keys: impl AsRef<OsStr>, path: impl AsRef<OsStr>) -> Outcome {
        self.run(store_args("cache", keys, path))
    }

    /// `btdt store -c cache -k KEYS PATH` by the native program, whatever is under test.
    #[track_caller]
    pub(crate) fn store_natively(&self, keys: impl AsRef<OsStr>, path: impl AsRef<OsStr>) {
        native(self.root(), store_args("cache", keys, path)).expect(super::SUCCESS);
    }

    /// `btdt restore -c cache -k KEYS DEST`.
    #[track_caller]
    pub(crate) fn restore(&self, keys: impl AsRef<OsStr>, dest: impl AsRef<OsStr>) -> Outcome {
        self.run(restore_args("cache", keys, dest))
    }

    /// `btdt clean -c cache FLAGS`.
    #[track_caller]
    pub(crate) fn clean(&self, flags: &[&str]) -> Outcome {
        let mut args = vec!["clean", "-c", "cache"];
        args.extend_from_slice(flags);
        self.run(args)
    }

    /// Two cleans without a grace period: after these nothing unreferenced is left.
    #[track_caller]
    pub(crate) fn clean_twice(&self) {
        self.clean(&["--grace-period", "0s"]).expect(super::SUCCESS);
        self.let_restores_end();
        self.clean(&["--grace-period", "0s"]).expect(super::SUCCESS);
    }

    /// Makes what was set aside eleven minutes older, where a clean cannot know whether restores
    /// are still at work and waits for ten.
    pub(crate) fn let_restores_end(&self) {
        if runtime().locks {
            return;
        }
        for entry in fs::read_dir(self.cache().join("aside")).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().expect("the name of a sweep");
            let (time, rest) = name.split_once('-').expect("a time and something random");
            let time: u64 = time.parse().expect("milliseconds");
            let older = format!("{:015}-{rest}", time - 660_000);
            fs::rename(entry.path(), entry.path().with_file_name(older)).expect("rename a sweep");
        }
    }

    /// Whether a fresh restore of `key` finds an entry; the restored tree is removed again.
    #[track_caller]
    pub(crate) fn has_key(&self, key: &str) -> bool {
        let probe = self.path("probe");
        let outcome = self.restore(key, "probe").expect_one_of(&[super::SUCCESS, super::NOT_FOUND]);
        if probe.is_dir() {
            fs::remove_dir_all(&probe).expect("remove the probe");
        } else if probe.exists() {
            fs::remove_file(&probe).expect("remove the probe");
        }
        outcome.code == Some(super::SUCCESS)
    }
}

impl Drop for Sandbox {
    /// Only root can empty read-only directories: everybody else makes them writable first.
    fn drop(&mut self) {
        if !rustix::process::geteuid().is_root() {
            make_writable(self.root());
        }
    }
}

fn make_writable(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Arguments of a store into the cache of this name.
pub(crate) fn store_args(
    cache: impl AsRef<OsStr>,
    keys: impl AsRef<OsStr>,
    path: impl AsRef<OsStr>,
) -> Vec<OsString> {
    args_of("store", cache, keys, path)
}

/// Arguments of a restore from the cache of this name.
pub(crate) fn restore_args(
    cache: impl AsRef<OsStr>,
    keys: impl AsRef<OsStr>,
    dest: impl AsRef<OsStr>,
) -> Vec<OsString> {
    args_of("restore", cache, keys, dest)
}

fn args_of(
    command: &str,
    cache: impl AsRef<OsStr>,
    keys: impl AsRef<OsStr>,
    path: impl AsRef<OsStr>,
) -> Vec<OsString> {
    let parts: [&OsStr; 6] = [
        command.as_ref(),
        "-c".as_ref(),
        cache.as_ref(),
        "-k".as_ref(),
        keys.as_ref(),
        path.as_ref(),
    ];
    parts.iter().map(|part| OsString::from(*part)).collect()
}
