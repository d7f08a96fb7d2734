//! `wasi:filesystem`: handles, errors, and where paths lead.
//!
//! The interface is called directly. The standard library opens every file for writing with the
//! right to change directories as well, which not every runtime grants; it has no call that sets
//! the time of a name in an open directory; and what it does with absolute paths depends on the
//! order in which the runtime names its directories.

pub mod cache_directory;
mod errno;
pub mod handle;
pub mod host_paths;
mod names;
mod preopens;
pub mod secret_file;
