//! One instance of the core, and how it fails.

use super::bindings;
use super::instance_state::HostState;
use super::memory_budget::MemoryFault;
use wasmtime::Store;

/// Why the core did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The precompiled component does not fit this host.
    #[error(
        "the core component does not fit this program ({0}); build both with `cargo xtask build`"
    )]
    Load(String),
    /// It trapped. The message of the panic was logged before.
    #[error("the core stopped unexpectedly ({0})")]
    Trap(String),
    /// It did not get the memory that the request needs.
    #[error("the core did not get the memory that it needs ({0:?})")]
    Memory(MemoryFault),
}

/// One instance of the core.
pub struct Session {
    pub(super) store: Store<HostState>,
    pub(super) core: bindings::Core,
}

pub(super) fn trap(error: wasmtime::Error) -> CoreError {
    CoreError::Trap(error.root_cause().to_string())
}
