//! Checks the imports of a component, or compiles it to a `.cwasm` for one target.
//!
//! This is a separate program so that the Cranelift compiler is built only here and never becomes a
//! feature of the wasmtime that the hosts link.

mod imports;

use std::fs;
use std::path::Path;
use wasmtime::{Result, bail, error::Context as _};

const USAGE: &str = "usage: btdt-precompile check COMPONENT ALLOWED-PREFIX...\n\
                     \x20   or: btdt-precompile compile COMPONENT OUT.cwasm TARGET-TRIPLE";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check", component, allowed @ ..] => imports::check(&read(component)?, component, allowed),
        ["compile", component, out, target] => compile(component, out, target),
        _ => bail!(USAGE),
    }
}

fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("could not read {path}"))
}

fn compile(component: &str, out: &str, target: &str) -> Result<()> {
    let mut config = btdt_engine_config::config();
    // Without an explicit target, the code would depend on the build machine's CPU features.
    config.target(target).with_context(|| format!("unknown target: {target}"))?;
    let engine = wasmtime::Engine::new(&config)?;
    let compiled = engine
        .precompile_component(&read(component)?)
        .with_context(|| format!("could not compile {component}"))?;
    // Rename into place, so that a concurrent build script never embeds half a file.
    let partial = Path::new(out).with_extension("partial");
    fs::write(&partial, compiled)
        .with_context(|| format!("could not write {}", partial.display()))?;
    fs::rename(&partial, out).with_context(|| format!("could not write {out}"))
}
