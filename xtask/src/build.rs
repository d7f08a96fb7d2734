//! Builds the programs: first the core component, then `btdt` and `btdt-server`, which embed it.

use crate::component;
use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Builds `btdt` and `btdt-server`, and returns the path of `btdt`; the server is beside it.
pub(crate) fn build(
    workspace: &Workspace,
    profile: Profile,
    target: Option<&str>,
) -> Result<PathBuf> {
    component::build(workspace, profile, target)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "btdt-cli", "--bin", "btdt"]);
    // One build for both: separate builds would compile shared dependencies with different
    // features.
    cargo.args(["--package", "btdt-server", "--bin", "btdt-server"]);
    match profile {
        Profile::Release => cargo.arg("--release"),
        Profile::Dev => cargo.args(["--package", "btdt-host-features"]),
    };
    if let Some(triple) = target {
        cargo.args(["--target", triple]);
    }
    process::run(&mut cargo).context("could not build btdt and btdt-server")?;
    Ok(workspace.program_for(profile, target, "btdt"))
}
