//! Is a restored tree what was stored? Content, modes, times and link targets, entry by entry.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const BUFFER: usize = 1 << 20;

/// How many entries differ from the original, by what differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    missing: u64,
    extra: u64,
    kind: u64,
    content: u64,
    target: u64,
    mode: u64,
    /// The modification time differs by more than the fraction of a second.
    time: u64,
    /// Only the fraction of the second differs.
    fraction: u64,
    /// The first path that differs in something, to look at.
    example: Option<String>,
}

/// Whether entries that the original does not have count as a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extras {
    Count,
    Allow,
}

/// Compares the trees beneath two directories, not the two directories themselves: what creates
/// the destination is at liberty to choose its mode.
///
/// # Errors
/// When something can't be read.
pub(super) fn compare(original: &Path, restored: &Path, extras: Extras) -> Result<Differences> {
    let mut comparison = Comparison {
        differences: Differences::default(),
        extras,
        left: vec![0; BUFFER],
        right: vec![0; BUFFER],
    };
    comparison.directory(original, restored)?;
    Ok(comparison.differences)
}

impl Differences {
    pub(super) fn none(&self) -> bool {
        self.sum() == 0
    }

    /// What a user would call broken: anything but times and modes.
    pub(super) fn damage(&self) -> bool {
        self.missing + self.extra + self.kind + self.content + self.target > 0
    }

    /// What is not kept, without numbers, for a list of what each tool loses.
    pub(super) fn summary(&self) -> Vec<&'static str> {
        self.counts().into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name).collect()
    }

    fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("missing", self.missing),
            ("not in the original", self.extra),
            ("of another kind", self.kind),
            ("content", self.content),
            ("link target", self.target),
            ("mode", self.mode),
            ("modification time", self.time),
            ("fraction of a second of the modification time", self.fraction),
        ]
    }

    fn sum(&self) -> u64 {
        self.counts().iter().map(|(_, count)| count).sum()
    }

    fn example(&mut self, path: &Path) {
        if self.example.is_none() {
            self.example = Some(path.display().to_string());
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, count) in self.counts() {
            if count > 0 {
                write!(f, "{separator}{name}: {count}")?;
                separator = ", ";
            }
        }
        match &self.example {
            Some(path) => write!(f, " (for example {path})"),
            None => Ok(()),
        }
    }
}

struct Comparison {
    differences: Differences,
    extras: Extras,
    left: Vec<u8>,
    right: Vec<u8>,
}

impl Comparison {
    fn directory(&mut self, original: &Path, restored: &Path) -> Result<()> {
        let expected = names(original)?;
        let found = names(restored)?;
        if self.extras == Extras::Count {
            for name in found.difference(&expected) {
                self.differences.extra += 1;
                self.differences.example(&restored.join(name));
            }
        }
        for name in &expected {
            let path = restored.join(name);
            if found.contains(name) {
                self.entry(&original.join(name), &path)?;
            } else {
                self.differences.missing += 1;
                self.differences.example(&path);
            }
        }
        Ok(())
    }

    fn entry(&mut self, original: &Path, restored: &Path) -> Result<()> {
        let expected = metadata(original)?;
        let found = metadata(restored)?;
        let before = self.differences.sum();
        if expected.file_type() == found.file_type() {
            self.attributes(&expected, &found);
            if expected.is_dir() {
                self.directory(original, restored)?;
            } else if expected.is_symlink() {
                let same = read_link(original)? == read_link(restored)?;
                self.differences.target += u64::from(!same);
            } else if expected.len() != found.len() || !self.same_content(original, restored)? {
                self.differences.content += 1;
            }
        } else {
            self.differences.kind += 1;
        }
        if self.differences.sum() != before {
            self.differences.example(restored);
        }
        Ok(())
    }

    fn attributes(&mut self, expected: &Metadata, found: &Metadata) {
        let mode = |metadata: &Metadata| metadata.permissions().mode() & 0o777;
        if !expected.is_symlink() && mode(expected) != mode(found) {
            self.differences.mode += 1;
        }
        if expected.mtime() != found.mtime() {
            self.differences.time += 1;
        } else if expected.mtime_nsec() != found.mtime_nsec() {
            self.differences.fraction += 1;
        }
    }

    fn same_content(&mut self, original: &Path, restored: &Path) -> Result<bool> {
        let mut left = open(original)?;
        let mut right = open(restored)?;
        loop {
            let length = read_full(&mut left, &mut self.left)?;
            if length != read_full(&mut right, &mut self.right)?
                || self.left[..length] != self.right[..length]
            {
                return Ok(false);
            }
            if length < BUFFER {
                return Ok(true);
            }
        }
    }
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    let list = || {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()
    };
    list().with_context(|| format!("could not list {}", directory.display()))
}

fn metadata(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).with_context(|| format!("could not look at {}", path.display()))
}

fn read_link(path: &Path) -> Result<std::path::PathBuf> {
    fs::read_link(path).with_context(|| format!("could not read {}", path.display()))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("could not open {}", path.display()))
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("could not read a file to compare"),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    /// Two equal trees in a directory of the test's own.
    struct Pair(tempfile::TempDir);

    impl Pair {
        fn new() -> Self {
            let pair = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(pair.left().join("d")).unwrap();
            fs::write(pair.left().join("d/f"), "content").unwrap();
            std::os::unix::fs::symlink("d/f", pair.left().join("l")).unwrap();
            set_time(&pair.left().join("d/f"), 5);
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([pair.left(), pair.right()])
                .status()
                .unwrap();
            assert!(copied.success());
            pair
        }

        fn left(&self) -> PathBuf {
            self.0.path().join("left")
        }

        fn right(&self) -> PathBuf {
            self.0.path().join("right")
        }

        fn compare(&self, extras: Extras) -> Differences {
            let mut differences = compare(&self.left(), &self.right(), extras).unwrap();
            differences.example = None;
            differences
        }
    }

    fn set_time(path: &Path, nanos: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000) + Duration::from_nanos(nanos);
        File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn equal_trees_have_no_differences() {
        let differences = Pair::new().compare(Extras::Count);
        assert!(differences.none(), "{differences}");
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        let pair = Pair::new();
        let file = pair.right().join("d/f");
        fs::write(&file, "CONTENT").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        set_time(&file, 6);
        fs::write(pair.right().join("new"), "").unwrap();
        let differences = pair.compare(Extras::Count);
        assert_eq!(
            differences,
            Differences { extra: 1, content: 1, mode: 1, fraction: 1, ..Differences::default() }
        );
        assert!(differences.damage());
        assert_eq!(pair.compare(Extras::Allow).extra, 0);
    }

    #[test]
    fn missing_entries_and_other_link_targets_are_seen() {
        let pair = Pair::new();
        fs::remove_file(pair.right().join("d/f")).unwrap();
        fs::remove_file(pair.right().join("l")).unwrap();
        std::os::unix::fs::symlink("elsewhere", pair.right().join("l")).unwrap();
        let differences = pair.compare(Extras::Count);
        assert_eq!((differences.missing, differences.target), (1, 1));
    }

    #[test]
    fn an_entry_of_another_kind_is_seen() {
        let pair = Pair::new();
        fs::remove_file(pair.right().join("l")).unwrap();
        fs::create_dir(pair.right().join("l")).unwrap();
        assert_eq!(pair.compare(Extras::Count).kind, 1);
    }
}
