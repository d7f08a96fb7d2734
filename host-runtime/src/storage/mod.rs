//! Backends that keep a cache: one per file.
//!
//! Each of them implements `Objects` and `Records` of `btdt-ports`, and [`crate::transfer`] for
//! chunks in bulk. One conformance suite, `tests/storage`, runs over all of them.

pub mod codec;
