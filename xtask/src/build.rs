//! `btdt` itself: the component first, then the program that embeds it.

use crate::component;
use crate::process;
use crate::workspace::{Profile, Variant, Workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Builds `btdt` and returns where it is.
///
/// # Errors
/// When the component or the program can't be built.
pub(crate) fn build(
    workspace: &Workspace,
    profile: Profile,
    target: Option<&str>,
) -> Result<PathBuf> {
    component::build(workspace, Variant::Normal, target)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "btdt-cli", "--bin", "btdt"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    if let Some(triple) = target {
        cargo.args(["--target", triple]);
    }
    process::run(&mut cargo).context("could not build btdt")?;
    Ok(workspace.program_for(profile, target, "btdt"))
}
