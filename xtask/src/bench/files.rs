//! Copying, removing and adding up directories, and what the file system beneath them is.

use crate::process;
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::fs;
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

/// Adds up the files beneath a directory; nothing for one that does not exist.
///
/// # Errors
/// When something can't be listed.
pub(super) fn totals(directory: &Path) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut seen = HashSet::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => {
                entries.with_context(|| format!("could not list {}", directory.display()))?
            }
        };
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else if metadata.is_file()
                && (metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino())))
            {
                totals.files += 1;
                totals.bytes += metadata.len();
            }
        }
    }
    Ok(totals)
}

/// Copies a directory with all times and modes to a place that does not exist yet.
///
/// # Errors
/// When `cp` fails.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    process::run(Command::new("cp").arg("-a").args([from, to]))
}

/// Gives each file of the second tree that has the same content in the first one its time there, so
/// that the two differ in what was changed and not in when it was installed.
///
/// # Errors
/// When a file can't be read or its time can't be set.
pub(super) fn keep_times_of_equal(first: &Path, second: &Path) -> Result<()> {
    for entry in fs::read_dir(second)? {
        let entry = entry?;
        let before = first.join(entry.file_name());
        let kind = entry.file_type()?;
        let Ok(metadata) = fs::symlink_metadata(&before) else {
            continue;
        };
        if kind.is_dir() && metadata.is_dir() {
            keep_times_of_equal(&before, &entry.path())?;
        } else if kind.is_file()
            && metadata.is_file()
            && entry.metadata()?.modified()? != metadata.modified()?
            && fs::read(&before)? == fs::read(entry.path())?
        {
            let file = fs::File::options().append(true).open(entry.path());
            let set = file.and_then(|file| file.set_modified(metadata.modified()?));
            set.with_context(|| format!("could not set the time of {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Removes a file or a directory with everything in it; it is fine when there is none.
///
/// # Errors
/// When it can't be removed.
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

/// The bytes that an ordinary user can still write to the file system of a directory.
///
/// # Errors
/// When `df` fails or says something unexpected.
pub(super) fn free_space(directory: &Path) -> Result<u64> {
    let field = df_field(directory, 3)?;
    let kib: u64 = field.parse().context("`df` gave no number")?;
    Ok(kib * 1024)
}

/// The type of the file system of a directory, for example `tmpfs`.
pub(super) fn file_system(directory: &Path) -> String {
    // GNU's `df -T` puts the type into the second column.
    let output = process::capture(Command::new("df").args(["-P", "-T"]).arg(directory));
    let text = output.unwrap_or_default();
    let kind = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(1));
    kind.unwrap_or("unknown").to_owned()
}

fn df_field(directory: &Path, column: usize) -> Result<String> {
    let text = process::capture(Command::new("df").args(["-P", "-k"]).arg(directory))?;
    let line = text.lines().nth(1).context("`df` said nothing")?;
    let field = line.split_whitespace().nth(column);
    Ok(field.context("`df` said too little")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once() {
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
    fn only_equal_files_take_over_the_time() {
        let root = tempfile::tempdir().unwrap();
        let path = |tree: &str, name: &str| root.path().join(tree).join("d").join(name);
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for (tree, second) in [("a", "1"), ("b", "2")] {
            fs::create_dir_all(path(tree, "")).unwrap();
            fs::write(path(tree, "same"), "x").unwrap();
            fs::write(path(tree, "other"), second).unwrap();
        }
        for name in ["same", "other"] {
            let file = fs::File::open(path("a", name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        keep_times_of_equal(&root.path().join("a"), &root.path().join("b")).unwrap();
        let time = |name| fs::metadata(path("b", name)).unwrap().modified().unwrap();
        assert_eq!(time("same"), long_ago);
        assert_ne!(time("other"), long_ago);
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

    #[test]
    fn free_space_is_a_number() {
        assert!(free_space(Path::new("/")).is_ok());
    }
}
