//! Composes three components into one: the adapter, the core on top of it, and a front end on top
//! of both.
//!
//! Imports of the front end and the core are connected by name to exports of the parts below. The
//! front end's entry is exported. All other imports remain for the runtime.

use anyhow::{Context, Result, bail};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};
use wasmparser::Validator;

/// The components that a composition is made of.
pub(crate) struct Parts<'parts> {
    /// Exports every interface that the core imports.
    pub(crate) adapter: &'parts [u8],
    /// Exports what front ends need.
    pub(crate) core: &'parts [u8],
    /// Has the export that a runtime calls.
    pub(crate) shell: &'parts [u8],
}

/// Composes a component that exports the interface `entry`, given without its version.
///
/// # Errors
/// If a part is not a component, the parts do not fit together, the front end has no such export,
/// or the result is invalid.
pub(crate) fn compose(parts: &Parts<'_>, entry: &str) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let adapter = Instance::new(&mut graph, "btdt:adapter", parts.adapter, &[])?;
    let core = Instance::new(&mut graph, "btdt:core", parts.core, &[&adapter])?;
    let shell = Instance::new(&mut graph, "btdt:shell", parts.shell, &[&core, &adapter])?;

    let exports = shell.exports(&graph);
    let Some(name) = exports.iter().find(|name| without_version(name) == entry) else {
        bail!("the front end does not export {entry}; it exports {}", exports.join(", "));
    };
    let entry = graph.alias_instance_export(shell.node, name)?;
    graph.export(entry, name)?;

    let bytes = graph.encode(EncodeOptions::default()).context("the parts cannot be composed")?;
    Validator::new().validate_all(&bytes).context("the composition is not a valid component")?;
    Ok(bytes)
}

/// The WIT name of an interface, without `@` and version.
fn without_version(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

/// An instantiated part.
struct Instance {
    package: PackageId,
    node: NodeId,
}

impl Instance {
    /// Adds a component and connects its imports to the exports of the suppliers.
    fn new(
        graph: &mut CompositionGraph,
        name: &str,
        component: &[u8],
        suppliers: &[&Instance],
    ) -> Result<Self> {
        let package = Package::from_bytes(name, None, component, graph.types_mut())
            .with_context(|| format!("{name} can't be read as a component"))?;
        let package = graph.register_package(package)?;
        let node = graph.instantiate(package);
        let imports: Vec<String> =
            graph.types()[graph[package].ty()].imports.keys().cloned().collect();
        for import in imports {
            let exports = |supplier: &&&Instance| {
                graph.types()[graph[supplier.package].ty()].exports.contains_key(&import)
            };
            let Some(supplier) = suppliers.iter().find(exports) else {
                continue;
            };
            let supply = graph.alias_instance_export(supplier.node, &import)?;
            graph
                .set_instantiation_argument(node, &import, supply)
                .with_context(|| format!("{name} wants another {import} than there is"))?;
        }
        Ok(Instance { package, node })
    }

    fn exports(&self, graph: &CompositionGraph) -> Vec<String> {
        graph.types()[graph[self.package].ty()].exports.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTER: &str = r#"(component
        (import "wasi:random/random@0.2.6" (instance $random
            (export "get-random-u64" (func (result u64)))))
        (alias export $random "get-random-u64" (func $get))
        (instance $environment (export "random" (func $get)))
        (export "btdt:cache/environment@1.0.0" (instance $environment)))"#;

    const CORE: &str = r#"(component
        (import "btdt:cache/environment@1.0.0" (instance $environment
            (export "random" (func (result u64)))))
        (alias export $environment "random" (func $random))
        (instance $client (export "clean" (func $random)))
        (export "btdt:cache/client@1.0.0" (instance $client)))"#;

    const SHELL: &str = r#"(component
        (import "wasi:random/random@0.2.0" (instance
            (export "get-random-u64" (func (result u64)))))
        (import "btdt:cache/environment@1.0.0" (instance
            (export "random" (func (result u64)))))
        (import "btdt:cache/client@1.0.0" (instance $client
            (export "clean" (func (result u64)))))
        (alias export $client "clean" (func $clean))
        (instance $run (export "run" (func $clean)))
        (export "wasi:cli/run@0.2.3" (instance $run)))"#;

    fn composed(adapter: &str, core: &str, shell: &str, entry: &str) -> Result<String> {
        let [adapter, core, shell] =
            [adapter, core, shell].map(|text| wat::parse_str(text).unwrap());
        let bytes = compose(&Parts { adapter: &adapter, core: &core, shell: &shell }, entry)?;
        crate::wit::print(&bytes)
    }

    fn world(text: &str) -> Vec<&str> {
        let lines = text.lines().map(str::trim);
        lines.filter(|line| line.starts_with("import") || line.starts_with("export")).collect()
    }

    #[test]
    fn what_parts_give_each_other_is_no_longer_imported() {
        let text = composed(ADAPTER, CORE, SHELL, "wasi:cli/run").unwrap();
        assert_eq!(
            world(&text),
            ["import wasi:random/random@0.2.6;", "export wasi:cli/run@0.2.3;"]
        );
    }

    #[test]
    fn what_no_part_gives_stays_an_import() {
        let text = composed(SHELL, CORE, SHELL, "wasi:cli/run").unwrap();
        assert!(world(&text).contains(&"import btdt:cache/environment@1.0.0;"), "{text}");
    }

    #[test]
    fn a_front_end_without_the_entry_is_refused() {
        let message = composed(ADAPTER, CORE, SHELL, "wasi:http/incoming-handler").unwrap_err();
        assert_eq!(
            message.to_string(),
            "the front end does not export wasi:http/incoming-handler; it exports \
             wasi:cli/run@0.2.3"
        );
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let other = ADAPTER.replace("(result u64)", "(result string)");
        let message = format!("{:#}", composed(&other, CORE, SHELL, "wasi:cli/run").unwrap_err());
        assert!(
            message.contains("btdt:core wants another btdt:cache/environment@1.0.0"),
            "{message}"
        );
    }

    #[test]
    fn a_module_is_no_part() {
        let message = composed("(module)", CORE, SHELL, "wasi:cli/run").unwrap_err().to_string();
        assert!(message.contains("btdt:adapter can't be read"), "{message}");
    }
}
