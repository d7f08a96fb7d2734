//! What the backend needs of the operating system, or of a WASI runtime: nothing else in it
//! speaks to either.

#[cfg(not(target_os = "wasi"))]
mod native;
#[cfg(target_os = "wasi")]
mod wasi;

#[cfg(not(target_os = "wasi"))]
pub(super) use native::*;
#[cfg(target_os = "wasi")]
pub(super) use wasi::*;
