//! All system calls of the backends: natively through [`rustix`], on WASI through
//! `wasi:filesystem`.
//!
//! Each module exists twice, with the same functions: in `native/` and in `wasi/`. What is above
//! this crate is the same code on both.

pub mod clock;
pub mod random;
mod status;

#[cfg(not(target_os = "wasi"))]
mod native;
#[cfg(not(target_os = "wasi"))]
pub use native::{cache_directory, handle, host_paths, secret_file};

#[cfg(target_os = "wasi")]
mod wasi;
#[cfg(target_os = "wasi")]
pub use wasi::{cache_directory, handle, host_paths, secret_file};

pub use status::Status;
