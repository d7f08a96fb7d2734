//! `cargo xtask`: every command that builds, tests, measures and shows btdt.

// A program of commands: its output is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod process;
mod workspace;

fn main() -> anyhow::Result<()> {
    let workspace = workspace::Workspace::locate()?;
    println!("{}", workspace.root().display());
    Ok(())
}
