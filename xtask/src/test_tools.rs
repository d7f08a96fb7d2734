//! What the tests need besides Rust: node and npm, for a real `npm ci`, and the `biscuit` tool, for
//! tokens as the guides make them.

use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Programs the tests start, each with the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[("node", "nodejs"), ("npm", "npm")];

/// The crate that has the `biscuit` tool, and the version that the tests are for.
const BISCUIT: (&str, &str) = ("biscuit-cli", "0.6.0");

/// Looks for the programs and installs those that are missing, where that is possible.
///
/// # Errors
/// When some are missing and can't be installed, and `required` is set; else that is a warning.
pub(crate) fn ensure(workspace: &Workspace, required: bool) -> Result<()> {
    for done in [ensure_packages(), ensure_biscuit(workspace)] {
        match done {
            Err(error) if required => return Err(error),
            Err(error) => eprintln!("xtask: warning: {error:#}"),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn ensure_packages() -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    if may_install() {
        install(&missing())?;
    }
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { bail!("{}", advice(&missing)) }
}

/// Installs the `biscuit` tool beneath the target directory, where nobody else's is in the way.
fn ensure_biscuit(workspace: &Workspace) -> Result<()> {
    let tools = workspace.target_dir().join("tools");
    if has_biscuit(&tools) {
        return Ok(());
    }
    let (package, version) = BISCUIT;
    eprintln!("xtask: installing {package} {version} for the tests, which takes some minutes");
    let build_dir = tools.join("build");
    let mut install = workspace.cargo();
    install
        // Unoptimised: it makes a few tokens, and takes a third of the time to build.
        .args(["install", package, "--version", version, "--locked", "--debug", "--force"])
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(&build_dir);
    let installed = process::run(&mut install);
    // Half a gigabyte that nobody needs again. What cannot be removed does no harm either.
    let _ = std::fs::remove_dir_all(&build_dir);
    installed.with_context(|| {
        format!("the tests need the `biscuit` tool of the crate {package} {version}")
    })
}

/// Whether the tool is there in the right version.
fn has_biscuit(tools: &Path) -> bool {
    let program = tools.join("bin/biscuit");
    let expected = format!("{} {}", BISCUIT.0, BISCUIT.1);
    program.is_file()
        && process::capture(Command::new(program).arg("--version"))
            .is_ok_and(|version| version.trim() == expected)
}

fn missing() -> Vec<(&'static str, &'static str)> {
    NEEDED.iter().copied().filter(|(program, _)| process::find_program(program).is_none()).collect()
}

fn may_install() -> bool {
    let is_root =
        process::capture(Command::new("id").arg("-u")).is_ok_and(|user_id| user_id.trim() == "0");
    is_root && process::find_program("apt-get").is_some()
}

fn install(missing: &[(&str, &str)]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    eprintln!("xtask: installing {} for the tests", packages.join(" and "));
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    process::run(apt_get().arg("update"))
        .and_then(|()| {
            process::run(
                apt_get().args(["install", "-y", "--no-install-recommends"]).args(&packages),
            )
        })
        .with_context(|| advice(missing))
}

fn advice(missing: &[(&str, &str)]) -> String {
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    format!(
        "the tests need {}, not found on the path; install Node.js 20 or newer with npm, for \
         example by `apt-get install nodejs npm`, and run the command again",
        programs.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_what_is_missing() {
        assert!(advice(NEEDED).contains("node and npm"));
        assert!(advice(&NEEDED[1..]).contains("need npm,"));
    }
}
