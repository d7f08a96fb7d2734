//! What `wasi:filesystem` is to the backends on WASI: handles, errors, and where paths lead.
//!
//! The interface is called directly. The standard library opens every file for writing with the
//! right to change directories as well, which not every runtime grants; it has no call that sets
//! the time of a name in an open directory; and what it does with absolute paths depends on the
//! order in which the runtime names its directories.

mod errno;
mod handle;
mod places;

pub(crate) use errno::Errno;
pub(crate) use handle::{Follow, Handle, Stat};
pub(crate) use places::{Place, create_directories, find, text};
