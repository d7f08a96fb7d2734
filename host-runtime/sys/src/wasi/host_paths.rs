//! Where paths of the host lead: the roots of trees.

use super::errno::Errno;
use super::handle::{Follow, Handle, Status};
use super::preopens::find;
use btdt_ports::{EntryKind, IoError};
use std::path::Path;

/// The metadata of a path, symbolic links followed.
pub fn status_of(path: &Path) -> Result<Status, Errno> {
    find(path)?.status()
}

/// Opens a directory as the root of a tree, symbolic links followed.
pub fn open_directory(path: &Path) -> Result<Handle, Errno> {
    find(path)?.open_directory()
}

/// Opens a file for reading, symbolic links followed.
pub fn open_file(path: &Path) -> Result<Handle, Errno> {
    find(path)?.open_file()
}

/// Creates a directory and its missing parents.
pub fn create_directories(path: &Path) -> Result<(), IoError> {
    let place = find(path)?;
    let exists = |path: &str| {
        let status = place.directory.stat(path, Follow::Yes);
        status.is_ok_and(|status| status.kind == EntryKind::Directory)
    };
    if exists(place.path()) {
        return Ok(());
    }
    let ends = place.rest.match_indices('/').map(|(end, _)| end).chain([place.rest.len()]);
    for path in ends.map(|end| &place.rest[..end]) {
        match place.directory.make_directory(path.as_bytes(), 0) {
            Ok(()) => {}
            // Some runtimes refuse permission before they notice that it exists.
            Err(_) if exists(path) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
