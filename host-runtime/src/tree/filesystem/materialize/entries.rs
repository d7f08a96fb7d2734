//! Symbolic links, hard links, and changes of metadata alone.

use super::shared::{DirectoryCache, OpenDirectory, Shared};
use btdt_ports::{EntryKind, HardLinkPlan, MaterializeError, MetadataPlan, SymlinkPlan};
use btdt_sys::handle as os;

/// Setgid on a directory is inherited from its parent and is no permission.
const INHERITED: u32 = 0o2000;

/// Removes what has the name of something new, if it exists. A directory is an error, because the
/// plan did not know of it.
pub(super) fn remove_obstacle(
    shared: &Shared,
    directory: &OpenDirectory,
    name: &[u8],
) -> Result<(), os::Error> {
    match shared.with_access(directory.number, || directory.handle.remove(name)) {
        Err(os::Error::NOENT) => Ok(()),
        result => result,
    }
}

/// Creates something in a directory, replacing what the plan knows of (`replace`). Replaces once
/// more if another process was faster: the last one wins, as if they had run one after the other.
pub(super) fn make_anew<T>(
    shared: &Shared,
    directory: &OpenDirectory,
    name: &[u8],
    replace: bool,
    mut make: impl FnMut() -> Result<T, os::Error>,
) -> Result<T, os::Error> {
    if replace {
        remove_obstacle(shared, directory, name)?;
    }
    match shared.with_access(directory.number, &mut make) {
        Err(os::Error::EXIST) if has_name(directory, name) => {
            remove_obstacle(shared, directory, name)?;
            shared.with_access(directory.number, make)
        }
        result => result,
    }
}

/// Whether a directory lists exactly this name. Where case is ignored, two names of one tree may be
/// the same file, and one must not replace the other silently.
pub(super) fn has_name(directory: &OpenDirectory, name: &[u8]) -> bool {
    let mut found = false;
    let listed = directory.handle.open_listable(b"").and_then(|listed| {
        listed.for_each_name(&mut Vec::new(), |seen| {
            found |= seen.to_bytes() == name;
            Ok(())
        })
    });
    listed.is_ok() && found
}

pub(super) fn make_symlink(
    shared: &Shared,
    directories: &mut DirectoryCache,
    plan: &SymlinkPlan,
) -> Result<(), MaterializeError> {
    let SymlinkPlan { directory, name, .. } = plan;
    directories
        .open(shared, *directory)
        .and_then(|open| {
            make_anew(shared, open, name, plan.replace, || {
                open.handle.make_symlink(name, &plan.target)
            })?;
            open.handle.set_time_at(name, EntryKind::Symlink, plan.modified)
        })
        .map_err(|error| shared.failure(*directory, name, error))
}

pub(super) fn make_hard_link(
    shared: &Shared,
    directories: &mut DirectoryCache,
    plan: &HardLinkPlan,
) -> Result<(), MaterializeError> {
    let HardLinkPlan { directory, name, .. } = plan;
    let mut make = || {
        // Opened again: the cache lends one directory at a time.
        let path = shared.table().path(plan.target_directory);
        let target =
            shared.with_access(plan.target_directory, || shared.root().open_directory(&path))?;
        let open = directories.open(shared, *directory)?;
        make_anew(shared, open, name, plan.replace, || {
            target.make_hard_link(&plan.target_name, &open.handle, name)
        })
    };
    make().map_err(|error| shared.failure(*directory, name, error))
}

pub(super) fn set_metadata(
    shared: &Shared,
    directories: &mut DirectoryCache,
    plan: &MetadataPlan,
) -> Result<(), MaterializeError> {
    directories
        .open(shared, plan.directory)
        .and_then(|open| {
            let status =
                shared.with_access(plan.directory, || open.handle.status_at(&*plan.name))?;
            set_differences(&open.handle, &plan.name, &status, plan.mode, plan.modified)
        })
        .map_err(|error| shared.failure(plan.directory, &plan.name, error))
}

/// Sets mode and time of a name in a directory where they differ from `status`. Files of other
/// users keep them.
pub(super) fn set_differences(
    directory: &os::Handle,
    name: &[u8],
    status: &os::Status,
    mode: Option<u32>,
    modified: btdt_ports::Timestamp,
) -> Result<(), os::Error> {
    if status.modified != modified {
        status.unless_foreign(directory.set_time_at(name, status.kind, modified))?;
    }
    match mode.map(|mode| mode & os::PERMISSIONS) {
        Some(mode)
            if os::KEEPS_MODES && status.kind != EntryKind::Symlink && mode != status.mode() =>
        {
            let mode = wanted_mode(status, mode);
            status.unless_foreign(directory.set_mode_at(name, status.kind, mode))
        }
        _ => Ok(()),
    }
}

/// The permission bits `mode`, with the inherited bits of a directory.
pub(super) fn wanted_mode(status: &os::Status, mode: u32) -> u32 {
    match status.kind {
        EntryKind::Directory => mode | (status.full_mode & INHERITED),
        _ => mode,
    }
}
