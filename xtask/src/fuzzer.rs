//! Installs the OpenAPI fuzzer of the server tests, schemathesis, in a virtual environment in the
//! target directory.

use crate::debian;
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The packages, all with pinned versions: an updated fuzzer would find something else every day.
const REQUIREMENTS: &str = include_str!("../fuzzer/requirements.txt");

/// Contains the installed requirements; written last.
const STAMP: &str = "installed.txt";

const NEED: &str = "the tests need the fuzzer schemathesis, which needs Python 3.10 or newer with \
                    its module venv, for example by `apt-get install python3 python3-venv`";

/// Installs the fuzzer if it is missing.
///
/// # Errors
/// If Python can't create a virtual environment, or the packages can't be installed.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let root = workspace.target_dir().join("tools").join("schemathesis");
    if is_installed(&root) {
        return Ok(());
    }
    eprintln!("xtask: installing schemathesis for the tests");
    if !can_make_environments() && debian::may_install() {
        debian::install(&["python3", "python3-venv"]).context(NEED)?;
    }
    install(&root).context(NEED)
}

/// Whether everything is installed in the pinned versions.
fn is_installed(root: &Path) -> bool {
    root.join("bin/schemathesis").is_file()
        && fs::read_to_string(root.join(STAMP)).is_ok_and(|installed| installed == REQUIREMENTS)
}

/// Whether there is a Python with `venv`, which is a separate package in Debian.
fn can_make_environments() -> bool {
    process::find_program("python3").is_some()
        && process::capture(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

fn install(root: &Path) -> Result<()> {
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(root))?;
    let requirements = root.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)
        .with_context(|| format!("could not write {}", requirements.display()))?;
    let mut pip = Command::new(root.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        // Never compile packages here.
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(&requirements);
    process::run(&mut pip)?;
    let stamp = root.join(STAMP);
    fs::write(&stamp, REQUIREMENTS).with_context(|| format!("could not write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_pinned_and_whole_counts_as_installed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert!(!is_installed(root));
        fs::create_dir(root.join("bin")).unwrap();
        fs::write(root.join("bin/schemathesis"), "").unwrap();
        assert!(!is_installed(root), "without the stamp");
        fs::write(root.join(STAMP), REQUIREMENTS).unwrap();
        assert!(is_installed(root));
        fs::write(root.join(STAMP), REQUIREMENTS.replacen("==", "==9", 1)).unwrap();
        assert!(!is_installed(root), "another version");
    }

    #[test]
    fn every_version_is_pinned() {
        let lines = REQUIREMENTS.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.clone().all(|line| line.contains("==")));
        assert!(lines.clone().any(|line| line.starts_with("schemathesis==")));
    }
}
