//! Loads the core component and connects it to the backends.
//!
//! [`Core`] is built once in a process; a [`Session`] is one instance with its own memory, for one
//! operation. A trap ends the session and nothing else. The work is done behind the plain traits
//! of `btdt_ports`; the files `*_imports.rs` only pass calls on.

mod ambient_imports;
mod bindings;
mod client_session;
mod host_services;
mod instance_state;
mod loaded_core;
mod memory_budget;
pub mod server;
mod session;
mod storage_imports;
mod transfer_imports;
mod tree_imports;
mod wasi_stubs;

pub use client_session::Inspection;
pub use host_services::{
    Cache, HostObjects, HostServices, Limits, LocalCache, NamedCaches, Opened, SharedEnvironment,
    SharedObjects, SharedRecords,
};
pub use loaded_core::{CORE, Core};
pub use memory_budget::{MemoryFault, Share, SharedMemory};
pub use session::{CoreError, Session};
