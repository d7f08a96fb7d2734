//! Backends that keep a cache: one per file.
//!
//! Each of them implements `Objects` and `Records` of `btdt-ports`, and [`crate::chunk_io`] for
//! chunks in bulk. One conformance suite, `tests/storage`, runs over all of them.

mod codec_pool;
mod fault;
pub mod filesystem;
pub mod memory;
mod record_name;

pub use filesystem::{FilesystemStorage, OpenError};
pub use memory::MemoryStorage;
