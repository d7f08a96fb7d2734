//! Where the core runs, and how the caches and trees of the user are opened: one interface for the
//! commands, with two implementations.
//!
//! Natively, the core is a component inside this program, and the engine connects it to files and
//! servers. Compiled for WASI, this program is a component itself: it is composed with the same
//! core, and both use the adapter.

#[cfg(target_family = "wasm")]
mod component;
mod connection;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(any(target_family = "wasm", test))]
mod real_path;

#[cfg(target_family = "wasm")]
use component as chosen;
#[cfg(not(target_family = "wasm"))]
use native as chosen;

pub(crate) use btdt_ports::client;
pub(crate) use chosen::{
    Cache, Inspection, Session, connect, end, enter, open_cache, open_tree, real_path, session,
};
pub use chosen::{Core, CoreError};
pub(crate) use connection::Connection;
