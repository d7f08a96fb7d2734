//! Checks other than tests: format, style, dependencies, and clippy for the host and the guest.

use crate::component;
use crate::compose;
use crate::process;
use crate::tidy;
use crate::wasi_runtime::TOOLS;
use crate::workspace::{GUEST_TARGET, Profile, Workspace};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// The core of the compiler that the hosts must not link: it makes `btdt` several times as large
/// and slower to start. (Other Cranelift crates contain only data structures.)
const COMPILER_CRATE: &str = "cranelift-codegen";

/// Lints for the product only, not for tests and tools; `clippy.toml` configures them.
const PRODUCT_LINTS: &[&str] = &["clippy::disallowed_methods", "clippy::too_many_lines"];

/// Runs the checks, the fastest first, and stops at the first failure.
///
/// # Errors
/// If a check finds something or can't run.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut format = workspace.cargo();
    format.args(["fmt", "--all", "--check"]);
    process::run(&mut format).context("`cargo fmt --all` would change something")?;
    tidy::run(workspace)?;
    check_dependencies(workspace)?;

    // The hosts' build script needs the artifact, even under clippy.
    component::build(workspace, Profile::Dev, None)?;
    clippy(
        workspace.cargo(),
        &["--workspace", "--all-targets", "--test", "server", "--test", "auth"],
        &[],
    )?;
    let mut product = vec!["--workspace"];
    product.extend(TOOLS.iter().flat_map(|tool| ["--exclude", tool]));
    clippy(workspace.cargo(), &product, PRODUCT_LINTS)?;
    for package in compose::packages().chain(["btdt-core"]) {
        let guest = ["--package", package, "--lib", "--bins", "--target", GUEST_TARGET];
        clippy(workspace.guest_cargo(), &guest, PRODUCT_LINTS)?;
    }
    Ok(())
}

/// Runs clippy on some packages, with warnings and `lints` denied.
fn clippy(mut cargo: Command, packages: &[&str], lints: &[&str]) -> Result<()> {
    cargo.arg("clippy").args(packages).args(["--", "--deny", "warnings"]);
    cargo.args(lints.iter().flat_map(|lint| ["--deny", lint]));
    process::run(&mut cargo).context("clippy found something")
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

/// Whether the output of `cargo tree --prefix none` lists the compiler.
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
