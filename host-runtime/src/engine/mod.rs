//! Loads the core component and connects it to the backends.
//!
//! [`Core`] is built once in a process; a [`Session`] is one instance with its own memory, for one
//! operation. A trap ends the session and nothing else. The work is done behind the plain traits
//! of `btdt_ports`; `imports` only passes calls on.

mod bindings;
mod imports;
mod resources;
mod wasi;

pub use bindings::client;
pub use resources::{LocalCache, SharedObjects, SharedRecords};

use crate::tree::filesystem::FilesystemTree;
use bindings::CorePre;
use btdt_ports::Environment;
use resources::HostState;
use std::sync::Arc;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

/// The precompiled core component that was built with this host.
pub static CORE: &[u8] = include_bytes!(env!("BTDT_CORE"));

/// A core that traps before it commits anything, for the tests of how hosts take that.
#[cfg(feature = "broken-core")]
pub static BROKEN_CORE: &[u8] = include_bytes!(env!("BTDT_CORE_BROKEN"));

/// Bytes that may be copied from the core to the host in one call. The largest thing is an encoded
/// manifest.
const HOSTCALL_FUEL: usize = 1 << 30;

/// What the core needs of its surroundings, besides files and caches.
pub type SharedEnvironment = Arc<dyn Environment + Send + Sync>;

/// The core could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The precompiled component does not fit this host.
    #[error(
        "the core component does not fit this program ({0}); build both with `cargo xtask build`"
    )]
    Load(String),
    /// It trapped. What it had to say was logged before.
    #[error("the core stopped unexpectedly ({0})")]
    Trap(String),
}

/// A loaded core component.
pub struct Core {
    engine: Engine,
    pre: CorePre<HostState>,
}

impl Core {
    /// Loads a component that xtask has precompiled.
    ///
    /// # Errors
    /// [`CoreError::Load`].
    ///
    /// # Safety
    /// `precompiled` must be what `btdt-precompile` wrote: it is machine code, and wasmtime checks
    /// its settings but not its instructions.
    pub unsafe fn load(precompiled: &[u8]) -> Result<Self, CoreError> {
        let failed = |error: wasmtime::Error| CoreError::Load(format!("{error:#}"));
        let engine = Engine::new(&btdt_engine_config::config()).map_err(failed)?;
        // SAFETY: the caller vouches for the artifact.
        let component = unsafe { Component::deserialize(&engine, precompiled) }.map_err(failed)?;
        let mut linker = Linker::new(&engine);
        bindings::add_to_linker(&mut linker).map_err(failed)?;
        wasi::add_to_linker(&mut linker, &engine, &component).map_err(failed)?;
        let pre = linker.instantiate_pre(&component).map_err(failed)?;
        Ok(Core { engine, pre: CorePre::new(pre).map_err(failed)? })
    }

    /// Loads the component that was built with this host.
    ///
    /// # Errors
    /// [`CoreError::Load`].
    pub fn embedded() -> Result<Self, CoreError> {
        // SAFETY: the build script embeds the artifact that xtask had precompiled for this target.
        unsafe { Core::load(CORE) }
    }

    /// A fresh instance.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub fn session(&self, environment: SharedEnvironment) -> Result<Session, CoreError> {
        let mut store = Store::new(&self.engine, HostState::new(environment));
        // The deadline never comes: nobody advances the epoch of a command-line tool's engine.
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        let core = self.pre.instantiate(&mut store).map_err(trap)?;
        Ok(Session { store, core })
    }
}

/// One instance of the core.
pub struct Session {
    store: Store<HostState>,
    core: bindings::Core,
}

impl Session {
    /// Stores a tree under keys.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn store(
        mut self,
        request: &client::StoreRequest,
        tree: FilesystemTree,
        cache: LocalCache,
    ) -> Result<Result<client::StoreSummary, client::Error>, CoreError> {
        let tree = self.store.data_mut().add_tree(tree).map_err(trap)?;
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_store_tree(&mut self.store, request, tree, cache).map_err(trap)
    }

    /// Restores the first entry that is there and intact; `None` where there is none.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn restore(
        mut self,
        request: &client::RestoreRequest,
        tree: FilesystemTree,
        cache: LocalCache,
    ) -> Result<Result<Option<client::Restored>, client::Error>, CoreError> {
        let tree = self.store.data_mut().add_tree(tree).map_err(trap)?;
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_restore_tree(&mut self.store, request, tree, cache).map_err(trap)
    }

    /// Removes entries that are too old or too many, and objects that nothing refers to.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn clean(
        mut self,
        request: client::CleanRequest,
        cache: LocalCache,
    ) -> Result<Result<client::CleanSummary, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_clean_cache(&mut self.store, request, cache).map_err(trap)
    }

    /// The digest of files and directories.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::HashFailure`] from within.
    pub fn hash(
        mut self,
        trees: Vec<FilesystemTree>,
        algorithm: client::Algorithm,
    ) -> Result<Result<btdt_ports::Digest, client::HashFailure>, CoreError> {
        let mut handles = Vec::with_capacity(trees.len());
        for tree in trees {
            handles.push(self.store.data_mut().add_tree(tree).map_err(trap)?);
        }
        let client = self.core.btdt_cache_client();
        let digest = client.call_hash_trees(&mut self.store, &handles, algorithm).map_err(trap)?;
        Ok(digest.map(Into::into))
    }
}

fn trap(error: wasmtime::Error) -> CoreError {
    CoreError::Trap(error.root_cause().to_string())
}
