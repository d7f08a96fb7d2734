//! Removes files and directories with everything in them.

use super::shared::{DirectoryCache, OWNER_ACCESS, Shared};
use crate::tree::plan_checks;
use btdt_ports::{EntryKind, MaterializeError, RemovalPlan};
use btdt_sys::handle::{self as os, Handle};

/// Removes what the plan names, if it exists.
pub(super) fn remove(
    shared: &Shared,
    directories: &mut DirectoryCache,
    plan: &RemovalPlan,
) -> Result<(), MaterializeError> {
    directories
        .open(shared, plan.directory)
        .and_then(|open| {
            shared.with_access(plan.directory, || remove_tree(&open.handle, &plan.name))
        })
        .map_err(|error| shared.failure(plan.directory, &plan.name, error))
}

enum Step {
    /// Remove its content.
    Enter(Vec<u8>),
    /// Remove the empty directory.
    Leave(Vec<u8>),
}

/// Removes `name` in `parent`. Symbolic links are removed, never followed. Few directories are open
/// at a time, however deep the tree is.
///
/// A file system mounted below is not part of the tree: it is an error, and stays intact.
pub(super) fn remove_tree(parent: &Handle, name: &[u8]) -> Result<(), os::Error> {
    remove_tree_on(parent.status()?.device, parent, name)
}

fn remove_tree_on(device: u64, parent: &Handle, name: &[u8]) -> Result<(), os::Error> {
    match parent.remove(name) {
        Ok(()) | Err(os::Error::NOENT) => return Ok(()),
        Err(os::Error::ISDIR | os::Error::PERM) if is_directory(parent, name) => {}
        Err(error) => return Err(error),
    }
    let mut steps = vec![Step::Enter(name.to_vec())];
    let mut buffer = Vec::new();
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(path) => {
                let directory = match open_for_removal(device, parent, &path) {
                    Err(os::Error::NOENT) => continue,
                    directory => directory?,
                };
                let mut names = Vec::new();
                directory.for_each_name(&mut buffer, |name| {
                    names.push(name.to_bytes().to_vec());
                    Ok(())
                })?;
                steps.push(Step::Leave(path.clone()));
                for name in names {
                    match directory.remove(&name) {
                        Ok(()) | Err(os::Error::NOENT) => {}
                        Err(os::Error::ISDIR | os::Error::PERM)
                            if is_directory(&directory, &name) =>
                        {
                            steps.push(Step::Enter(plan_checks::join(&path, &name)));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Step::Leave(path) => {
                let (above, name) = split(&path);
                match parent.open_directory(above)?.remove_directory(name) {
                    Ok(()) | Err(os::Error::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

fn is_directory(parent: &Handle, name: &[u8]) -> bool {
    parent.status_at(name).is_ok_and(|status| status.kind == EntryKind::Directory)
}

/// The parent path, which may be empty, and the last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Opens a directory for removing its content. An empty one is removed at once; the result is that
/// it was not found.
fn open_for_removal(device: u64, parent: &Handle, path: &[u8]) -> Result<Handle, os::Error> {
    let (above, name) = split(path);
    let above = parent.open_directory(above)?;
    let status = above.status_at(name)?;
    if status.device != device {
        return Err(os::Error::BUSY);
    }
    // Another part of the same file system may be mounted here. No system removes a mount point,
    // and each reports that before it reports a directory that is not empty. Renaming would tell as
    // well, but fails for a directory in a lower layer of an overlay, and other processes would see
    // the temporary name.
    match above.remove_directory(name) {
        Ok(()) => return Err(os::Error::NOENT),
        Err(os::Error::NOTEMPTY | os::Error::EXIST) => {}
        Err(error) => return Err(error),
    }
    if status.mode() & OWNER_ACCESS != OWNER_ACCESS {
        // If this is refused, access may still be possible in another way.
        let _ = above.set_mode_at(name, EntryKind::Directory, OWNER_ACCESS);
    }
    let handle = above.open_listable(name)?;
    // Something may have been mounted since.
    if handle.status()?.device == device { Ok(handle) } else { Err(os::Error::BUSY) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_system_is_not_entered() {
        let scratch = tempfile::tempdir().unwrap();
        let below = scratch.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("f"), "x").unwrap();
        let parent = btdt_sys::host_paths::open_directory(scratch.path()).unwrap();
        let device = parent.status().unwrap().device;
        assert_eq!(remove_tree_on(device + 1, &parent, b"a"), Err(os::Error::BUSY));
        assert!(below.join("f").exists());
        assert_eq!(remove_tree(&parent, b"a"), Ok(()));
        assert!(!scratch.path().join("a").exists());
    }
}
