//! The program `btdt-precompile`, which checks what components import and compiles them.

use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program and returns its path.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "btdt-precompile"]);
    process::run(&mut cargo).context("could not build the precompiler")?;
    Ok(workspace.program(Profile::Dev, "btdt-precompile"))
}

/// Checks that every import of a component begins with one of `allowed`.
///
/// # Errors
/// If one does not; the program names it.
pub(crate) fn check_imports(
    workspace: &Workspace,
    component: &Path,
    allowed: &[&str],
) -> Result<()> {
    let program = build(workspace)?;
    process::run(Command::new(program).arg("check").arg(component).args(allowed))
        .with_context(|| format!("{} imports what it must not", component.display()))
}
