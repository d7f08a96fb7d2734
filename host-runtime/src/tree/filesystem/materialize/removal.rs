//! Removes what has to go, with all that is in it.

use super::shared::{DirectoryCache, OWNER_ACCESS, Shared};
use crate::tree::filesystem::os::{self, Handle};
use crate::tree::plan;
use btdt_ports::{EntryKind, MaterializeError, RemovalPlan};

/// Removes what the plan names. That nothing is there is fine.
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
    /// Remove what is in it.
    Enter(Vec<u8>),
    /// Remove the empty directory.
    Leave(Vec<u8>),
}

/// Removes `name` in `parent`. Symbolic links are removed, never followed. However deep the tree
/// is, few directories are open at a time.
///
/// What is mounted somewhere below is not part of the tree: that is an error, and stays whole.
pub(super) fn remove_tree(parent: &Handle, name: &[u8]) -> Result<(), os::Error> {
    remove_tree_on(os::status_of(parent)?.device, parent, name)
}

fn remove_tree_on(device: u64, parent: &Handle, name: &[u8]) -> Result<(), os::Error> {
    match os::remove(parent, name) {
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
                os::for_each_name(&directory, &mut buffer, |name| {
                    names.push(name.to_bytes().to_vec());
                    Ok(())
                })?;
                steps.push(Step::Leave(path.clone()));
                for name in names {
                    match os::remove(&directory, &name) {
                        Ok(()) | Err(os::Error::NOENT) => {}
                        Err(os::Error::ISDIR | os::Error::PERM)
                            if is_directory(&directory, &name) =>
                        {
                            steps.push(Step::Enter(plan::join(&path, &name)));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Step::Leave(path) => {
                let (above, name) = split(&path);
                match os::remove_directory(&os::open_directory(parent, above)?, name) {
                    Ok(()) | Err(os::Error::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

fn is_directory(parent: &Handle, name: &[u8]) -> bool {
    os::status_at(parent, name).is_ok_and(|status| status.kind == EntryKind::Directory)
}

/// The path above, which may be empty, and the last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Opens a directory so that everything in it can be removed. An empty one is removed at once and
/// not found any more.
fn open_for_removal(device: u64, parent: &Handle, path: &[u8]) -> Result<Handle, os::Error> {
    let (above, name) = split(path);
    let above = os::open_directory(parent, above)?;
    let status = os::status_at(&above, name)?;
    if status.device != device {
        return Err(os::Error::BUSY);
    }
    // Another part of the same file system may be mounted here. No system removes what something is
    // mounted at, and each says so before it says that a directory is not empty. To rename it would
    // tell as much, but a directory of a lower layer of an overlay cannot be renamed, and another
    // process would see a strange name.
    match os::remove_directory(&above, name) {
        Ok(()) => return Err(os::Error::NOENT),
        Err(os::Error::NOTEMPTY | os::Error::EXIST) => {}
        Err(error) => return Err(error),
    }
    if status.mode() & OWNER_ACCESS != OWNER_ACCESS {
        // Where this is not permitted, access may still be possible in another way.
        let _ = os::set_mode_at(&above, name, EntryKind::Directory, OWNER_ACCESS);
    }
    let handle = os::open_listable(&above, name)?;
    // Something may have been mounted meanwhile.
    if os::status_of(&handle)?.device == device { Ok(handle) } else { Err(os::Error::BUSY) }
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
        let parent = os::open_root(scratch.path()).unwrap();
        let device = os::status_of(&parent).unwrap().device;
        assert_eq!(remove_tree_on(device + 1, &parent, b"a"), Err(os::Error::BUSY));
        assert!(below.join("f").exists());
        assert_eq!(remove_tree(&parent, b"a"), Ok(()));
        assert!(!scratch.path().join("a").exists());
    }
}
