//! The zstd format: the C library where there is a C compiler for the target, and one in Rust in
//! WebAssembly. Both read and write the same frames.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{Compressor, Decompressor, reader, stated_size, write_frame};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{Compressor, Decompressor, reader, stated_size, write_frame};
