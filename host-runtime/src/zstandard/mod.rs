//! The zstd format: the C library natively, a Rust library in WebAssembly. Both read and write the
//! same frames.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{Compressor, Decompressor, reader, stated_size, write_frame};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{Compressor, Decompressor, reader, stated_size, write_frame};
