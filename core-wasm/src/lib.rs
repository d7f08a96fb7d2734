//! The core of btdt: every decision about a cache.
//!
//! Keys, manifests, ignore rules, plans, retention and garbage collection are pure logic over the
//! traits of [`btdt_ports`]. The core performs no I/O, knows no runtime and never sees the bulk
//! content of files: it hands plans to its host and gets digests back. Only `component` knows that
//! all of this is also a WASI component.
//!
//! The modules are layers. From the lowest to the highest, each importing only from those before
//! it:
//!
//! 1. [`digest`]: SHA-256 and BLAKE3
//! 2. [`key`]: keys and prefixes, and the names of their records
//! 3. [`manifest`]: a tree and where its content is, and its encoded form
//! 4. [`chunking`]: which files share a chunk
//! 5. [`tree`]: the user's files: listed, packed, compared and written
//! 6. [`archive`]: tar archives into manifests and out of them
//! 7. [`storage`]: records and objects of a local cache, and when they may go
//! 8. [`protocol`]: what client and server say to each other
//! 9. [`cache`]: one interface for local and remote caches
//! 10. [`operations`]: store, restore, clean, hash, list, inspect, delete, verify
//! 11. [`http_api`]: the server's answers
//! 12. `component`: the core as a component

pub mod archive;
pub mod cache;
pub mod chunking;
pub mod digest;
pub mod http_api;
pub mod key;
pub mod manifest;
pub mod operations;
pub mod protocol;
pub mod storage;
pub mod tree;

#[cfg(target_family = "wasm")]
mod component;
