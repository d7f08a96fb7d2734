//! What the hosts of this crate have in common: wasmtime's own WASI, and nothing of btdt.

use std::path::Path;
use wasmtime::component::{Component, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What one instance of a component is given.
pub(crate) struct Instance {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl Instance {
    pub(crate) fn new(wasi: WasiCtx) -> Self {
        Instance { wasi, http: WasiHttpCtx::new(), table: ResourceTable::new() }
    }
}

impl WasiView for Instance {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Instance {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: wasmtime_wasi_http::default_hooks(),
        }
    }
}

/// Loads a component. A file that ends in `.cwasm` is taken for one that was compiled before, and
/// is trusted.
pub(crate) fn load(engine: &Engine, path: &Path) -> Result<Component> {
    let component = if path.extension().is_some_and(|extension| extension == "cwasm") {
        // SAFETY: the caller vouches that the file came out of a compiler of wasmtime, as the
        // descriptions of these programs say; wasmtime itself checks version and settings.
        unsafe { Component::deserialize_file(engine, path) }
    } else {
        Component::from_file(engine, path)
    };
    component.with_context(|| format!("could not load {}", path.display()))
}
