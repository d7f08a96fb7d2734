//! Loads the core component and makes instances of it.

use super::bindings::{self, CorePre};
use super::host_services::{HostServices, Limits, SharedEnvironment};
use super::instance_state::HostState;
use super::session::{CoreError, Session, trap};
use super::wasi_stubs;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store, UpdateDeadline};

/// The precompiled core component that was built with this host.
pub static CORE: &[u8] = include_bytes!(env!("BTDT_CORE"));

/// Bytes that may be copied from the core to the host in one call. The largest value is an encoded
/// manifest.
const HOSTCALL_FUEL: usize = 1 << 30;

/// Bytes of memory that an idle instance keeps: about what a small request touches.
const RESIDENT_MEMORY: usize = 256 << 10;

/// Bytes of its tables that it keeps. Unmapping these few pages after each request would briefly
/// stop all other threads.
const RESIDENT_TABLES: usize = 16 << 10;

/// A loaded core component.
pub struct Core {
    engine: Engine,
    pre: CorePre<HostState>,
}

impl Core {
    /// Loads a component that xtask has precompiled.
    ///
    /// # Safety
    /// `precompiled` must be what `btdt-precompile` wrote: it is machine code, and wasmtime checks
    /// its settings but not its instructions.
    pub unsafe fn load(precompiled: &[u8]) -> Result<Self, CoreError> {
        // SAFETY: the caller vouches for the artifact.
        unsafe { Core::load_with(precompiled, &btdt_engine_config::config()) }
    }

    /// Loads it for a host with up to `instances` sessions at once, which reuse their memory.
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
        bindings::Core::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut HostState| state)
            .map_err(failed)?;
        wasi_stubs::add_to_linker(&mut linker, &engine, &component).map_err(failed)?;
        let pre = linker.instantiate_pre(&component).map_err(failed)?;
        Ok(Core { engine, pre: CorePre::new(pre).map_err(failed)? })
    }

    /// Loads the component that was built with this host.
    pub fn embedded() -> Result<Self, CoreError> {
        // SAFETY: the build script embeds the artifact that xtask had precompiled for this target.
        unsafe { Core::load(CORE) }
    }

    /// [`Core::load_pooled`] for the component that was built with this host.
    pub fn embedded_pooled(instances: u32) -> Result<Self, CoreError> {
        // SAFETY: the build script embeds the artifact that xtask had precompiled for this target.
        unsafe { Core::load_pooled(CORE, instances) }
    }

    /// A fresh instance for a client, without limits.
    pub fn session(&self, environment: SharedEnvironment) -> Result<Session, CoreError> {
        self.limited_session(HostServices::of_client(environment), Limits::NONE)
    }

    /// A fresh instance with limits.
    pub fn limited_session(
        &self,
        services: HostServices,
        limits: Limits,
    ) -> Result<Session, CoreError> {
        let mut store = Store::new(&self.engine, HostState::new(services, limits));
        store.limiter(|state| &mut state.limiter);
        // Moving a deadline of one tick forward counts only computing time: the host may wait for
        // a slow sender or disk as long as it has to.
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

    /// Advances the clock that deadlines are measured by.
    pub fn tick(&self) {
        self.engine.increment_epoch();
    }
}

/// A pool of that many instances. The counts per instance are those of the component, which has a
/// few core modules and tables.
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
