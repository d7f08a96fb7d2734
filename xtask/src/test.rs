//! All tests of the repository, one after the other, and the sum of their results.

use crate::component;
use crate::process;
use crate::test_tools;
use crate::tidy;
use crate::workspace::{Variant, Workspace};
use anyhow::{Result, bail};
use std::process::Command;

/// The packages that are tested apart from the others: cargo unites the features of everything it
/// builds together, and the compiler that `btdt-precompile` needs would find its way into the hosts.
const TOOLS: &[&str] = &["xtask", "btdt-precompile"];

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
    component::build(workspace, Variant::Normal, None)?;
    component::build(workspace, Variant::Broken, None)?;

    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let mut hosts = workspace.cargo();
    hosts.args(["test", "--no-fail-fast", "--workspace"]);
    for tool in TOOLS {
        hosts.args(["--exclude", tool]);
    }
    let mut tools = workspace.cargo();
    tools.args(["test", "--no-fail-fast"]);
    for tool in TOOLS {
        tools.args(["--package", tool]);
    }
    for mut command in [hosts, tools] {
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
