//! Checks that the compiler supports the guest's target, and installs the target where possible.

use crate::process;
use crate::workspace::{GUEST_TARGET, Workspace, rustc};
use anyhow::{Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes sure that the compiler can build for the guest's target.
///
/// # Errors
/// If the target is missing and can't be added; the message says what to do by hand.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    // The sysroot decides: a rustup on the path need not be the one that manages `rustc`.
    if is_installed(workspace)? {
        return Ok(());
    }
    let mut reason = String::from("there is no rustup on the path to add it");
    if process::find_program("rustup").is_some() {
        eprintln!("xtask: adding the target {GUEST_TARGET} to the Rust toolchain");
        let mut command = Command::new("rustup");
        command.args(["target", "add", GUEST_TARGET]).current_dir(workspace.root());
        reason = match process::run(&mut command) {
            Ok(()) if is_installed(workspace)? => return Ok(()),
            Ok(()) => "rustup added it to another toolchain than that of `rustc`".to_owned(),
            Err(error) => format!("adding it did not work: {error}"),
        };
    }
    bail!("{}", advice(&reason));
}

fn is_installed(workspace: &Workspace) -> Result<bool> {
    let directory = process::capture(rustc(workspace.root()).args([
        "--print",
        "target-libdir",
        "--target",
        GUEST_TARGET,
    ]))?;
    Ok(has_standard_library(Path::new(directory.trim())))
}

/// Whether a target's library directory contains the standard library. Checking that the directory
/// exists is not enough: the compiler also names it for targets that are not installed.
fn has_standard_library(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn advice(reason: &str) -> String {
    format!(
        "the Rust target {GUEST_TARGET} is not installed, and {reason}.\n\
         The core of btdt is compiled for this target. Install it with one of:\n\
         \x20   rustup target add {GUEST_TARGET}\n\
         \x20   your distribution's package of Rust's standard library for {GUEST_TARGET}\n\
         and run the command again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_library_is_what_counts() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!has_standard_library(directory.path()));
        assert!(!has_standard_library(&directory.path().join("missing")));
        fs::write(directory.path().join("libcore-1.rlib"), "").unwrap();
        assert!(!has_standard_library(directory.path()));
        fs::write(directory.path().join("libstd-0123.rlib"), "").unwrap();
        assert!(has_standard_library(directory.path()));
    }

    #[test]
    fn the_advice_has_the_reason_and_a_command_to_copy() {
        let text = advice("the network is down");
        assert!(text.contains("the network is down"));
        assert!(text.contains("\n    rustup target add wasm32-wasip2\n"));
    }
}
