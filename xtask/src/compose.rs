//! Composes btdt for any WASI runtime: components that import only `wasi:*`.
//!
//! Each consists of the core that the hosts embed, the adapter, which gives it files and servers
//! through WASI, and a front end.

use crate::artifacts::{add_checksum, with_ending, write_if_new};
use crate::component;
use crate::composer;
use crate::precompiler;
use crate::process;
use crate::wasm_target;
use crate::workspace::{GUEST_TARGET, Profile, Workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The crate that implements the imports of the core on WASI.
const ADAPTER: Guest = Guest { package: "btdt-wasi-adapter", output: "btdt_wasi_adapter.wasm" };

/// Packages whose interfaces a composition may import.
const ALLOWED: &[&str] = &["wasi:"];

/// All compositions.
const COMPOSITIONS: &[Composition] = &[
    Composition {
        name: "btdt.wasm",
        shell: Guest { package: "btdt-cli", output: "btdt.wasm" },
        entry: "wasi:cli/run",
    },
    Composition {
        name: "btdt-server.wasm",
        shell: Guest { package: "btdt-wasi-handler", output: "btdt_wasi_handler.wasm" },
        entry: "wasi:http/incoming-handler",
    },
];

/// A crate that is compiled to a component.
struct Guest {
    package: &'static str,
    /// The name of the file that cargo builds.
    output: &'static str,
}

/// A front end, and the composition that is built from it.
struct Composition {
    /// The name of the composed file.
    name: &'static str,
    shell: Guest,
    /// The export that a runtime calls, without its version.
    entry: &'static str,
}

/// Builds the parts and writes the compositions to `target/component/`, beside the core, each with
/// a checksum and its interfaces. Returns the paths of the compositions.
///
/// # Errors
/// If a part can't be built, the parts do not fit together, or a composition imports anything
/// besides WASI.
pub(crate) fn compose(workspace: &Workspace, profile: Profile) -> Result<Vec<PathBuf>> {
    wasm_target::ensure(workspace)?;
    component::build(workspace, profile, None)?;
    let core = workspace.component_wasm(profile);
    describe(workspace, &core)?;
    build_parts(workspace, profile)?;
    let artifact = |guest: &Guest| workspace.guest_artifact(profile, guest.output);
    let mut made = Vec::new();
    for composition in COMPOSITIONS {
        let path = workspace.component_dir(profile).join(composition.name);
        let new = with_ending(&path, ".new");
        let mut command = composer::command(workspace)?;
        command.arg("compose").args([&artifact(&ADAPTER), &core, &artifact(&composition.shell)]);
        command.arg(composition.entry).arg(&new);
        process::run(&mut command)
            .with_context(|| format!("could not compose {}", composition.name))?;
        precompiler::check_imports(workspace, &new, ALLOWED)?;
        write_if_new(&path, &take(&new)?)?;
        describe(workspace, &path)?;
        made.push(path);
    }
    Ok(made)
}

/// The packages that are compiled for compositions, besides the core.
pub(crate) fn packages() -> impl Iterator<Item = &'static str> {
    let shells = COMPOSITIONS.iter().map(|composition| composition.shell.package);
    std::iter::once(ADAPTER.package).chain(shells)
}

/// Compiles the adapter and the front ends in one build, so that shared dependencies compile once.
fn build_parts(workspace: &Workspace, profile: Profile) -> Result<()> {
    let mut cargo = workspace.guest_cargo();
    cargo.args(["build", "--target", GUEST_TARGET, "--profile", profile.guest()]);
    for package in packages() {
        cargo.args(["--package", package]);
    }
    process::run(&mut cargo).with_context(|| format!("could not build for {GUEST_TARGET}"))
}

/// Writes the checksum and the interfaces of a component beside it.
fn describe(workspace: &Workspace, component: &Path) -> Result<()> {
    let wit = component.with_extension("wit");
    let new = with_ending(&wit, ".new");
    let mut command = composer::command(workspace)?;
    command.arg("wit").args([component, &new]);
    process::run(&mut command).context("could not print the interfaces of a component")?;
    write_if_new(&wit, &take(&new)?)?;
    add_checksum(component)
}

/// Reads a file and removes it.
fn take(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    fs::remove_file(path).with_context(|| format!("could not remove {}", path.display()))?;
    Ok(bytes)
}
