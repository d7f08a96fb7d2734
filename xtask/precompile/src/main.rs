//! Compiles a component to a `.cwasm` for one target: `btdt-precompile IN OUT TARGET`.
//!
//! A program of its own, so that the Cranelift compiler is built once for this purpose and never
//! becomes a feature of the wasmtime that the hosts link.

use std::fs;
use wasmtime::{Result, bail, error::Context as _};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, target] = args.as_slice() else {
        bail!("usage: btdt-precompile <component.wasm> <out.cwasm> <target triple>");
    };
    let mut config = btdt_engine_config::config();
    // Without an explicit target the build machine's CPU features would be baked in.
    config.target(target).with_context(|| format!("unknown target: {target}"))?;
    let engine = wasmtime::Engine::new(&config)?;
    let component = fs::read(input).with_context(|| format!("could not read {input}"))?;
    let compiled = engine
        .precompile_component(&component)
        .with_context(|| format!("could not compile {input}"))?;
    // Written aside and renamed: a build script that runs meanwhile never embeds half a file.
    let partial = format!("{output}.partial");
    fs::write(&partial, compiled).with_context(|| format!("could not write {partial}"))?;
    fs::rename(&partial, output).with_context(|| format!("could not write {output}"))
}
