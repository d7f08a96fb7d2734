//! `cargo xtask`: builds, tests, measures and demonstrates btdt.
//!
//! Orchestration belongs here and not in build scripts: no build script of this repository runs
//! cargo or accesses the network.

// Commands print their results.
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
mod test;
mod tidy;
mod wasi_runtime;
mod wasm_target;
mod workspace;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::process::ExitCode;
use workspace::{Profile, Workspace};

/// Builds, tests, measures and demonstrates btdt.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the core component, then `btdt` and `btdt-server` with it embedded.
    ///
    /// Adds the compiler's wasm32-wasip2 target if it is missing.
    Build {
        /// Optimise; the programs are in target/release/ instead of target/debug/.
        #[arg(long)]
        release: bool,
        /// Build for another target; the programs are in target/TRIPLE/. You have to install the
        /// linker for that target and configure it in cargo.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Build only the core component, so that `cargo build` and `cargo run` work.
    ///
    /// Writes btdt-core.wasm and its machine code to target/component/. Fails if the component
    /// imports anything besides btdt:cache/* and wasi:*.
    Component {
        /// Also build the variant that traps on purpose, for the tests.
        #[arg(long)]
        trapping: bool,
        /// Build it optimised, as for a release.
        #[arg(long)]
        release: bool,
        /// Precompile for another target.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Build btdt and its server as components that run under any WASI runtime.
    ///
    /// Composes the core component with the adapter, which gives it files and servers through WASI,
    /// and with a front end. Writes btdt.wasm and btdt-server.wasm to target/component/release/, and beside
    /// these and btdt-core.wasm their checksums (.sha256) and interfaces (.wit). Fails if one of
    /// the two imports anything besides wasi:*.
    Compose,
    /// Run the tests, or those whose names contain one of the words.
    ///
    /// Runs the tests of every crate and of xtask, the command-line tests again with btdt.wasm
    /// under wasmtime, and the style checks of `tidy`. At the end, it lists the tests that only
    /// `test-interop`, `test-fuzzer` and `test-jco` run. The last line is the sum: `N passed, N
    /// failed`. Words and options go to the test programs: `cargo xtask test restore --nocapture`.
    ///
    /// The tests run a real `npm ci`. If node, npm or openssl are missing, they are installed,
    /// provided that this runs as root on a system with apt-get.
    ///
    /// `INSTA_UPDATE=always cargo xtask test` accepts the current output as the expected one.
    Test(TestArguments),
    /// Run the interoperability tests with btdt 0.4.4 and the tool `biscuit`.
    ///
    /// Builds both in target/tools/ first, which takes some minutes and needs libssl-dev and
    /// pkg-config.
    TestInterop(TestArguments),
    /// Run the OpenAPI fuzzer against the server; installs it in target/tools/ first.
    TestFuzzer(TestArguments),
    /// Run the end-to-end command-line tests with btdt.wasm on Node.js.
    ///
    /// Installs jco from npm in target/tools/ and translates the component to JavaScript with it.
    /// Each start takes half a second there, so repetitive tests run fewer rounds; tests/README.md
    /// has the variables.
    TestJco(TestArguments),
    /// Check the style rules that a program can check; they are in CONTRIBUTING.md.
    Tidy,
    /// Check format, style and dependencies, and run clippy for the host and the guest.
    Lint,
    /// Run everything that a change must pass: `lint`, `demo` and all tests.
    Ci,
    /// Show btdt at work: cache a real directory, change it, restore it.
    ///
    /// Gathers the sources of this project's own dependencies (thousands of files) in target/demo/,
    /// stores them, changes a few, stores them again and restores both versions. Checks every byte,
    /// and prints times, sizes and what deduplication saved.
    Demo,
    /// Measure btdt against the rivals that are installed.
    ///
    /// Needs Linux, hyperfine, GNU time, and npm for the reference trees; the rows about load on a
    /// server also need wrk and curl. tar, zstd, rsync, restic, git and cp are measured if they are
    /// installed; btdt-cli and btdt-server 0.4.4 are installed by cargo in the target directory.
    /// The tables are written to docs/performance.md only if all rows were measured with all
    /// rivals.
    Bench(bench::Options),
}

#[derive(Args)]
struct TestArguments {
    /// Parts of test names, and options of the test programs.
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
        Task::Bench(options) => bench::run(&workspace, &options)?,
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
    }
}
