//! Where paths of the host lead: the roots of trees.

use super::handle::{Error, Handle, Status};
use btdt_ports::IoError;
use rustix::fs::{Mode, OFlags};
use std::path::Path;

/// The metadata of a path, symbolic links followed.
pub fn status_of(path: &Path) -> Result<Status, Error> {
    rustix::fs::stat(path).map(Status::from)
}

/// Opens a directory as the root of a tree, symbolic links followed. The handle only serves to
/// reach what is in the directory.
pub fn open_directory(path: &Path) -> Result<Handle, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(Handle::new)
}

/// Opens a file for reading, symbolic links followed.
pub fn open_file(path: &Path) -> Result<Handle, Error> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(Handle::new)
}

/// Creates a directory and its missing parents.
pub fn create_directories(path: &Path) -> Result<(), IoError> {
    Ok(std::fs::create_dir_all(path)?)
}
