//! Runs `btdt-tidy`, the style checker, which is built separately from xtask.

use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::process::Command;

/// Checks all files; the program prints what it finds.
///
/// # Errors
/// If there is a finding, or the program does not build.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "btdt-tidy"]);
    process::run(&mut cargo).context("could not build the program that checks the style")?;
    let program = workspace.program(Profile::Dev, "btdt-tidy");
    process::run(Command::new(program).arg(workspace.root()))
}
