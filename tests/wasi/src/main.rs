//! `wasi-run COMPONENT [ARGUMENT...]`: a plain WASI host for a command component.
//!
//! It is what any embedder would write with wasmtime's own WASI, and no capability of btdt is
//! behind it: a component that runs here needs nothing but WASI 0.2. The component sees the whole
//! file system as `/`, the current directory as `.`, and the arguments, the environment and the
//! standard streams of this process, whose exit code is that of the component. `wasi-run` has no
//! options of its own, so that every argument is the component's.
//!
//! A file that ends in `.cwasm` is taken for a component that was compiled before, and is trusted;
//! anything else is compiled first. `wasi-run --precompile COMPONENT OUT.cwasm` makes such a file.

mod plain_host;

use plain_host::{Instance, load};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use wasmtime::component::Linker;
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store, bail};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

/// The exit code for failures of this program: no command of btdt ends with it.
const FAILURE: u8 = 125;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            // With standard error closed there is nobody to tell.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("wasi-run: {error:?}\n"),
            );
            ExitCode::from(FAILURE)
        }
    }
}

fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let Some(path) = arguments.first() else {
        bail!("usage: wasi-run <component> [argument...]");
    };
    let engine = Engine::default();
    if path == "--precompile" {
        return precompile(&engine, &arguments[1..]);
    }
    let component = load(&engine, Path::new(path))?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_sync(&mut linker)?;

    let mut store = Store::new(&engine, Instance::new(context(&arguments)?));
    let command = Command::instantiate(&mut store, &component, &linker)
        .context("the component needs something that plain WASI does not have")?;
    match command.wasi_cli_run().call_run(&mut store) {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(())) => Ok(ExitCode::FAILURE),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => Ok(ExitCode::from(u8::try_from(*code)?)),
            None => Err(error.context("the component trapped")),
        },
    }
}

fn precompile(engine: &Engine, paths: &[OsString]) -> Result<ExitCode> {
    let [input, output] = paths else {
        bail!("usage: wasi-run --precompile <component> <out.cwasm>");
    };
    let component =
        fs::read(input).with_context(|| format!("could not read {}", input.display()))?;
    let compiled = engine
        .precompile_component(&component)
        .with_context(|| format!("could not compile {}", input.display()))?;
    fs::write(output, compiled).with_context(|| format!("could not write {}", output.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn context(arguments: &[OsString]) -> Result<WasiCtx> {
    let cwd = std::env::current_dir().context("could not find the current directory")?;
    let mut builder = WasiCtxBuilder::new();
    builder.inherit_stdio().inherit_network().allow_ip_name_lookup(true);
    // One instance and one thread: nobody else waits while a file is read.
    builder.allow_blocking_current_thread(true);
    builder.preopened_dir("/", "/", FsPerms::ReadWrite).context("could not open /")?;
    builder.preopened_dir(".", ".", FsPerms::ReadWrite).context("could not open .")?;
    builder.initial_cwd(cwd.to_string_lossy());
    for (index, argument) in arguments.iter().enumerate() {
        // As of wasmtime's own command, the first argument is the file's name.
        let name = Path::new(argument).file_name().filter(|_| index == 0);
        builder.arg(name.unwrap_or(argument).to_str().with_context(|| {
            format!("an argument is not UTF-8, which WASI cannot express: {}", argument.display())
        })?);
    }
    for (name, value) in std::env::vars_os() {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
            builder.env(name, value);
        }
    }
    Ok(builder.build())
}
