//! `cargo xtask`: every command that builds, tests, measures and shows btdt.
//!
//! Orchestration lives here and not in build scripts: no build script of this repository runs
//! cargo or reaches for the network.

// A program of commands: its output is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod artifacts;
mod bench;
mod build;
mod cli;
mod component;
mod component_imports;
mod compose;
mod demo;
mod lint;
mod process;
mod readable;
mod test;
mod test_fuzzer;
mod test_tools;
mod tidy;
mod wasi_runtime;
mod wasm_target;
mod workspace;

use anyhow::Result;
use cli::Task;
use std::process::ExitCode;
use workspace::{Profile, Variant, Workspace};

/// The exit code for a command line that is not understood.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match cli::parse(&arguments) {
        Ok(task) => task,
        Err(message) => {
            eprintln!("xtask: {message}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Help(command) => print!("{}", cli::help_text(command)),
        Task::Build { release, target } => {
            let profile = if release { Profile::Release } else { Profile::Dev };
            let program = build::build(&workspace, profile, target.as_deref())?;
            println!("{}", program.display());
        }
        Task::Component { broken, target } => {
            component::build(&workspace, Variant::Normal, Profile::Dev, target.as_deref())?;
            if broken {
                component::build(&workspace, Variant::Broken, Profile::Dev, target.as_deref())?;
            }
        }
        Task::Compose => {
            for path in compose::compose(&workspace, Profile::Release)? {
                println!("{}", path.display());
            }
        }
        Task::Test { arguments } => test::run(&workspace, &arguments)?,
        Task::TestJco { arguments } => test::run_jco(&workspace, &arguments)?,
        Task::Tidy => tidy::run(&workspace)?,
        Task::Lint => lint::run(&workspace)?,
        Task::Ci => {
            lint::run(&workspace)?;
            test::run(&workspace, &[])?;
        }
        Task::Demo => demo::run(&workspace)?,
        Task::Bench { arguments } => bench::run(&arguments)?,
    }
    Ok(())
}
