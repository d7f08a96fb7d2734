//! The sibling of the destination in which a new tree grows until it is whole.
//!
//! It is named `.<name>.btdt-<pid>-<random>`. Its owner holds a lock on it for as long as it
//! lives, so that what a crash left behind is known from what is being written. Where there are no
//! locks, no number is in the name, and nobody ever takes it for a leftover.

use super::entries;
use super::removal::remove_tree;
use crate::tree::filesystem::os::{self, Handle};
use crate::tree::plan;
use btdt_ports::{EntryKind, IoError, IoErrorKind};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

/// Attempts to find a name that nobody else has; the second one is an event by itself.
const ATTEMPTS: usize = 16;

/// Bytes that a file name may have on the usual file systems.
const MAX_NAME: usize = 255;

/// Bytes for `-`, a process number, `-` and the random digits.
const SUFFIX: usize = 32;

/// A staging directory; removed when dropped.
pub(super) struct Staging {
    parent: Handle,
    /// Name of the destination.
    name: Vec<u8>,
    /// Name of the staging directory.
    temporary: Vec<u8>,
    /// Keeps the lock.
    lock: Option<Handle>,
    /// What was at the destination when this began.
    obstacle: Option<EntryKind>,
    default_mode: u32,
}

impl Staging {
    /// Makes the staging directory for `destination`, and the directories above it.
    pub(super) fn begin(destination: &Path) -> Result<Self, IoError> {
        let (parent, name) = parent_and_name(destination).ok_or(plan::INVALID)?;
        os::create_directories(parent)?;
        let parent = os::open_root(parent).map_err(os::io_error)?;
        let obstacle = match os::status_at(&parent, &*name) {
            Ok(status) if status.kind == EntryKind::Directory => {
                return Err(IoError::new(IoErrorKind::AlreadyExists));
            }
            Ok(status) => Some(status.kind),
            Err(os::Error::NOENT) => None,
            Err(error) => return Err(os::io_error(error)),
        };
        let prefix = prefix(&name);
        // Best effort: what cannot be removed is in nobody's way.
        let _ = remove_stale(&parent, &prefix);
        let (temporary, lock, default_mode) = make(&parent, &prefix).map_err(os::io_error)?;
        Ok(Staging { parent, name, temporary, lock: Some(lock), obstacle, default_mode })
    }

    /// The staging directory, open as the root of the new tree.
    pub(super) fn root(&self) -> Result<Handle, os::Error> {
        os::open_directory(&self.parent, &self.temporary)
    }

    /// The mode of a new directory of which the plan does not say the mode.
    pub(super) fn default_mode(&self) -> u32 {
        self.default_mode
    }

    /// Lets the tree appear at the destination.
    pub(super) fn publish_directory(mut self) -> Result<(), IoError> {
        let rename = |staging: &Staging| {
            let Staging { parent, temporary, name, .. } = staging;
            os::rename_to_absent(parent, temporary, parent, name)
        };
        let mut result = rename(&self);
        if result == Err(os::Error::EXIST) && self.obstacle.is_some() {
            // No file can be exchanged for a directory in one step that every system knows.
            result = os::remove(&self.parent, &self.name).and_then(|()| rename(&self));
        }
        result.map_err(os::io_error)?;
        self.temporary.clear();
        Ok(())
    }

    /// Lets the file of that name in the staging directory appear at the destination, in the
    /// place of a file that is there.
    pub(super) fn publish_file(self, file: &[u8]) -> Result<(), IoError> {
        let root = self.root().map_err(os::io_error)?;
        os::rename(&root, file, &self.parent, &self.name).map_err(os::io_error)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.temporary.is_empty() {
            // What stays is removed by the next restore to the same destination.
            let _ = remove_tree(&self.parent, &self.temporary);
        }
        // Only now: nobody else is to remove it at the same time.
        self.lock = None;
    }
}

/// Removes what dead restores to `destination` have left beside it. Where that does not succeed, it
/// is in nobody's way.
pub(super) fn remove_leftovers(destination: &Path) {
    if let Some((parent, name)) = parent_and_name(destination)
        && let Ok(parent) = os::open_root(parent)
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

/// What the names of all staging directories of a destination begin with.
fn prefix(name: &[u8]) -> Vec<u8> {
    let mut prefix = vec![b'.'];
    if name.len() + b"..btdt-".len() + SUFFIX <= MAX_NAME {
        prefix.extend_from_slice(name);
    } else {
        // Too long to be told apart by its beginning alone.
        prefix.extend_from_slice(&name[..name.len().min(MAX_NAME / 2)]);
        let digest = crate::storage::codec::sha256(name).to_hex();
        prefix.push(b'~');
        prefix.extend_from_slice(&digest.as_bytes()[..16]);
    }
    prefix.extend_from_slice(b".btdt-");
    prefix
}

/// Whether what follows the prefix is `<pid>-<16 hexadecimal digits>`.
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
    os::make_directory(parent, name, 0o777)?;
    let status = os::status_at(parent, name)?;
    // Until it is whole it is nobody else's business. What it inherited it passes on to all that
    // will be in it, so that has to stay.
    let private = entries::wanted_mode(&status, 0o700);
    os::set_mode_at(parent, name, EntryKind::Directory, private)?;
    let handle = os::open_listable(parent, name)?;
    // Any other error means that there are no locks; then nothing is ever taken for a leftover.
    if os::lock(&handle) == Err(os::Error::WOULDBLOCK) {
        return Err(os::Error::WOULDBLOCK);
    }
    let named = os::status_at(parent, name)?;
    if (named.device, named.inode) != (status.device, status.inode) {
        return Err(os::Error::NOENT);
    }
    Ok((handle, status.mode()))
}

/// Removes the staging directories of the same destination whose owners have died.
fn remove_stale(parent: &Handle, prefix: &[u8]) -> Result<(), os::Error> {
    let mut names = Vec::new();
    let listed = os::open_listable(parent, b"")?;
    os::for_each_name(&listed, &mut Vec::new(), |name| {
        let name = name.to_bytes();
        if name.strip_prefix(prefix).is_some_and(is_suffix) {
            names.push(name.to_vec());
        }
        Ok(())
    })?;
    for name in names {
        let Ok(handle) = os::open_listable(parent, &name) else {
            continue;
        };
        if os::lock(&handle).is_ok() {
            // What cannot be removed does not keep the others.
            let _ = remove_tree(parent, &name);
        }
    }
    Ok(())
}
