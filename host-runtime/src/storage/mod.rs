//! Backends that keep a cache: one per file.

pub mod codec;
