//! `cargo xtask`: every command that builds, tests, measures and shows btdt.
//!
//! Orchestration lives here and not in build scripts: no build script of this repository runs
//! cargo or reaches for the network.

// A program of commands: its output is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod artifacts;
mod bench;
mod build;
mod component;
mod compose;
mod composer;
mod debian;
mod demo;
mod fuzzer;
mod interop_tools;
mod lint;
mod precompiler;
mod process;
mod readable;
mod test;
mod tidy;
mod wasi_runtime;
mod wasm_target;
mod workspace;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::process::ExitCode;
use workspace::{Profile, Workspace};

/// Builds, tests, measures and shows btdt.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the core component, then `btdt` and `btdt-server` with it inside.
    ///
    /// Adds the compiler's wasm32-wasip2 target where it is missing.
    Build {
        /// Optimise; the programs are in target/release/ instead of target/debug/.
        #[arg(long)]
        release: bool,
        /// Build for another target; the programs are in target/TRIPLE/. The linker for that target
        /// is yours to install and to name in cargo's configuration.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Build only the core component, after which `cargo build` and `cargo run` work.
    ///
    /// Leaves btdt-core.wasm and its machine code in target/component/ and fails when the component
    /// imports anything besides btdt:cache/* and wasi:*.
    Component {
        /// Also make the variant that traps on purpose, for the tests.
        #[arg(long)]
        trapping: bool,
        /// Build it as releases have it, optimised.
        #[arg(long)]
        release: bool,
        /// Precompile for another target.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Build btdt and its server as components that run under any WASI runtime.
    ///
    /// Composes the core component with the adapter, which gives it files and servers through WASI,
    /// and with a front end, and leaves btdt.wasm and btdt-server.wasm in target/component/. Fails
    /// when one imports anything besides wasi:*. Beside them and beside btdt-core.wasm lie checksums
    /// (.sha256) and what each imports and exports (.wit).
    Compose,
    /// Run the tests, or those whose names contain one of the words.
    ///
    /// The tests of every crate and of xtask, those of the command line once more with btdt.wasm
    /// under wasmtime, and the style checks of `tidy`. Says at the end what it left to `test-interop`,
    /// `test-fuzzer` and `test-jco`. The last line is the sum: `N passed, N failed`. Words and options
    /// go to the test programs: `cargo xtask test restore --nocapture`.
    ///
    /// The tests run a real `npm ci`. Where node, npm or openssl are missing they are installed when
    /// this runs as root on a system with apt-get.
    ///
    /// `INSTA_UPDATE=always cargo xtask test` accepts the output of today as the expected one.
    Test(TestArguments),
    /// Run the tests with the programs of others: btdt 0.4.4 and the tool `biscuit`.
    ///
    /// Builds them in target/tools/ first, which takes some minutes and needs libssl-dev and
    /// pkg-config.
    TestInterop(TestArguments),
    /// Run the OpenAPI fuzzer against the server; installs it in target/tools/ first.
    TestFuzzer(TestArguments),
    /// Run the end-to-end tests of the command line with btdt.wasm on Node.js.
    ///
    /// Installs jco from npm in target/tools/ and has it make JavaScript of the component. Every
    /// start takes half a second there, so what tests repeat, they repeat less often;
    /// tests/README.md has the variables.
    TestJco(TestArguments),
    /// Check the rules of style that a program can check; CONTRIBUTING.md has them.
    Tidy,
    /// Check format, style and dependencies, and run clippy for the hosts and the guest.
    Lint,
    /// Everything a change must pass: `lint`, `demo` and all tests.
    Ci,
    /// See what btdt does: cache a real directory, change it, restore it.
    ///
    /// Gathers the sources of this project's own dependencies (thousands of files) in target/demo/,
    /// stores them, changes a few, stores them again and restores both, checks every byte, and shows
    /// times, sizes and what deduplication saved.
    Demo,
    /// Measure btdt against the rivals that are installed; `bench --help` lists the options.
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct TestArguments {
    /// Parts of names of tests, and options of the test programs.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
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
        Task::Build { release, target } => {
            let profile = if release { Profile::Release } else { Profile::Dev };
            let program = build::build(&workspace, profile, target.as_deref())?;
            println!("{}", program.display());
        }
        Task::Component { trapping, release, target } => {
            let profile = if release { Profile::Release } else { Profile::Dev };
            component::build(&workspace, profile, target.as_deref())?;
            if trapping {
                component::build_trapping(&workspace)?;
            }
        }
        Task::Compose => {
            for path in compose::compose(&workspace, Profile::Release)? {
                println!("{}", path.display());
            }
        }
        Task::Test(words) => test::run(&workspace, test::SUITES_OF_TEST, &words.arguments)?,
        Task::TestInterop(words) => test::run(&workspace, &[test::interop], &words.arguments)?,
        Task::TestFuzzer(words) => test::run(&workspace, &[test::fuzzer], &words.arguments)?,
        Task::TestJco(words) => test::run(&workspace, &[test::jco], &words.arguments)?,
        Task::Tidy => tidy::run(&workspace)?,
        Task::Lint => lint::run(&workspace)?,
        Task::Ci => {
            lint::run(&workspace)?;
            demo::run(&workspace)?;
            test::run(&workspace, test::ALL_SUITES, &[])?;
        }
        Task::Demo => demo::run(&workspace)?,
        Task::Bench { arguments } => bench::run(&arguments)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn words_after_test_go_to_the_test_programs() {
        let line = ["cargo xtask", "test", "one", "--nocapture"];
        let Task::Test(words) = Arguments::parse_from(line).task else { panic!("another task") };
        assert_eq!(words.arguments, ["one", "--nocapture"]);
        let line = ["cargo xtask", "bench", "--help"];
        let Task::Bench { arguments } = Arguments::parse_from(line).task else {
            panic!("another task")
        };
        assert_eq!(arguments, ["--help"]);
    }
}
