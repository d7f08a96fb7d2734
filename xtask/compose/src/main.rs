//! `btdt-compose`: composes components, prints their interfaces, and makes them trap for tests.
//!
//! This is a separate program because its dependencies take longer to compile than the rest of
//! xtask, and most xtask commands do not need them.

mod composition;
mod trapping;
mod wit;

use anyhow::{Context, Result, bail};
use composition::Parts;
use std::fs;

const USAGE: &str = "usage: btdt-compose compose ADAPTER CORE SHELL ENTRY OUT.wasm\n\
                     \x20   or: btdt-compose wit COMPONENT OUT.wit\n\
                     \x20   or: btdt-compose trap COMPONENT OUT.wasm IMPORT...";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (out, bytes) = match words.as_slice() {
        ["compose", adapter, core, shell, entry, out] => {
            let (adapter, core, shell) = (read(adapter)?, read(core)?, read(shell)?);
            let parts = Parts { adapter: &adapter, core: &core, shell: &shell };
            (out, composition::compose(&parts, entry)?)
        }
        ["wit", component, out] => {
            let text = wit::print(&read(component)?)
                .with_context(|| format!("cannot print the interfaces of {component}"))?;
            (out, text.into_bytes())
        }
        ["trap", component, out, imports @ ..] => {
            let bytes = trapping::trap_at(&read(component)?, imports)
                .with_context(|| format!("cannot make {component} trap"))?;
            (out, bytes)
        }
        _ => bail!(USAGE),
    };
    fs::write(out, bytes).with_context(|| format!("could not write {out}"))
}

fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("could not read {path}"))
}
