//! What the core component may import: this project's own interfaces and WASI, nothing else.
//!
//! The promise that the core performs no I/O of its own rests on this check; `component` makes it
//! after every build of the component.

use anyhow::{Context, Result, bail};
use wasmparser::{Encoding, Parser, Payload};

/// The packages whose interfaces the core may import, with the separator that ends the name.
const ALLOWED_PREFIXES: &[&str] = &["btdt:cache/", "wasi:"];

/// Checks a component's imports and returns their names in order.
///
/// # Errors
/// When the bytes are no component, or it imports anything that is not allowed; the message names
/// every such import.
pub(crate) fn check(component: &[u8]) -> Result<Vec<String>> {
    let imports = imports(component)?;
    let foreign: Vec<&str> =
        imports.iter().map(String::as_str).filter(|name| !is_allowed(name)).collect();
    if !foreign.is_empty() {
        bail!(
            "the core component imports what it must not: {}; allowed are only {}",
            foreign.join(", "),
            ALLOWED_PREFIXES.join("* and ") + "*"
        );
    }
    Ok(imports)
}

fn is_allowed(name: &str) -> bool {
    ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The names of the imports of the outermost component; those of the modules and components
/// inside it are wired up by it and never reach a host.
fn imports(component: &[u8]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.context("the core component can't be parsed")? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding != Encoding::Component {
                    bail!("the core was built as a plain module, not as a component");
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.context("an import of the core can't be parsed")?;
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

    #[test]
    fn own_interfaces_and_wasi_are_allowed() {
        let names = ["btdt:cache/tree@1.0.0", "wasi:io/error@0.2.6"];
        assert_eq!(check(&component_with(&names, &[])).unwrap(), names);
    }

    #[test]
    fn a_foreign_import_is_named() {
        let bytes = component_with(&["wasi:io/error@0.2.6", "evil:net/sockets@1.0.0"], &[]);
        let message = check(&bytes).unwrap_err().to_string();
        assert!(message.contains("evil:net/sockets@1.0.0"), "{message}");
        assert!(!message.contains("wasi:io/error"), "{message}");
    }

    #[test]
    fn a_package_that_only_begins_alike_is_foreign() {
        let bytes = component_with(&["btdt:cache-other/tree"], &[]);
        assert!(check(&bytes).is_err());
    }

    #[test]
    fn imports_of_nested_components_do_not_count() {
        let inner = component_with(&["a:b/c"], &[]);
        let bytes = component_with(&["wasi:io/error@0.2.6"], &inner);
        assert_eq!(check(&bytes).unwrap(), ["wasi:io/error@0.2.6"]);
    }

    #[test]
    fn a_module_and_garbage_are_refused() {
        let message = check(b"\0asm\x01\0\0\0").unwrap_err().to_string();
        assert!(message.contains("not as a component"), "{message}");
        assert!(check(b"garbage").is_err());
        let whole = component_with(&["wasi:io/error@0.2.6"], &[]);
        assert!(check(&whole[..whole.len() - 4]).is_err());
    }
}
