//! Checks that run no test: format, style, dependencies, and clippy on the host and on the guest.

use crate::component;
use crate::compose;
use crate::process;
use crate::tidy;
use crate::workspace::{GUEST_TARGET, Profile, Variant, Workspace};
use anyhow::{Context, Result, bail};

/// The heart of the compiler that must stay out of the hosts: with it, `btdt` is several times as
/// large and starts later. (Other crates of that family hold plain data structures.)
const COMPILER_CRATE: &str = "cranelift-codegen";

/// Runs the checks, the quickest first, and stops at the first that finds something.
///
/// # Errors
/// When a check finds something or can't run.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut format = workspace.cargo();
    format.args(["fmt", "--all", "--check"]);
    process::run(&mut format).context("`cargo fmt --all` would change something")?;
    tidy::run(workspace)?;
    check_dependencies(workspace)?;

    // The hosts' build script wants the artifacts, even when clippy runs it.
    component::build(workspace, Variant::Normal, Profile::Dev, None)?;
    component::build(workspace, Variant::Broken, Profile::Dev, None)?;
    let mut hosts = workspace.cargo();
    hosts.args(["clippy", "--workspace", "--all-targets"]);
    hosts.args(["--", "--deny", "warnings"]);
    process::run(&mut hosts).context("clippy found something in the code for the host")?;
    for variant in [Variant::Normal, Variant::Broken] {
        let mut guest = workspace.guest_cargo(variant);
        guest.args(["clippy", "--package", "btdt-core", "--lib"]);
        guest.args(["--target", GUEST_TARGET]);
        if variant == Variant::Broken {
            guest.args(["--features", "broken"]);
        }
        guest.args(["--", "--deny", "warnings"]);
        process::run(&mut guest).context("clippy found something in the code for the guest")?;
    }
    for package in compose::packages() {
        let mut guest = workspace.guest_cargo(Variant::Normal);
        guest.args(["clippy", "--package", package, "--target", GUEST_TARGET]);
        guest.args(["--", "--deny", "warnings"]);
        process::run(&mut guest)
            .with_context(|| format!("clippy found something in {package} for WASI"))?;
    }
    Ok(())
}

fn check_dependencies(workspace: &Workspace) -> Result<()> {
    for package in ["btdt-cli", "btdt-server"] {
        let mut tree = workspace.cargo();
        tree.args(["tree", "--locked", "--package", package]);
        tree.args(["--edges", "normal", "--prefix", "none"]);
        let tree = process::capture(&mut tree)?;
        if has_compiler(&tree) {
            bail!(
                "{package} links {COMPILER_CRATE}: `cargo tree -p {package} -i {COMPILER_CRATE}` \
                 shows why"
            );
        }
    }
    Ok(())
}

/// Whether the output of `cargo tree --prefix none` has the compiler.
fn has_compiler(tree: &str) -> bool {
    tree.lines().any(|line| line.split(' ').next() == Some(COMPILER_CRATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_found_among_the_dependencies() {
        assert!(has_compiler("btdt-cli v1.0.0\ncranelift-codegen v0.1.0\n"));
        assert!(!has_compiler("btdt-cli v1.0.0\ncranelift-entity v0.1.0\n"));
    }
}
