//! The sibling of the destination in which a new tree is assembled.
//!
//! It is named `.<name>.btdt-<pid>-<random>`. Its owner holds a lock on it for its lifetime, which
//! tells leftovers of a crash from directories in use. Without locks, the name contains no process
//! id, and the directory is never taken for a leftover.

use super::entries;
use super::removal::remove_tree;
use crate::tree::plan_checks;
use btdt_ports::{EntryKind, IoError, IoErrorKind};
use btdt_sys::handle::{self as os, Handle};
use btdt_sys::host_paths;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

/// Attempts to find an unused name; needing a second one is already unlikely.
const ATTEMPTS: usize = 16;

/// Longest file name in bytes on common file systems.
const MAX_NAME: usize = 255;

/// Bytes for `-`, a process id, `-` and the random digits.
const SUFFIX: usize = 32;

/// A staging directory; removed when dropped.
pub(super) struct Staging {
    parent: Handle,
    /// Name of the destination.
    name: Vec<u8>,
    /// Name of the staging directory.
    temporary: Vec<u8>,
    /// Holds the lock.
    lock: Option<Handle>,
    /// What existed at the destination at the start.
    obstacle: Option<EntryKind>,
    default_mode: u32,
}

impl Staging {
    /// Creates the staging directory for `destination`, and missing parents.
    pub(super) fn begin(destination: &Path) -> Result<Self, IoError> {
        let (parent, name) = parent_and_name(destination).ok_or(plan_checks::INVALID)?;
        host_paths::create_directories(parent)?;
        let parent = host_paths::open_directory(parent).map_err(os::io_error)?;
        let obstacle = match parent.status_at(&*name) {
            Ok(status) if status.kind == EntryKind::Directory => {
                return Err(IoError::new(IoErrorKind::AlreadyExists));
            }
            Ok(status) => Some(status.kind),
            Err(os::Error::NOENT) => None,
            Err(error) => return Err(os::io_error(error)),
        };
        let prefix = prefix(&name);
        // Best effort: a leftover does no harm.
        let _ = remove_stale(&parent, &prefix);
        let (temporary, lock, default_mode) = make(&parent, &prefix).map_err(os::io_error)?;
        Ok(Staging { parent, name, temporary, lock: Some(lock), obstacle, default_mode })
    }

    /// The staging directory, open as the root of the new tree.
    pub(super) fn root(&self) -> Result<Handle, os::Error> {
        self.parent.open_directory(&self.temporary)
    }

    /// The mode of a new directory without a mode in the plan.
    pub(super) fn default_mode(&self) -> u32 {
        self.default_mode
    }

    /// Publishes the tree at the destination.
    pub(super) fn publish_directory(mut self) -> Result<(), IoError> {
        let rename = |staging: &Staging| {
            let Staging { parent, temporary, name, .. } = staging;
            parent.rename_to_absent(temporary, parent, name)
        };
        let mut result = rename(&self);
        if result == Err(os::Error::EXIST) && self.obstacle.is_some() {
            // No system call that all systems have replaces a file with a directory.
            result = self.parent.remove(&self.name).and_then(|()| rename(&self));
        }
        result.map_err(os::io_error)?;
        self.temporary.clear();
        Ok(())
    }

    /// Publishes a file of the staging directory at the destination, replacing an existing file.
    pub(super) fn publish_file(self, file: &[u8]) -> Result<(), IoError> {
        let root = self.root().map_err(os::io_error)?;
        root.rename(file, &self.parent, &self.name).map_err(os::io_error)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.temporary.is_empty() {
            // The next restore to the same destination removes leftovers.
            let _ = remove_tree(&self.parent, &self.temporary);
        }
        // Only now, so that no other process removes it at the same time.
        self.lock = None;
    }
}

/// Removes the leftovers of dead restores to `destination`. One that cannot be removed does no
/// harm.
pub(super) fn remove_leftovers(destination: &Path) {
    if let Some((parent, name)) = parent_and_name(destination)
        && let Ok(parent) = host_paths::open_directory(parent)
    {
        let _ = remove_stale(&parent, &prefix(&name));
    }
}

fn parent_and_name(destination: &Path) -> Option<(&Path, Vec<u8>)> {
    let name = destination.file_name()?.as_encoded_bytes().to_vec();
    match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Some((parent, name)),
        _ => Some((Path::new("."), name)),
    }
}

/// The common prefix of the staging directories of a destination.
fn prefix(name: &[u8]) -> Vec<u8> {
    let mut prefix = vec![b'.'];
    if name.len() + b"..btdt-".len() + SUFFIX <= MAX_NAME {
        prefix.extend_from_slice(name);
    } else {
        // Too long: its beginning alone is not unique.
        prefix.extend_from_slice(&name[..name.len().min(MAX_NAME / 2)]);
        let digest = crate::codec::sha256(name).to_hex();
        prefix.push(b'~');
        prefix.extend_from_slice(&digest.as_bytes()[..16]);
    }
    prefix.extend_from_slice(b".btdt-");
    prefix
}

/// Whether the rest of the name is `<pid>-<16 hexadecimal digits>`.
fn is_suffix(suffix: &[u8]) -> bool {
    let Some(dash) = suffix.iter().position(|byte| *byte == b'-') else {
        return false;
    };
    let (process, random) = (&suffix[..dash], &suffix[dash + 1..]);
    !process.is_empty()
        && process.iter().all(u8::is_ascii_digit)
        && random.len() == 16
        && random.iter().all(u8::is_ascii_hexdigit)
}

fn make(parent: &Handle, prefix: &[u8]) -> Result<(Vec<u8>, Handle, u32), os::Error> {
    let mut result = Err(os::Error::EXIST);
    for _ in 0..ATTEMPTS {
        // Seeded by the system for each one.
        let random = std::hash::RandomState::new().build_hasher().finish();
        let mut name = prefix.to_vec();
        name.extend_from_slice(format!("{}-{random:016x}", os::staging_owner()).as_bytes());
        result = make_locked(parent, &name).map(|(lock, mode)| (name, lock, mode));
        match result {
            // NOENT, WOULDBLOCK: another process took it for a leftover before it was locked.
            Err(os::Error::EXIST | os::Error::NOENT | os::Error::WOULDBLOCK) => {}
            _ => break,
        }
    }
    result
}

fn make_locked(parent: &Handle, name: &[u8]) -> Result<(Handle, u32), os::Error> {
    parent.make_directory(name, 0o777)?;
    let status = parent.status_at(name)?;
    // Private until it is complete. Inherited bits stay, because it passes them on to everything in
    // it.
    let private = entries::wanted_mode(&status, 0o700);
    parent.set_mode_at(name, EntryKind::Directory, private)?;
    let handle = parent.open_listable(name)?;
    // Any other error means that there are no locks; then nothing is taken for a leftover.
    if handle.lock() == Err(os::Error::WOULDBLOCK) {
        return Err(os::Error::WOULDBLOCK);
    }
    let named = parent.status_at(name)?;
    if (named.device, named.inode) != (status.device, status.inode) {
        return Err(os::Error::NOENT);
    }
    Ok((handle, status.mode()))
}

/// Removes the staging directories of this destination whose owners have died.
fn remove_stale(parent: &Handle, prefix: &[u8]) -> Result<(), os::Error> {
    let mut names = Vec::new();
    let listed = parent.open_listable(b"")?;
    listed.for_each_name(&mut Vec::new(), |name| {
        let name = name.to_bytes();
        if name.strip_prefix(prefix).is_some_and(is_suffix) {
            names.push(name.to_vec());
        }
        Ok(())
    })?;
    for name in names {
        let Ok(handle) = parent.open_listable(&name) else {
            continue;
        };
        if handle.lock().is_ok() {
            // One that cannot be removed does not affect the others.
            let _ = remove_tree(parent, &name);
        }
    }
    Ok(())
}
