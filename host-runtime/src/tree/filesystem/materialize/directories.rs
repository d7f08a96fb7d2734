//! Directories: created before anything is written into them, and given their modes and times at
//! the end.

use super::entries::{self, has_name, remove_obstacle};
use super::shared::{DirectoryCache, OWNER_ACCESS, OpenDirectory, Shared};
use crate::workers::map_all;
use btdt_ports::{DirectoryState, EntryKind, MaterializeError};
use btdt_sys::handle as os;
use std::collections::BTreeMap;

/// Minimum of directories per thread.
const AT_ONCE: usize = 256;

/// Permission to enter a directory and to change its content.
const OWNER_CHANGE: u32 = 0o300;

/// The mode of a new directory without a mode in the plan, before the umask.
const DEFAULT_MODE: u32 = 0o777;

/// Creates the missing directories from number `first` on.
pub(super) fn make(
    shared: &Shared,
    directories: &mut DirectoryCache,
    first: u32,
) -> Result<(), MaterializeError> {
    let table = shared.table();
    for number in first.. {
        if number as usize >= table.len() {
            break;
        }
        let plan = table.get(number);
        // The start of the restore has opened or created the root.
        let stays = matches!(plan.state, DirectoryState::Present | DirectoryState::Outdated);
        if stays || number == 0 {
            continue;
        }
        let name = table.name(number);
        directories
            .open(shared, plan.parent)
            .and_then(|parent| {
                if plan.state == DirectoryState::Obstructed {
                    remove_obstacle(shared, parent, name)?;
                }
                let mode = plan.mode.unwrap_or(DEFAULT_MODE) & os::PERMISSIONS | OWNER_ACCESS;
                let made =
                    shared.with_access(plan.parent, || parent.handle.make_directory(name, mode));
                match made {
                    // Another process was faster. Its content is treated as new.
                    Err(os::Error::EXIST) if is_directory(parent, name) => Ok(()),
                    made => made,
                }
            })
            .map_err(|error| shared.failure(plan.parent, name, error))?;
    }
    Ok(())
}

fn is_directory(parent: &OpenDirectory, name: &[u8]) -> bool {
    let status = parent.handle.status_at(name);
    status.is_ok_and(|status| status.kind == EntryKind::Directory) && has_name(parent, name)
}

/// Gives all directories their final modes and times. Those that were right and unchanged cost
/// nothing: a restore over an almost identical tree has many.
pub(super) fn settle(shared: &Shared) -> Result<(), MaterializeError> {
    let remembered = shared.remembered_modes();
    let opened = shared.opened_directories();
    let table = shared.table();
    let count = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let outdated = |number: &u32| {
        table.get(*number).state != DirectoryState::Present
            || opened.contains(number)
            || remembered.contains_key(number)
    };
    // A directory whose owner loses access must come after its content: last, in reverse order.
    let (closed, open): (Vec<u32>, Vec<u32>) = (1..count).filter(outdated).partition(|number| {
        let mode = wanted(shared, &remembered, *number);
        mode.is_some_and(|mode| mode & OWNER_CHANGE != OWNER_CHANGE)
    });
    let settle_open = |directories: &mut DirectoryCache, number: &u32| {
        settle_one(shared, &remembered, directories, *number)
    };
    map_all::<_, _, _, Result<(), _>>(&open, AT_ONCE, DirectoryCache::default, settle_open)?;
    let mut directories = DirectoryCache::default();
    for number in closed.into_iter().rev() {
        settle_one(shared, &remembered, &mut directories, number)?;
    }
    settle_root(shared, &remembered)
}

/// The final mode: that of the plan, or that from before access was gained.
fn wanted(shared: &Shared, remembered: &BTreeMap<u32, u32>, number: u32) -> Option<u32> {
    shared.table().get(number).mode.or_else(|| remembered.get(&number).copied())
}

fn settle_one(
    shared: &Shared,
    remembered: &BTreeMap<u32, u32>,
    directories: &mut DirectoryCache,
    number: u32,
) -> Result<(), MaterializeError> {
    let mode = wanted(shared, remembered, number);
    let table = shared.table();
    let plan = table.get(number);
    let name = table.name(number);
    directories
        .open(shared, plan.parent)
        .and_then(|parent| {
            let status = parent.handle.status_at(name)?;
            if status.kind != EntryKind::Directory {
                return Err(os::Error::NOTDIR);
            }
            entries::set_differences(&parent.handle, name, &status, mode, plan.modified)
        })
        .map_err(|error| shared.failure(plan.parent, name, error))
}

fn settle_root(shared: &Shared, remembered: &BTreeMap<u32, u32>) -> Result<(), MaterializeError> {
    if shared.table().is_empty() {
        return Ok(());
    }
    let mode = wanted(shared, remembered, 0);
    let modified = shared.table().get(0).modified;
    let settle = || {
        let status = shared.root().status()?;
        if status.modified != modified {
            let set = || shared.root().set_time_at(b".", status.kind, modified);
            status.unless_foreign(shared.with_access(0, set))?;
        }
        // Checked again: access may just have been gained.
        let status = shared.root().status()?;
        match mode.map(|mode| mode & os::PERMISSIONS) {
            Some(mode) if os::KEEPS_MODES && mode != status.mode() => {
                let mode = entries::wanted_mode(&status, mode);
                status.unless_foreign(shared.root().set_mode_of_path(mode))
            }
            _ => Ok(()),
        }
    };
    settle().map_err(|error| shared.failure(0, b"", error))
}

/// Reverts gained access after a failure.
pub(super) fn restore_modes(shared: &Shared) {
    for (number, mode) in shared.remembered_modes().into_iter().rev() {
        // Best effort: the restore has failed and reports why.
        let path = shared.table().path(number);
        let _ = shared.root().open_directory(&path).and_then(|handle| {
            // Only access of the owner was added; other bits are unchanged.
            let beyond = handle.status()?.full_mode & !os::PERMISSIONS;
            handle.set_mode_of_path(beyond | mode)
        });
    }
}
