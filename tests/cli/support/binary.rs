//! Runs the program under test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::process::{Outcome, Running, clean_command};
use super::runtime::program;

/// The program under test: the native binary, or what stands in for it.
pub(crate) fn btdt_path() -> &'static Path {
    program().unwrap_or_else(native_path)
}

/// The native binary, whatever is under test.
pub(crate) fn native_path() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_btdt"))
}

/// A command of the program that sees nothing of this process's environment.
pub(crate) fn btdt_command(cwd: &Path) -> Command {
    clean_command(btdt_path(), cwd)
}

/// Runs the program in `cwd` to its end.
#[track_caller]
pub(crate) fn btdt<A: AsRef<OsStr>>(cwd: &Path, args: impl IntoIterator<Item = A>) -> Outcome {
    let mut command = btdt_command(cwd);
    command.args(args);
    Running::start(command).finish()
}

/// Runs the native binary in `cwd` to its end, whatever is under test.
#[track_caller]
pub(crate) fn native<A: AsRef<OsStr>>(cwd: &Path, args: impl IntoIterator<Item = A>) -> Outcome {
    let mut command = clean_command(native_path(), cwd);
    command.args(args);
    Running::start(command).finish()
}
