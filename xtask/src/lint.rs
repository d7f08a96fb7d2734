//! Checks that run no test: format, style, and clippy on the host and on the guest.

use crate::component;
use crate::process;
use crate::tidy;
use crate::workspace::{GUEST_TARGET, Variant, Workspace};
use anyhow::{Context, Result};

/// Runs the checks, the quickest first, and stops at the first that finds something.
///
/// # Errors
/// When a check finds something or can't run.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut format = workspace.cargo();
    format.args(["fmt", "--all", "--check"]);
    process::run(&mut format).context("`cargo fmt --all` would change something")?;
    tidy::run(workspace)?;

    // The hosts' build script wants the artifacts, even when clippy runs it.
    component::build(workspace, Variant::Normal, None)?;
    component::build(workspace, Variant::Broken, None)?;
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
    Ok(())
}
