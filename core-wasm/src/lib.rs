//! The core of btdt: everything that is decided about a cache.
//!
//! Keys, manifests, ignore rules, plans, retention and garbage collection are pure logic over the
//! traits of [`btdt_ports`]. The core performs no I/O, knows no runtime and never sees the bulk
//! content of files: it hands plans to its host and gets digests back. Only `component` knows that
//! all of this is also a WASI component.

pub mod administration;
pub mod archiving;
pub mod cache;
pub mod chunking;
pub mod clean;
pub mod collect;
pub mod commit;
pub mod digest;
mod earlier;
pub mod entries;
pub mod error;
pub mod hash;
pub mod ignore_rules;
pub mod ingest;
pub mod key;
pub mod listing;
pub mod manifest;
pub mod materializing;
pub mod packing;
pub mod protocol;
pub mod reconcile;
pub mod record;
pub mod remote;
pub mod restore;
pub mod retention;
pub mod server;
pub mod store;
mod survey;
pub mod walk;

#[cfg(target_family = "wasm")]
mod component;
