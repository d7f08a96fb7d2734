//! All tests of the repository, one after the other, and the sum of their results.

use crate::component;
use crate::process;
use crate::test_tools;
use crate::tidy;
use crate::wasi_runtime::{self, TOOLS, WasiProgram};
use crate::workspace::{Profile, Variant, Workspace};
use anyhow::{Result, bail};
use std::process::Command;

/// How long the tests may take that a variable says under jco, where every start of the program
/// takes half a second; `tests/README.md` says what each is. Those that are set already count.
const SHORTER: &[(&str, &str)] = &[
    ("BTDT_CONTENTION_SECONDS", "30"),
    ("BTDT_CRASH_ROUNDS", "3"),
    ("BTDT_DAMAGES", "4"),
    ("BTDT_RESTORE_ROUNDS", "6"),
    ("PROPTEST_CASES", "8"),
];

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// Builds what the tests need and runs them; `arguments` go to every test program.
///
/// # Errors
/// When anything can't be built, a test fails, or the style checks find something.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    test_tools::ensure(workspace, arguments.is_empty())?;
    component::build(workspace, Variant::Normal, Profile::Dev, None)?;
    component::build(workspace, Variant::Broken, Profile::Dev, None)?;

    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let mut tools = workspace.cargo();
    tools.args(["test", "--no-fail-fast"]);
    for tool in TOOLS {
        tools.args(["--package", tool]);
    }
    let mut commands = vec![hosts(workspace), tools];
    // The same suite once more, with the component in the place of the native program.
    let program = wasi_runtime::wasmtime(workspace, Profile::Dev)?;
    commands.push(suite(workspace, &program));
    for mut command in commands {
        command.arg("--").args(arguments);
        if !run_counting(&mut command, &mut tally)? {
            failures.push(process::display(&command));
        }
    }
    if let Err(error) = tidy::run(workspace) {
        failures.push(format!("{error:#}"));
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if !failures.is_empty() {
        bail!("not everything passed: {}", failures.join("; "));
    }
    Ok(())
}

/// Runs the end-to-end suite of the command line with `btdt.wasm` on Node.js, as jco makes it;
/// `arguments` go to the test program.
///
/// # Errors
/// When anything can't be built or installed, or a test fails.
pub(crate) fn run_jco(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    test_tools::ensure(workspace, arguments.is_empty())?;
    component::build(workspace, Variant::Normal, Profile::Dev, None)?;
    component::build(workspace, Variant::Broken, Profile::Dev, None)?;
    let program = wasi_runtime::jco(workspace)?;
    let mut tally = Tally::default();
    let mut command = suite(workspace, &program);
    for (name, value) in SHORTER {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    command.arg("--").args(arguments);
    let succeeded = run_counting(&mut command, &mut tally)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if !succeeded {
        bail!("not everything passed: {}", process::display(&command));
    }
    Ok(())
}

/// The tests of everything but the tools.
fn hosts(workspace: &Workspace) -> Command {
    let mut hosts = workspace.cargo();
    hosts.args(["test", "--no-fail-fast", "--workspace"]);
    for tool in TOOLS {
        hosts.args(["--exclude", tool]);
    }
    hosts
}

/// The end-to-end suite of the command line, with another program than the native one. All packages
/// are named, so that cargo builds nothing again.
fn suite(workspace: &Workspace, program: &WasiProgram) -> Command {
    let mut suite = hosts(workspace);
    suite.args(["--test", "cli"]);
    program.stand_in(&mut suite);
    suite
}

/// Runs one `cargo test`, shows its output and adds its results; tells whether it succeeded.
fn run_counting(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    process::stream_lines(command, |line| {
        println!("{line}");
        tally.add_line(line);
    })
}

impl Tally {
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
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 10 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s",
            "7 passed; 7 failed",
        ] {
            tally.add_line(line);
        }
        let expected = Tally { passed: 13, failed: 4 };
        assert_eq!(tally, expected);
    }
}
