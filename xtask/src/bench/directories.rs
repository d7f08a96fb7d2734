//! Copying, removing and adding up directories.

use crate::process;
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// What a directory holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Regular files; one with several names counts once.
    pub(super) files: u64,
    /// Their sizes.
    pub(super) bytes: u64,
}

/// Adds up the files beneath a directory.
pub(super) fn totals(directory: &Path) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut seen = HashSet::new();
    for_each(directory, &mut |_, metadata| {
        let is_new = metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino()));
        if metadata.is_file() && is_new {
            totals.files += 1;
            totals.bytes += metadata.len();
        }
        Ok(())
    })?;
    Ok(totals)
}

/// Visits everything beneath a directory; nothing if it does not exist.
pub(super) fn for_each(
    directory: &Path,
    visit: &mut dyn FnMut(&Path, &Metadata) -> Result<()>,
) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("could not list {}", directory.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        visit(&path, &metadata).with_context(|| format!("could not read {}", path.display()))?;
        if metadata.is_dir() {
            for_each(&path, visit)?;
        }
    }
    Ok(())
}

/// Copies a directory with all times and modes to a place that does not exist yet.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    process::run(Command::new("cp").arg("-a").args([from, to]))
}

/// Removes a file or a directory with everything in it; it is fine when there is none.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_two_names_count_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        fs::write(root.path().join("d/a"), "12345").unwrap();
        fs::hard_link(root.path().join("d/a"), root.path().join("b")).unwrap();
        fs::write(root.path().join("c"), "1").unwrap();
        let expected = Totals { files: 2, bytes: 6 };
        assert_eq!(totals(root.path()).unwrap(), expected);
        assert_eq!(totals(&root.path().join("none")).unwrap(), Totals::default());
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        remove(&path).unwrap();
        fs::create_dir_all(path.join("y")).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
