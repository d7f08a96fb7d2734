//! Symbolic links, hard links, and metadata that changes on its own.

use super::shared::{DirectoryCache, OpenDirectory, Shared};
use crate::tree::filesystem::os;
use btdt_ports::{EntryKind, HardLinkPlan, MaterializeError, MetadataPlan, SymlinkPlan};

/// Setgid on a directory is inherited from its parent and says nothing about who may enter.
const INHERITED: u32 = 0o2000;

/// Removes what is at the place of something new. A directory is an error: the plan did not know
/// of it. That nothing is there is fine.
pub(super) fn remove_obstacle(
    shared: &Shared,
    directory: &OpenDirectory,
    name: &[u8],
) -> Result<(), os::Error> {
    match shared.with_access(directory.number, || os::remove(&directory.handle, name)) {
        Err(os::Error::NOENT) => Ok(()),
        result => result,
    }
}

/// Makes something new in a directory, in the place of what is there where the plan knows of it
/// (`replace`), and once more where another process was quicker: the last one counts, as it would
/// if the one had come after the other.
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

/// Whether a directory lists this very name. Where upper and lower case are the same, two names of
/// one tree may stand for one file, and neither is to take the place of the other unnoticed.
pub(super) fn has_name(directory: &OpenDirectory, name: &[u8]) -> bool {
    let mut found = false;
    let listed = os::open_listable(&directory.handle, b"").and_then(|listed| {
        os::for_each_name(&listed, &mut Vec::new(), |seen| {
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
                os::make_symlink(&plan.target, &open.handle, name)
            })?;
            os::set_time_at(&open.handle, name, EntryKind::Symlink, plan.modified)
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
        // Opened anew: the cache lends one directory at a time.
        let path = shared.table().path(plan.target_directory);
        let target = shared
            .with_access(plan.target_directory, || os::open_directory(shared.root(), &path))?;
        let open = directories.open(shared, *directory)?;
        make_anew(shared, open, name, plan.replace, || {
            os::make_hard_link(&target, &plan.target_name, &open.handle, name)
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
                shared.with_access(plan.directory, || os::status_at(&open.handle, &*plan.name))?;
            set_differences(&open.handle, &plan.name, &status, plan.mode, plan.modified)
        })
        .map_err(|error| shared.failure(plan.directory, &plan.name, error))
}

/// Sets mode and time of something in a directory where they differ from `status`. What belongs
/// to somebody else keeps them.
pub(super) fn set_differences(
    directory: &os::Handle,
    name: &[u8],
    status: &os::Status,
    mode: Option<u32>,
    modified: btdt_ports::Timestamp,
) -> Result<(), os::Error> {
    if status.modified != modified {
        status.unless_foreign(os::set_time_at(directory, name, status.kind, modified))?;
    }
    match mode.map(|mode| mode & os::PERMISSIONS) {
        Some(mode)
            if os::KEEPS_MODES && status.kind != EntryKind::Symlink && mode != status.mode() =>
        {
            let mode = wanted_mode(status, mode);
            status.unless_foreign(os::set_mode_at(directory, name, status.kind, mode))
        }
        _ => Ok(()),
    }
}

/// The permission bits `mode`, with what a directory has inherited.
pub(super) fn wanted_mode(status: &os::Status, mode: u32) -> u32 {
    match status.kind {
        EntryKind::Directory => mode | (status.full_mode & INHERITED),
        _ => mode,
    }
}
