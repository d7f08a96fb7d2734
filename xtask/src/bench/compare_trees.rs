//! Is a restored tree what was stored? Content, modes, times and link targets, entry by entry.

use super::directories;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const BUFFER: usize = 1 << 16;

// What can differ.
const MISSING: &str = "missing";
const EXTRA: &str = "not in the original";
const KIND: &str = "of another kind";
const CONTENT: &str = "content or link target";
const MODE: &str = "mode";
const TIME: &str = "modification time";
const FRACTION: &str = "fraction of a second of the modification time";

/// The paths that differ from the original, by what differs.
pub(super) type Differences = BTreeMap<&'static str, Vec<PathBuf>>;

/// Whether there is what a user would call broken: anything but times and modes.
pub(super) fn is_damaged(differences: &Differences) -> bool {
    differences.keys().any(|kind| ![MODE, TIME, FRACTION].contains(kind))
}

pub(super) fn describe(differences: &Differences) -> String {
    let describe = |(kind, paths): (&&str, &Vec<PathBuf>)| {
        format!("{kind}: {} (for example {})", paths.len(), paths[0].display())
    };
    differences.iter().map(describe).collect::<Vec<_>>().join(", ")
}

/// Compares a tree with what was read of its original. The two directories themselves are left out:
/// what creates the destination is at liberty to choose its mode.
pub(super) fn compare(
    original: &Entries,
    restored: &Path,
    may_have_more: bool,
) -> Result<Differences> {
    let restored = read(restored)?;
    let mut differences = Differences::new();
    let mut add = |kind, path: &PathBuf| differences.entry(kind).or_default().push(path.clone());
    for (path, before) in original {
        let Some(after) = restored.get(path) else {
            add(MISSING, path);
            continue;
        };
        let is_link = before.kind.is_symlink();
        for (kind, differs) in [
            (KIND, before.kind != after.kind),
            (CONTENT, before.kind == after.kind && before.content != after.content),
            (MODE, before.mode != after.mode && !is_link),
            (TIME, before.time.0 != after.time.0),
            (FRACTION, before.time.0 == after.time.0 && before.time.1 != after.time.1),
        ] {
            if differs {
                add(kind, path);
            }
        }
    }
    if !may_have_more {
        let is_extra = |path: &&PathBuf| !original.contains_key(*path);
        restored.keys().filter(is_extra).for_each(|path| add(EXTRA, path));
    }
    Ok(differences)
}

/// All entries beneath a directory, by their paths in it.
pub(super) type Entries = BTreeMap<PathBuf, Entry>;

pub(super) struct Entry {
    kind: FileType,
    /// The digest of a file, the target of a link.
    content: Vec<u8>,
    mode: u32,
    /// Seconds and nanoseconds.
    time: (i64, i64),
}

/// Reads a tree.
pub(super) fn read(root: &Path) -> Result<Entries> {
    let mut entries = Entries::new();
    directories::for_each(root, &mut |path, metadata| {
        let kind = metadata.file_type();
        let content = if kind.is_symlink() {
            fs::read_link(path)?.into_os_string().into_vec()
        } else if kind.is_file() {
            digest(path)?
        } else {
            Vec::new()
        };
        let time = (metadata.mtime(), metadata.mtime_nsec());
        let entry = Entry { kind, content, mode: metadata.mode() & 0o777, time };
        entries.insert(path.strip_prefix(root)?.to_path_buf(), entry);
        Ok(())
    })?;
    Ok(entries)
}

fn digest(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut buffer = [0; BUFFER];
    let mut digest = Sha256::new();
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().to_vec()),
            length => digest.update(&buffer[..length]),
        }
    }
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
            crate::bench::directories::copy(&pair.left(), &pair.right()).unwrap();
            pair
        }

        fn left(&self) -> PathBuf {
            self.0.path().join("left")
        }

        fn right(&self) -> PathBuf {
            self.0.path().join("right")
        }

        fn compare(&self, may_have_more: bool) -> Differences {
            compare(&read(&self.left()).unwrap(), &self.right(), may_have_more).unwrap()
        }
    }

    fn set_time(path: &Path, nanos: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000) + Duration::from_nanos(nanos);
        File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn equal_trees_have_no_differences() {
        let differences = Pair::new().compare(false);
        assert!(differences.is_empty(), "{differences:?}");
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        let pair = Pair::new();
        let file = pair.right().join("d/f");
        fs::write(&file, "CONTENT").unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        set_time(&file, 6);
        let differences = pair.compare(false);
        let kinds: Vec<&str> = differences.keys().copied().collect();
        assert_eq!(kinds, [CONTENT, FRACTION, MODE]);
        assert!(is_damaged(&differences));
        assert!(describe(&differences).contains("mode: 1 (for example d/f)"));
    }

    #[test]
    fn additional_entries_count_unless_they_are_allowed() {
        let pair = Pair::new();
        fs::write(pair.right().join("d/new"), "").unwrap();
        assert!(pair.compare(false).contains_key(EXTRA));
        assert!(!pair.compare(true).contains_key(EXTRA));
    }

    #[test]
    fn times_and_modes_are_no_damage() {
        let pair = Pair::new();
        set_time(&pair.right().join("d/f"), 6);
        let differences = pair.compare(false);
        assert!(!differences.is_empty() && !is_damaged(&differences), "{differences:?}");
    }

    #[test]
    fn missing_entries_and_other_link_targets_are_seen() {
        let pair = Pair::new();
        fs::remove_file(pair.right().join("d/f")).unwrap();
        fs::remove_file(pair.right().join("l")).unwrap();
        std::os::unix::fs::symlink("elsewhere", pair.right().join("l")).unwrap();
        let differences = pair.compare(false);
        assert_eq!((differences[MISSING].len(), differences[CONTENT].len()), (1, 1));
    }

    #[test]
    fn an_entry_of_another_kind_is_seen() {
        let pair = Pair::new();
        fs::remove_file(pair.right().join("l")).unwrap();
        fs::create_dir(pair.right().join("l")).unwrap();
        assert_eq!(pair.compare(false)[KIND].len(), 1);
    }
}
