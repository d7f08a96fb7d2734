//! What the backend needs of the operating system, or of a WASI runtime, and nothing else: all
//! that depends on the platform is here.
//!
//! Every path is relative to the root of the cache, which is opened once. The last component of
//! a path is never followed if it is a symbolic link.

#[cfg(not(target_os = "wasi"))]
mod native;
#[cfg(target_os = "wasi")]
mod wasi;

#[cfg(not(target_os = "wasi"))]
pub(super) use native::*;
#[cfg(target_os = "wasi")]
pub(super) use wasi::*;

use btdt_ports::Timestamp;
use std::io::ErrorKind;

/// What a call gives.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// What is told about a file without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileInfo {
    pub(super) is_file: bool,
    pub(super) is_directory: bool,
    pub(super) size: u64,
    pub(super) modified: Timestamp,
}

/// Whether the error says that there is nothing of that name.
pub(super) fn is_not_found(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound
}
