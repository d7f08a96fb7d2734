//! Loads the core component and connects it to the backends.
//!
//! [`Core`] is built once in a process; a [`Session`] is one instance with its own memory, for one
//! operation. A trap ends the session and nothing else. The work is done behind the plain traits
//! of `btdt_ports`; `imports` only passes calls on.

mod bindings;
mod imports;
mod memory;
mod requests;
mod resources;
pub mod server;
mod wasi;

pub use bindings::client;
pub use memory::{MemoryFault, Share, SharedMemory};
pub use resources::{
    Cache, HostObjects, Limits, LocalCache, NamedCaches, Opened, SharedEnvironment, SharedObjects,
    SharedRecords, Surroundings,
};

use crate::tree::filesystem::FilesystemTree;
use bindings::CorePre;
use resources::HostState;
use wasmtime::component::{Component, Linker, ResourceAny};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store, UpdateDeadline};

/// The precompiled core component that was built with this host.
pub static CORE: &[u8] = include_bytes!(env!("BTDT_CORE"));

/// Bytes that may be copied from the core to the host in one call. The largest thing is an encoded
/// manifest.
const HOSTCALL_FUEL: usize = 1 << 30;

/// Memory that an instance at rest keeps, in bytes: what a small request touches.
const RESIDENT_MEMORY: usize = 256 << 10;

/// Bytes of its tables that it keeps. Giving back these few pages after each request makes every
/// other thread stop for a moment.
const RESIDENT_TABLES: usize = 16 << 10;

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
    /// It did not get the memory that the request takes.
    #[error("the core did not get the memory that it needs ({0:?})")]
    Memory(MemoryFault),
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
        // SAFETY: the caller vouches for the artifact.
        unsafe { Core::load_with(precompiled, &btdt_engine_config::config()) }
    }

    /// The same for a host with up to `instances` sessions at once, whose memory is used again.
    ///
    /// # Errors
    /// [`CoreError::Load`].
    ///
    /// # Safety
    /// See [`Core::load`].
    pub unsafe fn load_pooled(precompiled: &[u8], instances: u32) -> Result<Self, CoreError> {
        let mut config = btdt_engine_config::config();
        config.allocation_strategy(pool(instances));
        // SAFETY: the caller vouches for the artifact.
        unsafe { Core::load_with(precompiled, &config) }
    }

    unsafe fn load_with(precompiled: &[u8], config: &Config) -> Result<Self, CoreError> {
        let failed = |error: wasmtime::Error| CoreError::Load(format!("{error:#}"));
        let engine = Engine::new(config).map_err(failed)?;
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

    /// The same as [`Core::load_pooled`].
    ///
    /// # Errors
    /// [`CoreError::Load`].
    pub fn embedded_pooled(instances: u32) -> Result<Self, CoreError> {
        // SAFETY: the build script embeds the artifact that xtask had precompiled for this target.
        unsafe { Core::load_pooled(CORE, instances) }
    }

    /// A fresh instance for a client, which may use up what it wants.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub fn session(&self, environment: SharedEnvironment) -> Result<Session, CoreError> {
        self.limited_session(Surroundings::of_client(environment), Limits::NONE)
    }

    /// A fresh instance with limits.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub fn limited_session(
        &self,
        surroundings: Surroundings,
        limits: Limits,
    ) -> Result<Session, CoreError> {
        let mut store = Store::new(&self.engine, HostState::new(surroundings, limits));
        store.limiter(|state| &mut state.limiter);
        // A deadline of one tick that is moved on counts only ticks of computing: the host may
        // wait for a slow sender or disk for as long as it has to.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let left = &mut context.data_mut().ticks_left;
            *left = left.saturating_sub(1);
            if *left == 0 {
                wasmtime::bail!("it took longer than allowed");
            }
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        let core = self.pre.instantiate(&mut store).map_err(trap)?;
        Ok(Session { store, core })
    }

    /// Moves the clock on by which deadlines are measured.
    pub fn tick(&self) {
        self.engine.increment_epoch();
    }
}

/// Room for so many instances. The counts for each are those of the component, which has a handful
/// of core modules and tables.
fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_memories(instances)
        .total_tables(instances * 3)
        .total_core_instances(instances * 5)
        .table_elements(2000)
        .linear_memory_keep_resident(RESIDENT_MEMORY)
        .table_keep_resident(RESIDENT_TABLES)
        .pagemap_scan(Enabled::Auto);
    pool
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
        cache: Cache,
    ) -> Result<Result<client::StoreSummary, client::Error>, CoreError> {
        let tree = self.store.data_mut().add_tree(tree).map_err(trap)?;
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_store_tree(&mut self.store, request, tree, &cache).map_err(trap)
    }

    /// Restores the first entry that is there and intact; `None` where there is none.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn restore(
        mut self,
        request: &client::RestoreRequest,
        tree: FilesystemTree,
        cache: Cache,
    ) -> Result<Result<Option<client::Restored>, client::Error>, CoreError> {
        let tree = self.store.data_mut().add_tree(tree).map_err(trap)?;
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_restore_tree(&mut self.store, request, tree, &cache).map_err(trap)
    }

    /// Removes entries that are too old or too many, and objects that nothing refers to.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn clean(
        mut self,
        request: client::CleanRequest,
        cache: Cache,
    ) -> Result<Result<client::CleanSummary, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_clean_cache(&mut self.store, request, &cache).map_err(trap)
    }

    /// Lists entries, part by part.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn list(
        &mut self,
        request: &client::ListRequest,
        cache: &Cache,
    ) -> Result<Result<client::EntryPage, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache.clone()).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_list_entries(&mut self.store, request, &cache).map_err(trap)
    }

    /// The entry of a key; `None` where there is none.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn inspect(
        mut self,
        key: &str,
        cache: Cache,
    ) -> Result<Result<Option<Inspection>, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        let found = client.call_inspect_entry(&mut self.store, key, &cache).map_err(trap)?;
        Ok(found.map(|handle| handle.map(|handle| Inspection { session: self, handle })))
    }

    /// Deletes entries: those of the keys, and part by part those with the prefix.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn delete(
        &mut self,
        request: &client::DeleteRequest,
        cache: &Cache,
    ) -> Result<Result<client::DeletePage, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache.clone()).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_delete_entries(&mut self.store, request, &cache).map_err(trap)
    }

    /// Reads all of a local cache and says what is damaged or missing; with `repair`, what is
    /// damaged is taken out.
    ///
    /// # Errors
    /// [`CoreError::Trap`] from without, [`client::Error`] from within.
    pub fn verify(
        mut self,
        repair: bool,
        cache: Cache,
    ) -> Result<Result<client::VerifySummary, client::Error>, CoreError> {
        let cache = self.store.data_mut().add_cache(cache).map_err(trap)?;
        let client = self.core.btdt_cache_client();
        client.call_verify_cache(&mut self.store, repair, &cache).map_err(trap)
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

/// An entry and its tree, kept by an instance of the core.
pub struct Inspection {
    session: Session,
    handle: ResourceAny,
}

impl Inspection {
    /// What is recorded of the entry.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub fn entry(&mut self) -> Result<client::EntryInfo, CoreError> {
        let Session { store, core } = &mut self.session;
        let inspection = core.btdt_cache_client().inspection();
        inspection.call_entry(store, self.handle).map_err(trap)
    }

    /// What its tree holds; `None` where its manifest is missing or damaged.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub fn totals(&mut self) -> Result<Option<client::TreeTotals>, CoreError> {
        let Session { store, core } = &mut self.session;
        let inspection = core.btdt_cache_client().inspection();
        inspection.call_totals(store, self.handle).map_err(trap)
    }

    /// At most `count` paths of its tree, in order, of which the first has the number `first`.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub fn nodes(&mut self, first: u32, count: u32) -> Result<Vec<client::TreeNode>, CoreError> {
        let Session { store, core } = &mut self.session;
        let inspection = core.btdt_cache_client().inspection();
        inspection.call_nodes(store, self.handle, first, count).map_err(trap)
    }
}

fn trap(error: wasmtime::Error) -> CoreError {
    CoreError::Trap(error.root_cause().to_string())
}
