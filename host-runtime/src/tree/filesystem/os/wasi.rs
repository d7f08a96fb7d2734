//! The calls of `wasi:filesystem`, and how paths are resolved.
//!
//! Everything below the root of a tree is opened *beneath* it, component by component: no
//! symbolic link is followed and no name leads out, whatever another process does to the tree
//! meanwhile.
//!
//! What the interface does not have: modes, owners, locks, devices, names that are not UTF-8, and
//! a rename that never replaces. Requests to set a mode are passed over.

use crate::wasi::{self, Errno, Follow};
use btdt_ports::{EntryKind, IoError, Timestamp};
use std::ffi::{CStr, CString};
use std::path::Path;

/// The error of a call.
pub(in crate::tree::filesystem) type Error = Errno;

/// A file or directory that is open.
pub(in crate::tree::filesystem) type Handle = wasi::Handle;

/// Whether files have modes that can be read and set.
pub(in crate::tree::filesystem) const KEEPS_MODES: bool = false;

/// Permission bits; setuid, setgid and sticky are neither reported nor set.
pub(in crate::tree::filesystem) const PERMISSIONS: u32 = 0o777;

/// What the core is told about an error.
pub(in crate::tree::filesystem) fn io_error(error: Error) -> IoError {
    error.into()
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tree::filesystem) struct Status {
    pub(in crate::tree::filesystem) kind: EntryKind,
    /// Nothing that anybody is refused by.
    pub(in crate::tree::filesystem) full_mode: u32,
    pub(in crate::tree::filesystem) size: u64,
    pub(in crate::tree::filesystem) modified: Timestamp,
    /// Time of the last change of content or metadata; that of the content where the runtime does
    /// not tell.
    pub(in crate::tree::filesystem) changed: Timestamp,
    pub(in crate::tree::filesystem) links: u64,
    /// There are no numbers of devices: 0, or half of what tells files of several names apart.
    pub(in crate::tree::filesystem) device: u64,
    /// Tells a file of several names from others; 0 of everything else.
    pub(in crate::tree::filesystem) inode: u64,
}

impl Status {
    /// The permission bits.
    pub(in crate::tree::filesystem) fn mode(&self) -> u32 {
        self.full_mode & PERMISSIONS
    }

    /// Takes it for a success that the time of what belongs to somebody else could not be set.
    /// Who that is, nobody can tell.
    #[allow(clippy::unused_self, reason = "other systems know the owner")]
    pub(in crate::tree::filesystem) fn unless_foreign(
        &self,
        result: Result<(), Error>,
    ) -> Result<(), Error> {
        match result {
            Err(Errno::PERM) => Ok(()),
            result => result,
        }
    }
}

fn status(stat: &wasi::Stat) -> Status {
    Status {
        kind: stat.kind,
        full_mode: PERMISSIONS,
        size: stat.size,
        modified: stat.modified,
        changed: stat.changed.unwrap_or(stat.modified),
        links: stat.links,
        device: 0,
        inode: 0,
    }
}

/// A name as callers have it.
pub(in crate::tree::filesystem) trait Name {
    /// The name as the interface takes it.
    fn text(&self) -> Result<&str, Error>;
}

impl Name for &[u8] {
    fn text(&self) -> Result<&str, Error> {
        wasi::text(self)
    }
}

impl Name for &CStr {
    fn text(&self) -> Result<&str, Error> {
        wasi::text(self.to_bytes())
    }
}

/// What an open file or directory is.
pub(in crate::tree::filesystem) fn status_of(handle: &Handle) -> Result<Status, Error> {
    handle.stat().map(|stat| status(&stat))
}

/// What a path of the host stands for, symbolic links followed.
pub(in crate::tree::filesystem) fn status_of_path(path: &Path) -> Result<Status, Error> {
    let place = wasi::find(path)?;
    place.directory.stat_at(place.path(), Follow::Yes).map(|stat| status(&stat))
}

/// What a name stands for, a symbolic link being one.
pub(in crate::tree::filesystem) fn status_at(
    directory: &Handle,
    name: impl Name,
) -> Result<Status, Error> {
    look(directory, name.text()?, Follow::No)
}

/// What a path below `directory` stands for, symbolic links followed.
pub(in crate::tree::filesystem) fn status_followed(
    directory: &Handle,
    name: impl Name,
) -> Result<Status, Error> {
    look(directory, name.text()?, Follow::Yes)
}

fn look(directory: &Handle, name: &str, follow: Follow) -> Result<Status, Error> {
    let mut status = directory.stat_at(name, follow).map(|stat| status(&stat))?;
    if status.kind == EntryKind::File && status.links > 1 {
        // A runtime without such numbers has no files of several names either.
        match directory.hash_at(name, follow) {
            // Both halves as they are: wasmtime's differ by the same bits for every file.
            Ok((upper, lower)) => (status.device, status.inode) = (upper, lower),
            Err(_) => status.links = 1,
        }
    }
    Ok(status)
}

/// Opens a directory of the host as the root of a tree, symbolic links followed.
pub(in crate::tree::filesystem) fn open_root(path: &Path) -> Result<Handle, Error> {
    Handle::open_place(&wasi::find(path)?, true)
}

/// Opens a file of the host for reading, symbolic links followed.
pub(in crate::tree::filesystem) fn open_root_file(path: &Path) -> Result<Handle, Error> {
    Handle::open_place(&wasi::find(path)?, false)
}

/// Makes a directory of the host and those above it, where they are not there.
pub(in crate::tree::filesystem) fn create_directories(path: &Path) -> Result<(), IoError> {
    wasi::create_directories(path).map_err(io_error)
}

/// Opens a directory beneath `root`; the empty path is the root.
pub(in crate::tree::filesystem) fn open_directory(
    root: &Handle,
    path: &[u8],
) -> Result<Handle, Error> {
    walk_beneath(root, path, Handle::open_directory)
}

/// Opens a directory beneath `root`, to list it.
pub(in crate::tree::filesystem) fn open_listable(
    root: &Handle,
    path: &[u8],
) -> Result<Handle, Error> {
    walk_beneath(root, path, Handle::open_directory)
}

/// Opens a file beneath `root` for reading.
pub(in crate::tree::filesystem) fn open_file_beneath(
    root: &Handle,
    path: &[u8],
) -> Result<Handle, Error> {
    walk_beneath(root, path, Handle::open_file)
}

/// Opens a directory below `root` to list it, symbolic links followed.
pub(in crate::tree::filesystem) fn open_listable_followed(
    root: &Handle,
    path: &[u8],
) -> Result<Handle, Error> {
    let path = if path.is_empty() { "." } else { path.text()? };
    root.open_directory(path, Follow::Yes)
}

/// Opens a file below `root` for reading, symbolic links followed.
pub(in crate::tree::filesystem) fn open_file_followed(
    root: &Handle,
    path: &[u8],
) -> Result<Handle, Error> {
    root.open_file(path.text()?, Follow::Yes)
}

/// Opens a file in `directory` for reading. That the time of the last access is kept cannot be
/// asked for.
pub(in crate::tree::filesystem) fn open_file(
    directory: &Handle,
    name: &[u8],
    _keep_access_time: &mut bool,
) -> Result<Handle, Error> {
    directory.open_file(name.text()?, Follow::No)
}

/// Creates a file that must not be there yet, for writing.
pub(in crate::tree::filesystem) fn create_file(
    directory: &Handle,
    name: &[u8],
    _mode: u32,
) -> Result<Handle, Error> {
    directory.create_file(name.text()?)
}

fn walk_beneath(
    root: &Handle,
    path: &[u8],
    open: impl Fn(&Handle, &str, Follow) -> Result<Handle, Error>,
) -> Result<Handle, Error> {
    let path = path.text()?;
    if path.is_empty() {
        // It was opened through symbolic links, and jco names it by the path that leads to it.
        return open(root, ".", Follow::Yes);
    }
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    let mut current: Option<Handle> = None;
    for name in above.split('/').filter(|_| !above.is_empty()) {
        let parent = current.as_ref().unwrap_or(root);
        let next = parent.open_directory(usual(name)?, Follow::No)?;
        current = Some(next);
    }
    open(current.as_ref().unwrap_or(root), usual(last)?, Follow::No)
}

/// A name that stands for something in its directory.
fn usual(name: &str) -> Result<&str, Error> {
    if matches!(name, "" | "." | "..") { Err(Errno::INVAL) } else { Ok(name) }
}

/// Calls `visit` with each name in a directory that was opened for listing.
pub(in crate::tree::filesystem) fn for_each_name(
    directory: &Handle,
    _buffer: &mut Vec<u8>,
    mut visit: impl FnMut(&CStr) -> Result<(), Error>,
) -> Result<(), Error> {
    directory.for_each_name(|name| {
        let name = CString::new(name).map_err(|_| Errno::ILSEQ)?;
        visit(&name)
    })
}

/// What it means that a name which was listed stands for nothing: that it has gone since, unless
/// it is what a runtime makes of a name that is not UTF-8.
pub(in crate::tree::filesystem) fn gone_since(name: &CStr) -> Result<(), Error> {
    let is_made_up = name.to_str().is_ok_and(|name| name.contains(char::REPLACEMENT_CHARACTER));
    if is_made_up { Err(Errno::ILSEQ) } else { Ok(()) }
}

/// Where a symbolic link points; `None` where the runtime does not tell, as some do not of absolute
/// targets.
pub(in crate::tree::filesystem) fn read_link(
    directory: &Handle,
    name: impl Name,
) -> Result<Option<Vec<u8>>, Error> {
    match directory.read_link(name.text()?) {
        // To an absolute path, or to one that is not UTF-8.
        Err(Errno::PERM | Errno::ACCESS | Errno::ILSEQ) => Ok(None),
        // This may stand for bytes that are not UTF-8: another target, if it were stored.
        Ok(target) if target.contains(char::REPLACEMENT_CHARACTER) => Ok(None),
        result => result.map(|target| Some(target.into_bytes())),
    }
}

/// Appends what one call reads, at most `limit` bytes; nothing only at the end.
pub(in crate::tree::filesystem) fn read_some(
    file: &Handle,
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<usize, Error> {
    file.read_some(buffer, limit)
}

/// Appends up to `limit` bytes from the current position to `buffer`.
pub(in crate::tree::filesystem) fn read_to(
    file: &Handle,
    buffer: &mut Vec<u8>,
    _expected: usize,
    limit: usize,
) -> Result<usize, Error> {
    file.read_to(buffer, limit)
}

/// Appends up to `limit` bytes from `offset` on to `buffer`; fewer only at the end of the file.
pub(in crate::tree::filesystem) fn read_at(
    file: &Handle,
    buffer: &mut Vec<u8>,
    offset: u64,
    limit: usize,
) -> Result<usize, Error> {
    file.read_at(buffer, offset, limit)
}

/// Writes all of `bytes` at the current position.
pub(in crate::tree::filesystem) fn write_all(file: &Handle, bytes: &[u8]) -> Result<(), Error> {
    file.write_all(bytes)
}

/// Writes all of `bytes` at `offset`.
pub(in crate::tree::filesystem) fn write_all_at(
    file: &Handle,
    bytes: &[u8],
    offset: u64,
) -> Result<(), Error> {
    file.write_all_at(bytes, offset)
}

/// Sets the time of the last change of an open file, which is `name` in `directory`: by that, as
/// not every runtime sets the right time by the open file.
pub(in crate::tree::filesystem) fn set_file_time(
    _file: &Handle,
    directory: &Handle,
    name: &[u8],
    modified: Timestamp,
) -> Result<(), Error> {
    directory.set_time_at(name.text()?, modified)
}

/// Sets the time of the last change of what a name stands for, which is of that kind.
pub(in crate::tree::filesystem) fn set_time_at(
    directory: &Handle,
    name: &[u8],
    kind: EntryKind,
    modified: Timestamp,
) -> Result<(), Error> {
    match kind {
        EntryKind::Symlink => directory.set_link_time_at(name.text()?, modified),
        _ => directory.set_time_at(name.text()?, modified),
    }
}

/// There are no modes.
pub(in crate::tree::filesystem) fn set_mode(_handle: &Handle, _mode: u32) -> Result<(), Error> {
    Ok(())
}

/// There are no modes.
pub(in crate::tree::filesystem) fn set_mode_of_path(
    _handle: &Handle,
    _mode: u32,
) -> Result<(), Error> {
    Ok(())
}

/// There are no modes.
pub(in crate::tree::filesystem) fn set_mode_at(
    _directory: &Handle,
    _name: &[u8],
    _kind: EntryKind,
    _mode: u32,
) -> Result<(), Error> {
    Ok(())
}

/// Makes a directory.
pub(in crate::tree::filesystem) fn make_directory(
    directory: &Handle,
    name: &[u8],
    _mode: u32,
) -> Result<(), Error> {
    directory.make_directory(name.text()?)
}

/// Makes a symbolic link. Runtimes refuse absolute targets: who plans a restore leaves those out.
pub(in crate::tree::filesystem) fn make_symlink(
    target: &[u8],
    directory: &Handle,
    name: &[u8],
) -> Result<(), Error> {
    directory.make_symlink(target.text()?, name.text()?)
}

/// Makes a further name for a file.
pub(in crate::tree::filesystem) fn make_hard_link(
    target_directory: &Handle,
    target_name: &[u8],
    directory: &Handle,
    name: &[u8],
) -> Result<(), Error> {
    target_directory.link(target_name.text()?, directory, name.text()?)
}

/// Removes a name that is not a directory.
pub(in crate::tree::filesystem) fn remove(directory: &Handle, name: &[u8]) -> Result<(), Error> {
    directory.remove(name.text()?)
}

/// Removes an empty directory.
pub(in crate::tree::filesystem) fn remove_directory(
    directory: &Handle,
    name: &[u8],
) -> Result<(), Error> {
    directory.remove_directory(name.text()?)
}

/// Renames; what is there of the new name is replaced.
pub(in crate::tree::filesystem) fn rename(
    from: &Handle,
    name: &[u8],
    to: &Handle,
    new_name: &[u8],
) -> Result<(), Error> {
    from.rename(name.text()?, to, new_name.text()?)
}

/// Renames to a name that must not be there, as far as two calls can tell.
pub(in crate::tree::filesystem) fn rename_to_absent(
    from: &Handle,
    name: &[u8],
    to: &Handle,
    new_name: &[u8],
) -> Result<(), Error> {
    from.rename_to_absent(name.text()?, to, new_name.text()?)
}

/// There are no locks.
pub(in crate::tree::filesystem) fn lock(_handle: &Handle) -> Result<(), Error> {
    Err(Errno::NOTSUP)
}

/// What tells the staging directories of this process from those of others: not digits, so that
/// nobody who knows locks takes one without a lock for a leftover.
pub(in crate::tree::filesystem) fn staging_owner() -> String {
    "wasi".to_owned()
}
