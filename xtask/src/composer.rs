//! The program `btdt-compose`, which composes, describes and rewrites components.

use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::process::Command;

/// Builds the program and returns a command that runs it.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "btdt-compose"]);
    process::run(&mut cargo).context("could not build the program that composes")?;
    Ok(Command::new(workspace.program(Profile::Dev, "btdt-compose")))
}
