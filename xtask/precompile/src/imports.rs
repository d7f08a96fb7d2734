//! Checks the imports of components: the core may import this project's own interfaces and WASI,
//! compositions only WASI.
//!
//! This check guarantees that the core performs no I/O of its own, and that compositions run
//! anywhere. It runs after every build of a component.

use wasmparser::{Encoding, Parser, Payload};
use wasmtime::error::Context as _;
use wasmtime::{Result, bail};

/// Checks that each import of a component begins with one of `allowed`; `name` is the component's
/// name in errors.
///
/// # Errors
/// If the bytes are not a component, or an import is not allowed; the message names every such
/// import.
pub(crate) fn check(component: &[u8], name: &str, allowed: &[&str]) -> Result<()> {
    let imports = imports(component, name)?;
    let is_allowed = |import: &str| allowed.iter().any(|prefix| import.starts_with(prefix));
    let foreign: Vec<&str> =
        imports.iter().map(String::as_str).filter(|import| !is_allowed(import)).collect();
    if !foreign.is_empty() {
        bail!(
            "{name} imports what it must not: {}; allowed are only {}",
            foreign.join(", "),
            allowed.join("* and ") + "*"
        );
    }
    Ok(())
}

/// The names of the imports of the outermost component, which wires up the modules and components
/// inside it; their imports never reach a host.
fn imports(component: &[u8], name: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.with_context(|| format!("{name} can't be parsed"))? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding != Encoding::Component {
                    bail!("{name} was built as a plain module, not as a component");
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import =
                        import.with_context(|| format!("an import of {name} can't be parsed"))?;
                    names.push(import.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component that declares one empty instance type and imports it under each name, with the
    /// given component nested inside.
    fn component_with(imports: &[&str], nested: &[u8]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        section(&mut bytes, 7, &[1, 0x42, 0]);
        let mut body = vec![u8::try_from(imports.len()).unwrap()];
        for name in imports {
            body.extend([0, u8::try_from(name.len()).unwrap()]);
            body.extend(name.as_bytes());
            body.extend([5, 0]);
        }
        section(&mut bytes, 10, &body);
        if !nested.is_empty() {
            section(&mut bytes, 4, nested);
        }
        bytes
    }

    fn section(bytes: &mut Vec<u8>, id: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).unwrap();
        assert!(length < 128, "one LEB128 byte");
        bytes.extend([id, length]);
        bytes.extend(body);
    }

    fn check_core(component: &[u8]) -> Result<()> {
        check(component, "the core component", &["btdt:cache/", "wasi:"])
    }

    #[test]
    fn own_interfaces_and_wasi_are_allowed() {
        let names = ["btdt:cache/tree@1.0.0", "wasi:io/error@0.2.6"];
        let component = component_with(&names, &[]);
        check_core(&component).unwrap();
        assert_eq!(imports(&component, "the core component").unwrap(), names);
    }

    #[test]
    fn a_foreign_import_is_named() {
        let bytes = component_with(&["wasi:io/error@0.2.6", "evil:net/sockets@1.0.0"], &[]);
        let message = check_core(&bytes).unwrap_err().to_string();
        assert!(message.contains("evil:net/sockets@1.0.0"), "{message}");
        assert!(!message.contains("wasi:io/error"), "{message}");
    }

    #[test]
    fn a_package_that_only_begins_alike_is_foreign() {
        let bytes = component_with(&["btdt:cache-other/tree"], &[]);
        assert!(check_core(&bytes).is_err());
    }

    #[test]
    fn imports_of_nested_components_do_not_count() {
        let inner = component_with(&["a:b/c"], &[]);
        let bytes = component_with(&["wasi:io/error@0.2.6"], &inner);
        assert_eq!(imports(&bytes, "the core component").unwrap(), ["wasi:io/error@0.2.6"]);
    }

    #[test]
    fn a_module_and_garbage_are_refused() {
        let message = check_core(b"\0asm\x01\0\0\0").unwrap_err().to_string();
        assert!(message.contains("not as a component"), "{message}");
        assert!(check_core(b"garbage").is_err());
        let whole = component_with(&["wasi:io/error@0.2.6"], &[]);
        assert!(check_core(&whole[..whole.len() - 4]).is_err());
    }

    #[test]
    fn a_composition_may_import_less_than_the_core() {
        let bytes = component_with(&["wasi:io/error@0.2.6", "btdt:cache/types@1.0.0"], &[]);
        let message = check(&bytes, "btdt.wasm", &["wasi:"]).unwrap_err().to_string();
        assert_eq!(
            message,
            "btdt.wasm imports what it must not: btdt:cache/types@1.0.0; allowed are only wasi:*"
        );
    }
}
