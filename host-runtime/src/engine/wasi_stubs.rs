//! The imports of `wasi:*`, which the standard library refers to and the core does not use.
//!
//! Only one of them is ever called: hash maps ask for a seed. All others trap. They are defined one
//! by one, because `Linker::define_unknown_imports_as_traps` also replaces the resource types that
//! one interface of ours uses from another.

use super::instance_state::HostState;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Result};

/// Stands for every resource of `wasi:*`; none is ever created.
struct Never;

/// Defines all imports of `component` that are of `wasi:*`.
pub(super) fn add_to_linker(
    linker: &mut Linker<HostState>,
    engine: &Engine,
    component: &Component,
) -> Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        if !name.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        if name.starts_with("wasi:random/insecure-seed@") {
            add_seed(&mut instance)?;
            continue;
        }
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => add_trap(&mut instance, name, item)?,
                ComponentItem::Resource(_) => {
                    instance.resource(item, ResourceType::host::<Never>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn add_seed(instance: &mut LinkerInstance<'_, HostState>) -> Result<()> {
    instance.func_wrap("insecure-seed", |store, (): ()| {
        let environment = &store.data().services.environment;
        Ok(((environment.random(), environment.random()),))
    })
}

fn add_trap(
    instance: &mut LinkerInstance<'_, HostState>,
    interface: &str,
    function: &str,
) -> Result<()> {
    let name = format!("{interface}#{function}");
    instance.func_new(function, move |_, _, _, _| {
        wasmtime::bail!("the core called {name}, which this host does not have")
    })
}
