//! `cargo xtask demo`: btdt at work on a real directory, from a fresh clone; `xtask/demo.sh` shows it.

use crate::build;
use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::process::Command;

/// Builds btdt and shows it at work.
///
/// # Errors
/// When btdt does not build, or one of its results is not what it should be.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    println!("Building btdt (a few minutes the first time) ...");
    let program = build::build(workspace, Profile::Dev, None)?;
    let mut demo = Command::new("bash");
    demo.current_dir(workspace.root()).arg("xtask/demo.sh");
    demo.arg(program).arg(workspace.target_dir().join("demo"));
    process::run(&mut demo).context("the demo failed")
}
