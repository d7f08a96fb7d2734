//! `cargo xtask demo`: builds btdt and runs `xtask/demo.sh`, which shows it at work on a real
//! directory.

use crate::build;
use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::process::Command;

/// Builds btdt and shows it at work.
///
/// # Errors
/// If btdt does not build, or one of its results is wrong.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    println!("Building btdt (a few minutes the first time) ...");
    let program = build::build(workspace, Profile::Dev, None)?;
    let mut demo = Command::new("bash");
    demo.current_dir(workspace.root()).arg("xtask/demo.sh");
    demo.arg(program).arg(workspace.target_dir().join("demo"));
    process::run(&mut demo).context("the demo failed")
}
