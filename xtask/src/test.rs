//! Runs the tests of the repository, suite by suite, and adds up their results.

use crate::component;
use crate::debian::{self, Requirement};
use crate::fuzzer;
use crate::interop_tools;
use crate::process;
use crate::tidy;
use crate::wasi_runtime::{self, TOOLS, WasiProgram};
use crate::workspace::{Profile, Workspace};
use anyhow::{Result, bail};
use std::process::Command;

/// A set of tests that a command runs.
pub(crate) type Suite = fn(&Workspace, &mut Run) -> Result<()>;

/// The suites of `cargo xtask test`.
pub(crate) const SUITES_OF_TEST: &[Suite] = &[native, wasi, style];

/// The suites of `cargo xtask ci`.
pub(crate) const ALL_SUITES: &[Suite] = &[native, wasi, style, interop, fuzzer, jco];

/// Suites that only other commands run, because their programs take minutes to build or install.
const LEFT_OUT: &str = "\
Not run:
  cargo xtask test-interop   the tests with btdt 0.4.4 and the tool `biscuit`
  cargo xtask test-fuzzer    the OpenAPI fuzzer
  cargo xtask test-jco       the command line on Node.js
`cargo xtask ci` runs everything.";

/// Programs that tests start.
const NEEDED: &[Requirement] = &[
    Requirement { what: "node", package: "nodejs", probe: &["node", "--version"] },
    Requirement { what: "npm", package: "npm", probe: &["npm", "--version"] },
    Requirement { what: "openssl", package: "openssl", probe: &["openssl", "version"] },
];

/// The modules of `tests/server` that need the programs of [`interop_tools`].
const INTEROP: &[&str] = &["interop::", "guide::"];

/// The module of `tests/server` that needs the fuzzer.
const FUZZER: &[&str] = &["fuzz::"];

/// Shorter runs of repetitive tests, for a runtime other than the native program, which runs them
/// at full length. `tests/README.md` explains the variables. Values that are already set take
/// precedence.
const BRIEF: &[(&str, &str)] = &[
    ("BTDT_CONTENTION_SECONDS", "5"),
    ("BTDT_CRASH_ROUNDS", "5"),
    ("BTDT_DAMAGES", "6"),
    ("BTDT_RESTORE_ROUNDS", "10"),
    ("PROPTEST_CASES", "12"),
];

/// The same for Node.js, where each start of the program takes half a second.
const BRIEF_IN_NODE: &[(&str, &str)] = &[
    ("BTDT_CONTENTION_SECONDS", "30"),
    ("BTDT_CRASH_ROUNDS", "3"),
    ("BTDT_DAMAGES", "4"),
    ("BTDT_RESTORE_ROUNDS", "6"),
    ("PROPTEST_CASES", "8"),
];

/// A run of test programs, and their results so far.
#[derive(Default)]
pub(crate) struct Run {
    /// Passed to every test program.
    arguments: Vec<String>,
    passed: u64,
    failed: u64,
    failures: Vec<String>,
}

/// Runs suites, with `arguments` for every test program. The last line of the output is the sum of
/// the results.
///
/// # Errors
/// If something can't be built or installed, or a test fails.
pub(crate) fn run(workspace: &Workspace, suites: &[Suite], arguments: &[String]) -> Result<()> {
    let mut run = Run { arguments: arguments.to_vec(), ..Run::default() };
    debian::ensure(NEEDED)?;
    for suite in suites {
        suite(workspace, &mut run)?;
    }
    if suites.len() == SUITES_OF_TEST.len() {
        println!("{LEFT_OUT}");
    }
    println!("{} passed, {} failed", run.passed, run.failed);
    if !run.failures.is_empty() {
        bail!("not everything passed: {}", run.failures.join("; "));
    }
    Ok(())
}

/// The tests of every crate with the native programs.
fn native(workspace: &Workspace, run: &mut Run) -> Result<()> {
    build_components(workspace)?;
    run.cargo_test(&mut hosts(workspace), &[])?;
    let skip = [INTEROP, FUZZER].concat().into_iter().flat_map(|module| ["--skip", module]);
    run.cargo_test(&mut server_suite(workspace), &skip.collect::<Vec<_>>())
}

/// The end-to-end command-line suite with `btdt.wasm` under wasmtime.
fn wasi(workspace: &Workspace, run: &mut Run) -> Result<()> {
    let program = wasi_runtime::wasmtime(workspace, Profile::Dev)?;
    run.cargo_test(&mut command_line_suite(workspace, &program, BRIEF), &[])?;
    let mut tools = workspace.cargo();
    tools.args(["test", "--no-fail-fast"]);
    for tool in TOOLS {
        tools.args(["--package", tool]);
    }
    run.cargo_test(&mut tools, &[])
}

/// The rules that `cargo xtask tidy` checks.
fn style(workspace: &Workspace, run: &mut Run) -> Result<()> {
    if let Err(error) = tidy::run(workspace) {
        run.failures.push(format!("{error:#}"));
    }
    Ok(())
}

/// The tests with the previous release and the `biscuit` tool.
pub(crate) fn interop(workspace: &Workspace, run: &mut Run) -> Result<()> {
    interop_tools::ensure(workspace)?;
    build_components(workspace)?;
    let modules = run.unless_narrowed(INTEROP);
    run.cargo_test(&mut server_suite(workspace), modules)?;
    run.cargo_test(hosts(workspace).args(["--test", "auth"]), &[])
}

/// The tests with the OpenAPI fuzzer.
pub(crate) fn fuzzer(workspace: &Workspace, run: &mut Run) -> Result<()> {
    fuzzer::ensure(workspace)?;
    build_components(workspace)?;
    let modules = run.unless_narrowed(FUZZER);
    run.cargo_test(&mut server_suite(workspace), modules)
}

/// The end-to-end command-line suite with `btdt.wasm` on Node.js, through jco.
pub(crate) fn jco(workspace: &Workspace, run: &mut Run) -> Result<()> {
    build_components(workspace)?;
    let program = wasi_runtime::jco(workspace)?;
    run.cargo_test(&mut command_line_suite(workspace, &program, BRIEF_IN_NODE), &[])
}

fn build_components(workspace: &Workspace) -> Result<()> {
    component::build(workspace, Profile::Dev, None)?;
    component::build_trapping(workspace)
}

/// The tests of all packages except the tools.
fn hosts(workspace: &Workspace) -> Command {
    let mut hosts = workspace.cargo();
    hosts.args(["test", "--no-fail-fast", "--workspace"]);
    for tool in TOOLS {
        hosts.args(["--exclude", tool]);
    }
    hosts
}

/// The end-to-end server suite. It names all packages, so that cargo enables the same features as
/// for the other tests and rebuilds nothing.
fn server_suite(workspace: &Workspace) -> Command {
    let mut suite = hosts(workspace);
    suite.args(["--test", "server"]);
    suite
}

/// The end-to-end command-line suite with `program` instead of the native one.
fn command_line_suite(
    workspace: &Workspace,
    program: &WasiProgram,
    brief: &[(&str, &str)],
) -> Command {
    let mut suite = hosts(workspace);
    suite.args(["--test", "cli"]);
    for (name, value) in brief {
        if std::env::var_os(name).is_none() {
            suite.env(name, value);
        }
    }
    program.stand_in(&mut suite);
    suite
}

impl Run {
    /// The filter of a suite, unless the user names tests: test programs run what any word names.
    fn unless_narrowed(&self, modules: &'static [&'static str]) -> &'static [&'static str] {
        if self.arguments.iter().any(|word| !word.starts_with('-')) { &[] } else { modules }
    }

    /// Runs one `cargo test`, shows its output and adds its results.
    fn cargo_test(&mut self, command: &mut Command, arguments: &[&str]) -> Result<()> {
        command.arg("--").args(arguments).args(&self.arguments);
        let succeeded = process::stream_lines(command, |line| {
            println!("{line}");
            self.add_line(line);
        })?;
        if !succeeded {
            self.failures.push(process::display(command));
        }
        Ok(())
    }

    /// Adds the numbers of a line such as `test result: ok. 10 passed; 0 failed; 0 ignored; …`.
    fn add_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split([';', '.']) {
            if let Some((count, what)) = part.trim().split_once(' ')
                && let Ok(count) = count.parse::<u64>()
            {
                match what {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed_and_others_are_not() {
        let mut run = Run::default();
        for line in [
            "running 3 tests",
            "test result: ok. 10 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s",
            "7 passed; 7 failed",
        ] {
            run.add_line(line);
        }
        assert_eq!((run.passed, run.failed), (13, 4));
    }
}
