//! The demo's own comparison of two trees. It shares no code with btdt, so that both would have to
//! be wrong in the same way for a wrong restore to pass.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many differences an error lists.
const SHOWN_DIFFERENCES: usize = 10;

/// How much is in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Everything that is no directory.
    pub(super) files: u64,
    /// The sum of the files' lengths.
    pub(super) bytes: u64,
}

/// A state of every file in a tree by which a rewritten file gives itself away.
pub(super) struct Snapshot(BTreeMap<PathBuf, (u64, i64, i64)>);

/// Counts the files beneath a directory.
///
/// # Errors
/// When something can't be read.
pub(super) fn measure(tree: &Path) -> Result<Size> {
    let mut size = Size::default();
    for metadata in list(tree)?.values().filter(|metadata| !metadata.is_dir()) {
        size.files += 1;
        size.bytes += metadata.len();
    }
    Ok(size)
}

/// Compares two trees: names, kinds, permissions, modification times, link targets and every byte.
///
/// # Errors
/// When they differ, with the first differences, or can't be read.
pub(super) fn compare(expected: &Path, actual: &Path) -> Result<()> {
    let (left, right) = (list(expected)?, list(actual)?);
    let mut differences = Vec::new();
    for (path, metadata) in &left {
        match right.get(path) {
            None => differences.push(format!("missing: {}", path.display())),
            Some(other) => {
                let what = difference(&expected.join(path), metadata, &actual.join(path), other)?;
                differences.extend(what.map(|what| format!("{what} differs: {}", path.display())));
            }
        }
    }
    let surplus = right.keys().filter(|path| !left.contains_key(*path));
    differences.extend(surplus.map(|path| format!("not expected: {}", path.display())));
    if differences.is_empty() {
        return Ok(());
    }
    let count = differences.len();
    differences.truncate(SHOWN_DIFFERENCES);
    bail!(
        "{} is not what was stored; {count} differences, first ones:\n  {}",
        actual.display(),
        differences.join("\n  ")
    )
}

/// What differs between two entries of the same name.
fn difference(
    left: &Path,
    left_metadata: &Metadata,
    right: &Path,
    right_metadata: &Metadata,
) -> Result<Option<&'static str>> {
    let unreadable = || format!("could not compare {}", right.display());
    if left_metadata.file_type() != right_metadata.file_type() {
        return Ok(Some("kind"));
    }
    if left_metadata.is_symlink() {
        let same = fs::read_link(left).with_context(unreadable)?
            == fs::read_link(right).with_context(unreadable)?;
        return Ok((!same).then_some("link target"));
    }
    if left_metadata.mode() != right_metadata.mode() {
        return Ok(Some("mode"));
    }
    if modified(left_metadata) != modified(right_metadata) {
        return Ok(Some("modification time"));
    }
    if left_metadata.is_file() {
        let same = left_metadata.len() == right_metadata.len()
            && fs::read(left).with_context(unreadable)?
                == fs::read(right).with_context(unreadable)?;
        return Ok((!same).then_some("content"));
    }
    Ok(None)
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

impl Snapshot {
    /// Remembers the state of every file beneath a directory.
    ///
    /// # Errors
    /// When something can't be read.
    pub(super) fn take(tree: &Path) -> Result<Self> {
        let state = |metadata: &Metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        let files = list(tree)?
            .into_iter()
            .filter(|(_, metadata)| !metadata.is_dir())
            .map(|(path, metadata)| (path, state(&metadata)));
        Ok(Self(files.collect()))
    }

    /// How many files are new or were written since an earlier snapshot of the same tree.
    pub(super) fn written_since(&self, earlier: &Self) -> usize {
        let written =
            |(path, state): &(&PathBuf, &(u64, i64, i64))| earlier.0.get(*path) != Some(*state);
        self.0.iter().filter(written).count()
    }
}

/// The number of files in a tree that have at least `size` bytes.
///
/// # Errors
/// When something can't be read.
pub(super) fn files_of_at_least(size: u64, tree: &Path) -> Result<usize> {
    let files = list(tree)?;
    Ok(files.values().filter(|metadata| metadata.is_file() && metadata.len() >= size).count())
}

/// Everything in a tree by its path relative to the tree, the tree itself included.
fn list(tree: &Path) -> Result<BTreeMap<PathBuf, Metadata>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = tree.join(&path);
        let context = || format!("could not look at {}", full.display());
        let metadata = fs::symlink_metadata(&full).with_context(context)?;
        if metadata.is_dir() {
            let names: Result<Vec<OsString>, _> = fs::read_dir(&full)
                .with_context(context)?
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect();
            pending.extend(names.with_context(context)?.iter().map(|name| path.join(name)));
        }
        found.insert(path, metadata);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    fn tree(directory: &Path) -> PathBuf {
        fs::create_dir_all(directory.join("folder/empty")).unwrap();
        fs::write(directory.join("folder/file"), "content").unwrap();
        symlink("file", directory.join("folder/link")).unwrap();
        for path in ["folder/file", "folder/empty", "folder", ""] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_007);
            File::open(directory.join(path)).unwrap().set_modified(time).unwrap();
        }
        directory.to_path_buf()
    }

    /// What `compare` says after one of two equal trees was changed.
    fn after(change: impl Fn(&Path)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let left = tree(&directory.path().join("left"));
        let right = tree(&directory.path().join("right"));
        compare(&left, &right).unwrap();
        change(&right);
        compare(&left, &right).unwrap_err().to_string()
    }

    fn keeping_times(directory: &Path, change: impl Fn()) {
        let paths = [directory.join("folder/file"), directory.join("folder")];
        let times = paths.clone().map(|path| path.metadata().unwrap().modified().unwrap());
        change();
        for (path, time) in paths.iter().zip(times) {
            File::open(path).unwrap().set_modified(time).unwrap();
        }
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let message = after(|tree| {
            keeping_times(tree, || fs::write(tree.join("folder/file"), "c0ntent").unwrap());
        });
        assert!(message.contains("content differs: folder/file"), "{message}");
        let message = after(|tree| {
            let mode = Permissions::from_mode(0o700);
            fs::set_permissions(tree.join("folder/file"), mode).unwrap();
        });
        assert!(message.contains("mode differs: folder/file"), "{message}");
        let message = after(|tree| {
            let file = File::open(tree.join("folder/empty")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        });
        assert!(message.contains("modification time differs: folder/empty"), "{message}");
        let message = after(|tree| {
            fs::remove_file(tree.join("folder/link")).unwrap();
            symlink("elsewhere", tree.join("folder/link")).unwrap();
        });
        assert!(message.contains("link target differs: folder/link"), "{message}");
        let message = after(|tree| fs::remove_dir(tree.join("folder/empty")).unwrap());
        assert!(message.contains("missing: folder/empty"), "{message}");
        let message = after(|tree| fs::write(tree.join("new"), "").unwrap());
        assert!(message.contains("not expected: new"), "{message}");
        let message = after(|tree| {
            fs::remove_file(tree.join("folder/file")).unwrap();
            fs::create_dir(tree.join("folder/file")).unwrap();
        });
        assert!(message.contains("kind differs: folder/file"), "{message}");
    }

    #[test]
    fn a_snapshot_shows_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let tree = tree(&directory.path().join("tree"));
        let before = Snapshot::take(&tree).unwrap();
        assert_eq!(Snapshot::take(&tree).unwrap().written_since(&before), 0);
        fs::write(tree.join("new"), "").unwrap();
        fs::remove_file(tree.join("folder/link")).unwrap();
        assert_eq!(Snapshot::take(&tree).unwrap().written_since(&before), 1);
    }
}
