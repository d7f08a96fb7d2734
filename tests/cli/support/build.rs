//! Makes trees: every kind of entry, with the modes and times that a test asks for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use super::runtime::runtime;
use super::{Rng, Tree};

/// Builds a tree; paths are relative to its root, parents are made when they are missing.
pub(crate) struct TreeBuilder {
    root: PathBuf,
}

impl TreeBuilder {
    pub(crate) fn new(root: PathBuf) -> Self {
        fs::create_dir_all(&root).expect("make the root of a tree");
        Self { root }
    }

    /// Goes on with a tree that exists.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.root.join(name.as_ref())
    }

    fn with_parent(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("make a parent directory");
        }
        path
    }

    /// A file, replaced when it exists (so that the names which share its content keep theirs).
    pub(crate) fn file(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.with_parent(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, content).expect("write a file");
        self
    }

    pub(crate) fn dir(&self, name: impl AsRef<OsStr>) -> &Self {
        fs::create_dir_all(self.path(name)).expect("make a directory");
        self
    }

    pub(crate) fn link(&self, name: impl AsRef<OsStr>, target: impl AsRef<OsStr>) -> &Self {
        let path = self.with_parent(name);
        let _ = fs::remove_file(&path);
        symlink(target.as_ref(), path).expect("make a symlink");
        self
    }

    /// One more name for a file of this tree.
    pub(crate) fn hard_link(&self, name: impl AsRef<OsStr>, existing: impl AsRef<OsStr>) -> &Self {
        let path = self.with_parent(name);
        let _ = fs::remove_file(&path);
        fs::hard_link(self.path(existing), path).expect("make a hard link");
        self
    }

    pub(crate) fn fifo(&self, name: impl AsRef<OsStr>) -> &Self {
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, self.with_parent(name), FileType::Fifo, mode, 0).expect("make a FIFO");
        self
    }

    pub(crate) fn mode(&self, name: impl AsRef<OsStr>, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode))
            .expect("set permissions");
        self
    }

    /// Sets the modification time of the entry itself, also of a symlink.
    pub(crate) fn time(&self, name: impl AsRef<OsStr>, seconds: i64, nanoseconds: i64) -> &Self {
        set_time(&self.path(name), seconds, nanoseconds);
        self
    }

    /// Rounds all times where the runtime could not set them exactly, so that a restore of this
    /// tree gives the same ones.
    pub(crate) fn times_as_the_runtime_sets_them(&self) -> &Self {
        if runtime().time_error > 0 {
            for (name, node) in &self.snapshot().nodes {
                if let Some((seconds, _)) = node.time() {
                    // Exact as a floating-point number; and whole seconds are not trusted.
                    set_time(&self.path(OsStr::from_bytes(name)), seconds, 500_000_000);
                }
            }
        }
        self
    }

    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> &Self {
        let path = self.path(name);
        let kind = fs::symlink_metadata(&path).expect("look at what to remove");
        if kind.is_dir() {
            fs::remove_dir_all(path).expect("remove a directory");
        } else {
            fs::remove_file(path).expect("remove a file");
        }
        self
    }

    pub(crate) fn snapshot(&self) -> Tree {
        Tree::of(&self.root)
    }

    /// A small tree with every kind of entry, whose contents depend on the seed.
    pub(crate) fn sample(&self, seed: u64) -> &Self {
        let mut rng = Rng::new(seed);
        for index in 0..24 {
            let length = 40 + rng.below(9_000) as usize;
            self.file(format!("lib/part{}/f{index}.bin", index % 4), rng.bytes(length));
        }
        self.file("version", format!("{seed}\n"))
            .file("run.sh", "#!/bin/sh\nexit 0\n")
            .file("empty", "")
            .dir("void")
            .link("current", "lib/part1")
            .link("dangling", "no/such/place")
            .hard_link("run-too.sh", "run.sh")
            .mode("run.sh", 0o755)
            .mode("empty", 0o600)
            .time("version", 1_600_000_000 + seed as i64, 123_456_789)
            .time("current", 1_500_000_000, 1)
            .time("lib/part2", 1_400_000_000, 999_999_999)
    }

    /// `sample`, and enough incompressible bytes to keep a store busy for a while.
    pub(crate) fn bulky(&self, seed: u64, megabytes: usize) -> &Self {
        self.sample(seed);
        let mut rng = Rng::new(seed ^ 0xB0B);
        for index in 0..megabytes {
            self.file(format!("bulk/{index}.dat"), rng.bytes(1 << 20));
        }
        self
    }
}

/// Sets the modification time of the entry itself, also of a symlink.
pub(crate) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set a time");
}
