//! Where the core runs, and how the places that the user names are reached: one interface for the
//! commands, and two sides behind it.
//!
//! Natively the core is a component inside this program, and the engine connects it to the files
//! and servers of the machine. Compiled for WASI this program is a component itself, which has the
//! same core beside it: the two are composed, and share whatever the adapter gives them.

#[cfg(target_family = "wasm")]
mod component;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(any(target_family = "wasm", test))]
mod real_path;

#[cfg(target_family = "wasm")]
use component as chosen;
#[cfg(not(target_family = "wasm"))]
use native as chosen;

pub(crate) use chosen::{
    Cache, Inspection, Session, client, connect, open_cache, open_tree, real_path, session,
};
pub use chosen::{Core, CoreError, start};

use btdt_host_runtime::auth::Token;

/// What it takes to talk to a server.
pub(crate) struct Connection {
    /// The user's token, which leaves this machine only narrowed down.
    pub(crate) token: Option<Token>,
    /// Contents of files of certificates to trust, in PEM form.
    pub(crate) root_certificates: Vec<Vec<u8>>,
}
