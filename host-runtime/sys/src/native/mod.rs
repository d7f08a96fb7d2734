//! The system calls of Unix.

pub mod cache_directory;
pub mod handle;
pub mod host_paths;
pub mod secret_file;
